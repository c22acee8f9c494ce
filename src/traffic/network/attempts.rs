//! Attempts: their routing to a pod, and their outcome.

use super::calls::{self, Attempt, AttemptState, Call};
use super::connection_pools::{Pooled, ends_connection};
use super::{Edge, NetworkEvent, NetworkService};
use crate::backend::{Backend, BackendId, BackendState};
use crate::balancer::{Caller, Connection};
use crate::path::Traffic;
use crate::recording::{Client, FailureCause};
use crate::request_model::RequestSize;
use engine::{Id, SimDuration, SimTime, Table};

impl Traffic {
    /// Sends a call to a pod, or returns the cause of an immediate failure.
    #[inline]
    pub(super) fn begin_attempt(
        &mut self,
        now: SimTime,
        id: Id<Call>,
        call: &Call,
    ) -> Result<(), FailureCause> {
        let Edge { service: named, pods: service, has_port, .. } =
            self.network.edges[call.edge as usize];
        if !has_port {
            return Err(FailureCause::NoEndpoint);
        }
        let known = &self.network.services[service as usize];
        let limit = self.services[service as usize].policy.max_requests;
        if limit.is_some_and(|limit| known.active >= limit) {
            return Err(FailureCause::CircuitOpen);
        }
        let waits_in_queue = self.has_to_queue(service);
        let (mut hangs, mut connected_to) = (false, None);
        let attempt = if waits_in_queue {
            self.network.attempts.insert(Attempt::new(id, call, service))
        } else {
            let endpoint = self.choose_endpoint(now, service, call)?;
            let connection = match self.pooled(service, call, endpoint)? {
                Pooled::Unlimited => None,
                Pooled::Connected(connection) => Some(connection),
                Pooled::Waits(caller) => {
                    let attempt = self.network.attempts.insert(Attempt::new(id, call, service));
                    self.wait_for_connection(service, caller, endpoint, attempt);
                    self.attempt_begins(now, id, call, (service, attempt), false);
                    return Ok(());
                }
            };
            let attempt = self.network.attempts.next_id();
            let place = if self.is_blocked(named, call, endpoint) {
                let (place, model) = self.block(endpoint);
                Ok((place, model, SimDuration::ZERO))
            } else {
                self.dispatch(now, attempt, service, call, endpoint)
            };
            let (place, model, way_back) = place.inspect_err(|cause| {
                self.judge(now, service, endpoint, Err(*cause));
                if let Some(connection) = connection {
                    self.disconnect(now, service, connection, ends_connection(*cause));
                }
            })?;
            hangs = matches!(place, AttemptState::Hanging(_) | AttemptState::Blocked(_));
            // Connections of pods and gateways are not kept track of one by one.
            if (call.edge as usize) < self.network.services.len() {
                match (self.services[service as usize].balancer.connection(), place) {
                    (Connection::Opened, AttemptState::Hanging(_)) => {
                        self.network.services[service as usize].unconnected.push(attempt);
                    }
                    (
                        Connection::Opened | Connection::Kept,
                        AttemptState::Pod(pod) | AttemptState::UnderWay(pod),
                    ) => connected_to = Some(pod),
                    _ => {}
                }
            }
            let row =
                Attempt { place, model, way_back, connection, ..Attempt::new(id, call, service) };
            self.network.attempts.insert(row)
        };
        self.attempt_begins(now, id, call, (service, attempt), hangs);
        if waits_in_queue {
            self.put_in_work_queue(now, service, attempt);
        }
        if let Some(pod) = connected_to {
            self.send_unconnected(now, service, pod);
        }
        Ok(())
    }

    /// Counts a new attempt, and sets its deadlines; `hangs` if its pod does not answer.
    #[inline]
    fn attempt_begins(
        &mut self,
        now: SimTime,
        id: Id<Call>,
        call: &Call,
        (service, attempt): (u32, Id<Attempt>),
        hangs: bool,
    ) {
        let network = &mut self.network;
        network.services[service as usize].attempt_begins(now);
        if let Some(call) = network.calls.get_mut(id) {
            call.attempt = Some(attempt);
        }
        let edge = &mut network.edges[call.edge as usize];
        let connect_by =
            hangs.then(|| edge.connect_deadlines.push(now, attempt, &network.attempts));
        if let Some(at) = edge.try_deadlines.push(now, attempt, &network.attempts) {
            network.enter(at, NetworkEvent::TryDeadline(call.edge));
        }
        if let Some(at) = connect_by.flatten() {
            network.enter(at, NetworkEvent::ConnectDeadline(call.edge));
        }
    }

