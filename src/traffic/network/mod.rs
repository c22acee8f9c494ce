//! Requests that need events: those that call other services, are retried, wait in a work queue, or
//! go to a service with circuit breaking or outlier detection.
//!
//! Services whose requests need none of that stay on the fast path (`path.rs`). Here a request is a
//! [`Call`], made by a client or by another request, and each try of it is an [`Attempt`] in a pod.
//! The pods' engines are the same, but are advanced at every event.
//!
//! Order of events: by time, then events in pods, then by kind in the order of [`NetworkEvent`].

mod activator;
mod attempts;
mod calendar;
mod calls;
mod connection_pools;
mod deadlines;
mod edge;
mod graph;
mod journeys;
mod mesh;
mod node_cpus;
mod pods;
mod work_queue;

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Range;
use std::sync::Arc;

use activator::Activator;
pub use activator::{Activity, HeldRequests, Notices};
pub(super) use edge::{Edge, MeshEdge};
pub(super) use graph::graph;

use super::arrivals::{Arrival, BufferedArrivals, Users};
use super::backend::BackendId;
use super::client_limits::Zone;
use super::path::{ServiceId, Traffic};
use super::policy::ServicePolicy;
use super::request_class::Mix;
use super::trace::Tokens;
use calendar::Calendar;
use calls::Attempt;
pub(super) use calls::{AttemptState, Call, Caller};
use connection_pools::Pools;
use engine::random::happens;
use engine::{Id, SimTime, Stream, Table};
use journeys::Journeys;
use work_queue::WorkQueue;

/// Maximum depth of a chain of calls; deeper requests fail, so that cyclic calls terminate.
const DEPTH_MAX: u8 = 16;

/// Everything simulated by events.
#[derive(Clone, Debug, Default)]
pub(super) struct Network {
    /// The time of each pod's next event: a request leaves the CPU or the pod.
    pods: Calendar,
    /// All other events.
    events: BinaryHeap<Reverse<Event>>,
    calls: Table<Call>,
    attempts: Table<Attempt>,
    /// Edges of the call graph: first the clients of each service, then the calls of each model.
    pub(super) edges: Vec<Edge>,
    /// The edges of each request model, in order.
    pub(super) edges_of_model: Vec<Range<u32>>,
    services: Vec<NetworkService>,
    /// Names of the services.
    pub(super) names: Vec<String>,
    /// Groups of closed-loop users, with their service.
    users: Vec<(u32, Users)>,
    pub(super) routes: Vec<Route>,
    /// By request model, classes included: draws which of its answers are errors; absent where none are.
    pub(super) errors: Vec<Option<Errors>>,
    /// Services without pods that got a request, until the autoscaler is notified.
    activated: Vec<ServiceId>,
    /// Pods that have answered the last request that they will take from a work queue, until their kubelets are notified.
    done: Vec<BackendId>,
    /// Whether any pod has had a limit of requests.
    has_limited_pods: bool,
    /// Clients whose requests a gateway limits, by the object that sets the limits.
    zones: BTreeMap<Arc<str>, Zone>,
    /// Absent if requests take no network time.
    journeys: Option<Box<Journeys>>,
}

/// Draws which answers of an application are errors.
#[derive(Clone, Debug)]
pub(super) struct Errors {
    pub rate: f64,
    pub stream: Stream,
}

/// Requests that reach a service by a route.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// Name of the route, which also names its random streams.
    pub name: String,
    /// Arrivals of the requests.
    pub arrivals: BufferedArrivals,
    /// The target service.
    pub service: u32,
    /// Edges by start time, in order of time; never empty.
    pub edges: Vec<(SimTime, u32)>,
    /// The main service and its edges, used instead while one of the two services has no endpoint: a canary takes
    /// requests from a service that answers only if it can answer itself.
    pub main: Option<(u32, Vec<(SimTime, u32)>)>,
    /// Whether its next arrival is scheduled.
    pub is_entered: bool,
    /// The edges of mirrored requests, with their shares.
    pub mirrors: Vec<(u32, f64)>,
}

/// State of a service in the network of calls.
#[derive(Clone, Debug, Default)]
struct NetworkService {
    /// Whether its next arrival is scheduled.
    is_arrival_entered: bool,
    /// Attempts in progress whose callers are waiting.
    active: u32,
    work_queue: Option<WorkQueue>,
    /// Absent if requests go to the pods.
    activator: Option<Activator>,
    /// Endpoints ejected by outlier detection.
    ejected: Vec<BackendId>,
    /// Attempts of clients that wait for a kept connection to be opened, earliest first.
    unconnected: Vec<Id<Attempt>>,
    /// Its request classes; absent if there are none.
    mix: Option<Mix>,
    /// The connections of callers' proxies, where they are limited.
    pools: BTreeMap<BackendId, Pools>,
}

/// A scheduled event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at: SimTime,
    what: NetworkEvent,
}

