//! A closed loop: users who wait for the answer, think, and ask again. Not responsible for the requests
//! themselves, which the network makes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::problem::Checks;
use crate::time_law::{Quantile, TimeLaw};
use engine::random::open_unit;
use engine::{SimDuration, SimTime, Stream};

/// Users as load: each sends a request, waits until it is answered or has failed for good, thinks, and
/// sends the next one. A slow service so gets fewer requests, as from k6's or Locust's users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserLoad {
    /// Number of users.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub users: u32,
    /// How long a user thinks before each request, the first one included; taken for 1ms where it is
    /// shorter.
    pub think_time: TimeLaw,
    /// Users come one after the other over this time. Default 0s: all are there at the start.
    #[serde(default)]
    pub ramp_up: SimDuration,
}

/// Each user is an entry of the queue of events.
const USERS_MAX: u32 = 1_000_000;

/// Without a pause, users who are refused at once would ask again before time went on.
const SHORTEST_THINK_TIME: SimDuration = SimDuration::from_millis(1);

impl UserLoad {
    pub(super) fn check(&self, checks: &mut Checks<'_>) {
        checks.require((1..=USERS_MAX).contains(&self.users), "users", || {
            format!("{} must be from 1 to {USERS_MAX}", self.users)
        });
        self.think_time.check("thinkTime", checks);
    }
}

/// Users at work.
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

    /// When each of them sends the first request.
    pub(crate) fn first_requests(&mut self) -> Vec<SimTime> {
        let count = i64::from(self.count);
        let begins = move |ramp_up: SimDuration, user: i64| {
            let nanos = i128::from(ramp_up.as_nanos()) * i128::from(user) / i128::from(count);
            SimTime::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
        };
        let ramp_up = self.ramp_up;
        (0..count).map(|user| begins(ramp_up, user) + self.think()).collect()
    }

    /// How long the next one to be asked thinks.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "float to int casts saturate, which is meant"
    )]
    pub(crate) fn think(&mut self) -> SimDuration {
        let nanos = self.think_time.at(open_unit(&mut self.stream)).round() as i64;
        SimDuration::from_nanos(nanos).max(SHORTEST_THINK_TIME)
    }
}
