//! Objects come back as they are: what `kubectl get -o yaml` prints of a simulated cluster is a valid manifest, and
//! applying it changes nothing.
#![expect(clippy::disallowed_methods, reason = "a test lists the scenarios")]

use std::path::Path;

use serde_json::{Value, json};
use wavetank::Scenario;
use wavetank::cluster::{Kind, NamespacedName, ObjectReference, Verbs};
use wavetank::engine::{SimDuration, SimTime};
use wavetank::faults::{ImageChange, PatchChange, ScaleChange, TimelineAction};
use wavetank::manifest::{Severity, Source, load};
use wavetank::record::LogLine;
use wavetank::sim::{Simulation, World};
use wavetank::views::{self, Scope};

fn all_objects(simulation: &Simulation) -> Vec<Value> {
    let kinds = Kind::with(Verbs::GET);
    kinds.flat_map(|kind| views::objects(simulation.view(), kind, &Scope::default())).collect()
}

fn as_list(objects: &[Value]) -> Source {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    Source::new("printed.json", list.to_string())
}

/// What is printed at some instant is valid, and applied again changes no object, not even its version.
fn comes_back(simulation: &mut Simulation, name: &str) -> usize {
    let printed = all_objects(simulation);
    let source = as_list(&printed);
    let loaded = load(std::slice::from_ref(&source));
    let errors: Vec<String> = loaded
        .diagnostics
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .map(ToString::to_string)
        .collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}");
    let lines = simulation.recorder().log.len();
    simulation.apply(&[source]).unwrap_or_else(|problems| panic!("{name}: {problems}"));
    let after = all_objects(simulation);
    for (one, other) in printed.iter().zip(&after) {
        assert_eq!(one, other, "{name}: {} {}", one["kind"], one["metadata"]["name"]);
    }
    assert_eq!(printed.len(), after.len());
    let said: Vec<String> = simulation.recorder().log[lines..]
        .iter()
        .map(|line| format!("{} {}: {} {}", line.kind, line.object, line.reason, line.message))
        .collect();
    assert!(said.is_empty(), "{name}: {said:#?}");
    printed.len()
}

#[test]
fn what_is_printed_of_every_scenario_is_valid_and_applied_again_changes_nothing() {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut count = 0;
    for entry in std::fs::read_dir(scenarios).expect("the scenarios").flatten() {
        let file = entry.path().join("scenario.yaml");
        if !file.exists() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let scenario = Scenario::load(&file.to_string_lossy())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut run = scenario.simulation(1).unwrap_or_else(|error| panic!("{name}: {error}"));
        for minutes in [2, 11] {
            run.run_until(SimTime::from_secs(minutes * 60));
            count += comes_back(run.simulation_mut(), &name);
        }
    }
    assert!(count > 500, "{count} objects");
}

/// One object of every kind that can be written, as plain as it can be.
const ONE_OF_EACH: &str = "
{apiVersion: v1, kind: Node, metadata: {name: a}, status: {allocatable: {cpu: 4, memory: 8Gi, pods: 110}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: team}}
---
{apiVersion: karpenter.sh/v1, kind: NodePool, metadata: {name: one}, spec: {template: {spec: {requirements: [], nodeClassRef: {group: karpenter.k8s.aws, kind: EC2NodeClass, name: one}}}}}
---
{apiVersion: karpenter.k8s.aws/v1, kind: EC2NodeClass, metadata: {name: one}, spec: {role: one, amiSelectorTerms: [{alias: al2023@latest}]}}
---
{apiVersion: karpenter.kwok.sh/v1alpha1, kind: KWOKNodeClass, metadata: {name: one}}
---
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: high}, value: 10}
---
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: fast}, provisioner: example.com/disk}
---
{apiVersion: storage.k8s.io/v1, kind: CSINode, metadata: {name: a}, spec: {drivers: [{name: disk.example.com, nodeID: a, allocatable: {count: 20}}]}}
---
{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: nginx}, spec: {controller: k8s.io/ingress-nginx}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: one}, data: {a: b}}
---
{apiVersion: v1, kind: Secret, metadata: {name: one}, stringData: {a: b}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: one}}
---
{apiVersion: v1, kind: ResourceQuota, metadata: {name: one}, spec: {hard: {pods: '50'}}}
---
{apiVersion: v1, kind: LimitRange, metadata: {name: one}, spec: {limits: [{type: Container, default: {cpu: 100m}}]}}
---
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: one},
 spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}
---
{apiVersion: v1, kind: PersistentVolume, metadata: {name: one}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce],
 storageClassName: manual, hostPath: {path: /data}}}
