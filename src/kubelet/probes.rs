//! Computes when probes change a container's state. While an application's answers are known in advance, the time of
//! the next relevant result is computed instead of an event per probe: an idle cluster costs nothing.
//!
//! Semantics: `pkg/kubelet/prober/worker.go` (1.36). Each probe has a worker that ticks once per period, starting
//! before the container does. A tick inside `initialDelaySeconds`, or before the startup probe has succeeded, sends
//! no probe. A sync of a pod that is not ready triggers its readiness probe at once and restarts the period.

use cluster::pod_template::Probe;
use engine::{SimDuration, SimTime};

/// The kinds of probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeKind {
    /// Holds back the other probes until it succeeds.
    Startup,
    /// Decides whether the pod gets traffic.
    Readiness,
    /// Restarts the container when it fails.
    Liveness,
}

impl ProbeKind {
    /// Name used in the kubelet's events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Readiness => "readiness",
            Self::Liveness => "liveness",
        }
    }
}

/// One probe of one running container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prober {
    /// No probe is sent before this time.
    from: SimTime,
    /// Time of the next probe.
    next: SimTime,
    /// Number of identical results in a row.
    run: u32,
    last_result: bool,
    /// The verdict of the results so far; absent = neither threshold reached yet.
    verdict: Option<bool>,
    /// The time and value of a result still in flight.
    answer: Option<(SimTime, bool)>,
}

impl Prober {
    /// A prober that ticks from `ticks_from` on, and probes at ticks from `from` on. The first verdict: readiness no,
    /// liveness yes, startup neither.
    ///
    /// ```
    /// use wavetank::cluster::pod_template::Probe;
    /// use wavetank::engine::{SimDuration, SimTime};
    /// use wavetank::kubelet::probes::{ProbeKind, Prober};
    ///
    /// let readiness = Probe {
    ///     initial_delay: SimDuration::from_secs(10),
    ///     period: SimDuration::from_secs(5),
    ///     timeout: SimDuration::from_secs(1),
    ///     success_threshold: 1,
    ///     failure_threshold: 3,
    ///     termination_grace_period: None,
    /// };
    /// // Probes come at 10, 15, 20, ... s; the application answers from 12 s on: ready at 15 s.
    /// let from = SimTime::from_secs(10);
    /// let mut prober = Prober::new(ProbeKind::Readiness, &readiness, SimTime::ZERO, from);
    /// prober.count_until(SimTime::from_secs(12), &readiness, false);
    /// assert_eq!(prober.next_change(&readiness, true), Some(SimTime::from_secs(15)));
    /// ```
    pub fn new(kind: ProbeKind, probe: &Probe, ticks_from: SimTime, from: SimTime) -> Self {
        let verdict = match kind {
            ProbeKind::Startup => None,
            ProbeKind::Readiness => Some(false),
            ProbeKind::Liveness => Some(true),
        };
        let next = tick(ticks_from, from, probe);
        Self { from, next, run: 0, last_result: false, verdict, answer: None }
    }

    /// A sync triggers the worker and restarts its period: it probes now, unless it is too early for probes or finds
    /// no container to probe.
    pub fn trigger(&mut self, now: SimTime, probe: &Probe, finds_container: bool) {
        let ticks_from = if finds_container { now } else { now + period_of(probe) };
        self.next = tick(ticks_from, self.from, probe);
    }

    /// The time at which the verdict changes if all results from now on are `result`; absent = it does not change.
    pub fn next_change(&self, probe: &Probe, result: bool) -> Option<SimTime> {
        if self.verdict == Some(result) {
            return None;
        }
        let so_far = if self.last_result == result { self.run } else { 0 };
        let missing = threshold(probe, result).saturating_sub(so_far).max(1);
        Some(self.next + period_of(probe) * (i64::from(missing) - 1))
    }

    /// Time of the next probe, or of the last one's result if that is still in flight.
    pub fn next_event(&self) -> SimTime {
        self.answer.map_or(self.next, |(at, _)| at)
    }

    /// Counts all probes before `until` as having this result, which must not change the verdict.
    pub(crate) fn count_until(&mut self, until: SimTime, probe: &Probe, result: bool) {
        let nanos = (until - self.next).as_nanos();
        if nanos <= 0 {
            return;
        }
        let period = period_of(probe);
        let probes = (nanos - 1) / period.as_nanos() + 1;
        self.next += period * probes;
        self.add(u32::try_from(probes).unwrap_or(u32::MAX), result);
    }

    /// Records the result of the probe due now; true if the verdict changed.
    pub fn probed(&mut self, probe: &Probe, result: bool) -> bool {
        self.next += period_of(probe);
        self.judge(probe, result)
    }

