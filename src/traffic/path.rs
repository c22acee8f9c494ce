//! The path of a request, from its arrival through balancer and pod to the record: tens of
//! nanoseconds each, no allocation, no dynamic call.
//!
//! Each service keeps one pending arrival. Services that share pods, directly or through others,
//! form an island and meet their requests in one order of time; islands do not touch each other
//! between two changes from outside.

use super::arrivals::{Arrival, Arrivals};
use super::backend::{Backend, BackendId, BackendState};
use super::balancer::{Balancer, Chooser};
use super::hanging::Hanging;
use super::recording::{Client, FailureCause, Records, ServiceRecord};
use super::request_model::{RequestModel, RequestSize};
use crate::engine::{SimDuration, SimTime, Stream, Streams, Table};

/// Position of a service in the list that the traffic was built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub u32);

/// A service that clients send requests to.
#[derive(Clone, Debug)]
pub struct ServiceTraffic {
    /// Its name, which also names its random streams.
    pub name: String,
    /// When requests come.
    pub arrivals: Arrivals,
    /// How they find their pod.
    pub balancer: Balancer,
    /// How long clients wait for an answer; longer than zero.
    pub timeout: SimDuration,
}

/// How the traffic is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Length of an interval of the series; longer than zero.
    pub interval: SimDuration,
    /// Requests that come earlier are in the series but not in the totals.
    pub warm_up: SimDuration,
}

/// All requests of a run: those to come, those in flight, and what became of the others.
#[derive(Clone, Debug)]
pub struct Traffic {
    pub(super) now: SimTime,
    pub(super) services: Vec<Service>,
    pub(super) islands: Vec<Vec<u32>>,
    pub(super) backends: Table<Backend>,
    pub(super) models: Vec<RequestModel>,
    pub(super) records: Records,
    pub(super) hanging: Vec<Hanging>,
    interval: SimDuration,
    interval_end: SimTime,
}

/// What belongs to one service alone.
#[derive(Clone, Debug)]
pub(super) struct Service {
    arrivals: Arrivals,
    /// The next arrival, if it is known.
    next: Option<Arrival>,
    sizes: Stream,
    pub chooser: Chooser,
    pub endpoints: Vec<BackendId>,
    pub island: u32,
}

impl Traffic {
    /// Traffic to `services` whose pods behave as `models`, from time zero on. No service has an
    /// endpoint yet.
    pub fn new(
        services: Vec<ServiceTraffic>,
        models: Vec<RequestModel>,
        streams: Streams,
        recording: Recording,
    ) -> Self {
        let counts_from = SimTime::ZERO + recording.warm_up;
        let records =
            services.iter().map(|service| ServiceRecord::new(service.timeout, counts_from));
        let records = Records(records.collect());
        let hanging = (0..).zip(&services).map(|(index, _)| Hanging::new(index)).collect();
        let services: Vec<Service> = (0..)
            .zip(services)
            .map(|(island, service)| Service::new(service, streams, island))
            .collect();
        Self {
            now: SimTime::ZERO,
            islands: services.iter().map(|service| vec![service.island]).collect(),
            services,
            backends: Table::default(),
            models,
            records,
            hanging,
            interval: recording.interval,
            interval_end: SimTime::ZERO + recording.interval,
        }
    }

    /// Lets all happen that happens until `until`, that instant included. The result does not depend
    /// on the steps in which time goes on.
    pub fn advance(&mut self, until: SimTime) {
        while self.interval_end <= until {
            let end = self.interval_end;
            self.run(end);
            self.sweep(end);
            self.records.0.iter_mut().for_each(ServiceRecord::end_interval);
            self.interval_end = end + self.interval;
        }
        self.run(until);
        self.now = self.now.max(until);
    }

    /// Brings the records up to date with what happened until `now`.
    pub(super) fn sweep(&mut self, now: SimTime) {
        for backend in self.backends.values_mut() {
            backend.sweep(now, &mut self.records);
        }
        for hanging in &mut self.hanging {
            hanging.expire(now, &mut self.backends, &mut self.records);
        }
    }

    fn run(&mut self, until: SimTime) {
        for island in 0..self.islands.len() {
            while let Some((service, limit)) = self.next_in_island(island, until) {
                self.serve(service, limit);
            }
        }
    }

    /// The service of an island whose request is next, and until when no other's turn comes.
    fn next_in_island(&mut self, island: usize, until: SimTime) -> Option<(u32, SimTime)> {
        let mut first: Option<(SimTime, u32)> = None;
        let mut limit = until;
        for index in &self.islands[island] {
            let Some(at) = self.services[*index as usize].peek(until) else { continue };
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
        // Of two requests at one instant, that of the earlier service is first.
        first.map(|(at, index)| (index, limit.max(at)))
    }

    /// Takes the requests of one service up to `limit`.
    fn serve(&mut self, index: u32, limit: SimTime) {
        let Self { services, islands, backends, models, records, hanging, .. } = self;
        let service = &mut services[index as usize];
        while let Some(Arrival { at, tokens }) = service.take(limit) {
            let size = RequestSize::draw(tokens, &mut service.sizes);
            let client = Client { service: index, arrived: at };
            records.0[index as usize].arrived(at);
            if service.chooser.looks_at_load() {
                for other in &islands[service.island as usize] {
                    hanging[*other as usize].expire(at, backends, records);
                }
            }
            let Service { chooser, endpoints, .. } = service;
            let Some(endpoint) = chooser.choose(endpoints, at, backends, records) else {
                records.fail(client, FailureCause::NoEndpoint);
                continue;
            };
            let Some(backend) = backends.get_mut(endpoint) else {
                records.fail(client, FailureCause::Refused);
                continue;
            };
            match backend.state {
                BackendState::Serving => {
                    let demand = models[backend.model.0 as usize].demand(&size);
                    if backend.offer(at, client, demand, records).is_err() {
                        records.fail(client, FailureCause::QueueFull);
                    }
                }
                BackendState::Refusing => records.fail(client, FailureCause::Refused),
                BackendState::Unreachable => {
                    backend.hanging += 1;
                    hanging[index as usize].push(at, endpoint);
                }
            }
        }
    }
}

impl Service {
    fn new(service: ServiceTraffic, streams: Streams, island: u32) -> Self {
        let ServiceTraffic { name, arrivals, balancer, .. } = service;
        let stream = |purpose: &str| streams.stream(&format!("{purpose} {name}"), 0);
        Self {
            arrivals,
            next: None,
            sizes: stream("request sizes of"),
            chooser: Chooser::new(balancer, stream("balancer of")),
            endpoints: Vec::new(),
            island,
        }
    }

    /// When the next request comes, if that is by `until`.
    #[inline]
    fn peek(&mut self, until: SimTime) -> Option<SimTime> {
        if self.next.is_none() {
            self.next = self.arrivals.next_known_by(until);
        }
        self.next.map(|arrival| arrival.at).filter(|at| *at <= until)
    }

    /// Takes the next request, if it comes by `until`.
    #[inline]
    fn take(&mut self, until: SimTime) -> Option<Arrival> {
        self.peek(until)?;
        self.next.take()
    }
}

const fn just_before(at: SimTime) -> SimTime {
    SimTime::from_nanos(at.as_nanos() - 1)
}
