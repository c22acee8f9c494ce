//! One pod's application: whether it answers, and the engine that works on its requests.

use super::fifo::Fifo;
use super::job::QueueFull;
use super::recording::{Client, Records};
use super::request_model::{Demand, RequestModel, RequestModelId};
use super::sharing::Sharing;
use crate::engine::{Id, SimDuration, SimTime};

/// Key of a backend.
pub type BackendId = Id<Backend>;

/// How a backend reacts to requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendState {
    /// It works on them.
    Serving,
    /// Nothing listens: new requests fail at once. Those in flight go on, as in an application that
    /// shuts down in order.
    Refusing,
    /// Its node does not answer: requests, those in flight as well, hang until their clients give
    /// up.
    Unreachable,
}

/// The application of one pod.
#[derive(Clone, Debug)]
pub struct Backend {
    pub(super) state: BackendState,
    pub(super) model: RequestModelId,
    /// Services that share backends, directly or through others, advance together.
    pub(super) island: Option<u32>,
    /// Requests that hang because its node does not answer.
    pub(super) hanging: u32,
    /// Whether a balancer wants to know how many requests are in flight.
    is_watched: bool,
    cores: f64,
    concurrency: usize,
    queue: usize,
    server: Server,
}

#[derive(Clone, Debug)]
enum Server {
    Fifo(Fifo),
    Sharing(Sharing),
}

impl Backend {
    pub(super) fn new(now: SimTime, id: RequestModelId, model: &RequestModel, cores: f64) -> Self {
        let (concurrency, queue) = (model.concurrency as usize, model.queue as usize);
        let idle = Sharing::new(concurrency, queue, cores, SimDuration::ZERO, now);
        let mut backend = Self {
            state: BackendState::Serving,
            model: id,
            island: None,
            hanging: 0,
            is_watched: false,
            cores,
            concurrency,
            queue,
            server: Server::Sharing(idle),
        };
        backend.server = backend.idle_server(SimDuration::ZERO, now);
        backend
    }

    /// Takes a request in; the backend serves.
    #[inline]
    pub(super) fn offer(
        &mut self,
        now: SimTime,
        client: Client,
        demand: Demand,
        records: &mut Records,
    ) -> Result<(), QueueFull> {
        match &mut self.server {
            Server::Fifo(fifo) => fifo.offer(now, client, demand, records),
            Server::Sharing(sharing) => sharing.offer(now, client, demand, records),
        }
    }

    /// Brings the records up to date with what happened until `now`.
    pub(super) fn sweep(&mut self, now: SimTime, records: &mut Records) {
        match &mut self.server {
            Server::Fifo(fifo) => fifo.sweep(now, records),
            Server::Sharing(sharing) => sharing.sweep(now, records),
        }
    }

    /// How many requests a balancer sees in flight. A request whose client gave up counts until the
    /// pod is done with it.
    #[inline]
    pub(super) fn load(&mut self, now: SimTime, records: &mut Records) -> usize {
        let in_pod = match &mut self.server {
            Server::Fifo(fifo) => fifo.clients(now).count(),
            Server::Sharing(sharing) => {
                sharing.advance(now, records);
                sharing.len()
            }
        };
        in_pod + self.hanging as usize
    }

    /// The clients that wait for this backend at `now`, to which it was swept.
    pub(super) fn waiting_clients<'a>(
        &'a self,
        now: SimTime,
        records: &'a Records,
    ) -> impl Iterator<Item = Client> + 'a {
        let (fifo, sharing) = match &self.server {
            Server::Fifo(fifo) => (Some(fifo.clients(now)), None),
            Server::Sharing(sharing) => (None, Some(sharing.clients())),
        };
        let clients = fifo.into_iter().flatten().chain(sharing.into_iter().flatten());
        clients.filter(move |client| records.is_waiting(*client, now))
    }

    /// The CPU rate is another from `now` on.
    pub(super) fn set_cores(&mut self, now: SimTime, cores: f64, records: &mut Records) {
        if cores.to_bits() != self.cores.to_bits() {
            self.cores = cores;
            self.suit_server(now, records);
        }
    }

    /// A balancer wants to know how many requests are in flight: the engine that counts them takes
    /// over.
    pub(super) fn watch(&mut self, now: SimTime, records: &mut Records) {
        if !self.is_watched {
            self.is_watched = true;
            self.suit_server(now, records);
        }
    }

    /// Drops all work and returns the clients that wait for it at `now`.
    pub(super) fn drop_all(&mut self, now: SimTime, records: &mut Records) -> Vec<Client> {
        let jobs = match &mut self.server {
            Server::Fifo(fifo) => fifo.take_jobs(now, records),
            Server::Sharing(sharing) => sharing.take_jobs(now, records),
        };
        let clients = jobs.into_iter().map(|job| job.client);
        clients.filter(|client| records.is_waiting(*client, now)).collect()
    }

    /// When all requests in flight are done if nothing else comes.
    pub(super) fn drained_at(&self, now: SimTime) -> SimTime {
        match &self.server {
            Server::Fifo(fifo) => fifo.drained_at(now),
            Server::Sharing(sharing) => sharing.drained_at(now),
        }
    }

    /// CPU time used since the beginning; time has passed to `now` already.
    pub(super) fn cpu_used(&self, now: SimTime) -> SimDuration {
        match &self.server {
            Server::Fifo(fifo) => fifo.cpu_used(now),
            Server::Sharing(sharing) => sharing.cpu_used(now),
        }
    }

    /// How many requests burn CPU, or would if there was any; each wants one core.
    pub(super) fn running(&self, now: SimTime) -> usize {
        match &self.server {
            Server::Fifo(fifo) => fifo.running(now),
            Server::Sharing(sharing) => sharing.running(),
        }
    }

    /// Puts the work into the engine that suits the rate.
    fn suit_server(&mut self, now: SimTime, records: &mut Records) {
        let speed = self.fifo_speed();
        let jobs = match (&mut self.server, speed) {
            (Server::Fifo(fifo), Some(speed)) if fifo.speed().to_bits() == speed.to_bits() => {
                return;
            }
            (Server::Sharing(sharing), None) => {
                sharing.advance(now, records);
                return sharing.set_cores(now, self.cores);
            }
            (Server::Fifo(fifo), _) => fifo.take_jobs(now, records),
            (Server::Sharing(sharing), _) => sharing.take_jobs(now, records),
        };
        self.server = self.idle_server(self.cpu_used(now), now);
        for job in jobs {
            match &mut self.server {
                Server::Fifo(fifo) => fifo.admit(now, job.client, job.demand),
                Server::Sharing(sharing) => sharing.admit(now, job),
            }
        }
    }

    fn idle_server(&self, cpu_used: SimDuration, now: SimTime) -> Server {
        let Self { concurrency, queue, cores, .. } = *self;
        match self.fifo_speed() {
            Some(speed) => Server::Fifo(Fifo::new(concurrency, queue, speed, cpu_used, now)),
            None => Server::Sharing(Sharing::new(concurrency, queue, cores, cpu_used, now)),
        }
    }

    /// The speed of a request in service [cores], if nothing but the rate can change it and nobody
    /// needs to know how many there are.
    fn fifo_speed(&self) -> Option<f64> {
        let slots = self.concurrency as f64;
        let is_steady = self.cores >= slots || (self.concurrency == 1 && self.cores > 0.0);
        (is_steady && !self.is_watched).then(|| self.cores.min(1.0))
    }
}
