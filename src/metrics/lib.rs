//! The metrics pipeline as the HPA sees it: kubelets measure, metrics-server collects and serves the
//! last sample of each pod. Not responsible for where the CPU time comes from.

mod adapter;
pub mod housekeeping;
mod points;
mod prometheus;
mod rule;
mod server;
mod settings;

pub use adapter::{RuleSeries, Scraped, Values};
pub use housekeeping::{Housekeeping, Point};
pub use prometheus::{LATENCY_BOUNDS_SECONDS, PrometheusSettings};
pub use rule::{Measure, MetricRule, Reading, Whole};
pub use server::{Answer, MeterReading, MeterUsage, MetricsServer, PodUsage, SteadyUse};
pub use settings::MetricsSettings;
