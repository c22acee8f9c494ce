//! A closed loop: users who wait for the answer, think, and send the next request. The network makes
//! the requests themselves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::problem::Checks;
use crate::time_distribution::{Quantile, TimeDistribution};
use engine::random::open_unit;
use engine::{SimDuration, SimTime, Stream};

/// Closed-loop load: each user sends a request, waits until it is answered or has finally failed,
/// thinks, and sends the next one. A slow service thus gets fewer requests, as from k6's or Locust's
/// users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserLoad {
    /// Number of users.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub users: u32,
    /// Think time before each request, including the first; at least 1ms.
    pub think_time: TimeDistribution,
    /// Duration over which users start one after the other. Default 0s: all start together.
    #[serde(default)]
    pub ramp_up: SimDuration,
}

/// Each user occupies an entry of the event queue.
const USERS_MAX: u32 = 1_000_000;

/// Without a pause, users whose requests fail at once would retry without simulated time advancing.
const SHORTEST_THINK_TIME: SimDuration = SimDuration::from_millis(1);

impl UserLoad {
    pub(super) fn check(&self, checks: &mut Checks<'_>) {
        checks.require((1..=USERS_MAX).contains(&self.users), "users", || {
            format!("{} must be from 1 to {USERS_MAX}", self.users)
        });
        self.think_time.check("thinkTime", checks);
    }
}

/// Active users.
#[derive(Clone, Debug)]
pub(crate) struct Users {
    count: u32,
    ramp_up: SimDuration,
    think_time: Quantile,
    stream: Stream,
}

impl Users {
    pub(super) fn new(load: &UserLoad, stream: Stream) -> Self {
        Self {
            count: load.users,
            ramp_up: load.ramp_up,
            think_time: load.think_time.quantile(),
            stream,
        }
    }

    /// Time of each user's first request.
    pub(crate) fn first_requests(&mut self) -> Vec<SimTime> {
        let count = i64::from(self.count);
        let begins = move |ramp_up: SimDuration, user: i64| {
            let nanos = i128::from(ramp_up.as_nanos()) * i128::from(user) / i128::from(count);
            SimTime::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
        };
        let ramp_up = self.ramp_up;
        (0..count).map(|user| begins(ramp_up, user) + self.think()).collect()
    }

    /// Think time of the next user in turn.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "float to int casts saturate, which is meant"
    )]
    pub(crate) fn think(&mut self) -> SimDuration {
        let nanos = self.think_time.at(open_unit(&mut self.stream)).round() as i64;
        SimDuration::from_nanos(nanos).max(SHORTEST_THINK_TIME)
    }
}
