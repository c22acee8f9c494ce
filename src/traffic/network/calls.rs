//! The life of a call: start, retries, answer or failure, and the caller's reaction.

use std::ops::Range;
use std::sync::Arc;

use super::connection_pools::PooledConnection;
use super::mesh::Fault;
use super::{DEPTH_MAX, NetworkEvent};
use crate::backend::BackendId;
use crate::client_limits::{Address, ClientLimits, Zone};
use crate::path::Traffic;
use crate::recording::FailureCause;
use crate::request_model::RequestSize;
use crate::trace::Tokens;
use engine::random::happens;
use engine::{Id, SimDuration, SimTime};

/// A request to a service, by a client or another request, until it is answered or has failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub edge: u32,
    pub caller: Caller,
    pub made: SimTime,
    pub size: RequestSize,
    pub depth: u8,
    /// Number of retries so far.
    pub retries: u32,
    /// Whether it waits for a retry or is in one.
    pub is_retrying: bool,
    /// The attempt in progress.
    pub attempt: Option<Id<Attempt>>,
    /// Time that the gateway's answer takes to the client.
    pub way_back: SimDuration,
    /// Its outcome, if the gateway's answer is on its way.
    pub outcome: Option<Result<(), FailureCause>>,
    /// Its client, where a gateway counts the calls of each.
    pub address: Option<Address>,
}

impl Call {
    /// Number of its class; 0 if requests are not classified.
    pub const fn class(&self) -> u16 {
        self.size.tokens.class
    }
}

/// The caller of a service.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Caller {
    /// An anonymous client.
    Client,
    /// A closed-loop user: the group, and the number in it.
    User(u32, u32),
    /// Another request.
    Request(Id<Attempt>),
    /// A proxy that mirrors a request, and ignores the answer.
    Mirror,
}

impl Caller {
    /// The user or session of a client's request; absent if not known, or if another service calls.
    fn user(self, session: u32) -> Option<u64> {
        match self {
            Self::Client => (session > 0).then(|| session.into()),
            Self::User(group, user) => Some((u64::from(group) + 1) << 32 | u64::from(user)),
            Self::Request(_) | Self::Mirror => None,
        }
    }
}

/// One attempt at a call: a request from the perspective of its pod.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// The call that waits for it; absent if the caller gave up.
    pub call: Option<Id<Call>>,
    pub service: u32,
    pub depth: u8,
    pub place: AttemptState,
    /// Number of the request model of its pod, or of its class there.
    pub model: u32,
    /// Number of its own calls in progress.
    pub pending: u32,
    /// Position of its next call in its model.
    pub next: u32,
    /// Time that the answer takes to the caller.
    pub way_back: SimDuration,
    /// Its connection, where those of the caller are limited.
    pub connection: Option<PooledConnection>,
}

/// The place of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptState {
    /// In the service's work queue.
    Queue,
    /// In a pod, in service or queued.
    Pod(BackendId),
    /// In a pod that has finished its own work and waits for other services.
    Calling(BackendId),
    /// At a pod whose node does not answer.
    Hanging(BackendId),
    /// On its way to a pod that a network policy blocks.
    Blocked(BackendId),
    /// On its way to a pod.
    UnderWay(BackendId),
    /// Its answer, or the cause of its failure, is on its way from a pod.
    Returning(BackendId, Option<FailureCause>),
}

impl Traffic {
    /// Makes a call on an edge, at the given `depth` in the chain of calls.
    pub(super) fn make_call(
        &mut self,
        now: SimTime,
        edge: u32,
        tokens: Tokens,
        caller: Caller,
        depth: u8,
    ) {
        let admitted = self.admitted(now, edge, tokens);
        let edge = if admitted.is_ok() { self.choice_of(now, edge, tokens, depth) } else { edge };
        let service = self.network.edges[edge as usize].service as usize;
        let client_trip = self.client_trip(service, caller);
        let there = SimDuration::from_nanos(client_trip.as_nanos() / 2);
        let network = &mut self.network;
        let row = &mut network.edges[edge as usize];
        row.active += 1;
        let class_number = if tokens.class > 0 { tokens.class } else { row.class };
        let (class, patience, position) = match &mut network.services[service].mix {
            Some(mix) => {
                let class = mix.class_of(class_number);
                (class, mix.timeout(class), mix.position(class))
            }
            None => (0, None, None),
        };
        let tokens = Tokens { class, ..tokens };
        let size = RequestSize::draw(tokens, &mut self.services[service].sizes);
        let is_of_service = matches!(caller, Caller::Request(_));
        self.records.each(row.service, position, |record| {
            record.arrived(now);
            if is_of_service {
                record.arrived_call(now);
            }
        });
        let user = caller.user(tokens.session);
        self.records.services[service].user_arrived(user, now);
        let call = Call {
            edge,
            caller,
            made: now,
            size,
            depth,
            retries: 0,
            is_retrying: false,
            attempt: None,
            way_back: client_trip - there,
            outcome: None,
            address: admitted.ok().flatten(),
        };
        let id = network.calls.insert(call);
        // A calling request has its own timeout, and a route has one besides the class's.
        let patience = patience.filter(|_| !matches!(caller, Caller::Request(_)));
        let is_of_route = edge as usize >= network.services.len();
        if (patience.is_none() || is_of_route)
            && let Some(at) = row.deadlines.push(now, id, &network.calls)
        {
            network.enter(at, NetworkEvent::Deadline(edge));
        }
        if let Some(patience) = patience {
            network.enter(now + patience, NetworkEvent::ClassDeadline(id));
        }
        if let Err(cause) = admitted {
            // The answer begins its way back once the request has reached the gateway.
            self.end_call(now + there, id, Err(cause));
        } else if depth > DEPTH_MAX {
            self.end_call(now, id, Err(FailureCause::Dependency));
        } else if let Some(fault) = self.draw_fault(edge) {
            match fault {
                Fault::Delay(delay) => {
                    self.network.enter(now + delay, NetworkEvent::ReachGateway(id));
                }
                Fault::Error => self.end_call(now, id, Err(FailureCause::Injected)),
            }
        } else if there > SimDuration::ZERO {
            let network = &mut self.network;
            network.enter(now + there, NetworkEvent::ReachGateway(id));
        } else {
            self.try_call(now, id, &call);
        }
    }

