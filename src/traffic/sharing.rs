//! A pod whose requests share its CPU: every request in service gets the same rate, at most one core. At most
//! `concurrency` are in service; the others queue in order of arrival.
//!
//! Exact limited processor sharing by virtual time: `progress` is the CPU time that each running request has had
//! since the pod was last idle, so a request that starts at progress `p` and needs `x` leaves the CPU at progress
//! `p + x`, however the rate changes meanwhile. The pod advances from one such event to the next only when
//! queried.
//!
//! A used-up quota stops the progress until the next period.

use std::collections::VecDeque;

use super::job::{Job, QueueFull};
use super::quota::Quota;
use super::recording::{Client, Records};
use super::request_model::{Demand, WarmUpSlowdown};
use engine::{Heap, HeapOrder, SimDuration, SimTime};

/// Capacity of a pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capacity {
    /// Maximum number of requests in service.
    pub concurrency: usize,
    /// Maximum number of queued requests.
    pub queue: usize,
    /// Requests queued for longer are dropped when they get a slot.
    pub shed_after: SimDuration,
    /// Whether requests that have finished CPU and waiting hold their slots until released.
    pub holds: bool,
    /// CPU rate of the pod [cores].
    pub cores: f64,
    /// CPU time per period, if limited as well.
    pub quota: Option<Quota>,
    /// Slowdown of requests that start while the pod is young.
    pub youth: Option<WarmUpSlowdown>,
}

/// The way a request leaves its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// Its work is done.
    Done,
    /// It was queued for too long.
    Shed,
}

/// The requests of one pod.
#[derive(Clone, Debug)]
pub(super) struct Sharing {
    capacity: Capacity,
    /// Slots held by requests whose work here is done, until released.
    held: usize,
    /// CPU time received by each running request, at `progress_at` [ns].
    progress: f64,
    progress_at: SimTime,
    /// Cores per running request.
    rate: f64,
    /// Requests using CPU, the first to finish on top.
    running: Heap<Running>,
    /// Requests in service that wait for something else, the first to be answered on top.
    waiting: Heap<Waiting>,
    /// Requests queued for a slot.
    queue: VecDeque<Job>,
    /// Time at which the next request leaves the CPU or the pod.
    next_event: SimTime,
    /// Time at which the clients were last checked.
    swept: SimTime,
    /// CPU time of the requests that have finished using it.
    cpu_done: SimDuration,
    /// Time in which the quota was used up while requests had work to do, until `progress_at`.
    throttled: SimDuration,
    /// The part of it already reported.
    throttled_taken: SimDuration,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    /// Progress at which it has finished using the CPU [ns].
    until: f64,
    job: Job,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    until: SimTime,
    client: Client,
}

/// Rounding tolerances within which a request counts as finished: absolute [ns], and relative to its progress,
/// whose precision decreases as it grows.
const ROUNDING: f64 = 1e-3;
const ROUNDING_SHARE: f64 = 1e-15;

impl Sharing {
    /// An idle pod. `cpu_done` is the CPU time it has used so far.
    pub const fn new(capacity: Capacity, cpu_done: SimDuration, now: SimTime) -> Self {
        Self {
            capacity,
            held: 0,
            progress: 0.0,
            progress_at: now,
            rate: 1.0,
            running: Heap::new(),
            waiting: Heap::new(),
            queue: VecDeque::new(),
            next_event: SimTime::MAX,
            swept: now,
            cpu_done,
            throttled: SimDuration::ZERO,
            throttled_taken: SimDuration::ZERO,
        }
    }

    /// Accepts a request if a slot or the queue has room.
    #[inline]
    pub fn offer(
        &mut self,
        now: SimTime,
        client: Client,
        demand: Demand,
        records: &mut Records,
    ) -> Result<(), QueueFull> {
        self.advance(now, records);
        if !self.has_free_slot() && self.queue.len() >= self.capacity.queue {
            return Err(QueueFull);
        }
        self.admit(now, Job { client, demand });
        Ok(())
    }

