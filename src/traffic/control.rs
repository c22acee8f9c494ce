//! Changes that the cluster makes to the traffic: pods start, stop, get more or less CPU, fail; endpoints change.
//!
//! Every change has a time `now` not before the previous one; all requests until then are processed first.

use super::backend::{Backend, BackendId, BackendState};
use super::path::{ServiceId, Traffic};
use super::recording::{FailureCause, NO_ATTEMPT};
use super::request_model::RequestModelId;
use engine::{SimDuration, SimTime};

impl Traffic {
    /// A pod's application starts serving, at a CPU rate of `cores`.
    pub fn add_backend(&mut self, now: SimTime, model: RequestModelId, cores: f64) -> BackendId {
        self.advance(now);
        let backend =
            Backend::new(now, model, &self.models[model.0 as usize], at_least_none(cores));
        self.backends.insert(backend)
    }

    /// Changes the backend's reaction to requests from now on.
    pub fn set_state(&mut self, now: SimTime, backend: BackendId, state: BackendState) {
        self.advance(now);
        let Some(row) = self.backends.get_mut(backend) else { return };
        row.set_state(now, state, &mut self.records);
        self.touched.extend_from_slice(&row.endpoint_of);
        self.fluid.set_state(now, backend, state);
        if matches!(state, BackendState::Unreachable | BackendState::Gone) {
            for service in &row.endpoint_of {
                self.services[*service as usize].balancer.endpoint_lost();
            }
        }
        match state {
            BackendState::Unreachable => {
                let mut clients = row.drop_all(now, &mut self.records);
                let networked =
                    clients.extract_if(.., |one| one.attempt != NO_ATTEMPT).collect::<Vec<_>>();
                row.hanging += u32::try_from(clients.len()).unwrap_or(u32::MAX);
                for client in clients {
                    self.hanging[client.service as usize].push(client.arrived, backend, None);
                }
                self.enter_pod(now, backend);
                self.pod_unreachable(now, backend, &networked);
            }
            BackendState::Serving => self.serve_work_queues_of(now, backend),
            BackendState::Refusing | BackendState::Gone => {}
        }
    }

    /// Sets the backend's CPU to `cores` from now on: its limit, or the CPU available on its node.
    pub fn set_cpu(&mut self, now: SimTime, backend: BackendId, cores: f64) {
        self.advance(now);
        if let Some(row) = self.backends.get_mut(backend) {
            row.set_cores(now, at_least_none(cores), &mut self.records);
            self.fluid.set_cores(now, backend, row.cores(), &self.models);
        }
        self.enter_pod(now, backend);
    }

    /// Sets the backend's CPU limit from `now` on: CPU time of this many cores per period of CFS bandwidth control,
    /// usable on all of its cores. `None` = no limit.
    pub fn set_quota(&mut self, now: SimTime, backend: BackendId, cores: Option<f64>) {
        self.advance(now);
        if let Some(row) = self.backends.get_mut(backend) {
            row.set_quota(now, cores.map(at_least_none), &mut self.records);
            self.fluid.set_cores(now, backend, row.cores(), &self.models);
        }
        self.enter_pod(now, backend);
    }

    /// The container is stopped: requests in flight fail with the cause, and nothing listens until
    /// [`Traffic::set_state`] makes it serve again.
    pub fn stop_backend(&mut self, now: SimTime, backend: BackendId, cause: FailureCause) {
        self.advance(now);
        let Some(row) = self.backends.get_mut(backend) else { return };
        row.set_state(now, BackendState::Refusing, &mut self.records);
        self.touched.extend_from_slice(&row.endpoint_of);
        self.fluid.drop_queue(now, backend, cause);
        self.fluid.set_state(now, backend, BackendState::Refusing);
        let mut clients = row.drop_all(now, &mut self.records);
        let networked = clients.extract_if(.., |one| one.attempt != NO_ATTEMPT).collect::<Vec<_>>();
        for client in clients {
            self.records.fail(client, cause);
        }
        self.enter_pod(now, backend);
        self.pod_stopped(now, backend, &networked, cause);
    }

    /// The pod is removed, and its id becomes invalid. Requests in flight fail as in [`Traffic::stop_backend`];
    /// requests to an endpoint that still names it hang.
    pub fn remove_backend(&mut self, now: SimTime, backend: BackendId, cause: FailureCause) {
        self.stop_backend(now, backend, cause);
        self.fluid.remove(now, backend, cause);
        let row = self.backends.remove(backend);
        if let Some((node, position)) = row.and_then(|row| row.node_cpu) {
            self.leave_node_cpu(now, node, position);
        }
    }

    /// Routes requests to the service to these backends from now on.
    pub fn set_endpoints(&mut self, now: SimTime, service: ServiceId, endpoints: &[BackendId]) {
        self.advance(now);
        let row = &mut self.services[service.0 as usize];
        for backend in &row.endpoints {
            if let Some(backend) = self.backends.get_mut(*backend) {
                backend.endpoint_of.retain(|one| *one != service.0);
            }
        }
        for backend in endpoints {
            if let Some(backend) = self.backends.get_mut(*backend) {
                backend.endpoint_of.push(service.0);
            }
        }
        self.touched.push(service.0);
        row.endpoints.clear();
        row.endpoints.extend_from_slice(endpoints);
        if self.fluid.has(service.0) {
            let Self { fluid, backends, models, .. } = self;
            fluid.set_endpoints(now, service.0, endpoints, models, |id| {
                backends.get(id).map(|row| row.as_fluid(id))
            });
            self.flows_rise();
            return;
        }
        for backend in endpoints {
            self.requests_come(*backend);
        }
        for backend in endpoints {
            let island = self.services[service.0 as usize].island;
            let Some(row) = self.backends.get_mut(*backend) else { continue };
            match row.island {
                Some(other) if other != island => self.merge_islands(island, other),
                _ => row.island = Some(island),
            }
        }
        self.spread_network(now, service);
        self.watch_loads(now, service);
        self.endpoints_available(service.0);
        self.serve_work_queue(now, service.0);
    }

