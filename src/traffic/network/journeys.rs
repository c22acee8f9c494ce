//! Requests and answers under way: the network time of each attempt, and that between a gateway and its clients.
//!
//! Half of a round trip passes before the request reaches its pod, the other half after the pod has answered and released
//! its slot. Callers that give up in the meantime do not wait for either.

use super::NetworkEvent;
use super::calls::{self, Attempt, AttemptState, Call};
use crate::backend::{Backend, BackendId, BackendState};
use crate::network_time::{Distance, NetworkTimes};
use crate::path::Traffic;
use crate::policy::{ServicePolicy, Via};
use crate::recording::FailureCause;
use engine::random::index_below;
use engine::{Id, SimDuration, SimTime, Stream};

/// The network between the places of a run.
#[derive(Clone, Debug)]
pub(super) struct Journeys {
    times: NetworkTimes,
    /// For the requests to each service.
    streams: Vec<Stream>,
    /// The region of each zone, as far as known.
    regions: Vec<usize>,
}

impl Traffic {
    /// Lets requests take network time. Must be called before any service has endpoints.
    pub fn use_network_times(&mut self, times: NetworkTimes) {
        let names = self.network.names.iter();
        let streams = names.map(|name| self.streams.stream(&format!("network time to {name}"), 0));
        let streams = streams.collect();
        self.network.journeys = Some(Box::new(Journeys { times, streams, regions: Vec::new() }));
        for service in &mut self.services {
            service.is_networked |= !self.fluid.has(service.island);
        }
    }

    /// The zone of this number is in the region of this number.
    pub fn set_region(&mut self, zone: u16, region: usize) {
        if let Some(journeys) = &mut self.network.journeys {
            let zone = usize::from(zone);
            if journeys.regions.len() <= zone {
                journeys.regions.resize(zone + 1, 0);
            }
            journeys.regions[zone] = region;
        }
    }

    /// Whether clients reach the service through a component of its own, to which their network time is counted once for
    /// each request, and not for each attempt.
    fn has_gateway(policy: &ServicePolicy) -> bool {
        matches!(policy.via, Via::IngressController | Via::Gateway)
            || policy.work_queue
            || policy.activator.is_some()
    }

    /// Draws the round trip between a call's client and the gateway before the service; zero for calls of pods.
    pub(super) fn client_trip(&mut self, service: usize, caller: calls::Caller) -> SimDuration {
        let Some(journeys) = &mut self.network.journeys else { return SimDuration::ZERO };
        let is_inside = matches!(caller, calls::Caller::Request(_) | calls::Caller::Mirror);
        if is_inside || !Self::has_gateway(&self.services[service].policy) {
            return SimDuration::ZERO;
        }
        journeys.times.draw(Distance::Clients, &mut journeys.streams[service])
    }

    /// Draws the round trip of an attempt at a call.
    fn round_trip(&mut self, service: u32, call: &Call, endpoint: BackendId) -> SimDuration {
        let Some(journeys) = &mut self.network.journeys else { return SimDuration::ZERO };
        let Journeys { times, streams, regions } = &mut **journeys;
        let stream = &mut streams[service as usize];
        let to = self.backends.get(endpoint);
        let mut proxies = usize::from(to.is_some_and(|pod| pod.has_proxy));
        let caller = match call.caller {
            calls::Caller::Request(parent) => {
                let pod = self.network.attempts.get(parent).and_then(|one| one.place.pod());
                let pod = pod.and_then(|pod| self.backends.get(pod));
                proxies += usize::from(pod.is_some_and(|pod| pod.has_proxy));
                Some((pod.and_then(|pod| pod.node), pod.and_then(|pod| pod.zone)))
            }
            calls::Caller::Mirror => Some((None, None)),
            _ if Self::has_gateway(&self.services[service as usize].policy) => {
                let zones = usize::from(self.zones);
                let zone = (zones > 0).then(|| index_below(stream, zones));
                Some((None, zone.and_then(|zone| u16::try_from(zone).ok())))
            }
            _ => None,
        };
        let distance = match (caller, to) {
            (None, _) => Distance::Clients,
            (Some(from), to) => distance(from, to, regions),
        };
        times.draw(distance, stream) + times.draw_proxies(proxies, stream)
    }

    /// Sends the request of an attempt to a pod, which it reaches at once or after half of its round trip. Returns the
    /// place of the attempt, the pod's model, and the time that the answer will take.
    #[inline]
    pub(super) fn dispatch(
        &mut self,
        now: SimTime,
        attempt: Id<Attempt>,
        service: u32,
        call: &Call,
        endpoint: BackendId,
    ) -> Result<(AttemptState, u32, SimDuration), FailureCause> {
        if self.network.journeys.is_none() {
            let (place, model) = self.send(now, attempt, service, &call.size, endpoint)?;
            return Ok((place, model, SimDuration::ZERO));
        }
        let round_trip = self.round_trip(service, call, endpoint);
        let answers = |pod: &&mut Backend| {
            matches!(pod.state, BackendState::Serving | BackendState::Refusing)
        };
        match self.backends.get_mut(endpoint).filter(answers) {
            Some(pod) if round_trip > SimDuration::ZERO => {
                pod.under_way += 1;
                let there = SimDuration::from_nanos(round_trip.as_nanos() / 2);
                self.network.enter(now + there, NetworkEvent::Reach(attempt));
                Ok((AttemptState::UnderWay(endpoint), 0, round_trip - there))
            }
            // Nothing answers there, however long the way.
            _ => {
                let (place, model) = self.send(now, attempt, service, &call.size, endpoint)?;
                Ok((place, model, SimDuration::ZERO))
            }
        }
    }

