//! Facts of a run as they happen: replicas, readiness, restarts and usage of each workload, node and service. Makes no
//! decisions; `report` computes figures from them.

mod batch_track;
mod billed;
mod desired;
mod log;
mod node_track;
mod pod_run;
mod pod_track;
mod recorder;
mod service_track;
mod steps;
mod time_weighted;
mod workload_track;

pub use batch_track::BatchTrack;
pub use billed::{Billed, BilledObjects, BilledTrack};
pub use log::LogLine;
pub use node_track::NodeTrack;
pub use pod_run::PodRun;
pub use recorder::{ClusterSeries, NodeUsage, Recorder, Used};
pub use service_track::{Downtime, ServiceTrack};
pub use steps::Steps;
pub use time_weighted::TimeWeighted;
pub use workload_track::{WorkloadTrack, workload_of};
