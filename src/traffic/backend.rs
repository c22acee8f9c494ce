//! One pod's application: whether it answers, and the engine that works on its requests.

use super::barriers::PartyId;
use super::fifo::Fifo;
use super::fluid::NewPod;
use super::job::QueueFull;
use super::llm::LlmServer;
use super::node_cpu::NodeCpuId;
use super::quota::Quota;
use super::recording::{Client, FailureCause, Records};
use super::request_model::{Demand, RequestModel, RequestModelId, RequestSize, Youth};
use super::sharing::{Capacity, Sharing};
use engine::{Id, SimDuration, SimTime};

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
    /// It hangs, or its node does not answer: requests, those in flight as well, hang until their
    /// clients give up.
    Unreachable,
    /// Its pod's network is taken down: nobody answers for its address, not even to refuse, so that new
    /// connections hang until their clients give up. Those that it had were closed when it stopped.
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
    /// Number of the zone that it is in, if that is known.
    pub(super) zone: Option<u16>,
    /// Number of its node, if that is known.
    pub(super) node: Option<u32>,
    /// Its party, by which policies of the network know it.
    pub(super) party: PartyId,
    /// Requests that hang because its node does not answer, or a policy keeps them away.
    pub(super) hanging: u32,
    /// Requests that it took in so far.
    pub(super) taken: u64,
    /// Whether it serves the network of calls, and how it did.
    pub(super) is_networked: bool,
    /// The node's CPU that it shares with others, and its position among them.
    pub(super) node_cpu: Option<(NodeCpuId, u32)>,
    pub(super) failures_in_a_row: u32,
    pub(super) ejections: u32,
    /// Whether somebody wants to know how many requests are in flight, or when the next is done.
    is_watched: bool,
    /// What the pod can take and do. While `Server::Sharing` works, its copy is the current one.
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
            youth: model.young.map(|young| Youth::new(young, now)),
        };
        let mut backend = Self {
            state: BackendState::Serving,
            model: id,
            island: None,
            endpoint_of: Vec::new(),
            zone: None,
            node: None,
            party: 0,
            hanging: 0,
            taken: 0,
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

    /// What a flow needs to know of it; `id` is its own.
    pub(super) const fn as_fluid(&self, id: BackendId) -> NewPod {
        NewPod { id, state: self.state, model: self.model.0, cores: self.cores() }
    }

    /// Takes a request in, which its model says the demand of; the backend serves.
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

    /// Nobody waits for this attempt of the network of calls from `now` on: an inference server drops it, any
    /// other application works on.
    pub(super) fn abort(&mut self, now: SimTime, attempt: u32) {
        if let Server::Llm(server) = &mut self.server {
            server.abort(now, attempt);
        }
    }

    /// Requests that came so far.
    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    /// Requests that it works on at a time.
    pub(super) const fn concurrency(&self) -> usize {
        self.capacity.concurrency
    }

    /// The backend reacts otherwise from now on.
    pub(super) fn set_state(&mut self, now: SimTime, state: BackendState, records: &mut Records) {
        if state == BackendState::Serving
            && self.state != BackendState::Serving
            && let Some(youth) = &mut self.capacity.youth
            && let Server::Sharing(sharing) = &mut self.server
        {
            sharing.advance(now, records);
            youth.begin(now);
            sharing.set_youth(self.capacity.youth);
        }
        self.state = state;
    }

    /// When the next request leaves the CPU or the pod; known of watched backends.
    #[inline]
    pub(super) fn next_event(&self) -> SimTime {
        match &self.server {
            Server::Fifo(_) => SimTime::MAX,
            Server::Sharing(sharing) => sharing.next_event(),
            Server::Llm(server) => server.next_event(),
        }
    }

    /// Lets time pass until `now`, for a watched backend.
    #[inline]
    pub(super) fn advance(&mut self, now: SimTime, records: &mut Records) {
        match &mut self.server {
            Server::Fifo(_) => {}
            Server::Sharing(sharing) => sharing.advance(now, records),
            Server::Llm(server) => server.advance(now, records),
        }
    }

    /// A request that kept its slot gives it back; the backend stands at `now`. Whether another took the slot.
    #[inline]
    pub(super) fn release(&mut self, now: SimTime, records: &mut Records) -> bool {
        match &mut self.server {
            Server::Sharing(sharing) => sharing.release(now, records),
            Server::Fifo(_) | Server::Llm(_) => false,
        }
    }

    /// Whether requests keep their slots, when done with CPU and waiting, until they are released.
    #[inline]
    pub(super) const fn holds(&self) -> bool {
        self.capacity.holds
    }

    /// Whether what happens in it must be looked at when it happens: others depend on it.
    pub(super) fn needs_events(&self) -> bool {
        self.holds() || self.node_cpu.is_some()
    }

    /// Whether a request that comes now need not wait; known of watched backends.
    #[inline]
    pub(super) fn has_free_slot(&self) -> bool {
        match &self.server {
            Server::Fifo(_) => false,
            Server::Sharing(sharing) => sharing.has_free_slot(),
            Server::Llm(server) => server.status().num_requests_waiting == 0,
        }
    }

    /// Requests in the pod, those whose clients gave up included, and how many of them wait for a
    /// slot; time has passed to `now` already.
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

    /// Brings the records up to date with what happened until `now`.
    pub(super) fn sweep(&mut self, now: SimTime, records: &mut Records) {
        match &mut self.server {
            Server::Fifo(fifo) => fifo.sweep(now, records),
            Server::Sharing(sharing) => sharing.sweep(now, records),
            Server::Llm(server) => server.sweep(now, records),
        }
    }

    /// How many requests a balancer sees in flight. A request whose client gave up counts until the
    /// pod is done with it or, an inference server, drops it.
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
        in_pod + self.hanging as usize
    }

    /// Millionths of an inference server's KV cache that are in use; 0 for one that has none.
    pub(super) fn kv_usage_ppm(&self) -> u64 {
        self.llm().map_or(0, LlmServer::kv_usage_ppm)
    }

    /// The session of a request to its inference server; 0 for none.
    pub(super) fn llm_session(&self, size: &RequestSize) -> u32 {
        self.llm().map_or(0, |server| server.session_of(size))
    }

    /// The clients that wait for this backend at `now`, to which it was swept.
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

    /// The CPU rate is another from `now` on.
    pub(super) fn set_cores(&mut self, now: SimTime, cores: f64, records: &mut Records) {
        if cores.to_bits() != self.capacity.cores.to_bits() {
            self.capacity.cores = cores;
            self.suit_server(now, records);
        }
    }

    /// The CPU rate is another from now on, in the midst of what happens at this instant: nothing leaves the
    /// pod by this. Returns whether it was another before.
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

    /// The CPU time per period is limited to that of so many cores from `now` on.
    pub(super) fn set_quota(&mut self, now: SimTime, cores: Option<f64>, records: &mut Records) {
        self.quota_cores = cores;
        self.capacity.quota = cores.map(|cores| Quota::new(cores, now));
        if let Server::Sharing(sharing) = &mut self.server {
            sharing.advance(now, records);
            sharing.set_quota(now, self.capacity.quota);
        }
        self.suit_server(now, records);
    }

    /// Somebody wants to know how many requests are in flight, or when the next is done: the engine
    /// that tells takes over.
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

    /// When all requests in flight are done if nothing else comes.
    pub(super) fn drained_at(&self, now: SimTime) -> SimTime {
        match &self.server {
            Server::Fifo(fifo) => fifo.drained_at(now),
            Server::Sharing(sharing) => sharing.drained_at(now),
            Server::Llm(server) => server.drained_at(now),
        }
    }

    /// CPU time used since the beginning; time has passed to `now` already.
    pub(super) fn cpu_used(&self, now: SimTime) -> SimDuration {
        match &self.server {
            Server::Fifo(fifo) => fifo.cpu_used(now),
            Server::Sharing(sharing) => sharing.cpu_used(now),
            Server::Llm(server) => server.cpu_used(now),
        }
    }

    /// How long a request that came now would wait for a worker; absent = it would be turned away.
    pub(super) fn wait_for_worker(&self, now: SimTime) -> Option<SimDuration> {
        match &self.server {
            Server::Fifo(fifo) => fifo.wait_for_slot(now),
            Server::Sharing(sharing) => sharing.wait_for_slot(now),
            // Its front end answers beside the engine.
            Server::Llm(_) => Some(SimDuration::ZERO),
        }
    }

    /// CPU rate of the pod over time [cores].
    pub(super) const fn cores(&self) -> f64 {
        match self.quota_cores {
            Some(quota) => quota.min(self.capacity.cores),
            None => self.capacity.cores,
        }
    }

    /// How many requests burn CPU, or would if there was any; each wants one core.
    pub(super) fn running(&self, now: SimTime) -> usize {
        match &self.server {
            Server::Fifo(fifo) => fifo.running(now),
            Server::Sharing(sharing) => sharing.running(),
            Server::Llm(server) => usize::from(server.is_busy()),
        }
    }

    /// Cores that its requests would use at this instant; known of watched backends.
    #[inline]
    pub(super) fn cores_wanted(&self) -> f64 {
        match &self.server {
            Server::Fifo(_) => 0.0,
            Server::Sharing(sharing) => sharing.cores_wanted(),
            Server::Llm(server) => server.cores_wanted(),
        }
    }

    /// Cores that its requests can ever use at an instant.
    pub(super) fn most_cores_wanted(&self) -> f64 {
        match &self.server {
            Server::Fifo(_) | Server::Sharing(_) => self.capacity.concurrency as f64,
            Server::Llm(server) => server.cpu_cores(),
        }
    }

    /// Puts the work into the engine that suits the rate.
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
            // Its GPUs do the work, whatever CPU there is.
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

    /// The speed of a request in service [cores], if nothing but the rate can change it, its demand does not
    /// depend on when it begins, and nobody needs to know how many there are.
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
