//! Requests: their arrivals, the pods that answer them, latencies and outcomes. It knows services, backends and time,
//! but no Kubernetes objects: `sim` passes on the cluster's changes.
//!
//! [`Traffic::advance`] in `path.rs` is the entry point of a request's path.

pub mod arrivals;
mod backend;
mod balancer;
mod barriers;
pub mod calibrate;
mod call_spec;
mod client_limits;
mod config;
mod control;
mod exported_histogram;
mod fifo;
mod figures;
mod fluid;
mod hanging;
mod hash_ring;
pub mod import;
mod job;
mod latency_cells;
pub mod llm;
mod local;
mod mesh_route;
mod minutes;
mod moments;
mod network;
mod network_time;
mod node_cpu;
mod normal_quantile;
mod outcomes;
mod path;
mod pins;
mod policy;
mod prefix_routing;
mod probing;
mod problem;
mod quota;
mod recording;
mod request_class;
mod request_model;
mod rerouting;
mod route_policy;
mod sharing;
mod source_ports;
pub mod spans;
mod tagged;
mod time_distribution;
pub mod trace;
mod trace_rows;
mod user_uptime;

pub use arrivals::{ArrivalProcess, Arrivals, BranchId, Load};
pub use backend::{Backend, BackendId, BackendState};
pub use balancer::Balancer;
pub use barriers::{Barriers, PeerGroupId};
pub use call_spec::{CallSpec, RetrySpec};
pub use client_limits::{ClientLimits, RateLimit};
pub use config::{DEFAULT_TIMEOUT, IngressRouteSpec, TrafficSpec};
pub use figures::{ClassId, FlowAmounts, PodLoad, ServiceFigures, ServiceLoad};
pub use llm::{LlmFigures, LlmSpec, LlmStatus};
pub use mesh_route::{MeshDestination, MeshRoute};
pub use minutes::{LatencyLimits, MINUTE, MinuteFigures};
pub use network::{Activity, HeldRequests, Notices};
pub use network_time::{NetworkBasis, NetworkPreset, NetworkSpec, NetworkTimes};
pub use node_cpu::{CpuClaim, CpuShares, NodeCpuId};
pub use path::{Recording, ServiceId, ServiceTraffic, Traffic};
pub use policy::{
    ActivatorPolicy, ConnectionPool, Connections, DEFAULT_CLIENTS, OutlierDetection, ServicePolicy,
    ServiceSpec, Via,
};
pub use problem::Problem;
pub use recording::{
    FailureCause, IntervalFigures, Latencies, LatenciesWithFailures, Outcomes, Waits,
};
pub use request_class::{RequestClassSpec, told_class};
pub use request_model::{RequestModel, RequestModelId, RequestModelSpec, WarmUp};
pub use route_policy::{Causes, Retries, RoutePolicy, RouteTraffic};
pub use source_ports::TRACKED_CLIENTS;
pub use time_distribution::{Distribution, TimeDistribution};
pub use trace::{Trace, TraceError};
pub use trace_rows::{NewSpool, Spool};
pub use user_uptime::{USER_CUTOFF, UserUptime};
