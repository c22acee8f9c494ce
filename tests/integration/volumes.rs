//! Claims and their volumes in whole runs: zones, who outlives whom, and what limits their size.

use crate::in_memory::Run;
use wavetank::cluster::Kind;
use wavetank::cluster::NamespacedName;
use wavetank::cluster::pod::PodPhase;
use wavetank::views::{self, Form, Scope, Snapshot};

const SCENARIO: &str = "apiVersion: wavetank/v1
kind: Scenario
name: volumes
duration: 2h
manifests: [manifests.yaml]
cluster: {nodePools: [{name: data, instanceType: aws/m5.large, count: 3, zones: [a, b, c]}]}
";

/// A StatefulSet of small pods, each with a claim; `fields` go before the template.
fn stateful_set(fields: &str, claim: &str) -> String {
    format!(
        "apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db}}
spec:
  serviceName: db
  {fields}
  selector: {{matchLabels: {{app: db}}}}
  template:
    metadata: {{labels: {{app: db}}}}
    spec:
      containers: [{{name: db, image: 'db:1', resources: {{requests: {{cpu: 100m, memory: 64Mi}}}}}}]
  volumeClaimTemplates:
    - metadata: {{name: data}}
      spec: {{{claim}}}
"
    )
}

const DISK: &str = "accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Gi}}";

/// Zone of the node of a pod; `None` while it has none, or there is no such pod.
fn zone_of(run: &Run, pod: &str) -> Option<String> {
    let view = run.0.view();
    let pod = view.store().pod_named(&NamespacedName::new("default", pod.to_owned()))?;
    let node = view.store().pods()[pod].node?;
    let zone = view.store().nodes().get(node)?.meta.labels.get("topology.kubernetes.io/zone")?;
    Some(zone.to_string())
}

fn claim_zone(run: &Run, claim: &str) -> Option<String> {
    let view = run.0.view();
    let id = NamespacedName::new("default", claim.to_owned());
    view.store().claim(&id).and_then(|claim| claim.zone()).map(ToString::to_string)
}

fn claims(run: &Run) -> Vec<String> {
    run.0.view().store().claims().values().map(|one| one.meta.name().to_string()).collect()
}

fn pods(run: &Run) -> Vec<String> {
    let mut names: Vec<String> =
        run.0.view().store().pods().values().map(|pod| pod.name().to_string()).collect();
    names.sort();
    names
}

/// The pool's node in a zone.
fn node_in(run: &Run, zone: &str) -> String {
    let view = run.0.view();
    let mut nodes = view.store().nodes().values();
    let in_zone = nodes.find(|node| {
        node.meta.labels.get("topology.kubernetes.io/zone").is_some_and(|one| **one == *zone)
    });
    in_zone.expect("a node in each zone").meta.name().to_string()
}

#[test]
fn a_pod_whose_volume_is_in_a_cordoned_zone_waits_and_comes_back_with_the_zone() {
    let manifests = stateful_set("replicas: 3", DISK);
    let mut run = Run::new(SCENARIO, &manifests);
    run.until(120);
    let zone = zone_of(&run, "db-1").expect("it runs");
    assert_eq!(claim_zone(&run, "data-db-1"), Some(zone.clone()));
    let node = node_in(&run, &zone);

    let timeline =
        format!("timeline: [{{at: 5m, drain: {node}}}, {{at: 30m, uncordon: {node}}}]\n");
    let mut run = Run::new(&format!("{SCENARIO}{timeline}"), &manifests);
    run.until(299);
    assert_eq!(zone_of(&run, "db-1"), Some(zone.clone()));
    run.until(29 * 60);
    assert_eq!(zone_of(&run, "db-1"), None);
    let (_, message) = run.events("FailedScheduling").pop().expect("it could not be placed");
    assert!(
        message.starts_with(
            "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match \
             PersistentVolume's node affinity."
        ),
        "{message}"
    );
    run.until(31 * 60);
    assert_eq!(zone_of(&run, "db-1"), Some(zone));
}

