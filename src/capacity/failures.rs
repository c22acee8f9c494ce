//! Default machine failure rates: published rates, each with its source. `wavetank catalog --failures` lists them.

use std::sync::LazyLock;

use engine::SimDuration;

/// Rates as published: `data/failures.csv`.
const TEXT: &str = include_str!("data/failures.csv");

/// A published failure rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureRate {
    /// Description of the failure: `a GPU node`.
    pub failure: &'static str,
    /// The corresponding fault in a scenario's `faults`.
    pub fault: &'static str,
    /// The machines to which it applies.
    pub of: &'static str,
    /// Mean time between two failures of one machine.
    pub mean_time_between: SimDuration,
    /// Source of the rate.
    pub source: &'static str,
    /// Date of the source.
    pub date: &'static str,
}

/// All rates; the first one that applies to a machine is used.
pub fn rates() -> &'static [FailureRate] {
    static RATES: LazyLock<Vec<FailureRate>> = LazyLock::new(read);
    &RATES
}

fn read() -> Vec<FailureRate> {
    let lines = TEXT.lines().skip(1);
    let of = |line: &'static str| {
        let mut cells = line.split(',');
        let mut cell = || cells.next().unwrap_or_default();
        Some(FailureRate {
            failure: cell(),
            fault: cell(),
            of: cell(),
            mean_time_between: SimDuration::from_secs(cell().parse::<i64>().ok()? * 3_600),
            source: cell(),
            date: cell(),
        })
    };
    lines.filter_map(of).collect()
}

/// The failure rate of a machine.
pub fn rate_of(has_gpus: bool, is_spot: bool) -> Option<&'static FailureRate> {
    let of = match (has_gpus, is_spot) {
        (_, true) => "spot nodes",
        (true, false) => "nodes with GPUs",
        (false, false) => "other nodes",
    };
    rates().iter().find(|rate| rate.of == of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_8_gpu_node_fails_every_264_days() {
        // 54 days x 16,384 / 8 nodes / 419 interruptions = 263.9 days.
        let rate = rate_of(true, false).unwrap();
        let days = rate.mean_time_between.as_secs_f64() / 86_400.0;
        assert!((days - 54.0 * 2_048.0 / 419.0).abs() < 0.1, "{days}");
    }

    #[test]
    fn a_spot_node_fails_as_spot_nodes_do_whatever_it_has() {
        assert_eq!(rate_of(true, true), rate_of(false, true));
        assert_ne!(rate_of(true, true), rate_of(true, false));
    }

    #[test]
    fn every_line_is_read_with_a_source() {
        assert_eq!(rates().len(), TEXT.lines().count() - 1);
        assert!(rates().iter().all(|rate| !rate.source.is_empty() && !rate.date.is_empty()));
    }
}
