//! Random worlds with random changes and faults: what must hold holds after every event, everything settles, and a
//! snapshot goes on as the run that it was taken of.
//!
//! `STORMS=100000 cargo test --profile fuzz --test slow storms` tries as many; a world in which something does not hold is
//! made as small as can be, and its files are left in `target/tmp/storm`, to be run and kept.
#![expect(
    clippy::disallowed_methods,
    reason = "how many worlds says the environment, and a world that fails is kept in files"
)]

mod changes;
mod invariants;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use proptest::prelude::*;
use wavetank::engine::SimTime;
use wavetank::sweep::Run;

use crate::texts;
use invariants::{Watcher, assert_money_adds_up, unsettled};
use world::{CALM_SECONDS, DURATION_SECONDS, StormyWorld, any_world};

/// Worlds that are tried unless `STORMS` says how many.
const WORLDS: u32 = 150;

fn weather(world: &StormyWorld) {
    let applies: Vec<(&str, &str)> =
        world.applies.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let resolved = texts::resolved(&world.scenario, &world.manifests, &applies);
    let mut run = Run::new(&resolved, world.seed).unwrap_or_else(|wrong| panic!("{wrong}"));
    let mut watcher = Watcher::default();
    let mut snapshot = None;
    let taken_at = SimTime::from_secs(i64::from(CALM_SECONDS) / 2);
    let settled_by = SimTime::from_secs(i64::from(DURATION_SECONDS) - 120);
    // The end may fall into a restart or a step of an autoscaler: once in the last two minutes is enough.
    let mut has_settled = false;
    let mut steps = 0;
    while run.step() {
        watcher.look(run.simulation_mut());
        let now = run.simulation().now();
        if snapshot.is_none() && now >= taken_at {
            snapshot = Some(run.clone());
        }
        if now >= settled_by && !has_settled {
            has_settled = unsettled(run.simulation().view()).is_empty();
        }
        steps += 1;
        assert!(steps < 1_000_000, "it goes on for ever at {now}");
    }
    let left = unsettled(run.simulation().view());
    assert!(has_settled || left.is_empty(), "it does not settle: {left:?}");
    run.run();
    if let Some(mut snapshot) = snapshot {
        snapshot.run();
        let digests = (run.simulation_mut().digest(), snapshot.simulation_mut().digest());
        assert_eq!(digests.0, digests.1, "the snapshot went on in another way");
    }
    assert_money_adds_up(&run.report().unwrap_or_else(|wrong| panic!("{wrong}")));
}

/// The files of a world, to be run as they are.
fn keep(world: &StormyWorld) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("storm");
    let head = "apiVersion: wavetank/v1\nkind: Scenario\nname: storm\nmanifests: [all.yaml]\n";
    let scenario = format!("{head}seed: {}\n{}", world.seed, world.scenario);
    let files = [("scenario.yaml", &scenario), ("all.yaml", &world.manifests)];
    let applies = world.applies.iter().map(|(name, text)| (name.as_str(), text));
    std::fs::create_dir_all(&folder).expect("a folder for temporary files");
    for (name, text) in files.into_iter().chain(applies) {
        std::fs::write(folder.join(name), text).expect("a file in it");
    }
}

fn worlds() -> u32 {
    let asked = std::env::var("STORMS").ok();
    asked.map_or(WORLDS, |count| count.parse().expect("STORMS is a number"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: worlds(), failure_persistence: None, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_storm_passes(world in any_world()) {
        let outcome = catch_unwind(AssertUnwindSafe(|| weather(&world)));
        if let Err(wrong) = outcome {
            keep(&world);
            resume_unwind(wrong);
        }
    }
}
