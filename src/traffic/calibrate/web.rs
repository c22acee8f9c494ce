//! Calibration of latency against load: number of workers, CPU time with its spread, and a constant base time.

use super::identify::not_identifiable;
use super::points::{Measure, Point};
use super::{
    Bench, Calibration, Conditions, MeasuredRow, figure, fit_workers, is_held_out, judge, rounded,
    rounded_number,
};
use crate::arrivals::{Pattern, RatePoint, UserLoad};
use crate::recording::Latencies;
use crate::{
    ArrivalProcess, Distribution, Load, Recording, RequestModelId, RequestModelSpec, ServiceId,
    ServiceTraffic, TimeDistribution, Traffic, TrafficSpec,
};
use engine::{SimDuration, SimTime, Streams};

/// Numbers of workers to try.
const WORKERS: [u32; 11] = [1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128];
/// Minimum number of simulated requests per row, if need be over several runs, and maximum.
const REQUESTS: (f64, f64) = (2_000.0, 30_000.0);
const RUNS_MAX: u64 = 6;
/// A client timeout that is never reached: no client gave up during the measurement.
const NEVER: SimDuration = SimDuration::from_secs(36_000);

/// Settings of a run.
pub(super) struct Setting<'a> {
    pub conditions: &'a Conditions,
    pub pods: u32,
    pub load: Load,
    pub arrivals: Option<ArrivalProcess>,
    /// The length of an interval of the recording.
    pub interval: SimDuration,
}

impl Setting<'_> {
    /// Traffic to pods of this model; `run` selects the random numbers.
    pub(super) fn traffic(
        &self,
        model: &RequestModelSpec,
        trace: Option<&crate::Trace>,
        run: u64,
    ) -> Option<Traffic> {
        let streams = Streams::new(run);
        let conditions = self.conditions;
        let spec = TrafficSpec {
            service: "measured/pods".parse().ok()?,
            load: self.load.clone(),
            arrivals: self.arrivals,
            gap_cv: None,
            states: Vec::new(),
            balancer: conditions.balancer,
            timeout: NEVER,
            retries: None,
        };
        let arrivals = spec.arrivals("", trace, streams.stream("arrivals", 0)).ok()?;
        let service = ServiceTraffic::plain("pods".into(), arrivals, spec.balancer, NEVER);
        let recording =
            Recording { interval: self.interval, warm_up: SimDuration::ZERO, waits: false };
        let models = vec![model.model("").ok()?];
        let mut traffic = Traffic::new(vec![service], models, streams, recording);
        let cores = conditions.cores.unwrap_or(f64::from(model.concurrency));
        let pods: Vec<_> = (0..self.pods)
            .map(|_| {
                let pod = traffic.add_backend(SimTime::ZERO, RequestModelId(0), cores);
                traffic.set_quota(SimTime::ZERO, pod, conditions.cpu_limit);
                pod
            })
            .collect();
        traffic.set_endpoints(SimTime::ZERO, ServiceId(0), &pods);
        Some(traffic)
    }
}

/// Load of a point: its rate for this many seconds, or its closed-loop users with minimal think time.
pub(super) fn load_of(
    point: &Point,
    conditions: &Conditions,
    seconds: f64,
) -> Option<(Load, Option<ArrivalProcess>)> {
    let Some(rps) = point.rps else {
        let think_time = TimeDistribution::Constant(SimDuration::from_millis(1));
        let users = UserLoad { users: point.concurrency?, think_time, ramp_up: SimDuration::ZERO };
        return Some((Load::Users(users), None));
    };
    let at = SimDuration::from_secs_f64(seconds);
    let pattern = Pattern::Step { rps, steps: vec![RatePoint { at, rps: 0.0 }] };
    let process = if conditions.even { ArrivalProcess::Even } else { ArrivalProcess::Poisson };
    Some((Load::Pattern(pattern), Some(process)))
}

/// A web service with these parameters, which are logarithms: base time [s], spread of the CPU time, and its
/// mean [s] unless that was measured.
pub(super) fn web_model(parameters: &[f64], cpu: Option<f64>, workers: u32) -> RequestModelSpec {
    let value = |at: usize, low: f64, high: f64| {
        libm::exp(parameters.get(at).copied().unwrap_or_default()).clamp(low, high)
    };
    let mean = cpu.unwrap_or_else(|| value(2, 1e-6, 1e3));
    let cv = rounded_number(value(1, 0.02, 8.0));
    RequestModelSpec {
        concurrency: workers,
        queue: 1_000_000,
        cpu_time: TimeDistribution::Drawn(Distribution::Lognormal {
            mean: rounded(mean).max(SimDuration::from_nanos(1)),
            cv,
        }),
        wait_time: TimeDistribution::Constant(rounded(value(0, 1e-6, 1e3))),
        ..RequestModelSpec::default()
    }
}

/// CPU time of a request [s], if the rows state the cores used: the median over the rows.
fn measured_cpu(points: &[Point]) -> Option<f64> {
    let mut each: Vec<f64> =
        points.iter().filter_map(|point| Some(point.cpu_cores? / point.rps?)).collect();
    each.sort_by(f64::total_cmp);
    each.get(each.len() / 2).copied()
}

struct WebBench<'a> {
    points: Vec<&'a Point>,
    rows: Vec<MeasuredRow>,
    conditions: &'a Conditions,
    cpu: Option<f64>,
    workers: u32,
}