---
{apiVersion: v1, kind: Service, metadata: {name: one}, spec: {selector: {app: one}, ports: [{port: 80}]}}
---
{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: one}, spec: {rules: [{host: a.example.com, http:
 {paths: [{path: /, pathType: Prefix, backend: {service: {name: one, port: {number: 80}}}}]}}]}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: one}, spec: {hostnames: [b.example.com]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: one}, spec: {podSelector: {}, ingress: [{}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: one}, spec: {containers: [{name: c, image: 'c:1'}]}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: one}, spec: {replicas: 2, selector: {matchLabels: {app: one}},
 template: {metadata: {labels: {app: one}}, spec: {containers: [{name: c, image: 'c:1', command: [serve]}]}}}}
---
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: one}, spec: {replicas: 2, selector: {matchLabels: {app: rs}},
 template: {metadata: {labels: {app: rs}}, spec: {containers: [{name: c, image: 'c:1'}]}}}}
---
{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: one}, spec: {replicas: 2, serviceName: one, selector:
 {matchLabels: {app: sts}}, template: {metadata: {labels: {app: sts}}, spec: {containers: [{name: c, image: 'c:1'}]}}}}
---
{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: one}, spec: {selector: {matchLabels: {app: ds}},
 template: {metadata: {labels: {app: ds}}, spec: {containers: [{name: c, image: 'c:1'}]}}}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: one}, spec: {template: {spec: {restartPolicy: Never, containers:
 [{name: c, image: 'c:1'}]}}}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: one}, spec: {schedule: '0 0 1 1 *', jobTemplate: {spec: {template:
 {spec: {restartPolicy: Never, containers: [{name: c, image: 'c:1'}]}}}}}}
---
{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: one}, spec: {maxUnavailable: 1, selector:
 {matchLabels: {app: one}}}}
---
{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: one}, spec: {minReplicas: 2, maxReplicas: 4,
 scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: one}}}
---
{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {name: one}, spec: {scaleTargetRef: {kind: StatefulSet,
 name: one}, minReplicaCount: 2, maxReplicaCount: 4, triggers: [{type: cron, metadata: {timezone: UTC, start: 0 8 * * *, end:
 0 9 * * *, desiredReplicas: '3'}}]}}
---
{apiVersion: autoscaling.k8s.io/v1, kind: VerticalPodAutoscaler, metadata: {name: one}, spec: {targetRef: {apiVersion:
 apps/v1, kind: StatefulSet, name: one}, updatePolicy: {updateMode: 'Off'}}}
---
{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: one}, spec: {replicas: 2, selector: {matchLabels: {app: ro}},
 strategy: {canary: {steps: [{setWeight: 50}]}}, template: {metadata: {labels: {app: ro}}, spec: {containers: [{name: c, image:
 'c:1'}]}}}}
---
{apiVersion: argoproj.io/v1alpha1, kind: AnalysisTemplate, metadata: {name: one}, spec: {metrics: [{name: m, successCondition:
 'result[0] > 0.9', provider: {prometheus: {query: success}}}]}}
---
{apiVersion: argoproj.io/v1alpha1, kind: ClusterAnalysisTemplate, metadata: {name: one}, spec: {metrics: [{name: m,
 successCondition: 'result[0] > 0.9', provider: {prometheus: {query: success}}}]}}
---
{apiVersion: keda.sh/v1alpha1, kind: ScaledJob, metadata: {name: one}, spec: {jobTargetRef: {template: {spec: {restartPolicy: Never,
 containers: [{name: c, image: 'c:1'}]}}}, triggers: [{type: prometheus, metadata: {serverAddress: 'http://p', query: q, threshold:
 '1'}}]}}
---
{apiVersion: kueue.x-k8s.io/v1beta1, kind: ResourceFlavor, metadata: {name: one}}
---
{apiVersion: kueue.x-k8s.io/v1beta1, kind: ClusterQueue, metadata: {name: one}, spec: {namespaceSelector: {}, resourceGroups:
 [{coveredResources: [cpu], flavors: [{name: one, resources: [{name: cpu, nominalQuota: 9}]}]}]}}
---
{apiVersion: kueue.x-k8s.io/v1beta1, kind: LocalQueue, metadata: {name: one, namespace: default}, spec: {clusterQueue: one}}
---
{apiVersion: kueue.x-k8s.io/v1beta1, kind: WorkloadPriorityClass, metadata: {name: one}, value: 9}
---
{apiVersion: autoscaling.internal.knative.dev/v1alpha1, kind: PodAutoscaler, metadata: {name: one}, spec: {scaleTargetRef:
 {apiVersion: apps/v1, kind: Deployment, name: none}}}
";

fn one_of_each() -> Simulation {
    let world = World::new(1, SimDuration::from_secs(600));
    let source = Source::new("one-of-each.yaml", ONE_OF_EACH);
    let mut simulation = Simulation::new(
        world.with_manifests(&[source]).unwrap_or_else(|problems| panic!("{problems}")),
    );
    simulation.run_until(SimTime::from_secs(60));
    simulation
}

