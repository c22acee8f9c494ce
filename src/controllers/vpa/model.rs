//! State of the recommender for the pods of one VerticalPodAutoscaler between runs
//! (`pkg/recommender/model/cluster.go`, `pkg/recommender/input/cluster_feeder.go`).

use std::collections::{BTreeMap, BTreeSet};

use super::aggregate::{AggregateState, Checkpoint, ContainerWindow};
use super::settings::VpaSettings;
use cluster::meta::{Labels, Name};
use engine::{SimDuration, SimTime};
use units::{Bytes, MilliCpu};

/// Interval at which expired states are collected.
const GARBAGE_COLLECTION: SimDuration = SimDuration::from_secs(3600);

/// State of a recommender, for pods identified by a `P`.
#[derive(Clone, Debug)]
pub struct Model<P> {
    /// By pod labels and container name. States of labels that no pod has any more still count.
    states: BTreeMap<(Labels, Name), AggregateState>,
    /// States restored from checkpoints at the start, which never expire.
    initial: BTreeMap<Name, AggregateState>,
    pods: BTreeMap<P, PodAggregates>,
    last_collection: Option<SimTime>,
}

#[derive(Clone, Debug)]
struct PodAggregates {
    labels: Labels,
    containers: BTreeMap<Name, ContainerWindow>,
}

impl<P> Default for Model<P> {
    fn default() -> Self {
        Self {
            states: BTreeMap::new(),
            initial: BTreeMap::new(),
            pods: BTreeMap::new(),
            last_collection: None,
        }
    }
}

impl<P: Ord + Copy> Model<P> {
    /// Takes note of a pod and its containers.
    pub fn load_pod<'a>(
        &mut self,
        pod: P,
        labels: &Labels,
        containers: impl Iterator<Item = &'a Name>,
        settings: &VpaSettings,
        now: SimTime,
    ) {
        let fresh = || PodAggregates { labels: labels.clone(), containers: BTreeMap::new() };
        let seen = self.pods.entry(pod).or_insert_with(fresh);
        if seen.labels != *labels {
            seen.labels = labels.clone();
            for name in seen.containers.keys() {
                state_of(&mut self.states, labels, name, settings, now);
            }
        }
        for name in containers {
            if !seen.containers.contains_key(name) {
                state_of(&mut self.states, labels, name, settings, now);
                seen.containers.insert(name.clone(), ContainerWindow::default());
            }
        }
    }

    /// Drops removed pods. Statistics of their containers are kept.
    pub fn retain_pods(&mut self, is_there: impl Fn(&P) -> bool) {
        self.pods.retain(|pod, _| is_there(pod));
    }

    /// Number of pods.
    pub fn pods(&self) -> usize {
        self.pods.len()
    }

    /// Records a container's usage; ignored for unknown pods.
    pub fn add_sample(
        &mut self,
        pod: P,
        container: &str,
        (cpu, memory): (MilliCpu, Bytes),
        at: SimTime,
        (settings, now): (&VpaSettings, SimTime),
    ) {
        if let Some((window, state)) = self.container(pod, container, settings, now) {
            window.add_cpu(state, cpu, at);
            window.add_memory(state, memory, at, settings);
        }
    }

    /// Records an OOM kill of a container with this memory requested or used.
    pub fn add_oom(
        &mut self,
        pod: P,
        container: &str,
        memory: Bytes,
        at: SimTime,
        (settings, now): (&VpaSettings, SimTime),
    ) {
        if let Some((window, state)) = self.container(pod, container, settings, now) {
            window.add_oom(state, memory, at, settings);
        }
    }

    fn container(
        &mut self,
        pod: P,
        container: &str,
        settings: &VpaSettings,
        now: SimTime,
    ) -> Option<(&mut ContainerWindow, &mut AggregateState)> {
        let PodAggregates { labels, containers } = self.pods.get_mut(&pod)?;
        let name = containers.get_key_value(container)?.0.clone();
        let window = containers.get_mut(container)?;
        Some((window, state_of(&mut self.states, labels, &name, settings, now)))
    }

    /// The merged statistics of each container, over all labels and checkpoints.
    pub fn by_container(
        &mut self,
        settings: &VpaSettings,
        now: SimTime,
    ) -> BTreeMap<Name, AggregateState> {
        let mut merged: BTreeMap<Name, AggregateState> = BTreeMap::new();
        let states = self.states.iter_mut().map(|((_, name), state)| (name, state));
        for (name, state) in states.chain(&mut self.initial) {
            let fresh = || AggregateState::new(settings, now);
            merged.entry(name.clone()).or_insert_with(fresh).merge(state);
        }
        merged
    }

    /// Checkpoints of all containers, without the peaks of unfinished windows.
    pub fn checkpoints(
        &mut self,
        settings: &VpaSettings,
        now: SimTime,
    ) -> BTreeMap<Name, Checkpoint> {
        let mut merged = self.by_container(settings, now);
        for PodAggregates { labels, containers } in self.pods.values() {
            for (name, window) in containers {
                let is_known = self.states.contains_key(&(labels.clone(), name.clone()));
                if let Some(state) = merged.get_mut(name).filter(|_| is_known) {
                    window.leave_out_current_peak(state, now);
                }
            }
        }
        merged.into_iter().map(|(name, state)| (name, state.checkpoint())).collect()
    }

    /// A recommender restored from checkpoints.
    pub fn restored(
        checkpoints: &BTreeMap<Name, Checkpoint>,
        settings: &VpaSettings,
        now: SimTime,
    ) -> Self {
        let restored = checkpoints.iter().map(|(name, checkpoint)| {
            (name.clone(), AggregateState::restored(checkpoint, settings, now))
        });
        Self { initial: restored.collect(), ..Self::default() }
    }

    /// Whether expired states are due for collection.
    pub fn is_collection_due(&self, now: SimTime) -> bool {
        self.last_collection.is_none_or(|last| now - last >= GARBAGE_COLLECTION)
    }

    /// Drops expired states, and states without samples to which no pod belongs, once an hour
    /// (`RateLimitedGarbageCollectAggregateCollectionStates`).
    pub fn collect_garbage(&mut self, settings: &VpaSettings, now: SimTime) {
        if !self.is_collection_due(now) {
            return;
        }
        self.last_collection = Some(now);
        let keys = self.pods.values().flat_map(|PodAggregates { labels, containers }| {
            containers.keys().map(|name| (labels.clone(), name.clone()))
        });
        let contributive: BTreeSet<(Labels, Name)> = keys.collect();
        self.states.retain(|key, state| {
            let is_of_nobody = state.is_empty() && !contributive.contains(key);
            !is_of_nobody && !state.is_expired(settings, now)
        });
    }
}

