//! Converts a LeaderWorkerSet to StatefulSets like its controllers (`constructLeaderStatefulSetApplyConfiguration`,
//! `constructWorkerStatefulSetApplyConfiguration`, and the labels set by the pod webhook): one for all leaders, and one
//! for the workers of each group.

use serde_json::{Map, Value, json};

use super::{Expansion, ExpansionInput, Mistake, add_term, labels, marked};
use cluster::starts_after::{RECREATES_GROUP, STARTS_AFTER, STARTS_WITH, awaited};

const NAME: &str = "leaderworkerset.sigs.k8s.io/name";
const WORKER_INDEX: &str = "leaderworkerset.sigs.k8s.io/worker-index";
const GROUP_INDEX: &str = "leaderworkerset.sigs.k8s.io/group-index";
/// Label that the StatefulSet controller sets on each pod.
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
const GROUP_KEY: &str = "leaderworkerset.sigs.k8s.io/group-key";
/// Annotation with the topology domain that each group has exclusively.
const EXCLUSIVE: &str = "leaderworkerset.sigs.k8s.io/exclusive-topology";

pub(super) fn make(given: &ExpansionInput<'_>) -> Expansion {
    let Some(worker) = given.value("/spec/leaderWorkerTemplate/workerTemplate") else {
        return Err(Mistake {
            field: "spec.leaderWorkerTemplate.workerTemplate",
            message: "Required value: the template of the workers' pods".to_owned(),
            help: "also used for the leader unless leaderTemplate is set",
        });
    };
    let leader = given.value("/spec/leaderWorkerTemplate/leaderTemplate").unwrap_or(worker);
    let groups = given.int("/spec/replicas").unwrap_or(1).clamp(0, 10_000);
    let size = given.int("/spec/leaderWorkerTemplate/size").unwrap_or(1).max(1);
    let name = given.name();
    let waits = given.text("/spec/startupPolicy") == Some("LeaderReady");
    let topology = given.annotation(EXCLUSIVE);
    let policy = given.text("/spec/leaderWorkerTemplate/restartPolicy");
    let recreates = policy.unwrap_or("RecreateGroupOnPodRestart") == "RecreateGroupOnPodRestart";
    let restarts = labels([(RECREATES_GROUP, "")]);
    let of_pods = if recreates && size > 1 { restarts } else { Map::new() };

    let selector = json!({ NAME: name });
    let mut made = vec![given.service(name, &selector, &Value::Null, true)];
    let of_leaders = labels([(NAME, name), (WORKER_INDEX, "0")]);
    let mut leaders = marked(leader, &of_leaders, &of_pods);
    if let Some(topology) = topology {
        // Leaders exclude each other, across all sets.
        let all = json!([
            {"key": NAME, "operator": "Exists"},
            {"key": WORKER_INDEX, "operator": "In", "values": ["0"]},
        ]);
        add_term(&mut leaders, "podAntiAffinity", topology, &all);
    }
    made.push(set(given, name, groups, 0, &leaders, &of_leaders));
    for group in (0..groups).filter(|_| size > 1) {
        let leader_name = format!("{name}-{group}");
        let index = group.to_string();
        let of_group = labels([(NAME, name), (GROUP_INDEX, &index), (GROUP_KEY, &leader_name)]);
        let mut workers = marked(worker, &of_group, &of_pods);
        if let Some(topology) = topology {
            let leader = json!([{"key": POD_NAME, "operator": "In", "values": [leader_name]}]);
            add_term(&mut workers, "podAffinity", topology, &leader);
        }
        let mut set = set(given, &leader_name, size - 1, 1, &workers, &of_group);
        if waits {
            let namespace = &given.manifest.reference.id.namespace;
            let ready = awaited("Pod", namespace, &leader_name, "Ready");
            set["spec"]["replicas"] = 0.into();
            set["metadata"]["annotations"] =
                json!({STARTS_AFTER: ready, STARTS_WITH: (size - 1).to_string()});
        }
        made.push(set);
    }
    Ok(made)
}

/// A StatefulSet with parallel pod management.
fn set(
    given: &ExpansionInput<'_>,
    name: &str,
    replicas: i64,
    start: i64,
    template: &Value,
    selector: &Map<String, Value>,
) -> Value {
    let mut spec = json!({
        "serviceName": given.name(),
        "replicas": replicas,
        "podManagementPolicy": "Parallel",
        "selector": {"matchLabels": selector},
        "template": template,
    });
    if start > 0 {
        spec["ordinals"] = json!({ "start": start });
    }
    if let Some(claims) = given.value("/spec/leaderWorkerTemplate/volumeClaimTemplates") {
        spec["volumeClaimTemplates"] = claims.clone();
    }
    let metadata = given.metadata(name, selector);
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec})
}
