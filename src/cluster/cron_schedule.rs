//! Cron schedules, parsed like `github.com/robfig/cron` v3 (`ParseStandard`), and their next activation
//! (`SpecSchedule.Next`), including daylight-saving changes.

use std::fmt;

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned, civil};

use super::meta::Name;
use engine::parse_duration;

/// Search horizon for the next activation, in years: `0 0 30 2 *` never fires.
const HORIZON_YEARS: i16 = 5;

/// A recurring schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The original text.
    text: Name,
    rule: Rule,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// Calendar fields.
    Fields(Box<Fields>),
    /// `@every`: a fixed number of seconds after the previous activation.
    Every(i64),
}

/// Matching values of each field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fields {
    minute: Values,
    hour: Values,
    day_of_month: Values,
    month: Values,
    day_of_week: Values,
}

/// Values of a field as a bit set; `is_star` if the field is unrestricted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Values {
    bits: u64,
    is_star: bool,
}

impl Values {
    const fn contains(self, value: i8) -> bool {
        self.bits >> value & 1 == 1
    }
}

/// A field's range, and the names of its values in ascending order.
struct Bounds {
    min: u8,
    max: u8,
    names: &'static [&'static str],
}

const MINUTES: Bounds = Bounds { min: 0, max: 59, names: &[] };
const HOURS: Bounds = Bounds { min: 0, max: 23, names: &[] };
const DAYS: Bounds = Bounds { min: 1, max: 31, names: &[] };
const MONTHS: Bounds = Bounds {
    min: 1,
    max: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAYS: Bounds =
    Bounds { min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

/// Descriptors and the equivalent fields.
const DESCRIPTORS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

impl Schedule {
    /// Parses a schedule: five fields, or a descriptor such as `@daily` or `@every 90m`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rule = match text.strip_prefix("@every ") {
            Some(delay) => {
                let delay = parse_duration(delay).map_err(|error| error.to_string())?;
                Rule::Every(delay.as_secs().max(1))
            }
            None => Rule::Fields(Box::new(fields(text)?)),
        };
        Ok(Self { text: text.into(), rule })
    }

    /// The first activation after `after` in a time zone; `None` if there is none within five years.
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match &self.rule {
            Rule::Every(seconds) => {
                Timestamp::from_second(after.as_second().checked_add(*seconds)?).ok()
            }
            Rule::Fields(fields) => fields.next(after, zone),
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Looks up a time zone by name in the built-in database.
pub fn time_zone(name: Option<&str>) -> Option<TimeZone> {
    match name {
        None => Some(TimeZone::UTC),
        Some(name) => jiff::tz::TimeZoneDatabase::bundled().get(name).ok(),
    }
}

impl Fields {
    /// Advances field by field from the largest to the smallest: a field that does not match is incremented with all
    /// smaller fields reset; on wrap-around the search restarts at the larger fields.
    fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let whole = Timestamp::from_second(after.as_second().checked_add(1)?).ok()?;
        let mut time = whole.to_zoned(zone.clone());
        let last_year = time.year().checked_add(HORIZON_YEARS)?;
        let mut is_moved = false;
        'again: while time.year() <= last_year {
            while !self.month.contains(time.month()) {
                if !std::mem::replace(&mut is_moved, true) {
                    time = at_wall_clock(time.date().first_of_month().at(0, 0, 0, 0), zone)?;
                }
                time = on_date(&time, first_of_next_month(&time, i64::from(time.day()) - 1)?)?;
                if time.month() == 1 {
                    continue 'again;
                }
            }
            while !self.matches_day(time.date()) {
                if !std::mem::replace(&mut is_moved, true) {
                    time = at_wall_clock(time.date().at(0, 0, 0, 0), zone)?;
                }
                time = on_date(&time, time.date().checked_add(1.day()).ok()?)?;
                // If midnight is skipped, the clock shows 23 or 1: move to a midnight, though not the skipped one.
                time = match i64::from(time.hour()) {
                    0 => time,
                    late @ 13.. => later(&time, (24 - late) * 3600)?,
                    early => later(&time, -early * 3600)?,
                };
                if time.day() == 1 {
                    continue 'again;
                }
            }
            while !self.hour.contains(time.hour()) {
                if !std::mem::replace(&mut is_moved, true) {
                    time = at_wall_clock(time.date().at(time.hour(), 0, 0, 0), zone)?;
                }
                time = later(&time, 3600)?;
                if time.hour() == 0 {
                    continue 'again;
                }
            }
            while !self.minute.contains(time.minute()) {
                if !std::mem::replace(&mut is_moved, true) {
                    time = later(&time, -i64::from(time.second()))?;
                }
                time = later(&time, 60)?;
                if time.minute() == 0 {
                    continue 'again;
                }
            }
            // All schedules fire at second 0.
            if time.second() != 0 {
                is_moved = true;
                time = later(&time, 60 - i64::from(time.second()))?;
                continue 'again;
            }
            return Some(time.timestamp());
        }
        None
    }

    /// Both day fields must match, unless both are restricted: then either suffices (`dayMatches`).
    fn matches_day(&self, date: civil::Date) -> bool {
        let by_month = self.day_of_month.contains(date.day());
        let by_week = self.day_of_week.contains(date.weekday().to_sunday_zero_offset());
        if self.day_of_month.is_star || self.day_of_week.is_star {
            by_month && by_week
        } else {
            by_month || by_week
        }
    }
}

