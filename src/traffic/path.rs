//! The path of a request, from its arrival through balancer and pod to the record: tens of nanoseconds each, no
//! allocation, no dynamic call.
//!
//! Each service keeps one pending arrival. Services that share pods, directly or through others, form an island
//! and process their requests in a common order of time; between two external changes islands do not affect each
//! other.

use super::arrivals::{Arrivals, BufferedArrivals};
use super::backend::{Backend, BackendId, BackendState};
use super::balancer::{Balancer, Caller, Connection, ServiceBalancer};
use super::barriers::Barriers;
use super::call_spec::RetrySpec;
use super::fluid::Fluid;
use super::hanging::Hanging;
use super::minutes::MINUTE;
use super::network::{Network, graph};
use super::node_cpu::{NodeCpu, NodeCpuId};
use super::policy::ServicePolicy;
use super::recording::{Client, FailureCause, NO_ATTEMPT, Records, ServiceRecord};
use super::request_class::Classes;
use super::request_model::{Demand, RequestModel, RequestModelId, RequestSize};
use super::rerouting::Refused;
use super::route_policy::RouteTraffic;
use engine::{SimDuration, SimTime, Stream, Streams, Table};

/// Position of a service in the list that the traffic was built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub u32);

/// A service that receives requests from clients.
#[derive(Clone, Debug)]
pub struct ServiceTraffic {
    /// Name of the service, which also names its random streams.
    pub name: String,
    /// Arrivals of the requests.
    pub arrivals: Arrivals,
    /// Client timeout; longer than zero.
    pub timeout: SimDuration,
    /// Retries by clients, if any.
    pub retries: Option<RetrySpec>,
    /// Balancer, connections and outlier detection of the service's callers.
    pub policy: ServicePolicy,
    /// Requests that arrive by routes, in addition to `arrivals`.
    pub routes: Vec<RouteTraffic>,
    /// The model of its pods that defines the classes of its requests, if any. Requests of a flow are not
    /// classified.
    pub model: Option<RequestModelId>,
}

/// Settings of the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Length of an interval of the series; longer than zero.
    pub interval: SimDuration,
    /// Requests that arrive earlier are in the series but not in the totals.
    pub warm_up: SimDuration,
    /// Whether to record queueing times in pods. Pods that share their CPU report no waits.
    pub waits: bool,
}

/// All requests of a run: those to come, those in flight, and the outcomes of the others.
#[derive(Clone, Debug)]
pub struct Traffic {
    pub(super) now: SimTime,
    pub(super) services: Vec<Service>,
    pub(super) islands: Vec<Vec<u32>>,
    pub(super) backends: Table<Backend>,
    pub(super) barriers: Barriers,
    pub(super) node_cpus: Table<NodeCpu>,
    /// Nodes whose shares of CPU no longer hold, though they were said to.
    pub(super) stirred: Vec<NodeCpuId>,
    pub(super) models: Vec<RequestModel>,
    pub(super) records: Records,
    pub(super) hanging: Vec<Hanging>,
    pub(super) network: Network,
    pub(super) classes: Classes,
    pub(super) fluid: Fluid,
    /// Requests with no destination, answered by the gateway.
    pub(super) refused: Vec<Refused>,
    pub(super) streams: Streams,
    /// Services whose [`Self::can_answer`] may have changed; may contain duplicates.
    pub(super) touched: Vec<u32>,
    /// Number of zones with backends.
    pub(super) zones: u16,
    /// Whether all requests are flows.
    is_all_fluid: bool,
    interval: SimDuration,
    interval_end: SimTime,
    minute_end: SimTime,
}

/// State of one service.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub arrivals: BufferedArrivals,
    pub sizes: Stream,
    ahead: DrawBuffer,
    pub balancer: ServiceBalancer,
    pub policy: ServicePolicy,
    pub endpoints: Vec<BackendId>,
    /// The endpoints that currently get requests.
    pub available: Vec<BackendId>,
    pub island: u32,
    /// Whether its requests need events; if so, those of the whole island do.
    pub is_networked: bool,
}

