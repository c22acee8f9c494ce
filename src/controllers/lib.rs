//! The control loops of kube-controller-manager, one file each. They read a view and ask for
//! actions; they hold no clock, no I/O and no randomness.

mod actions;
pub mod attach_detach;
mod controller;
pub mod cron_job;
pub mod daemon_set;
pub mod deployment;
pub mod disruption;
pub mod endpoints;
pub mod hpa;
pub mod job;
pub mod job_set;
pub mod keda;
pub mod knative;
pub mod kueue;
pub mod leader_worker_set;
mod node_lifecycle;
mod pod_control;
mod pod_gc;
mod queue;
pub mod replica_set;
pub mod rollout;
mod start_order;
pub mod stateful_set;
mod taint_eviction;
mod ttl_after_finished;
pub mod vpa;
mod watches;

use engine::SimDuration;
use jiff::Timestamp;

pub use actions::Actions;
pub use controller::{Controller, Explain, Memoize, Row};
pub use pod_control::RecordedRequest;
pub use queue::{Backoff, Key, QueueSettings, Requeue};
pub use watches::Watches;

/// All controllers, in the order in which they are notified of a change. `sync_takes`: duration of a sync of the EndpointSlice
/// controller, during which it does not learn of further changes.
pub fn all(settings: &ControllerSettings, sync_takes: SimDuration) -> Vec<Box<dyn Controller>> {
    vec![
        // At one instant a ReplicaSet is reconciled before its Deployment.
        Box::new(replica_set::ReplicaSetController),
        Box::new(deployment::DeploymentController::default()),
        Box::new(stateful_set::StatefulSetController),
        Box::new(daemon_set::DaemonSetController::default()),
        Box::new(job::JobController::default()),
        Box::new(ttl_after_finished::TtlAfterFinishedController),
        Box::new(cron_job::CronJobController::new(settings.start)),
        Box::new(endpoints::EndpointSliceController::new(sync_takes)),
        Box::new(disruption::DisruptionController),
        Box::new(node_lifecycle::NodeLifecycleController::default()),
        Box::new(taint_eviction::TaintEvictionController::default()),
        Box::new(pod_gc::PodGcController::default()),
        Box::new(attach_detach::AttachDetachController::new(settings.attach_detach)),
        Box::new(hpa::HpaController::new(settings.hpa.clone())),
        Box::new(keda::KedaController::default()),
        Box::new(vpa::VpaController::new(settings.vpa.clone())),
        Box::new(start_order::StartOrderController::default()),
        Box::new(knative::KpaController::default()),
        Box::new(rollout::RolloutController::default()),
        Box::new(keda::ScaledJobController::default()),
        Box::new(kueue::KueueController::default()),
        Box::new(job_set::JobSetController::default()),
        Box::new(leader_worker_set::LeaderWorkerSetController::default()),
    ]
}

/// Flags of kube-controller-manager, by controller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ControllerSettings {
    /// The HPA controller.
    pub hpa: hpa::HpaSettings,
    /// The vertical-pod-autoscaler.
    pub vpa: vpa::VpaSettings,
    /// The attach-detach controller; the times are those of the scenario's `timing`.
    pub attach_detach: attach_detach::AttachDetachSettings,
    /// The calendar instant at which simulated time is zero, for CronJobs; a whole second.
    pub start: Timestamp,
}
