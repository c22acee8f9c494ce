//! The metrics pipeline as seen by the HPA: kubelets measure, metrics-server scrapes and serves the
//! last sample of each pod. The source of the CPU time is out of scope.

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
