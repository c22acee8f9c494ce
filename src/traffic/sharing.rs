//! A pod whose requests share its CPU: every request in service gets the same rate, at most one core.
//! At most `concurrency` are in service; the others wait in order of arrival.
//!
//! Exact limited processor sharing by virtual time: `progress` is the CPU time that each running
//! request has had since the pod was last without one, so a request that starts at progress `p` and
//! needs `x` leaves the CPU at progress `p + x`, however the rate changes meanwhile. The pod goes from
//! one such instant to the next only when somebody looks at it.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

use super::job::{Job, QueueFull};
use super::recording::{Client, Records};
use super::request_model::Demand;
use crate::engine::{SimDuration, SimTime};

/// The requests of one pod.
#[derive(Clone, Debug)]
pub(super) struct Sharing {
    concurrency: usize,
    queue_limit: usize,
    /// CPU rate of the pod [cores].
    cores: f64,
    /// CPU time that each running request has had, at `progress_at` [ns].
    progress: f64,
    progress_at: SimTime,
    /// Those that burn CPU, the first to be done with it on top.
    running: BinaryHeap<Running>,
    /// Those that are in service and wait for something else, the first to be answered on top.
    waiting: BinaryHeap<Waiting>,
    /// Those that wait for a slot.
    queue: VecDeque<Job>,
    /// When the next request leaves the CPU or the pod.
    next_event: SimTime,
    /// When the clients were last looked at.
    swept: SimTime,
    /// CPU time of the requests that are done with it.
    cpu_done: SimDuration,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    /// Progress at which it is done with the CPU [ns].
    until: f64,
    job: Job,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    until: SimTime,
    client: Client,
}

/// Progress that may be missing from rounding when a request is taken to be done [ns].
const ROUNDING: f64 = 1e-3;

impl Sharing {
    /// An idle pod. `cpu_done` is the CPU time that it has used so far.
    pub fn new(
        concurrency: usize,
        queue_limit: usize,
        cores: f64,
        cpu_done: SimDuration,
        now: SimTime,
    ) -> Self {
        Self {
            concurrency,
            queue_limit,
            cores,
            progress: 0.0,
            progress_at: now,
            running: BinaryHeap::new(),
            waiting: BinaryHeap::new(),
            queue: VecDeque::new(),
            next_event: SimTime::MAX,
            swept: now,
            cpu_done,
        }
    }

    /// Takes a request in, if a slot or the queue has room.
    #[inline]
    pub fn offer(
        &mut self,
        now: SimTime,
        client: Client,
        demand: Demand,
        records: &mut Records,
    ) -> Result<(), QueueFull> {
        self.advance(now, records);
        if self.in_service() == self.concurrency && self.queue.len() >= self.queue_limit {
            return Err(QueueFull);
        }
        self.admit(now, Job { client, demand });
        Ok(())
    }

    /// Takes a request in whatever the length of the queue; the pod stands at `now`.
    #[inline]
    pub fn admit(&mut self, now: SimTime, job: Job) {
        if self.in_service() == self.concurrency {
            self.queue.push_back(job);
            return;
        }
        self.move_progress(now);
        self.start(now, job);
        self.plan();
    }

    /// Lets time pass until `now`.
    #[inline]
    pub fn advance(&mut self, now: SimTime, records: &mut Records) {
        let swept = self.swept;
        while self.next_event <= now {
            self.handle_next(|client, finish| records.finish(client, finish, swept));
        }
    }

    /// Lets time pass until `now` and counts the clients that gave up by then.
    pub fn sweep(&mut self, now: SimTime, records: &mut Records) {
        self.advance(now, records);
        for client in self.clients() {
            records.sweep(client, self.swept, now);
        }
        self.swept = now;
    }

    /// Takes out what is left of all requests, those in service first.
    pub fn take_jobs(&mut self, now: SimTime, records: &mut Records) -> Vec<Job> {
        self.sweep(now, records);
        let used = self.cpu_used(now);
        let progress = self.progress_by(now);
        // Sorted, so that the order does not depend on how the heaps came about.
        let running = std::mem::take(&mut self.running).into_sorted_vec().into_iter().rev();
        let waiting = std::mem::take(&mut self.waiting).into_sorted_vec().into_iter().rev();
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

    /// From `now` on, to which time has passed already, the pod has another CPU rate.
    pub fn set_cores(&mut self, now: SimTime, cores: f64) {
        self.move_progress(now);
        self.cores = cores;
        self.plan();
    }

    /// How many requests are in the pod.
    pub fn len(&self) -> usize {
        self.in_service() + self.queue.len()
    }

    /// How many requests burn CPU.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// The clients of the requests that are in the pod.
    pub fn clients(&self) -> impl Iterator<Item = Client> + '_ {
        let running = self.running.iter().map(|running| running.job.client);
        let waiting = self.waiting.iter().map(|waiting| waiting.client);
        running.chain(waiting).chain(self.queue.iter().map(|job| job.client))
    }