fn state_of<'a>(
    states: &'a mut BTreeMap<(Labels, Name), AggregateState>,
    labels: &Labels,
    name: &Name,
    settings: &VpaSettings,
    now: SimTime,
) -> &'a mut AggregateState {
    let fresh = || AggregateState::new(settings, now);
    states.entry((labels.clone(), name.clone())).or_insert_with(fresh)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(hash: &str) -> Labels {
        [("app", "web"), ("hash", hash)]
            .map(|(key, value)| (Name::from(key), Name::from(value)))
            .into_iter()
            .collect()
    }

    fn at(days: i64) -> SimTime {
        SimTime::from_secs(days * 86_400)
    }

    #[test]
    fn what_was_seen_of_old_labels_counts_until_it_is_out_of_date() {
        let settings = VpaSettings::default();
        let mut model = Model::default();
        let app: Name = "app".into();
        model.load_pod(1, &labels("old"), [&app].into_iter(), &settings, at(0));
        model.add_sample(1, "app", (MilliCpu(100), Bytes(1)), at(1), (&settings, at(1)));
        model.retain_pods(|_| false);
        model.load_pod(2, &labels("new"), [&app].into_iter(), &settings, at(2));
        let samples = |model: &mut Model<i32>| model.by_container(&settings, at(2))[&app].samples();
        assert_eq!(samples(&mut model), 1);
        model.collect_garbage(&settings, at(8));
        assert_eq!(samples(&mut model), 1);
        model.collect_garbage(&settings, at(9));
        assert_eq!(samples(&mut model), 0);
    }

    #[test]
    fn a_restart_goes_on_with_what_was_stored() {
        let settings = VpaSettings::default();
        let mut model = Model::default();
        let app: Name = "app".into();
        model.load_pod(1, &labels("a"), [&app].into_iter(), &settings, at(0));
        model.add_sample(1, "app", (MilliCpu(100), Bytes(1)), at(0), (&settings, at(0)));
        let stored = model.checkpoints(&settings, at(0));
        // The window of its memory is not over.
        assert!(stored[&app].memory.buckets.is_empty());
        let mut model: Model<i32> = Model::restored(&stored, &settings, at(1));
        assert_eq!(model.by_container(&settings, at(1))[&app].samples(), 1);
    }
}
