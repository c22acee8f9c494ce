//! PersistentVolumes of the manifests in whole runs: which node their pods get, and who waits for lack of one.

use crate::in_memory::Run;
use wavetank::cluster::{Kind, NamespacedName};
use wavetank::manifest::Source;
use wavetank::record::LogLine;
use wavetank::views::{self, Form, Scope, Snapshot};

const SCENARIO: &str = "apiVersion: wavetank/v1
kind: Scenario
name: volumes
duration: 1h
manifests: [manifests.yaml]
cluster: {nodePools: [{name: data, instanceType: aws/m5.large, count: 3, zones: [a, b, c]}]}
";

const LOCAL: &str = "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: local}\n\
                     provisioner: kubernetes.io/no-provisioner\nvolumeBindingMode: WaitForFirstConsumer\n";

fn volume(name: &str, size: &str, class: &str, more: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {name}}}\nspec: {{capacity: {{storage: {size}}}, \
         accessModes: [ReadWriteOnce], storageClassName: '{class}', hostPath: {{path: /data}}{more}}}\n"
    )
}

/// Node affinity for one node.
fn at_node(name: &str) -> String {
    format!(
        ", nodeAffinity: {{required: {{nodeSelectorTerms: [{{matchExpressions: [{{key: kubernetes.io/hostname, \
         operator: In, values: [{name}]}}]}}]}}}}"
    )
}

/// A claim, and a pod that has it.
fn pod(name: &str, size: &str, class: &str, more: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}}}\nspec: {{accessModes: [ReadWriteOnce], \
         storageClassName: '{class}', resources: {{requests: {{storage: {size}}}}}{more}}}\n---\n\
         apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: a, image: a}}], volumes: \
         [{{name: v, persistentVolumeClaim: {{claimName: {name}}}}}]}}\n"
    )
}

fn node_of(run: &Run, pod: &str) -> Option<String> {
    let view = run.0.view();
    let pod = view.store().pod_named(&NamespacedName::new("default", pod.to_owned()))?;
    let node = view.store().pods()[pod].node?;
    Some(view.store().nodes().get(node)?.meta.name().to_string())
}

fn listed(run: &Run, kind: Kind) -> String {
    let snapshot = Snapshot { view: run.0.view() };
    views::get(snapshot, kind, &Scope::default(), &Form::default())
}

/// The last reason why a pod waits, as the scheduler says.
fn why(run: &Run, pod: &str) -> String {
    let of_pod = |line: &&LogLine| line.reason == "FailedScheduling" && *line.object.name == *pod;
    let last = run.0.recorder().log.iter().rfind(of_pod);
    last.map_or_else(String::new, |line| line.message.clone())
}

#[test]
fn a_pod_goes_to_the_node_of_its_local_volume_and_the_next_one_waits() {
    let manifests = [
        LOCAL.to_owned(),
        volume("on-2", "10Gi", "local", &at_node("data-2")),
        pod("first", "5Gi", "local", ""),
        pod("second", "5Gi", "local", ""),
    ];
    let mut run = Run::new(SCENARIO, &manifests.concat());
    run.until(120);
    let nodes = [node_of(&run, "first"), node_of(&run, "second")];
    assert_eq!(nodes.iter().flatten().collect::<Vec<_>>(), ["data-2"], "one has it, one waits");
    let waiting = if nodes[0].is_none() { "first" } else { "second" };
    let reason = why(&run, waiting);
    assert!(
        reason.contains("3 node(s) didn't find available persistent volumes to bind"),
        "{reason}"
    );
    let volumes = listed(&run, Kind::PersistentVolume);
    assert!(volumes.contains("on-2") && volumes.contains("Bound"), "{volumes}");
    let claims = listed(&run, Kind::PersistentVolumeClaim);
    assert!(claims.contains("on-2") && claims.contains("10Gi"), "the volume's size: {claims}");
}

