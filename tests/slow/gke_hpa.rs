//! An HPA on GKE as somebody else measured it (`tests/golden/gke-hpa`): pod-hours and largest size under a flash crowd.

use std::fmt::Write as _;

use crate::in_memory::resolved;
use wavetank::engine::{SimDuration, SimTime};
use wavetank::sim::{Blueprint, Simulation};

const APP: &str = include_str!("../golden/gke-hpa/app.yaml");
const RUNS: &str = include_str!("../golden/gke-hpa/runs.csv");
const USERS: &str = include_str!("../golden/gke-hpa/users.csv");
/// Mean time from one request of a user to the next: 1 to 3 s of thinking, and 0.19 s for the answer.
const TURN_SECONDS: f64 = 2.19;
/// The load begins when the pods have been up for so long [s]; before that it is that of the first plateau, as in the
/// measurement's warm-up.
const BEGINS: f64 = 120.0;
/// Samples of the measured series, and their distance [s].
const SAMPLES: u32 = 70;
const SAMPLED_EVERY: f64 = 15.4;
/// Simulations of each autoscaler, over the phases of its loops.
const SEEDS: u64 = 12;

/// Pod-hours and largest size of a run.
type Figures = (f64, usize);

fn scenario() -> String {
    let rows = USERS.lines().skip(1).map(|line| {
        let (from, users) = line.split_once(',').expect("two cells");
        [from, users].map(|cell| cell.parse::<f64>().expect("a number"))
    });
    let mut steps = String::new();
    let mut first = None;
    for [from, users] in rows {
        let rps = users / TURN_SECONDS;
        first.get_or_insert(rps);
        let at = BEGINS + from;
        write!(steps, "{{at: {at}s, rps: {rps:.3}}}, ").expect("a String takes all");
    }
    format!(
        "
apiVersion: wavetank/v1
kind: Scenario
name: gke-hpa
duration: 21m
manifests: [manifests.yaml]
cluster: {{nodePools: [{{name: default, count: 3, instanceType: gcp/e2-standard-4}}]}}
metrics: {{firstScrape: seeded}}
controllerManager: {{horizontalPodAutoscaler: {{syncPhase: seeded}}}}
workloads:
  - workload: Deployment/default/app
    app: {{imagePull: 2s, warmUp: 3s}}
    requests: {{concurrency: 40, queue: 10000, cpuTime: {{distribution: lognormal, mean: 50.6ms, cv: 0.45}}}}
traffic:
  - service: default/app
    load: {{pattern: step, rps: {:.3}, steps: [{steps}]}}
    timeout: 60s
",
        first.unwrap_or_default()
    )
}

fn run(blueprint: &Blueprint, seed: u64) -> Figures {
    let world = blueprint.world(seed).unwrap_or_else(|error| panic!("{error}"));
    let mut simulation = Simulation::new(world);
    let (mut pod_seconds, mut largest) = (0.0, 0);
    for sample in 0..SAMPLES {
        let at = BEGINS + SAMPLED_EVERY * f64::from(sample);
        simulation.run_until(SimTime::ZERO + SimDuration::from_secs_f64(at));
        let view = simulation.view();
        let ready = view.pods().values().filter(|pod| pod.is_ready()).count();
        largest = largest.max(ready);
        if sample + 1 < SAMPLES {
            pod_seconds += ready as f64 * SAMPLED_EVERY;
        }
    }
    (pod_seconds / 3600.0, largest)
}

/// Simulated runs with the phases of the seeds.
fn simulated(autoscaler: &str) -> Vec<Figures> {
    let resolved = resolved(&scenario(), &format!("{APP}{autoscaler}"), &[]);
    let resolved = resolved.unwrap_or_else(|error| panic!("{error}"));
    let blueprint = Blueprint::new(&resolved).unwrap_or_else(|error| panic!("{error}"));
    (1..=SEEDS).map(|seed| run(&blueprint, seed)).collect()
}

fn measured(autoscaler: &str) -> Vec<Figures> {
    let rows = RUNS.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let of = rows.filter(|cells| cells[1] == autoscaler);
    of.map(|cells| (cells[2].parse().expect("hours"), cells[3].parse().expect("a size"))).collect()
}

#[test]
fn a_published_autoscaler_on_gke_takes_as_many_pod_hours_as_measured() {
    for (name, autoscaler) in [
        ("stock", include_str!("../golden/gke-hpa/stock.yaml")),
        ("tuned", include_str!("../golden/gke-hpa/tuned.yaml")),
    ] {
        let (theirs, mut ours) = (measured(name), simulated(autoscaler));
        ours.sort_by(|one, other| one.0.total_cmp(&other.0));
        println!("{name}: measured {theirs:?}, simulated {ours:?}");
        let hours = || theirs.iter().map(|one| one.0);
        let band = hours().fold(f64::MAX, f64::min)..=hours().fold(0.0, f64::max);
        let median = ours[ours.len() / 2].0;
        assert!(band.contains(&median), "{name}: {median} pod-hours, measured {band:?}");
        let sizes = || theirs.iter().map(|one| one.1);
        let band = sizes().min()..=sizes().max();
        let mut largest: Vec<usize> = ours.iter().map(|one| one.1).collect();
        largest.sort_unstable();
        let median = Some(largest[largest.len() / 2]);
        assert!(band.contains(&median), "{name}: {median:?} pods, measured {band:?}");
    }
}