    /// The request of an attempt reaches its pod.
    pub(super) fn reach(&mut self, now: SimTime, id: Id<Attempt>) {
        let network = &mut self.network;
        let Some(attempt) = network.attempts.get_mut(id) else { return };
        let AttemptState::UnderWay(pod) = attempt.place else { return };
        attempt.place = AttemptState::Queue;
        let service = attempt.service;
        let call = attempt.call.and_then(|call| network.calls.get(call));
        let Some(Call { edge, size, .. }) = call.copied() else { return };
        if let Some(pod) = self.backends.get_mut(pod) {
            pod.under_way -= 1;
        }
        let sent = self.send(now, id, service, &size, pod);
        let network = &mut self.network;
        let Some(attempt) = network.attempts.get_mut(id) else { return };
        match sent {
            Err(cause) => self.begin_return(now, id, pod, Err(cause)),
            Ok((place, model)) => {
                (attempt.place, attempt.model) = (place, model);
                if matches!(place, AttemptState::Hanging(_)) {
                    let deadlines = &mut network.edges[edge as usize].connect_deadlines;
                    if let Some(at) = deadlines.push(now, id, &network.attempts) {
                        network.enter(at, NetworkEvent::ConnectDeadline(edge));
                    }
                }
            }
        }
    }

    /// Lets an attempt whose outcome takes time to its caller leave its pod; false if it takes none.
    pub(super) fn leaves_pod(
        &mut self,
        now: SimTime,
        id: Id<Attempt>,
        result: Result<(), FailureCause>,
    ) -> bool {
        let Some(attempt) = self.network.attempts.get(id) else { return false };
        let (place, service) = (attempt.place, attempt.service);
        let is_awaited = attempt.call.is_some() && attempt.way_back > SimDuration::ZERO;
        let (AttemptState::Pod(pod) | AttemptState::Calling(pod)) = place else { return false };
        if !is_awaited {
            return false;
        }
        self.begin_return(now, id, pod, result);
        if matches!(place, AttemptState::Calling(_)) {
            self.release(now, pod);
        }
        if self.network.has_work_queue(service) {
            self.take_from_work_queue(now, service, pod);
            self.note_idle(now, pod);
        }
        true
    }

    /// The outcome of an attempt leaves its pod for the caller.
    pub(super) fn begin_return(
        &mut self,
        now: SimTime,
        id: Id<Attempt>,
        pod: BackendId,
        result: Result<(), FailureCause>,
    ) {
        let network = &mut self.network;
        let Some(attempt) = network.attempts.get_mut(id) else { return };
        attempt.place = AttemptState::Returning(pod, result.err());
        let at = now + attempt.way_back;
        network.enter(at, NetworkEvent::Return(id));
        if let Some(pod) = self.backends.get_mut(pod) {
            pod.under_way += 1;
        }
    }

    /// The outcome of an attempt reaches the caller.
    pub(super) fn end_return(&mut self, now: SimTime, id: Id<Attempt>) {
        let place = self.network.attempts.get(id).map(|attempt| attempt.place);
        if let Some(AttemptState::Returning(_, cause)) = place {
            self.end_attempt(now, id, cause.map_or(Ok(()), Err));
        }
    }

    /// A client's request reaches the gateway.
    pub(super) fn reach_gateway(&mut self, now: SimTime, id: Id<Call>) {
        if let Some(call) = self.network.calls.get(id).copied() {
            self.try_call(now, id, &call);
        }
    }

    /// The gateway's answer reaches the client.
    pub(super) fn reach_client(&mut self, now: SimTime, id: Id<Call>) {
        let ended = self.network.calls.get(id).and_then(|call| call.outcome);
        if let Some(result) = ended {
            self.finish_call(now, id, result);
        }
    }
}

/// The distance from a node and zone to a pod. Unknown zones count as one.
fn distance(
    (node, zone): (Option<u32>, Option<u16>),
    to: Option<&Backend>,
    regions: &[usize],
) -> Distance {
    let Some(to) = to else { return Distance::SameZone };
    if node.is_some() && node == to.node {
        return Distance::SameNode;
    }
    match (zone, to.zone) {
        (Some(from), Some(to)) if from != to => {
            let region = |zone: u16| regions.get(usize::from(zone));
            if region(from) == region(to) {
                Distance::BetweenZones
            } else {
                Distance::BetweenRegions
            }
        }
        _ => Distance::SameZone,
    }
}