    /// When all of them are done if nothing else comes; [`SimTime::MAX`] if the pod gets no CPU.
    pub fn drained_at(&self, now: SimTime) -> SimTime {
        let mut ahead = self.clone();
        let mut drained = now;
        while ahead.next_event < SimTime::MAX {
            drained = drained.max(ahead.next_event);
            ahead.handle_next(|_, _| {});
        }
        if ahead.len() > 0 { SimTime::MAX } else { drained }
    }

    /// CPU time used since the beginning, until `now`, to which time has passed already.
    pub fn cpu_used(&self, now: SimTime) -> SimDuration {
        let progress = self.progress_by(now);
        let used = self.running.iter().map(|running| running.used(progress));
        used.fold(self.cpu_done, |sum, used| sum + used)
    }

    fn in_service(&self) -> usize {
        self.running.len() + self.waiting.len()
    }

    /// Lets the next request leave the CPU or the pod, and others take its place.
    #[inline]
    fn handle_next(&mut self, mut leave: impl FnMut(Client, SimTime)) {
        let now = self.next_event;
        self.move_progress(now);
        while let Some(running) = self.running.peek()
            && running.until <= self.progress + ROUNDING
        {
            let Job { client, demand } = running.job;
            self.running.pop();
            self.cpu_done += demand.cpu;
            if demand.wait == SimDuration::ZERO {
                leave(client, now);
            } else {
                self.waiting.push(Waiting { until: now + demand.wait, client });
            }
        }
        while let Some(waiting) = self.waiting.peek()
            && waiting.until <= now
        {
            leave(waiting.client, now);
            self.waiting.pop();
        }
        while self.in_service() < self.concurrency
            && let Some(job) = self.queue.pop_front()
        {
            self.start(now, job);
        }
        self.plan();
    }

    /// Puts a request in service; `progress` stands at `now`.
    #[inline]
    fn start(&mut self, now: SimTime, job: Job) {
        if job.demand.cpu == SimDuration::ZERO && job.demand.wait > SimDuration::ZERO {
            self.waiting.push(Waiting { until: now + job.demand.wait, client: job.client });
            return;
        }
        if self.running.is_empty() {
            // Begins anew, so that the progress of a long run keeps its digits.
            self.progress = 0.0;
        }
        let until = self.progress + job.demand.cpu.as_nanos() as f64;
        self.running.push(Running { until, job });
    }

    fn move_progress(&mut self, now: SimTime) {
        self.progress = self.progress_by(now);
        self.progress_at = now;
    }

    #[inline]
    fn progress_by(&self, now: SimTime) -> f64 {
        let running = self.running.len() as f64;
        let rate = if running <= self.cores { 1.0 } else { self.cores / running };
        self.progress + rate * (now - self.progress_at).as_nanos() as f64
    }

    /// Finds the next event, from `progress_at` on.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "float to int casts saturate, which is meant"
    )]
    fn plan(&mut self) {
        let answered = self.waiting.peek().map_or(SimTime::MAX, |waiting| waiting.until);
        let done = self.running.peek().map_or(SimTime::MAX, |next| {
            let nanos_per_progress = (self.running.len() as f64 / self.cores).max(1.0);
            let nanos = (next.until - self.progress).max(0.0) * nanos_per_progress;
            let whole = nanos as i64;
            // Up to the next nanosecond, so that the request is done by then.
            let round_up = i64::from((whole as f64) < nanos);
            self.progress_at + SimDuration::from_nanos(whole.saturating_add(round_up))
        });
        self.next_event = answered.min(done);
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

impl Ord for Running {
    /// Reversed: `BinaryHeap` keeps its greatest entry on top. The arrival decides between equals, so
    /// that the order is the same however the heap came about.
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |running: &Self| (running.job.client.arrived, running.job.client.service);
        other.until.total_cmp(&self.until).then_with(|| key(other).cmp(&key(self)))
    }
}

impl Ord for Waiting {
    /// Reversed, as above.
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |waiting: &Self| (waiting.until, waiting.client.arrived, waiting.client.service);
        key(other).cmp(&key(self))
    }
}

impl PartialOrd for Running {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Running {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Running {}
impl Eq for Waiting {}
