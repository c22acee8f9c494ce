//! One pod's application: its state, and the engine that processes its requests.

use super::barriers::PeerGroupId;
use super::fifo::Fifo;
use super::fluid::NewPod;
use super::job::QueueFull;
use super::llm::LlmServer;
use super::node_cpu::NodeCpuId;
use super::quota::Quota;
use super::recording::{Client, FailureCause, Records};
use super::request_model::{Demand, RequestModel, RequestModelId, RequestSize, WarmUpSlowdown};
use super::sharing::{Capacity, Sharing};
use engine::{Id, SimDuration, SimTime};

/// Key of a backend.
pub type BackendId = Id<Backend>;

/// Reaction of a backend to requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendState {
    /// It processes requests.
    Serving,
    /// Nothing listens: new requests fail at once. Those in flight continue, as in a graceful shutdown.
    Refusing,
    /// It hangs, or its node does not answer: all requests, including those in flight, hang until their
    /// clients time out.
    Unreachable,
    /// Its pod's network is torn down: its address does not even refuse connections, so new ones hang until
    /// their clients time out. Existing ones were closed when it stopped.
    Gone,
}

/// The application of one pod.
#[derive(Clone, Debug)]
pub struct Backend {
    pub(super) state: BackendState,
    pub(super) model: RequestModelId,
    /// Services that share backends, directly or through others, advance together.
    pub(super) island: Option<u32>,
    /// Services of which it is an endpoint.
    pub(super) endpoint_of: Vec<u32>,
    /// Number of its zone, if known.
    pub(super) zone: Option<u16>,
    /// Number of its node, if known.
    pub(super) node: Option<u32>,
    /// Whether requests to it and from it pass the proxy of a mesh.
    pub(super) has_proxy: bool,
    /// Its peer group in network policies.
    pub(super) peer_group: PeerGroupId,
    /// Requests that hang because its node does not answer or a network policy drops their packets.
    pub(super) hanging: u32,
    /// Requests and answers that are under way between it and their callers.
    pub(super) under_way: u32,
    /// Requests accepted so far.
    pub(super) taken: u64,
    /// Count of accepted requests at which it takes no more from a work queue and is done; absent = never.
    pub(super) done_at: Option<u64>,
    /// Since when it has had no request from a work queue, while it has none.
    pub(super) idle_since: SimTime,
    /// Requests answered with an error so far.
    pub(super) errors: u64,
    /// Whether it belongs to the network of calls.
    pub(super) is_networked: bool,
    /// The node CPU that it shares with other pods, and its position among them.
    pub(super) node_cpu: Option<(NodeCpuId, u32)>,
    pub(super) failures_in_a_row: u32,
    pub(super) ejections: u32,
    /// Whether the number of requests in flight, or the next completion, must be known.
    is_watched: bool,
    /// Capacity of the pod. While `Server::Sharing` is active, its copy is the current one.
    capacity: Capacity,
    quota_cores: Option<f64>,
    server: Server,
}

#[derive(Clone, Debug)]
enum Server {
    Fifo(Fifo),
    Sharing(Sharing),
    Llm(Box<LlmServer>),
}

impl Backend {
    pub(super) fn new(now: SimTime, id: RequestModelId, model: &RequestModel, cores: f64) -> Self {
        let capacity = Capacity {
            concurrency: model.concurrency as usize,
            queue: model.queue as usize,
            shed_after: model.shed_after,
            holds: model.ever_calls(),
            cores,
            quota: None,
            youth: model.young.map(|young| WarmUpSlowdown::new(young, now)),
        };
        let mut backend = Self {
            state: BackendState::Serving,
            model: id,
            island: None,
            endpoint_of: Vec::new(),
            zone: None,
            node: None,
            has_proxy: false,
            peer_group: 0,
            hanging: 0,
            under_way: 0,
            taken: 0,
            done_at: None,
            idle_since: now,
            errors: 0,
            is_networked: false,
            node_cpu: None,
            failures_in_a_row: 0,
            ejections: 0,
            is_watched: false,
            capacity,
            quota_cores: None,
            server: Server::Sharing(Sharing::new(capacity, SimDuration::ZERO, now)),
        };
        backend.server = match &model.llm {
            Some(requests) => Server::Llm(Box::new(LlmServer::new(requests, now, backend.cores()))),
            None => backend.idle_server(SimDuration::ZERO, now),
        };
        backend
    }

    /// The inference server, if it is one.
    pub(super) fn llm(&self) -> Option<&LlmServer> {
        match &self.server {
            Server::Llm(server) => Some(server),
            Server::Fifo(_) | Server::Sharing(_) => None,
        }
    }

