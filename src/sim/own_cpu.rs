//! CPU that applications burn for themselves (warm-up, settling, their workload's load): how much of it
//! they want, and how much of that a crowded node keeps from them.

use super::apps::{Apps, PodApp};
use super::cpu_load::CpuLoads;
use cluster::node::NodeId;
use cluster::pod::PodId;
use engine::{SimDuration, SimTime};
use units::MilliCpu;

/// What an application gets of the CPU that it wants for itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnCpu {
    /// The share that it gets, 0 to 1.
    granted: f64,
    /// What it had wanted in all when that began.
    wanted_before: SimDuration,
    /// What was kept from it until then.
    withheld: SimDuration,
}

impl OwnCpu {
    /// It gets all that it wants.
    pub(super) const UNHINDERED: Self =
        Self { granted: 1.0, wanted_before: SimDuration::ZERO, withheld: SimDuration::ZERO };

    /// What was kept from it, of all that it wanted so far.
    pub(super) fn withheld(&self, wanted: SimDuration) -> SimDuration {
        if self.granted >= 1.0 {
            return self.withheld;
        }
        let since = (wanted - self.wanted_before).as_secs_f64();
        self.withheld + SimDuration::from_secs_f64(since * (1.0 - self.granted))
    }

    /// It gets this share from now on; `wanted` is what it wanted so far.
    fn grant(&mut self, wanted: SimDuration, granted: f64) {
        *self = Self { granted, wanted_before: wanted, withheld: self.withheld(wanted) };
    }

    /// Whether a part of it is kept from the application.
    pub(super) const fn is_hindered(&self) -> bool {
        self.granted < 1.0
    }
}

/// What the applications of each node can use at most, by the node's slot: where that fits, nobody keeps
/// anything from anybody, whatever they burn for themselves.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeClaims(Vec<Option<NodeClaim>>);

/// Billionths of a core.
#[derive(Clone, Copy, Debug)]
struct NodeClaim {
    node: NodeId,
    capacity_nano: i64,
    claimed_nano: i64,
}

impl NodeClaims {
    /// Applications of a node of this size can use so much more.
    pub(super) fn add(&mut self, node: NodeId, size: MilliCpu, more_nano: i64) {
        if self.0.len() <= node.index() {
            self.0.resize(node.index() + 1, None);
        }
        let slot = &mut self.0[node.index()];
        let claimed = slot.filter(|claim| claim.node == node).map_or(0, |claim| claim.claimed_nano);
        *slot = Some(NodeClaim {
            node,
            capacity_nano: size.0.saturating_mul(1_000_000),
            claimed_nano: claimed.saturating_add(more_nano),
        });
    }

    /// An application is gone that could use so much.
    pub(super) fn remove(&mut self, node: NodeId, nano: i64) {
        let slot = self.0.get_mut(node.index()).and_then(Option::as_mut);
        if let Some(claim) = slot.filter(|claim| claim.node == node) {
            claim.claimed_nano -= nano;
        }
    }

    /// Whether everything fits that the applications of a node could ever use.
    pub(super) fn fit(&self, node: NodeId) -> bool {
        let claim = self.0.get(node.index()).copied().flatten().filter(|claim| claim.node == node);
        claim.is_some_and(NodeClaim::fits)
    }

    /// The same of all nodes.
    fn all_fit(&self) -> bool {
        self.0.iter().copied().flatten().all(NodeClaim::fits)
    }
}

impl NodeClaim {
    const fn fits(self) -> bool {
        self.claimed_nano <= self.capacity_nano
    }
}

impl PodApp {
    /// The most that its containers can use, billionths of a core.
    pub(super) fn most_nano(&self) -> i64 {
        let others = self.others.iter().flat_map(|others| others.iter()).map(|one| one.cpu_nano);
        others.fold(self.limit_nano, i64::saturating_add)
    }

    /// Cores that it would burn for itself now.
    pub(super) fn own_demand(&self, now: SimTime, loads: &CpuLoads) -> f64 {
        let milli = |milli: u32| f64::from(milli) / 1000.0;
        let profile = &self.app.profile;
        let warm_up = self.warming_since.map_or(0.0, |_| milli(profile.warm_up_cpu_milli));
        let settling = if self.is_settling(now) { milli(profile.settling_cpu_milli) } else { 0.0 };
        let load = self.share.map_or(0.0, |share| loads.rate(share).0 as f64 / 1e9);
        (warm_up + settling + load).min(self.cores)
    }

