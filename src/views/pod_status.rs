//! The status of a pod as the kubelet reports it: container states and conditions, in the form of `kubectl
//! describe` and as JSON.

use serde_json::{Map, Value, json};

use super::object::{fields, time};
use super::rows::{Snapshot, title_case};
use cluster::ClusterView;
use cluster::assigned::{node_ip, pod_ip};
use cluster::container_status::{ContainerState, ContainerStatus, Termination};
use cluster::pod::{Pod, PodCondition};
use cluster::pod_template::Container;
use cluster::qos::qos_class;
use manifest::amounts;

/// The lines about a container's state: level, name and value (`describeContainerState`).
pub(super) fn state_lines(
    status: &ContainerStatus,
    snapshot: Snapshot<'_>,
) -> Vec<(usize, &'static str, String)> {
    let mut lines = Vec::new();
    match status.state {
        ContainerState::Waiting(reason) => {
            lines.push((2, "State", "Waiting".to_owned()));
            lines.push((3, "Reason", reason.as_str().to_owned()));
        }
        ContainerState::Running { since } => {
            lines.push((2, "State", "Running".to_owned()));
            lines.push((3, "Started", snapshot.date(since)));
        }
        ContainerState::Terminated(end) => {
            lines.push((2, "State", "Terminated".to_owned()));
            lines.extend(termination_lines(end, snapshot));
        }
    }
    if let Some(end) = status.last_termination {
        lines.push((2, "Last State", "Terminated".to_owned()));
        lines.extend(termination_lines(end, snapshot));
    }
    lines.push((2, "Ready", title_case(status.is_ready).to_owned()));
    lines.push((2, "Restart Count", status.restarts.to_string()));
    lines
}

fn termination_lines(
    end: Termination,
    snapshot: Snapshot<'_>,
) -> [(usize, &'static str, String); 4] {
    [
        (3, "Reason", end.reason.as_str().to_owned()),
        (3, "Exit Code", end.exit_code.to_string()),
        (3, "Started", snapshot.date(end.started)),
        (3, "Finished", snapshot.date(end.finished)),
    ]
}

/// The conditions that have been written, in kubectl's order.
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

/// `status` of a pod.
pub(super) fn pod_status(view: ClusterView<'_>, pod: &Pod) -> Map<String, Value> {
    let spec = &view.template_of(pod).spec;
    let [init, regular] = container_statuses(view, pod);
    let node =
        pod.node.and_then(|node| view.nodes().get(node)).filter(|_| pod.start_time.is_some());
    let host_ip = node.map(node_ip);
    let pod_ip = pod_ip(view.store(), pod);
    let ips = |ip: &Option<String>| ip.as_ref().map_or(Value::Null, |ip| json!([{ "ip": ip }]));
    let nominated = pod.nominated_node.and_then(|node| view.nodes().get(node));
    fields([
        ("conditions", all_conditions(view, pod)),
        ("containerStatuses", regular),
        ("hostIP", host_ip.clone().into()),
        ("hostIPs", ips(&host_ip)),
        ("initContainerStatuses", init),
        ("nominatedNodeName", nominated.map(|node| node.meta.name().to_string()).into()),
        ("phase", pod.phase.as_str().into()),
        ("podIP", pod_ip.clone().into()),
        ("podIPs", ips(&pod_ip)),
        ("qosClass", qos_class(spec).as_str().into()),
        ("reason", pod.status_reason.into()),
        ("startTime", pod.start_time.map_or(Value::Null, |at| time(view, at))),
    ])
}

/// The conditions of a pod, with those of a pending resize at the end.
fn all_conditions(view: ClusterView<'_>, pod: &Pod) -> Value {
    let reported = conditions(pod).map(|(kind, condition)| {
        json!({
            "lastTransitionTime": time(view, condition.since),
            "status": condition.status.as_str(),
            "type": kind,
        })
    });
    let disrupted = pod
        .disruption_target
        .map(|reason| json!({ "reason": reason, "status": "True", "type": "DisruptionTarget" }));
    let of_resize = super::describe::resize_conditions(pod).into_iter().map(|one| {
        json!({
            "lastTransitionTime": time(view, one.since),
            "message": one.message,
            "reason": one.reason,
            "status": "True",
            "type": one.kind,
        })
    });
    reported.chain(disrupted).chain(of_resize).collect()
}

/// `initContainerStatuses` and `containerStatuses`, once the kubelet has accepted the pod.
fn container_statuses(view: ClusterView<'_>, pod: &Pod) -> [Value; 2] {
    if pod.start_time.is_none() {
        return [(); 2].map(|()| Value::Null);
    }
    let allocated = &view.templates()[pod.allocated()].spec;
    let actual = &view.templates()[pod.actual()].spec;
    let (init, regular) = pod.containers.split(allocated);
    [
        statuses(view, &allocated.init_containers, &actual.init_containers, init),
        statuses(view, &allocated.containers, &actual.containers, regular),
    ]
}

fn statuses(
    view: ClusterView<'_>,
    allocated: &[Container],
    actual: &[Container],
    reported: &[ContainerStatus],
) -> Value {
    let all = allocated.iter().zip(actual).enumerate().map(|(position, (allocated, actual))| {
        let mut status = json!({
            "allocatedResources": amounts(&allocated.requests),
            "image": &*allocated.image,
            "name": &*allocated.name,
            "resources": {
                "limits": amounts(&actual.limits),
                "requests": amounts(&actual.requests),
            },
        });
        if let Some(reported) = reported.get(position) {
            status["ready"] = reported.is_ready.into();
            status["started"] = reported.is_started.into();
            status["restartCount"] = reported.restarts.into();
            status["state"] = state(view, reported.state);
            let last = reported.last_termination;
            status["lastState"] =
                last.map_or_else(|| json!({}), |end| state(view, ContainerState::Terminated(end)));
        }
        status
    });
    all.collect()
}

fn state(view: ClusterView<'_>, state: ContainerState) -> Value {
    match state {
        ContainerState::Waiting(reason) => json!({ "waiting": { "reason": reason.as_str() } }),
        ContainerState::Running { since } => {
            json!({ "running": { "startedAt": time(view, since) } })
        }
        ContainerState::Terminated(Termination { exit_code, reason, started, finished }) => {
            json!({ "terminated": {
                "exitCode": exit_code,
                "finishedAt": time(view, finished),
                "reason": reason.as_str(),
                "startedAt": time(view, started),
            } })
        }
    }
}
