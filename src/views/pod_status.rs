//! What the kubelet says of a pod: the state of each container, and the conditions, as `kubectl describe`
//! prints them and as JSON.

use serde_json::{Value, json};

use super::object::{amounts, seconds};
use super::rows::{Sight, title_case};
use cluster::ClusterView;
use cluster::container_status::{ContainerState, ContainerStatus, Termination};
use cluster::pod::{Pod, PodCondition};
use cluster::pod_template::Container;

/// The lines on the state of a container: level, name and value (`describeContainerState`).
pub(super) fn state_lines(
    status: &ContainerStatus,
    sight: Sight<'_>,
) -> Vec<(usize, &'static str, String)> {
    let mut lines = Vec::new();
    match status.state {
        ContainerState::Waiting(reason) => {
            lines.push((2, "State", "Waiting".to_owned()));
            lines.push((3, "Reason", reason.as_str().to_owned()));
        }
        ContainerState::Running { since } => {
            lines.push((2, "State", "Running".to_owned()));
            lines.push((3, "Started", sight.date(since)));
        }
        ContainerState::Terminated(end) => {
            lines.push((2, "State", "Terminated".to_owned()));
            lines.extend(termination_lines(end, sight));
        }
    }
    if let Some(end) = status.last_termination {
        lines.push((2, "Last State", "Terminated".to_owned()));
        lines.extend(termination_lines(end, sight));
    }
    lines.push((2, "Ready", title_case(status.is_ready).to_owned()));
    lines.push((2, "Restart Count", status.restarts.to_string()));
    lines
}

fn termination_lines(end: Termination, sight: Sight<'_>) -> [(usize, &'static str, String); 4] {
    [
        (3, "Reason", end.reason.as_str().to_owned()),
        (3, "Exit Code", end.exit_code.to_string()),
        (3, "Started", sight.date(end.started)),
        (3, "Finished", sight.date(end.finished)),
    ]
}

/// The conditions that somebody has written, in the order of kubectl.
pub(super) fn conditions(pod: &Pod) -> impl Iterator<Item = (&'static str, PodCondition)> {
    let known = &pod.conditions;
    let all = [
        ("PodReadyToStartContainers", known.ready_to_start_containers),
        ("Initialized", known.initialized),
        ("Ready", pod.ready),
        ("ContainersReady", known.containers_ready),
        ("PodScheduled", known.scheduled),
    ];
    all.into_iter().filter_map(|(kind, condition)| Some((kind, condition?)))
}

/// `initContainerStatuses` and `containerStatuses`, once the kubelet has taken the pod.
pub(super) fn container_statuses(view: ClusterView<'_>, pod: &Pod) -> [Value; 2] {
    if pod.start_time.is_none() {
        return [(); 2].map(|()| Value::Array(Vec::new()));
    }
    let allocated = &view.templates()[pod.allocated()].spec;
    let actual = &view.templates()[pod.actual()].spec;
    let (init, regular) = pod.containers.split(allocated);
    [
        statuses(&allocated.init_containers, &actual.init_containers, init),
        statuses(&allocated.containers, &actual.containers, regular),
    ]
}

fn statuses(allocated: &[Container], actual: &[Container], told: &[ContainerStatus]) -> Value {
    let all = allocated.iter().zip(actual).enumerate().map(|(position, (allocated, actual))| {
        let mut status = json!({
            "name": &*allocated.name,
            "image": &*allocated.image,
            "allocatedResources": amounts(&allocated.requests),
            "resources": {
                "requests": amounts(&actual.requests),
                "limits": amounts(&actual.limits),
            },
        });
        if let Some(told) = told.get(position) {
            status["ready"] = told.is_ready.into();
            status["started"] = told.is_started.into();
            status["restartCount"] = told.restarts.into();
            status["state"] = state(told.state);
            if let Some(end) = told.last_termination {
                status["lastState"] = state(ContainerState::Terminated(end));
            }
        }
        status
    });
    all.collect()
}

fn state(state: ContainerState) -> Value {
    match state {
        ContainerState::Waiting(reason) => json!({"waiting": {"reason": reason.as_str()}}),
        ContainerState::Running { since } => {
            json!({"running": {"startedAtSeconds": seconds(since)}})
        }
        ContainerState::Terminated(Termination { exit_code, reason, started, finished }) => {
            json!({"terminated": {
                "exitCode": exit_code,
                "reason": reason.as_str(),
                "startedAtSeconds": seconds(started),
                "finishedAtSeconds": seconds(finished),
            }})
        }
    }
}
