//! Pods that share their node's CPU: a change in one affects the others at the same instant, so all of them belong
//! to the network.

use crate::backend::{Backend, BackendId};
use crate::node_cpu::{CpuClaim, CpuShares, Held, NodeCpu, NodeCpuId};
use crate::path::{ServiceId, Traffic};
use engine::SimTime;

impl Traffic {
    /// Sets a node's capacity in cores and the pods that share it from now on; `known` is the result of an earlier
    /// call for the node.
    ///
    /// The demand of flows is only read in this call, that of requests at each instant.
    pub fn share_cpu(
        &mut self,
        now: SimTime,
        known: Option<NodeCpuId>,
        capacity: f64,
        claims: &[CpuClaim],
    ) -> CpuShares {
        self.advance(now);
        let same = |node: &NodeCpu| node.is_of(capacity, claims);
        let id = match known {
            Some(id) if self.node_cpus.get(id).is_some_and(same) => id,
            _ => {
                if let Some(id) = known {
                    self.end_cpu_sharing(now, id);
                }
                let id = self.node_cpus.insert(NodeCpu::new(now, capacity, claims));
                self.join_node_cpu(now, id, claims);
                id
            }
        };
        for (position, claim) in claims.iter().enumerate() {
            let Some(backend) = claim.backend else { continue };
            let requests = self.backends.get(backend).map_or(0.0, Backend::cores_wanted);
            if let Some(node) = self.node_cpus.get_mut(id) {
                node.want(position, requests);
                node.set_flow_demand(position, self.fluid.cpu_demand(now, backend));
            }
        }
        self.share_out(now, id);
        let granted = self.node_cpus.get_mut(id).map(|node| node.take_granted(now));
        let granted = granted.unwrap_or_default();
        let is_whole = granted.iter().all(|granted| granted.to_bits() == 1.0_f64.to_bits());
        let held = if is_whole { self.held(now, id, claims) } else { None };
        if let Some(node) = self.node_cpus.get_mut(id) {
            node.held = held.map(|(why, _)| why);
        }
        CpuShares { id, granted, hold_until: held.map_or(now, |(_, until)| until) }
    }

    /// Why and until when the shares of a node will stay as they are unless its pods, their claims or their endpoints
    /// change.
    fn held(
        &mut self,
        now: SimTime,
        id: NodeCpuId,
        claims: &[CpuClaim],
    ) -> Option<(Held, SimTime)> {
        // CPU granted to a pod's own demand is reported as a mean over time.
        if claims.iter().any(|claim| claim.own > 0.0) {
            return None;
        }
        let backends = || claims.iter().map(|claim| claim.backend);
        if backends().flatten().all(|backend| !self.fluid.receives(backend)) {
            return Some((Held::NoFlow, SimTime::MAX));
        }
        let Self { backends: rows, fluid, node_cpus, .. } = self;
        let (mut flows, mut until) = (Vec::with_capacity(claims.len()), SimTime::MAX);
        for backend in backends() {
            let Some(backend) = backend else {
                flows.push(0.0);
                continue;
            };
            let row = rows.get(backend)?;
            // Requests come at any time.
            if row.cores_wanted() > 0.0 || row.endpoint_of.iter().any(|one| !fluid.has(*one)) {
                return None;
            }
            let outlook = fluid.cpu_outlook(now, backend)?;
            flows.push(outlook.most);
            until = until.min(outlook.until);
        }
        let fits = node_cpus.get(id).is_some_and(|node| node.has_room_for(&flows));
        (fits && until > now).then_some((Held::FlowsFit, until))
    }

    /// Takes the nodes whose shares were said to hold and may no longer, as more of a flow goes to one of their pods.
    pub fn take_stirred(&mut self) -> Vec<NodeCpuId> {
        std::mem::take(&mut self.stirred)
    }

    /// Whether [`Self::take_stirred`] would return any.
    pub fn has_stirred(&self) -> bool {
        !self.stirred.is_empty()
    }

    /// More of a flow goes to these backends.
    pub(crate) fn flows_rise(&mut self) {
        for backend in self.fluid.take_risen() {
            self.stir(backend, |_| true);
        }
    }

    /// Requests may come to a backend, one by one.
    pub(crate) fn requests_come(&mut self, backend: BackendId) {
        self.stir(backend, |held| held == Held::FlowsFit);
    }