    /// The probe due now was sent; its result will be known at `at`. Probes due before then are skipped, as the
    /// kubelet's ticker drops them.
    pub fn sent(&mut self, probe: &Probe, at: SimTime, result: bool) {
        self.answer = Some((at, result));
        self.next += period_of(probe);
        if self.next < at {
            let late = (at - self.next).as_nanos();
            let period = period_of(probe);
            self.next += period * ((late - 1) / period.as_nanos() + 1);
        }
    }

    /// Brings forward the answer to the probe in flight.
    pub(crate) fn answers_at(&mut self, at: SimTime, result: bool) {
        if let Some(answer) = &mut self.answer {
            *answer = (at, result);
        }
    }

    /// Takes the result in flight if it is known by `now`; `Some(true)` if the verdict changed.
    pub fn answered(&mut self, now: SimTime, probe: &Probe) -> Option<bool> {
        let (_, result) = self.answer.take_if(|(at, _)| *at <= now)?;
        Some(self.judge(probe, result))
    }

    /// The verdict of the results so far; absent = neither threshold reached yet.
    pub const fn verdict(&self) -> Option<bool> {
        self.verdict
    }

    fn judge(&mut self, probe: &Probe, result: bool) -> bool {
        self.add(1, result);
        let changes = self.verdict != Some(result) && self.run >= threshold(probe, result);
        if changes {
            self.verdict = Some(result);
        }
        changes
    }

    const fn add(&mut self, probes: u32, result: bool) {
        self.run =
            if self.last_result == result { self.run.saturating_add(probes) } else { probes };
        self.last_result = result;
    }
}

/// The first tick not before `from`, counting ticks from `ticks_from`.
fn tick(ticks_from: SimTime, from: SimTime, probe: &Probe) -> SimTime {
    let late = (from - ticks_from).max(SimDuration::ZERO).as_nanos();
    let period = period_of(probe).as_nanos();
    ticks_from + SimDuration::from_nanos(late + (period - late % period) % period)
}

const fn threshold(probe: &Probe, result: bool) -> u32 {
    if result { probe.success_threshold } else { probe.failure_threshold }
}

/// The probe's period, at least one second as the API server enforces.
fn period_of(probe: &Probe) -> SimDuration {
    probe.period.max(SimDuration::from_secs(1))
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

    fn fresh(kind: ProbeKind, probe: &Probe) -> Prober {
        Prober::new(kind, probe, at(0), at(0) + probe.initial_delay)
    }

    #[test]
    fn readiness_waits_for_the_first_probe_that_finds_the_application() {
        let probe = probe(10, 5, 3);
        for (answers_at, ready_at) in [(2, 10), (10, 10), (11, 15)] {
            let mut prober = fresh(ProbeKind::Readiness, &probe);
            prober.count_until(at(answers_at), &probe, false);
            assert_eq!(prober.next_change(&probe, true), Some(at(ready_at)));
        }
        assert_eq!(fresh(ProbeKind::Readiness, &probe).next_change(&probe, false), None);
    }

    #[test]
    fn liveness_fails_at_its_third_probe_in_a_row() {
        let probe = probe(10, 10, 3);
        let mut prober = fresh(ProbeKind::Liveness, &probe);
        assert_eq!(prober.next_change(&probe, false), Some(at(30)), "probes at 10, 20, 30 fail");
        prober.count_until(at(25), &probe, false);
        prober.count_until(at(35), &probe, true);
        assert_eq!(prober.next_change(&probe, false), Some(at(60)), "a success starts it over");
    }

    #[test]
    fn a_startup_probe_has_its_failures_in_a_row_to_wait() {
        let probe = probe(0, 10, 5);
        let prober = fresh(ProbeKind::Startup, &probe);
        assert_eq!(prober.next_change(&probe, false), Some(at(40)));
        assert_eq!(prober.verdict(), None);
    }

    #[test]
    fn results_in_a_row_are_counted_one_by_one_as_well_as_in_bulk() {
        let probe = Probe { success_threshold: 3, ..probe(0, 5, 2) };
        let mut prober = fresh(ProbeKind::Readiness, &probe);
        for (result, changes) in [(true, false), (true, false), (true, true), (false, false)] {
            assert_eq!(prober.probed(&probe, result), changes);
        }
        assert_eq!(prober.next_change(&probe, false), Some(at(20)));
        assert!(prober.probed(&probe, false));
        assert_eq!(prober.verdict(), Some(false));
    }

    #[test]
    fn a_probe_without_an_answer_fails_at_its_time_out_and_the_ticks_meanwhile_are_dropped() {
        let probe = Probe { timeout: SimDuration::from_secs(7), ..probe(0, 5, 1) };
        let mut prober = fresh(ProbeKind::Liveness, &probe);
        prober.sent(&probe, at(7), false);
        assert_eq!(prober.next_event(), at(7));
        assert_eq!(prober.answered(at(6), &probe), None);
        assert_eq!(prober.answered(at(7), &probe), Some(true));
        assert_eq!(prober.next_event(), at(10));
    }
}
