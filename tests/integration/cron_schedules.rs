//! Next times of cron schedules, around changes of the clock above all. What the rows are: the README beside
//! them.

use jiff::Timestamp;
use serde::Deserialize;
use wavetank::cluster::cron_schedule::{Schedule, time_zone};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Row {
    schedule: String,
    time_zone: String,
    after: Timestamp,
    next: Option<Timestamp>,
}

fn next(schedule: &str, zone: &str, after: Timestamp) -> Option<Timestamp> {
    let zone = time_zone(Some(zone)).expect("a known time zone");
    Schedule::parse(schedule).expect("a schedule").next(after, &zone)
}

#[test]
fn next_times_are_those_of_the_library_that_the_controller_asks() {
    let rows = include_str!("../golden/cron/next.jsonl");
    let mut wrong = Vec::new();
    for line in rows.lines() {
        let row: Row = serde_json::from_str(line).expect("a row");
        let ours = next(&row.schedule, &row.time_zone, row.after);
        if ours != row.next {
            wrong.push(format!("{line}: {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} rows differ\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(rows.lines().count(), 169);
}

/// The clock of Apia never showed 2011-12-30. Go's search does not come back from there; ours must.
#[test]
fn a_day_that_a_zone_leaves_out_holds_nothing_up() {
    let after = "2011-12-28T12:00:00Z".parse().expect("a time");
    let found = next("0 12 30,31 12 *", "Pacific/Apia", after);
    assert_eq!(found, Some("2011-12-30T22:00:00Z".parse().expect("a time")));
}
