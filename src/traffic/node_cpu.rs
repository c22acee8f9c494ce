//! Instantaneous sharing of a node's CPU among pods that may demand more than it has: by weight, with unused
//! shares redistributed, as in the kernel's fair scheduler.

use super::backend::BackendId;
use engine::{Id, SimTime};

/// Key of the CPU of a node that pods share.
pub type NodeCpuId = Id<NodeCpu>;

/// A pod's claim to the node's CPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CpuClaim {
    /// Its backend; absent for a pod without requests.
    pub backend: Option<BackendId>,
    /// Cores that it may use over time: its limit, capped by the size of the node.
    pub limit: f64,
    /// Cores that it can burst to while its quota lasts.
    pub burst: f64,
    /// `cpu.shares` of its cgroup, or anything proportional; greater than zero.
    pub weight: f64,
    /// Cores that it would use for itself, in addition to its requests.
    pub own: f64,
}

/// Result of sharing out the CPU of a node.
#[derive(Clone, Debug)]
pub struct CpuShares {
    /// Key of the node's CPU.
    pub id: NodeCpuId,
    /// For each pod the granted share of the CPU that it would use for itself: the mean since the last call or, if the
    /// claims have changed, the current value.
    pub granted: Vec<f64>,
    /// The shares stay as they are until then, unless the node's pods or their claims change, or
    /// [`crate::Traffic::take_stirred`] names the node; `now` if nothing is known.
    pub hold_until: SimTime,
}

/// The CPU of a node, and the pods among which it is shared.
#[derive(Clone, Debug)]
pub struct NodeCpu {
    capacity: f64,
    members: Vec<Member>,
    /// Total demand in billionths of a core: integers, so that additions and subtractions cancel exactly.
    wanted_nano: i64,
    capacity_nano: i64,
    /// Time of the last [`Self::take_granted`].
    asked_at: SimTime,
    /// Set while the shares are relied on to stay as they are until something changes.
    pub(super) held: Option<Held>,
}

/// Why the shares of a node stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// No pod receives a flow, and each change of the requests' demand is told.
    NoFlow,
    /// The pods receive nothing but flows, and the most that these can want fits.
    FlowsFit,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    claim: CpuClaim,
    /// Maximum number of cores that it can use at this instant.
    cap: f64,
    /// Demand of its requests in cores.
    requests: f64,
    /// Demand of its flows in cores.
    flow: f64,
    /// Total demand in cores.
    wanted: f64,
    wanted_nano: i64,
    /// Granted share of its own demand, and the time integral of that share up to `granted_at` since the last
    /// query [s].
    granted: f64,
    granted_seconds: f64,
    granted_at: SimTime,
}

impl NodeCpu {
    /// A node's CPU with this many cores for these pods.
    pub(super) fn new(now: SimTime, capacity: f64, claims: &[CpuClaim]) -> Self {
        let members: Vec<Member> = claims.iter().map(|claim| Member::new(now, *claim)).collect();
        let wanted_nano = members.iter().map(|member| member.wanted_nano).sum();
        Self {
            capacity,
            members,
            wanted_nano,
            capacity_nano: nano(capacity),
            asked_at: now,
            held: None,
        }
    }

    /// Whether it was built from exactly these inputs.
    pub(super) fn is_of(&self, capacity: f64, claims: &[CpuClaim]) -> bool {
        let known = self.members.iter().map(|member| &member.claim);
        self.capacity.to_bits() == capacity.to_bits() && known.eq(claims)
    }

    /// The pods' claims.
    pub(super) fn claims(&self) -> impl Iterator<Item = &CpuClaim> {
        self.members.iter().map(|member| &member.claim)
    }

    /// Sets the CPU demand of a pod's requests from now on. Returns whether any pod's share may change.
    #[inline]
    pub(super) fn want(&mut self, position: usize, requests: f64) -> bool {
        let was_short = self.is_short();
        let member = &mut self.members[position];
        if member.requests.to_bits() == requests.to_bits() {
            return false;
        }
        let before = member.wanted_nano;
        member.requests = requests;
        member.add_up();
        self.wanted_nano += member.wanted_nano - before;
        // While there is enough for all, demand within or above the pod's cap does not affect others; within the
        // pod it does if requests compete with the pod's own demand.
        let matters = member.wanted_nano != before && (was_short || self.is_short());
        matters || self.members[position].claim.own > 0.0
    }

    /// The demand of a pod's requests as last told.
    pub(super) fn requests_of(&self, position: usize) -> f64 {
        self.members[position].requests
    }

