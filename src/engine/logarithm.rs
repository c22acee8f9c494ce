//! The natural logarithm of random numbers, in a third of the time of `libm`'s, the same on every machine.

/// Number of bits in a table index.
const TABLE_BITS: u32 = 7;
const CELLS: usize = 1 << TABLE_BITS;
/// Numbers are scaled to between this (about 0.7) and its double, so that 1 is inside.
const LOWEST: u64 = 0x3fe6_9009_0000_0000;

/// For each cell one over a number in it, and the logarithm of that number.
static TABLE: [(f64, f64); CELLS] = {
    let mut table = [(1.0, 0.0); CELLS];
    let mut cell = 0;
    while cell < CELLS {
        let begin = LOWEST + ((cell as u64) << (52 - TABLE_BITS));
        let (begin, end) =
            (f64::from_bits(begin), f64::from_bits(begin + (1 << (52 - TABLE_BITS))));
        // Near 1 the logarithm is close to zero, and must not be computed as the difference of two numbers.
        let is_near_one = (begin <= 1.0 && 1.0 <= end) || (end - 1.0).abs() < 0.01;
        if !is_near_one {
            let inverse = 2.0 / (begin + end);
            table[cell] = (inverse, -ln_near_one(inverse));
        }
        cell += 1;
    }
    table
};

/// The logarithm of a number between 0.7 and 1.5 as `libm` works it out (its `log.c` is that of FreeBSD,
/// by Sun Microsystems), so that the compiler can.
const fn ln_near_one(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 7] = [
        6.666_666_666_666_735e-1,
        3.999_999_999_940_942e-1,
        2.857_142_874_366_239e-1,
        2.222_219_843_214_978_4e-1,
        1.818_357_216_161_805e-1,
        1.531_383_769_920_937_3e-1,
        1.479_819_860_511_658_6e-1,
    ];
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let [one, two, three, four, five, six, seven] = COEFFICIENTS;
    // Above the root of two it is that of the half and of two, in two parts.
    let (near, doublings) = if x > std::f64::consts::SQRT_2 { (0.5 * x, 1.0) } else { (x, 0.0) };
    let f = near - 1.0;
    let half_square = 0.5 * f * f;
    let ratio = f / (2.0 + f);
    let square = ratio * ratio;
    let fourth = square * square;
    let even = fourth * (two + fourth * (four + fourth * six));
    let odd = square * (one + fourth * (three + fourth * (five + fourth * seven)));
    ratio * (half_square + (odd + even)) + doublings * LN_2_LOW - half_square
        + f
        + doublings * LN_2_HIGH
}

/// The natural logarithm of a positive, finite, normal number, with an error of at most 10^-15, relative or absolute,
/// whichever is larger.
///
/// A table gives a nearby number and its logarithm, a polynomial the rest (Tang 1990).
#[inline]
pub fn ln(x: f64) -> f64 {
    const SIXTH: f64 = 1.0 / 6.0;
    const SEVENTH: f64 = 1.0 / 7.0;
    let above = x.to_bits().wrapping_sub(LOWEST);
    let cell = (above >> (52 - TABLE_BITS)) as usize % CELLS;
    // In 32 bits, since x86-64 baseline processors can shift signed integers and convert them to floats two at a
    // time.
    let exponent = (above >> 32) as i32 >> 20;
    let near = f64::from_bits(x.to_bits().wrapping_sub(above & (0xfff << 52)));
    let (inverse, known) = TABLE[cell];
    let r = near * inverse - 1.0;
    let square = r * r;
    let high = 0.2 - r * SIXTH + square * SEVENTH;
    let rest = square * (-0.5 + r * (1.0 / 3.0) + square * (-0.25 + r * high));
    f64::from(exponent) * std::f64::consts::LN_2 + (known + (r + rest))
}

/// Replaces each number by its logarithm, as computed by [`ln`], times a factor.
///
/// The compiler vectorizes this by two, since it can see within this module that the table is never written.
#[inline(never)]
pub fn times_ln_each(factor: f64, numbers: &mut [f64]) {
    for number in numbers {
        *number = factor * ln(*number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_logarithms_of_the_mathematical_library() {
        for (inverse, known) in TABLE {
            assert_eq!(known.to_bits(), (0.0 - libm::log(inverse)).to_bits(), "{inverse}");
        }
    }

    #[test]
    fn many_logarithms_are_those_of_each() {
        let numbers: Vec<f64> = (1..1_000).map(|n| f64::from(n) * 0.001).collect();
        for count in [0, 1, 2, 7, 999] {
            let mut many = numbers[..count].to_vec();
            times_ln_each(-3.0, &mut many);
            for (ours, number) in many.iter().zip(&numbers) {
                assert_eq!(ours.to_bits(), (-3.0 * ln(*number)).to_bits(), "{number}");
            }
        }
    }

    #[test]
    fn it_is_the_logarithm_to_fifteen_digits() {
        let mut x = 1e-16;
        while x < 50.0 {
            let (ours, theirs) = (ln(x), libm::log(x));
            assert!((ours - theirs).abs() <= 1e-15 * theirs.abs().max(1.0), "{x}: {ours} {theirs}");
            x *= 1.000_037;
        }
        for ulps in 0..2_000u64 {
            for x in [f64::from_bits(1f64.to_bits() + ulps), f64::from_bits(1f64.to_bits() - ulps)]
            {
                assert!((ln(x) - libm::log(x)).abs() < 1e-27, "{x}");
            }
        }
    }
}
