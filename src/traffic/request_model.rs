//! Cost of a request in a pod: CPU time, waiting time, and concurrency. The engines (`fifo`, `sharing`) compute when
//! it ends.

use std::sync::Arc;

use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::arrivals::Arrival;
use super::call_spec::CallSpec;
use super::llm::{FindTokens, LlmRequests, LlmSpec};
use super::problem::{Checks, Problem};
use super::request_class::{RequestClass, RequestClassSpec};
use super::time_distribution::{Quantile, TimeDistribution};
use super::trace::Tokens;
use engine::random::unit_of;
use engine::{SimDuration, SimTime, Stream};

/// Cost of the requests to one application.
///
/// A pod processes at most `concurrency` requests at once; others queue in order of arrival. A request first uses
/// its CPU time, on at most one core, then waits (for a database, an upstream service) without using CPU, and holds
/// its slot all the time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RequestModelSpec {
    /// Maximum number of concurrent requests per pod: worker threads or processes. For event loops and goroutines
    /// use a number that is never reached. Default 100, as in Knative.
    #[schemars(range(min = 1))]
    pub concurrency: u32,
    /// Maximum number of requests queued in a pod; further ones fail at once. Default 4096, the longest accept queue
    /// of a pod (net.core.somaxconn of Linux since 5.4).
    pub queue: u32,
    /// Requests queued for longer than this are dropped when their turn comes. Default: never.
    pub shed_after: Option<SimDuration>,
    /// Slowdown of a young pod: caches are cold, code is not compiled. Default: none.
    pub young: Option<WarmUp>,
    /// Requests to other services, made one after the other after CPU and waiting time; a request holds its slot
    /// until they are answered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<CallSpec>,
    /// CPU time of a request on a full core.
    pub cpu_time: TimeDistribution,
    /// Waiting time of a request without CPU use. Default 0s.
    pub wait_time: TimeDistribution,
    /// Additional CPU time per prompt token. Default 0s.
    pub cpu_time_per_prompt_token: SimDuration,
    /// Additional CPU time per output token. Default 0s.
    pub cpu_time_per_output_token: SimDuration,
    /// Additional waiting time per prompt token, as with a model served elsewhere. Default 0s.
    pub wait_time_per_prompt_token: SimDuration,
    /// Additional waiting time per output token. Default 0s.
    pub wait_time_per_output_token: SimDuration,
    /// Share of requests, from 0 to 1, that the application answers with an error of its own, such as status 500, at
    /// the end of their work and calls. They have failed, for clients and for calling services, which may retry them.
    /// Default 0.
    #[serde(skip_serializing_if = "is_never")]
    #[schemars(range(min = 0, max = 1))]
    pub error_rate: f64,
    /// Classes of requests that differ in cost, calls or client timeout: each states its differences from the above.
    /// Default: all requests are alike.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<RequestClassSpec>,
    /// An LLM inference server, replacing all of the above.
    pub llm: Option<Box<LlmSpec>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_never(rate: &f64) -> bool {
    *rate == 0.0
}

/// Slowdown of a young pod.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WarmUp {
    /// Factor on the CPU time of a request that starts when the pod begins to serve; at least 1.
    #[schemars(range(min = 1))]
    pub slowdown: f64,
    /// Duration of the slowdown; the factor decreases linearly.
    pub over: SimDuration,
}

impl Default for RequestModelSpec {
    fn default() -> Self {
        Self {
            concurrency: 100,
            queue: 4096,
            shed_after: None,
            young: None,
            calls: Vec::new(),
            cpu_time: TimeDistribution::ZERO,
            wait_time: TimeDistribution::ZERO,
            cpu_time_per_prompt_token: SimDuration::ZERO,
            cpu_time_per_output_token: SimDuration::ZERO,
            wait_time_per_prompt_token: SimDuration::ZERO,
            wait_time_per_output_token: SimDuration::ZERO,
            error_rate: 0.0,
            classes: Vec::new(),
            llm: None,
        }
    }
}

