//! Disruption state of a zone, and the rate at which its nodes may be tainted (`ComputeZoneState` and
//! `handleDisruption` of `pkg/controller/nodelifecycle`, 1.36).

use super::Settings;

/// Disruption state of a zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZoneState {
    /// Not computed yet.
    #[default]
    Initial,
    /// Few nodes are not ready.
    Normal,
    /// A large share of the nodes is not ready.
    Partial,
    /// No node is ready.
    Full,
}

/// Nodes of a zone by readiness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZoneCount {
    /// Ready=True.
    pub ready: usize,
    /// All other nodes.
    pub not_ready: usize,
}

impl ZoneCount {
    /// Total number of nodes.
    pub const fn total(self) -> usize {
        self.ready + self.not_ready
    }

    /// The zone's disruption state. Up to two nodes that are not ready are never a disruption, unless
    /// the zone has no others.
    #[expect(clippy::cast_possible_truncation, reason = "Kubernetes compares 32-bit floats here")]
    pub fn state(self, settings: &Settings) -> ZoneState {
        let share = self.not_ready as f32 / self.total() as f32;
        if self.ready == 0 && self.not_ready > 0 {
            ZoneState::Full
        } else if self.not_ready > 2 && share >= settings.unhealthy_zone_threshold as f32 {
            ZoneState::Partial
        } else {
            ZoneState::Normal
        }
    }
}

/// Taints per second in a zone with this state and size: in a partly disrupted zone the rate is reduced if it is
/// large, and zero if it is small; a fully disrupted zone keeps the normal rate, since the fault is likely its own.
pub(crate) fn rate_per_second(state: ZoneState, nodes: usize, settings: &Settings) -> f64 {
    match state {
        ZoneState::Initial | ZoneState::Normal | ZoneState::Full => settings.eviction_rate,
        ZoneState::Partial if nodes > settings.large_cluster_size => {
            settings.secondary_eviction_rate
        }
        ZoneState::Partial => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(ready: usize, not_ready: usize) -> ZoneState {
        ZoneCount { ready, not_ready }.state(&Settings::default())
    }

    #[test]
    fn a_zone_is_partly_disrupted_from_55_percent_and_three_nodes_on() {
        assert_eq!(state(1, 1), ZoneState::Normal);
        assert_eq!(state(1, 2), ZoneState::Normal);
        assert_eq!(state(2, 3), ZoneState::Partial);
        assert_eq!(state(5, 5), ZoneState::Normal);
        assert_eq!(state(9, 11), ZoneState::Partial);
        assert_eq!(state(0, 1), ZoneState::Full);
    }

    #[test]
    fn a_partly_disrupted_zone_slows_down_or_stops() {
        let settings = Settings::default();
        let rate = |nodes| rate_per_second(ZoneState::Partial, nodes, &settings);
        assert!(rate(50) <= 0.0);
        assert!(rate(51) > 0.0 && rate(51) < rate_per_second(ZoneState::Normal, 51, &settings));
    }
}
