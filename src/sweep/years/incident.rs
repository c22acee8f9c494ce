//! Incidents: a failure, and those that come before its consequences are over.
//!
//! Failures of all kinds together are a Poisson process. Each keeps the cluster busy until it is repaired and what it
//! moved has settled; failures that meet are one incident. Between incidents the cluster is at rest, so that a year is
//! a sequence of rests, which are exponential, and independent incidents.

use engine::random::{Exponential, open_unit};
use engine::{SimDuration, Stream};
use faults::FaultKind;
use rand_distr::Distribution;

use super::failures::Process;

/// Time after a repair until its consequences are over: pods are bound, started and warm, and the back-off of restarts
/// is forgotten, which takes a container ten minutes.
const SETTLING: SimDuration = SimDuration::from_secs(600);

/// Notice for a randomly reclaimed spot machine, as on AWS.
const SPOT_NOTICE: SimDuration = SimDuration::from_secs(120);

/// Failures after which an incident counts as over: where so many meet, there is no rest between them.
const STRIKES_MAX: usize = 50;

/// Incidents drawn in search of one of a rare kind.
const DRAWS: usize = 200_000;

/// A failure of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Strike {
    /// Time since the incident began.
    pub after: SimDuration,
    /// Position of its kind among the processes.
    pub process: usize,
    /// Time to repair.
    pub repair: SimDuration,
}

/// Failures that meet, or a single one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Incident {
    /// In order of time; the first one begins it.
    pub strikes: Vec<Strike>,
    /// Time from its beginning until the cluster is at rest.
    pub span: SimDuration,
}

/// All kinds of failure and how often they come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failures<'a> {
    pub processes: &'a [Process],
    /// Length of a year.
    pub year: SimDuration,
}

impl Failures<'_> {
    /// The kinds of incident: one for each kind of failure by itself, and one for failures that meet.
    pub fn kinds(&self) -> usize {
        self.processes.len() + 1
    }

    /// The kind of an incident.
    pub fn kind(&self, incident: &Incident) -> usize {
        match incident.strikes[..] {
            [Strike { process, .. }] => process,
            _ => self.processes.len(),
        }
    }

    /// Failures of all kinds in a year.
    pub fn per_year(&self) -> f64 {
        self.processes.iter().map(|process| process.per_year).sum()
    }

    /// The rest until the next failure.
    pub fn rest(&self, stream: &mut Stream) -> SimDuration {
        let mean = self.year.as_secs_f64() / self.per_year().max(f64::MIN_POSITIVE);
        SimDuration::from_secs_f64(Exponential { mean }.sample(stream))
    }

    /// Draws an incident, as they come.
    pub(crate) fn incident(&self, stream: &mut Stream) -> Incident {
        let mut incident = Incident { strikes: Vec::new(), span: SimDuration::ZERO };
        let mut after = SimDuration::ZERO;
        loop {
            let strike = self.strike(after, stream);
            let fault = &self.processes[strike.process].fault;
            let notice = match fault.fault {
                FaultKind::ReclaimSpot => SPOT_NOTICE,
                _ => SimDuration::ZERO,
            };
            incident.strikes.push(strike);
            incident.span = incident.span.max(after + notice + strike.repair + SETTLING);
            after += self.rest(stream);
            if after >= incident.span || incident.strikes.len() >= STRIKES_MAX {
                return incident;
            }
        }
    }

    /// Draws an incident of this kind; absent if it is too rare to be met.
    pub(crate) fn incident_of(&self, kind: usize, stream: &mut Stream) -> Option<Incident> {
        let mut incidents = (0..DRAWS).map(|_| self.incident(stream));
        incidents.find(|incident| self.kind(incident) == kind)
    }

    /// Draws an incident that begins with this kind of failure; absent if it is too rare to be met.
    pub(crate) fn incident_beginning_with(
        &self,
        process: usize,
        stream: &mut Stream,
    ) -> Option<Incident> {
        let mut incidents = (0..DRAWS).map(|_| self.incident(stream));
        let begins = |incident: &Incident| incident.strikes.first().map(|one| one.process);
        incidents.find(|incident| begins(incident) == Some(process))
    }

    fn strike(&self, after: SimDuration, stream: &mut Stream) -> Strike {
        let mut drawn = open_unit(stream) * self.per_year();
        let process = self.processes.iter().position(|process| {
            drawn -= process.per_year;
            drawn < 0.0
        });
        let process = process.unwrap_or(self.processes.len() - 1);
        let fault = &self.processes[process].fault;
        let repair =
            if fault.is_repaired() { fault.draw_repair(stream) } else { SimDuration::ZERO };
        Strike { after, process, repair }
    }
}

#[cfg(test)]
mod tests {
    use super::super::failures::tests::process;
    use super::*;
    use engine::Streams;

    const YEAR: SimDuration = SimDuration::from_secs(365 * 86_400);

    #[test]
    fn failures_meet_as_often_as_a_poisson_process_brings_them_together() {
        // 1,000 a year of kinds of 1 to 3, each without a repair, so that each keeps the cluster busy for ten minutes.
        let processes = [process(250.0, 0), process(750.0, 0)];
        let failures = Failures { processes: &processes, year: YEAR };
        let mut stream = Streams::new(1).stream("test", 0);
        let incidents: Vec<Incident> =
            (0..40_000).map(|_| failures.incident(&mut stream)).collect();
        let share = |kind: usize| {
            let of_kind = incidents.iter().filter(|one| failures.kind(one) == kind).count();
            of_kind as f64 / 40_000.0
        };
        let alone = libm::exp(-1_000.0 * 600.0 / YEAR.as_secs_f64());
        assert!((share(0) - 0.25 * alone).abs() < 0.008, "{}", share(0));
        assert!((share(1) - 0.75 * alone).abs() < 0.008, "{}", share(1));
        assert!((share(2) - (1.0 - alone)).abs() < 0.002, "{}", share(2));
    }

    #[test]
    fn an_incident_goes_on_while_failures_come_before_the_last_is_over() {
        let processes = [process(100_000.0, 600)];
        let failures = Failures { processes: &processes, year: YEAR };
        let mut stream = Streams::new(1).stream("test", 0);
        let meeting = failures.incident_of(1, &mut stream).expect("they meet often");
        assert!(meeting.strikes.len() > 1);
        let mut busy_until = SimDuration::ZERO;
        for strike in &meeting.strikes {
            assert!(strike.after <= busy_until, "{meeting:?}");
            busy_until = busy_until.max(strike.after + strike.repair + SETTLING);
        }
        assert_eq!(meeting.span, busy_until);
        let rare = [process(1e-6, 0)];
        let failures = Failures { processes: &rare, year: YEAR };
        assert_eq!(failures.incident_of(1, &mut stream), None);
    }
}
