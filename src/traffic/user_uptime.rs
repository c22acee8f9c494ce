//! Uptime as users see it: user-uptime and windowed user-uptime (Hauer et al., Meaningful Availability, NSDI 2020).
//!
//! A user is up from an answered request to the next one, and down from a failed request to the next one; a user who
//! sends nothing for longer than the cutoff is inactive. User-uptime is the up time of all users divided by their total
//! up and down time. Frequent users thus weigh no more than occasional ones, and an outage weighs by its duration,
//! although users send fewer requests during it.

use std::collections::{BTreeMap, VecDeque};

use super::minutes::MINUTE;
use engine::{SimDuration, SimTime};

/// Time after a request for which its user counts as active, unless an objective says otherwise: the paper's value for
/// Gmail, the 99th percentile of the time between two requests of a user.
pub const USER_CUTOFF: SimDuration = SimDuration::from_secs(30 * 60);

/// Identifies a user or session among those of a service.
pub(super) type UserKey = u64;

/// The record of the users of a service.
#[derive(Clone, Debug)]
pub(super) struct UserRecord {
    pub cutoff: SimDuration,
    /// Time before this is not counted.
    counts_from: SimTime,
    /// Requests of each user that have no successor yet or are under way, in order of arrival: the outcome once known.
    users: BTreeMap<UserKey, VecDeque<(SimTime, Option<bool>)>>,
    /// Up and down time of all users, by minute of the run [ns].
    minutes: Vec<[i64; 2]>,
}

/// Up and down time of the users of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserUptime {
    /// Number of users that sent a request.
    pub users: usize,
    /// Time after a request for which its user counts as there.
    pub cutoff: SimDuration,
    /// Up and down time of all users together, by minute of the run [ns].
    minutes: Vec<[i64; 2]>,
}

impl UserRecord {
    pub const fn new(counts_from: SimTime) -> Self {
        Self { cutoff: USER_CUTOFF, counts_from, users: BTreeMap::new(), minutes: Vec::new() }
    }

    /// A user sends a request.
    pub fn arrived(&mut self, user: UserKey, at: SimTime) {
        self.users.entry(user).or_default().push_back((at, None));
        self.settle(user);
    }

    /// The outcome of the request that a user sent at `made`.
    pub fn ended(&mut self, user: UserKey, made: SimTime, answered: bool) {
        let requests = self.users.entry(user).or_default();
        // Several requests of one instant have the outcomes that come first.
        if let Some(request) =
            requests.iter_mut().find(|(at, outcome)| *at == made && outcome.is_none())
        {
            request.1 = Some(answered);
        }
        self.settle(user);
    }

    /// Counts the time from each request whose outcome and successor are known.
    fn settle(&mut self, user: UserKey) {
        while let Some(requests) = self.users.get_mut(&user)
            && let (Some((from, Some(answered))), Some((next, _))) =
                (requests.front().copied(), requests.get(1).copied())
        {
            requests.pop_front();
            self.count(from, next, answered);
        }
    }

    fn count(&mut self, from: SimTime, to: SimTime, is_up: bool) {
        let end = to.min(from + self.cutoff);
        let mut at = from.max(self.counts_from);
        while at < end {
            let minute = (at - SimTime::ZERO).as_nanos() / MINUTE.as_nanos();
            let next = end.min(SimTime::ZERO + MINUTE * (minute + 1));
            let minute = usize::try_from(minute).unwrap_or(usize::MAX);
            if self.minutes.len() <= minute {
                self.minutes.resize(minute + 1, [0, 0]);
            }
            self.minutes[minute][usize::from(!is_up)] += (next - at).as_nanos();
            at = next;
        }
    }

    /// Up and down time until `now`: the last request of each user counts until then. One that is under way says nothing
    /// yet.
    pub fn until(&self, now: SimTime) -> UserUptime {
        let mut all = self.clone();
        for requests in self.users.values() {
            let ends = requests.iter().skip(1).map(|(at, _)| *at).chain([now]);
            for ((from, answered), end) in requests.iter().zip(ends) {
                if let Some(answered) = answered {
                    all.count(*from, end, *answered);
                }
            }
        }
        UserUptime { users: self.users.len(), cutoff: self.cutoff, minutes: all.minutes }
    }
}

impl UserUptime {
    /// Up time of all users over their up and down time, 0 to 1; absent if there is neither.
    pub fn share(&self) -> Option<f64> {
        share_up(&self.minutes)
    }

