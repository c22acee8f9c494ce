//! CPU used by a node to set up and tear down pods; concurrent jobs slow each other down. Processor
//! sharing with a bound per job.

use std::collections::BTreeMap;

use cluster::pod::PodId;
use engine::{SimDuration, SimTime};

/// The CPU-consuming tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Mount the pod's volumes.
    Mount,
    /// Create its sandbox.
    Sandbox,
    /// Create or start the container at this position.
    Container(usize),
    /// Send its status to the API server.
    Status,
    /// Tear it down.
    Stop,
}

/// A CPU time below that of any task (s).
const EPSILON: f64 = 1e-9;

/// The jobs in progress.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    /// CPU time that a job present from the beginning would have received by `at` (s).
    got: f64,
    at: SimTime,
    cores: f64,
    /// Maximum number of cores per job.
    cores_per_job: f64,
    /// Keyed by the value of `got` at which the job ends (as bits, which order like positive numbers),
    /// then by arrival.
    jobs: BTreeMap<(u64, u64), (PodId, Task)>,
    begun: u64,
    is_changed: bool,
}

impl Work {
    /// Sets the number of cores and the maximum per job.
    pub(super) fn set_cores(&mut self, cores: f64, cores_per_job: f64) {
        (self.cores, self.cores_per_job) = (cores, cores_per_job);
    }

    /// Number of jobs in progress.
    pub(super) fn jobs(&self) -> usize {
        self.jobs.len()
    }

    /// Begins a job.
    pub(super) fn begin(&mut self, now: SimTime, cpu: SimDuration, job: (PodId, Task)) {
        self.advance(now);
        let end = self.got + cpu.as_secs_f64();
        self.jobs.insert((end.to_bits(), self.begun), job);
        self.begun += 1;
        self.is_changed = true;
    }

    /// Cancels all jobs of a pod.
    pub(super) fn cancel(&mut self, now: SimTime, pod: PodId) {
        self.advance(now);
        let before = self.jobs.len();
        self.jobs.retain(|_, (of, _)| *of != pod);
        self.is_changed |= self.jobs.len() < before;
    }

    /// Takes this pod's job if it is the next to finish and is finished by now.
    pub(super) fn take_done(&mut self, now: SimTime, pod: PodId) -> Option<Task> {
        self.advance(now);
        let head = self.jobs.first_entry()?;
        let is_done = f64::from_bits(head.key().0) <= self.got + EPSILON;
        (is_done && head.get().0 == pod).then(|| {
            self.is_changed = true;
            head.remove().1
        })
    }

    /// If anything changed since the last call: when the next job finishes, and its pod.
    pub(super) fn take_next(&mut self) -> Option<(SimTime, PodId)> {
        if !std::mem::take(&mut self.is_changed) {
            return None;
        }
        let ((end, _), (pod, _)) = self.jobs.first_key_value()?;
        let left = (f64::from_bits(*end) - self.got).max(0.0);
        let takes = SimDuration::from_secs_f64(left / self.rate());
        // Round up: never a nanosecond too early.
        Some((self.at + takes + SimDuration::from_nanos(1), *pod))
    }

    fn advance(&mut self, now: SimTime) {
        if !self.jobs.is_empty() {
            self.got += (now - self.at).as_secs_f64() * self.rate();
        }
        self.at = now;
    }

    /// Cores per job at present.
    fn rate(&self) -> f64 {
        let fair = self.cores / self.jobs.len().max(1) as f64;
        let rate = self.cores_per_job.min(fair);
        if rate > 0.0 { rate } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::pod::Pod;
    use engine::Table;

    fn at(seconds: f64) -> SimTime {
        SimTime::from_secs_f64(seconds)
    }

    #[test]
    fn jobs_share_the_cores_and_none_uses_more_than_it_can() {
        let mut ids: Table<()> = Table::default();
        let mut pod = || engine::Id::<Pod>::from_bits(ids.insert(()).to_bits());
        let (first, second) = (pod(), pod());
        let mut work = Work::default();
        work.set_cores(2.0, 1.5);
        let cpu = SimDuration::from_secs(3);
        work.begin(at(0.0), cpu, (first, Task::Sandbox));
        let (done, of) = work.take_next().unwrap();
        assert_eq!((done.floor_to_second(), of), (at(2.0), first), "3 s at 1.5 cores");
        // From 1 s on each job has one core: the first has 1.5 s left, the second 3 s, which has both
        // cores from 2.5 s on.
        work.begin(at(1.0), cpu, (second, Task::Sandbox));
        assert!((work.take_next().unwrap().0 - at(2.5)).as_secs_f64().abs() < 1e-6);
        assert_eq!(work.take_done(at(2.4), first), None);
        assert_eq!(work.take_done(at(2.5), second), None, "it is not the second's turn");
        assert_eq!(work.take_done(at(2.5), first), Some(Task::Sandbox));
        let (done, of) = work.take_next().unwrap();
        assert_eq!(of, second);
        assert!((done - at(3.5)).as_secs_f64().abs() < 1e-6, "1.5 s left at 1.5 cores");
        work.cancel(at(3.0), second);
        assert_eq!(work.take_next(), None);
    }
}
