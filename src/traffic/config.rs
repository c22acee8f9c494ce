//! User settings of the requests to one service, and their conversion to traffic.

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::arrivals::{
    ArrivalProcess, Arrivals, GapDistribution, Load, ModulationState, Process, check_states,
};
use super::balancer::Balancer;
use super::call_spec::RetrySpec;
use super::policy::COUNT_MAX;
use super::problem::{Checks, Problem};
use super::trace::Trace;
use cluster::ServiceReference;
use engine::{SimDuration, Stream};

/// Allowed coefficients of variation of gaps; beyond these, nearly all requests arrive at once.
const CV_RANGE: RangeInclusive<f64> = 0.05..=20.0;

/// Default client timeout.
pub const DEFAULT_TIMEOUT: SimDuration = SimDuration::from_secs(60);

/// Client requests to one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrafficSpec {
    /// The service, as namespace/name.
    pub service: ServiceReference,
    /// Load over time: a recorded trace, such as {trace: traffic.csv, scale: 2}, or a pattern, such as {pattern: sine,
    /// meanRps: 50, amplitudeRps: 30, period: 1d}.
    pub load: Load,
    /// Arrival process at the rate of a pattern or of a trace of counts. Default poisson. A trace of requests
    /// determines their times itself.
    pub arrivals: Option<ArrivalProcess>,
    /// Coefficient of variation of the gaps between requests, only for `arrivals: gamma` and `weibull`; above 1 is
    /// burstier than poisson.
    pub gap_cv: Option<f64>,
    /// The states between which the rate jumps, only for `arrivals: mmpp`, in order, such as [{weight: 1, mean: 10m},
    /// {weight: 8, mean: 30s}].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<ModulationState>,
    /// Load-balancing policy among the pods. Default random, as in kube-proxy's iptables and nftables modes.
    #[serde(default)]
    pub balancer: Balancer,
    /// Client timeout: a later answer counts as failed, though the pod keeps working on it (an inference server drops
    /// it: `abortOnDisconnect`). Default 60s, as in ingress-nginx and the clouds' load balancers.
    #[serde(default = "default_timeout")]
    pub timeout: SimDuration,
    /// Retries of failed requests by clients. Default: none.
    pub retries: Option<RetrySpec>,
}

impl TrafficSpec {
    /// All problems of the settings on their own; `path` is their location.
    pub fn problems(&self, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut checks = Checks::at(path, &mut problems);
        self.load.check(&mut checks.inside("load"));
        checks.check_positive("timeout", self.timeout);
        if let Some(retries) = &self.retries {
            retries.check(&mut checks.inside("retries"));
        }
        self.check_process(&mut checks);
        problems
    }

    /// Reports problems of the arrival process.
    fn check_process(&self, checks: &mut Checks<'_>) {
        let process = self.arrivals.unwrap_or_default();
        let has_gaps = matches!(process, ArrivalProcess::Gamma | ArrivalProcess::Weibull);
        match self.gap_cv {
            Some(cv) if has_gaps => {
                checks.require(CV_RANGE.contains(&cv), "gapCv", || {
                    let (low, high) = (CV_RANGE.start(), CV_RANGE.end());
                    format!("{cv} must be a number from {low} to {high}")
                });
            }
            None if has_gaps => checks.require(false, "gapCv", || {
                "these arrivals need the coefficient of variation of interarrival times, such as 2".into()
            }),
            Some(_) => checks.require(false, "gapCv", || {
                "only `arrivals: gamma` and `weibull` have a coefficient of variation"
                    .into()
            }),
            None => {}
        }
        if process == ArrivalProcess::Mmpp {
            check_states(&self.states, checks);
        } else {
            checks.require(self.states.is_empty(), "states", || {
                "only `arrivals: mmpp` has states; remove them".into()
            });
        }
    }

