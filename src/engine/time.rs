//! Integer simulated time. Calendar dates are handled by `scenario`.

use std::fmt;
use std::ops::{Add, AddAssign, Div, Mul, Sub};

use serde::{Serialize, Serializer};

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const NANOS_PER_MILLI: i64 = 1_000_000;

/// An instant, in nanoseconds since the start of the run.
///
/// Objects that exist before the run starts have negative times. Serialized in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimTime(i64);

impl Serialize for SimTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_secs_f64())
    }
}

/// A length of time in nanoseconds. Negative only as the difference of two instants.
///
/// Reading and writing it as text is in `super::duration`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimDuration(i64);

impl SimTime {
    /// The start of the run.
    pub const ZERO: Self = Self(0);
    /// An instant that no run reaches (292 years).
    pub const MAX: Self = Self(i64::MAX);

    /// The instant `nanos` nanoseconds after the start.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The instant `seconds` whole seconds after the start.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// The instant `seconds` after the start, rounded to the nearest nanosecond.
    pub fn from_secs_f64(seconds: f64) -> Self {
        Self(SimDuration::from_secs_f64(seconds).0)
    }

    /// Nanoseconds since the start.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Seconds since the start, for display and for delays that are about to be rounded again.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / NANOS_PER_SECOND as f64
    }

    /// This instant cut to a whole second, as the API server stores every timestamp
    /// (`metav1.Time` serialises to RFC 3339 without fractions).
    pub const fn floor_to_second(self) -> Self {
        Self(self.0.div_euclid(NANOS_PER_SECOND).saturating_mul(NANOS_PER_SECOND))
    }

    /// `self - earlier`; negative when `earlier` is later.
    #[inline]
    pub const fn since(self, earlier: Self) -> SimDuration {
        SimDuration(difference(self.0, earlier.0))
    }
}

impl SimDuration {
    /// The zero duration.
    pub const ZERO: Self = Self(0);
    /// The longest representable span.
    pub const MAX: Self = Self(i64::MAX);
    /// The longest span that people may write, 100 years: the sum of a run's start, its length and a delay of it
    /// can be represented.
    pub const LONGEST_WRITTEN: Self = Self::from_secs(36_500 * 86_400);

    /// A span of `nanos` nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// A span of `millis` milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(NANOS_PER_MILLI))
    }

    /// A span of whole seconds.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// The core-time of an amount in billionths of a core times nanoseconds, cut towards zero; saturates.
    pub fn from_core_nanos(amount: i128) -> Self {
        const PARTS: u64 = 1_000_000_000;
        const LOW: u128 = 0xffff_ffff;
        // Two divisions of a word by a constant, which are multiplications, are several times quicker than
        // one of a double word.
        let of_words = |amount: u128| {
            let high = u64::try_from(amount >> 32).ok()?;
            let rest = (high % PARTS) << 32 | u64::try_from(amount & LOW).ok()?;
            let nanos = u128::from(high / PARTS) << 32 | u128::from(rest / PARTS);
            Some(i64::try_from(nanos).unwrap_or(i64::MAX))
        };
        let saturated = if amount < 0 { i64::MIN } else { i64::MAX };
        let divided = || i64::try_from(amount / i128::from(PARTS)).unwrap_or(saturated);
        Self(u128::try_from(amount).ok().and_then(of_words).unwrap_or_else(divided))
    }

    /// A span of `seconds`, rounded to the nearest nanosecond; saturates, and a NaN is zero.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "float to int casts saturate, which is meant"
    )]
    #[inline]
    pub fn from_secs_f64(seconds: f64) -> Self {
        // Equals `libm::round` without the call: the cast truncates the fraction.
        const JUST_BELOW_HALF: f64 = 0.5 - 0.25 * f64::EPSILON;
        let nanos = seconds * NANOS_PER_SECOND as f64;
        Self((nanos + JUST_BELOW_HALF.copysign(nanos)) as i64)
    }

    /// Length in nanoseconds, negative for a span backwards.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds, cut towards zero.
    pub const fn as_secs(self) -> i64 {
        self.0 / NANOS_PER_SECOND
    }

    /// Seconds as a float, for display and ratios.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / NANOS_PER_SECOND as f64
    }

    /// Milliseconds as a float, for display.
    pub fn as_millis_f64(self) -> f64 {
        self.as_secs_f64() * 1e3
    }

    /// The longer of two spans.
    pub const fn max(self, other: Self) -> Self {
        if self.0 >= other.0 { self } else { other }
    }

    /// The shorter of two spans.
    pub const fn min(self, other: Self) -> Self {
        if self.0 <= other.0 { self } else { other }
    }
}

impl Add<SimDuration> for SimTime {
    type Output = Self;
    #[inline]
    fn add(self, span: SimDuration) -> Self {
        Self(sum(self.0, span.0))
    }
}

impl AddAssign<SimDuration> for SimTime {
    #[inline]
    fn add_assign(&mut self, span: SimDuration) {
        *self = *self + span;
    }
}

impl Sub<SimDuration> for SimTime {
    type Output = Self;
    #[inline]
    fn sub(self, span: SimDuration) -> Self {
        Self(difference(self.0, span.0))
    }
}

impl Sub for SimTime {
    type Output = SimDuration;
    #[inline]
    fn sub(self, earlier: Self) -> SimDuration {
        self.since(earlier)
    }
}