    fn stir(&mut self, backend: BackendId, ends: impl Fn(Held) -> bool) {
        let id = self.backends.get(backend).and_then(|row| row.node_cpu);
        let Some((id, _)) = id else { return };
        if let Some(node) = self.node_cpus.get_mut(id)
            && node.held.is_some_and(ends)
        {
            node.held = None;
            self.stirred.push(id);
        }
    }

    /// Whether the shares of a node are those that [`Self::share_cpu`] would give at `now`, as it had said that they
    /// hold. Takes as long as that; for checks in debug builds.
    pub fn shares_hold(
        &mut self,
        now: SimTime,
        id: NodeCpuId,
        capacity: f64,
        claims: &[CpuClaim],
    ) -> bool {
        self.advance(now);
        let Self { node_cpus, backends, fluid, .. } = self;
        let Some(node) = node_cpus.get(id) else { return false };
        let backends_at = || claims.iter().map(|claim| claim.backend).enumerate();
        let is_known = backends_at().all(|(position, backend)| {
            let row = backend.and_then(|backend| backends.get(backend));
            let requests = row.map_or(0.0, Backend::cores_wanted);
            requests.to_bits() == node.requests_of(position).to_bits()
        });
        let flow = |backend: Option<BackendId>| backend.map_or(0.0, |it| fluid.cpu_wanted(now, it));
        let fits = || {
            let flows: Vec<f64> = backends_at().map(|(_, backend)| flow(backend)).collect();
            node.has_room_for(&flows)
        };
        node.is_of(capacity, claims) && is_known && (node.held == Some(Held::NoFlow) || fits())
    }

    /// Ends CPU sharing on a node: each pod gets its limit.
    pub fn end_cpu_sharing(&mut self, now: SimTime, id: NodeCpuId) {
        self.advance(now);
        let Some(node) = self.node_cpus.remove(id) else { return };
        for claim in node.claims() {
            let Some(backend) = claim.backend else { continue };
            if let Some(row) = self.backends.get_mut(backend) {
                row.node_cpu = None;
            }
            self.set_cpu(now, backend, claim.burst);
        }
    }

    /// Maximum number of cores that a backend's requests can use: one each, or those of its inference server.
    pub fn most_cores_wanted(&self, backend: BackendId) -> f64 {
        self.backends.get(backend).map_or(0.0, Backend::most_cores_wanted)
    }

    /// Makes these backends share a node's CPU, and their services process requests in a common order of time.
    fn join_node_cpu(&mut self, now: SimTime, id: NodeCpuId, claims: &[CpuClaim]) {
        for (position, claim) in (0..).zip(claims) {
            let Some(backend) = claim.backend else { continue };
            let Some(row) = self.backends.get_mut(backend) else { continue };
            row.node_cpu = Some((id, position));
            if !row.is_networked {
                row.is_networked = true;
                row.watch(now, &mut self.records);
                // It was not advanced while nothing depended on it.
                row.advance(now, &mut self.records);
                self.network.pods.set(backend.index(), row.next_event());
            }
            for service in row.endpoint_of.clone() {
                self.spread_network(now, ServiceId(service));
            }
        }
    }

    /// Removes a backend from the shared CPU of its node.
    pub(crate) fn leave_node_cpu(&mut self, now: SimTime, id: NodeCpuId, position: u32) {
        if let Some(node) = self.node_cpus.get_mut(id) {
            node.leave(position as usize);
            self.share_out(now, id);
        }
    }

    /// A backend's CPU demand on its node may have changed.
    #[inline]
    pub(super) fn cpu_wanted(&mut self, now: SimTime, backend: BackendId) {
        let Some(row) = self.backends.get(backend) else { return };
        let Some((id, position)) = row.node_cpu else { return };
        let wanted = row.cores_wanted();
        if let Some(node) = self.node_cpus.get_mut(id)
            && node.want(position as usize, wanted)
        {
            self.share_out(now, id);
        }
    }

    /// Distributes a node's CPU to its pods.
    fn share_out(&mut self, now: SimTime, id: NodeCpuId) {
        let Self { node_cpus, backends, network, fluid, models, .. } = self;
        let Some(node) = node_cpus.get_mut(id) else { return };
        node.share(now, |backend, cores, requests| {
            let Some(row) = backends.get_mut(backend) else { return };
            if row.set_share(now, cores) {
                // If a quota period starts or is used up at this very instant, the change must still be propagated.
                let is_news = row.cores_wanted().to_bits() != requests.to_bits();
                let next = if is_news { now } else { row.next_event() };
                network.pods.set(backend.index(), next);
                fluid.set_cores(now, backend, row.cores(), models);
            }
        });
    }
}
