//! The behavior of an application on its node: startup and shutdown times, and misbehavior. Manifests do not contain
//! this, so the scenario specifies it per workload and image.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use cluster::Name;
use cluster::injection::PROXY_START;
use cluster::pod_template::{Container, PodSpec};
use engine::random::{LogNormal, happens};
use engine::{SimDuration, Streams};
use rand_distr::Distribution;
use units::Quantity;

/// The life of an application's container, from pull to exit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AppProfile {
    /// Time to pull the image on a node that does not have it yet. Default 5s.
    pub image_pull: SimDuration,
    /// Compressed size of the image, such as 400Mi: a pull then takes `imagePull` plus the transfer at the kubelet's
    /// `imagePullBandwidth`. Default: `imagePull` alone.
    pub image_size: Option<Quantity>,
    /// Total run time of all init containers, which run one after the other. Default 0s; unused without init
    /// containers.
    pub init: SimDuration,
    /// Time from the pulled image to the running container (sandbox, network, process). Default: computed from
    /// `timing.kubelet`, depending on the number of pods that start at the same time.
    pub start: Option<SimDuration>,
    /// Time from the running container until the application answers. Default 0s.
    pub warm_up: SimDuration,
    /// CPU used from the start of the container until the pod is ready, thousandths of a core. Default 0.
    pub warm_up_cpu_milli: u32,
    /// Time after readiness during which the application uses extra CPU apart from requests, e.g. to compile code and
    /// fill caches under the first requests. Default 0s.
    pub settling: SimDuration,
    /// CPU used while settling, thousandths of a core. Default 0.
    pub settling_cpu_milli: u32,
    /// Time from the first readiness of the pod's containers until a controller sets the conditions named by its
    /// `readinessGates` to True, as a load balancer's controller does once a target is healthy. Default: never, so a
    /// pod with such gates never becomes ready.
    pub readiness_gates: Option<SimDuration>,
    /// The application never answers, so its probes always fail. Default false.
    pub never_ready: bool,
    /// The image cannot be pulled. Default false.
    pub pull_fails: bool,
    /// Time from each start after which the container exits with an error. Default: never.
    pub crashes_after: Option<SimDuration>,
    /// Time from each start after which the application hangs: it then answers neither probes nor requests until its
    /// container is restarted. Default: never.
    pub hangs_after: Option<SimDuration>,
    /// Time from start after which the container completes, as that of a Job, with exit code `exitCode`. Default: it
    /// keeps running.
    pub runs_for: Option<SimDuration>,
    /// Variation of the run time from start to start: the coefficient of variation of a lognormal distribution with
    /// mean `runsFor`, drawn with the run's seed. Default 0: no variation.
    #[schemars(range(min = 0))]
    pub runs_for_cv: f64,
    /// Number of requests after which the container completes, with exit code `exitCode`: a Job that takes so many
    /// messages from a `workQueue` and is done. It waits as long as the queue is empty. Default: it keeps running.
    #[schemars(range(min = 1))]
    pub completes_after_requests: Option<u32>,
    /// Time without a request after which the container completes, with exit code `exitCode`: a Job that works until its
    /// `workQueue` is empty. Default: it keeps running.
    pub completes_when_idle: Option<SimDuration>,
    /// Exit code of a container that completes. Default 0.
    pub exit_code: i32,
    /// Share of starts, 0 to 1, that fail as they complete, drawn with the run's seed: those exit with `exitCode`, or 1
    /// if that is 0, and all others with 0. Default: all exit with `exitCode`.
    #[schemars(range(min = 0, max = 1))]
    pub failure_probability: Option<f64>,
    /// Probes queue for a worker like requests, so that they fail when the application is overloaded: an answer that
    /// takes longer than the probe's `timeoutSeconds` is a failure. Default false: a dedicated thread answers them at
    /// once.
    pub probes_need_worker: bool,
    /// Reaction of the application to SIGTERM. Default drain.
    pub on_sigterm: OnSigterm,
    /// With `exit`: time from SIGTERM to the exit. With `drain`: shortest time from SIGTERM to the exit, even if
    /// nothing is in flight. Default 0s.
    pub shut_down: SimDuration,
}

