//! The inputs and outputs of one step of a worker: the cluster view, its node's kubelet, and the step's
//! effects.

use super::node_agent::NodeAgent;
use super::settings::KubeletSettings;
use super::timing::KubeletTiming;
use super::work::{Task, Work};
use super::{Effects, WORK};
use cluster::action::Event;
use cluster::pod::{Pod, PodId};
use cluster::pod_template::PodSpec;
use cluster::{Action, ClusterView, Kind};
use engine::{SimDuration, SimTime, take_token};

/// The inputs and outputs of one step of a worker.
pub(super) struct Context<'a> {
    pub(super) view: ClusterView<'a>,
    /// The worker's pod.
    pub(super) pod: &'a Pod,
    pub(super) spec: &'a PodSpec,
    pub(super) agent: &'a mut NodeAgent,
    pub(super) settings: &'a KubeletSettings,
    pub(super) timing: &'a KubeletTiming,
    pub(super) shared_work: &'a mut Work,
    pub(super) out: &'a mut Effects,
    /// Number of requests in `out` that precede this step.
    pub(super) requested_before: usize,
}

impl Context<'_> {
    pub(super) const fn now(&self) -> SimTime {
        self.view.now
    }

    fn work(&mut self) -> &mut Work {
        if self.timing.shared_cores.is_some() { self.shared_work } else { &mut self.agent.work }
    }

    /// Starts work on the pod's node that takes `cpu` of CPU time.
    pub(super) fn work_on(&mut self, pod: PodId, task: Task, cpu: SimDuration) {
        let now = self.now();
        let node = self.pod.node.and_then(|node| self.view.nodes().get(node));
        let own = node.and_then(|node| node.capacity.get("cpu"));
        let own = own.map_or(f64::INFINITY, |cpu| cpu.nanos() as f64 / 1e9);
        let cores = self.timing.shared_cores.map_or(own, f64::from);
        let per_pod = self.timing.cores_per_pod;
        let work = self.work();
        work.set_cores(cores, per_pod);
        work.begin(now, cpu, (pod, task));
    }

    /// Takes tokens of the kubelet's API client (`kubeAPIQPS`), and returns when the last one is there. The client that
    /// records Events has a limit of its own, and so has the one that renews leases.
    pub(super) fn take_tokens(&mut self, requests: u32) -> SimTime {
        let now = self.now();
        let (qps, burst) = (self.timing.kube_api_qps, self.timing.kube_api_burst);
        if qps == 0 {
            return now;
        }
        let token = SimDuration::from_nanos(1_000_000_000 / i64::from(qps));
        let full_at = &mut self.agent.client_full_at;
        (0..requests).fold(now, |_, _| take_token(full_at, (token, burst), now))
    }

    /// Cancels a pod's unfinished work.
    pub(super) fn cancel_work(&mut self, pod: PodId) {
        let now = self.now();
        self.work().cancel(now, pod);
    }

    pub(super) fn schedule_next_work(&mut self) {
        let next = self.work().take_next();
        self.out.timers.extend(next.map(|(at, pod)| (at, pod, WORK)));
    }

    /// Records a Warning event for the pod.
    pub(super) fn warn(&mut self, reason: &'static str, message: impl Into<String>) {
        self.out.actions.push(event(self.pod, true, reason, message));
    }
}

/// An event about a pod.
pub(super) fn event(
    pod: &Pod,
    is_warning: bool,
    reason: &'static str,
    message: impl Into<String>,
) -> Action {
    let (object, message) = (pod.id.clone(), message.into());
    Action::Event(Box::new(Event { kind: Kind::Pod, object, is_warning, reason, message }))
}