    /// Services whose pods serve the network, and all that share pods with them, join the network.
    pub(super) fn spread_network(&mut self, now: SimTime, service: ServiceId) {
        let island = self.services[service.0 as usize].island as usize;
        let Self { services, backends, records, islands, .. } = self;
        let needs_events = |service: &u32| {
            let endpoints = services[*service as usize].endpoints.iter();
            endpoints.filter_map(|one| backends.get(*one)).any(Backend::needs_events)
        };
        let is_networked = |service: &u32| services[*service as usize].is_networked;
        if !islands[island].iter().any(|one| is_networked(one) || needs_events(one)) {
            return;
        }
        for member in &islands[island] {
            let member = &mut services[*member as usize];
            member.is_networked = true;
            for backend in &member.endpoints {
                if let Some(backend) = backends.get_mut(*backend) {
                    backend.is_networked = true;
                    backend.watch(now, records);
                }
            }
        }
    }

    /// Lets a backend take work from the work queues of its services.
    fn serve_work_queues_of(&mut self, now: SimTime, backend: BackendId) {
        for service in 0..self.services.len() {
            let index = u32::try_from(service).expect("a world has fewer than 2^32 services");
            if self.network.has_work_queue(index)
                && self.services[service].endpoints.contains(&backend)
            {
                self.serve_work_queue(now, index);
            }
        }
    }

    /// Pins clients of the service to an endpoint until `timeout` after their last request, as with `sessionAffinity:
    /// ClientIP`. Must be called before the service has endpoints.
    pub fn set_client_affinity(&mut self, service: ServiceId, timeout: SimDuration) {
        self.services[service.0 as usize].keep_clients(timeout);
    }

    /// Keeps requests of pods, or from outside, on the node at which they arrive, as with `internalTrafficPolicy:
    /// Local` and `externalTrafficPolicy: Local`: those of pods fail without an endpoint there, and those from outside
    /// only go to nodes with endpoints. Must be called before the service has endpoints.
    pub fn stay_local(&mut self, service: ServiceId, (inside, outside): (bool, bool)) {
        self.services[service.0 as usize].balancer.stay_local(inside, outside);
    }

    /// New connections to the service go through kube-proxy, whose node tracks them: those from the port of an old
    /// connection that was never answered go to the same endpoint. Must be called before the service has endpoints.
    pub fn track_connections(&mut self, service: ServiceId) {
        let row = &mut self.services[service.0 as usize];
        let stream = self.streams.stream("source ports of clients of service", service.0.into());
        row.balancer.track_connections(row.policy.clients, stream);
    }

    /// The backend is in the zone of this number.
    pub fn set_zone(&mut self, backend: BackendId, zone: u16) {
        if let Some(row) = self.backends.get_mut(backend) {
            row.zone = Some(zone);
        }
        self.zones = self.zones.max(zone.saturating_add(1));
    }

    /// The backend is on the node of this number.
    pub fn set_node(&mut self, backend: BackendId, node: u32) {
        if let Some(row) = self.backends.get_mut(backend) {
            row.node = Some(node);
        }
    }

    /// Requests to the backend and from it pass the proxy of a mesh.
    pub fn add_proxy(&mut self, backend: BackendId) {
        if let Some(row) = self.backends.get_mut(backend) {
            row.has_proxy = true;
        }
    }

    /// Keeps requests to the service in the zone of the caller if it has an endpoint there, as with
    /// `trafficDistribution: PreferSameZone`. Clients from outside use all zones equally.
    pub fn prefer_same_zone(&mut self, service: ServiceId) {
        self.services[service.0 as usize].balancer.prefer_close(false);
    }

    /// Keeps requests of pods to the service on the caller's node if it has an endpoint there, as with
    /// `trafficDistribution: PreferSameNode`; otherwise like the same zone.
    pub fn prefer_same_node(&mut self, service: ServiceId) {
        self.services[service.0 as usize].balancer.prefer_close(true);
    }

    /// Merges two islands permanently: requests of both may be in flight in one backend from now on.
    fn merge_islands(&mut self, one: u32, other: u32) {
        let (kept, gone) = (one.min(other), one.max(other));
        let moved = std::mem::take(&mut self.islands[gone as usize]);
        for service in &moved {
            self.services[*service as usize].island = kept;
        }
        self.islands[kept as usize].extend(moved);
        self.islands[kept as usize].sort_unstable();
        for backend in self.backends.values_mut().filter(|row| row.island == Some(gone)) {
            backend.island = Some(kept);
        }
    }

    /// If the balancer uses the load, the backends count their requests in flight.
    fn watch_loads(&mut self, now: SimTime, service: ServiceId) {
        let Self { services, backends, records, .. } = self;
        let row = &services[service.0 as usize];
        if !row.balancer.depends_on_load() {
            return;
        }
        for backend in &row.endpoints {
            if let Some(backend) = backends.get_mut(*backend) {
                backend.watch(now, records);
            }
        }
    }
}

/// Maps NaN and negative CPU rates to 0.
const fn at_least_none(cores: f64) -> f64 {
    if cores > 0.0 { cores } else { 0.0 }
}