/// Resolves a wall-clock time in a zone as Go's `time.Date` does: first apply the zone's offset at the time read as
/// UTC, then use the offset in force at the resulting instant. A time skipped by the clock resolves to (usually) an
/// hour before it west of Greenwich, and after it east of Greenwich.
fn at_wall_clock(shown: civil::DateTime, zone: &TimeZone) -> Option<Zoned> {
    let in_utc = TimeZone::UTC.to_timestamp(shown).ok()?;
    let minus = |offset: Offset| {
        in_utc.checked_sub(SignedDuration::from_secs(i64::from(offset.seconds()))).ok()
    };
    let guess = zone.to_offset(in_utc);
    let offset = if guess.is_zero() { guess } else { zone.to_offset(minus(guess)?) };
    Some(minus(offset)?.to_zoned(zone.clone()))
}

/// The same time of day on a later date (Go's `AddDate`).
fn on_date(time: &Zoned, date: civil::Date) -> Option<Zoned> {
    let zone = time.time_zone();
    let found = at_wall_clock(date.to_datetime(time.time()), zone)?;
    if found > *time {
        return Some(found);
    }
    // A zone that skips a whole calendar day would otherwise yield the same instant again, and the loop would not
    // end.
    zone.to_ambiguous_zoned(date.to_datetime(time.time())).compatible().ok()
}

/// `days` days after the first of the next month.
fn first_of_next_month(time: &Zoned, days: i64) -> Option<civil::Date> {
    time.date().first_of_month().checked_add(1.month()).ok()?.checked_add(days.days()).ok()
}

fn later(time: &Zoned, seconds: i64) -> Option<Zoned> {
    time.checked_add(SignedDuration::from_secs(seconds)).ok()
}

fn fields(text: &str) -> Result<Fields, String> {
    let text = match text.strip_prefix('@') {
        Some(_) => {
            let known = DESCRIPTORS.iter().find(|(name, _)| *name == text);
            known.ok_or_else(|| format!("unrecognized descriptor: {text}"))?.1
        }
        None => text,
    };
    let parts: Vec<&str> = text.split_whitespace().collect();
    let [minute, hour, day_of_month, month, day_of_week] = parts[..] else {
        return Err(format!("expected exactly 5 fields, found {}: [{text}]", parts.len()));
    };
    Ok(Fields {
        minute: values(minute, &MINUTES)?,
        hour: values(hour, &HOURS)?,
        day_of_month: values(day_of_month, &DAYS)?,
        month: values(month, &MONTHS)?,
        day_of_week: values(day_of_week, &WEEKDAYS)?,
    })
}

/// Parses a field: comma-separated ranges.
fn values(field: &str, bounds: &Bounds) -> Result<Values, String> {
    let mut all = Values::default();
    for part in field.split(',').filter(|part| !part.is_empty()) {
        let range = range(part, bounds)?;
        all.bits |= range.bits;
        all.is_star |= range.is_star;
    }
    if all.bits == 0 { Err(format!("empty field: {field}")) } else { Ok(all) }
}

