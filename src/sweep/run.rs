//! One run of a scenario from its text to its report.

use controllers::Controller;
use engine::{SimTime, format_duration};
use manifest::{Diagnostics, Severity};
use report::{
    self, Balancing, BillFacts, ClassFacts, MeshReport, Notice, Report, ReportInput, RunInfo,
    ServiceFacts, build,
};
use report::{limits_of, user_cutoff_of};
use scenario::provenance::Assumption;
use scenario::resolved::ResolvedScenario;
use sim::{Blueprint, Simulation};
use traffic::{ClassId, LatencyLimits, ServiceId, Traffic, Via};

/// Events between two looks at whether a run may go on: some milliseconds.
const STEPS_BETWEEN_CHECKS: u32 = 2_000;

/// A run of a scenario in progress: its simulation, and the additional inputs of the report (node prices,
/// objectives, notes about the manifests). A clone is an independent snapshot.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    resolved: &'a ResolvedScenario,
    blueprint: Blueprint<'a>,
    seed: u64,
    simulation: Simulation,
}

impl<'a> Run<'a> {
    /// A run at its start: time zero, before the first event. All errors in the scenario and its files are
    /// reported together.
    pub fn new(resolved: &'a ResolvedScenario, seed: u64) -> Result<Self, Diagnostics> {
        Self::with_controllers(resolved, seed, Vec::new())
    }

    /// The same with additional controllers, as for [`Simulation::with_controllers`].
    pub fn with_controllers(
        resolved: &'a ResolvedScenario,
        seed: u64,
        further: Vec<Box<dyn Controller>>,
    ) -> Result<Self, Diagnostics> {
        let blueprint = Blueprint::new(resolved)?;
        let mut simulation = Simulation::with_controllers(blueprint.world(seed)?, further);
        hold_against_objectives(resolved, &mut simulation);
        Ok(Self { resolved, blueprint, seed, simulation })
    }

    /// The end of the run: the scenario's `duration` after its start.
    pub fn end(&self) -> SimTime {
        SimTime::ZERO + self.resolved.scenario().duration
    }

    /// The simulation, read-only.
    pub const fn simulation(&self) -> &Simulation {
        &self.simulation
    }

    /// The simulation, for interventions.
    pub const fn simulation_mut(&mut self) -> &mut Simulation {
        &mut self.simulation
    }

    /// Handles the next event with everything that follows from it at the same instant. False once no event is
    /// left before the end of the run.
    pub fn step(&mut self) -> bool {
        let end = self.end();
        self.simulation.next_time().is_some_and(|at| at <= end) && self.simulation.step()
    }

    /// Runs up to and including `until`, but not past the end.
    pub fn run_until(&mut self, until: SimTime) {
        self.simulation.run_until(until.min(self.end()));
    }

    /// Runs to the end.
    pub fn run(&mut self) {
        self.run_until(self.end());
    }

    /// The report of the whole run; any remainder is run first. Fails if a trace could not be read to its end.
    pub fn report(mut self) -> Result<Report, Diagnostics> {
        self.run();
        self.simulation.finish();
        self.resolved.files.failed_trace()?;
        Ok(report(self.resolved, &self.blueprint, self.seed, &mut self.simulation))
    }
}

impl Run<'_> {
    /// The report of the run so far, as if it ended now. Fails if a trace could not be read up to here.
    pub fn report_so_far(mut self) -> Result<Report, Diagnostics> {
        self.simulation.finish();
        self.resolved.files.failed_trace()?;
        let mut resolved = self.resolved.clone();
        resolved.text.scenario.duration = self.simulation.now() - SimTime::ZERO;
        Ok(report(&resolved, &self.blueprint, self.seed, &mut self.simulation))
    }
}

/// Runs a scenario with a seed; `progress` is called with the current simulated time, a hundred times.
pub fn run(
    resolved: &ResolvedScenario,
    seed: u64,
    progress: impl FnMut(SimTime),
) -> Result<Report, Diagnostics> {
    run_while(resolved, seed, progress, || None).map(|(report, _)| report)
}