#[test]
fn a_zone_whose_machines_are_gone_takes_the_pods_of_its_volumes_with_it_until_there_are_new_ones() {
    let manifests = stateful_set("replicas: 3", DISK);
    let mut run = Run::new(SCENARIO, &manifests);
    run.until(120);
    let node = node_in(&run, "b");
    let pod = (0..3).map(|ordinal| format!("db-{ordinal}"));
    let lost = pod.into_iter().find(|pod| zone_of(&run, pod).as_deref() == Some("b"));
    let lost = lost.expect("a pod in each zone");

    let timeline =
        format!("timeline: [{{at: 5m, killZone: b}}, {{at: 6m, delete: Node/{node}}}]\n");
    let mut run = Run::new(&format!("{SCENARIO}{timeline}"), &manifests);
    run.until(3600);
    assert_eq!(zone_of(&run, &lost), None, "its volume is in b");
    let shared = DISK.replace("ReadWriteOnce", "ReadWriteMany");
    let mut run = Run::new(&format!("{SCENARIO}{timeline}"), &stateful_set("replicas: 3", &shared));
    run.until(3600);
    let zone = zone_of(&run, &lost).expect("a file system on the network is everywhere");
    assert_ne!(zone, "b");
}

#[test]
fn claims_go_with_scaled_down_pods_or_with_the_set_as_the_retention_policy_says() {
    let timeline = "timeline: [{at: 5m, scale: {workload: StatefulSet/db, replicas: 1}}, {at: 10m, \
                    scale: {workload: StatefulSet/db, replicas: 2}}, {at: 15m, delete: StatefulSet/db}]\n";
    let left = |policy: &str| {
        let fields = format!("replicas: 3\n  persistentVolumeClaimRetentionPolicy: {{{policy}}}");
        let scenario = format!("{SCENARIO}{timeline}");
        let mut run = Run::new(&scenario, &stateful_set(&fields, DISK));
        [290, 590, 890, 1200].map(|second| claims(run.until(second)).len())
    };
    assert_eq!(left(""), [3, 3, 3, 3]);
    assert_eq!(left("whenDeleted: Delete"), [3, 3, 3, 0]);
    assert_eq!(left("whenScaled: Delete"), [3, 1, 2, 2]);
    assert_eq!(left("whenScaled: Delete, whenDeleted: Delete"), [3, 1, 2, 0]);
}

#[test]
fn a_pod_that_returns_while_its_claim_still_goes_with_the_one_before_waits_for_a_new_claim() {
    // The pod takes its 30 s to end; the set grows again before that.
    let timeline = "workloads: [{workload: StatefulSet/db, app: {onSigterm: ignore}}]\ntimeline: [{at: 5m, scale: {workload: StatefulSet/db, replicas: 1}}, {at: 310s, \
                    scale: {workload: StatefulSet/db, replicas: 2}}]\n";
    let fields = "replicas: 2\n  persistentVolumeClaimRetentionPolicy: {whenScaled: Delete}";
    let mut run = Run::new(&format!("{SCENARIO}{timeline}"), &stateful_set(fields, DISK));
    let id = NamespacedName::new("default", "data-db-1");
    let created = |run: &Run| run.0.view().store().claim(&id).map(|claim| claim.meta.created);
    run.until(320);
    let before = created(&run).expect("the pod is still there");
    run.until(420);
    let after = created(&run).expect("the new pod has a claim");
    assert!(after > before, "the volume is another one");
    assert_eq!(pods(&run), ["db-0", "db-1"]);
}

#[test]
fn a_claim_in_use_goes_with_its_last_pod() {
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: work}\nspec: \
                 {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n---\n";
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: user}\nspec: {containers: [{name: c, image: \
               'c:1'}], volumes: [{name: v, persistentVolumeClaim: {claimName: work}}]}\n";
    let timeline = "timeline: [{at: 2m, delete: PersistentVolumeClaim/work}, {at: 5m, delete: \
                    Pod/user}]\n";
    let mut run = Run::new(&format!("{SCENARIO}{timeline}"), &format!("{claim}{pod}"));
    let listed = |run: &Run| {
        let snapshot = Snapshot { view: run.0.view() };
        views::get(snapshot, Kind::PersistentVolumeClaim, &Scope::default(), &Form::default())
    };
    run.until(60);
    assert!(listed(&run).contains("work   Bound"), "{}", listed(&run));
    run.until(180);
    assert!(listed(&run).contains("work   Terminating"), "{}", listed(&run));
    run.until(400);
    assert_eq!(claims(&run), [""; 0]);
}

