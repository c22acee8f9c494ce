//! The metrics pipeline as the HPA sees it: kubelets measure, metrics-server collects and serves the
//! last sample of each pod. Not responsible for where the CPU time comes from.

mod server;

pub use server::{MetricsServer, MetricsSettings, PodUsage};
