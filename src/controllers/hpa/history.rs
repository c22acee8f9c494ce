//! State of an HPA kept by the controller between syncs: recommendations and scale events. It lives in the
//! controller's memory and is lost on a restart.

use serde::Serialize;

use cluster::hpa::{Behavior, ScalingRules};
use engine::{SimDuration, SimTime};

/// The in-memory history of one HPA.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HpaHistory {
    /// Unstabilized recommendations; `None` until the first sync that could read the scale.
    /// Expired entries are overwritten, so the order is not that of time.
    pub recommendations: Option<Vec<Recommendation>>,
    /// Scale-ups, for the policies of `behavior`.
    pub scale_up_events: Vec<ScaleEvent>,
    /// Scale-downs, for the policies of `behavior`.
    pub scale_down_events: Vec<ScaleEvent>,
}

/// A recommendation of the metrics before stabilization and limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Recommendation {
    /// The number.
    pub replicas: i32,
    /// Time of the change.
    pub timestamp: SimTime,
}

/// One successful change of the replica count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScaleEvent {
    /// Number of replicas added or removed, never negative.
    pub replica_change: i32,
    /// Time of the change.
    pub timestamp: SimTime,
    /// Older than every policy's period when last checked: may be overwritten.
    pub is_outdated: bool,
}

impl HpaHistory {
    /// Starts the list with the current count if nothing is known yet, so that a restarted
    /// controller does not scale before a whole window has passed (`recordInitialRecommendation`).
    pub(crate) fn record_initial_recommendation(&mut self, current_replicas: i32, now: SimTime) {
        self.recommendations.get_or_insert_with(|| {
            vec![Recommendation { replicas: current_replicas, timestamp: now }]
        });
    }

    /// Puts a recommendation in the place of an expired one, or at the end.
    pub(crate) fn record_recommendation(
        &mut self,
        recommendation: Recommendation,
        place: Option<usize>,
    ) {
        let recommendations = self.recommendations.get_or_insert_default();
        match place {
            Some(place) => recommendations[place] = recommendation,
            None => recommendations.push(recommendation),
        }
    }

    /// Remembers a scale write that succeeded, if there are policies that need to know
    /// (`storeScaleEvent`).
    pub fn record_scale_event(
        &mut self,
        behavior: Option<&Behavior>,
        previous_replicas: i32,
        new_replicas: i32,
        now: SimTime,
    ) {
        let Some(behavior) = behavior else { return };
        let (events, rules) = if new_replicas > previous_replicas {
            (&mut self.scale_up_events, &behavior.scale_up)
        } else {
            (&mut self.scale_down_events, &behavior.scale_down)
        };
        mark_outdated(events, longest_policy_period(rules), now);
        let event = ScaleEvent {
            replica_change: new_replicas.wrapping_sub(previous_replicas).wrapping_abs(),
            timestamp: now,
            is_outdated: false,
        };
        match events.iter().rposition(|event| event.is_outdated) {
            Some(place) => events[place] = event,
            None => events.push(event),
        }
    }

    /// Whether a policy of the behavior still counts a recent scale event, or will count it less as time passes.
    pub(crate) fn limits_scaling(&self, behavior: Option<&Behavior>, now: SimTime) -> bool {
        let Some(behavior) = behavior else { return false };
        let rules = [&behavior.scale_up, &behavior.scale_down];
        let longest = rules.map(longest_policy_period).into_iter().max().unwrap_or_default();
        let mut events = self.scale_up_events.iter().chain(&self.scale_down_events);
        events.any(|event| event.timestamp > now - longest)
    }
}

/// Replicas by which the count changed in the last `period`; an event exactly that old is out
/// (`getReplicasChangePerPeriod`).
pub fn replicas_changed_in(events: &[ScaleEvent], period: SimDuration, now: SimTime) -> i32 {
    let cutoff = now - period;
    events
        .iter()
        .filter(|event| event.timestamp > cutoff)
        .fold(0, |sum, event| sum.wrapping_add(event.replica_change))
}

fn mark_outdated(events: &mut [ScaleEvent], longest_period: SimDuration, now: SimTime) {
    let cutoff = now - longest_period;
    for event in events {
        event.is_outdated |= event.timestamp < cutoff;
    }
}

fn longest_policy_period(rules: &ScalingRules) -> SimDuration {
    let periods = rules.policies.iter().map(|policy| policy.period);
    periods.fold(SimDuration::ZERO, SimDuration::max)
}