/// `number | number-number [ / number ]`; `*` and `?` mean the whole range (`getRange`).
fn range(text: &str, bounds: &Bounds) -> Result<Values, String> {
    let mut sides = text.split('/');
    let (span, step) = (sides.next().unwrap_or_default(), sides.next());
    if sides.next().is_some() {
        return Err(format!("too many slashes: {text}"));
    }
    let mut is_star = false;
    let (start, mut end, is_single) = if matches!(span.split('-').next(), Some("*" | "?")) {
        // Anything after a star and a hyphen is ignored.
        is_star = true;
        (bounds.min, bounds.max, false)
    } else {
        let mut ends = span.split('-');
        let start = value(ends.next().unwrap_or_default(), bounds)?;
        let end = ends.next().map(|end| value(end, bounds)).transpose()?;
        if ends.next().is_some() {
            return Err(format!("too many hyphens: {text}"));
        }
        (start, end.unwrap_or(start), end.is_none())
    };
    let step = match step {
        None => 1,
        Some(step) => {
            let step: u8 =
                step.parse().map_err(|_| format!("failed to parse int from {step}: {text}"))?;
            if is_single {
                end = bounds.max;
            }
            if step > 1 {
                is_star = false;
            }
            step
        }
    };
    if start < bounds.min {
        return Err(format!("beginning of range ({start}) below minimum ({}): {text}", bounds.min));
    }
    if end > bounds.max {
        return Err(format!("end of range ({end}) above maximum ({}): {text}", bounds.max));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {text}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    let bits = (start..=end).step_by(step.into()).fold(0, |bits, value| bits | 1_u64 << value);
    Ok(Values { bits, is_star })
}

/// Parses a number or a name.
fn value(text: &str, bounds: &Bounds) -> Result<u8, String> {
    let lower = text.to_ascii_lowercase();
    let named = (bounds.min..).zip(bounds.names).find(|(_, name)| **name == lower);
    match named {
        Some((value, _)) => Ok(value),
        None => text.parse().map_err(|_| format!("failed to parse int from {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, zone: &str, after: &str) -> Option<String> {
        let schedule = Schedule::parse(schedule).unwrap();
        let zone = time_zone(Some(zone)).unwrap();
        let next = schedule.next(after.parse().unwrap(), &zone)?;
        Some(next.to_string())
    }

    #[test]
    fn the_next_time_comes_after_the_given_one() {
        for (schedule, after, expected) in [
            ("* * * * *", "2000-01-01T00:00:00Z", "2000-01-01T00:01:00Z"),
            ("*/15 * * * *", "2012-07-09T14:45:00Z", "2012-07-09T15:00:00Z"),
            ("20-35/15 * * * *", "2012-07-09T23:35:51Z", "2012-07-10T00:20:00Z"),
            ("30 6-16/4 * * 1-5", "2012-07-06T14:31:00Z", "2012-07-09T06:30:00Z"),
            ("0 0 29 feb *", "2013-01-01T00:00:00Z", "2016-02-29T00:00:00Z"),
            ("0 0 1,15 * MON", "2012-07-09T00:00:00Z", "2012-07-15T00:00:00Z"),
            ("@every 1h30m", "2012-07-09T14:45:00Z", "2012-07-09T16:15:00Z"),
            ("@monthly", "2012-12-09T14:45:00Z", "2013-01-01T00:00:00Z"),
        ] {
            assert_eq!(next(schedule, "UTC", after).as_deref(), Some(expected), "{schedule}");
        }
        assert_eq!(next("0 0 30 2 *", "UTC", "2012-07-09T14:45:00Z"), None);
    }

    #[test]
    fn an_hour_that_is_skipped_is_left_out_and_one_that_repeats_counts_twice() {
        let new_york = |schedule, after| next(schedule, "America/New_York", after);
        let skipped = new_york("30 2 11 mar ?", "2012-03-11T05:00:00Z").unwrap();
        assert_eq!(skipped, "2013-03-11T06:30:00Z");
        let once = new_york("30 1 4 nov ?", "2012-11-04T04:00:00Z").unwrap();
        assert_eq!(once, "2012-11-04T05:30:00Z");
        assert_eq!(new_york("30 1 4 nov ?", &once).unwrap(), "2012-11-04T06:30:00Z");
    }

    #[test]
    fn a_wrong_schedule_says_what_is_wrong() {
        for (schedule, expected) in [
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * * * 7", "end of range (7) above maximum (6): 7"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("@fortnightly", "unrecognized descriptor: @fortnightly"),
        ] {
            assert_eq!(Schedule::parse(schedule).unwrap_err(), expected);
        }
    }
}