/// The same, but the run ends as soon as `ends` gives a reason why: then the report is of what was simulated so far, begins
/// with that reason, and the time that was reached is returned as well.
pub fn run_while(
    resolved: &ResolvedScenario,
    seed: u64,
    mut progress: impl FnMut(SimTime),
    ends: impl Fn() -> Option<String>,
) -> Result<(Report, Option<SimTime>), Diagnostics> {
    let mut run = Run::new(resolved, seed)?;
    // A hundred steps: enough for a bar that moves, too few to cost anything.
    for step in 1..=100 {
        let until = SimTime::from_nanos(run.end().as_nanos() / 100 * step);
        loop {
            let mut steps = 0;
            let is_next = |run: &Run<'_>| run.simulation.next_time().is_some_and(|at| at <= until);
            while steps < STEPS_BETWEEN_CHECKS && is_next(&run) && run.step() {
                steps += 1;
            }
            if let Some(reason) = ends() {
                let now = run.simulation.now();
                return Ok((ended_early(run, &reason)?, Some(now)));
            }
            if steps < STEPS_BETWEEN_CHECKS {
                break;
            }
        }
        run.run_until(until);
        progress(until);
    }
    run.report().map(|report| (report, None))
}

/// The report of a run so far, which begins with the reason why the run is not whole.
fn ended_early(run: Run<'_>, reason: &str) -> Result<Report, Diagnostics> {
    let (now, whole) = (run.simulation.now() - SimTime::ZERO, run.resolved.scenario().duration);
    let (now, whole) = (format_duration(now), format_duration(whole));
    let message =
        format!("the run ended after {now} of {whole}: {reason}; all figures are of that time");
    let mut report = run.report_so_far()?;
    report.attention.insert(0, Notice { severity: report::Severity::Failure, message });
    Ok(report)
}

/// Whether a scenario can be run: what its parts say of each other is checked only when they are put together.
pub fn accepts(resolved: &ResolvedScenario) -> Result<(), Diagnostics> {
    Blueprint::new(resolved)?.world(resolved.scenario().seed).map(drop)
}

/// The report of a simulation that is at its end.
pub fn report(
    resolved: &ResolvedScenario,
    blueprint: &Blueprint,
    seed: u64,
    simulation: &mut Simulation,
) -> Report {
    let scenario = resolved.scenario();
    let now = simulation.now();
    let services = service_facts(simulation, now);
    let milliseconds =
        |span: engine::SimDuration| u64::try_from(span.as_nanos() / 1_000_000).unwrap_or_default();
    let run = RunInfo {
        scenario: scenario.name.clone(),
        description: scenario.description.clone(),
        wavetank_version: env!("CARGO_PKG_VERSION"),
        seed,
        scenario_hash: format!("{:016x}", resolved.fingerprint()),
        digest: format!("{:016x}", simulation.digest()),
        duration_ms: milliseconds(scenario.duration),
        warm_up_ms: milliseconds(scenario.warm_up),
        events: simulation.handled(),
        requests: simulation.requests(),
    };
    let mut report = build(ReportInput {
        run: &run,
        duration: scenario.duration,
        start_seconds: sim::start_of(scenario.start_date.as_ref()).as_second(),
        recorder: simulation.recorder(),
        services: &services,
        objectives: &scenario.objectives,
        network: &scenario.network,
        bill: BillFacts {
            settings: &scenario.bill,
            provider: scenario.bill.provider(&scenario.cluster),
            workloads: &scenario.workloads,
        },
        notes: &attentions(blueprint.notes()),
    });
    report.network.mesh = blueprint.mesh().map(|mesh| {
        let view = simulation.view();
        let pods = view.pods().values();
        let with_proxy = pods.filter(|pod| view.template_of(pod).spec.has_proxy()).count();
        MeshReport::new(mesh, (with_proxy, view.pods().len()))
    });
    let assumptions = resolved.text.assumptions().into_iter();
    report.assumptions = assumptions
        .map(|Assumption { setting, values, .. }| report::Assumption {
            setting,
            values,
            halved: None,
            doubled: None,
        })
        .collect();
    report
}