/// Events of the network, in their order at one instant, after those of the pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum NetworkEvent {
    /// An ejected endpoint of a service gets requests again.
    Restore(u32, BackendId),
    /// An attempt on this edge may time out.
    TryDeadline(u32),
    /// An attempt at a pod whose node does not answer may time out.
    ConnectDeadline(u32),
    /// A call on this edge may time out.
    Deadline(u32),
    /// The next attempt of a call.
    Retry(Id<Call>),
    /// A client request arrives at this service.
    Arrival(u32),
    /// A user of this group, by number, has finished thinking and sends a request.
    User(u32, u32),
    /// A request arrives by this route.
    Route(u32),
    /// The client of this call may time out, by the timeout of its class.
    ClassDeadline(Id<Call>),
    /// The request of an attempt reaches its pod.
    Reach(Id<Attempt>),
    /// The outcome of an attempt reaches its caller.
    Return(Id<Attempt>),
    /// A client's request reaches the gateway.
    ReachGateway(Id<Call>),
    /// The gateway's answer reaches the client.
    ReachClient(Id<Call>),
}

impl Network {
    /// The network of services, each with its policy and its request classes, and with these edges, those of the clients
    /// first.
    pub(super) fn new(
        services: impl Iterator<Item = (ServicePolicy, Option<Mix>)>,
        edges: Vec<Edge>,
        edges_of_model: Vec<Range<u32>>,
        routes: Vec<Route>,
        names: Vec<String>,
    ) -> Self {
        let service = |(policy, mix): (ServicePolicy, Option<Mix>)| NetworkService {
            work_queue: (policy.work_queue || policy.activator.is_some()).then(WorkQueue::default),
            activator: policy.activator.map(|one| Activator::new(one.container_concurrency)),
            mix,
            ..NetworkService::default()
        };
        let services = services.map(service).collect();
        Self { edges, edges_of_model, services, names, routes, ..Self::default() }
    }

    /// Services that are called by other services or reached by routes.
    pub(super) fn called_services(&self) -> impl Iterator<Item = u32> + '_ {
        let called = self.edges.iter().skip(self.services.len());
        called.flat_map(|edge| [edge.service, edge.pods])
    }

    /// Whether requests to a service need events because its clients retry.
    pub(super) fn has_retries(&self, service: u32) -> bool {
        self.edges[service as usize].retries.is_some()
    }

    /// Whether requests of a pod that dies return to the service's queue.
    pub(super) fn takes_back(&self, service: u32) -> bool {
        let service = &self.services[service as usize];
        service.work_queue.is_some() && service.activator.is_none()
    }

    /// Whether a service has a queue from which its pods pull requests.
    pub(super) fn has_work_queue(&self, service: u32) -> bool {
        self.services[service as usize].work_queue.is_some()
    }

    /// Arrival times of the requests to a service in progress, with the numbers of their classes.
    pub(super) fn under_way(&self, service: u32) -> impl Iterator<Item = (SimTime, u16)> + '_ {
        let to_service = move |call: &&Call| self.edges[call.edge as usize].service == service;
        self.calls.values().filter(to_service).map(|call| (call.made, call.class()))
    }

    /// The request classes of a service; absent if there are none.
    pub(super) fn mix(&self, service: u32) -> Option<&Mix> {
        self.services[service as usize].mix.as_ref()
    }

    /// The pod that makes a call in this attempt.
    pub(super) fn caller_of(&self, attempt: Id<Attempt>) -> Option<BackendId> {
        self.attempts.get(attempt)?.place.pod()
    }

    /// Adds users of a service, who start thinking.
    pub(super) fn add_users(&mut self, service: u32, mut users: Users) {
        let group = u32::try_from(self.users.len()).expect("fewer than 2^32 groups of users");
        for (user, at) in (0..).zip(users.first_requests()) {
            self.enter(at, NetworkEvent::User(group, user));
        }
        self.users.push((service, users));
    }

    /// A user of the group has an answer or a final failure, and thinks.
    fn think(&mut self, now: SimTime, (group, user): (u32, u32)) {
        if let Some((_, users)) = self.users.get_mut(group as usize) {
            let at = now + users.think();
            self.enter(at, NetworkEvent::User(group, user));
        }
    }

    /// Whether the application answers a request with an error; `model` is that of the request in its pod.
    fn errs(&mut self, model: u32) -> bool {
        let errors = self.errors.get_mut(model as usize).and_then(Option::as_mut);
        errors.is_some_and(|errors| happens(&mut errors.stream, errors.rate))
    }

    fn enter(&mut self, at: SimTime, what: NetworkEvent) {
        self.events.push(Reverse(Event { at, what }));
    }

    /// Reschedules the first event to `next`, or removes it.
    fn put_off_first(&mut self, next: Option<SimTime>) {
        let Some(mut first) = self.events.peek_mut() else { return };
        match next {
            Some(at) => first.0.at = at,
            None => _ = PeekMut::pop(first),
        }
    }
}

impl Traffic {
    /// Runs all network events up to and including `until`.
    pub(super) fn run_network(&mut self, until: SimTime) {
        self.run_network_while(until, |_| true);
    }

    /// The same up to the first event of which the control plane must know. Returns the time reached.
    fn run_network_to_notice(&mut self, until: SimTime) -> SimTime {
        self.run_network_while(until, |network| {
            network.activated.is_empty() && network.done.is_empty()
        })
    }