    /// The least user-uptime of all windows of this length, in whole minutes, and the beginning of the first such
    /// window; absent if the run is shorter, or has no such window in which users were there.
    pub fn worst(&self, window: SimDuration) -> Option<(f64, SimTime)> {
        let minutes = usize::try_from(window.as_nanos() / MINUTE.as_nanos()).ok()?.max(1);
        let windows = (0i64..).zip(self.minutes.windows(minutes));
        let shares = windows.filter_map(|(first, of)| Some((share_up(of)?, first)));
        let (share, first) = shares.min_by(|one, other| one.0.total_cmp(&other.0))?;
        Some((share, SimTime::ZERO + MINUTE * first))
    }
}

fn share_up(minutes: &[[i64; 2]]) -> Option<f64> {
    let sum = |state: usize| minutes.iter().map(|minute| i128::from(minute[state])).sum::<i128>();
    let (up, down) = (sum(0), sum(1));
    (up + down > 0).then(|| up as f64 / (up + down) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> SimTime {
        SimTime::from_secs(seconds)
    }

    /// The record of requests: user, arrival [s], end [s], answered.
    fn record(requests: &[(u64, i64, i64, bool)]) -> UserRecord {
        let mut record = UserRecord::new(SimTime::ZERO);
        record.cutoff = SimDuration::from_secs(600);
        let arrivals = requests.iter().map(|(user, made, ..)| (*made, false, *user, *made, true));
        let ends = requests.iter().map(|(user, made, end, good)| (*end, true, *user, *made, *good));
        let mut events: Vec<_> = arrivals.chain(ends).collect();
        events.sort_unstable();
        for (_, is_end, user, made, good) in events {
            if is_end {
                record.ended(user, at(made), good);
            } else {
                record.arrived(user, at(made));
            }
        }
        record
    }

    fn share(requests: &[(u64, i64, i64, bool)], now: i64) -> Option<f64> {
        record(requests).until(at(now)).share()
    }

    #[test]
    fn a_user_is_up_from_an_answer_and_down_from_a_failure_to_the_next_request() {
        // Up for 60 s, down for 120 s, up for 20 s.
        let one = [(1, 0, 1, true), (1, 60, 70, false), (1, 180, 181, true)];
        assert_eq!(share(&one, 200), Some(80.0 / 200.0));
        // A busy user's requests do not outweigh another one's time: 100 s up and 100 s down.
        let busy = (0..10).map(|number| (1, 10 * number, 10 * number + 1, true));
        let two: Vec<_> = busy.chain([(2, 0, 1, false)]).collect();
        assert_eq!(share(&two, 100), Some(0.5));
    }

    #[test]
    fn a_user_who_is_silent_for_longer_than_the_cutoff_is_not_there() {
        // 600 s up instead of 3,000; then 10 s down.
        let gone = [(1, 0, 1, true), (1, 3_000, 3_001, false)];
        assert_eq!(share(&gone, 3_010), Some(600.0 / 610.0));
    }

    #[test]
    fn requests_that_overlap_count_in_the_order_of_their_arrivals() {
        // The first one fails long after the second one is answered: 10 s down, then 20 s up.
        let overlap = [(1, 0, 30, false), (1, 10, 11, true)];
        assert_eq!(share(&overlap, 30), Some(20.0 / 30.0));
        let mut under_way = UserRecord::new(SimTime::ZERO);
        under_way.arrived(1, at(0));
        assert_eq!(under_way.until(at(50)).share(), None);
    }

    #[test]
    fn the_warm_up_does_not_count() {
        let mut record = UserRecord::new(at(100));
        record.arrived(1, at(0));
        record.ended(1, at(0), false);
        record.arrived(1, at(110));
        record.ended(1, at(110), true);
        assert_eq!(record.until(at(120)).share(), Some(0.5));
    }

    #[test]
    fn the_worst_window_tells_a_long_outage_from_scattered_failures() {
        // Two users' 20 minutes: each is down for 4 of them, at once or one minute in five.
        let steps = |is_good: fn(i64) -> bool| {
            let requests: Vec<_> =
                (0..20).map(|minute| (1, 60 * minute, 60 * minute + 1, is_good(minute))).collect();
            record(&requests).until(at(1_200))
        };
        let (long, scattered) = (steps(|at| !(8..12).contains(&at)), steps(|at| at % 5 != 0));
        assert_eq!((long.share(), scattered.share()), (Some(0.8), Some(0.8)));
        let five = SimDuration::from_secs(300);
        assert_eq!(long.worst(five), Some((0.2, at(420))));
        assert_eq!(scattered.worst(five), Some((0.8, at(0))));
        assert_eq!(long.worst(SimDuration::from_secs(60)), Some((0.0, at(480))));
        assert_eq!(long.worst(SimDuration::from_secs(3_600)), None, "longer than the run");
    }
}
