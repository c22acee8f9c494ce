//! A FIFO pod whose requests are each served at a constant speed: the completion of a request is known on
//! arrival, so it needs no event.
//!
//! That holds while the pod's CPU rate is at least its number of slots (each request has its own core), or while
//! there is just one slot. Otherwise `sharing` takes over. On a disturbance the remaining work of each request is
//! handed over ([`Fifo::take_jobs`]).

use super::job::{Job, QueueFull};
use super::recording::{Client, Records};
use super::request_model::Demand;
use engine::{Heap, SimDuration, SimTime};

/// The requests of one pod.
#[derive(Clone, Debug)]
pub(super) struct Fifo {
    concurrency: usize,
    queue: usize,
    /// Cores per request in service, above 0 and at most 1.
    speed: f64,
    /// Time at which each slot used so far becomes free.
    free_at: Heap<SimTime>,
    /// In order of arrival, and so of start. Completed requests remain until the next sweep.
    in_flight: Vec<InFlight>,
    /// Length of `in_flight` that triggers a sweep.
    sweep_at: usize,
    /// Time of the last sweep.
    swept: SimTime,
    /// CPU time of the requests swept out.
    cpu_done: SimDuration,
}

/// 40 bytes: a sweep reads them all.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    client: Client,
    started: SimTime,
    cpu: SimDuration,
    finish: SimTime,
}

const SWEEP_AT_LEAST: usize = 16;

impl Fifo {
    /// An idle pod. `cpu_done` is the CPU time it has used so far.
    pub fn new(
        concurrency: usize,
        queue: usize,
        speed: f64,
        cpu_done: SimDuration,
        swept: SimTime,
    ) -> Self {
        Self {
            concurrency,
            queue,
            speed,
            free_at: Heap::new(),
            in_flight: Vec::new(),
            sweep_at: SWEEP_AT_LEAST,
            swept,
            cpu_done,
        }
    }

    /// Cores per request in service.
    pub const fn speed(&self) -> f64 {
        self.speed
    }

    /// Accepts a request if a slot or the queue has room.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a tenth of what a request takes")]
    pub fn offer(
        &mut self,
        now: SimTime,
        client: Client,
        demand: Demand,
        records: &mut Records,
    ) -> Result<(), QueueFull> {
        if self.in_flight.len() >= self.sweep_at {
            self.sweep(now, records);
            self.sweep_at = SWEEP_AT_LEAST.max(2 * self.in_flight.len());
        }
        if self.in_flight.len() >= self.queue && self.is_full(now) {
            return Err(QueueFull);
        }
        self.admit(now, client, demand);
        Ok(())
    }

    /// Accepts a request regardless of the length of the queue.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a tenth of what a request takes")]
    pub fn admit(&mut self, now: SimTime, client: Client, demand: Demand) {
        let Demand { cpu, wait } = demand;
        let free = self.free_at.first().copied().unwrap_or(SimTime::MAX);
        // Whether the slot is already free is unpredictable, so only a branchless `max` depends on it.
        let takes_new_slot = self.free_at.len() < self.concurrency && free > now;
        let started = if takes_new_slot { now } else { now.max(free) };
        let finish = started + span(cpu, self.speed) + wait;
        if takes_new_slot {
            self.free_at.push(finish);
        } else {
            self.free_at.replace_first(finish);
        }
        self.in_flight.push(InFlight { client, started, cpu, finish });
    }

    /// Moves the requests completed by `now` to the records.
    pub fn sweep(&mut self, now: SimTime, records: &mut Records) {
        let swept = std::mem::replace(&mut self.swept, now);
        let mut kept = 0;
        for place in 0..self.in_flight.len() {
            let request = self.in_flight[place];
            let InFlight { client, started, cpu, finish } = request;
            if finish <= now {
                self.cpu_done += cpu;
                records.finish_after(client, started, finish, swept);
            } else {
                records.sweep(client, swept, now);
                self.in_flight[kept] = request;
                kept += 1;
            }
        }
        self.in_flight.truncate(kept);
    }

    /// Removes the remaining work of all requests, those in service first.
    pub(crate) fn take_jobs(&mut self, now: SimTime, records: &mut Records) -> Vec<Job> {
        self.sweep(now, records);
        let used = self.cpu_used(now);
        let jobs = self.in_flight.iter().map(|request| self.job(request, now)).collect();
        self.cpu_done = used;
        self.in_flight.clear();
        self.free_at.clear();
        jobs
    }

    fn job(&self, request: &InFlight, now: SimTime) -> Job {
        let InFlight { client, started, cpu, finish } = *request;
        let left = cpu - self.used(request, now);
        let wait = if left > SimDuration::ZERO {
            finish - (started + span(cpu, self.speed))
        } else {
            finish - now.max(started)
        };
        Job { client, demand: Demand { cpu: left, wait } }
    }

    /// The clients of the requests in flight.
    pub fn clients(&self, now: SimTime) -> impl Iterator<Item = Client> + '_ {
        self.in_flight.iter().filter(move |request| request.finish > now).map(|r| r.client)
    }

    /// Time at which all of them are done.
    pub fn drained_at(&self, now: SimTime) -> SimTime {
        self.in_flight.iter().map(|request| request.finish).fold(now, SimTime::max)
    }

    /// Wait for a slot of a request arriving at `now`; absent = the queue is full.
    pub(crate) fn wait_for_slot(&self, now: SimTime) -> Option<SimDuration> {
        if self.free_at.len() < self.concurrency {
            return Some(SimDuration::ZERO);
        }
        let free = self.free_at.first().copied().unwrap_or(now);
        let has_room = free <= now || !self.is_full(now);
        has_room.then(|| (free - now).max(SimDuration::ZERO))
    }

    /// CPU time used since the beginning.
    pub fn cpu_used(&self, now: SimTime) -> SimDuration {
        let used = self.in_flight.iter().map(|request| self.used(request, now));
        used.fold(self.cpu_done, |sum, used| sum + used)
    }

    /// Number of requests using CPU at `now`.
    pub fn running(&self, now: SimTime) -> usize {
        let burns = |request: &&InFlight| {
            request.started <= now && now < request.started + span(request.cpu, self.speed)
        };
        self.in_flight.iter().filter(burns).count()
    }

    /// Number of requests waiting for a slot at `now`.
    pub fn queued(&self, now: SimTime) -> usize {
        let started = self.in_flight.partition_point(|request| request.started <= now);
        self.in_flight.len() - started
    }

    fn is_full(&self, now: SimTime) -> bool {
        let waiting = self.queued(now);
        let has_free_slot = self.free_at.len() < self.concurrency
            || self.free_at.first().is_some_and(|free| *free <= now);
        waiting >= self.queue && !has_free_slot
    }

    /// CPU time that a request has used by `now`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "float to int casts saturate, which is meant"
    )]
    fn used(&self, request: &InFlight, now: SimTime) -> SimDuration {
        let span = (now - request.started).max(SimDuration::ZERO);
        let burnt = (span.as_nanos() as f64 * self.speed) as i64;
        if self.speed >= 1.0 { span } else { SimDuration::from_nanos(burnt) }.min(request.cpu)
    }
}

/// Time to process `cpu` at this many cores.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "float to int casts saturate, which is meant")]
fn span(cpu: SimDuration, speed: f64) -> SimDuration {
    if speed >= 1.0 {
        return cpu;
    }
    SimDuration::from_nanos((cpu.as_nanos() as f64 / speed).ceil() as i64)
}