    /// A kept connection to `pod` works: requests of clients that wait for one use it.
    fn send_unconnected(&mut self, now: SimTime, service: u32, pod: BackendId) {
        let waiting = std::mem::take(&mut self.network.services[service as usize].unconnected);
        for id in waiting {
            let network = &mut self.network;
            let Some(attempt) = network.attempts.get_mut(id) else { continue };
            let AttemptState::Hanging(other) = attempt.place else { continue };
            let Some(call) = attempt.call.and_then(|call| network.calls.get(call)) else {
                continue;
            };
            attempt.place = AttemptState::Queue;
            let call = *call;
            if let Some(other) = self.backends.get_mut(other) {
                other.hanging -= 1;
            }
            match self.dispatch(now, id, service, &call, pod) {
                Ok((place, model, way_back)) => {
                    if let Some(attempt) = self.network.attempts.get_mut(id) {
                        (attempt.place, attempt.model) = (place, model);
                        attempt.way_back = way_back;
                    }
                }
                Err(cause) => self.end_attempt(now, id, Err(cause)),
            }
        }
    }

    /// The pod for a call to a service.
    #[inline]
    fn choose_endpoint(
        &mut self,
        now: SimTime,
        service: u32,
        call: &Call,
    ) -> Result<BackendId, FailureCause> {
        let Self { services, backends, records, network, .. } = self;
        let row = &mut services[service as usize];
        let depends_on_caller = row.balancer.depends_on_caller();
        let caller = |backends: &Table<Backend>| {
            let outside = Caller::outside(&call.size);
            if depends_on_caller
                && let calls::Caller::Request(parent) = call.caller
                && let Some(pod) = network.attempts.get(parent).and_then(|one| one.place.pod())
            {
                let pod = backends.get(pod);
                let (zone, node) = (pod.and_then(|pod| pod.zone), pod.and_then(|pod| pod.node));
                return Caller { zone, node, is_inside: true, ..outside };
            }
            outside
        };
        let chosen = row.balancer.choose(&row.available, now, caller, backends, records);
        chosen.ok_or(FailureCause::NoEndpoint)
    }

    /// Sends the request of an attempt to a pod. Returns the place of the attempt, and the pod's model.
    #[inline]
    pub(super) fn send(
        &mut self,
        now: SimTime,
        attempt: Id<Attempt>,
        service: u32,
        size: &RequestSize,
        endpoint: BackendId,
    ) -> Result<(AttemptState, u32), FailureCause> {
        let Self { backends, models, records, classes, .. } = self;
        // The address of a removed pod does not answer.
        let Some(backend) = backends.get_mut(endpoint) else {
            return Ok((AttemptState::Hanging(endpoint), 0));
        };
        let model = classes.model_of(backend.model.0, size.tokens.class);
        let place = match backend.state {
            BackendState::Refusing => return Err(FailureCause::Refused),
            BackendState::Unreachable | BackendState::Gone => {
                backend.hanging += 1;
                AttemptState::Hanging(endpoint)
            }
            BackendState::Serving => {
                let client = Client { service, attempt: attempt.position(), arrived: now };
                let demand = models[model as usize].demand(size);
                backend.offer(now, client, size, demand, records)?;
                AttemptState::Pod(endpoint)
            }
        };
        if matches!(place, AttemptState::Pod(_)) {
            self.enter_pod(now, endpoint);
        }
        Ok((place, model))
    }

    /// An attempt has ended: its pod has completed it, or was removed.
    pub(super) fn end_attempt(
        &mut self,
        now: SimTime,
        id: Id<Attempt>,
        result: Result<(), FailureCause>,
    ) {
        if self.network.journeys.is_some() && self.leaves_pod(now, id, result) {
            return;
        }
        let Some(attempt) = self.network.attempts.remove(id) else { return };
        if let Some(connection) = attempt.connection {
            let closes = result.is_err_and(ends_connection);
            self.disconnect(now, attempt.service, connection, closes);
        }
        match attempt.place {
            AttemptState::Calling(pod) => self.release(now, pod),
            AttemptState::UnderWay(pod) | AttemptState::Returning(pod, _) => {
                if let Some(pod) = self.backends.get_mut(pod) {
                    pod.under_way -= 1;
                }
            }
            AttemptState::Hanging(pod) | AttemptState::Blocked(pod) => {
                if let Some(pod) = self.backends.get_mut(pod) {
                    pod.hanging -= 1;
                }
            }
            AttemptState::Queue | AttemptState::Pod(_) => {}
        }
        if let Some(pod) = attempt.place.pod() {
            if attempt.call.is_some() {
                self.judge(now, attempt.service, pod, result);
            }
            let is_away =
                matches!(attempt.place, AttemptState::UnderWay(_) | AttemptState::Returning(..));
            if !is_away && self.network.has_work_queue(attempt.service) {
                self.take_from_work_queue(now, attempt.service, pod);
                self.note_idle(now, pod);
            }
        }
        let Some(call) = attempt.call else { return };
        self.network.services[attempt.service as usize].attempt_ends(now);
        let Err(cause) = result else { return self.end_call(now, call, Ok(())) };
        if let Some(call) = self.network.calls.get_mut(call) {
            call.attempt = None;
        }
        self.attempt_failed(now, call, cause);
    }

