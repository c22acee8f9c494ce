//! User settings of a service that apply to all of its callers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::balancer::Balancer;
use super::mesh_route::MeshRoute;
use super::problem::{Checks, Problem};
use cluster::ServiceReference;
use engine::SimDuration;

/// Load balancing and connections of a service, for clients and other services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSpec {
    /// The service, as namespace/name.
    pub service: ServiceReference,
    /// Load-balancing policy for a request or a new connection. Default random.
    pub balancer: Option<Balancer>,
    /// Persistent connections, keep-alive or HTTP/2: requests go to the pod of their connection, so that new pods only
    /// get requests on new connections. Default: a connection per request.
    pub connections: Option<Connections>,
    /// Number of distinct clients, for `ringHash` and for `sessionAffinity: ClientIP` of the Service: each sends the
    /// same share of the requests. With few clients, 64 at most, connections keep hanging for some time after the
    /// endpoints on a lost node are removed, as clients reuse their old source ports. Default 1000.
    #[serde(default = "default_clients")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub clients: u32,
    /// Requests wait in a queue of the service from which pods pull them when they have a free slot: workers at a
    /// message queue. Requests of a pod that dies return to the head.
    #[serde(default)]
    pub work_queue: bool,
    /// Circuit breaker: maximum number of active requests; further ones fail at once. Default: no limit.
    #[schemars(range(min = 1))]
    pub max_requests: Option<u32>,
    /// Ejects pods with consecutive failures for a while. Default: no ejection.
    pub outlier_detection: Option<OutlierDetection>,
}

/// The component that routes client requests to the pods of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Via {
    /// kube-proxy's rules.
    #[default]
    KubeProxy,
    /// An ingress controller, which routes to the pods directly.
    IngressController,
    /// A gateway of Gateway API, likewise.
    Gateway,
    /// The proxies of a mesh beside the callers, likewise.
    Mesh,
    /// No proxy: DNS returns the pods of a headless Service, and the client picks one.
    Dns,
}

impl Via {
    /// All that follow the endpoints.
    pub const ALL: [Self; 4] =
        [Self::KubeProxy, Self::IngressController, Self::Gateway, Self::Mesh];

    /// Its default policy: kube-proxy with iptables or nftables picks a random pod per connection, ingress-nginx uses
    /// round robin, Envoy the less busy of two.
    pub const fn usual(self) -> Balancer {
        match self {
            Self::KubeProxy | Self::Dns => Balancer::Random,
            Self::IngressController => Balancer::RoundRobin,
            Self::Gateway | Self::Mesh => Balancer::LeastRequest,
        }
    }

    /// Name shown in reports.
    pub const fn label(self) -> &'static str {
        match self {
            Self::KubeProxy => "kube-proxy",
            Self::IngressController => "the ingress controller",
            Self::Gateway => "the gateway",
            Self::Mesh => "the callers' proxies",
            Self::Dns => "the client, from the addresses in the DNS",
        }
    }
}

/// Load balancing and connections of a service, for the engine.
#[derive(Clone, Debug, PartialEq)]
pub struct ServicePolicy {
    /// The component that routes requests to the pods.
    pub via: Via,
    /// Load-balancing policy for a request or a new connection.
    pub balancer: Balancer,
    /// Whether the scenario sets the policy; otherwise it is the component's default.
    pub is_stated: bool,
    /// Persistent connections.
    pub connections: Option<Connections>,
    /// Number of distinct clients.
    pub clients: u32,
    /// With `sessionAffinity: ClientIP` of the Service: time after its last request for which a client stays pinned to
    /// its pod.
    pub client_affinity: Option<SimDuration>,
    /// Whether pods pull requests from a queue of the service.
    pub work_queue: bool,
    /// Maximum number of active requests.
    pub max_requests: Option<u32>,
    /// Ejection of failing pods.
    pub outlier_detection: Option<OutlierDetection>,
    /// Knative's activator before it.
    pub activator: Option<ActivatorPolicy>,
    /// Effect of its callers' proxies on calls from pods.
    pub mesh: Option<Box<MeshRoute>>,
    /// Limits of each of these proxies.
    pub pool: Option<ConnectionPool>,
}

