//! The events of each pod in a run, in order.

use std::collections::BTreeMap;

use cluster::pod::PodId;
use kubelet::PodStep;
use sim::Simulation;
use sim::watch::{PodEvent, Seen, Watched};

/// A pod event.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Happened {
    Created,
    Bound,
    Ready,
    Deleted,
    Gone,
    Step(PodStep),
}

/// The events of one pod, with their times (s).
#[derive(Clone, Debug, Default)]
pub(super) struct Story(Vec<(f64, Happened)>);

impl Story {
    /// Time of the first such event (s).
    pub(super) fn first(&self, what: &Happened) -> Option<f64> {
        self.0.iter().find(|(_, one)| one == what).map(|(at, _)| *at)
    }

    /// Times of all such events (s).
    pub(super) fn all(&self, what: &Happened) -> Vec<f64> {
        self.0.iter().filter(|(_, one)| one == what).map(|(at, _)| *at).collect()
    }

    /// Time from the first event of one kind to the first of another (s); absent if either did not occur.
    pub(super) fn seconds(&self, from: &Happened, to: &Happened) -> Option<f64> {
        Some(self.first(to)? - self.first(from)?)
    }
}

/// The events of all pods so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Stories(BTreeMap<PodId, Story>);

impl Stories {
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
                Seen::Step { pod, step } => (pod, Happened::Step(step)),
                Seen::Pod { pod, event, .. } => match event {
                    PodEvent::Created => (pod, Happened::Created),
                    PodEvent::Bound(_) => (pod, Happened::Bound),
                    PodEvent::Ready => (pod, Happened::Ready),
                    PodEvent::Deleted(_) => (pod, Happened::Deleted),
                    PodEvent::Gone => (pod, Happened::Gone),
                    PodEvent::Unready | PodEvent::Evicted { .. } => continue,
                },
                _ => continue,
            };
            self.0.entry(pod).or_default().0.push((watched.at.as_secs_f64(), what));
        }
    }

    /// The events of each pod.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Story> {
        self.0.values()
    }
}
