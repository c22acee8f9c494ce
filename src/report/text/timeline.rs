//! The run over time in the terminal: load, latency and replicas of each service, aligned on one
//! time axis.

use super::layout::{Align, Paint, Style, Table};
use crate::axis::{clock_label, time_ticks};
use crate::figures::{ABSENT, counted, latency, number, span};
use crate::milestone::Milestone;
use crate::model::{Report, ServiceReport, WorkloadReport};

/// Width of the time axis in characters.
const COLUMNS: usize = 60;

/// Maximum number of services shown, those that miss an objective first.
const SERVICES: usize = 3;

const LABEL_WIDTH: u16 = 14;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Aggregation of several intervals into one character.
#[derive(Clone, Copy)]
enum Fold {
    Mean,
    Largest,
    Smallest,
}

/// The chart; empty without services or for a run of zero length.
pub fn render(report: &Report, style: Style) -> Vec<String> {
    let duration_seconds = report.run.duration_ms as f64 / 1e3;
    let slots = slots(&report.interval_ends_seconds, duration_seconds);
    if report.services.is_empty() || slots.is_empty() {
        return Vec::new();
    }
    let title = match report.run.warm_up_ms {
        0 => "OVER TIME".to_owned(),
        ms => format!("OVER TIME  the first {} are the warm-up", span(ms as f64 / 1e3)),
    };
    let mut lines = vec![style.paint(Paint::Heading, &title)];
    lines.extend(marks(report, duration_seconds, style));
    lines.push(style.paint(Paint::Dim, &time_axis(duration_seconds)));
    let mut services: Vec<&ServiceReport> = report.services.iter().collect();
    let misses = |service: &ServiceReport| {
        let subject = format!("service {}", service.service);
        report.objectives.iter().any(|one| {
            let class = one.subject.strip_prefix(&subject);
            !one.met && class.is_some_and(|class| class.is_empty() || class.starts_with(' '))
        })
    };
    services.sort_by_key(|service| !misses(service));
    for service in services.iter().take(SERVICES) {
        let mut name = Table::new(&[Align::Left]);
        name.row([service.service.clone()]);
        lines.extend(name.lines().iter().map(|line| style.paint(Paint::Heading, line)));
        lines.extend(service_lines(service, &slots));
        for workload in report.workloads.iter().filter(|w| service.workloads.contains(&w.workload))
        {
            lines.extend(workload_lines(workload, &slots));
        }
    }
    if services.len() > SERVICES {
        let more = counted((services.len() - SERVICES) as u64, "service");
        lines.push(style.paint(Paint::Dim, &format!("  and {more} more: see --report")));
    }
    lines
}

fn service_lines(service: &ServiceReport, slots: &[Vec<usize>]) -> Vec<String> {
    let series = &service.series;
    let load = fold(&some(&series.arrived_rps), slots, Fold::Mean);
    let failed = fold(&some(&series.failed_rps), slots, Fold::Largest);
    let p95 = fold(&series.latency_p95_ms, slots, Fold::Largest);
    let rate = |rps: f64| format!("{}/s", number(rps));
    let mut lines = vec![line("requests", &load, rate)];
    if failed.iter().flatten().any(|&rps| rps > 0.0) {
        lines.push(line("failed", &failed, rate));
    }
    if !series.retried_rps.is_empty() {
        let retried = fold(&some(&series.retried_rps), slots, Fold::Largest);
        lines.push(line("retries", &retried, rate));
    }
    lines.push(line("p95", &p95, latency));
    lines
}

fn workload_lines(workload: &WorkloadReport, slots: &[Vec<usize>]) -> Vec<String> {
    let series = &workload.series;
    let desired = fold(&some(&series.desired), slots, Fold::Largest);
    let ready = fold(&some(&series.ready), slots, Fold::Smallest);
    let pending = fold(&some(&series.pending), slots, Fold::Largest);
    let mut lines = vec![line("replicas", &desired, number), line("ready pods", &ready, number)];
    if pending.iter().flatten().any(|&pods| pods > 0.0) {
        lines.push(line("pending pods", &pending, number));
    }
    lines
}

/// A label, the bars from zero to the maximum, and the range as text.
fn line(label: &str, values: &[Option<f64>], figure: impl Fn(f64) -> String) -> String {
    let present = || values.iter().copied().flatten();
    let smallest = present().min_by(f64::total_cmp);
    let largest = present().max_by(f64::total_cmp);
    let range = match (smallest, largest) {
        (Some(smallest), Some(largest)) => format!("{} .. {}", figure(smallest), figure(largest)),
        _ => ABSENT.to_owned(),
    };
    let bars: String = values.iter().map(|&value| bar(value, largest.unwrap_or(0.0))).collect();
    format!("  {label:<width$}{bars}  {range}", width = usize::from(LABEL_WIDTH))
}

/// Zero is a line at the bottom, a missing value is blank.
fn bar(value: Option<f64>, largest: f64) -> char {
    let Some(value) = value else { return ' ' };
    if value <= 0.0 || largest <= 0.0 {
        return '_';
    }
    let steps = BARS.len() as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of the largest value is 0..=1, its step at most the number of bars"
    )]
    let step = libm::ceil(value / largest * steps) as usize;
    BARS[step.clamp(1, BARS.len()) - 1]
}

