//! Go's conversions of floats to integers on amd64, with the results of the real controller for out-of-range
//! numbers.

/// `int32(math.Ceil(value))`: the smallest `int32` where the result does not fit.
pub(crate) fn ceil_to_i32(value: f64) -> i32 {
    truncate_to_i32(libm::ceil(value))
}

/// `int32(value)`: cut towards zero, the smallest `int32` where the result does not fit.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked, cutting is meant")]
pub(crate) fn truncate_to_i32(value: f64) -> i32 {
    let cut = libm::trunc(value);
    if (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&cut) { cut as i32 } else { i32::MIN }
}

/// `int64(math.Ceil(value))`: the smallest `int64` where the result does not fit.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked, whole by then")]
pub(crate) fn ceil_to_i64(value: f64) -> i64 {
    let whole = libm::ceil(value);
    // i64::MAX as a float is 2^63, one too many.
    if (i64::MIN as f64..i64::MAX as f64).contains(&whole) { whole as i64 } else { i64::MIN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_becomes_the_smallest_integer() {
        assert_eq!(ceil_to_i32(4.000_000_1), 5);
        assert_eq!(ceil_to_i32(3e9), i32::MIN);
        assert_eq!(truncate_to_i32(-1.9), -1);
        assert_eq!(truncate_to_i32(f64::NAN), i32::MIN);
        assert_eq!(ceil_to_i64(f64::INFINITY), i64::MIN);
        assert_eq!(ceil_to_i64(0.5), 1);
    }
}