    /// The caller gives up an attempt; the pod continues, unless it is an inference server. Returns the
    /// failure that the caller observes.
    pub(super) fn abandon(&mut self, now: SimTime, id: Id<Attempt>) -> FailureCause {
        let Some(attempt) = self.network.attempts.get_mut(id) else { return FailureCause::Timeout };
        attempt.call = None;
        let (service, place) = (attempt.service, attempt.place);
        // HTTP/1.1 can abandon a request only with its connection.
        if let Some(connection) = attempt.connection.take() {
            self.disconnect(now, service, connection, true);
        }
        self.network.services[service as usize].attempt_ends(now);
        let cause = match place {
            AttemptState::Hanging(_) => FailureCause::Unreachable,
            AttemptState::Blocked(_) => FailureCause::Blocked,
            AttemptState::Queue
            | AttemptState::Pod(_)
            | AttemptState::Calling(_)
            | AttemptState::UnderWay(_)
            | AttemptState::Returning(..) => FailureCause::Timeout,
        };
        if matches!(
            place,
            AttemptState::Hanging(_)
                | AttemptState::Blocked(_)
                | AttemptState::Queue
                | AttemptState::UnderWay(_)
                | AttemptState::Returning(..)
        ) {
            self.end_attempt(now, id, Err(cause));
        }
        if let Some(pod) = place.pod() {
            if let Some(backend) = self.backends.get_mut(pod) {
                backend.abort(now, id.position());
            }
            self.judge(now, service, pod, Err(cause));
        }
        cause
    }

    /// Times out attempts on an edge: by the timeout of a try, or by the connection timeout.
    pub(super) fn give_up_attempts(&mut self, now: SimTime, edge: u32, due: NetworkEvent) {
        let position = edge as usize;
        loop {
            let network = &mut self.network;
            let deadlines = network.edges[position].deadlines_of(due);
            let Some(id) = deadlines.pop_due(now, &network.attempts) else { break };
            let Some(call) = network.attempts.get(id).and_then(|attempt| attempt.call) else {
                continue;
            };
            if let Some(call) = network.calls.get_mut(call) {
                call.attempt = None;
            }
            let cause = self.abandon(now, id);
            self.attempt_failed(now, call, cause);
        }
        if let Some(at) = self.network.edges[position].deadlines_of(due).next() {
            self.network.enter(at, due);
        }
    }

    /// Outlier detection: ejects a pod for a while after too many consecutive failures.
    #[inline]
    fn judge(
        &mut self,
        now: SimTime,
        service: u32,
        pod: BackendId,
        result: Result<(), FailureCause>,
    ) {
        if self.services[service as usize].policy.outlier_detection.is_some() {
            self.judge_by_rule(now, service, pod, result);
        }
    }

    fn judge_by_rule(
        &mut self,
        now: SimTime,
        service: u32,
        pod: BackendId,
        result: Result<(), FailureCause>,
    ) {
        let row = &mut self.services[service as usize];
        let Some(rule) = row.policy.outlier_detection else { return };
        let Some(backend) = self.backends.get_mut(pod) else { return };
        if result.is_ok() {
            backend.failures_in_a_row = 0;
            return;
        }
        backend.failures_in_a_row += 1;
        let NetworkService { ejected, .. } = &mut self.network.services[service as usize];
        let may_be_ejected = (rule.max_ejected_share * row.endpoints.len() as f64).max(1.0);
        let is_outlier = backend.failures_in_a_row >= rule.consecutive_failures;
        if !is_outlier || ejected.len() as f64 >= may_be_ejected.floor() || ejected.contains(&pod) {
            return;
        }
        backend.failures_in_a_row = 0;
        backend.ejections += 1;
        let span = rule.base_ejection_time * i64::from(backend.ejections);
        ejected.push(pod);
        self.network.enter(now + span, NetworkEvent::Restore(service, pod));
        self.endpoints_available(service);
    }

    /// An ejected endpoint gets requests again.
    pub(super) fn restore(&mut self, service: u32, pod: BackendId) {
        self.network.services[service as usize].ejected.retain(|ejected| *ejected != pod);
        self.endpoints_available(service);
    }

    /// Computes the endpoints that get requests.
    pub(crate) fn endpoints_available(&mut self, service: u32) {
        let ejected = &self.network.services[service as usize].ejected;
        let row = &mut self.services[service as usize];
        row.available.clear();
        row.available.extend(row.endpoints.iter().filter(|one| !ejected.contains(one)));
        row.balancer.endpoints_changed(&row.available, &self.backends, self.zones);
    }
}

impl Attempt {
    /// An attempt at a call, not placed yet.
    const fn new(id: Id<Call>, call: &Call, service: u32) -> Self {
        let place = AttemptState::Queue;
        Self {
            call: Some(id),
            service,
            depth: call.depth,
            place,
            model: 0,
            pending: 0,
            next: 0,
            way_back: SimDuration::ZERO,
            connection: None,
        }
    }
}

impl AttemptState {
    /// The pod that has it, if any.
    pub(super) const fn pod(self) -> Option<BackendId> {
        match self {
            Self::Queue => None,
            Self::Pod(pod)
            | Self::Calling(pod)
            | Self::Hanging(pod)
            | Self::Blocked(pod)
            | Self::UnderWay(pod)
            | Self::Returning(pod, _) => Some(pod),
        }
    }
}
