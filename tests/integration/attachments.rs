//! Attaching of volumes: how long pods wait for it, what a lost node keeps, and how many volumes a node takes.

use crate::in_memory::Run;
use wavetank::cluster::NamespacedName;
use wavetank::cluster::attachment::AttachState;

/// Two nodes in one zone, and a StatefulSet with a claim for each of its pods.
fn run(fields: &str, replicas: u32, timeline: &str, more: &str) -> Run {
    let scenario = format!(
        "apiVersion: wavetank/v1\nkind: Scenario\nname: volumes\nduration: 2h\nmanifests: [manifests.yaml]\ncluster: \
         {{nodePools: [{{name: data, capacity: {{cpu: 8, memory: 32Gi}}, count: 2, zones: [a]{fields}}}]}}\nworkloads: \
         [{{workload: StatefulSet/db, app: {{imagePull: 1s, start: 1s}}}}]\ntiming: {{volumes: {{attach: 7s, detach: \
         11s}}}}\ntimeline: [{timeline}]\n"
    );
    let manifests = format!(
        "{{apiVersion: apps/v1, kind: StatefulSet, metadata: {{name: db}}, spec: {{serviceName: db, replicas: \
         {replicas}, podManagementPolicy: Parallel, selector: {{matchLabels: {{app: db}}}}, template: {{metadata: \
         {{labels: {{app: db}}}}, spec: {{containers: [{{name: db, image: 'db:1', resources: {{requests: {{cpu: 100m, \
         memory: 64Mi}}}}}}]}}}}, volumeClaimTemplates: [{{metadata: {{name: data}}, spec: {{accessModes: \
         [ReadWriteOnce], storageClassName: gp3, resources: {{requests: {{storage: 10Gi}}}}}}}}]}}}}\n{more}"
    );
    Run::new(&scenario, &manifests)
}

fn node_of(run: &Run, pod: &str) -> Option<String> {
    let store = run.0.view();
    let store = store.store();
    let id = store.pod_named(&NamespacedName::new("default", pod.to_owned()))?;
    Some(store.nodes().get(store.pods()[id].node?)?.meta.name().to_string())
}

fn is_ready(run: &Run, pod: &str) -> bool {
    let store = run.0.view();
    let store = store.store();
    let id = store.pod_named(&NamespacedName::new("default", pod.to_owned()));
    id.is_some_and(|id| store.pods()[id].is_ready())
}

/// The first second from `from` on at which a pod is ready.
fn ready_from(run: &mut Run, pod: &str, from: i64) -> i64 {
    (from..from + 1_000)
        .find(|second| {
            run.until(*second);
            is_ready(run, pod)
        })
        .expect("it gets ready")
}

#[test]
fn a_pod_waits_for_its_volume_and_for_the_report_of_its_kubelet() {
    let mut run = run("", 1, "", "");
    let ready = ready_from(&mut run, "db-0", 1);
    // Attaching takes 7 s; the kubelet mounts at its next report, within 10 s; pull and start take 2 s.
    assert!((9..=13).contains(&ready), "{ready}");
    let attached = run.events("SuccessfulAttachVolume");
    assert_eq!(attached.len(), 1);
    assert!(attached[0].1.starts_with("AttachVolume.Attach succeeded for volume \"pvc-"));
    let said = run.0.volumes_of(&NamespacedName::new("default", "db-0"));
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("attached to data-") && said[0].contains("waited 7"), "{said:?}");
}

#[test]
fn a_pod_that_moves_waits_until_its_volume_has_left_the_node_before() {
    let mut run = run("", 1, "", "");
    run.until(60);
    let first = node_of(&run, "db-0").expect("it runs");
    let mut run = self::run("", 1, &format!("{{at: 100s, drain: {first}}}"), "");
    let ready = ready_from(&mut run, "db-0", 105);
    assert_ne!(node_of(&run, "db-0").as_deref(), Some(&*first));
    // At most 10 s until the report, 11 s to detach, 7 s to attach, and what the pod itself takes.
    assert!((100 + 11 + 7..100 + 10 + 11 + 7 + 8).contains(&ready), "{ready}");
    assert_eq!(run.events("FailedAttachVolume").len(), 1);
    let why = run.events("FailedAttachVolume").remove(0).1;
    assert!(
        why.ends_with(
            "Volume is already exclusively attached to one node and can't be attached to another"
        ),
        "{why}"
    );
}

#[test]
fn a_volume_of_a_lost_node_is_detached_by_force_after_six_minutes_or_at_once_out_of_service() {
    let mut probe = run("", 1, "", "");
    probe.until(60);
    let first = node_of(&probe, "db-0").expect("it runs");
    let lost = format!("{{at: 100s, killNode: {first}}}");
    let deleted = format!("{lost}, {{at: 1000s, delete: Node/{first}}}");
    let mut forced = run("", 1, &deleted, "");
    // The pod is gone when the node's object is; 40 s later it is collected, and then the six minutes begin.
    let ready = ready_from(&mut forced, "db-0", 1_001);
    assert!((1_000 + 360 + 11 + 7..1_000 + 360 + 11 + 7 + 90).contains(&ready), "{ready}");
    let missed = forced.events("FailedMount");
    assert!(!missed.is_empty());
    assert_eq!(
        missed[0].1,
        "Unable to attach or mount volumes: unmounted volumes=[data-db-0], unattached volumes=[data-db-0], failed to process \
         volumes=[]: context deadline exceeded"
    );
    let out = format!("{lost}, {{at: 600s, outOfService: {first}}}");
    let mut run = run("", 1, &out, "");
    let ready = ready_from(&mut run, "db-0", 601);
    assert!(ready < 600 + 60, "{ready}");
}

#[test]
fn a_node_takes_no_more_volumes_than_its_limit() {
    let mut run = run(", attachLimit: 2", 5, "", "");
    run.until(60);
    let placed = (0..5).filter(|n| node_of(&run, &format!("db-{n}")).is_some()).count();
    assert_eq!(placed, 4);
    let why = run.events("FailedScheduling").pop().expect("one waits").1;
    assert!(
        why.starts_with("0/2 nodes are available: 2 node(s) exceed max volume count."),
        "{why}"
    );
    let store = run.0.view();
    let attached = |claim: &wavetank::cluster::claim::Claim| {
        claim.attachments.iter().any(|one| matches!(one.state, AttachState::Attached(_)))
    };
    assert_eq!(store.store().claims().values().filter(|claim| attached(claim)).count(), 4);
}

#[test]
fn a_csi_node_has_the_limit_of_its_own_node() {
    let node = |name: &str, count: u32| {
        format!(
            "---\n{{apiVersion: v1, kind: Node, metadata: {{name: {name}, labels: {{own: 'yes'}}}}, status: {{allocatable: \
             {{cpu: 8, memory: 32Gi, pods: 110}}}}}}\n---\n{{apiVersion: storage.k8s.io/v1, kind: CSINode, metadata: \
             {{name: {name}}}, spec: {{drivers: [{{name: ebs.csi.aws.com, nodeID: i-{name}, allocatable: {{count: \
             {count}}}}}]}}}}\n"
        )
    };
    let more = format!("{}{}", node("one", 1), node("three", 3));
    let mut run = run(", attachLimit: 0", 5, "", &more);
    run.until(60);
    let on = |name: &str| {
        (0..5).filter(|n| node_of(&run, &format!("db-{n}")).as_deref() == Some(name)).count()
    };
    assert_eq!((on("one"), on("three"), on("data-1") + on("data-2")), (1, 3, 0));
}