    /// Accepts a request regardless of the length of the queue; the pod must be at `now`. Work started in another
    /// engine is not slowed down again: no other engine has young pods.
    #[inline]
    pub fn admit(&mut self, now: SimTime, job: Job) {
        if !self.has_free_slot() {
            self.queue.push_back(job);
            return;
        }
        self.move_progress(now);
        self.start(now, job);
        self.plan();
    }

    /// Advances to `now`.
    #[inline]
    pub fn advance(&mut self, now: SimTime, records: &mut Records) {
        let swept = self.swept;
        while self.next_event <= now {
            self.handle_next(|client, at, how| match how {
                Leave::Done => records.finish(client, at, swept),
                Leave::Shed => records.shed(client, at, swept),
            });
        }
    }

    /// A request releases the slot that it held; the pod must be at `now`. True if others were queued for it;
    /// otherwise the next event is unchanged.
    #[inline]
    pub fn release(&mut self, now: SimTime, records: &mut Records) -> bool {
        self.held = self.held.saturating_sub(1);
        if self.queue.is_empty() {
            return false;
        }
        self.move_progress(now);
        let swept = self.swept;
        self.fill_slots(now, &mut |client, at, _| records.shed(client, at, swept));
        self.plan();
        true
    }

    /// Clears the held slots, whose requests are gone.
    pub(crate) const fn forget_held(&mut self) {
        self.held = 0;
    }

    /// Advances to `now` and counts the clients that gave up by then.
    pub fn sweep(&mut self, now: SimTime, records: &mut Records) {
        self.advance(now, records);
        for client in self.clients() {
            records.sweep(client, self.swept, now);
        }
        self.swept = now;
    }

    /// Removes the remaining work of all requests, those in service first.
    pub(crate) fn take_jobs(&mut self, now: SimTime, records: &mut Records) -> Vec<Job> {
        self.sweep(now, records);
        let used = self.cpu_used(now);
        let progress = self.progress_by(now);
        // Sorted, so that the order does not depend on the history of the heaps.
        let running = self.running.take_sorted().into_iter();
        let waiting = self.waiting.take_sorted().into_iter();
        let mut jobs: Vec<Job> = running
            .map(|running| {
                let cpu = running.job.demand.cpu - running.used(progress);
                Job { demand: Demand { cpu, ..running.job.demand }, ..running.job }
            })
            .collect();
        jobs.extend(waiting.map(|Waiting { until, client }| {
            let demand = Demand { cpu: SimDuration::ZERO, wait: until - now };
            Job { client, demand }
        }));
        jobs.extend(self.queue.drain(..));
        self.cpu_done = used;
        self.move_progress(now);
        self.plan();
        jobs
    }

    /// Sets the CPU rate from `now` on, where the pod must be.
    pub fn set_cores(&mut self, now: SimTime, cores: f64) {
        self.move_progress(now);
        self.capacity.cores = cores;
        self.plan();
    }

    /// Sets the quota from `now` on, where the pod must be.
    pub fn set_quota(&mut self, now: SimTime, quota: Option<Quota>) {
        self.move_progress(now);
        self.capacity.quota = quota;
        self.plan();
    }

    /// Sets the slowdown for requests that start from now on.
    pub(crate) const fn set_warm_up(&mut self, youth: Option<WarmUpSlowdown>) {
        self.capacity.youth = youth;
    }

    /// Capacity of the pod.
    pub const fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    /// Time at which the next request leaves the CPU or the pod; [`SimTime::MAX`] if none will.
    pub const fn next_event(&self) -> SimTime {
        self.next_event
    }

    /// Whether a request arriving now would not wait.
    #[inline]
    pub(crate) fn has_free_slot(&self) -> bool {
        self.in_service() < self.capacity.concurrency
    }

    /// Number of queued requests.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Number of requests in the pod.
    pub fn len(&self) -> usize {
        self.in_service() + self.queue.len()
    }

    /// Number of requests using CPU.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Cores that the running requests could use at this instant: none while the quota is used up.
    #[inline]
    pub(crate) fn cores_wanted(&self) -> f64 {
        if self.is_throttled() { 0.0 } else { self.running.len() as f64 }
    }