    /// Whether it has a part in the sharing of its node's CPU, while it wants so much for itself.
    pub(super) const fn takes_cpu(&self, own: f64) -> bool {
        self.backend.is_some() || own > 0.0 || self.own_cpu.is_hindered()
    }

    /// Whether it burns CPU for itself at any time.
    pub(super) fn has_own_cpu(&self) -> bool {
        let profile = &self.app.profile;
        profile.warm_up_cpu_milli > 0
            || profile.settling_cpu_milli > 0
            || self.app.cpu_load.is_some()
    }

    /// Cores that the containers beside the application's use while the pod runs.
    pub(super) fn cores_beside(&self) -> f64 {
        if !self.is_running() {
            return 0.0;
        }
        let others = self.others.iter().flat_map(|others| others.iter());
        others.map(|one| one.cpu_nano as f64 / 1e9).sum()
    }

    /// CPU time that it wanted for itself so far.
    pub(super) fn own_time(&self, now: SimTime, loads: &CpuLoads) -> SimDuration {
        let shared = self.share.map_or(SimDuration::ZERO, |share| loads.burnt(now, share));
        self.warm_up_cpu_time_at(now) + self.settled(now) + self.burnt + shared
    }
}

impl Apps {
    /// An application gets this share of the CPU that it wants for itself.
    pub(super) fn grant_own_cpu(&mut self, now: SimTime, pod: PodId, granted: f64) {
        let Self { by_pod, loads, restless, .. } = self;
        let app = by_pod.get_mut(pod.index()).and_then(Option::as_mut);
        let Some(app) = app.filter(|app| app.pod == pod) else { return };
        if app.own_cpu.granted.to_bits() != granted.to_bits() {
            let wanted = app.own_time(now, loads);
            app.own_cpu.grant(wanted, granted);
            app.changed_at = now;
            restless.insert(pod);
        }
    }

    /// Takes the nodes whose applications may want more CPU than there is, in their order.
    pub(super) fn take_crowds(&mut self) -> std::collections::BTreeSet<NodeId> {
        let Self { by_pod, loads, crowds, claims, have_served, .. } = self;
        let mut meters = loads.take_spread().peekable();
        if meters.peek().is_some() && (*have_served || !claims.all_fit()) {
            for pod in meters.flatten().copied() {
                let app = by_pod.get(pod.index()).and_then(Option::as_ref);
                if let Some(app) = app.filter(|app| app.pod == pod) {
                    let node = app.node.filter(|node| app.backend.is_some() || !claims.fit(*node));
                    crowds.extend(node);
                }
            }
        }
        std::mem::take(crowds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_of_a_slot_that_another_node_took_are_not_its_own() {
        let (first, next) = (NodeId::from_bits(1 << 32), NodeId::from_bits(2 << 32));
        assert_eq!(first.index(), next.index());
        let (mut claims, size) = (NodeClaims::default(), MilliCpu(1000));
        claims.add(first, size, 600_000_000);
        assert!(claims.fit(first) && !claims.fit(next) && claims.all_fit());
        claims.add(first, size, 600_000_000);
        assert!(!claims.fit(first) && !claims.all_fit());
        claims.remove(first, 600_000_000);
        assert!(claims.fit(first));
        claims.add(next, size, 500_000_000);
        claims.remove(first, 600_000_000);
        claims.add(next, size, 500_000_000);
        assert!(claims.fit(next) && !claims.fit(first));
    }

    #[test]
    fn what_is_kept_from_an_application_follows_what_it_wanted_meanwhile() {
        let at = SimDuration::from_secs;
        let mut own = OwnCpu::UNHINDERED;
        assert_eq!(own.withheld(at(10)), at(0));
        own.grant(at(10), 0.25);
        assert_eq!(own.withheld(at(18)), at(6));
        own.grant(at(18), 1.0);
        assert_eq!(own.withheld(at(30)), at(6));
    }
}
