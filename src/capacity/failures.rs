//! Default failure rates and repairs of machines, zones and pods, each with its source. `wavetank catalog failures` lists them.

use std::sync::LazyLock;

use engine::SimDuration;

/// Rates as published: `data/failures.csv`.
const TEXT: &str = include_str!("data/failures.csv");

/// A failure rate and its repair time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FailureRate {
    /// Description of the failure: `a GPU node`.
    pub failure: &'static str,
    /// The corresponding fault in a scenario's `faults`.
    pub fault: &'static str,
    /// Class of objects that fail at this rate.
    pub of: &'static str,
    /// Mean time between two failures of one machine, zone or pod.
    pub mean_time_between: SimDuration,
    /// Source of the rate.
    pub source: &'static str,
    /// Date of the source.
    pub date: &'static str,
    /// Mean time to repair; zero if the cluster itself restarts what failed.
    pub mean_time_to_repair: SimDuration,
    /// Coefficient of variation of the time to repair: 1 for an exponential distribution, else a lognormal one.
    pub repair_cv: f64,
    /// Probability that each other spot machine of the same type and zone is reclaimed with it, 0 to 1.
    pub together: f64,
    /// Source of the repair time.
    pub repair_source: &'static str,
}

/// A class of objects that fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Machines with GPUs.
    GpuNodes,
    /// Spot machines, whatever they have.
    SpotNodes,
    /// All other machines.
    OtherNodes,
    /// Zones of a cloud.
    Zones,
    /// Pods.
    Pods,
}

impl Of {
    /// The kind of a machine.
    pub const fn machine(has_gpus: bool, is_spot: bool) -> Self {
        match (has_gpus, is_spot) {
            (_, true) => Self::SpotNodes,
            (true, false) => Self::GpuNodes,
            (false, false) => Self::OtherNodes,
        }
    }

    /// Its name in the data.
    const fn as_str(self) -> &'static str {
        match self {
            Self::GpuNodes => "nodes with GPUs",
            Self::SpotNodes => "spot nodes",
            Self::OtherNodes => "other nodes",
            Self::Zones => "zones",
            Self::Pods => "pods",
        }
    }
}

/// All rates.
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
            mean_time_to_repair: SimDuration::from_secs(cell().parse::<i64>().ok()? * 60),
            repair_cv: cell().parse().ok()?,
            together: cell().parse().ok()?,
            repair_source: cell(),
        })
    };
    lines.filter_map(of).collect()
}

/// The failure rate of one of them.
pub fn rate_of(of: Of) -> &'static FailureRate {
    let rate = rates().iter().find(|rate| rate.of == of.as_str());
    rate.expect("the data has a row for each")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_8_gpu_node_fails_every_264_days() {
        // 54 days x 16,384 / 8 nodes / 419 interruptions = 263.9 days.
        let rate = rate_of(Of::GpuNodes);
        let days = rate.mean_time_between.as_secs_f64() / 86_400.0;
        assert!((days - 54.0 * 2_048.0 / 419.0).abs() < 0.1, "{days}");
    }

    #[test]
    fn a_spot_machine_fails_as_spot_machines_do_whatever_it_has() {
        assert_eq!(Of::machine(true, true), Of::SpotNodes);
        assert_eq!(Of::machine(false, true), Of::SpotNodes);
        assert_eq!(Of::machine(true, false), Of::GpuNodes);
    }

    #[test]
    fn every_row_is_read_with_its_sources_and_all_that_fails_has_one() {
        assert_eq!(rates().len(), TEXT.lines().count() - 1);
        for of in [Of::GpuNodes, Of::SpotNodes, Of::OtherNodes, Of::Zones, Of::Pods] {
            let rate = rate_of(of);
            assert!(![rate.source, rate.date, rate.repair_source].contains(&""), "{of:?}");
        }
        assert_eq!(rate_of(Of::OtherNodes).mean_time_to_repair, SimDuration::from_secs(900));
    }
}
