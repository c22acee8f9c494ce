//! Stabilizes a recommendation by recent ones: `stabilizeRecommendation` and `stabilizeRecommendationWithBehaviors`
//! in `pkg/controller/podautoscaler/horizontal.go`.

use serde::Serialize;

use super::history::{HpaHistory, Recommendation};
use cluster::hpa_status::HpaConditionReason;
use engine::{SimDuration, SimTime};

/// Effect of recent recommendations on the new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stabilization {
    /// Recommendation of the metrics.
    pub recommendation: i32,
    /// The stabilized recommendation.
    pub stabilized: i32,
    /// Lowest recommendation of the scale-up window, the new one included; without a behavior there
    /// is no such window.
    pub lowest_in_up_window: Option<i32>,
    /// Highest recommendation of the scale-down window, the new one included.
    pub highest_in_down_window: i32,
    /// Length of the scale-up window.
    pub up_window: SimDuration,
    /// Length of the scale-down window.
    pub down_window: SimDuration,
    /// The older recommendations inside either window, where they changed the result.
    pub deciding: Vec<Recommendation>,
    /// Reason of AbleToScale.
    #[serde(skip)]
    pub reason: HpaConditionReason,
}

/// The two windows of an HPA with a behavior.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Upwards.
    pub up: SimDuration,
    /// Downwards.
    pub down: SimDuration,
}

/// Effect of recent recommendations on a new one, before it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stabilized {
    /// The stabilized recommendation.
    pub stabilized: i32,
    /// Reason of AbleToScale.
    pub reason: HpaConditionReason,
    recommendation: i32,
    lowest: Option<i32>,
    highest: i32,
    windows: Windows,
    /// Older entries count for nothing.
    cutoff: SimTime,
    /// Whether an entry of that very age counts.
    is_inclusive: bool,
    /// The entry that the new one replaces.
    expired: Option<usize>,
}

/// Without a behavior: the highest recommendation of the window counts, in both directions. An
/// entry exactly as old as the window is inside.
pub fn weigh(
    history: &HpaHistory,
    recommendation: i32,
    window: SimDuration,
    now: SimTime,
) -> Stabilized {
    let cutoff = now - window;
    let known = history.recommendations.as_deref().unwrap_or_default();
    let recent = known.iter().filter(|entry| entry.timestamp >= cutoff);
    let highest = recent.fold(recommendation, |highest, entry| highest.max(entry.replicas));
    Stabilized {
        stabilized: highest,
        reason: if highest == recommendation {
            HpaConditionReason::ReadyForNewScale
        } else {
            HpaConditionReason::ScaleDownStabilized
        },
        recommendation,
        lowest: None,
        highest,
        windows: Windows { up: SimDuration::ZERO, down: window },
        cutoff,
        is_inclusive: true,
        expired: known.iter().rposition(|entry| entry.timestamp < cutoff),
    }
}

/// With a behavior: the current count is moved no further than into the range from the lowest
/// recommendation of the scale-up window to the highest of the scale-down window. An entry exactly
/// as old as its window is outside.
pub fn weigh_with_behavior(
    history: &HpaHistory,
    recommendation: i32,
    current_replicas: i32,
    windows: Windows,
    now: SimTime,
) -> Stabilized {
    let (up_cutoff, down_cutoff) = (now - windows.up, now - windows.down);
    let known = history.recommendations.as_deref().unwrap_or_default();
    let (mut lowest, mut highest) = (recommendation, recommendation);
    for entry in known {
        if entry.timestamp > up_cutoff {
            lowest = lowest.min(entry.replicas);
        }
        if entry.timestamp > down_cutoff {
            highest = highest.max(entry.replicas);
        }
    }
    let is_expired =
        |entry: &Recommendation| entry.timestamp < up_cutoff && entry.timestamp < down_cutoff;
    // Two steps, not a clamp: the recommendation lies in both windows, so lowest <= highest.
    let stabilized = current_replicas.max(lowest).min(highest);
    Stabilized {
        stabilized,
        reason: match stabilized != recommendation {
            false => HpaConditionReason::ReadyForNewScale,
            true if recommendation >= current_replicas => HpaConditionReason::ScaleUpStabilized,
            true => HpaConditionReason::ScaleDownStabilized,
        },
        recommendation,
        lowest: Some(lowest),
        highest,
        windows,
        cutoff: up_cutoff.min(down_cutoff),
        is_inclusive: false,
        expired: known.iter().rposition(is_expired),
    }
}

impl Stabilized {
    /// Records the new recommendation, and returns all inputs of the result.
    pub fn settle(self, history: &mut HpaHistory, now: SimTime) -> Stabilization {
        let Self { recommendation, stabilized, cutoff, is_inclusive, windows, .. } = self;
        let known = history.recommendations.as_deref().unwrap_or_default();
        let is_inside = |at: SimTime| at > cutoff || (is_inclusive && at == cutoff);
        let is_changed = stabilized != recommendation;
        let deciding = if is_changed { entries(known, is_inside) } else { Vec::new() };
        history.record_recommendation(
            Recommendation { replicas: recommendation, timestamp: now },
            self.expired,
        );
        Stabilization {
            recommendation,
            stabilized,
            lowest_in_up_window: self.lowest,
            highest_in_down_window: self.highest,
            up_window: windows.up,
            down_window: windows.down,
            deciding,
            reason: self.reason,
        }
    }
}

impl Stabilization {
    /// Records the recommendation made at `now`, overwriting one that is older than both windows.
    pub(super) fn remember(&self, history: &mut HpaHistory, now: SimTime) {
        let cutoff = now - self.up_window.max(self.down_window);
        let known = history.recommendations.as_deref().unwrap_or_default();
        let expired = known.iter().rposition(|entry| entry.timestamp < cutoff);
        let recommendation = Recommendation { replicas: self.recommendation, timestamp: now };
        history.record_recommendation(recommendation, expired);
    }
}

/// The entries of a window, in the order of time.
fn entries(known: &[Recommendation], is_inside: impl Fn(SimTime) -> bool) -> Vec<Recommendation> {
    let mut entries: Vec<_> = known.iter().filter(|e| is_inside(e.timestamp)).copied().collect();
    entries.sort_by_key(|entry| entry.timestamp);
    entries
}