#[test]
fn a_claim_that_is_too_large_for_its_namespace_is_refused_and_its_pod_is_not_created() {
    let limits = |item: &str| {
        format!(
            "apiVersion: v1\nkind: LimitRange\nmetadata: {{name: sizes}}\nspec: {{limits: [{{type: \
             PersistentVolumeClaim, {item}}}]}}\n---\n"
        )
    };
    let refused = |limits: &str| {
        let manifests = format!("{limits}{}", stateful_set("replicas: 1", DISK));
        let mut run = Run::new(SCENARIO, &manifests);
        run.until(60);
        assert_eq!((pods(&run), claims(&run)), (vec![], vec![]));
        let events = run.events("FailedCreate");
        events.into_iter().map(|(_, message)| message).take(2).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(
        refused(&limits("max: {storage: 5Gi}")),
        "create Claim data-db-0 for Pod db-0 in StatefulSet db failed error: persistentvolumeclaims \"data-db-0\" is forbidden: maximum storage usage per \
         PersistentVolumeClaim is 5Gi, but request is 10Gi\n\
         create Pod db-0 in StatefulSet db failed error: failed to create PVC data-db-0: \
         persistentvolumeclaims \"data-db-0\" is forbidden: maximum storage usage per \
         PersistentVolumeClaim is 5Gi, but request is 10Gi"
    );
    assert!(
        refused(&limits("min: {storage: 20Gi}")).contains(
            "minimum storage usage per PersistentVolumeClaim is 20Gi, but request is 10Gi"
        )
    );
}

#[test]
fn a_quota_counts_what_claims_ask_for_by_class_and_what_services_take() {
    let quota = |hard: &str| {
        format!(
            "apiVersion: v1\nkind: ResourceQuota\nmetadata: {{name: q}}\nspec: {{hard: {{{hard}}}}}\n---\n"
        )
    };
    let ran = |hard: &str, claim: &str| {
        let manifests = format!("{}{}", quota(hard), stateful_set("replicas: 3", claim));
        let mut run = Run::new(SCENARIO, &manifests);
        run.until(300);
        run
    };
    let run = ran("requests.storage: 25Gi", DISK);
    assert_eq!(claims(&run), ["data-db-0", "data-db-1"]);
    let why = run.events("FailedCreate").remove(0).1;
    let expected = "persistentvolumeclaims \"data-db-2\" is forbidden: exceeded quota: q, requested: \
                    requests.storage=10Gi, used: requests.storage=20Gi, limited: requests.storage=25Gi";
    assert!(why.contains(expected), "{why}");
    let fast = format!("{DISK}, storageClassName: fast");
    let of_class = "fast.storageclass.storage.k8s.io/persistentvolumeclaims: 1, \
                    slow.storageclass.storage.k8s.io/requests.storage: 1Gi, \
                    count/persistentvolumeclaims: 5";
    assert_eq!(claims(&ran(of_class, &fast)).len(), 1);
    assert_eq!(claims(&ran(of_class, DISK)).len(), 3, "another class");
}

#[test]
fn services_count_by_kind_and_by_what_they_take_of_nodes() {
    let service = |name: &str, kind: &str| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{type: {kind}, \
             ports: [{{name: a, port: 80}}, {{name: b, port: 81}}]}}\n"
        )
    };
    let quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q}\nspec: {hard: {services: 4, \
                 services.nodeports: 5, services.loadbalancers: 1, configmaps: 1}}\n";
    let services = [
        service("plain", "ClusterIP"),
        service("one", "LoadBalancer"),
        service("two", "LoadBalancer"),
        service("node", "NodePort"),
        service("more", "NodePort"),
    ];
    let map = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: own}\n";
    let mut run = Run::new(SCENARIO, &format!("{quota}{}{map}", services.concat()));
    run.until(10);
    let names: Vec<String> =
        run.0.view().store().services().values().map(|one| one.meta.name().to_string()).collect();
    assert_eq!(names, ["plain", "one", "node"]);
    let used = |resource: &str| {
        let view = run.0.view();
        let quota = view.store().quotas().values().next().expect("the quota");
        let all = view.store().quota_used(quota);
        all.iter().find(|one| *one.resource == *resource).map(|one| one.used.to_string())
    };
    assert_eq!(used("services.nodeports").as_deref(), Some("4"));
    assert_eq!(used("services.loadbalancers").as_deref(), Some("1"));
    assert_eq!(used("configmaps").as_deref(), Some("1"), "kube-root-ca.crt is in every namespace");
}

#[test]
fn pods_of_one_claim_stay_together_in_its_zone() {
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: work}\nspec: \
                 {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n---\n";
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 6\n  \
         selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    \
         spec:\n      containers: [{name: c, image: 'c:1'}]\n      volumes: [{name: v, \
         persistentVolumeClaim: {claimName: work}}]\n";
    let mut run = Run::new(SCENARIO, &format!("{claim}{deployment}"));
    run.until(60);
    let view = run.0.view();
    assert!(view.store().pods().values().all(|pod| pod.phase == PodPhase::Running));
    let names: Vec<String> =
        view.store().pods().values().map(|pod| pod.name().to_string()).collect();
    let zones: std::collections::BTreeSet<Option<String>> =
        names.iter().map(|name| zone_of(&run, name)).collect();
    assert_eq!(zones.len(), 1, "{zones:?}");
}

