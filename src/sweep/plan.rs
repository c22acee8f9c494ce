//! A sweep split into parts: the runs of each machine, and the names of their results.
//!
//! The unit is one setting with one seed. Its key is derived from everything its result depends on (the scenario with
//! its files and settings, the seed, the version), so that a plan determines which results exist already, and no other
//! result can be mistaken for one of the plan.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::summary::RunSummary;
use engine::Digest;

/// Version of the format of plans and results: the minor grows with added fields, the major with changed ones.
const FORMAT_VERSION: &str = "1.1";

/// The version of wavetank that makes plans and runs them.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The plan of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// Version of the format.
    pub format_version: String,
    /// The version of wavetank that made it, and that must run it.
    pub wavetank_version: String,
    /// The scenario's file, relative to the plan's.
    pub scenario: String,
    /// Settings of all runs, as `--set` takes them.
    pub settings: Vec<String>,
    /// The paths that vary.
    pub varied: Vec<String>,
    /// For each of them the value that it has in the scenario; absent if no setting has that.
    pub current: Vec<Option<String>>,
    /// The settings to run.
    pub cells: Vec<PlannedCell>,
    /// The seeds for each setting.
    pub seeds: Vec<u64>,
    /// Number of fresh seeds with which to confirm the selected row.
    pub confirm: u64,
}

/// One setting of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedCell {
    /// A value for each path that varies.
    pub values: Vec<String>,
    /// Fingerprint of the scenario with all its files and these settings, hexadecimal.
    pub scenario_hash: String,
}

/// One run of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedUnit {
    /// Position of its setting in [`Plan::cells`].
    pub cell: usize,
    /// The seed.
    pub seed: u64,
    /// The key of its result.
    pub key: String,
}

/// A part of a plan: number `number` of `of`, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number, from 0.
    pub number: usize,
    /// Number of parts, at least one.
    pub of: usize,
}

/// A result as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StoredResult {
    format_version: String,
    wavetank_version: String,
    key: String,
    /// Checksum of `run` as serialized here.
    checksum: String,
    run: RunSummary,
}

/// Why a stored result cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is corrupt: truncated or modified.
    Corrupt(String),
    /// It is intact, but belongs to something else.
    Foreign(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corrupt(why) => write!(f, "it is corrupt: {why}"),
            Self::Foreign(why) => write!(f, "it is not a result of this plan: {why}"),
        }
    }
}

/// The name of a run's result: a hash of everything it depends on.
pub fn key(scenario_hash: &str, seed: u64) -> String {
    let half = |part: &str| {
        let mut digest = Digest::default();
        for text in [part, VERSION, FORMAT_VERSION, scenario_hash] {
            digest.bytes(text.as_bytes());
        }
        digest.word(seed);
        digest.value()
    };
    format!("{:016x}{:016x}", half("first"), half("second"))
}

impl Plan {
    /// A plan made by this version.
    pub fn new(scenario: String, settings: Vec<String>, varied: Vec<String>) -> Self {
        Self {
            format_version: FORMAT_VERSION.to_owned(),
            wavetank_version: VERSION.to_owned(),
            scenario,
            settings,
            current: vec![None; varied.len()],
            varied,
            cells: Vec::new(),
            seeds: Vec::new(),
            confirm: 0,
        }
    }

    /// Parses a plan; one of another version is rejected, as its results would differ.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let plan: Self = serde_json::from_slice(json).map_err(|error| {
            format!("this is not a file written by `wavetank sweep plan`: {error}")
        })?;
        if plan.wavetank_version != VERSION || plan.format_version != FORMAT_VERSION {
            return Err(format!(
                "the plan is of wavetank {} (form {}), and this is wavetank {VERSION} (form {FORMAT_VERSION}): run it \
                 with the same version everywhere, or make it anew",
                plan.wavetank_version, plan.format_version
            ));
        }
        match plan.cells.iter().find(|cell| cell.values.len() != plan.varied.len()) {
            Some(cell) => {
                Err(format!("a setting has not {} values: {:?}", plan.varied.len(), cell.values))
            }
            None if plan.cells.is_empty() || plan.seeds.is_empty() => {
                Err("it plans no run".to_owned())
            }
            None => Ok(plan),
        }
    }

    /// As indented JSON with a trailing newline.
    pub fn json(&self) -> String {
        report::json::render(self)
    }

    /// All runs, in the order of the grid, the seeds of a setting together.
    pub fn units(&self) -> Vec<PlannedUnit> {
        let cells = self.cells.iter().enumerate();
        let units = cells.flat_map(|(cell, planned)| {
            let unit = move |seed: &u64| PlannedUnit {
                cell,
                seed: *seed,
                key: key(&planned.scenario_hash, *seed),
            };
            self.seeds.iter().map(unit)
        });
        units.collect()
    }

    /// The runs of a part, dealt out in turn: neighboring runs take about the same time, which balances the parts.
    pub fn share(&self, shard: Shard) -> Vec<PlannedUnit> {
        self.units().into_iter().skip(shard.number).step_by(shard.of.max(1)).collect()
    }

    /// Fresh seeds, not used for the selection.
    pub fn fresh(&self) -> Vec<u64> {
        let after = self.seeds.last().map_or(0, |last| last.wrapping_add(1));
        (0..self.confirm).map(|number| after.wrapping_add(number)).collect()
    }
}

