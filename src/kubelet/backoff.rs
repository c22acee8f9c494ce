//! Restart back-off of the kubelet (`CrashLoopBackOff`; `doBackOff` in `pkg/kubelet/kuberuntime`, `Backoff` in
//! client-go's `flowcontrol`, 1.36).

use engine::{SimDuration, SimTime};

/// First wait.
const BASE: SimDuration = SimDuration::from_secs(10);
/// A container that ended this long after the back-off last grew starts over at the base
/// (`HasExpiredFunc`, fixed at 10 minutes whatever the cap).
const RESET: SimDuration = SimDuration::from_secs(600);

/// The back-off of one container: 0, then 10 s, 20 s, 40 s, ... up to a cap after each exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackOff {
    cap: SimDuration,
    /// The wait before the next start, and the time at which the back-off last grew.
    entry: Option<(SimDuration, SimTime)>,
}

impl BackOff {
    /// The back-off of a new container; `cap` is the longest wait
    /// (`crashLoopBackOff.maxContainerRestartPeriod`, 300 s by default).
    pub const fn new(cap: SimDuration) -> Self {
        Self { cap, entry: None }
    }

    /// Whether a container may start now, given that the kubelet knows it last ended at `ended` (absent if it
    /// never did). On success the next wait doubles; otherwise returns the earliest allowed start.
    pub(crate) fn try_start(
        &mut self,
        now: SimTime,
        ended: Option<SimTime>,
    ) -> Result<(), SimTime> {
        let Some(ended) = ended else { return Ok(()) };
        let entry = self.entry.filter(|(_, grown)| ended - *grown <= RESET);
        if let Some((wait, _)) = entry
            && now - ended < wait
        {
            return Err(ended + wait);
        }
        let wait = entry.map_or(BASE, |(wait, _)| wait * 2);
        self.entry = Some((wait.min(self.cap), now));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> SimTime {
        SimTime::from_secs(seconds)
    }

    #[test]
    fn restarts_wait_0_10_20_40_up_to_300_seconds_from_the_exit() {
        let mut backoff = BackOff::new(SimDuration::from_secs(300));
        let mut ended = at(5);
        let mut waits = Vec::new();
        for _ in 0..8 {
            let start = backoff.try_start(ended, Some(ended)).err().unwrap_or(ended);
            assert!(start == ended || backoff.try_start(start, Some(ended)).is_ok());
            waits.push((start - ended).as_secs());
            // The container runs for a while, which does not count towards the wait.
            ended = start + SimDuration::from_secs(7);
        }
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn an_exit_ten_minutes_after_the_back_off_last_grew_starts_it_over() {
        let mut backoff = BackOff::new(SimDuration::from_secs(300));
        assert_eq!(backoff.try_start(at(1), Some(at(1))), Ok(()));
        let mut early = backoff;
        assert_eq!(
            early.try_start(at(601), Some(at(601))),
            Err(at(611)),
            "ten minutes, and no more"
        );
        assert_eq!(backoff.try_start(at(602), Some(at(602))), Ok(()), "as if it were the first");
        assert_eq!(backoff.try_start(at(603), Some(at(603))), Err(at(613)), "and so 10 s again");
    }

    #[test]
    fn the_ten_minutes_count_from_the_start_after_a_wait_and_not_from_the_exit_before_it() {
        let mut backoff = BackOff::new(SimDuration::from_secs(300));
        assert_eq!(backoff.try_start(at(0), Some(at(0))), Ok(()));
        assert_eq!(backoff.try_start(at(12), Some(at(5))), Err(at(15)));
        assert_eq!(backoff.try_start(at(15), Some(at(5))), Ok(()));
        assert_eq!(
            backoff.try_start(at(612), Some(at(612))),
            Err(at(632)),
            "597 s after the start"
        );
    }

    #[test]
    fn an_end_that_is_long_ago_makes_no_wait() {
        let mut backoff = BackOff::new(SimDuration::from_secs(300));
        assert_eq!(backoff.try_start(at(30), None), Ok(()), "it never ended");
        assert_eq!(backoff.try_start(at(60), Some(at(30))), Ok(()));
        assert_eq!(backoff.try_start(at(90), Some(at(60))), Ok(()), "30 s, and 10 are due");
        assert_eq!(backoff.try_start(at(120), Some(at(90))), Ok(()), "30 s, and 20 are due");
        assert_eq!(backoff.try_start(at(150), Some(at(120))), Err(at(160)), "40 are due");
    }
}