impl WebBench<'_> {
    fn row(&self, model: &RequestModelSpec, point: &Point) -> Option<Vec<Latencies>> {
        let pods = point.pods.unwrap_or(self.conditions.pods);
        let measured = self.conditions.duration.as_secs_f64();
        let seconds = point.rps.map_or(measured, |rps| measured.min(REQUESTS.1 / rps));
        let (load, arrivals) = load_of(point, self.conditions, seconds)?;
        let is_open = point.rps.is_some();
        let requests = point.rps.map_or(REQUESTS.0, |rps| rps * seconds);
        let setting =
            Setting { conditions: self.conditions, pods, load, arrivals, interval: NEVER };
        // In an open loop all requests are answered eventually; a closed loop would never end.
        let end = SimTime::from_secs_f64(seconds)
            + if is_open { NEVER - SimDuration::from_secs(1) } else { SimDuration::ZERO };
        let mut found = Vec::new();
        let mut simulated = 0.0;
        for run in 1..=RUNS_MAX {
            let mut traffic = setting.traffic(model, None, run)?;
            found.push(traffic.figures(end, ServiceId(0)).latencies?);
            simulated += requests;
            if simulated >= REQUESTS.0 {
                break;
            }
        }
        Some(found)
    }
}

impl Bench for WebBench<'_> {
    fn model(&self, parameters: &[f64]) -> RequestModelSpec {
        web_model(parameters, self.cpu, self.workers)
    }

    fn simulate(&self, model: &RequestModelSpec, all: bool) -> Vec<Vec<Option<f64>>> {
        let rows = self.points.iter().zip(&self.rows);
        rows.map(|(point, row)| {
            if row.held_out && !all {
                return Vec::new();
            }
            let runs = self.row(model, point);
            let mean = |measure: Measure| {
                let runs = runs.as_ref()?;
                let all: Option<Vec<f64>> =
                    runs.iter().map(|run| figure(measure, Some(run), None)).collect();
                Some(all?.iter().sum::<f64>() / runs.len() as f64)
            };
            row.figures.iter().map(|(measure, _)| mean(*measure)).collect()
        })
        .collect()
    }

    fn rows(&self) -> &[MeasuredRow] {
        &self.rows
    }
}

/// Fits a request model to points of latency against load.
pub fn calibrate_points(points: &[Point], conditions: &Conditions) -> Result<Calibration, String> {
    if let Some(point) = points.iter().find(|point| {
        point.measured.iter().any(|(measure, _)| !matches!(measure, Measure::Latency(_)))
    }) {
        return Err(format!(
            "line {}: token latencies belong to language models; add --llm",
            point.line
        ));
    }
    let load = |point: &Point| {
        let pods = f64::from(point.pods.unwrap_or(conditions.pods));
        point.rps.or(point.concurrency.map(f64::from)).unwrap_or_default() / pods
    };
    let mut sorted: Vec<&Point> = points.iter().collect();
    sorted.sort_by(|one, other| load(one).total_cmp(&load(other)));
    let rows = measured_rows(&sorted, conditions.pods);
    let cpu = measured_cpu(points);
    let start = start_of(points, cpu);
    let bench =
        |workers| WebBench { points: sorted.clone(), rows: rows.clone(), conditions, cpu, workers };
    let candidates = fit_workers(&WORKERS, bench, &start, conditions.evaluations);
    let best = candidates.first().ok_or("there is nothing to fit")?;
    let bench = bench(best.workers);
    let requests = bench.model(&best.parameters);
    let mut notes = vec![match cpu {
        Some(cpu) => format!("CPU time of a request as measured: {}", rounded(cpu)),
        None => {
            "without a column of CPU usage, the time that grows with load is assumed to be CPU time; add \
             `cpu_cores` to distinguish CPU from waiting"
                .to_owned()
        }
    }];
    if !bench.rows.iter().any(|row| row.held_out) {
        notes.push("fewer than three rows: none is held out to validate the fit".into());
    }
    let not_identifiable = not_identifiable(&bench, &candidates, conditions.evaluations);
    Ok(Calibration {
        rows: judge(&bench, &requests),
        requests: with_usual_queue(requests),
        notes,
        not_identifiable,
    })
}

/// No request is rejected during the fit, as latencies do not determine the queue length.
pub(super) fn with_usual_queue(requests: RequestModelSpec) -> RequestModelSpec {
    RequestModelSpec { queue: RequestModelSpec::default().queue, ..requests }
}

/// Starting point: half of the shortest median is waiting, half CPU time.
fn start_of(points: &[Point], cpu: Option<f64>) -> Vec<f64> {
    let all = points.iter().flat_map(|point| &point.measured).map(|(_, seconds)| *seconds);
    let shortest = all.fold(f64::INFINITY, f64::min);
    let base = (shortest - cpu.unwrap_or(shortest * 0.5)).max(shortest * 0.1);
    let mut start = vec![libm::log(base), libm::log(0.4)];
    if cpu.is_none() {
        start.push(libm::log(shortest * 0.5));
    }
    start
}

/// The measurements in the order of the points; every second row is held out.
pub(super) fn measured_rows(points: &[&Point], pods: u32) -> Vec<MeasuredRow> {
    let row = |(position, point): (usize, &&Point)| MeasuredRow {
        load: load_in_words(point, pods),
        held_out: is_held_out(position, points.len()),
        figures: point.measured.clone(),
    };
    points.iter().enumerate().map(row).collect()
}

fn load_in_words(point: &Point, pods: u32) -> String {
    let load = match (point.rps, point.concurrency) {
        (Some(rps), _) => format!("{rps} rps"),
        (None, Some(users)) => format!("{users} at once"),
        (None, None) => String::new(),
    };
    match point.pods.unwrap_or(pods) {
        1 => load,
        pods => format!("{load}, {pods} pods"),
    }
}