/// A result as stored under its key.
pub fn kept(key: &str, run: &RunSummary) -> Vec<u8> {
    let kept = StoredResult {
        format_version: FORMAT_VERSION.to_owned(),
        wavetank_version: VERSION.to_owned(),
        key: key.to_owned(),
        checksum: checksum(run),
        run: run.clone(),
    };
    report::json::render(&kept).into_bytes()
}

/// Parses the result stored under a key.
pub fn read_kept(key: &str, seed: u64, bytes: &[u8]) -> Result<RunSummary, Unusable> {
    let kept: StoredResult =
        serde_json::from_slice(bytes).map_err(|error| Unusable::Corrupt(error.to_string()))?;
    if kept.wavetank_version != VERSION || kept.format_version != FORMAT_VERSION {
        let version = kept.wavetank_version;
        return Err(Unusable::Foreign(format!(
            "wavetank {version} wrote it, and this is {VERSION}"
        )));
    }
    if kept.key != key {
        return Err(Unusable::Foreign(format!("its key is {}", kept.key)));
    }
    if checksum(&kept.run) != kept.checksum {
        return Err(Unusable::Corrupt("its checksum is another".to_owned()));
    }
    if kept.run.seed != seed {
        return Err(Unusable::Foreign(format!("its seed is {}", kept.run.seed)));
    }
    Ok(kept.run)
}

fn checksum(run: &RunSummary) -> String {
    let text = report::json::render(run);
    format!("{:016x}", Digest::of(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        let cell = |value: &str, hash: &str| PlannedCell {
            values: vec![value.to_owned()],
            scenario_hash: hash.to_owned(),
        };
        let mut plan = Plan::new("a.yaml".to_owned(), Vec::new(), vec!["seed".to_owned()]);
        plan.cells = vec![cell("1", "aa"), cell("2", "bb"), cell("3", "cc")];
        plan.seeds = vec![5, 6, 7];
        plan.confirm = 2;
        plan
    }

    fn run(seed: u64) -> RunSummary {
        RunSummary { seed, month_usd: 0.1 + 0.2, ..RunSummary::default() }
    }

    #[test]
    fn parts_have_every_run_once() {
        let plan = plan();
        for of in 1..12 {
            let mut all: Vec<PlannedUnit> =
                (0..of).flat_map(|number| plan.share(Shard { number, of })).collect();
            assert_eq!(all.len(), 9);
            all.sort_by_key(|unit| (unit.cell, unit.seed));
            assert_eq!(all, plan.units(), "{of} parts");
        }
        assert_eq!(plan.fresh(), [8, 9]);
    }

    #[test]
    fn a_key_is_of_scenario_and_seed() {
        assert_eq!(key("aa", 1), key("aa", 1));
        assert_ne!(key("aa", 1), key("aa", 2));
        assert_ne!(key("aa", 1), key("ab", 1));
        assert_eq!(key("aa", 1).len(), 32);
    }

    #[test]
    fn a_result_reads_back_to_the_last_bit_and_a_broken_one_does_not() {
        let bytes = kept("k", &run(5));
        assert_eq!(read_kept("k", 5, &bytes), Ok(run(5)));
        assert!(matches!(read_kept("k", 5, &bytes[..bytes.len() / 2]), Err(Unusable::Corrupt(_))));
        assert!(matches!(read_kept("other", 5, &bytes), Err(Unusable::Foreign(_))));
        assert!(matches!(read_kept("k", 6, &bytes), Err(Unusable::Foreign(_))));
        let text = String::from_utf8(bytes).expect("UTF-8");
        let changed = text.replace("\"month_usd\": 0.3", "\"month_usd\": 0.4");
        assert_ne!(changed, text);
        assert!(matches!(read_kept("k", 5, changed.as_bytes()), Err(Unusable::Corrupt(_))));
        let older = text.replace(&format!("\"{VERSION}\""), "\"0.0.1\"");
        let error = read_kept("k", 5, older.as_bytes()).expect_err("of another version");
        assert!(error.to_string().contains("wavetank 0.0.1 wrote it"), "{error}");
    }

    #[test]
    fn a_plan_of_another_version_is_not_run() {
        let plan = plan();
        assert_eq!(Plan::parse(plan.json().as_bytes()), Ok(plan.clone()));
        let older = Plan { wavetank_version: "0.0.1".to_owned(), ..plan.clone() };
        let error = Plan::parse(older.json().as_bytes()).expect_err("of another version");
        assert!(error.contains("the plan is of wavetank 0.0.1"), "{error}");
        let empty = Plan { seeds: Vec::new(), ..plan };
        assert!(Plan::parse(empty.json().as_bytes()).is_err());
    }
}