/// The object of a kind that [`ONE_OF_EACH`] has.
fn the(simulation: &Simulation, kind: Kind) -> (ObjectReference, Value) {
    let all = views::objects(simulation.view(), kind, &Scope::default());
    let names = ["one", "a", "team", "high", "fast", "nginx"];
    let is_it = |object: &Value| names.iter().any(|name| object["metadata"]["name"] == *name);
    let found = all.into_iter().find(is_it).unwrap_or_else(|| panic!("there is a {kind}"));
    let text = |field: &str| found["metadata"][field].as_str().unwrap_or_default().to_owned();
    (ObjectReference::new(kind, text("namespace"), text("name")), found)
}

/// Changes the object of a kind in a run of its own; what it is then.
fn changed(kind: Kind, action: impl FnOnce(ObjectReference) -> TimelineAction) -> Value {
    let mut simulation = one_of_each();
    let object = the(&simulation, kind).0;
    let lines = simulation.recorder().log.len();
    simulation.intervene(&action(object));
    let warns = |line: &&LogLine| line.is_warning && line.actor == "user";
    let warning = simulation.recorder().log[lines..].iter().find(warns);
    assert!(warning.is_none(), "{kind}: {warning:?}");
    the(&simulation, kind).1
}

fn template(kind: Kind, object: &Value) -> &Value {
    match kind {
        Kind::CronJob => &object["spec"]["jobTemplate"]["spec"]["template"],
        Kind::ScaledJob => &object["spec"]["jobTargetRef"]["template"],
        _ => &object["spec"]["template"],
    }
}

#[test]
fn every_verb_does_its_work_on_every_kind_that_it_knows() {
    for kind in Kind::with(Verbs::PATCH) {
        let patch = json!({"metadata": {"annotations": {"team": "blue"}}});
        let now = changed(kind, |workload| TimelineAction::Patch(PatchChange { workload, patch }));
        assert_eq!(now["metadata"]["annotations"]["team"], "blue", "{kind}");
    }
    for kind in Kind::with(Verbs::SCALE) {
        let now =
            changed(kind, |workload| TimelineAction::Scale(ScaleChange { workload, replicas: 3 }));
        assert_eq!(now["spec"]["replicas"], 3, "{kind}");
    }
    for kind in Kind::with(Verbs::SET_IMAGE) {
        let now = changed(kind, |workload| {
            let (container, image) = (None, "c:2".into());
            TimelineAction::SetImage(ImageChange { workload, container, image })
        });
        assert_eq!(template(kind, &now)["spec"]["containers"][0]["image"], "c:2", "{kind}");
    }
    for kind in Kind::with(Verbs::ROLLOUT) {
        let now = changed(kind, TimelineAction::RestartRollout);
        if kind == Kind::Rollout {
            assert!(now["spec"]["restartAt"].is_string(), "{now}");
            continue;
        }
        let at =
            &template(kind, &now)["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"];
        assert!(at.is_string(), "{kind}: {now}");
    }
    for kind in Kind::with(Verbs::PAUSE) {
        assert_eq!(changed(kind, TimelineAction::PauseRollout)["spec"]["paused"], true, "{kind}");
    }
    let simulation = one_of_each();
    for kind in Kind::with(Verbs::EXPLAIN) {
        assert_eq!(
            simulation.autoscalers(kind).iter().filter(|one| *one.id.name == *"one").count(),
            1
        );
    }
    for kind in Kind::with(Verbs::DELETE) {
        let mut simulation = one_of_each();
        let object = the(&simulation, kind).0;
        simulation.intervene(&TimelineAction::Delete(object.clone()));
        simulation.run_until(SimTime::from_secs(120));
        let left = simulation.view().store().object_named(kind, &object.id);
        assert!(left.is_none(), "{object} is deleted");
    }
}

#[test]
fn a_change_of_a_field_that_is_not_simulated_starts_a_rollout_and_comes_back() {
    let mut simulation = one_of_each();
    let (workload, before) = the(&simulation, Kind::Deployment);
    let sets = |simulation: &Simulation| {
        let sets = simulation.view().store().replica_sets().values();
        sets.filter(|set| set.owner.is_some_and(|owner| owner.deployment().is_some())).count()
    };
    assert_eq!(
        template(Kind::Deployment, &before)["spec"]["containers"][0]["command"],
        json!(["serve"])
    );
    assert_eq!(sets(&simulation), 1);
    let patch = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "c", "image": "c:1", "command": ["serve", "--fast"]},
    ]}}}});
    simulation.intervene(&TimelineAction::Patch(PatchChange { workload, patch }));
    simulation.run_until(SimTime::from_secs(120));
    let now = the(&simulation, Kind::Deployment).1;
    assert_eq!(
        template(Kind::Deployment, &now)["spec"]["containers"][0]["command"],
        json!(["serve", "--fast"])
    );
    assert_eq!(now["metadata"]["generation"], 2);
    assert_eq!(sets(&simulation), 2);
    let pods = views::objects(simulation.view(), Kind::Pod, &Scope::default());
    let fast = pods.iter().filter(|pod| pod["spec"]["containers"][0]["command"][1] == "--fast");
    assert_eq!(fast.count(), 2);
}