    /// The clients of the requests in the pod.
    pub fn clients(&self) -> impl Iterator<Item = Client> + '_ {
        let running = self.running.entries().iter().map(|running| running.job.client);
        let waiting = self.waiting.entries().iter().map(|waiting| waiting.client);
        running.chain(waiting).chain(self.queue.iter().map(|job| job.client))
    }

    /// Time at which all of them are done if nothing else arrives; [`SimTime::MAX`] if the pod gets no CPU.
    pub fn drained_at(&self, now: SimTime) -> SimTime {
        let mut ahead = self.clone();
        let mut drained = now;
        while ahead.next_event < SimTime::MAX {
            drained = drained.max(ahead.next_event);
            ahead.handle_next(|_, _, _| {});
        }
        if ahead.len() > ahead.held { SimTime::MAX } else { drained }
    }

    /// Wait for a slot of a request arriving at `now`, estimated from the time needed for all present requests;
    /// absent = the queue is full.
    pub(crate) fn wait_for_slot(&self, now: SimTime) -> Option<SimDuration> {
        if self.has_free_slot() {
            return Some(SimDuration::ZERO);
        }
        if self.queue.len() >= self.capacity.queue {
            return None;
        }
        // One request in service has to end for each queued one, and one for the newcomer.
        let (before, all) = (self.queue.len() + 1, self.in_service() + self.queue.len());
        let all_done = (self.drained_at(now) - now).as_secs_f64();
        Some(SimDuration::from_secs_f64(all_done * before as f64 / all as f64))
    }

    /// CPU time used until `now`, where the pod must be.
    pub fn cpu_used(&self, now: SimTime) -> SimDuration {
        let progress = self.progress_by(now);
        let used = self.running.entries().iter().map(|running| running.used(progress));
        used.fold(self.cpu_done, |sum, used| sum + used)
    }

    /// Takes the throttled time since the last call; the pod must be at `now`.
    pub fn take_throttled(&mut self, now: SimTime) -> SimDuration {
        let all = self.throttled_by(now);
        all - std::mem::replace(&mut self.throttled_taken, all)
    }

    fn throttled_by(&self, now: SimTime) -> SimDuration {
        match self.capacity.quota {
            Some(quota) if quota.is_used_up() && !self.running.is_empty() => {
                self.throttled + quota.throttled(self.progress_at, now)
            }
            _ => self.throttled,
        }
    }

    fn in_service(&self) -> usize {
        self.running.len() + self.waiting.len() + self.held
    }

    /// Lets the next request leave the CPU or the pod, and starts others in its place.
    #[inline]
    fn handle_next(&mut self, mut leave: impl FnMut(Client, SimTime, Leave)) {
        let now = self.next_event;
        self.move_progress(now);
        while let Some(client) = self.take_done(now) {
            self.held += usize::from(self.capacity.holds);
            leave(client, now, Leave::Done);
        }
        if !self.queue.is_empty() {
            self.fill_slots(now, &mut leave);
        }
        self.plan();
    }

    /// Takes the next request whose work is done by `now`, for which `progress` must be current.
    #[expect(clippy::inline_always, reason = "on the path of every request")]
    #[inline(always)]
    fn take_done(&mut self, now: SimTime) -> Option<Client> {
        while let Some(running) = self.running.first()
            && running.until <= self.progress + ROUNDING.max(running.until * ROUNDING_SHARE)
        {
            let Job { client, demand } = running.job;
            self.running.pop();
            self.cpu_done += demand.cpu;
            if demand.wait == SimDuration::ZERO {
                return Some(client);
            }
            self.waiting.push(Waiting { until: now + demand.wait, client });
        }
        let client = self.waiting.first().filter(|waiting| waiting.until <= now)?.client;
        self.waiting.pop();
        Some(client)
    }

    /// Gives free slots to queued requests; `progress` must be current at `now`.
    fn fill_slots(&mut self, now: SimTime, leave: &mut impl FnMut(Client, SimTime, Leave)) {
        while self.has_free_slot()
            && let Some(job) = self.queue.pop_front()
        {
            if now - job.client.arrived > self.capacity.shed_after {
                leave(job.client, now, Leave::Shed);
            } else {
                self.start(now, job);
            }
        }
    }

    /// Puts a request in service; `progress` must be current at `now`.
    #[expect(clippy::inline_always, reason = "on the path of every request")]
    #[inline(always)]
    fn start(&mut self, now: SimTime, mut job: Job) {
        if let Some(youth) = &self.capacity.youth {
            job.demand = youth.slow_down(now, job.demand);
        }
        if job.demand.cpu == SimDuration::ZERO && job.demand.wait > SimDuration::ZERO {
            self.waiting.push(Waiting { until: now + job.demand.wait, client: job.client });
            return;
        }
        if self.running.is_empty() {
            // Restart from zero, so that the progress of a long run keeps its precision.
            self.progress = 0.0;
        }
        let until = self.progress + job.demand.cpu.as_nanos() as f64;
        self.running.push(Running { until, job });
    }

    #[expect(clippy::inline_always, reason = "on the path of every request")]
    #[inline(always)]
    fn move_progress(&mut self, now: SimTime) {
        self.progress = self.progress_by(now);
        if self.capacity.quota.is_some() {
            let busy = self.busy_cores();
            self.throttled = self.throttled_by(now);
            if let Some(quota) = &mut self.capacity.quota {
                quota.consume(self.progress_at, now, busy);
            }
        }
        self.progress_at = now;
    }

    #[inline]
    fn progress_by(&self, now: SimTime) -> f64 {
        self.progress + self.rate * (now - self.progress_at).as_nanos() as f64
    }

    /// Cores of all running requests together.
    #[inline]
    fn busy_cores(&self) -> f64 {
        if self.is_throttled() { 0.0 } else { self.capacity.cores.min(self.running.len() as f64) }
    }

    #[inline]
    fn is_throttled(&self) -> bool {
        self.capacity.quota.is_some_and(|quota| quota.is_used_up())
    }

    /// Time at which the quota next stops or resumes the running requests.
    #[inline]
    fn quota_turns_at(&self) -> SimTime {
        match &self.capacity.quota {
            Some(quota) if !self.running.is_empty() => {
                if quota.is_used_up() {
                    quota.replenished_at()
                } else {
                    quota.used_up_at(self.progress_at, self.busy_cores())
                }
            }
            _ => SimTime::MAX,
        }
    }

    /// Computes the rate and the next event, from `progress_at` on.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "float to int casts saturate, which is meant"
    )]
    fn plan(&mut self) {
        let (running, cores) = (self.running.len() as f64, self.capacity.cores);
        // Whether each has its own core is unpredictable, so both cases are computed without a branch.
        let (rate, nanos_per_progress) = ((cores / running).min(1.0), (running / cores).max(1.0));
        let mut next_event = self.waiting.first().map_or(SimTime::MAX, |waiting| waiting.until);
        if self.is_throttled() {
            self.rate = 0.0;
        } else {
            self.rate = rate;
            if let Some(next) = self.running.first() {
                let left = next.until - self.progress;
                let nanos = if left > 0.0 { left * nanos_per_progress } else { 0.0 };
                let whole = nanos as i64;
                // Round up to a nanosecond, so that the request is done by then.
                let round_up = i64::from((whole as f64) < nanos);
                let span = SimDuration::from_nanos(whole.saturating_add(round_up));
                next_event = next_event.min(self.progress_at + span);
            }
        }
        self.next_event = next_event.min(self.quota_turns_at());
    }
}

impl Running {
    /// CPU time that it has used when the progress of the pod is `progress`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "CPU times are far below 2^53 ns, and rounding down is meant"
    )]
    fn used(&self, progress: f64) -> SimDuration {
        let cpu = self.job.demand.cpu;
        let left = SimDuration::from_nanos((self.until - progress).max(0.0).ceil() as i64);
        cpu - left.min(cpu)
    }
}

impl HeapOrder for Running {
    /// Ties are resolved by arrival.
    #[inline]
    fn is_before(&self, other: &Self) -> bool {
        let key = |running: &Self| (running.job.client.arrived, running.job.client.service);
        self.until < other.until || (self.until <= other.until && key(self) < key(other))
    }
}

impl HeapOrder for Waiting {
    /// Ties are resolved by arrival.
    #[inline]
    fn is_before(&self, other: &Self) -> bool {
        let key = |waiting: &Self| (waiting.until, waiting.client.arrived, waiting.client.service);
        key(self) < key(other)
    }
}
