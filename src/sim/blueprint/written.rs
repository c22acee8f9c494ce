//! The objects as people had written them at an instant of a run.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::documents::Documents;
use super::{Blueprint, set_in_manifests};
use cluster::ObjectReference;
use engine::SimTime;
use faults::TimelineAction;
use manifest::{ControlPlane, Diagnostics, Source, read_manifests};
use scenario::Override;

impl Blueprint<'_> {
    /// Every object that somebody wrote and nobody deleted until this instant was over, as it was then written,
    /// with the time at which it was first.
    pub fn written_at(&self, until: SimTime) -> Vec<(ObjectReference, SimTime, Value)> {
        let scenario = self.resolved.scenario();
        let files = &self.resolved.files;
        let mut written = Writing::default();
        written.apply(SimTime::ZERO, &files.manifests, &self.resolved.manifest_settings);
        let timeline = scenario.timeline.iter();
        let mut entries: Vec<_> = timeline
            .flat_map(|entry| entry.times(scenario.duration).map(move |at| (at, entry)))
            .map(|(at, entry)| (SimTime::ZERO + at, entry))
            .filter(|(at, _)| *at <= until)
            .collect();
        entries.sort_by_key(|(at, _)| *at);
        for (at, entry) in entries {
            match &entry.action {
                TimelineAction::Apply(path) => {
                    let sources = files.applies.get(path);
                    written.apply(at, sources.map_or(&[], Vec::as_slice), &[]);
                }
                TimelineAction::SetImage(change) => written.documents.set_image(change),
                TimelineAction::Patch(change) => drop(written.documents.patch(change)),
                TimelineAction::Delete(object) => {
                    written.documents.delete(object);
                    written.since.remove(object);
                }
                _ => {}
            }
        }
        let Writing { documents, since } = written;
        let all = documents.beside(&[]).map(|manifest| {
            let object = manifest.reference.clone();
            let at = since.get(&object).copied().unwrap_or(SimTime::ZERO);
            (object, at, manifest.value.clone())
        });
        all.collect()
    }
}

/// Documents that are written one after the other. What is wrong with them was said when the scenario was read.
struct Writing {
    documents: Documents,
    since: BTreeMap<ObjectReference, SimTime>,
}

impl Default for Writing {
    fn default() -> Self {
        Self { documents: Documents::new(ControlPlane::default()), since: BTreeMap::new() }
    }
}

impl Writing {
    fn apply(&mut self, at: SimTime, sources: &[Source], settings: &[Override]) {
        let said = &mut Diagnostics::default();
        let mut manifests = read_manifests(sources, said);
        for setting in settings {
            set_in_manifests(&mut manifests, setting, said);
        }
        for manifest in &manifests {
            self.since.entry(manifest.reference.clone()).or_insert(at);
        }
        self.documents.apply(&manifests);
    }
}