impl Add for SimDuration {
    type Output = Self;
    #[inline]
    fn add(self, other: Self) -> Self {
        Self(sum(self.0, other.0))
    }
}

impl AddAssign for SimDuration {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for SimDuration {
    type Output = Self;
    #[inline]
    fn sub(self, other: Self) -> Self {
        Self(difference(self.0, other.0))
    }
}

impl Mul<i64> for SimDuration {
    type Output = Self;
    #[inline]
    fn mul(self, factor: i64) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

impl Div<i64> for SimDuration {
    type Output = Self;
    #[inline]
    fn div(self, divisor: i64) -> Self {
        Self(self.0 / divisor)
    }
}

/// `i64::saturating_add` with a branch that is almost never taken, in a third of the instructions.
#[inline]
const fn sum(one: i64, other: i64) -> i64 {
    match one.checked_add(other) {
        Some(sum) => sum,
        None => saturated(one),
    }
}

/// `i64::saturating_sub` in the same way.
#[inline]
const fn difference(one: i64, other: i64) -> i64 {
    match one.checked_sub(other) {
        Some(difference) => difference,
        None => saturated(one),
    }
}

/// The saturated result of an overflowing sum or difference whose first operand is `first`.
#[cold]
const fn saturated(first: i64) -> i64 {
    if first < 0 { i64::MIN } else { i64::MAX }
}

impl fmt::Display for SimTime {
    /// `hh:mm:ss.mmm`, the milliseconds left out when they are zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let millis = self.0.unsigned_abs() / NANOS_PER_MILLI.unsigned_abs();
        let (seconds, millis) = (millis / 1000, millis % 1000);
        let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{sign}{h:02}:{m:02}:{s:02}")?;
        if millis != 0 {
            write!(f, ".{millis:03}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SimDuration {
    /// Seconds with as many decimals as are needed, up to three: `15s`, `0.25s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.3}", self.as_secs_f64());
        write!(f, "{}s", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_instant_can_be_cut_to_a_second() {
        assert_eq!(SimTime(i64::MIN).floor_to_second(), SimTime(i64::MIN));
        assert_eq!(SimTime(-1).floor_to_second(), SimTime(-NANOS_PER_SECOND));
    }

    #[test]
    fn core_time_is_the_quotient_by_a_billion_whatever_the_size() {
        let billion = 1_000_000_000_i128;
        let edges = [0, 1, billion - 1, billion, 1 << 32, 1 << 62, 1 << 64, (1 << 90) + 12_345];
        let large = [i128::from(i64::MAX) * billion, 1 << 95, 1 << 96, i128::MAX];
        for amount in edges.into_iter().chain(large).flat_map(|one| [one - 1, one, -one]) {
            let bounds = (i128::from(i64::MIN), i128::from(i64::MAX));
            let exact = (amount / billion).clamp(bounds.0, bounds.1);
            assert_eq!(
                i128::from(SimDuration::from_core_nanos(amount).as_nanos()),
                exact,
                "{amount}"
            );
        }
    }

    #[test]
    fn sums_and_differences_saturate() {
        let edges = [i64::MIN, i64::MIN + 1, -7, -1, 0, 1, 7, i64::MAX - 1, i64::MAX];
        for (one, other) in edges.iter().flat_map(|one| edges.map(|other| (*one, other))) {
            let (at, span) = (SimTime(one), SimDuration(other));
            assert_eq!((at + span).0, one.saturating_add(other));
            assert_eq!((at - span).0, one.saturating_sub(other));
            assert_eq!((at - SimTime(other)).0, one.saturating_sub(other));
            assert_eq!((SimDuration(one) + span).0, one.saturating_add(other));
            assert_eq!((SimDuration(one) - span).0, one.saturating_sub(other));
        }
    }

    #[test]
    fn timestamps_are_cut_towards_the_past() {
        assert_eq!(SimTime::from_secs_f64(63.4).floor_to_second(), SimTime::from_secs(63));
        assert_eq!(SimTime::from_secs_f64(-9.5).floor_to_second(), SimTime::from_secs(-10));
    }

    #[test]
    #[expect(clippy::cast_possible_truncation, reason = "all of them are whole and within range")]
    fn seconds_are_rounded_as_the_mathematical_library_does() {
        let mut seconds = 1e-10;
        while seconds < 9e9 {
            for seconds in [seconds, -seconds, libm::round(seconds * 1e9) / 1e9 + 0.5e-9] {
                let nanos = libm::round(seconds * 1e9) as i64;
                assert_eq!(SimDuration::from_secs_f64(seconds).as_nanos(), nanos, "{seconds}");
            }
            seconds *= 1.003;
        }
        for (seconds, nanos) in
            [(f64::NAN, 0), (f64::INFINITY, i64::MAX), (-1e300, i64::MIN), (-0.0, 0)]
        {
            assert_eq!(SimDuration::from_secs_f64(seconds).as_nanos(), nanos);
        }
    }

    #[test]
    fn display_is_a_clock_reading() {
        assert_eq!(SimTime::from_secs(3_725).to_string(), "01:02:05");
        assert_eq!(SimTime::from_secs_f64(-0.25).to_string(), "-00:00:00.250");
        assert_eq!(SimDuration::from_millis(250).to_string(), "0.25s");
        assert_eq!(SimDuration::from_secs(100).to_string(), "100s");
    }
}