/// A request model prepared for the fast path.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestModel {
    pub(super) concurrency: u32,
    pub(super) queue: u32,
    /// An inference server, replacing all other fields.
    pub(super) llm: Option<Arc<LlmRequests>>,
    pub(super) shed_after: SimDuration,
    pub(super) young: Option<WarmUp>,
    /// Requests to other services; their names are resolved when the traffic is built.
    pub(super) calls: Vec<CallSpec>,
    /// Differences for requests of some classes.
    pub(super) classes: Vec<RequestClass>,
    /// Distributions of CPU and waiting time over all classes, by weight; absent without classes.
    mixture: Option<Box<[Quantile; 2]>>,
    /// Share of requests that are answered with an error, 0 to 1; with classes, of those of none.
    error_rate: f64,
    cpu: Cost,
    wait: Cost,
    /// Whether requests ever wait for anything but the CPU.
    waits: bool,
    queue_bound_seconds: Option<f64>,
    /// Whether the calls of its pods pass the proxy of a mesh.
    has_proxy: bool,
}

/// Slowdown of a young pod, prepared for use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct WarmUpSlowdown {
    /// Additional time of a request at the start, as a share of its CPU time.
    excess: f64,
    over: SimDuration,
    /// Time at which the pod began to serve.
    since: SimTime,
}

/// Position of a model in the list that the traffic was built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestModelId(pub u32);

/// Size of an attempt at a request; for the first one drawn on arrival, whatever its outcome.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestSize {
    /// Random bits for the CPU time and for the waiting time, which most requests do not have.
    cpu_draw: u64,
    wait_draw: u64,
    pub tokens: Tokens,
}

/// CPU and waiting time of a request in a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Demand {
    /// CPU time on a full core.
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
    /// All problems of the settings on their own; `path` is their location.
    pub fn problems(&self, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut checks = Checks::at(path, &mut problems);
        checks.require(self.concurrency > 0, "concurrency", || {
            "0 would never answer; write at least 1".into()
        });
        if let Some(limit) = self.shed_after {
            checks.check_positive("shedAfter", limit);
        }
        if let Some(WarmUp { slowdown, over }) = self.young {
            let mut checks = checks.inside("young");
            checks.require(slowdown.is_finite() && slowdown >= 1.0, "slowdown", || {
                format!("{slowdown} must be a number of at least 1, which means no slowdown")
            });
            checks.check_positive("over", over);
        }
        CallSpec::check_all(&self.calls, &mut checks);
        RequestClassSpec::check_all(&self.classes, &mut checks);
        checks.share("errorRate", self.error_rate);
        self.cpu_time.check("cpuTime", &mut checks);
        self.wait_time.check("waitTime", &mut checks);
        if let Some(llm) = &self.llm {
            let alone =
                Self { llm: self.llm.clone(), error_rate: self.error_rate, ..Self::default() };
            checks.require(*self == alone, "llm", || {
                "`llm` determines the cost of a request; remove the other settings of `requests`"
                    .into()
            });
            llm.check(&mut checks.inside("llm"));
        }
        problems
    }

    /// The model, ready for use. `tokens` looks up the content of each of [`LlmSpec::histogram_files`].
    ///
    /// Problems are those of [`RequestModelSpec::problems`], or mismatches between settings and files.
    pub fn model_with(
        &self,
        path: &str,
        tokens: FindTokens<'_, '_>,
    ) -> Result<RequestModel, Vec<Problem>> {
        let mut problems = self.problems(path);
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut checks = Checks::at(path, &mut problems);
        let llm = self.llm.as_ref().map(|llm| llm.requests(tokens, &mut checks.inside("llm")));
        if !problems.is_empty() {
            return Err(problems);
        }
        let model = self.of_one_class(llm.flatten().map(Arc::new));
        Ok(if self.classes.is_empty() { model } else { self.with_classes(model) })
    }

    /// The model, with the differences of its classes.
    fn with_classes(&self, model: RequestModel) -> RequestModel {
        let ready = |class: &RequestClassSpec| {
            let spec = Self {
                cpu_time: class.cpu_time.clone().unwrap_or_else(|| self.cpu_time.clone()),
                wait_time: class.wait_time.clone().unwrap_or_else(|| self.wait_time.clone()),
                calls: class.calls.clone().unwrap_or_else(|| self.calls.clone()),
                error_rate: class.error_rate.unwrap_or(self.error_rate),
                classes: Vec::new(),
                ..self.clone()
            };
            RequestClass {
                name: class.name.as_str().into(),
                weight: class.weight,
                path: class.path.clone(),
                timeout: class.timeout,
                model: spec.of_one_class(None),
            }
        };
        let classes: Vec<RequestClass> = self.classes.iter().map(ready).collect();
        let mixed = |law: fn(&RequestModel) -> &Quantile| {
            Quantile::mixture(classes.iter().map(|class| (class.weight, law(&class.model))))
        };
        let mixture =
            [mixed(RequestModel::cpu_distribution), mixed(RequestModel::wait_distribution)];
        RequestModel { classes, mixture: Some(Box::new(mixture)), ..model }
    }

    /// The model without classes.
    fn of_one_class(&self, llm: Option<Arc<LlmRequests>>) -> RequestModel {
        let cost = |base: &TimeDistribution,
                    per_prompt_token: SimDuration,
                    per_output_token: SimDuration| Cost {
            base: base.quantile(),
            nanos_per_prompt_token: per_prompt_token.as_nanos() as f64,
            nanos_per_output_token: per_output_token.as_nanos() as f64,
        };
        let wait =
            cost(&self.wait_time, self.wait_time_per_prompt_token, self.wait_time_per_output_token);
        RequestModel {
            concurrency: self.concurrency,
            queue: self.queue,
            llm,
            shed_after: self.shed_after.unwrap_or(SimDuration::MAX),
            young: self.young,
            calls: self.calls.clone(),
            classes: Vec::new(),
            mixture: None,
            error_rate: self.error_rate,
            queue_bound_seconds: None,
            has_proxy: false,
            cpu: cost(
                &self.cpu_time,
                self.cpu_time_per_prompt_token,
                self.cpu_time_per_output_token,
            ),
            waits: wait.is_something(),
            wait,
        }
    }

    /// The calls of requests of all classes.
    pub fn all_calls(&self) -> impl Iterator<Item = &CallSpec> {
        let of_classes = self.classes.iter().flat_map(|class| class.calls.iter().flatten());
        self.calls.iter().chain(of_classes)
    }

    /// The same for settings without files.
    pub fn model(&self, path: &str) -> Result<RequestModel, Vec<Problem>> {
        self.model_with(path, &|_| None)
    }
}

