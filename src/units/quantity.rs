//! Kubernetes quantities (`250m`, `1.5Gi`, `1e3`): parse, round and print exactly.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Nano-units in one unit: the finest step that a quantity keeps.
const NANO: i128 = 1_000_000_000;
/// Kubernetes caps every quantity at 2^63 - 1 units.
const MAX_UNITS: i128 = i64::MAX as i128;

/// A Kubernetes `resource.Quantity`: an exact number of nano-units and the family of its suffix.
///
/// Semantics: apimachinery `pkg/api/resource/quantity.go` (1.36): anything finer than a nano is
/// rounded away from zero, anything beyond 2^63 - 1 units is capped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

/// The family of suffixes in which a quantity was written, and is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// `n u m k M G T P E`.
    #[default]
    DecimalSi,
    /// `Ki Mi Gi Ti Pi Ei`.
    BinarySi,
    /// `e3`, `e6`, ...
    DecimalExponent,
}

/// Why a text is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantityError {
    text: String,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a quantity; write a number with at most one of the suffixes n u m k M G T P E \
             Ki Mi Gi Ti Pi Ei, such as 250m, 1.5Gi or 1e3",
            self.text
        )
    }
}

impl std::error::Error for QuantityError {}

impl Quantity {
    /// A quantity of whole units, printed with decimal suffixes.
    pub const fn from_units(units: i64) -> Self {
        Self { nanos: units as i128 * NANO, format: Format::DecimalSi }
    }

    /// A quantity of thousandths, printed with decimal suffixes.
    pub const fn from_milli(milli: i64) -> Self {
        Self { nanos: milli as i128 * (NANO / 1000), format: Format::DecimalSi }
    }

    /// The same amount, printed with other suffixes.
    pub const fn with_format(self, format: Format) -> Self {
        Self { format, ..self }
    }

    /// A quantity of whole bytes, printed with binary suffixes.
    pub const fn from_bytes(bytes: i64) -> Self {
        Self { nanos: bytes as i128 * NANO, format: Format::BinarySi }
    }

    /// A quantity of nano-units, printed with decimal suffixes.
    pub const fn from_nanos(nanos: i128) -> Self {
        Self { nanos, format: Format::DecimalSi }
    }

    /// The exact value in nano-units.
    pub const fn nanos(self) -> i128 {
        self.nanos
    }

    /// The family of its suffix.
    pub const fn format(self) -> Format {
        self.format
    }

    /// Whole units, rounded away from zero (`Quantity.Value`).
    pub fn value(self) -> i64 {
        self.rounded_up(NANO)
    }

    /// Thousandths, rounded away from zero and capped (`Quantity.MilliValue`).
    pub fn milli_value(self) -> i64 {
        self.rounded_up(NANO / 1000)
    }

    /// Whether the quantity is below zero.
    pub const fn is_negative(self) -> bool {
        self.nanos < 0
    }

    fn rounded_up(self, step: i128) -> i64 {
        let magnitude = (self.nanos.abs() + step - 1) / step;
        let magnitude = i64::try_from(magnitude).unwrap_or(i64::MAX);
        if self.nanos < 0 { -magnitude } else { magnitude }
    }
}

impl std::ops::Add for Quantity {
    type Output = Self;
    /// The sum, capped, with the suffixes of `self`, or of `other` if `self` is zero (`Quantity.Add`).
    fn add(self, other: Self) -> Self {
        let cap = MAX_UNITS * NANO;
        let format = if self.nanos == 0 { other.format } else { self.format };
        Self { nanos: (self.nanos + other.nanos).clamp(-cap, cap), format }
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.nanos, self.format as u8).cmp(&(other.nanos, other.format as u8))
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        parse(text).ok_or_else(|| QuantityError { text: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<Quantity> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let number_len = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, suffix) = rest.split_at(number_len);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || fraction.contains('.') {
        return None;
    }
    let (scale, format) = parse_suffix(suffix)?;
    let magnitude = scaled_nanos(whole, fraction, scale);
    Some(Quantity { nanos: if negative { -magnitude } else { magnitude }, format })
}

/// Nano-units in one unit of a suffix.
#[derive(Clone, Copy)]
enum Scale {
    PowerOfTen(i32),
    PowerOfTwo(u32),
}

fn parse_suffix(suffix: &str) -> Option<(Scale, Format)> {
    let decimal = |power| Some((Scale::PowerOfTen(power), Format::DecimalSi));
    let binary = |power| Some((Scale::PowerOfTwo(power), Format::BinarySi));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            let power: i64 = exponent.parse().ok()?;
            let power = i32::try_from(power.clamp(-1000, 1000)).ok()?;
            Some((Scale::PowerOfTen(power), Format::DecimalExponent))
        }
    }
}

