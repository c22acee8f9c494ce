//! The same world gives the same run, from the start or from any snapshot.

use crate::support::{Workload, reference, world};
use wavetank::engine::{SimDuration, SimTime};
use wavetank::faults::{ImageChange, ScaleChange, TimelineAction};
use wavetank::sim::{Simulation, World};

const DURATION: SimDuration = SimDuration::from_secs(600);

fn at(seconds: i64) -> SimTime {
    SimTime::from_secs(seconds)
}

/// Two services, a lost node, a rollout and a change of scale.
fn eventful(seed: u64) -> World {
    let workloads = [
        Workload { rps: 40.0, ..Workload::default() },
        Workload { name: "api", replicas: 3, rps: 5.0, cpu_ms: 100, ..Workload::default() },
    ];
    let image = ImageChange { workload: reference("web"), container: None, image: "app:v2".into() };
    let scale = ScaleChange { workload: reference("api"), replicas: 6 };
    let timeline = vec![
        (at(100), TimelineAction::KillNode("node-1".into())),
        (at(200), TimelineAction::SetImage(image)),
        (at(300), TimelineAction::Scale(scale)),
        (at(400), TimelineAction::RecoverNode("node-1".into())),
    ];
    world(seed, DURATION, 3, &workloads, timeline)
}

fn digest_after(mut simulation: Simulation) -> u64 {
    simulation.run_until(SimTime::ZERO + DURATION);
    simulation.digest()
}

#[test]
fn one_seed_gives_one_run_and_another_seed_another() {
    let first = digest_after(Simulation::new(eventful(1)));
    assert_eq!(first, digest_after(Simulation::new(eventful(1))));
    assert_ne!(first, digest_after(Simulation::new(eventful(2))));
}

#[test]
fn a_run_resumed_from_any_snapshot_is_the_straight_run() {
    let straight = digest_after(Simulation::new(eventful(1)));
    let mut simulation = Simulation::new(eventful(1));
    let mut snapshots = Vec::new();
    for seconds in [0, 3, 7, 50, 101, 155, 201, 203, 310, 599] {
        simulation.run_until(at(seconds));
        snapshots.push(simulation.clone());
    }
    for snapshot in snapshots {
        let from = snapshot.now();
        assert_eq!(digest_after(snapshot), straight, "resumed at {from}");
    }
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    use rayon::prelude::*;
    let runs = |threads: usize| -> Vec<u64> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(|| {
            (1..=4u64)
                .into_par_iter()
                .map(|seed| digest_after(Simulation::new(eventful(seed))))
                .collect()
        })
    };
    assert_eq!(runs(1), runs(2));
}