/// Checks each minute against the limits of the objectives.
fn hold_against_objectives(resolved: &ResolvedScenario, simulation: &mut Simulation) {
    let services: Vec<_> = simulation.traffic_services().map(ToString::to_string).collect();
    for (position, service) in (0u32..).zip(services) {
        let objectives = &resolved.scenario().objectives;
        let id = ServiceId(position);
        let classes: Vec<(ClassId, LatencyLimits)> = simulation
            .traffic_mut()
            .classes(id)
            .map(|(class, name)| (class, limits_of(objectives, &service, Some(name))))
            .collect();
        let traffic = simulation.traffic_mut();
        traffic.set_latency_limits(id, limits_of(objectives, &service, None));
        traffic.set_user_cutoff(id, user_cutoff_of(objectives, &service));
        for (class, limits) in classes {
            traffic.set_class_latency_limits(class, limits);
        }
    }
}

fn service_facts(simulation: &mut Simulation, now: SimTime) -> Vec<ServiceFacts> {
    let names: Vec<String> = simulation.traffic_services().map(ToString::to_string).collect();
    let called_names = names.clone();
    (0u32..)
        .zip(names)
        .map(|(position, service)| {
            let workloads = simulation.workloads_behind(position as usize);
            let blocked_by = simulation.policies_blocking(position as usize);
            let blocked_by = blocked_by.iter().map(ToString::to_string).collect();
            let id = ServiceId(position);
            let has_clients = simulation.has_clients(position as usize);
            let policy = simulation.policy_of(position as usize);
            let balancing = policy.map_or_else(Balancing::default, |policy| Balancing {
                via: match policy.via {
                    Via::KubeProxy if simulation.is_headless(position as usize) => Via::Dns,
                    other => other,
                },
                rule: policy.balancer,
                is_stated: policy.is_stated,
                kept_connections: policy.connections.map(|kept| kept.count),
                is_work_queue: policy.work_queue,
            });
            let figures = simulation.traffic_mut().figures(now, id);
            let intervals = simulation.traffic_mut().intervals(id).to_vec();
            let minutes = simulation.traffic_mut().minutes(now, id);
            let classes = class_facts(simulation.traffic_mut(), now, id);
            let held = simulation.traffic_mut().held_requests(id);
            let failed_calls = simulation.traffic_mut().failed_calls(id).into_iter();
            let failed_calls = failed_calls
                .filter_map(|(called, count)| {
                    Some((called_names.get(called.0 as usize)?.clone(), count))
                })
                .collect();
            let calls = simulation.traffic_mut().calls_of(id).into_iter();
            let calls = calls.filter_map(|one| called_names.get(one.0 as usize).cloned()).collect();
            ServiceFacts {
                service,
                has_clients,
                balancing,
                failed_calls,
                calls,
                blocked_by,
                held,
                workloads,
                figures,
                intervals,
                minutes,
                classes,
                user_uptime: simulation.traffic_mut().user_uptime(now, id),
            }
        })
        .collect()
}

fn class_facts(traffic: &mut Traffic, now: SimTime, service: ServiceId) -> Vec<ClassFacts> {
    let classes: Vec<(ClassId, String)> =
        traffic.classes(service).map(|(class, name)| (class, name.to_owned())).collect();
    let facts = classes.into_iter().map(|(id, class)| ClassFacts {
        class,
        figures: traffic.class_figures(now, id),
        minutes: traffic.class_minutes(now, id),
    });
    facts.collect()
}

/// Notes about the scenario and its manifests, for the reader of the report.
fn attentions(notes: &Diagnostics) -> Vec<Notice> {
    notes
        .iter()
        .map(|note| Notice {
            severity: match note.severity {
                Severity::Error => report::Severity::Failure,
                Severity::Warning => report::Severity::Warning,
                Severity::Note => report::Severity::Ignored,
            },
            message: without_severity(&note.to_string()),
        })
        .collect()
}

/// The text of a diagnostic on one line; its severity is told otherwise.
fn without_severity(text: &str) -> String {
    let text = text.split_once(": ").map_or(text, |(_, rest)| rest);
    text.split('\n').map(str::trim).collect::<Vec<_>>().join("; ")
}
