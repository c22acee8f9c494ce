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
pub use rule::{Measure, MetricRule, Reading, ServiceAggregation};
pub use server::{MeterReading, MeterUsage, MetricsServer, PodUsage, ScrapeResult, SteadyUsage};
pub use settings::MetricsSettings;
