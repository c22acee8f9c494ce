//! Incidents one after the other in a running cluster, with what each of them does.
//!
//! What a failure does depends on what the failures before it have left: pods that lost their node run elsewhere, and
//! stay there. So incidents are not simulated in a fresh cluster, but in a course: one after the other, without the
//! rest of days between them. Before each, the run splits: one copy goes on without a failure, the others have one
//! incident of each kind; the differences are its effects. The course goes on with an incident drawn as they come.

use engine::random::{index_below, open_unit};
use engine::{SimDuration, SimTime, Stream, Streams};

use super::super::run::Run;
use super::effects::{Effects, effect};
use super::incident::{Failures, Incident};
use manifest::Diagnostics;
use report::Report;
use scenario::resolved::ResolvedScenario;

/// Measured incidents of a course, at most.
const STEPS_MAX: usize = 8;

/// Incidents of each kind of failure at the beginning of a course that are not measured, at most: a year begins in a
/// fresh cluster, but spends little time in it. The frequent kinds, of which a few suffice, must not crowd out the others.
const AGEING_MAX: usize = 4;

/// Effects of an incident.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    /// Its kind.
    pub kind: usize,
    /// The kinds of failure that met.
    pub processes: Vec<usize>,
    /// Its effects.
    pub effects: Effects,
}

/// How courses are run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Number of courses.
    pub courses: u64,
    /// Measured incidents of each.
    steps: usize,
    /// Whether the scenario goes on after its end as before: neither a timeline nor a trace that ends.
    goes_on: bool,
}

impl Plan {
    /// Courses with so many `probes` in all, of a scenario with so many incidents in a year.
    pub fn new(resolved: &ResolvedScenario, probes: u32, incidents_per_year: f64) -> Self {
        let scenario = resolved.scenario();
        let traffic = scenario.traffic.iter().map(|traffic| &traffic.load);
        let mut loads = traffic.chain(scenario.ingress.iter().map(|entrance| &entrance.load));
        let ends =
            !scenario.timeline.is_empty() || loads.any(|load| !load.trace_files().is_empty());
        let steps = if ends { 1 } else { at_most(incidents_per_year, STEPS_MAX).max(1) };
        Self { courses: u64::from(probes).div_ceil(steps as u64), steps, goes_on: !ends }
    }
}

/// The nearest whole number, and `most` at most.
fn at_most(count: f64, most: usize) -> usize {
    (0..most).take_while(|number| (*number as f64) < count.round()).count()
}

/// The incidents of a year so far that age a cluster, in random order: of each kind of failure as many as half a year has.
fn ageing(failures: Failures<'_>, stream: &mut Stream) -> Vec<Incident> {
    let mut ageing = Vec::new();
    for (position, process) in failures.processes.iter().enumerate() {
        for _ in 0..at_most(process.per_year / 2.0, AGEING_MAX) {
            ageing.extend(failures.incident_beginning_with(position, stream));
        }
    }
    for end in (1..ageing.len()).rev() {
        ageing.swap(end, index_below(stream, end + 1));
    }
    ageing
}

