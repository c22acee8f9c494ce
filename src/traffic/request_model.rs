//! What a request costs in a pod: CPU time, waiting time, and how many are worked on at once. Not
//! responsible for when it ends: that is the engines' work (`fifo`, `sharing`).

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::{Checks, Problem};
use super::time_law::{Quantile, TimeLaw};
use super::trace::Tokens;
use crate::engine::SimDuration;
use crate::engine::random::open_unit;

/// What the requests to one application cost.
///
/// A pod works on at most `concurrency` requests at once; others wait in order of arrival. A request
/// first burns its CPU time, on one core at most, then waits (for a database, an upstream service)
/// without burning any, and holds its place all the while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RequestModelSpec {
    /// Requests that a pod works on at once: worker threads or processes. For event loops and
    /// goroutines a number that is never reached. Default 100, the concurrency that Knative takes for
    /// granted.
    #[schemars(range(min = 1))]
    pub concurrency: u32,
    /// Requests that may wait in a pod; further ones fail at once. Default 4096, the longest accept
    /// queue of a pod (net.core.somaxconn of Linux since 5.4).
    pub queue: u32,
    /// CPU time of a request on a whole core.
    pub cpu_time: TimeLaw,
    /// Time that a request waits without burning CPU. Default 0s.
    pub wait_time: TimeLaw,
    /// Further CPU time for each token of the prompt. Default 0s.
    pub cpu_time_per_prompt_token: SimDuration,
    /// Further CPU time for each token of the answer. Default 0s.
    pub cpu_time_per_output_token: SimDuration,
    /// Further waiting time for each token of the prompt, as with a model served elsewhere. Default 0s.
    pub wait_time_per_prompt_token: SimDuration,
    /// Further waiting time for each token of the answer. Default 0s.
    pub wait_time_per_output_token: SimDuration,
}

impl Default for RequestModelSpec {
    fn default() -> Self {
        Self {
            concurrency: 100,
            queue: 4096,
            cpu_time: TimeLaw::ZERO,
            wait_time: TimeLaw::ZERO,
            cpu_time_per_prompt_token: SimDuration::ZERO,
            cpu_time_per_output_token: SimDuration::ZERO,
            wait_time_per_prompt_token: SimDuration::ZERO,
            wait_time_per_output_token: SimDuration::ZERO,
        }
    }
}

/// A request model made ready for the fast path.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestModel {
    pub(super) concurrency: u32,
    pub(super) queue: u32,
    cpu: Cost,
    wait: Cost,
}

/// Position of a model in the list that the traffic was built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestModelId(pub u32);

/// What a request brings along, drawn at its arrival whatever becomes of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestSize {
    cpu_quantile: f64,
    wait_quantile: f64,
    tokens: Tokens,
}

/// What a request asks of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Demand {
    /// CPU time on a whole core.
    pub cpu: SimDuration,
    /// Waiting time after that.
    pub wait: SimDuration,
}

#[derive(Clone, Debug, PartialEq)]
struct Cost {
    base: Quantile,
    nanos_per_prompt_token: f64,
    nanos_per_output_token: f64,
}

impl RequestModelSpec {
    /// All that is wrong with the settings; `path` is where they stand.
    pub fn problems(&self, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut checks = Checks::at(path, &mut problems);
        checks.require(self.concurrency > 0, "concurrency", || {
            "0 would never answer; give at least 1".into()
        });
        self.cpu_time.check("cpuTime", &mut checks);
        self.wait_time.check("waitTime", &mut checks);
        problems
    }

    /// The model, ready for use.
    pub fn model(&self, path: &str) -> Result<RequestModel, Vec<Problem>> {
        let problems = self.problems(path);
        if !problems.is_empty() {
            return Err(problems);
        }
        let cost =
            |base: &TimeLaw, per_prompt_token: SimDuration, per_output_token: SimDuration| Cost {
                base: base.quantile(),
                nanos_per_prompt_token: per_prompt_token.as_nanos() as f64,
                nanos_per_output_token: per_output_token.as_nanos() as f64,
            };
        Ok(RequestModel {
            concurrency: self.concurrency,
            queue: self.queue,
            cpu: cost(
                &self.cpu_time,
                self.cpu_time_per_prompt_token,
                self.cpu_time_per_output_token,
            ),
            wait: cost(
                &self.wait_time,
                self.wait_time_per_prompt_token,
                self.wait_time_per_output_token,
            ),
        })
    }
}

impl RequestSize {
    /// Draws a request. The number of draws does not depend on any model.
    #[inline]
    pub(super) fn draw(tokens: Tokens, rng: &mut impl Rng) -> Self {
        Self { cpu_quantile: open_unit(rng), wait_quantile: open_unit(rng), tokens }
    }
}

impl RequestModel {
    /// What a request costs in a pod of this model.
    #[inline]
    pub(super) fn demand(&self, size: &RequestSize) -> Demand {
        Demand {
            cpu: self.cpu.of(size.cpu_quantile, size.tokens),
            wait: self.wait.of(size.wait_quantile, size.tokens),
        }
    }
}

impl Cost {
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "float to int casts saturate, which is meant"
    )]
    fn of(&self, quantile: f64, tokens: Tokens) -> SimDuration {
        let nanos = self.base.at(quantile)
            + self.nanos_per_prompt_token * f64::from(tokens.prompt)
            + self.nanos_per_output_token * f64::from(tokens.output);
        // Costs are never negative, so this rounds to the nearest.
        SimDuration::from_nanos((nanos + 0.5) as i64)
    }
}
