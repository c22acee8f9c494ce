//! The events of each pod in a run, in order.

use std::collections::BTreeMap;

use cluster::pod::PodId;
use kubelet::PodStep;
use sim::Simulation;
use sim::watch::{PodEvent, Watched, WatchedChange};

/// A pod event.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TimelineEvent {
    Created,
    Bound,
    Ready,
    Deleted,
    Gone,
    Step(PodStep),
}

/// The events of one pod, with their times (s).
#[derive(Clone, Debug, Default)]
pub(super) struct PodTimeline(Vec<(f64, TimelineEvent)>);

impl PodTimeline {
    /// Time of the first such event (s).
    pub(super) fn first(&self, what: &TimelineEvent) -> Option<f64> {
        self.0.iter().find(|(_, one)| one == what).map(|(at, _)| *at)
    }

    /// Times of all such events (s).
    pub(super) fn all(&self, what: &TimelineEvent) -> Vec<f64> {
        self.0.iter().filter(|(_, one)| one == what).map(|(at, _)| *at).collect()
    }

    /// Time from the first event of one kind to the first of another (s); absent if either did not occur.
    pub(super) fn seconds(&self, from: &TimelineEvent, to: &TimelineEvent) -> Option<f64> {
        Some(self.first(to)? - self.first(from)?)
    }
}

/// The events of all pods so far.
#[derive(Clone, Debug, Default)]
pub(super) struct PodTimelines(BTreeMap<PodId, PodTimeline>);

impl PodTimelines {
    /// Takes the events since the last call.
    pub(super) fn take(&mut self, simulation: &mut Simulation) {
        self.add(simulation.take_watched());
    }

    /// The events in a watch's output.
    pub(super) fn of(watched: Vec<Watched>) -> Self {
        let mut stories = Self::default();
        stories.add(watched);
        stories
    }

    fn add(&mut self, seen: Vec<Watched>) {
        for watched in seen {
            let (pod, what) = match watched.what {
                WatchedChange::Step { pod, step } => (pod, TimelineEvent::Step(step)),
                WatchedChange::Pod { pod, event, .. } => match event {
                    PodEvent::Created => (pod, TimelineEvent::Created),
                    PodEvent::Bound(_) => (pod, TimelineEvent::Bound),
                    PodEvent::Ready => (pod, TimelineEvent::Ready),
                    PodEvent::Deleted(_) => (pod, TimelineEvent::Deleted),
                    PodEvent::Gone => (pod, TimelineEvent::Gone),
                    PodEvent::Unready | PodEvent::Evicted { .. } => continue,
                },
                _ => continue,
            };
            self.0.entry(pod).or_default().0.push((watched.at.as_secs_f64(), what));
        }
    }

    /// The events of each pod.
    pub(super) fn iter(&self) -> impl Iterator<Item = &PodTimeline> {
        self.0.values()
    }
}
