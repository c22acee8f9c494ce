//! What a person writes about the requests to one service, and how it becomes traffic.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::arrivals::{ArrivalProcess, Arrivals, GapLaw, Load};
use super::balancer::Balancer;
use super::call_spec::RetrySpec;
use super::problem::{Checks, Problem};
use super::trace::Trace;
use crate::cluster::ServiceReference;
use crate::engine::{SimDuration, Stream};

/// The requests that clients send to one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrafficSpec {
    /// The service, as namespace/name.
    pub service: ServiceReference,
    /// What comes over time: a recorded trace, such as {trace: traffic.csv, scale: 2}, or a pattern,
    /// such as {pattern: sine, meanRps: 50, amplitudeRps: 30, period: 1d}.
    pub load: Load,
    /// How requests follow each other at the rate of a pattern or of a trace of counts. Default
    /// poisson. A trace of requests tells their instants itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<ArrivalProcess>,
    /// Coefficient of variation of the gaps between requests, for `arrivals: gamma` alone; above 1 is
    /// burstier than poisson.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_cv: Option<f64>,
    /// How a request finds its pod. Default random, as kube-proxy's iptables and nftables modes do.
    #[serde(default)]
    pub balancer: Balancer,
    /// How long clients wait for the answer; later the request has failed, though the pod still
    /// works on it. Default 60s, as ingress-nginx and the clouds' load balancers have it.
    #[serde(default = "default_timeout")]
    pub timeout: SimDuration,
    /// Whether and how clients try failed requests again. Default: they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<RetrySpec>,
}

impl TrafficSpec {
    /// All that is wrong with the settings by themselves; `path` is where they stand.
    pub fn problems(&self, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut checks = Checks::at(path, &mut problems);
        self.load.check(&mut checks.inside("load"));
        checks.some_time("timeout", self.timeout);
        if let Some(retries) = &self.retries {
            retries.check(&mut checks.inside("retries"));
        }
        match (self.arrivals, self.gap_cv) {
            (Some(ArrivalProcess::Gamma), Some(cv)) => checks.positive("gapCv", cv),
            (Some(ArrivalProcess::Gamma), None) => checks.require(false, "gapCv", || {
                "gamma arrivals need the coefficient of variation of their gaps, such as 2".into()
            }),
            (_, Some(_)) => checks.require(false, "gapCv", || {
                "only `arrivals: gamma` has a coefficient of variation to choose".into()
            }),
            (_, None) => {}
        }
        problems
    }

    /// The arrivals, drawn from `stream`. `trace` is the content of [`Load::trace_file`].
    ///
    /// The problems are those of [`TrafficSpec::problems`], or that settings and trace do not fit.
    pub fn arrivals(
        &self,
        path: &str,
        trace: Option<&Trace>,
        stream: Stream,
    ) -> Result<Arrivals, Vec<Problem>> {
        let mut problems = self.problems(path);
        if problems.is_empty() {
            self.check_trace(trace, &mut Checks::at(path, &mut problems));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        if self.arrivals == Some(ArrivalProcess::Fluid) {
            return Arrivals::flowing(&self.load, trace).ok_or(problems);
        }
        let gaps = GapLaw::new(self.arrivals.unwrap_or_default(), self.gap_cv.unwrap_or(1.0));
        match (&self.load, trace) {
            (Load::Trace(load), Some(trace)) => Ok(Arrivals::from_trace(load, trace, gaps, stream)),
            (Load::Pattern(pattern), _) => Ok(Arrivals::from_pattern(pattern, gaps, stream)),
            (Load::Trace(_), None) => Err(problems),
        }
    }

    fn check_trace(&self, trace: Option<&Trace>, checks: &mut Checks<'_>) {
        let Load::Trace(load) = &self.load else { return };
        match trace {
            Some(trace) => load.check_against(trace, &mut checks.inside("load")),
            None => checks
                .require(false, "load.trace", || format!("the file {} was not read", load.trace)),
        }
        if let Some(Trace::Requests(_)) = trace {
            checks.require(self.arrivals.is_none(), "arrivals", || {
                "the trace itself says when each request comes; leave this out".into()
            });
        }
    }
}

/// The requests that clients send to a host and path, and that Ingresses and HTTPRoutes of the
/// manifests bring to Services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EntranceSpec {
    /// The host, such as shop.example.
    pub host: String,
    /// The path, such as /cart. Default /.
    #[serde(default = "default_path")]
    pub path: String,
    /// What comes over time, as under `traffic`.
    pub load: Load,
    /// How requests follow each other, as under `traffic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<ArrivalProcess>,
    /// Coefficient of variation of the gaps between requests, for `arrivals: gamma` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_cv: Option<f64>,
}

impl EntranceSpec {
    /// The requests as if all went to one service.
    pub fn as_traffic(&self, service: &ServiceReference) -> TrafficSpec {
        TrafficSpec {
            service: service.clone(),
            load: self.load.clone(),
            arrivals: self.arrivals,
            gap_cv: self.gap_cv,
            balancer: Balancer::default(),
            timeout: default_timeout(),
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
    SimDuration::from_secs(60)
}