/// Random draws for a batch of consecutive requests, made before processing them: in separate loops, streams stay
/// in the processor's registers, and logarithms are computed two at a time.
#[derive(Clone, Debug, Default)]
struct DrawBuffer {
    sizes: Vec<RequestSize>,
    shares: Vec<f64>,
    /// Demands in a pod of the usual model.
    demands: Vec<Demand>,
    /// Empty if the choice is not purely random.
    endpoints: Vec<BackendId>,
}

impl ServiceTraffic {
    /// Whether it is known which of its requests come from the same user.
    fn knows_users(&self) -> bool {
        let mut of_routes = self.routes.iter().map(|route| &route.arrivals);
        self.arrivals.knows_users() || of_routes.any(Arrivals::knows_users)
    }

    /// Whether it has clients, rather than only calls from other services.
    pub fn has_clients(&self) -> bool {
        !self.arrivals.is_none() || !self.routes.is_empty()
    }
}

impl Traffic {
    /// Traffic to `services` whose pods behave as `models`, from time zero on. No service has an endpoint yet.
    /// Calls to unknown services fail: they never have one.
    pub fn new(
        mut services: Vec<ServiceTraffic>,
        mut models: Vec<RequestModel>,
        streams: Streams,
        recording: Recording,
    ) -> Self {
        let counts_from = SimTime::ZERO + recording.warm_up;
        // The graph takes the routes.
        let tell_users: Vec<bool> = services.iter().map(ServiceTraffic::knows_users).collect();
        let mut classes = Classes::new(&mut models);
        let mut network = graph(&mut services, &models, &mut classes, streams);
        let record = |service: &ServiceTraffic| {
            ServiceRecord::new(service.timeout, counts_from, recording.waits)
        };
        let of_classes = (0..).zip(&services).map(|(index, service)| {
            let count = network.mix(index).map_or(0, |mix| mix.names().len());
            vec![record(service); count]
        });
        let mut records = Records {
            classes: of_classes.collect(),
            services: services.iter().map(record).collect(),
            left: Vec::new(),
        };
        for (record, _) in records.services.iter_mut().zip(&tell_users).filter(|(_, tell)| **tell) {
            record.count_users();
        }
        let hanging = (0..).zip(&services).map(|(index, _)| Hanging::new(index)).collect();
        let flows = services.iter().map(|service| {
            service.arrivals.as_flow().map(|curve| (curve, service.timeout.as_secs_f64()))
        });
        let fluid = Fluid::new(flows.collect(), recording.interval, recording.warm_up);
        let some_err = models.iter().any(|model| model.error_rate() > 0.0);
        let mut services: Vec<Service> = (0..)
            .zip(services)
            .map(|(island, service)| Service::new(service, streams, island))
            .collect();
        for (index, service) in (0..).zip(&mut services) {
            for users in service.arrivals.take_users() {
                service.is_networked = true;
                network.add_users(index, users);
            }
            service.is_networked |= network.has_retries(index) || service.policy.needs_events();
            service.is_networked |= tell_users.get(index as usize).is_some_and(|tell| *tell);
            // A pod of any model may come to serve it.
            service.is_networked |= network.mix(index).is_some() || some_err;
        }
        for called in network.called_services() {
            services[called as usize].is_networked = true;
        }
        Self {
            now: SimTime::ZERO,
            touched: Vec::new(),
            is_all_fluid: services.iter().all(|service| fluid.has(service.island)),
            // A flow has no single requests to process.
            islands: services
                .iter()
                .map(|service| service.island)
                .map(|island| if fluid.has(island) { Vec::new() } else { vec![island] })
                .collect(),
            services,
            backends: Table::default(),
            barriers: Barriers::default(),
            node_cpus: Table::default(),
            stirred: Vec::new(),
            models,
            records,
            hanging,
            network,
            classes,
            fluid,
            refused: Vec::new(),
            streams,
            zones: 0,
            interval: recording.interval,
            interval_end: SimTime::ZERO + recording.interval,
            minute_end: SimTime::ZERO + MINUTE,
        }
    }

