//! Requests: when they come, which pod they find, how long it takes, what becomes of them. It knows
//! services, backends and time, but nothing of Kubernetes objects: `sim` tells it what the cluster
//! does to them.
//!
//! [`Traffic::advance`] in `path.rs` is where a request's way begins.

pub mod arrivals;
mod backend;
mod balancer;
mod config;
mod control;
mod fifo;
mod figures;
mod hanging;
mod job;
mod normal_quantile;
mod path;
mod problem;
mod recording;
mod request_model;
mod sharing;
mod time_law;
pub mod trace;

pub use arrivals::{ArrivalProcess, Arrivals, Load};
pub use backend::{Backend, BackendId, BackendState};
pub use balancer::Balancer;
pub use config::TrafficSpec;
pub use figures::ServiceFigures;
pub use path::{Recording, ServiceId, ServiceTraffic, Traffic};
pub use problem::Problem;
pub use recording::{FailureCause, IntervalFigures, Latencies, Outcomes};
pub use request_model::{RequestModel, RequestModelId, RequestModelSpec};
pub use time_law::{Distribution, TimeLaw};
pub use trace::{Trace, TraceError};
