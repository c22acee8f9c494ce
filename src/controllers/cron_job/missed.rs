//! Missed scheduled times (`mostRecentScheduleTime` of `pkg/controller/cronjob/utils.go`, 1.36).

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use cluster::cron_schedule::Schedule;

/// Number of missed times above which a warning is emitted.
const MANY: i64 = 100;

/// The last scheduled time up to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MostRecent {
    /// The time; absent if none has passed.
    pub time: Option<Timestamp>,
    /// More than 100 were missed.
    pub are_many: bool,
    /// At least one was missed besides the last one.
    pub are_some: bool,
}

/// Finds the last scheduled time after `earliest` and not after `now`. The number of missed times is estimated from
/// the distance of the first two, as in the real controller; `Err` for a schedule that never fires.
pub(crate) fn most_recent(
    schedule: &Schedule,
    zone: &TimeZone,
    earliest: Timestamp,
    now: Timestamp,
) -> Result<MostRecent, &'static str> {
    let never = "the schedule has no time within five years";
    let first = schedule.next(earliest, zone).ok_or(never)?;
    let none = MostRecent { time: None, are_many: false, are_some: false };
    if now < first {
        return Ok(none);
    }
    let Some(second) = schedule.next(first, zone).filter(|second| *second <= now) else {
        return Ok(MostRecent { time: Some(first), ..none });
    };
    let period = second.as_second() - first.as_second();
    if period < 1 {
        return Err("time difference between two schedules is less than 1 second");
    }
    let missed = (now.as_second() - first.as_second()) / period + 1;
    let offset = SignedDuration::from_secs((missed - 2).saturating_mul(period));
    let nearly = first.checked_add(offset).unwrap_or(first);
    let mut time = None;
    let mut next = schedule.next(nearly, zone);
    while let Some(at) = next.filter(|at| *at <= now) {
        time = Some(at);
        next = schedule.next(at, zone);
    }
    Ok(MostRecent { time, are_many: missed > MANY, are_some: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_of_several_missed_times_counts() {
        let schedule = Schedule::parse("30 6-16/4 * * 1-5").unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let found = most_recent(
            &schedule,
            &TimeZone::UTC,
            at("2012-07-06T00:00:00Z"),
            at("2012-07-09T12:00:00Z"),
        );
        assert_eq!(found.unwrap().time, Some(at("2012-07-09T10:30:00Z")));
    }
}