impl WarmUpSlowdown {
    /// The slowdown of a pod that begins to serve.
    pub(super) fn new(WarmUp { slowdown, over }: WarmUp, since: SimTime) -> Self {
        Self { excess: slowdown - 1.0, over, since }
    }

    /// The pod begins to serve again, with cold caches.
    pub(super) const fn begin(&mut self, now: SimTime) {
        self.since = now;
    }

    /// Demand of a request that starts at `now`.
    pub(super) fn slow_down(&self, now: SimTime, demand: Demand) -> Demand {
        let age = now - self.since;
        if age >= self.over {
            return demand;
        }
        let left = 1.0 - age.as_secs_f64() / self.over.as_secs_f64();
        let factor = 1.0 + self.excess * left;
        let cpu = SimDuration::from_secs_f64(demand.cpu.as_secs_f64() * factor);
        Demand { cpu, ..demand }
    }
}

impl Demand {
    /// No demand.
    pub const NONE: Self = Self { cpu: SimDuration::ZERO, wait: SimDuration::ZERO };
}

impl RequestSize {
    /// Draws a request. The number of draws does not depend on any model.
    #[inline]
    pub(super) fn draw(tokens: Tokens, rng: &mut impl Rng) -> Self {
        Self { cpu_draw: rng.next_u64(), wait_draw: rng.next_u64(), tokens }
    }

    /// Draws a sequence of requests.
    pub(super) fn draw_all(arrivals: &[Arrival], stream: &mut Stream, into: &mut Vec<Self>) {
        into.resize(arrivals.len(), Self { cpu_draw: 0, wait_draw: 0, tokens: Tokens::default() });
        // A local copy that stays in registers.
        let mut own = stream.clone();
        for (size, arrival) in into.iter_mut().zip(arrivals) {
            *size = Self::draw(arrival.tokens, &mut own);
        }
        *stream = own;
    }

    /// Its random quantiles, two numbers between 0 and 1.
    pub(super) fn quantiles(&self) -> [f64; 2] {
        [unit_of(self.cpu_draw), unit_of(self.wait_draw)]
    }
}

