//! Holding a recommendation back because of recent ones: `stabilizeRecommendation` and
//! `stabilizeRecommendationWithBehaviors` in `pkg/controller/podautoscaler/horizontal.go`.

use serde::Serialize;

use super::history::{HpaHistory, Recommendation};
use crate::cluster::hpa_status::HpaConditionReason;
use crate::engine::{SimDuration, SimTime};

/// What recent recommendations did to the new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stabilization {
    /// What the metrics ask for.
    pub recommendation: i32,
    /// What is left of it.
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

/// Without a behavior: the highest recommendation of the window counts, in both directions. An
/// entry exactly as old as the window is inside. Remembers the new recommendation.
pub fn stabilize(
    history: &mut HpaHistory,
    recommendation: i32,
    window: SimDuration,
    now: SimTime,
) -> Stabilization {
    let cutoff = now - window;
    let known = history.recommendations.as_deref().unwrap_or_default();
    let recent = known.iter().filter(|entry| entry.timestamp >= cutoff);
    let highest = recent.fold(recommendation, |highest, entry| highest.max(entry.replicas));
    let expired = known.iter().rposition(|entry| entry.timestamp < cutoff);
    let is_changed = highest != recommendation;
    let deciding = if is_changed { entries(known, |at| at >= cutoff) } else { Vec::new() };
    history.record_recommendation(
        Recommendation { replicas: recommendation, timestamp: now },
        expired,
    );
    Stabilization {
        recommendation,
        stabilized: highest,
        lowest_in_up_window: None,
        highest_in_down_window: highest,
        up_window: SimDuration::ZERO,
        down_window: window,
        deciding,
        reason: if is_changed {
            HpaConditionReason::ScaleDownStabilized
        } else {
            HpaConditionReason::ReadyForNewScale
        },
    }
}

/// With a behavior: the current count is moved no further than into the range from the lowest
/// recommendation of the scale-up window to the highest of the scale-down window. An entry exactly
/// as old as its window is outside. Remembers the new recommendation.
pub fn stabilize_with_behavior(
    history: &mut HpaHistory,
    recommendation: i32,
    current_replicas: i32,
    windows: Windows,
    now: SimTime,
) -> Stabilization {
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
    let expired = known.iter().rposition(is_expired);
    // Two steps, not a clamp: the recommendation lies in both windows, so lowest <= highest.
    let stabilized = current_replicas.max(lowest).min(highest);
    let is_changed = stabilized != recommendation;
    let earlier_cutoff = up_cutoff.min(down_cutoff);
    let deciding = if is_changed { entries(known, |at| at > earlier_cutoff) } else { Vec::new() };
    history.record_recommendation(
        Recommendation { replicas: recommendation, timestamp: now },
        expired,
    );
    Stabilization {
        recommendation,
        stabilized,
        lowest_in_up_window: Some(lowest),
        highest_in_down_window: highest,
        up_window: windows.up,
        down_window: windows.down,
        deciding,
        reason: match is_changed {
            false => HpaConditionReason::ReadyForNewScale,
            true if recommendation >= current_replicas => HpaConditionReason::ScaleUpStabilized,
            true => HpaConditionReason::ScaleDownStabilized,
        },
    }
}

/// The entries of a window, in the order of time.
fn entries(known: &[Recommendation], is_inside: impl Fn(SimTime) -> bool) -> Vec<Recommendation> {
    let mut entries: Vec<_> = known.iter().filter(|e| is_inside(e.timestamp)).copied().collect();
    entries.sort_by_key(|entry| entry.timestamp);
    entries
}