/// Identifies one start of a container; its random outcomes depend on this alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// UID of the pod.
    pub uid: u64,
    /// Position of the container, init containers first.
    pub container: usize,
    /// Number of restarts before this start.
    pub restarts: u32,
}

impl AppProfile {
    /// Time after its start at which the container exits on its own, and the exit code; `None` if it keeps running.
    pub fn end_of(&self, start: Start) -> Option<(SimDuration, i32)> {
        let crash = self.crashes_after.map(|after| (after, 1));
        [crash, self.done(start)].into_iter().flatten().min()
    }

    fn done(&self, start: Start) -> Option<(SimDuration, i32)> {
        let mean = self.runs_for?;
        Some(self.completion(mean, start))
    }

    /// The exit code of a container that completes when its work is done, rather than after a time.
    pub(crate) fn exit_code_of(&self, start: Start) -> i32 {
        self.completion(SimDuration::ZERO, start).1
    }

    /// Whether the container completes on its own at some time.
    pub const fn completes(&self) -> bool {
        self.runs_for.is_some()
            || self.completes_after_requests.is_some()
            || self.completes_when_idle.is_some()
    }

    /// The run time, with this mean, and the exit code of one start.
    fn completion(&self, mean: SimDuration, start: Start) -> (SimDuration, i32) {
        let is_drawn = self.runs_for_cv > 0.0 || self.failure_probability.is_some();
        if !is_drawn {
            return (mean, self.exit_code);
        }
        let index = (start.container as u64) << 32 | u64::from(start.restarts);
        let mut stream = Streams::new(start.uid).stream("container run", index);
        let fails = self.failure_probability.map(|share| happens(&mut stream, share));
        let code = match fails {
            None => self.exit_code,
            Some(true) => {
                if self.exit_code == 0 {
                    1
                } else {
                    self.exit_code
                }
            }
            Some(false) => 0,
        };
        let time = if self.runs_for_cv > 0.0 && mean > SimDuration::ZERO {
            let law = LogNormal::from_mean_cv(mean.as_secs_f64(), self.runs_for_cv);
            SimDuration::from_secs_f64(law.sample(&mut stream))
        } else {
            mean
        };
        (time, code)
    }
}

/// Reaction of an application to SIGTERM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnSigterm {
    /// Closes its listener, finishes requests in flight, then exits.
    #[default]
    Drain,
    /// Keeps serving, including new requests, and exits after `shutDown`; requests then in flight are lost.
    Exit,
    /// Ignores SIGTERM and serves until the SIGKILL at the end of the grace period.
    Ignore,
}

impl Default for AppProfile {
    fn default() -> Self {
        Self {
            image_pull: SimDuration::from_secs(5),
            init: SimDuration::ZERO,
            start: None,
            warm_up: SimDuration::ZERO,
            warm_up_cpu_milli: 0,
            settling: SimDuration::ZERO,
            settling_cpu_milli: 0,
            readiness_gates: None,
            never_ready: false,
            image_size: None,
            pull_fails: false,
            crashes_after: None,
            hangs_after: None,
            runs_for: None,
            runs_for_cv: 0.0,
            completes_after_requests: None,
            completes_when_idle: None,
            exit_code: 0,
            failure_probability: None,
            probes_need_worker: false,
            on_sigterm: OnSigterm::Drain,
            shut_down: SimDuration::ZERO,
        }
    }
}

/// The profiles of a pod's containers.
#[derive(Clone, Debug, Default)]
pub struct PodProfile {
    /// The application, which takes the requests.
    pub app: AppProfile,
    /// Name of the application's container; absent = the first.
    pub container: Option<Name>,
    /// Profiles of other containers, including init containers, by name.
    pub others: Arc<BTreeMap<Name, AppProfile>>,
}

impl PodProfile {
    /// Position of the application among the containers, init containers first.
    pub fn position(&self, spec: &PodSpec) -> usize {
        spec.init_containers.len() + spec.application(self.container.as_ref())
    }