#[test]
fn a_claim_that_no_volume_fits_waits_and_goes_on_when_one_comes() {
    let mut run = Run::new(SCENARIO, &pod("web", "5Gi", "", ""));
    run.until(60);
    assert_eq!(node_of(&run, "web"), None);
    let reason = why(&run, "web");
    assert!(reason.contains("pod has unbound immediate PersistentVolumeClaims"), "{reason}");
    let late = Source::new("late.yaml", volume("late", "5Gi", "", ""));
    run.0.apply(&[late]).expect("it is taken");
    run.until(120);
    assert!(node_of(&run, "web").is_some(), "{}", why(&run, "web"));
}

#[test]
fn a_volume_with_the_label_of_a_zone_keeps_its_pod_there() {
    let zoned = volume("disk", "5Gi", "manual", "").replace(
        "metadata: {name: disk}",
        "metadata: {name: disk, labels: {topology.kubernetes.io/zone: c}}",
    );
    let mut run = Run::new(SCENARIO, &format!("{zoned}{}", pod("web", "5Gi", "manual", "")));
    run.until(60);
    assert_eq!(node_of(&run, "web").as_deref(), Some("data-3"));
}

#[test]
fn a_selector_a_name_and_a_claim_ref_choose_the_volume() {
    let labelled = volume("blue", "5Gi", "manual", &at_node("data-1"))
        .replace("metadata: {name: blue}", "metadata: {name: blue, labels: {color: blue}}");
    let kept = volume(
        "kept",
        "5Gi",
        "manual",
        &(at_node("data-2") + ", claimRef: {namespace: default, name: mine}"),
    );
    let manifests = [
        labelled,
        kept,
        volume("named", "50Gi", "manual", &at_node("data-3")),
        pod("chooses", "5Gi", "manual", ", selector: {matchLabels: {color: blue}}"),
        pod("mine", "1Gi", "manual", ""),
        pod("names", "1Gi", "manual", ", volumeName: named"),
    ];
    let mut run = Run::new(SCENARIO, &manifests.concat());
    run.until(60);
    for (pod, node) in [("chooses", "data-1"), ("mine", "data-2"), ("names", "data-3")] {
        assert_eq!(node_of(&run, pod).as_deref(), Some(node), "{pod}: {}", why(&run, pod));
    }
}

#[test]
fn a_class_with_a_provisioner_makes_what_is_not_there() {
    let class = LOCAL.replace("kubernetes.io/no-provisioner", "ebs.csi.aws.com");
    let manifests = [
        class,
        volume("small", "1Gi", "local", &at_node("data-2")),
        pod("fits", "1Gi", "local", ""),
        pod("large", "20Gi", "local", ""),
    ];
    let mut run = Run::new(SCENARIO, &manifests.concat());
    run.until(60);
    assert!(node_of(&run, "fits").is_some() && node_of(&run, "large").is_some());
    let volumes = listed(&run, Kind::PersistentVolume);
    assert!(volumes.contains("20Gi"), "{volumes}");
}

#[test]
fn a_volume_that_is_mounted_directly_serves_pods_on_several_nodes() {
    let apart = "affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: \
         kubernetes.io/hostname, labelSelector: {matchLabels: {app: a}}}]}}, containers";
    let first = pod("first", "1Gi", "shared", "")
        .replace(
            "{name: first}\nspec: {containers",
            "{name: first, labels: {app: a}}\nspec: {containers",
        )
        .replace("containers", apart);
    let second = first.rsplit_once("---").expect("a claim and a pod").1;
    let second = second.replace("name: first,", "name: second,");
    let running = |source: &str| {
        let disk = volume("disk", "1Gi", "shared", "").replace("hostPath: {path: /data}", source);
        let mut run = Run::new(SCENARIO, &format!("{disk}{first}---{second}"));
        run.until(120);
        listed(&run, Kind::Pod).matches("Running").count()
    };
    assert_eq!(running("hostPath: {path: /data}"), 2);
    assert_eq!(running("nfs: {server: files, path: /data}"), 2);
    assert_eq!(running("csi: {driver: ebs.csi.aws.com, volumeHandle: disk}"), 1);
}
