//! What a person writes about how one service is reached, whoever calls it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::balancer::Balancer;
use super::problem::{Checks, Problem};
use cluster::ServiceReference;
use engine::SimDuration;

/// How a service is reached, by clients and by other services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSpec {
    /// The service, as namespace/name.
    pub service: ServiceReference,
    /// How a request, or a new connection, finds its pod. Default random.
    pub balancer: Option<Balancer>,
    /// Connections that stay open, keep-alive or HTTP/2: requests go to the pod of their connection, so
    /// that new pods wait for new connections. Default: each request has a connection of its own.
    pub connections: Option<Connections>,
    /// How many different clients there are, for `ringHash` and for `sessionAffinity: ClientIP` of the
    /// Service: each sends the same share of the requests. Connections of few clients, 64 at most, go on hanging for
    /// some time after the endpoints on a lost node are out, as they come to their old source ports. Default 1000.
    #[serde(default = "default_clients")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub clients: u32,
    /// Requests wait in a queue of the service, from which the pods take the next one when they have a
    /// free place: workers at a message queue. What a pod had when it died goes back to the head.
    #[serde(default)]
    pub work_queue: bool,
    /// Circuit breaker: requests under way at most; further ones fail at once. Default: no limit.
    #[schemars(range(min = 1))]
    pub max_requests: Option<u32>,
    /// Pods whose requests fail one after the other get none for a while. Default: they do.
    pub outlier_detection: Option<OutlierDetection>,
}

/// Who leads requests from clients to the pods of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Via {
    /// The rules of kube-proxy.
    #[default]
    KubeProxy,
    /// An ingress controller, which knows the pods itself.
    IngressController,
    /// A gateway of Gateway API, likewise.
    Gateway,
    /// Nobody: the DNS answers with the pods of a headless Service, and a client takes one.
    Dns,
}

impl Via {
    /// Those that follow the endpoints.
    pub const ALL: [Self; 3] = [Self::KubeProxy, Self::IngressController, Self::Gateway];

    /// The rule by which it finds a pod where nobody says otherwise: kube-proxy with iptables or nftables takes any for
    /// each new connection, ingress-nginx one after the other, Envoy the less busy of two.
    pub const fn usual(self) -> Balancer {
        match self {
            Self::KubeProxy | Self::Dns => Balancer::Random,
            Self::IngressController => Balancer::RoundRobin,
            Self::Gateway => Balancer::LeastRequest,
        }
    }

    /// Its name in words, for reports.
    pub const fn label(self) -> &'static str {
        match self {
            Self::KubeProxy => "kube-proxy",
            Self::IngressController => "the ingress controller",
            Self::Gateway => "the gateway",
            Self::Dns => "the client, of the addresses in the DNS",
        }
    }
}

/// How a service is reached, for the engine.
#[derive(Clone, Debug, PartialEq)]
pub struct ServicePolicy {
    /// Who leads requests to the pods.
    pub via: Via,
    /// How a request, or a new connection, finds its pod.
    pub balancer: Balancer,
    /// Whether the scenario says so; else it is what is usual there.
    pub is_stated: bool,
    /// Connections that stay open.
    pub connections: Option<Connections>,
    /// How many different clients there are.
    pub clients: u32,
    /// With `sessionAffinity: ClientIP` of the Service: how long a client keeps its pod after its last
    /// request.
    pub client_affinity: Option<SimDuration>,
    /// Whether pods take requests from a queue of the service.
    pub work_queue: bool,
    /// Requests under way at most.
    pub max_requests: Option<u32>,
    /// When a pod gets no requests for a while.
    pub outlier_detection: Option<OutlierDetection>,
}

/// Connections that stay open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Connections {
    /// How many are open, over all callers. Each carries the same share of the requests.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub count: u32,
    /// After this time a connection is closed and made anew. Default: it stays until its pod goes.
    pub max_age: Option<SimDuration>,
}

/// When a pod gets no requests for a while, as Envoy decides it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OutlierDetection {
    /// Failures in a row after which a pod is ejected. Default 5.
    #[schemars(range(min = 1))]
    pub consecutive_failures: u32,
    /// How long for; each further time as much longer. Default 30s.
    pub base_ejection_time: SimDuration,
    /// Share of the pods that may be ejected at once, from 0 to 1, though one always may. Default 0.1.
    #[schemars(range(min = 0, max = 1))]
    pub max_ejected_share: f64,
}

const COUNT_MAX: u32 = 1_000_000;

impl ServiceSpec {
    /// All that is wrong with the settings by themselves; `path` is where they stand.
    pub fn problems(&self, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut checks = Checks::at(path, &mut problems);
        let in_range = |count: u32| (1..=COUNT_MAX).contains(&count);
        if let Some(Connections { count, max_age }) = self.connections {
            checks.require(in_range(count), "connections.count", || {
                format!("{count} must be from 1 to {COUNT_MAX}")
            });
            if let Some(age) = max_age {
                checks.some_time("connections.maxAge", age);
            }
        }
        checks.require(in_range(self.clients), "clients", || {
            format!("{} must be from 1 to {COUNT_MAX}", self.clients)
        });
        if let Some(limit) = self.max_requests {
            checks.require(limit > 0, "maxRequests", || "0 would let nothing through".into());
        }
        if let Some(outliers) = &self.outlier_detection {
            let mut checks = checks.inside("outlierDetection");
            checks.require(outliers.consecutive_failures > 0, "consecutiveFailures", || {
                "0 would eject pods that never failed; give at least 1".into()
            });
            checks.some_time("baseEjectionTime", outliers.base_ejection_time);
            checks.share("maxEjectedShare", outliers.max_ejected_share);
        }
        if self.work_queue {
            let pushes = self.balancer.is_some() || self.connections.is_some();
            checks.require(!pushes, "workQueue", || {
                "pods pull from a work queue; leave `balancer` and `connections` out".into()
            });
        }
        problems
    }

    /// The settings for the engine.
    pub fn policy(&self) -> ServicePolicy {
        ServicePolicy {
            via: Via::KubeProxy,
            balancer: self.balancer.unwrap_or_default(),
            is_stated: self.balancer.is_some(),
            connections: self.connections,
            clients: self.clients,
            client_affinity: None,
            work_queue: self.work_queue,
            max_requests: self.max_requests,
            outlier_detection: self.outlier_detection,
        }
    }
}

impl ServicePolicy {
    /// Requests find their pods by this rule; nothing else is special.
    pub const fn balanced(balancer: Balancer) -> Self {
        Self {
            via: Via::KubeProxy,
            balancer,
            is_stated: false,
            connections: None,
            clients: default_clients(),
            client_affinity: None,
            work_queue: false,
            max_requests: None,
            outlier_detection: None,
        }
    }

    /// Whether the outcome of one request changes the way of others, so that each needs events.
    pub(super) const fn needs_events(&self) -> bool {
        self.work_queue || self.max_requests.is_some() || self.outlier_detection.is_some()
    }
}

/// How many clients a service has where nothing says it.
pub const DEFAULT_CLIENTS: u32 = 1000;

const fn default_clients() -> u32 {
    DEFAULT_CLIENTS
}

impl Default for OutlierDetection {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            base_ejection_time: SimDuration::from_secs(30),
            max_ejected_share: 0.1,
        }
    }
}