    /// Whether the limits of a gateway admit a new call on this edge, and the client for which it counts if there are any.
    #[inline]
    fn admitted(
        &mut self,
        now: SimTime,
        edge: u32,
        tokens: Tokens,
    ) -> Result<Option<Address>, FailureCause> {
        let Some(limits) = &self.network.edges[edge as usize].client_limits else {
            return Ok(None);
        };
        let limits: Arc<ClientLimits> = Arc::clone(limits);
        let zone = self.network.zones.entry(Arc::clone(&limits.zone)).or_insert_with(|| {
            let name = format!("addresses of the clients of {}", limits.zone);
            Zone::new(self.streams.stream(&name, 0))
        });
        let address = zone.admit(&limits, now, tokens.session);
        address.map(Some).ok_or(FailureCause::RateLimited)
    }

    /// The next attempt at a failed call: the same request, with service times drawn anew.
    pub(super) fn retry(&mut self, now: SimTime, id: Id<Call>) {
        let network = &mut self.network;
        if let Some(call) = network.calls.get_mut(id) {
            let stream = &mut network.edges[call.edge as usize].stream;
            call.size = RequestSize::draw(call.size.tokens, stream);
            let call = *call;
            self.try_call(now, id, &call);
        }
    }

    #[inline]
    pub(super) fn try_call(&mut self, now: SimTime, id: Id<Call>, call: &Call) {
        if let Err(cause) = self.begin_attempt(now, id, call) {
            self.attempt_failed(now, id, cause);
        }
    }

    /// An attempt at a call failed: retries it, or fails the call.
    pub(super) fn attempt_failed(&mut self, now: SimTime, id: Id<Call>, cause: FailureCause) {
        let Self { network, services, .. } = self;
        let Some(call) = network.calls.get_mut(id) else { return };
        let edge = &mut network.edges[call.edge as usize];
        if std::mem::take(&mut call.is_retrying) {
            edge.retrying -= 1;
        }
        let endpoints = services[edge.pods as usize].available.len();
        let retries = edge
            .retries
            .filter(|retries| retries.again(cause, call.retries, now - call.made, endpoints))
            .map(|retries| retries.spec)
            .filter(|retries| retries.has_budget(edge.active, edge.retrying));
        let Some(retries) = retries else { return self.end_call(now, id, Err(cause)) };
        call.retries += 1;
        call.is_retrying = true;
        edge.retrying += 1;
        let wait = retries.wait_before(call.retries, &mut edge.stream);
        let mix = &network.services[edge.service as usize].mix;
        let position = mix.as_ref().and_then(|mix| mix.position(call.class()));
        self.records.each(edge.service, position, |record| record.retried(call.made));
        network.enter(now + wait, NetworkEvent::Retry(id));
    }

    /// A call was answered or has finally failed.
    pub(super) fn end_call(
        &mut self,
        now: SimTime,
        id: Id<Call>,
        result: Result<(), FailureCause>,
    ) {
        let network = &mut self.network;
        let Some(call) = network.calls.get_mut(id) else { return };
        if call.way_back > SimDuration::ZERO && call.outcome.is_none() {
            call.outcome = Some(result);
            call.attempt = None;
            let at = now + call.way_back;
            return network.enter(at, NetworkEvent::ReachClient(id));
        }
        self.finish_call(now, id, result);
    }