    /// The inputs that the flow model needs; `id` is the backend's own.
    pub(super) const fn as_fluid(&self, id: BackendId) -> NewPod {
        NewPod { id, state: self.state, model: self.model.0, cores: self.cores() }
    }

    /// Accepts a request, whose demand the model determines; the backend must be serving.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a tenth of what a request takes")]
    pub(super) fn offer(
        &mut self,
        now: SimTime,
        client: Client,
        size: &RequestSize,
        demand: Demand,
        records: &mut Records,
    ) -> Result<(), FailureCause> {
        self.taken += 1;
        if let Server::Llm(server) = &mut self.server {
            return server.offer(now, client, size, records);
        }
        let taken = match &mut self.server {
            Server::Fifo(fifo) => fifo.offer(now, client, demand, records),
            Server::Sharing(sharing) => sharing.offer(now, client, demand, records),
            Server::Llm(_) => Ok(()),
        };
        taken.map_err(|_: QueueFull| FailureCause::QueueFull)
    }

    /// The caller of this attempt gives up at `now`: an inference server drops it, any other application
    /// continues.
    pub(super) fn abort(&mut self, now: SimTime, attempt: u32) {
        if let Server::Llm(server) = &mut self.server {
            server.abort(now, attempt);
        }
    }

    /// Requests accepted so far.
    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether it has taken as many requests as it ever will.
    pub(super) fn is_done(&self) -> bool {
        self.done_at.is_some_and(|done| self.taken >= done)
    }

    /// Maximum number of concurrent requests.
    pub(super) const fn concurrency(&self) -> usize {
        self.capacity.concurrency
    }

    /// Changes the backend's state from now on.
    pub(super) fn set_state(&mut self, now: SimTime, state: BackendState, records: &mut Records) {
        if state == BackendState::Serving
            && self.state != BackendState::Serving
            && let Some(youth) = &mut self.capacity.youth
            && let Server::Sharing(sharing) = &mut self.server
        {
            sharing.advance(now, records);
            youth.begin(now);
            sharing.set_warm_up(self.capacity.youth);
        }
        self.state = state;
    }

    /// Time at which the next request leaves the CPU or the pod; known for watched backends.
    #[inline]
    pub(super) fn next_event(&self) -> SimTime {
        match &self.server {
            Server::Fifo(_) => SimTime::MAX,
            Server::Sharing(sharing) => sharing.next_event(),
            Server::Llm(server) => server.next_event(),
        }
    }

    /// Advances a watched backend to `now`.
    #[inline]
    pub(super) fn advance(&mut self, now: SimTime, records: &mut Records) {
        match &mut self.server {
            Server::Fifo(_) => {}
            Server::Sharing(sharing) => sharing.advance(now, records),
            Server::Llm(server) => server.advance(now, records),
        }
    }

    /// A request that held its slot releases it; the backend must be at `now`. True if another request took
    /// the slot.
    #[inline]
    pub(super) fn release(&mut self, now: SimTime, records: &mut Records) -> bool {
        match &mut self.server {
            Server::Sharing(sharing) => sharing.release(now, records),
            Server::Fifo(_) | Server::Llm(_) => false,
        }
    }

    /// Whether requests that have finished CPU and waiting hold their slots until released.
    #[inline]
    pub(super) const fn holds(&self) -> bool {
        self.capacity.holds
    }

    /// Whether its events must be processed as they happen, because others depend on them.
    pub(super) fn needs_events(&self) -> bool {
        self.holds() || self.node_cpu.is_some()
    }

    /// Whether a request arriving now would not wait; known for watched backends.
    #[inline]
    pub(super) fn has_free_slot(&self) -> bool {
        match &self.server {
            Server::Fifo(_) => false,
            Server::Sharing(sharing) => sharing.has_free_slot(),
            Server::Llm(server) => server.status().num_requests_waiting == 0,
        }
    }

    /// Number of requests in the pod, including those whose clients gave up, and the number of those waiting for a slot;
    /// the backend must be at `now`.
    pub(super) fn contents(&self, now: SimTime) -> (usize, usize) {
        match &self.server {
            Server::Fifo(fifo) => (fifo.clients(now).count(), fifo.queued(now)),
            Server::Sharing(sharing) => (sharing.len(), sharing.queued()),
            Server::Llm(server) => {
                let waiting = server.status().num_requests_waiting;
                (server.len(), usize::try_from(waiting).unwrap_or(usize::MAX))
            }
        }
    }

    /// Updates the records with everything until `now`.
    pub(super) fn sweep(&mut self, now: SimTime, records: &mut Records) {
        match &mut self.server {
            Server::Fifo(fifo) => fifo.sweep(now, records),
            Server::Sharing(sharing) => sharing.sweep(now, records),
            Server::Llm(server) => server.sweep(now, records),
        }
    }