    /// The profile of every container, init containers first. Containers without a profile answer at once and exit on
    /// SIGTERM; init containers share the application's `init`.
    pub fn of_containers(&self, spec: &PodSpec) -> Vec<AppProfile> {
        let app = self.position(spec);
        let is_own = |one: &&Container| !one.is_sidecar && !one.is_proxy;
        let to_run = spec.init_containers.iter().filter(is_own).count();
        let share = self.app.init / i64::try_from(to_run.max(1)).unwrap_or(i64::MAX);
        let plain = AppProfile {
            image_pull: self.app.image_pull,
            pull_fails: self.app.pull_fails,
            start: self.app.start,
            on_sigterm: OnSigterm::Exit,
            ..AppProfile::default()
        };
        let warm_up = |one: &Container| if one.is_proxy { PROXY_START } else { SimDuration::ZERO };
        let init = spec.init_containers.iter().map(|one| {
            let runs_for =
                (!one.is_sidecar).then_some(if one.is_proxy { SimDuration::ZERO } else { share });
            (&one.name, AppProfile { runs_for, warm_up: warm_up(one), ..plain })
        });
        let regular = spec.containers.iter();
        let regular = regular.map(|one| (&one.name, AppProfile { warm_up: warm_up(one), ..plain }));
        let described = |(position, (name, default)): (usize, (&Name, AppProfile))| {
            let own = self.others.get(name).copied();
            if position == app { self.app } else { own.unwrap_or(default) }
        };
        init.chain(regular).enumerate().map(described).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(uid: u64, restarts: u32) -> Start {
        Start { uid, container: 0, restarts }
    }

    #[test]
    fn a_container_that_is_done_with_its_work_fails_with_the_same_probability() {
        let worker = AppProfile {
            completes_after_requests: Some(1),
            exit_code: 3,
            failure_probability: Some(0.2),
            ..AppProfile::default()
        };
        assert!(worker.completes() && worker.end_of(start(1, 0)).is_none());
        let failed = (0..20_000).filter(|uid| worker.exit_code_of(start(*uid, 0)) == 3).count();
        assert!((3_800..4_200).contains(&failed), "{failed}");
    }

    #[test]
    fn what_is_left_to_chance_has_its_mean_and_its_share() {
        let job = AppProfile {
            runs_for: Some(SimDuration::from_secs(60)),
            runs_for_cv: 0.5,
            exit_code: 3,
            failure_probability: Some(0.2),
            ..AppProfile::default()
        };
        let ends: Vec<_> = (0..20_000).filter_map(|uid| job.end_of(start(uid, 0))).collect();
        let mean = ends.iter().map(|(time, _)| time.as_secs_f64()).sum::<f64>() / 20_000.0;
        assert!((mean - 60.0).abs() < 1.0, "{mean}");
        let failed = ends.iter().filter(|(_, code)| *code == 3).count();
        assert!((3_800..4_200).contains(&failed), "{failed}");
        assert!(ends.iter().all(|(_, code)| [0, 3].contains(code)));
    }

    #[test]
    fn a_start_ends_the_same_way_however_often_it_is_asked_and_a_restart_may_end_otherwise() {
        let flaky = AppProfile {
            runs_for: Some(SimDuration::from_secs(1)),
            failure_probability: Some(0.5),
            ..AppProfile::default()
        };
        assert_eq!(flaky.end_of(start(7, 0)), flaky.end_of(start(7, 0)));
        let codes: Vec<_> = (0..20).filter_map(|n| flaky.end_of(start(7, n))).collect();
        assert!(codes.contains(&(SimDuration::from_secs(1), 0)));
        assert!(codes.contains(&(SimDuration::from_secs(1), 1)));
    }

    #[test]
    fn a_crash_comes_before_the_end_only_if_it_is_earlier() {
        let profile = |crash| AppProfile {
            runs_for: Some(SimDuration::from_secs(10)),
            crashes_after: Some(SimDuration::from_secs(crash)),
            ..AppProfile::default()
        };
        let end = |crash| profile(crash).end_of(start(1, 0));
        assert_eq!(end(5), Some((SimDuration::from_secs(5), 1)));
        assert_eq!(end(15), Some((SimDuration::from_secs(10), 0)));
    }
}