/// The intervals covered by each character of the axis, at least one.
fn slots(interval_ends_seconds: &[f64], duration_seconds: f64) -> Vec<Vec<usize>> {
    if interval_ends_seconds.is_empty() || duration_seconds <= 0.0 {
        return Vec::new();
    }
    let width = duration_seconds / COLUMNS as f64;
    let slot = |column: usize| {
        let (from, to) = (column as f64 * width, (column + 1) as f64 * width);
        // Up to rounding, an end on a boundary belongs to the left.
        let ends_by = |instant: f64| {
            interval_ends_seconds.partition_point(|&end| end <= instant + width * 1e-6)
        };
        let (first, after) = (ends_by(from), ends_by(to));
        let first = first.min(interval_ends_seconds.len() - 1);
        (first..after.max(first + 1)).collect()
    };
    (0..COLUMNS).map(slot).collect()
}

fn fold(values: &[Option<f64>], slots: &[Vec<usize>], how: Fold) -> Vec<Option<f64>> {
    let one = |slot: &Vec<usize>| {
        let present: Vec<f64> = slot
            .iter()
            .filter_map(|&interval| values.get(interval).copied().flatten())
            .filter(|value| value.is_finite())
            .collect();
        match how {
            Fold::Mean => {
                (!present.is_empty()).then(|| present.iter().sum::<f64>() / present.len() as f64)
            }
            Fold::Largest => present.into_iter().max_by(f64::total_cmp),
            Fold::Smallest => present.into_iter().min_by(f64::total_cmp),
        }
    };
    slots.iter().map(one).collect()
}

fn some(values: &[f64]) -> Vec<Option<f64>> {
    values.iter().copied().map(Some).collect()
}

/// The labels of the axis, each at its instant.
fn time_axis(duration_seconds: f64) -> String {
    let (step, ticks) = time_ticks(duration_seconds, 7);
    place(ticks.iter().map(|&tick| (tick / duration_seconds, clock_label(tick, step))))
}

/// Letters at the times of faults and changes, and their legend.
fn marks(report: &Report, duration_seconds: f64, style: Style) -> Vec<String> {
    let letter = |milestone| match milestone {
        Milestone::NodeLost => Some('N'),
        Milestone::Change => Some('C'),
        Milestone::NodeJoined => Some('n'),
        _ => None,
    };
    let mut letters_at: Vec<(f64, char)> = report
        .log
        .iter()
        .filter_map(|entry| {
            let letter = letter(Milestone::of(entry)?)?;
            Some((entry.at_seconds / duration_seconds, letter))
        })
        .collect();
    // Several of one kind in one column are one letter.
    let column = |at: f64| libm::floor(at * COLUMNS as f64);
    letters_at.dedup_by(|one, before| one.1 == before.1 && column(one.0) <= column(before.0));
    if letters_at.is_empty() {
        return Vec::new();
    }
    let letters = place(letters_at.iter().map(|&(at, letter)| (at, letter.to_string())));
    let legend = "  C change, N node lost, n node joined";
    vec![style.paint(Paint::Dim, legend), style.paint(Paint::Warning, &letters)]
}

const AXIS_START: usize = 2 + LABEL_WIDTH as usize;
const AXIS_END: usize = AXIS_START + COLUMNS;

/// Places texts at fractions of the axis; overlapping ones move to the right as long as there is
/// room.
fn place(texts: impl Iterator<Item = (f64, String)>) -> String {
    let mut line = " ".repeat(AXIS_START);
    let mut used = AXIS_START;
    for (share, text) in texts {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of the axis is 0..=1"
        )]
        let column = AXIS_START + (share.clamp(0.0, 1.0) * COLUMNS as f64) as usize;
        let column = column.max(used);
        if column > AXIS_END {
            break;
        }
        line.push_str(&" ".repeat(column - used));
        line.push_str(&text);
        used = column + text.chars().count();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_character_covers_its_share_of_the_intervals() {
        let ends: Vec<f64> = (1..=240).map(|interval| f64::from(interval) * 15.0).collect();
        let slots = slots(&ends, 3_600.0);
        assert_eq!(slots.len(), COLUMNS);
        assert_eq!(slots[0], [0, 1, 2, 3]);
        assert_eq!(slots[59], [236, 237, 238, 239]);
    }

    #[test]
    fn few_intervals_are_stretched_over_the_axis() {
        let slots = slots(&[1_800.0, 3_600.0], 3_600.0);
        assert_eq!((slots[0].as_slice(), slots[59].as_slice()), (&[0][..], &[1][..]));
        assert!(slots.iter().all(|slot| slot.len() == 1));
    }

    #[test]
    fn bars_rise_from_nothing_to_the_largest() {
        let values = [None, Some(0.0), Some(0.1), Some(4.0), Some(8.0)];
        let drawn: String = values.iter().map(|&value| bar(value, 8.0)).collect();
        assert_eq!(drawn, " _▁▄█");
    }
}
