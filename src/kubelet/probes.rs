//! When probes change a container's state. Instead of an event for each probe, the instant of the next
//! result that matters is computed: an idle cluster costs nothing.
//!
//! Semantics: `pkg/kubelet/prober/worker.go` (1.36). The grid of a probe starts at the container's
//! start plus `initialDelaySeconds` and steps by `periodSeconds`.

use crate::cluster::pod_template::{Container, Probe};
use crate::engine::{SimDuration, SimTime};

/// The outcome of a container's probes, if the application answers from a given instant on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeOutcome {
    /// When the container becomes ready, if ever.
    pub ready_at: Option<SimTime>,
    /// When the startup or liveness probe has the container killed, if ever, and by which probe.
    pub killed_at: Option<(SimTime, KilledBy)>,
}

/// Which probe kills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KilledBy {
    /// The startup probe.
    Startup,
    /// The liveness probe.
    Liveness,
}

impl KilledBy {
    /// As the kubelet names it in its events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Liveness => "liveness",
        }
    }
}

/// What the probes of a container that started at `started` come to, if the application answers from
/// `answers_at` on (`None`: never).
///
/// ```
/// use wavetank::cluster::pod_template::{Container, Probe};
/// use wavetank::engine::{SimDuration, SimTime};
/// use wavetank::kubelet::probes::outcome;
///
/// let readiness = Probe {
///     initial_delay: SimDuration::from_secs(10),
///     period: SimDuration::from_secs(5),
///     timeout: SimDuration::from_secs(1),
///     success_threshold: 1,
///     failure_threshold: 3,
///     termination_grace_period: None,
/// };
/// let container = Container { readiness_probe: Some(readiness), ..Container::default() };
/// // Probes come at 10, 15, 20, ... s; the application answers at 12 s: ready at 15 s.
/// let outcome = outcome(&container, SimTime::ZERO, Some(SimTime::from_secs(12)));
/// assert_eq!(outcome.ready_at, Some(SimTime::from_secs(15)));
/// ```
pub fn outcome(
    container: &Container,
    started: SimTime,
    answers_at: Option<SimTime>,
) -> ProbeOutcome {
    let mut probing_from = started;
    if let Some(startup) = &container.startup_probe {
        let succeeds = success_at(startup, started, started, answers_at);
        let fails = failure_at(startup, started, started);
        if succeeds.is_none_or(|at| at > fails) {
            return ProbeOutcome { ready_at: None, killed_at: Some((fails, KilledBy::Startup)) };
        }
        probing_from = succeeds.unwrap_or(started);
    }
    let ready_at = match &container.readiness_probe {
        Some(readiness) => success_at(readiness, started, probing_from, answers_at),
        None => Some(probing_from),
    };
    let killed_at = container.liveness_probe.as_ref().and_then(|liveness| {
        let fails = failure_at(liveness, started, probing_from);
        answers_at.is_none_or(|at| at > fails).then_some((fails, KilledBy::Liveness))
    });
    // A container that is killed before it is ready never is.
    let ready_at = ready_at.filter(|ready| killed_at.is_none_or(|(kill, _)| kill > *ready));
    ProbeOutcome { ready_at, killed_at }
}

/// When `success_threshold` probes in a row have succeeded.
fn success_at(
    probe: &Probe,
    started: SimTime,
    probing_from: SimTime,
    answers_at: Option<SimTime>,
) -> Option<SimTime> {
    let first = grid_at_or_after(probe, started, answers_at?.max(probing_from));
    Some(first + probe.period * (i64::from(probe.success_threshold) - 1))
}

/// When `failure_threshold` probes in a row have failed, if the application does not answer.
fn failure_at(probe: &Probe, started: SimTime, probing_from: SimTime) -> SimTime {
    let first = grid_at_or_after(probe, started, probing_from);
    first + probe.period * (i64::from(probe.failure_threshold) - 1)
}

/// The first instant of the probe's grid that is not earlier than `at`.
fn grid_at_or_after(probe: &Probe, started: SimTime, at: SimTime) -> SimTime {
    let first = started + probe.initial_delay;
    let late = (at - first).max(SimDuration::ZERO).as_nanos();
    let period = probe.period.as_nanos().max(1);
    first + SimDuration::from_nanos(late + (period - late % period) % period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(initial_delay: i64, period: i64, failure_threshold: u32) -> Probe {
        Probe {
            initial_delay: SimDuration::from_secs(initial_delay),
            period: SimDuration::from_secs(period),
            timeout: SimDuration::from_secs(1),
            success_threshold: 1,
            failure_threshold,
            termination_grace_period: None,
        }
    }

    fn at(seconds: i64) -> SimTime {
        SimTime::from_secs(seconds)
    }

    #[test]
    fn without_probes_a_container_is_ready_when_it_runs() {
        let outcome = outcome(&Container::default(), at(7), None);
        assert_eq!(outcome, ProbeOutcome { ready_at: Some(at(7)), killed_at: None });
    }

    #[test]
    fn readiness_waits_for_the_first_probe_that_finds_the_application() {
        let container =
            Container { readiness_probe: Some(probe(10, 5, 3)), ..Container::default() };
        assert_eq!(outcome(&container, at(0), Some(at(2))).ready_at, Some(at(10)));
        assert_eq!(outcome(&container, at(0), Some(at(10))).ready_at, Some(at(10)));
        assert_eq!(outcome(&container, at(0), Some(at(11))).ready_at, Some(at(15)));
        assert_eq!(outcome(&container, at(0), None).ready_at, None);
    }

    #[test]
    fn a_slow_start_is_killed_by_liveness_unless_a_startup_probe_holds_it_back() {
        let liveness = Some(probe(10, 10, 3));
        let slow = Some(at(60));
        let bare = Container { liveness_probe: liveness, ..Container::default() };
        assert_eq!(
            outcome(&bare, at(0), slow).killed_at,
            Some((at(30), KilledBy::Liveness)),
            "probes at 10, 20, 30 fail"
        );
        let guarded = Container { startup_probe: Some(probe(0, 10, 30)), ..bare };
        assert_eq!(outcome(&guarded, at(0), slow).killed_at, None);
        assert_eq!(outcome(&guarded, at(0), slow).ready_at, Some(at(60)));
    }

    #[test]
    fn a_startup_probe_that_gives_up_kills() {
        let container = Container { startup_probe: Some(probe(0, 10, 3)), ..Container::default() };
        let outcome = outcome(&container, at(5), Some(at(60)));
        assert_eq!(outcome.killed_at, Some((at(25), KilledBy::Startup)));
        assert_eq!(outcome.ready_at, None);
    }
}