/// `whole.fraction` times the scale, in nano-units, rounded up and capped. Exact for up to 36 significant digits;
/// further digits can only round up.
fn scaled_nanos(whole: &str, fraction: &str, scale: Scale) -> i128 {
    const KEPT_DIGITS: usize = 36;
    let cap = MAX_UNITS * NANO;
    let (power_of_ten, shift) = match scale {
        Scale::PowerOfTen(power) => (i64::from(power), 0),
        Scale::PowerOfTwo(shift) => (0, shift),
    };
    let length = |digits: &str| i64::try_from(digits.len()).unwrap_or(i64::MAX);
    // The result is `value * 10^exponent`, and a bit more if anything was `cut`.
    let mut exponent = power_of_ten + 9 - length(fraction);
    let mut value: i128 = 0;
    let mut cut = false;
    let digits: Vec<u8> =
        whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').skip_while(|d| *d == 0).collect();
    for (position, digit) in digits.into_iter().enumerate() {
        if position < KEPT_DIGITS {
            value = value * 10 + i128::from(digit);
        } else {
            cut |= digit != 0;
            exponent += 1;
        }
    }
    for _ in 0..shift {
        if value > i128::MAX / 2 {
            cut |= value % 10 != 0;
            value /= 10;
            exponent += 1;
        }
        value *= 2;
    }
    while exponent > 0 && value > 0 {
        if value > cap {
            return cap;
        }
        value *= 10;
        exponent -= 1;
    }
    while exponent < 0 && value > 0 {
        cut |= value % 10 != 0;
        value /= 10;
        exponent += 1;
    }
    (value + i128::from(cut)).min(cap)
}

impl fmt::Display for Quantity {
    /// The canonical form: no fraction, the largest suffix that allows that.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
        const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
        let units = self.nanos / NANO;
        if self.format == Format::BinarySi && self.nanos % NANO == 0 && units.abs() >= 1024 {
            let (mut value, mut suffix) = (units, 0);
            while value % 1024 == 0 && suffix + 1 < BINARY.len() {
                value /= 1024;
                suffix += 1;
            }
            return write!(f, "{value}{}", BINARY[suffix]);
        }
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let (mut value, mut suffix) = (self.nanos, 0usize);
        while value % 1000 == 0 && suffix + 1 < DECIMAL.len() {
            value /= 1000;
            suffix += 1;
        }
        if self.format == Format::DecimalExponent && suffix != 3 {
            let power = (i32::try_from(suffix).unwrap_or(0) - 3) * 3;
            return write!(f, "{value}e{power}");
        }
        write!(f, "{value}{}", DECIMAL[suffix])
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    /// Takes a string or, as the API server does, a bare number.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Quantity;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity such as 250m or 1.5Gi")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Quantity, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_i64<E: serde::de::Error>(self, units: i64) -> Result<Quantity, E> {
                Ok(Quantity::from_units(units))
            }
            fn visit_u64<E: serde::de::Error>(self, units: u64) -> Result<Quantity, E> {
                Ok(Quantity::from_units(i64::try_from(units).unwrap_or(i64::MAX)))
            }
            fn visit_f64<E: serde::de::Error>(self, units: f64) -> Result<Quantity, E> {
                units.to_string().parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A Kubernetes quantity, such as 4, 250m, 64Gi or 1.5G.",
            "anyOf": [
                {
                    "type": "string",
                    "pattern": "^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$"
                },
                { "type": "number" }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quantity(text: &str) -> Quantity {
        text.parse().expect("a valid quantity")
    }

    #[test]
    fn every_suffix_has_its_worth() {
        for (text, nanos) in [
            ("1n", 1),
            ("1u", 1_000),
            ("100m", 100_000_000),
            ("1", 1_000_000_000),
            ("1.5Gi", 1_610_612_736_000_000_000),
            ("1E", 1_000_000_000_000_000_000_000_000_000),
            ("1Ei", 1_152_921_504_606_846_976_000_000_000),
            ("1E3", 1_000_000_000_000),
            ("1e-3", 1_000_000),
            ("+5", 5_000_000_000),
            ("-.5", -500_000_000),
            ("5.", 5_000_000_000),
        ] {
            assert_eq!(quantity(text).nanos(), nanos, "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in [
            "", "1.5.2Gi", "1K", "1mi", "1 Gi", "Gi", "e3", "1e", "--1", "0x10", "1Gi ", ".", "1e+",
        ] {
            assert!(text.parse::<Quantity>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_finer_than_a_nano_is_rounded_up_and_what_is_too_large_is_capped() {
        assert_eq!(quantity("0.1n").nanos(), 1);
        assert_eq!(quantity("1.0000000001").nanos(), 1_000_000_001);
        assert_eq!(quantity("100u").milli_value(), 1);
        assert_eq!(quantity("1m").value(), 1);
        assert_eq!(quantity("-1m").value(), -1);
        assert_eq!(quantity("100E").value(), i64::MAX);
        assert_eq!(quantity("1e999").value(), i64::MAX);
        assert_eq!(quantity(&"9".repeat(5_000)).value(), i64::MAX);
        assert_eq!(quantity(&format!("0.{}1", "0".repeat(5_000))).nanos(), 1);
        assert_eq!(quantity("0.000000000000000000001Ei").nanos(), 1_152_922);
    }

    #[test]
    fn printing_is_canonical() {
        for (text, canonical) in [
            ("1024Mi", "1Gi"),
            ("1500m", "1500m"),
            ("2000m", "2"),
            ("1.5Gi", "1536Mi"),
            ("0.5", "500m"),
            ("1000Ki", "1000Ki"),
            ("512", "512"),
            ("1e3", "1e3"),
            ("100000k", "100M"),
            ("0", "0"),
        ] {
            assert_eq!(quantity(text).to_string(), canonical, "{text}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_parsing_give_the_value_back(nanos in -1_000_000_000_000_000_000_000i128..1_000_000_000_000_000_000_000i128, binary: bool) {
            let format = if binary { Format::BinarySi } else { Format::DecimalSi };
            let original = Quantity { nanos, format };
            prop_assert_eq!(quantity(&original.to_string()).nanos(), nanos);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[-+0-9.eEnumkMGTPi]{0,60}") {
            let _ = text.parse::<Quantity>();
        }
    }
}
