//! What an application does on its node: how long it takes to come up and to go down, and how it
//! misbehaves. The one thing that manifests do not say, so the scenario says it per workload and image.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::SimDuration;

/// The life of an application's container, from pull to exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AppProfile {
    /// Pulling the image on a node that does not have it yet. Default 5s.
    pub image_pull: SimDuration,
    /// Running all init containers, one after the other. Default 0s; without init containers unused.
    pub init: SimDuration,
    /// From the pulled image to the running container (sandbox, network, process). Default 1s.
    pub start: SimDuration,
    /// From the running container to the application answering. Default 0s.
    pub warm_up: SimDuration,
    /// CPU burnt from the running container until the pod is ready, thousandths of a core. Default 0.
    pub warm_up_cpu_milli: u32,
    /// The application never answers: probes fail for ever. Default false.
    pub never_ready: bool,
    /// The image cannot be pulled. Default false.
    pub pull_fails: bool,
    /// The container exits with an error this long after its start, every time. Default: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crashes_after: Option<SimDuration>,
    /// What the application does on SIGTERM. Default drain.
    pub on_sigterm: OnSigterm,
    /// With `exit`: from SIGTERM to the exit. With `drain`: the least time from SIGTERM to the exit,
    /// even if nothing is in flight. Default 0s.
    pub shut_down: SimDuration,
}

/// What an application does on SIGTERM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnSigterm {
    /// Closes its listener, finishes what is in flight, exits.
    #[default]
    Drain,
    /// Goes on serving, new requests included, and exits after `shutDown`; what is then in flight is lost.
    Exit,
    /// Ignores it and serves until the grace period ends in a SIGKILL.
    Ignore,
}

impl Default for AppProfile {
    fn default() -> Self {
        Self {
            image_pull: SimDuration::from_secs(5),
            init: SimDuration::ZERO,
            start: SimDuration::from_secs(1),
            warm_up: SimDuration::ZERO,
            warm_up_cpu_milli: 0,
            never_ready: false,
            pull_fails: false,
            crashes_after: None,
            on_sigterm: OnSigterm::Drain,
            shut_down: SimDuration::ZERO,
        }
    }
}
