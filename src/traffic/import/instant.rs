//! Points in time as written in files: seconds, milliseconds or nanoseconds since 1970 or since the
//! start, and dates.

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant {
    /// Since 1970, or since the start of the trace.
    pub nanos: i128,
    /// Whether it is relative to 1970.
    pub is_date: bool,
}

/// Larger numbers are not offsets from the start of a trace but seconds since 1970.
const EARLIEST_EPOCH_SECONDS: f64 = 1e9;
/// From these values on the unit is milliseconds, microseconds, nanoseconds: the year 5138 in the
/// previous unit.
const EPOCH_UNITS: [(f64, i128); 4] =
    [(1e11, 1_000_000_000), (1e14, 1_000_000), (1e17, 1_000), (1e20, 1)];

impl Instant {
    /// From a field of text: a number, or a date.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Ok(whole) = text.parse::<i128>()
            && (0..10_i128.pow(20)).contains(&whole)
        {
            return Ok(Self::from_whole(whole));
        }
        if let Ok(number) = text.parse::<f64>() {
            return Self::from_number(number).ok_or_else(|| {
                format!("{text} is not a time; write seconds of at least 0, or a time since 1970")
            });
        }
        Self::parse_date(text).ok_or_else(|| {
            format!(
                "{text:?} is not a time; write seconds such as 12.5, or a date such as 2023-11-16T18:15:46Z"
            )
        })
    }

    /// From a number: seconds from the start, or a time since 1970 in the unit implied by its
    /// magnitude.
    #[expect(clippy::cast_possible_truncation, reason = "below 10^20, as the table says")]
    pub(crate) fn from_number(number: f64) -> Option<Self> {
        if !number.is_finite() || number < 0.0 {
            return None;
        }
        let (_, unit) = EPOCH_UNITS.into_iter().find(|(limit, _)| number < *limit)?;
        // The integer part separately, so that a date keeps its nanoseconds.
        let fraction = (number.fract() * unit as f64).round() as i128;
        let nanos = number.trunc() as i128 * unit + fraction;
        Some(Self { nanos, is_date: number >= EARLIEST_EPOCH_SECONDS })
    }

    fn from_whole(number: i128) -> Self {
        let unit = EPOCH_UNITS.into_iter().find(|(limit, _)| (number as f64) < *limit);
        let unit = unit.map_or(1, |(_, unit)| unit);
        Self { nanos: number * unit, is_date: number as f64 >= EARLIEST_EPOCH_SECONDS }
    }

    /// From a date, in UTC if it has no time zone.
    fn parse_date(text: &str) -> Option<Self> {
        let timestamp = text
            .parse::<Timestamp>()
            .or_else(|_| text.parse::<DateTime>()?.to_zoned(TimeZone::UTC).map(|at| at.timestamp()))
            .ok()?;
        Some(Self::at(timestamp))
    }

    /// From a date in access-log format: `10/Oct/2000:13:55:36 -0700`.
    pub(crate) fn parse_log_date(text: &str) -> Option<Self> {
        let timestamp = strtime::parse("%d/%b/%Y:%H:%M:%S %z", text).ok()?.to_timestamp().ok()?;
        Some(Self::at(timestamp))
    }

    /// From a date.
    pub fn at(timestamp: Timestamp) -> Self {
        Self { nanos: timestamp.as_nanosecond(), is_date: true }
    }

    /// This many nanoseconds earlier, but not before the start.
    pub fn earlier(self, nanos: i128) -> Self {
        Self { nanos: (self.nanos - nanos).max(0), ..self }
    }

    /// The date, if it is one.
    pub fn date(self) -> Option<Timestamp> {
        let date = || Timestamp::from_nanosecond(self.nanos).ok();
        if self.is_date { date() } else { None }
    }
}

/// The date this long after another one.
pub(crate) fn date_after(start: Timestamp, nanos: i64) -> Option<Timestamp> {
    start.checked_add(SignedDuration::from_nanos(nanos)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_number_tells_its_unit() {
        let date = Instant { nanos: 1_700_000_000_250_000_000, is_date: true };
        for text in ["1700000000.25", "1700000000250", "1700000000250000", "1700000000250000000"] {
            assert_eq!(Instant::parse(text), Ok(date), "{text}");
        }
        assert_eq!(Instant::parse("12.5"), Ok(Instant { nanos: 12_500_000_000, is_date: false }));
        for text in ["-3", "NaN", "inf", "1e21", "soon", ""] {
            assert!(Instant::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn dates_are_read_with_and_without_a_zone() {
        let expected = Instant::parse("2023-11-16T18:15:46Z");
        assert!(expected.is_ok());
        for text in ["2023-11-16 18:15:46", "2023-11-16T20:15:46+02:00"] {
            assert_eq!(Instant::parse(text), expected, "{text}");
        }
        assert_eq!(Instant::parse_log_date("16/Nov/2023:20:15:46 +0200"), expected.ok());
        assert_eq!(Instant::parse_log_date("16/Nov/2023"), None);
    }
}