    /// Requests in flight as seen by a balancer. A request whose client gave up counts until the pod has
    /// finished it or, for an inference server, dropped it.
    #[inline]
    pub(super) fn load(&mut self, now: SimTime, records: &mut Records) -> usize {
        let in_pod = match &mut self.server {
            Server::Fifo(fifo) => fifo.clients(now).count(),
            Server::Sharing(sharing) => {
                sharing.advance(now, records);
                sharing.len()
            }
            Server::Llm(server) => {
                server.advance(now, records);
                server.len()
            }
        };
        in_pod + self.hanging as usize + self.under_way as usize
    }

    /// Used share of an inference server's KV cache in millionths; 0 if it has none.
    pub(super) fn kv_usage_ppm(&self) -> u64 {
        self.llm().map_or(0, LlmServer::kv_usage_ppm)
    }

    /// The session of a request to its inference server; 0 for none.
    pub(super) fn llm_session(&self, size: &RequestSize) -> u32 {
        self.llm().map_or(0, |server| server.session_of(size))
    }

    /// The clients waiting for this backend at `now`, up to which it was swept.
    pub(super) fn waiting_clients<'a>(
        &'a self,
        now: SimTime,
        records: &'a Records,
    ) -> impl Iterator<Item = Client> + 'a {
        let (fifo, sharing, llm) = match &self.server {
            Server::Fifo(fifo) => (Some(fifo.clients(now)), None, None),
            Server::Sharing(sharing) => (None, Some(sharing.clients()), None),
            Server::Llm(server) => (None, None, Some(server.clients())),
        };
        let clients = fifo.into_iter().flatten().chain(sharing.into_iter().flatten());
        let clients = clients.chain(llm.into_iter().flatten());
        clients.filter(move |client| records.is_waiting(*client, now))
    }

    /// Changes the CPU rate from `now` on.
    pub(super) fn set_cores(&mut self, now: SimTime, cores: f64, records: &mut Records) {
        if cores.to_bits() != self.capacity.cores.to_bits() {
            self.capacity.cores = cores;
            self.suit_server(now, records);
        }
    }

    /// Changes the CPU rate while other events of this instant are still being processed: no request completes
    /// by this. True if the rate changed.
    pub(super) fn set_share(&mut self, now: SimTime, cores: f64) -> bool {
        let differs = cores.to_bits() != self.capacity.cores.to_bits();
        if differs {
            self.capacity.cores = cores;
            let of_pod = self.cores();
            match &mut self.server {
                Server::Sharing(sharing) => sharing.set_cores(now, cores),
                Server::Llm(server) => server.set_cores(now, of_pod),
                Server::Fifo(_) => {}
            }
        }
        differs
    }

    /// Limits the CPU time per period to that of this many cores from `now` on.
    pub(super) fn set_quota(&mut self, now: SimTime, cores: Option<f64>, records: &mut Records) {
        self.quota_cores = cores;
        self.capacity.quota = cores.map(|cores| Quota::new(cores, now));
        if let Server::Sharing(sharing) = &mut self.server {
            sharing.advance(now, records);
            sharing.set_quota(now, self.capacity.quota);
        }
        self.suit_server(now, records);
    }

    /// The number of requests in flight, or the next completion, must be known from now on: switches to an
    /// engine that tracks them.
    pub(super) fn watch(&mut self, now: SimTime, records: &mut Records) {
        if !self.is_watched {
            self.is_watched = true;
            self.suit_server(now, records);
        }
    }

    /// Drops all work and returns the clients waiting for it at `now`.
    pub(super) fn drop_all(&mut self, now: SimTime, records: &mut Records) -> Vec<Client> {
        let jobs = match &mut self.server {
            Server::Fifo(fifo) => fifo.take_jobs(now, records),
            Server::Sharing(sharing) => {
                sharing.forget_held();
                sharing.take_jobs(now, records)
            }
            Server::Llm(server) => {
                let clients = server.take_clients(now, records).into_iter();
                return clients.filter(|client| records.is_waiting(*client, now)).collect();
            }
        };
        let clients = jobs.into_iter().map(|job| job.client);
        clients.filter(|client| records.is_waiting(*client, now)).collect()
    }

    /// Time at which all requests in flight are done if no others arrive.
    pub(super) fn drained_at(&self, now: SimTime) -> SimTime {
        match &self.server {
            Server::Fifo(fifo) => fifo.drained_at(now),
            Server::Sharing(sharing) => sharing.drained_at(now),
            Server::Llm(server) => server.drained_at(now),
        }
    }

    /// CPU time used since the beginning; the backend must be at `now`.
    pub(super) fn cpu_used(&self, now: SimTime) -> SimDuration {
        match &self.server {
            Server::Fifo(fifo) => fifo.cpu_used(now),
            Server::Sharing(sharing) => sharing.cpu_used(now),
            Server::Llm(server) => server.cpu_used(now),
        }
    }

    /// Takes the time, since it was last taken, in which the CPU limit kept its requests from the CPU; time has passed to
    /// `now` already.
    pub(super) fn take_throttled(&mut self, now: SimTime) -> SimDuration {
        match &mut self.server {
            Server::Sharing(sharing) => sharing.take_throttled(now),
            Server::Fifo(_) | Server::Llm(_) => SimDuration::ZERO,
        }
    }

    /// Wait for a worker of a request arriving now; absent = it would be rejected.
    pub(super) fn wait_for_worker(&self, now: SimTime) -> Option<SimDuration> {
        match &self.server {
            Server::Fifo(fifo) => fifo.wait_for_slot(now),
            Server::Sharing(sharing) => sharing.wait_for_slot(now),
            // The front end answers independently of the engine.
            Server::Llm(_) => Some(SimDuration::ZERO),
        }
    }

    /// Mean CPU rate of the pod over time [cores].
    pub(super) const fn cores(&self) -> f64 {
        match self.quota_cores {
            Some(quota) => quota.min(self.capacity.cores),
            None => self.capacity.cores,
        }
    }

    /// Number of requests that use CPU, or would if any was available; each wants one core.
    pub(super) fn running(&self, now: SimTime) -> usize {
        match &self.server {
            Server::Fifo(fifo) => fifo.running(now),
            Server::Sharing(sharing) => sharing.running(),
            Server::Llm(server) => usize::from(server.is_busy()),
        }
    }

    /// Cores that its requests could use at this instant; known for watched backends.
    #[inline]
    pub(super) fn cores_wanted(&self) -> f64 {
        match &self.server {
            Server::Fifo(_) => 0.0,
            Server::Sharing(sharing) => sharing.cores_wanted(),
            Server::Llm(server) => server.cores_wanted(),
        }
    }

    /// Maximum number of cores that its requests can use at any instant.
    pub(super) fn most_cores_wanted(&self) -> f64 {
        match &self.server {
            Server::Fifo(_) | Server::Sharing(_) => self.capacity.concurrency as f64,
            Server::Llm(server) => server.cpu_cores(),
        }
    }

    /// Moves the work to the engine that suits the rate.
    fn suit_server(&mut self, now: SimTime, records: &mut Records) {
        let (speed, of_pod) = (self.fifo_speed(), self.cores());
        let jobs = match (&mut self.server, speed) {
            (Server::Fifo(fifo), Some(speed)) if fifo.speed().to_bits() == speed.to_bits() => {
                return;
            }
            (Server::Sharing(sharing), None) => {
                sharing.advance(now, records);
                return sharing.set_cores(now, self.capacity.cores);
            }
            (Server::Fifo(fifo), _) => fifo.take_jobs(now, records),
            (Server::Sharing(sharing), _) => {
                self.capacity.quota = sharing.capacity().quota;
                sharing.take_jobs(now, records)
            }
            // An inference server's work is done by its GPUs, whatever the CPU rate.
            (Server::Llm(server), _) => {
                server.advance(now, records);
                return server.set_cores(now, of_pod);
            }
        };
        self.server = self.idle_server(self.cpu_used(now), now);
        for job in jobs {
            match &mut self.server {
                Server::Fifo(fifo) => fifo.admit(now, job.client, job.demand),
                Server::Sharing(sharing) => sharing.admit(now, job),
                Server::Llm(_) => {}
            }
        }
    }

    fn idle_server(&self, cpu_used: SimDuration, now: SimTime) -> Server {
        let Capacity { concurrency, queue, .. } = self.capacity;
        match self.fifo_speed() {
            Some(speed) => Server::Fifo(Fifo::new(concurrency, queue, speed, cpu_used, now)),
            None => Server::Sharing(Sharing::new(self.capacity, cpu_used, now)),
        }
    }

    /// The speed of a request in service [cores], if only a rate change can affect it, its demand does not
    /// depend on its start time, and the number of requests need not be known.
    fn fifo_speed(&self) -> Option<f64> {
        let Capacity { concurrency, cores, shed_after, youth, .. } = self.capacity;
        let slots = concurrency as f64;
        let is_steady = cores >= slots || (concurrency == 1 && cores > 0.0);
        let is_throttled = self.quota_cores.is_some_and(|quota| quota < slots.min(cores));
        let is_plain = shed_after == SimDuration::MAX && youth.is_none();
        let needs_sharing = self.is_watched || is_throttled || !is_plain;
        (is_steady && !needs_sharing).then(|| cores.min(1.0))
    }
}