    /// The caller knows the outcome of a call.
    pub(super) fn finish_call(
        &mut self,
        now: SimTime,
        id: Id<Call>,
        result: Result<(), FailureCause>,
    ) {
        let network = &mut self.network;
        let Some(call) = network.calls.remove(id) else { return };
        let edge = &mut network.edges[call.edge as usize];
        if let (Some(address), Some(limits)) = (call.address, &edge.client_limits)
            && let Some(zone) = network.zones.get_mut(&limits.zone)
        {
            zone.leave(address);
        }
        edge.active -= 1;
        edge.retrying -= u64::from(call.is_retrying);
        let is_optional = edge.optional;
        let mix = &network.services[edge.service as usize].mix;
        let position = mix.as_ref().and_then(|mix| mix.position(call.class()));
        let is_of_service = matches!(call.caller, Caller::Request(_));
        self.records.each(edge.service, position, |record| match result {
            Ok(()) => {
                record.answered(call.made, now - call.made);
                if is_of_service {
                    record.answered_call(call.made);
                }
            }
            Err(cause) => record.failed(call.made, cause),
        });
        let user = call.caller.user(call.size.tokens.session);
        let record = &mut self.records.services[edge.service as usize];
        record.user_ended(user, call.made, result.is_ok());
        let parent = match call.caller {
            Caller::Client | Caller::Mirror => return,
            Caller::User(group, user) => return network.think(now, (group, user)),
            Caller::Request(parent) => parent,
        };
        let Some(attempt) = network.attempts.get_mut(parent) else { return };
        if !matches!(attempt.place, AttemptState::Calling(_)) {
            // Its node has stopped answering in the meantime.
            return;
        }
        if result.is_err() && !is_optional {
            let called = edge.service;
            let own = attempt.call.and_then(|call| network.calls.get(call));
            let own = own.map_or(attempt.service, |call| network.edges[call.edge as usize].service);
            let failed = &mut self.records.services[own as usize];
            if failed.counts(call.made) {
                *failed.failed_calls.entry(called).or_default() += 1;
            }
            return self.end_attempt(now, parent, Err(FailureCause::Dependency));
        }
        attempt.pending -= 1;
        if attempt.pending == 0 {
            self.next_calls(now, parent);
        }
    }

    /// Times out the due calls on an edge.
    pub(super) fn time_out_calls(&mut self, now: SimTime, edge: u32) {
        let position = edge as usize;
        loop {
            let network = &mut self.network;
            let deadlines = &mut network.edges[position].deadlines;
            let Some(id) = deadlines.pop_due(now, &network.calls) else { break };
            self.give_up_call(now, id);
        }
        if let Some(at) = self.network.edges[position].deadlines.next() {
            self.network.enter(at, NetworkEvent::Deadline(edge));
        }
    }

    /// The caller of this call gives up, if it is still waiting.
    pub(super) fn give_up_call(&mut self, now: SimTime, id: Id<Call>) {
        let Some(call) = self.network.calls.get_mut(id) else { return };
        let attempt = call.attempt.take();
        let cause = attempt.map_or(FailureCause::Timeout, |one| self.abandon(now, one));
        self.finish_call(now, id, Err(cause));
    }

    /// Makes the next calls of an attempt; if none are left, it is answered.
    pub(super) fn next_calls(&mut self, now: SimTime, id: Id<Attempt>) {
        loop {
            let network = &mut self.network;
            let Some(attempt) = network.attempts.get_mut(id) else { return };
            if !matches!(attempt.place, AttemptState::Calling(_)) {
                return;
            }
            let Range { start, end } = network.edges_of_model[attempt.model as usize];
            let first = start + attempt.next;
            if first >= end {
                return self.answer(now, id);
            }
            let joins = |edge: &u32| network.edges[*edge as usize].with_previous;
            let end = (first + 1..end).find(|edge| !joins(edge)).unwrap_or(end);
            attempt.next = end - start;
            // Hold one extra reference, so that calls that end at once do not complete the step before
            // all are made.
            attempt.pending += 1;
            let depth = attempt.depth + 1;
            for edge in first..end {
                self.call_times(now, id, edge, depth);
            }
            let Some(attempt) = self.network.attempts.get_mut(id) else { return };
            attempt.pending -= 1;
            if attempt.pending > 0 {
                return;
            }
        }
    }

    /// Makes the calls of one edge, unless the answer is in the cache.
    fn call_times(&mut self, now: SimTime, parent: Id<Attempt>, edge: u32, depth: u8) {
        let row = &mut self.network.edges[edge as usize];
        if row.cache_hit_rate > 0.0 && happens(&mut row.stream, row.cache_hit_rate) {
            return;
        }
        for _ in 0..row.times {
            let Some(attempt) = self.network.attempts.get_mut(parent) else { return };
            attempt.pending += 1;
            self.make_call(now, edge, Tokens::default(), Caller::Request(parent), depth);
        }
    }
}
