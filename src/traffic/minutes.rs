//! Per-minute outcomes: they measure the duration of an outage independently of the length of the run and of the
//! report's intervals.

use super::recording::{FailureCause, Outcomes};
use engine::SimDuration;

/// Length of a minute.
pub const MINUTE: SimDuration = SimDuration::from_secs(60);

/// Latency limits that a service's answers are checked against, minute by minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencyLimits {
    /// Limits on the latency of whole requests.
    pub latency: Vec<SimDuration>,
    /// Limits on the time to first token.
    pub time_to_first_token: Vec<SimDuration>,
}

/// Requests that ended in one minute of the run, by the time of their outcome. Requests that arrived before the end of
/// the warm-up are excluded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MinuteFigures {
    /// Requests that were answered.
    pub answered: u64,
    /// Requests that failed.
    pub failed: u64,
    /// The most frequent cause of failure; absent if none failed.
    pub cause: Option<FailureCause>,
    /// Requests answered within each of [`LatencyLimits::latency`].
    pub within_latency: Box<[u64]>,
    /// Requests whose first token came within each of [`LatencyLimits::time_to_first_token`].
    pub within_first_token: Box<[u64]>,
}

/// Cumulative counts at a point in time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub outcomes: Outcomes,
    pub within_latency: Vec<u64>,
    pub within_first_token: Vec<u64>,
}

/// The minutes of one service.
#[derive(Clone, Debug, Default)]
pub(super) struct Minutes {
    pub limits: LatencyLimits,
    ended: Vec<MinuteFigures>,
    /// Counts at the end of the last minute.
    before: Counted,
}

impl MinuteFigures {
    /// Requests that ended.
    pub const fn ended(&self) -> u64 {
        self.answered + self.failed
    }
}

impl Minutes {
    /// Closes a minute, given the cumulative counts at its end.
    pub fn end(&mut self, counted: Counted) {
        self.ended.push(since(&self.before, &counted));
        self.before = counted;
    }

    /// Restarts counting: earlier requests are in no minute.
    pub fn restart(&mut self, counted: Counted) {
        self.ended.fill(MinuteFigures::default());
        self.before = counted;
    }

    /// All minutes, including the current one so far.
    pub fn until(&self, counted: &Counted) -> Vec<MinuteFigures> {
        let open = since(&self.before, counted);
        let open = (open.ended() > 0).then_some(open);
        self.ended.iter().cloned().chain(open).collect()
    }
}

/// The difference between two counts.
fn since(before: &Counted, now: &Counted) -> MinuteFigures {
    let mut failed = now.outcomes.failed;
    failed.iter_mut().zip(before.outcomes.failed).for_each(|(now, before)| *now -= before);
    // Ties go to the first cause.
    let causes = FailureCause::ALL.into_iter().rev().filter(|cause| failed[*cause as usize] > 0);
    let difference = |now: &[u64], before: &[u64]| {
        let before = before.iter().copied().chain(std::iter::repeat(0));
        now.iter().zip(before).map(|(now, before)| now.saturating_sub(before)).collect()
    };
    MinuteFigures {
        answered: now.outcomes.answered - before.outcomes.answered,
        failed: failed.iter().sum(),
        cause: causes.max_by_key(|cause| failed[*cause as usize]),
        within_latency: difference(&now.within_latency, &before.within_latency),
        within_first_token: difference(&now.within_first_token, &before.within_first_token),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(answered: u64, failed: &[(FailureCause, u64)]) -> Counted {
        let mut outcomes = Outcomes { answered, ..Outcomes::default() };
        for (cause, count) in failed {
            outcomes.failed[*cause as usize] = *count;
        }
        Counted { outcomes, ..Counted::default() }
    }

    #[test]
    fn a_minute_names_its_most_frequent_cause_and_of_equals_the_first() {
        let causes = |failed: &[(FailureCause, u64)]| {
            since(&Counted::default(), &counted(1, failed)).cause.map(FailureCause::label)
        };
        let (timeout, refused) = (FailureCause::Timeout, FailureCause::Refused);
        assert_eq!(causes(&[(timeout, 3), (refused, 2)]), Some("timeout"));
        assert_eq!(causes(&[(timeout, 2), (refused, 2)]), Some("connection refused"));
        assert_eq!(causes(&[]), None);
    }

    #[test]
    fn a_minute_that_has_just_begun_is_one_when_a_request_has_ended_in_it() {
        let mut minutes = Minutes::default();
        minutes.end(counted(5, &[]));
        assert_eq!(minutes.until(&counted(5, &[])).len(), 1);
        let open = minutes.until(&counted(7, &[]));
        assert_eq!(open.iter().map(|minute| minute.answered).collect::<Vec<_>>(), [5, 2]);
    }
}