impl RequestModel {
    /// The same, in pods whose calls pass the proxy of a mesh.
    #[must_use]
    pub fn with_proxy(mut self) -> Self {
        self.has_proxy = true;
        self.classes.iter_mut().for_each(|class| class.model.has_proxy = true);
        self
    }

    /// Whether the calls of its pods pass the proxy of a mesh.
    pub(super) const fn has_proxy(&self) -> bool {
        self.has_proxy
    }

    /// The same, with a queue for fluid traffic that holds the work of this many seconds.
    #[must_use]
    pub const fn with_queue_bound_seconds(mut self, seconds: f64) -> Self {
        self.queue_bound_seconds = Some(seconds);
        self
    }

    /// Whether it has request classes.
    pub const fn has_classes(&self) -> bool {
        !self.classes.is_empty()
    }

    /// The queue bound for fluid traffic as a time, if set.
    pub(super) const fn queue_bound_seconds(&self) -> Option<f64> {
        self.queue_bound_seconds
    }

    /// The distribution of the CPU time without tokens, over all classes.
    pub(super) fn cpu_distribution(&self) -> &Quantile {
        self.mixture.as_ref().map_or(&self.cpu.base, |laws| &laws[0])
    }

    /// The distribution of the waiting time without tokens, over all classes.
    pub(super) fn wait_distribution(&self) -> &Quantile {
        self.mixture.as_ref().map_or(&self.wait.base, |laws| &laws[1])
    }

    /// Share of its requests that the application answers with an error, 0 to 1; not of its classes, which are models of
    /// their own.
    pub(super) const fn error_rate(&self) -> f64 {
        self.error_rate
    }

    /// The same over all classes, by weight.
    pub(super) fn mean_error_rate(&self) -> f64 {
        let weight: f64 = self.classes.iter().map(|class| class.weight).sum();
        if weight <= 0.0 {
            return self.error_rate;
        }
        let errors = self.classes.iter().map(|class| class.weight * class.model.error_rate);
        errors.sum::<f64>() / weight
    }

    /// Whether some of its requests call other services.
    pub(super) fn ever_calls(&self) -> bool {
        !self.calls.is_empty() || self.classes.iter().any(|class| !class.model.calls.is_empty())
    }

    /// Draws the demand of a request in a pod of this model.
    #[inline]
    pub(super) fn demand(&self, size: &RequestSize) -> Demand {
        Demand { cpu: self.cpu.of(size.cpu_draw, size.tokens), wait: self.wait(size) }
    }

    /// Draws the demand of each of these requests in a pod of this model; `shares` is scratch space.
    pub(super) fn demand_all(
        &self,
        sizes: &[RequestSize],
        shares: &mut Vec<f64>,
        into: &mut Vec<Demand>,
    ) {
        shares.clear();
        shares.extend(sizes.iter().map(|size| unit_of(size.cpu_draw)));
        self.cpu.base.at_each(shares);
        into.clear();
        into.extend(sizes.iter().zip(&*shares).map(|(size, nanos)| {
            let cpu = self.cpu.with_tokens(*nanos, size.tokens);
            Demand { cpu, wait: self.wait(size) }
        }));
    }

    #[inline]
    fn wait(&self, size: &RequestSize) -> SimDuration {
        // Most requests have no waiting time.
        if self.waits { self.wait.of(size.wait_draw, size.tokens) } else { SimDuration::ZERO }
    }
}

impl Cost {
    /// Whether the cost can be non-zero.
    fn is_something(&self) -> bool {
        let is_free = matches!(&self.base, Quantile::Constant(nanos) if *nanos <= 0.0);
        !is_free || self.nanos_per_prompt_token > 0.0 || self.nanos_per_output_token > 0.0
    }

    #[inline]
    fn of(&self, draw: u64, tokens: Tokens) -> SimDuration {
        self.with_tokens(self.base.at(unit_of(draw)), tokens)
    }

    /// The cost of a request whose base cost, without tokens, is given.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "float to int casts saturate, which is meant"
    )]
    fn with_tokens(&self, mut nanos: f64, tokens: Tokens) -> SimDuration {
        if tokens != Tokens::default() {
            nanos += self.nanos_per_prompt_token * f64::from(tokens.prompt);
            nanos += self.nanos_per_output_token * f64::from(tokens.output);
        }
        // Costs are never negative, so this rounds to the nearest.
        SimDuration::from_nanos((nanos + 0.5) as i64)
    }
}