    /// Advances to `until`, inclusive. The result does not depend on the steps in which time advances.
    pub fn advance(&mut self, until: SimTime) {
        while self.next_boundary() <= until {
            let end = self.next_boundary();
            self.run(end);
            self.sweep(end);
            if end == self.minute_end {
                self.records.all_mut().for_each(ServiceRecord::end_minute);
                self.minute_end = end + MINUTE;
            }
            if end == self.interval_end {
                self.show_llm();
                self.records.all_mut().for_each(ServiceRecord::end_interval);
                self.interval_end = end + self.interval;
            }
        }
        self.run(until);
        self.fluid.pass_boundaries(until);
        self.now = self.now.max(until);
    }

    /// The end of the current interval or minute of the recording.
    pub(super) fn next_boundary(&self) -> SimTime {
        self.interval_end.min(self.minute_end)
    }

    /// Updates the records with everything until `now`.
    pub(super) fn sweep(&mut self, now: SimTime) {
        for backend in self.backends.values_mut() {
            backend.sweep(now, &mut self.records);
        }
        for hanging in &mut self.hanging {
            hanging.expire(now, &mut self.backends, &mut self.records);
        }
    }

    fn run(&mut self, until: SimTime) {
        if self.is_all_fluid {
            return;
        }
        for island in 0..self.islands.len() {
            let first = self.islands[island].first();
            if first.is_some_and(|first| self.services[*first as usize].is_networked) {
                continue;
            }
            while let Some((service, limit)) = self.next_in_island(island, until) {
                self.serve(service, limit);
            }
        }
        self.run_network(until);
        self.refuse(until);
    }

    /// The service of an island with the next request, and the time until which no other one's turn comes.
    fn next_in_island(&mut self, island: usize, until: SimTime) -> Option<(u32, SimTime)> {
        let mut first: Option<(SimTime, u32)> = None;
        let mut limit = until;
        for index in &self.islands[island] {
            let next = self.services[*index as usize].arrivals.next_known(until);
            let Some(at) = next.filter(|at| *at <= until) else { continue };
            match first {
                Some(earliest) if earliest < (at, *index) => limit = limit.min(just_before(at)),
                _ => {
                    if let Some((at, _)) = first {
                        limit = limit.min(just_before(at));
                    }
                    first = Some((at, *index));
                }
            }
        }
        // Ties go to the earlier service.
        first.map(|(at, index)| (index, limit.max(at)))
    }

    /// Processes the requests of one service up to `limit`.
    fn serve(&mut self, index: u32, limit: SimTime) {
        let Self { services, islands, backends, models, records, hanging, .. } = self;
        let Service { arrivals, sizes, balancer, available, island, ahead, .. } =
            &mut services[index as usize];
        let usual = available.first().and_then(|one| backends.get(*one)).map(|pod| pod.model);
        let mut pods = Pods { service: index, usual, backends, models, records, hanging };
        loop {
            let coming = arrivals.take_some(limit);
            if coming.is_empty() {
                return;
            }
            pods.records.services[index as usize].arrived_all(coming);
            let DrawBuffer { sizes: drawn, shares, demands, endpoints } = ahead;
            RequestSize::draw_all(coming, sizes, drawn);
            match usual {
                Some(model) => models[model.0 as usize].demand_all(drawn, shares, demands),
                None => demands.resize(drawn.len(), Demand::NONE),
            }
            balancer.choose_unaware(available, coming.len(), endpoints);
            let instants = coming.iter().map(|arrival| arrival.at);
            let requests = instants.zip(drawn.iter().zip(&*demands));
            if !endpoints.is_empty() {
                for ((at, request), endpoint) in requests.zip(&*endpoints) {
                    pods.send(at, request, (*endpoint, Connection::Single));
                }
                continue;
            }
            for (at, request) in requests {
                let Pods { backends, records, hanging, .. } = &mut pods;
                if balancer.depends_on_load() {
                    for other in &islands[*island as usize] {
                        hanging[*other as usize].expire(at, backends, records);
                    }
                }
                let caller = |_: &_| Caller::outside(request.0);
                match balancer.choose(available, at, caller, backends, records) {
                    Some(endpoint) => pods.send(at, request, (endpoint, balancer.connection())),
                    None => pods.fail(at, FailureCause::NoEndpoint),
                }
            }
        }
    }
}

