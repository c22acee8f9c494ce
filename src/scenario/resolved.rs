//! A scenario together with everything that it names: all that a run depends on, as plain data.
//! Reads no files: `cli` fetches what [`ScenarioText::paths`] asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::document::Scenario;
use super::overrides::Override;
use super::read::ScenarioText;
use crate::engine::Digest;
use crate::faults::TimelineAction;
use crate::manifest::{Diagnostic, FieldPath, Place, Source};
use crate::traffic::{Load, Trace};

/// The files that a scenario names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScenarioPaths {
    /// Files, folders and patterns of manifests, in their order.
    pub manifests: Vec<NamedPath>,
    /// Files and folders that the timeline applies.
    pub applies: Vec<NamedPath>,
    /// Trace files.
    pub traces: Vec<NamedPath>,
    /// The scheduler's configuration.
    pub scheduler_config: Option<NamedPath>,
}

/// A path in a scenario, relative to the scenario's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPath {
    /// The path as it is written.
    pub path: String,
    /// The field that names it.
    field: String,
    /// Where the field stands.
    place: Place,
}

/// What is in those files.
#[derive(Clone, Debug, Default)]
pub struct ScenarioFiles {
    /// The manifests, in the order in which they are applied.
    pub manifests: Vec<Source>,
    /// What the timeline applies, by the path that the scenario has.
    pub applies: BTreeMap<String, Vec<Source>>,
    /// The traces, by the path that the scenario has.
    pub traces: BTreeMap<String, TraceFile>,
    /// The scheduler's configuration.
    pub scheduler_config: Option<Source>,
}

/// A trace that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceFile {
    /// What it records.
    pub trace: Trace,
    /// A fingerprint of its bytes.
    fingerprint: u64,
}

/// A scenario with the content of its files.
#[derive(Clone, Debug)]
pub struct ResolvedScenario {
    /// The scenario, and where its fields stand.
    pub text: ScenarioText,
    /// The content of the files that it names.
    pub files: Arc<ScenarioFiles>,
    /// Settings to be made in the manifests.
    pub manifest_settings: Vec<Override>,
}

impl ScenarioText {
    /// The files that the scenario names.
    pub fn paths(&self) -> ScenarioPaths {
        let root = FieldPath::ROOT;
        let scenario = &self.scenario;
        let manifests = root.field("manifests");
        let timeline = root.field("timeline");
        let scheduler = root.field("scheduler");
        let applies =
            scenario.timeline.iter().enumerate().filter_map(|(index, entry)| match &entry.action {
                TimelineAction::Apply(path) => {
                    Some(self.named(path, &timeline.item(index).field("apply")))
                }
                _ => None,
            });
        let traffic = root.field("traffic");
        let ingress = root.field("ingress");
        let mut traces = Vec::new();
        for (index, spec) in scenario.traffic.iter().enumerate() {
            self.traces_of(&spec.load, &traffic.item(index).field("load"), &mut traces);
        }
        for (index, spec) in scenario.ingress.iter().enumerate() {
            self.traces_of(&spec.load, &ingress.item(index).field("load"), &mut traces);
        }
        ScenarioPaths {
            manifests: scenario
                .manifests
                .iter()
                .enumerate()
                .map(|(index, path)| self.named(path, &manifests.item(index)))
                .collect(),
            applies: applies.collect(),
            traces,
            scheduler_config: scenario
                .scheduler
                .config
                .as_ref()
                .map(|path| self.named(path, &scheduler.field("config"))),
        }
    }

    fn traces_of(&self, load: &Load, field: &FieldPath, traces: &mut Vec<NamedPath>) {
        match load {
            Load::Trace(load) => traces.push(self.named(&load.trace, &field.field("trace"))),
            Load::Pattern(_) | Load::Users(_) => {}
            Load::Splice(load) => {
                let list = field.field("splice");
                for (index, piece) in load.splice.iter().enumerate() {
                    self.traces_of(&piece.load, &list.item(index).field("load"), traces);
                }
            }
            Load::Add(load) => {
                let list = field.field("add");
                for (index, part) in load.add.iter().enumerate() {
                    self.traces_of(part, &list.item(index), traces);
                }
            }
        }
    }

    fn named(&self, path: &str, field: &FieldPath) -> NamedPath {
        NamedPath {
            path: path.to_owned(),
            field: field.to_string(),
            place: self.document.place(field),
        }
    }
}

impl NamedPath {
    /// Says that the file cannot be had, at the field that names it.
    pub fn problem(&self, message: &str) -> Diagnostic {
        let problem = Diagnostic::error("file", format!("{}: {message}", self.path));
        Diagnostic { field: self.field.clone(), ..problem.at(self.place.clone()) }
    }
}

impl TraceFile {
    /// Reads a trace from the unpacked content of the file of that name.
    pub fn read(name: &str, content: &[u8]) -> Result<Self, Box<Diagnostic>> {
        let trace = Trace::read(content).map_err(|error| {
            let line = error.line.and_then(|line| u32::try_from(line).ok()).unwrap_or_default();
            let place = Place { source: name.into(), line, column: 0 };
            Box::new(Diagnostic::error("trace", error.message).at(place))
        })?;
        Ok(Self { trace, fingerprint: Digest::of(content) })
    }
}

impl ScenarioFiles {
    /// The trace that the scenario has under this path.
    pub fn trace(&self, path: &str) -> Option<&Trace> {
        self.traces.get(path).map(|file| &file.trace)
    }
}

impl ResolvedScenario {
    /// The scenario itself.
    pub const fn scenario(&self) -> &Scenario {
        &self.text.scenario
    }

    /// A fingerprint of all that a run depends on but the seed: equal fingerprints and equal seeds give
    /// equal runs. Comments and layout of the scenario file have no part in it.
    pub fn fingerprint(&self) -> u64 {
        let mut digest = Digest::default();
        let scenario = Scenario { seed: 0, ..self.scenario().clone() };
        let value = serde_json::to_value(scenario).unwrap_or(Value::Null);
        digest.bytes(value.to_string().as_bytes());
        let texts = |digest: &mut Digest, sources: &[Source]| {
            digest.word(sources.len() as u64);
            for source in sources {
                digest.bytes(source.text.as_bytes());
            }
        };
        texts(&mut digest, &self.files.manifests);
        for (path, sources) in &self.files.applies {
            digest.bytes(path.as_bytes());
            texts(&mut digest, sources);
        }
        for (path, file) in &self.files.traces {
            digest.bytes(path.as_bytes());
            digest.word(file.fingerprint);
        }
        texts(&mut digest, self.files.scheduler_config.as_slice());
        for setting in &self.manifest_settings {
            digest.bytes(setting.to_string().as_bytes());
        }
        digest.value()
    }
}