/// The incidents of a course.
pub(super) fn course(
    quiet: &ResolvedScenario,
    failures: Failures<'_>,
    plan: Plan,
    (seed, number): (u64, u64),
) -> Result<Vec<Probe>, Diagnostics> {
    let mut stream = Streams::new(seed).stream("incidents of a course", number);
    let ageing = ageing(failures, &mut stream);
    let steps: Vec<Vec<Incident>> = (0..plan.steps).map(|_| step(failures, &mut stream)).collect();
    let scenario = quiet.scenario();
    let counted = (scenario.duration - scenario.warm_up).as_nanos();
    let at = index_below(&mut stream, usize::try_from(counted).unwrap_or(usize::MAX).max(1));
    let at = SimDuration::from_nanos(i64::try_from(at).unwrap_or_default());
    let mut first = SimTime::ZERO + scenario.warm_up + at;
    let of_ageing = ageing.iter().map(|one| one.span).fold(SimDuration::ZERO, |sum, one| sum + one);
    if !plan.goes_on {
        // What came before has to fit before the measured one.
        first = (first - of_ageing).max(SimTime::ZERO + scenario.warm_up);
    }
    let spans = steps.iter().flatten().map(|one| one.span).fold(of_ageing, |sum, one| sum + one);
    // The incidents of a course come over the whole run, and so at all times of day.
    let longest_gap = SimDuration::from_nanos(2 * counted) / i64::try_from(plan.steps).unwrap_or(1);
    let gaps = longest_gap * i64::try_from(plan.steps + ageing.len()).unwrap_or(1);
    let long = lasting(quiet, (first - SimTime::ZERO) + spans + spans + gaps);
    let mut course = Course {
        run: Run::new(&long, seed.wrapping_add(number))?,
        failures,
        stream,
        longest_gap: if plan.goes_on { longest_gap } else { SimDuration::ZERO },
        at: first,
    };
    for incident in &ageing {
        course.run.run_until(course.at);
        let end = course.at + incident.span;
        course.run = course.with_failure(incident, end);
        course.go_on(end, incident.span);
    }
    let mut probes = Vec::new();
    for incidents in &steps {
        probes.extend(course.measure(incidents)?);
    }
    Ok(probes)
}

/// The incidents of a step: the one with which the course goes on, then one of each other kind.
fn step(failures: Failures<'_>, stream: &mut Stream) -> Vec<Incident> {
    let next = failures.incident(stream);
    let kind = failures.kind(&next);
    let others = (0..failures.kinds()).filter(|other| *other != kind);
    let others: Vec<Incident> =
        others.filter_map(|other| failures.incident_of(other, stream)).collect();
    std::iter::once(next).chain(others).collect()
}

/// The same scenario with another end.
fn lasting(quiet: &ResolvedScenario, duration: SimDuration) -> ResolvedScenario {
    let mut lasting = quiet.clone();
    lasting.text.scenario.duration = duration;
    lasting.text.scenario.limits.requests = f64::INFINITY;
    lasting
}

/// A course in progress.
struct Course<'a> {
    run: Run<'a>,
    failures: Failures<'a>,
    stream: Stream,
    /// Longest time between the end of an incident and the next, if that is longer than the incident.
    longest_gap: SimDuration,
    /// Time of the next incident.
    at: SimTime,
}

impl<'a> Course<'a> {
    /// Splits the run and measures one incident of each kind; goes on with the first.
    fn measure(&mut self, incidents: &[Incident]) -> Result<Vec<Probe>, Diagnostics> {
        self.run.run_until(self.at);
        let mut order: Vec<usize> = (0..incidents.len()).collect();
        order.sort_by_key(|position| incidents[*position].span);
        let mut without = self.run.clone();
        let mut next = None;
        let mut probes = Vec::new();
        for position in order {
            let incident = &incidents[position];
            let end = self.at + incident.span;
            without.run_until(end);
            let with = self.with_failure(incident, end);
            let reports: [Result<Report, Diagnostics>; 2] =
                [with.clone().report_so_far(), without.clone().report_so_far()];
            let [with_it, without_it] = reports;
            probes.push(Probe {
                kind: self.failures.kind(incident),
                processes: incident.strikes.iter().map(|strike| strike.process).collect(),
                effects: effect(&with_it?, &without_it?),
            });
            if position == 0 {
                next = Some((with, end, incident.span));
            }
        }
        if let Some((run, end, span)) = next {
            self.run = run;
            self.go_on(end, span);
        }
        Ok(probes)
    }

    /// The run with an incident, at its end.
    fn with_failure(&mut self, incident: &Incident, end: SimTime) -> Run<'a> {
        let mut run = self.run.clone();
        for strike in &incident.strikes {
            run.run_until(self.at + strike.after);
            let fault = &self.failures.processes[strike.process].fault;
            run.simulation_mut().strike(fault, strike.repair, &mut self.stream);
        }
        run.run_until(end);
        run
    }

    /// The next incident begins some time after the last one is over.
    fn go_on(&mut self, end: SimTime, span: SimDuration) {
        let gap = span.max(self.longest_gap).as_secs_f64() * open_unit(&mut self.stream);
        self.at = end + SimDuration::from_secs_f64(gap);
    }
}