    /// Runs network events up to and including `until`, as long as `goes_on`. Returns the time reached.
    fn run_network_while(&mut self, until: SimTime, goes_on: impl Fn(&Network) -> bool) -> SimTime {
        for service in 0..self.services.len() {
            self.enter_arrival(service, until);
        }
        for route in 0..self.network.routes.len() {
            self.enter_route(route, until);
        }
        loop {
            let at = self.network.pods.first();
            let event = self.network.events.peek().map(|Reverse(event)| *event);
            if at <= until && at < SimTime::MAX && event.is_none_or(|event| at <= event.at) {
                self.pod_is_due(at, self.network.pods.first_pod());
                if !goes_on(&self.network) {
                    return at;
                }
                continue;
            }
            let Some(event) = event.filter(|event| event.at <= until) else { return until };
            if !matches!(event.what, NetworkEvent::Arrival(_) | NetworkEvent::Route(_)) {
                self.network.events.pop();
            }
            match event.what {
                NetworkEvent::Restore(service, pod) => self.restore(service, pod),
                NetworkEvent::TryDeadline(edge) | NetworkEvent::ConnectDeadline(edge) => {
                    self.give_up_attempts(event.at, edge, event.what);
                }
                NetworkEvent::Deadline(edge) => self.time_out_calls(event.at, edge),
                NetworkEvent::Retry(call) => self.retry(event.at, call),
                NetworkEvent::Arrival(service) => self.client_call(event.at, service, until),
                NetworkEvent::User(group, user) => self.user_call(event.at, (group, user)),
                NetworkEvent::Route(route) => self.route_call(event.at, route, until),
                NetworkEvent::ClassDeadline(call) => self.give_up_call(event.at, call),
                NetworkEvent::Reach(attempt) => self.reach(event.at, attempt),
                NetworkEvent::Return(attempt) => self.end_return(event.at, attempt),
                NetworkEvent::ReachGateway(call) => self.reach_gateway(event.at, call),
                NetworkEvent::ReachClient(call) => self.reach_client(event.at, call),
            }
            self.handle_departed(event.at);
            if !goes_on(&self.network) {
                return event.at;
            }
        }
    }

    /// Schedules the next arrival at a service, if it can be known by `until`.
    fn enter_arrival(&mut self, service: usize, until: SimTime) {
        let row = &mut self.services[service];
        if !row.is_networked || self.network.services[service].is_arrival_entered {
            return;
        }
        if let Some(at) = row.arrivals.next_known(until) {
            self.network.services[service].is_arrival_entered = true;
            let index = u32::try_from(service).expect("a world has fewer than 2^32 services");
            self.network.enter(at, NetworkEvent::Arrival(index));
        }
    }

    /// A client request arrives at a service; its event is the first.
    fn client_call(&mut self, now: SimTime, service: u32, until: SimTime) {
        let arrivals = &mut self.services[service as usize].arrivals;
        let arrival = arrivals.take(now);
        let next = arrivals.next_known(until);
        self.network.put_off_first(next);
        self.network.services[service as usize].is_arrival_entered = next.is_some();
        if let Some(Arrival { tokens, .. }) = arrival {
            self.make_call(now, service, tokens, Caller::Client, 0);
        }
    }

    /// Schedules the next arrival by a route, if it can be known by `until`.
    fn enter_route(&mut self, position: usize, until: SimTime) {
        let network = &mut self.network;
        let route = &mut network.routes[position];
        if !route.is_entered
            && let Some(at) = route.arrivals.next_known(until)
        {
            route.is_entered = true;
            let index = u32::try_from(position).expect("a world has fewer than 2^32 routes");
            network.enter(at, NetworkEvent::Route(index));
        }
    }

    /// A request arrives by a route; its event is the first.
    fn route_call(&mut self, now: SimTime, index: u32, until: SimTime) {
        let route = &mut self.network.routes[index as usize];
        let is_empty = |service: u32| self.services[service as usize].endpoints.is_empty();
        let edges = match &route.main {
            Some((main, instead)) if is_empty(route.service) || is_empty(*main) => instead,
            _ => &route.edges,
        };
        let so_far = edges.partition_point(|(since, _)| *since <= now);
        let (_, edge) = edges[so_far.saturating_sub(1)];
        let arrival = route.arrivals.take(now);
        let next = route.arrivals.next_known(until);
        route.is_entered = next.is_some();
        self.network.put_off_first(next);
        if let Some(Arrival { tokens, .. }) = arrival {
            self.make_call(now, edge, tokens, Caller::Client, 0);
        }
    }

    fn user_call(&mut self, now: SimTime, (group, user): (u32, u32)) {
        if let Some((service, _)) = self.network.users.get(group as usize) {
            self.make_call(now, *service, Tokens::default(), Caller::User(group, user), 0);
        }
    }

    /// Handles the attempts that left their pods, in order.
    #[inline]
    pub(super) fn handle_departed(&mut self, now: SimTime) {
        let mut next = 0;
        while let Some(one) = self.records.left.get(next).copied() {
            next += 1;
            self.left_pod(now, one);
        }
        self.records.left.clear();
    }
}
