//! Money that adds up exactly.

use std::borrow::Cow;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Sub};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use engine::SimDuration;

/// An amount of US dollars, exact to 10^-18 dollar: prices per hour times nanoseconds stay whole
/// numbers, so that a bill equals the sum of its lines to the last digit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money {
    atto_usd: i128,
}

const ATTO_PER_USD: i128 = 1_000_000_000_000_000_000;

/// A price in US dollars per hour, exact to 10^-6 dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HourlyPrice {
    micro_usd: i64,
}

impl Money {
    /// No money.
    pub const ZERO: Self = Self { atto_usd: 0 };

    /// An amount written as a decimal number of dollars, such as `0.0000000308`: exact. `None` for anything else, and for
    /// more than 18 decimals.
    ///
    /// ```
    /// # use wavetank::units::Money;
    /// let second = Money::from_decimal("0.000011244").unwrap();
    /// assert_eq!(second.share(90_000, 1).to_string(), "$1.01");
    /// assert_eq!(Money::from_decimal("-1"), None);
    /// ```
    pub fn from_decimal(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(decimals) || decimals.len() > 18 {
            return None;
        }
        let whole: i128 = whole.parse().ok()?;
        let parts: i128 = format!("{decimals:0<18}").parse().ok()?;
        Some(Self { atto_usd: whole.checked_mul(ATTO_PER_USD)?.checked_add(parts)? })
    }

    /// The amount rounded to whole cents, half a cent away from zero, as invoices print it.
    pub const fn cents(self) -> i128 {
        let cent = ATTO_PER_USD / 100;
        let half = if self.atto_usd < 0 { -cent / 2 } else { cent / 2 };
        (self.atto_usd + half) / cent
    }

    /// An amount given in 10^-18 dollars.
    pub const fn from_atto_usd(atto_usd: i128) -> Self {
        Self { atto_usd }
    }

    /// The amount in 10^-18 dollars, for exact ratios.
    pub const fn atto_usd(self) -> i128 {
        self.atto_usd
    }

    /// The amount in dollars, for display and ratios.
    pub fn as_usd(self) -> f64 {
        self.atto_usd as f64 / ATTO_PER_USD as f64
    }

    /// This amount times `numerator / denominator`, cut towards zero. Exact to 10^-18 dollar for
    /// denominators below 2^62; of larger ratios the first 62 bits count. The denominator must be
    /// above 0.
    pub fn share(self, numerator: i128, denominator: i128) -> Self {
        let excess_bits = (i128::BITS - denominator.leading_zeros()).saturating_sub(62);
        let (numerator, denominator) = (numerator >> excess_bits, denominator >> excess_bits);
        // Whole and remainder apart, of the ratio and of the amount, so that the product stays within the 128 bits.
        let (times, numerator) = (numerator / denominator, numerator % denominator);
        let (whole, rest) = (self.atto_usd / denominator, self.atto_usd % denominator);
        let of_rest = rest.saturating_mul(numerator) / denominator;
        let below_one = whole.saturating_mul(numerator).saturating_add(of_rest);
        Self { atto_usd: self.atto_usd.saturating_mul(times).saturating_add(below_one) }
    }
}

impl HourlyPrice {
    /// A price from a decimal number of dollars, rounded to a millionth.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "float to int casts saturate, which is meant"
    )]
    pub fn from_usd(usd_per_hour: f64) -> Self {
        Self { micro_usd: libm::round(usd_per_hour * 1e6) as i64 }
    }

    /// Dollars per hour, for display.
    pub fn as_usd(self) -> f64 {
        self.micro_usd as f64 / 1e6
    }

    /// Price times `span`, cut to 10^-18 dollar.
    pub fn over(self, span: SimDuration) -> Money {
        // micro-USD per hour = 10^12 atto-USD per 3600 * 10^9 ns
        let nanos = i128::from(span.as_nanos());
        Money { atto_usd: i128::from(self.micro_usd) * nanos * 1_000 / 3_600 }
    }
}

impl Add for HourlyPrice {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { micro_usd: self.micro_usd.saturating_add(other.micro_usd) }
    }
}

impl Mul<i64> for HourlyPrice {
    type Output = Self;
    fn mul(self, count: i64) -> Self {
        Self { micro_usd: self.micro_usd.saturating_mul(count) }
    }
}

impl Add for Money {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { atto_usd: self.atto_usd + other.atto_usd }
    }
}

impl Sub for Money {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { atto_usd: self.atto_usd - other.atto_usd }
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Money {
    /// Dollars and cents, with more decimals for amounts too small for cents.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usd = self.as_usd();
        let sign = if usd < 0.0 { "-" } else { "" };
        let usd = usd.abs();
        if usd != 0.0 && usd < 1.0 {
            write!(f, "{sign}${usd:.4}")
        } else {
            write!(f, "{sign}${usd:.2}")
        }
    }
}

impl fmt::Display for HourlyPrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${:.4}/h", self.as_usd())
    }
}

impl Serialize for Money {
    /// A number of dollars.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_usd())
    }
}

impl Serialize for HourlyPrice {
    /// A number of dollars per hour.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_usd())
    }
}

impl<'de> Deserialize<'de> for HourlyPrice {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(Self::from_usd)
    }
}

impl JsonSchema for HourlyPrice {
    fn schema_name() -> Cow<'static, str> {
        "HourlyPrice".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "description": "US dollars per hour." })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_of_300_gib_costs_a_years_worth_in_a_year() {
        // $0.10 for a GiB and month of 730 hours, in bytes and nanoseconds: a ratio of 3,600.
        let (gib, month) = (1_i128 << 30, 730 * 3_600 * 1_000_000_000);
        let price = Money::from_atto_usd(100_000_000_000_000_000);
        assert_eq!(price.share(300 * gib * 12 * month, gib * month).to_string(), "$360.00");
    }

    #[test]
    fn a_bill_equals_the_sum_of_its_lines() {
        let price = HourlyPrice::from_usd(0.0416);
        let whole = price.over(SimDuration::from_secs(86_400));
        let lines: Money = (0..86_400).map(|_| price.over(SimDuration::from_secs(1))).sum();
        // 41,600 micro-USD an hour is not a whole number of atto-USD a second: each line is cut.
        assert!((whole - lines).as_usd() < 1e-12);
        assert_eq!(price.over(SimDuration::from_secs(3_600)).to_string(), "$0.0416");
        assert_eq!(whole.to_string(), "$0.9984");
    }

    #[test]
    fn a_share_does_not_overflow() {
        let month = HourlyPrice::from_usd(100_000.0).over(SimDuration::from_secs(2_592_000));
        assert_eq!(month.share(i128::MAX, i128::MAX), month);
        assert_eq!(month.share(i128::MAX, 1), Money { atto_usd: i128::MAX });
        assert_eq!(month.share(1, 4) + month.share(3, 4), month);
    }
}