#[test]
fn the_revisions_of_sets_differ_by_fields_that_are_not_simulated_too() {
    for kind in [Kind::StatefulSet, Kind::DaemonSet] {
        let mut simulation = one_of_each();
        let workload = the(&simulation, kind).0;
        let patch = json!({"spec": {"template": {"spec": {"containers": [
            {"name": "c", "image": "c:1", "command": ["serve"]},
        ]}}}});
        simulation.intervene(&TimelineAction::Patch(PatchChange { workload, patch }));
        simulation.run_until(SimTime::from_secs(240));
        let pods = views::objects(simulation.view(), Kind::Pod, &Scope::default());
        let is_own = |pod: &&Value| pod["metadata"]["ownerReferences"][0]["kind"] == kind.name();
        let own: Vec<&Value> = pods.iter().filter(is_own).collect();
        let is_new = |pod: &&Value| pod["spec"]["containers"][0]["command"] == json!(["serve"]);
        assert!(!own.is_empty() && own.iter().all(is_new), "{kind}: {own:?}");
    }
}

#[test]
fn a_job_of_a_cron_job_has_all_fields_that_its_template_has() {
    let cron_job = "{apiVersion: batch/v1, kind: CronJob, metadata: {name: nightly}, spec: {schedule: '* * * * *', \
                    jobTemplate: {spec: {ttlSecondsAfterFinished: 600, template: {spec: {restartPolicy: Never, \
                    containers: [{name: c, image: 'c:1', command: [sleep], env: [{name: A, value: b}]}]}}}}}}";
    let source = Source::new("nightly.yaml", cron_job);
    let world = World::new(1, SimDuration::from_secs(600)).with_manifests(&[source]);
    let mut simulation = Simulation::new(world.expect("a sound manifest"));
    simulation.run_until(SimTime::from_secs(90));
    let jobs = views::objects(simulation.view(), Kind::Job, &Scope::default());
    let [cron_job] = &views::objects(simulation.view(), Kind::CronJob, &Scope::default())[..]
    else {
        panic!("one CronJob");
    };
    assert_eq!(jobs[0]["spec"], cron_job["spec"]["jobTemplate"]["spec"]);
    assert!(comes_back(&mut simulation, "nightly") > jobs.len());
}

#[test]
fn a_patch_cannot_make_an_object_another_one() {
    for patch in [json!({"metadata": {"name": "two"}}), json!({"metadata": {"namespace": "other"}})]
    {
        let mut simulation = one_of_each();
        let (workload, before) = the(&simulation, Kind::ConfigMap);
        let count = all_objects(&simulation).len();
        simulation.intervene(&TimelineAction::Patch(PatchChange { workload, patch }));
        assert_eq!(the(&simulation, Kind::ConfigMap).1, before);
        assert_eq!(all_objects(&simulation).len(), count);
        let said = &simulation.recorder().log.last().expect("a refusal").message;
        assert!(said.contains("ConfigMap/default/one cannot become "), "{said}");
    }
}

#[test]
fn what_is_applied_later_may_refer_to_what_is_there() {
    let mut simulation = one_of_each();
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: late}, spec: {priorityClassName: high, \
               containers: [{name: c, image: 'c:1'}]}}";
    simulation.apply(&[Source::new("late.yaml", pod)]).expect("the class is in the cluster");
    let late = simulation.view().pod_named(&NamespacedName::new("default", "late")).expect("a pod");
    let store = simulation.view().store();
    assert_eq!(store.template_of(&store.pods()[late]).spec.priority, Some(10));
}

#[test]
fn one_config_map_more_changes_no_uid_of_a_pod() {
    let uids = |more: &str| {
        let manifests = format!("{more}{ONE_OF_EACH}");
        let world = World::new(1, SimDuration::from_secs(60));
        let world = world.with_manifests(&[Source::new("all.yaml", manifests)]).expect("right");
        let mut simulation = Simulation::new(world);
        simulation.run_until(SimTime::from_secs(60));
        let pods = simulation.view().store().pods().values();
        pods.map(|pod| (pod.name().to_string(), pod.uid)).collect::<Vec<_>>()
    };
    let more = "{apiVersion: v1, kind: ConfigMap, metadata: {name: more}}\n---\n\
                {apiVersion: v1, kind: Namespace, metadata: {name: more}}\n---\n";
    assert_eq!(uids(""), uids(more));
}