    /// Whether the pods have enough if each flow wants at most this much, whatever it wants.
    pub(super) fn has_room_for(&self, flows: &[f64]) -> bool {
        let most = self.members.iter().zip(flows).map(|(member, flow)| {
            let mut most = Member { flow: *flow, ..*member };
            most.add_up();
            // Each demand is rounded, up at most by one.
            most.wanted_nano.saturating_add(1)
        });
        most.fold(0, i64::saturating_add) <= self.capacity_nano
    }

    /// Sets the CPU demand of a pod's flows from now on.
    pub(super) fn set_flow_demand(&mut self, position: usize, flow: f64) {
        let member = &mut self.members[position];
        self.wanted_nano -= member.wanted_nano;
        member.flow = flow;
        member.add_up();
        self.wanted_nano += member.wanted_nano;
    }

    /// Removes a pod.
    pub(super) fn leave(&mut self, position: usize) {
        let member = &mut self.members[position];
        self.wanted_nano -= member.wanted_nano;
        let claim = CpuClaim { backend: None, own: 0.0, ..member.claim };
        *member = Member::new(member.granted_at, claim);
    }

    /// Computes the shares, and reports for each backend the cores available to its requests, and their demand as
    /// far as known. A pod without demand gets the amount it could claim.
    pub(super) fn share(&mut self, now: SimTime, mut tell: impl FnMut(BackendId, f64, f64)) {
        let level = if self.is_short() { self.level() } else { f64::INFINITY };
        for member in &mut self.members {
            let share = (level * member.claim.weight).min(member.cap);
            let (granted, cores) = split(share, member.claim.own, member.requests + member.flow);
            member.grant(now, granted);
            if let Some(backend) = member.claim.backend {
                tell(backend, cores, member.requests);
            }
        }
    }

    /// The granted share of each pod's own demand, as the mean since the last query, or the current value if that
    /// was at the same time.
    pub(super) fn take_granted(&mut self, now: SimTime) -> Vec<f64> {
        let seconds = (now - self.asked_at).as_secs_f64();
        self.asked_at = now;
        let granted = |member: &mut Member| {
            member.grant(now, member.granted);
            let mean = std::mem::take(&mut member.granted_seconds) / seconds;
            if seconds > 0.0 { mean.min(1.0) } else { member.granted }
        };
        self.members.iter_mut().map(granted).collect()
    }

    #[inline]
    const fn is_short(&self) -> bool {
        self.wanted_nano > self.capacity_nano
    }

    /// Cores per weight of the pods that get less than they want: pods that want at most that get all of it, and
    /// the rest is shared by the others.
    fn level(&self) -> f64 {
        let (mut level, mut content) = (0.0, 0);
        loop {
            let (mut left, mut weights, mut now_content) = (self.capacity, 0.0, 0);
            for member in &self.members {
                if member.wanted <= level * member.claim.weight {
                    left -= member.wanted;
                    now_content += 1;
                } else {
                    weights += member.claim.weight;
                }
            }
            if weights <= 0.0 || (level > 0.0 && now_content == content) {
                return level;
            }
            content = now_content;
            level = left.max(0.0) / weights;
            if level <= 0.0 {
                return 0.0;
            }
        }
    }
}

impl Member {
    fn new(now: SimTime, claim: CpuClaim) -> Self {
        // The pod's own demand is limited as a mean over time, not by quota periods.
        let cap = if claim.own > 0.0 { claim.limit } else { claim.burst };
        let mut member = Self {
            claim,
            cap,
            requests: 0.0,
            flow: 0.0,
            wanted: 0.0,
            wanted_nano: 0,
            granted: 1.0,
            granted_seconds: 0.0,
            granted_at: now,
        };
        member.add_up();
        member
    }

    fn add_up(&mut self) {
        // A flow has no bursts.
        let flow = self.flow.min(self.claim.limit);
        self.wanted = (self.requests + flow + self.claim.own).min(self.cap);
        self.wanted_nano = nano(self.wanted);
    }

    fn grant(&mut self, now: SimTime, granted: f64) {
        self.granted_seconds += self.granted * (now - self.granted_at).as_secs_f64();
        self.granted_at = now;
        self.granted = granted;
    }
}

/// Splits a pod's cores between the application's own demand and its requests, each of which uses up to one core:
/// the granted share of its own demand, and the cores left for requests. The kernel treats all threads of a
/// container equally.
fn split(cores: f64, own: f64, requests: f64) -> (f64, f64) {
    let wanted = own + requests;
    let granted = if own <= 0.0 || wanted <= cores { 1.0 } else { cores / wanted };
    (granted, (cores - own * granted).max(0.0))
}