/// The pods, as seen by client requests to one service.
struct Pods<'a> {
    service: u32,
    /// The model of the first pod, usually that of all.
    usual: Option<RequestModelId>,
    backends: &'a mut Table<Backend>,
    models: &'a [RequestModel],
    records: &'a mut Records,
    hanging: &'a mut [Hanging],
}

impl Pods<'_> {
    /// Sends a request that arrives at `at`, with its demand in a pod of the usual model, to its endpoint.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a tenth of what a request takes")]
    fn send(
        &mut self,
        at: SimTime,
        (size, usual): (&RequestSize, &Demand),
        (endpoint, connection): (BackendId, Connection),
    ) {
        let unsent = (connection == Connection::Opened).then_some(*size);
        let Some(backend) = self.backends.get_mut(endpoint) else {
            return self.hanging[self.service as usize].push(at, endpoint, unsent);
        };
        match backend.state {
            BackendState::Serving => {
                let demand = if self.usual == Some(backend.model) {
                    *usual
                } else {
                    self.models[backend.model.0 as usize].demand(size)
                };
                let client = Client { service: self.service, attempt: NO_ATTEMPT, arrived: at };
                if let Err(cause) = backend.offer(at, client, size, demand, self.records) {
                    self.fail(at, cause);
                }
                if connection != Connection::Single {
                    self.send_waiting(at, endpoint);
                }
            }
            BackendState::Refusing => self.fail(at, FailureCause::Refused),
            BackendState::Unreachable | BackendState::Gone => {
                backend.hanging += 1;
                self.hanging[self.service as usize].push(at, endpoint, unsent);
            }
        }
    }

    /// A kept connection to `endpoint` works: requests that wait for one use it.
    fn send_waiting(&mut self, at: SimTime, endpoint: BackendId) {
        let hanging = &mut self.hanging[self.service as usize];
        hanging.expire(at, self.backends, self.records);
        let waiting = hanging.take_waiting(self.backends);
        let Some(backend) = self.backends.get_mut(endpoint) else { return };
        for (arrived, size) in waiting {
            let client = Client { service: self.service, attempt: NO_ATTEMPT, arrived };
            let demand = self.models[backend.model.0 as usize].demand(&size);
            if let Err(cause) = backend.offer(at, client, &size, demand, self.records) {
                self.records.fail(client, cause);
            }
        }
    }

    fn fail(&mut self, at: SimTime, cause: FailureCause) {
        self.records.services[self.service as usize].failed(at, cause);
    }
}

impl Service {
    fn new(service: ServiceTraffic, streams: Streams, island: u32) -> Self {
        let ServiceTraffic { name, arrivals, policy, .. } = service;
        let stream = |purpose: &str| streams.stream(&format!("{purpose} {name}"), 0);
        Self {
            arrivals: BufferedArrivals::new(arrivals),
            sizes: stream("request sizes of"),
            ahead: DrawBuffer::default(),
            balancer: ServiceBalancer::new(&policy, stream("balancer of")),
            policy,
            endpoints: Vec::new(),
            available: Vec::new(),
            island,
            is_networked: false,
        }
    }

    /// Pins clients to their endpoint until `timeout` after their last request.
    pub(crate) fn keep_clients(&mut self, timeout: SimDuration) {
        self.policy.client_affinity = Some(timeout);
        self.balancer.set_policy(&self.policy);
    }
}

impl ServiceTraffic {
    /// Client requests with a default policy.
    pub const fn plain(
        name: String,
        arrivals: Arrivals,
        balancer: Balancer,
        timeout: SimDuration,
    ) -> Self {
        let policy = ServicePolicy::balanced(balancer);
        Self { name, arrivals, timeout, retries: None, policy, routes: Vec::new(), model: None }
    }

    /// A service that only other services call.
    pub const fn without_clients(name: String) -> Self {
        Self::plain(name, Arrivals::none(), Balancer::Random, SimDuration::MAX)
    }
}

const fn just_before(at: SimTime) -> SimTime {
    SimTime::from_nanos(at.as_nanos() - 1)
}