/// Limits of a calling pod's proxy on its calls to a service, by HTTP/1.1: Envoy's circuit breakers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionPool {
    /// Most connections over all pods, though one to each pod is always allowed. Absent = no limit.
    pub max_connections: Option<u32>,
    /// Most calls that wait for a connection. Absent = no limit.
    pub max_pending: Option<u32>,
    /// Most calls in progress. Absent = no limit.
    pub max_requests: Option<u32>,
    /// Calls after which a connection is closed. Absent = no limit.
    pub max_requests_per_connection: Option<u32>,
}

/// Knative's activator before a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivatorPolicy {
    /// `containerConcurrency`: most requests in a pod at once; 0 = no limit.
    pub container_concurrency: u32,
}

/// Persistent connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Connections {
    /// Number of connections over all callers. Each carries the same share of the requests.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub count: u32,
    /// Maximum age, after which a connection is closed and reopened. Default: it lives as long as its pod.
    pub max_age: Option<SimDuration>,
}

/// Ejection of failing pods, as in Envoy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OutlierDetection {
    /// Number of consecutive failures after which a pod is ejected. Default 5.
    #[schemars(range(min = 1))]
    pub consecutive_failures: u32,
    /// Duration of the first ejection; each further one is longer by this time. Default 30s.
    pub base_ejection_time: SimDuration,
    /// Maximum share of pods ejected at the same time, from 0 to 1, though one always may be. Default 0.1.
    #[schemars(range(min = 0, max = 1))]
    pub max_ejected_share: f64,
}

/// Largest number of connections or clients.
pub(super) const COUNT_MAX: u32 = 1_000_000;

impl ServiceSpec {
    /// All problems of the settings on their own; `path` is their location.
    pub fn problems(&self, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut checks = Checks::at(path, &mut problems);
        let in_range = |count: u32| (1..=COUNT_MAX).contains(&count);
        if let Some(Connections { count, max_age }) = self.connections {
            checks.require(in_range(count), "connections.count", || {
                format!("{count} must be from 1 to {COUNT_MAX}")
            });
            if let Some(age) = max_age {
                checks.check_positive("connections.maxAge", age);
            }
        }
        checks.require(in_range(self.clients), "clients", || {
            format!("{} must be from 1 to {COUNT_MAX}", self.clients)
        });
        if let Some(limit) = self.max_requests {
            checks.require(limit > 0, "maxRequests", || "0 would block all requests".into());
        }
        if let Some(outliers) = &self.outlier_detection {
            let mut checks = checks.inside("outlierDetection");
            checks.require(outliers.consecutive_failures > 0, "consecutiveFailures", || {
                "0 would eject pods without failures; write at least 1".into()
            });
            checks.check_positive("baseEjectionTime", outliers.base_ejection_time);
            checks.share("maxEjectedShare", outliers.max_ejected_share);
        }
        if self.work_queue {
            let pushes = self.balancer.is_some() || self.connections.is_some();
            checks.require(!pushes, "workQueue", || {
                "pods pull from a work queue; remove `balancer` and `connections`".into()
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
            activator: None,
            mesh: None,
            pool: None,
        }
    }
}

impl ServicePolicy {
    /// A policy with this balancer and defaults otherwise.
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
            activator: None,
            mesh: None,
            pool: None,
        }
    }

    /// Whether the outcome of one request affects the routing of others, so that each needs events.
    pub(super) const fn needs_events(&self) -> bool {
        self.work_queue
            || self.max_requests.is_some()
            || self.outlier_detection.is_some()
            || self.activator.is_some()
    }
}

/// Default number of clients of a service.
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