#[expect(clippy::cast_possible_truncation, reason = "float to int casts saturate, which is meant")]
fn nano(cores: f64) -> i64 {
    (cores * 1e9).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(position: u64, weight: f64) -> CpuClaim {
        let backend = Some(BackendId::from_bits(position));
        CpuClaim { backend, limit: 4.0, burst: 4.0, weight, own: 0.0 }
    }

    /// Cores of the pods' requests on a node of four cores, given the requests' demand.
    fn shares(pods: &[(CpuClaim, f64)]) -> Vec<f64> {
        let claims: Vec<CpuClaim> = pods.iter().map(|(claim, _)| *claim).collect();
        let mut node = NodeCpu::new(SimTime::ZERO, 4.0, &claims);
        for (position, (_, requests)) in pods.iter().enumerate() {
            node.want(position, *requests);
        }
        let mut shares = Vec::new();
        node.share(SimTime::ZERO, |_, cores, _| shares.push(cores));
        shares
    }

    #[test]
    fn without_contention_everyone_has_its_cap() {
        assert_eq!(shares(&[(claim(0, 1.0), 1.0), (claim(1, 1.0), 2.0)]), [4.0, 4.0]);
    }

    #[test]
    fn a_crowded_node_is_shared_by_weight_and_leftovers_go_on() {
        let shares = shares(&[(claim(0, 1.0), 0.5), (claim(1, 1.0), 4.0), (claim(2, 2.0), 4.0)]);
        assert!((shares[1] - 3.5 / 3.0).abs() < 1e-12, "{shares:?}");
        assert!((shares[2] - 7.0 / 3.0).abs() < 1e-12, "{shares:?}");
        assert!(shares[0] >= 0.5);
    }

    #[test]
    fn what_burns_cpu_for_itself_has_its_limit_and_no_burst() {
        let own = |own| CpuClaim { limit: 1.0, burst: 3.0, own, ..claim(0, 1.0) };
        assert_eq!(shares(&[(own(0.0), 1.0)]), [3.0]);
        assert_eq!(shares(&[(own(0.5), 0.0)]), [0.5], "of its limit of one core");
    }

    #[test]
    fn threads_of_one_container_get_the_same() {
        assert_eq!(split(2.0, 0.5, 1.0), (1.0, 1.5));
        assert_eq!(split(1.0, 1.0, 3.0), (0.25, 0.75));
        assert_eq!(split(1.0, 2.0, 0.0), (0.5, 0.0));
        assert_eq!(split(1.0, 0.0, 5.0), (1.0, 1.0));
    }

    #[test]
    fn only_what_can_change_a_share_counts_as_a_change() {
        let mut node = NodeCpu::new(SimTime::ZERO, 4.0, &[claim(0, 1.0), claim(1, 1.0)]);
        assert!(!node.want(0, 2.0) && !node.want(1, 2.0), "all fits");
        assert!(node.want(1, 3.0), "it is too much");
        assert!(node.want(1, 1.0), "and fits again");
        assert!(!node.want(1, 2.0) && node.want(0, 4.0) && !node.want(0, 5.0), "beyond its cap");
        let mut own = NodeCpu::new(SimTime::ZERO, 4.0, &[CpuClaim { own: 1.0, ..claim(0, 1.0) }]);
        assert!(own.want(0, 1.0), "what it burns for itself is taken from its cores");
    }

    #[test]
    fn what_is_granted_is_told_as_a_mean_over_time() {
        let own = CpuClaim { backend: None, own: 4.0, ..claim(0, 1.0) };
        let mut node = NodeCpu::new(SimTime::ZERO, 4.0, &[own, claim(1, 1.0)]);
        node.share(SimTime::ZERO, |_, _, _| {});
        assert_eq!(node.take_granted(SimTime::ZERO), [1.0, 1.0]);
        node.want(1, 4.0);
        node.share(SimTime::from_secs(1), |_, _, _| {});
        assert_eq!(node.take_granted(SimTime::from_secs(4)), [(1.0 + 3.0 * 0.5) / 4.0, 1.0]);
        node.leave(1);
        node.share(SimTime::from_secs(4), |_, _, _| {});
        assert_eq!(node.take_granted(SimTime::from_secs(6)), [1.0, 1.0]);
    }
}
