//! The kubelets of the golden cases: pods run, become Ready and finish as the case's model says.

use super::world::{Event, World};
use cluster::Action;
use cluster::container_status::{
    ContainerState, ContainerStatus, PodReport, Termination, TerminationReason,
};
use cluster::node::{ConditionStatus, NodeId};
use cluster::pod::{Pod, PodId, PodPhase};
use engine::SimDuration;

impl World<'_> {
    /// The pod's container exits and is not started again.
    pub(super) fn exit_pod(&mut self, pod: PodId, exit_code: i32) {
        let phase = if exit_code == 0 { PodPhase::Succeeded } else { PodPhase::Failed };
        if self.plane.store().pods().get(pod).is_some_and(|pod| !pod.phase.is_terminal()) {
            self.report_exit(pod, exit_code);
            self.try_act(Action::SetPodReady(pod, ConditionStatus::False));
            self.try_act(Action::SetPodPhase(pod, phase));
        }
    }

    /// Reports the exit status of the pod's containers.
    fn report_exit(&mut self, id: PodId, exit_code: i32) {
        let store = self.plane.store();
        let pod = &store.pods()[id];
        let finished = self.now.floor_to_second();
        let reason =
            if exit_code == 0 { TerminationReason::Completed } else { TerminationReason::Error };
        let started = pod.start_time.unwrap_or(finished);
        let end = Termination { exit_code, reason, started, finished };
        let status = ContainerStatus {
            state: ContainerState::Terminated(end),
            last_termination: None,
            restarts: pod.restarts.containers_max,
            is_ready: false,
            is_started: false,
        };
        let count = store.template_of(pod).spec.containers.len();
        let report = PodReport {
            containers: std::iter::repeat_n(status, count).collect(),
            ready_to_start_containers: ConditionStatus::False,
            initialized: ConditionStatus::True,
            containers_ready: ConditionStatus::False,
            reason: None,
            phase: None,
            ready: None,
        };
        self.try_act(Action::ReportPod(id, Box::new(report)));
    }

    /// The pod's container crashes, and is restarted after a while.
    pub(super) fn crash_container(&mut self, pod: PodId, down_for: f64) {
        if self.is_running(pod) {
            self.try_act(Action::SetPodReady(pod, ConditionStatus::False));
            let at = self.now + SimDuration::from_secs_f64(down_for);
            self.events.push(at, 0, Event::Restarted(pod));
        }
    }

    /// The kubelet of a node starts to report Ready and to renew its lease.
    pub(super) fn kubelet_starts(&mut self, id: NodeId) {
        self.try_act(Action::SetNodeSilent(id, false));
        self.try_act(Action::SetNodeReady(id, ConditionStatus::True));
        let Some(node) = self.plane.store().nodes().get(id) else { return };
        let name = node.meta.name().clone();
        if !self.down.remove(&name) {
            return;
        }
        let pods: Vec<PodId> = self.plane.store().pods_on(id).map(|(pod, _)| pod).collect();
        for pod in pods {
            if self.is_running(pod) {
                self.try_act(Action::SetPodReady(pod, ConditionStatus::True));
            }
            if self.plane.store().pods().get(pod).is_some_and(Pod::is_terminating) {
                let term = self.pods[&pod].model.term;
                let at = self.now + SimDuration::from_secs_f64(term);
                self.events.push(at, 0, Event::Terminated(pod));
            }
        }
    }

    /// The kubelet of a node stops; its pods stay as they are.
    pub(super) fn kubelet_stops(&mut self, id: NodeId) {
        if let Some(node) = self.plane.store().nodes().get(id) {
            self.down.insert(node.meta.name().clone());
        }
        self.try_act(Action::SetNodeSilent(id, true));
    }

    pub(super) fn start(&mut self, pod: PodId) {
        let Some(object) = self.plane.store().pods().get(pod) else { return };
        let is_over = object.is_terminating() || object.phase.is_terminal();
        if is_over || self.is_out_of_reach(pod) {
            return;
        }
        self.try_act(Action::StartPod(pod));
        self.try_act(Action::SetPodPhase(pod, PodPhase::Running));
        let model = &self.pods[&pod].model;
        if model.ready >= 0.0 {
            let at = self.now + SimDuration::from_secs_f64(model.ready);
            self.events.push(at, 0, Event::Ready(pod));
        }
        if let Some(run_for) = model.run_for {
            let at = self.now + SimDuration::from_secs_f64(run_for);
            self.events.push(at, 0, Event::Exit(pod));
        }
    }
}
