//! Restart and pull back-off of the kubelet (`CrashLoopBackOff`, `ImagePullBackOff`).

use engine::{SimDuration, SimTime};

/// First wait.
const BASE: SimDuration = SimDuration::from_secs(10);
/// A container that ran for longer than this after its last restart starts over at the base
/// (`pkg/kubelet/kuberuntime`, fixed at 10 minutes whatever the cap).
const RESET: SimDuration = SimDuration::from_secs(600);

/// The back-off of one container: 0, then 10 s, 20 s, 40 s, ... up to a cap after each exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    cap: SimDuration,
    next_wait: Option<SimDuration>,
    last_restart: SimTime,
}

impl BackOff {
    /// The back-off of a new container; `cap` is the longest wait
    /// (`crashLoopBackOff.maxContainerRestartPeriod`, 300 s by default).
    pub const fn new(cap: SimDuration) -> Self {
        Self { cap, next_wait: None, last_restart: SimTime::ZERO }
    }

    /// The instant from which the container that ended at `ended` may start again.
    pub fn after_exit(&mut self, ended: SimTime) -> SimTime {
        if ended - self.last_restart > RESET {
            self.next_wait = None;
        }
        let wait = self.next_wait.unwrap_or(SimDuration::ZERO);
        self.next_wait = Some(match self.next_wait {
            None => BASE.min(self.cap),
            Some(wait) => (wait * 2).min(self.cap),
        });
        self.last_restart = ended + wait;
        ended + wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_wait_0_10_20_40_up_to_300_seconds() {
        let mut backoff = BackOff::new(SimDuration::from_secs(300));
        let mut now = SimTime::from_secs(5);
        let mut waits = Vec::new();
        for _ in 0..8 {
            let next = backoff.after_exit(now);
            waits.push((next - now).as_secs());
            now = next + SimDuration::from_secs(1);
        }
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn ten_good_minutes_start_the_back_off_over() {
        let mut backoff = BackOff::new(SimDuration::from_secs(300));
        let first = backoff.after_exit(SimTime::from_secs(1));
        let second = backoff.after_exit(first + SimDuration::from_secs(601));
        assert_eq!(second, first + SimDuration::from_secs(601));
    }
}