    /// The arrivals, drawn from `stream`. `traces` looks up the content of each of [`Load::trace_files`].
    ///
    /// Problems are those of [`TrafficSpec::problems`], or mismatches between settings and traces.
    pub fn arrivals_with<'t>(
        &self,
        path: &str,
        traces: &dyn Fn(&str) -> Option<&'t Trace>,
        stream: Stream,
    ) -> Result<Arrivals, Vec<Problem>> {
        let mut problems = self.problems(path);
        if problems.is_empty() {
            self.check_traces(traces, &mut Checks::at(path, &mut problems));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        if self.arrivals == Some(ArrivalProcess::Fluid) {
            return Arrivals::flowing(&self.load, traces).ok_or(problems);
        }
        let gaps =
            GapDistribution::new(self.arrivals.unwrap_or_default(), self.gap_cv.unwrap_or(1.0));
        let process = Process { gaps, states: &self.states };
        Arrivals::from_load(&self.load, process, traces, stream).ok_or(problems)
    }

    /// The same for a load with at most one trace, whose content is `trace`.
    pub fn arrivals(
        &self,
        path: &str,
        trace: Option<&Trace>,
        stream: Stream,
    ) -> Result<Arrivals, Vec<Problem>> {
        self.arrivals_with(path, &|_| trace, stream)
    }

    fn check_traces<'t>(
        &self,
        traces: &dyn Fn(&str) -> Option<&'t Trace>,
        checks: &mut Checks<'_>,
    ) {
        let mut has_rates = self.load.has_pattern();
        self.load.each_part("load", &mut |field, part| {
            let Load::Trace(load) = part else { return };
            let mut checks = checks.inside(field);
            match traces(&load.trace) {
                Some(trace) => {
                    load.check_against(trace, &mut checks);
                    has_rates |= matches!(trace, Trace::Rates(_));
                }
                None => checks
                    .require(false, "trace", || format!("the file {} was not read", load.trace)),
            }
        });
        checks.require(self.arrivals.is_none() || has_rates, "arrivals", || {
            if self.load.has_users() {
                "users send requests after their think time; remove this".into()
            } else {
                "the trace has the time of each request; remove this".into()
            }
        });
        let is_flow = self.arrivals == Some(ArrivalProcess::Fluid);
        let can_flow = matches!(self.load, Load::Trace(_) | Load::Pattern(_));
        checks.require(!is_flow || can_flow, "arrivals", || {
            "only a single pattern or a single trace of rates can be fluid".into()
        });
    }
}

/// Client requests to a host and path that Ingresses and HTTPRoutes of the manifests route to Services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IngressRouteSpec {
    /// The host, such as shop.example.
    pub host: String,
    /// The path, such as /cart. Default /.
    #[serde(default = "default_path")]
    pub path: String,
    /// Load over time, as under `traffic`.
    pub load: Load,
    /// Arrival process, as under `traffic`.
    pub arrivals: Option<ArrivalProcess>,
    /// Coefficient of variation of the gaps between requests, as under `traffic`.
    pub gap_cv: Option<f64>,
    /// The states between which the rate jumps, as under `traffic`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<ModulationState>,
    /// Client timeout. The route's own timeouts may end a request sooner: `timeouts` of an HTTPRoute's rule,
    /// `proxy-read-timeout` and the like of an Ingress of ingress-nginx. Default: the timeout of the route, or 60s if
    /// it has none.
    pub timeout: Option<SimDuration>,
    /// Retries for any failure, overriding those of the route. Default: `retry` of the HTTPRoute's rule, or
    /// `proxy-next-upstream` of the Ingress.
    pub retries: Option<RetrySpec>,
    /// Whether the requests are idempotent, like GET and unlike POST: nginx retries others only if they did not reach a
    /// pod. Default true.
    #[serde(default = "default_idempotent", skip_serializing_if = "is_true")]
    pub idempotent: bool,
    /// Number of distinct client addresses, for limits per client of an Ingress of ingress-nginx (`limit-rps` and the
    /// like): each sends the same share of the requests. Behind a load balancer that hides the clients' addresses it is
    /// the number of its own, or of the nodes. If a trace has users, each user is a client instead. Default 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub clients: Option<u32>,
}

impl IngressRouteSpec {
    /// All problems of the settings on their own; `path` is their location.
    pub fn problems(&self, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut checks = Checks::at(path, &mut problems);
        if let Some(timeout) = self.timeout {
            checks.check_positive("timeout", timeout);
        }
        if let Some(retries) = &self.retries {
            retries.check(&mut checks.inside("retries"));
        }
        if let Some(clients) = self.clients {
            checks.require((1..=COUNT_MAX).contains(&clients), "clients", || {
                format!("{clients} must be from 1 to {COUNT_MAX}")
            });
        }
        checks.require(self.arrivals != Some(ArrivalProcess::Fluid), "arrivals", || {
            "fluid traffic has no individual requests to route; remove this".into()
        });
        problems
    }

    /// The requests as if all went to one service.
    pub fn as_traffic(&self, service: &ServiceReference) -> TrafficSpec {
        TrafficSpec {
            service: service.clone(),
            load: self.load.clone(),
            arrivals: self.arrivals,
            gap_cv: self.gap_cv,
            states: self.states.clone(),
            balancer: Balancer::default(),
            timeout: DEFAULT_TIMEOUT,
            retries: None,
        }
    }

    /// Host and path together.
    pub fn url(&self) -> String {
        format!("{}{}", self.host, self.path)
    }
}

fn default_path() -> String {
    "/".to_owned()
}

const fn default_timeout() -> SimDuration {
    DEFAULT_TIMEOUT
}

const fn default_idempotent() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
const fn is_true(flag: &bool) -> bool {
    *flag
}