/// A claim by itself, of a class.
fn claim(name: &str, class: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: {name}}}, spec: {{storageClassName: {class}, {DISK}}}}}\n"
    )
}

/// A pod with a claim; `fields` are further ones of its spec.
fn pod_with(name: &str, claim: &str, fields: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: shared}}}}, spec: {{{fields} containers: \
         [{{name: a, image: a, resources: {{requests: {{cpu: 100m, memory: 64Mi}}}}}}], volumes: [{{name: v, \
         persistentVolumeClaim: {{claimName: {claim}}}}}]}}}}\n"
    )
}

fn class(name: &str, fields: &str) -> String {
    format!(
        "---\n{{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {{name: {name}}}, provisioner: ebs.csi.aws.com, {fields}}}\n"
    )
}

const IN_B: &str = "allowedTopologies: [{matchLabelExpressions: [{key: topology.ebs.csi.aws.com/zone, values: [b]}]}]";

#[test]
fn an_immediate_class_makes_volumes_before_any_pod_has_a_node_and_pods_follow_them() {
    let classes = class("now", "volumeBindingMode: Immediate");
    let manifests = [claim("one-0", "now"), claim("one-1", "now"), claim("one-2", "now"), classes];
    let mut run = Run::new(SCENARIO, &manifests.concat());
    run.until(10);
    // Claims that are numbered are spread over the zones.
    let mut zones: Vec<_> = ["one-0", "one-1", "one-2"].map(|one| claim_zone(&run, one)).to_vec();
    zones.sort();
    assert_eq!(zones, ["a", "b", "c"].map(|zone| Some(zone.to_owned())));
    // The API's default is Immediate.
    let manifests = class("plain", IN_B) + &claim("data", "plain") + &pod_with("db", "data", "");
    let mut run = Run::new(SCENARIO, &manifests);
    run.until(60);
    assert_eq!(claim_zone(&run, "data").as_deref(), Some("b"));
    assert_eq!(zone_of(&run, "db").as_deref(), Some("b"));
}

#[test]
fn a_class_says_in_which_zones_volumes_may_be() {
    let late = format!("volumeBindingMode: WaitForFirstConsumer, {IN_B}");
    let manifests = class("b", &late) + &claim("data", "b") + &pod_with("db", "data", "");
    let mut run = Run::new(SCENARIO, &manifests);
    run.until(60);
    assert_eq!(zone_of(&run, "db").as_deref(), Some("b"));
    let nowhere = manifests.replace("values: [b]", "values: [z]");
    let mut run = Run::new(SCENARIO, &nowhere);
    run.until(60);
    assert_eq!((zone_of(&run, "db"), claim_zone(&run, "data")), (None, None));
    let events = run.events("FailedScheduling");
    assert!(
        events[0].1.contains("3 node(s) didn't find available persistent volumes to bind"),
        "{events:?}"
    );
}

#[test]
fn a_volume_of_one_node_is_not_attached_to_another_before_it_is_free() {
    let apart = "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: \
         kubernetes.io/hostname, labelSelector: {matchLabels: {app: shared}}}]}},";
    let scenario = format!(
        "{}timeline: [{{at: 5m, delete: Pod/default/first}}]\n",
        SCENARIO.replace("zones: [a, b, c]", "zones: [a]")
    );
    let manifests = claim("data", "gp3")
        + &pod_with("first", "data", apart)
        + &pod_with("second", "data", apart);
    let mut run = Run::new(&scenario, &manifests);
    let phase = |run: &Run, name: &str| {
        let view = run.0.view();
        let id = NamespacedName::new("default", name.to_owned());
        view.store().pod_named(&id).map(|pod| view.store().pods()[pod].phase)
    };
    run.until(290);
    assert_eq!(phase(&run, "first"), Some(PodPhase::Running));
    assert_eq!(phase(&run, "second"), Some(PodPhase::Pending));
    let events = run.events("FailedAttachVolume");
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(events[0].1.starts_with("Multi-Attach error for volume \"pvc-"), "{events:?}");
    assert!(events[0].1.ends_with("Volume is already used by pod(s) first"), "{events:?}");
    run.until(360);
    assert_eq!(phase(&run, "second"), Some(PodPhase::Running));
    // A file system that many nodes may have is there for both.
    let shared = manifests.replace("ReadWriteOnce", "ReadWriteMany");
    let mut run = Run::new(&scenario, &shared);
    run.until(120);
    assert_eq!(phase(&run, "second"), Some(PodPhase::Running));
}
