//! What an application does on its node: how long it takes to come up and to go down, and how it
//! misbehaves. The one thing that manifests do not say, so the scenario says it per workload and image.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cluster::Name;
use crate::cluster::pod_template::PodSpec;
use crate::engine::SimDuration;
use crate::units::Quantity;

/// The life of an application's container, from pull to exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AppProfile {
    /// Pulling the image on a node that does not have it yet. Default 5s.
    pub image_pull: SimDuration,
    /// Size of the image, compressed, such as 400Mi: pulling it then takes `imagePull` and the
    /// transfer at the kubelet's `imagePullBandwidth`. Default: `imagePull` is all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<Quantity>,
    /// Running all init containers, one after the other. Default 0s; without init containers unused.
    pub init: SimDuration,
    /// From the pulled image to the running container (sandbox, network, process). Default 1s.
    pub start: SimDuration,
    /// From the running container to the application answering. Default 0s.
    pub warm_up: SimDuration,
    /// CPU burnt from the running container until the pod is ready, thousandths of a core. Default 0.
    pub warm_up_cpu_milli: u32,
    /// From when the pod is ready: how long it goes on burning CPU for itself, beside requests, as
    /// where code is compiled and caches fill under the first requests. Default 0s.
    pub settling: SimDuration,
    /// CPU burnt while settling, thousandths of a core. Default 0.
    pub settling_cpu_milli: u32,
    /// The application never answers: probes fail for ever. Default false.
    pub never_ready: bool,
    /// The image cannot be pulled. Default false.
    pub pull_fails: bool,
    /// The container exits with an error this long after its start, every time. Default: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crashes_after: Option<SimDuration>,
    /// The container is done this long after its start, as that of a Job, and exits with `exitCode`.
    /// Default: it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs_for: Option<SimDuration>,
    /// Exit code after `runsFor`. Default 0.
    pub exit_code: i32,
    /// Probes wait for a worker as requests do, so that they fail when the application is overloaded:
    /// an answer that takes longer than the probe's `timeoutSeconds` is a failure. Default false: a
    /// thread of its own answers them at once.
    pub probes_need_worker: bool,
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
            settling: SimDuration::ZERO,
            settling_cpu_milli: 0,
            never_ready: false,
            image_size: None,
            pull_fails: false,
            crashes_after: None,
            runs_for: None,
            exit_code: 0,
            probes_need_worker: false,
            on_sigterm: OnSigterm::Drain,
            shut_down: SimDuration::ZERO,
        }
    }
}

/// What the containers of a pod do.
#[derive(Clone, Debug, Default)]
pub struct PodProfile {
    /// The application, which takes the requests.
    pub app: AppProfile,
    /// The container that it runs in; absent = the first.
    pub container: Option<Name>,
    /// Other containers that are described, init containers among them.
    pub others: Arc<BTreeMap<Name, AppProfile>>,
}

impl PodProfile {
    /// Position of the application among the containers, init containers first.
    pub fn position(&self, spec: &PodSpec) -> usize {
        let named = |name: &Name| spec.containers.iter().position(|one| one.name == *name);
        let position = self.container.as_ref().and_then(named).unwrap_or(0);
        spec.init_containers.len() + position
    }

    /// What every container does, init containers first. One that is not described answers at once
    /// and goes on SIGTERM; init containers share the application's `init`.
    pub fn of_containers(&self, spec: &PodSpec) -> Vec<AppProfile> {
        let app = self.position(spec);
        let to_run = spec.init_containers.iter().filter(|one| !one.is_sidecar).count();
        let share = self.app.init / i64::try_from(to_run.max(1)).unwrap_or(i64::MAX);
        let plain = AppProfile {
            image_pull: self.app.image_pull,
            pull_fails: self.app.pull_fails,
            start: self.app.start,
            on_sigterm: OnSigterm::Exit,
            ..AppProfile::default()
        };
        let init = spec.init_containers.iter().map(|one| {
            let runs_for = (!one.is_sidecar).then_some(share);
            (&one.name, AppProfile { runs_for, ..plain })
        });
        let regular = spec.containers.iter().map(|one| (&one.name, plain));
        let described = |(position, (name, default)): (usize, (&Name, AppProfile))| {
            let own = self.others.get(name).copied();
            if position == app { self.app } else { own.unwrap_or(default) }
        };
        init.chain(regular).enumerate().map(described).collect()
    }
}
