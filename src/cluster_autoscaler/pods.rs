//! Pods as the autoscaler sees them: derived facts of a pod and of its template.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_json::Value;

use cluster::pod::{Owner, Pod, PodId, PodPhase};
use cluster::pod_resources::pod_requests;
use cluster::pod_template::{PodTemplate, ResourceList, RestartPolicy, TemplateId};
use cluster::{ClusterView, Kind, Labels, Name, NamespacedName};
use engine::{SimDuration, SimTime};
use scheduler::node_info::ClassId;

/// Annotation of DaemonSet pods that have another controller.
const DAEMON_SET_POD_ANNOTATION: &str = "cluster-autoscaler.kubernetes.io/daemonset-pod";
/// Annotation of mirror pods, which a kubelet creates for static pods (`ConfigMirrorAnnotationKey`).
const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";
/// Annotation with the source of a pod (`ConfigSourceAnnotationKey`).
const SOURCE_ANNOTATION: &str = "kubernetes.io/config.source";
/// A pod that is still there this long after its grace period is ignored (`PodLongTerminatingExtraThreshold`).
const LONG_TERMINATING: SimDuration = SimDuration::from_secs(30);

/// The controller of a pod (`metav1.GetControllerOf`). Compared by all fields.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Controller {
    /// Its kind, in any API group.
    pub kind: Name,
    /// Its namespace and name.
    pub id: NamespacedName,
    /// The object, if its kind is simulated and it exists.
    pub owner: Option<Owner>,
}

/// Facts common to all pods of a template.
#[derive(Debug)]
pub struct TemplateFacts {
    /// The template.
    pub template: PodTemplate,
    /// Requests of a pod (`PodRequests`).
    pub requests: ResourceList,
    /// Local volumes (`hostPath`, and `emptyDir` on disk), by name.
    pub local_volumes: Vec<Name>,
    /// The controller from the pod's own `ownerReferences`.
    written_controller: Option<(Name, Name)>,
}

impl TemplateFacts {
    /// The facts of a template.
    pub fn new(template: PodTemplate) -> Self {
        let document = template.document.get().unwrap_or(&Value::Null);
        let volumes = document["spec"]["volumes"].as_array().into_iter().flatten();
        let local_volumes = volumes
            .filter(|volume| is_local(volume))
            .filter_map(|volume| volume["name"].as_str().map(Name::from));
        let local_volumes = local_volumes.collect();
        let references = document["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        let mut controllers = references.filter(|one| one["controller"] == Value::Bool(true));
        let text = |value: &Value| value.as_str().map(Name::from);
        let written_controller =
            controllers.next().and_then(|one| Some((text(&one["kind"])?, text(&one["name"])?)));
        Self { requests: pod_requests(&template.spec), local_volumes, written_controller, template }
    }
}

/// True if the data of a volume are lost with its node (`isLocalVolume`).
fn is_local(volume: &Value) -> bool {
    let on_disk = |directory: &Value| directory["medium"].as_str() != Some("Memory");
    volume.get("hostPath").is_some_and(|path| !path.is_null())
        || volume
            .get("emptyDir")
            .is_some_and(|directory| !directory.is_null() && on_disk(directory))
}

/// A pod.
#[derive(Clone, Debug)]
pub struct PodInfo {
    /// Its id in the store, or one that is unused there.
    pub id: PodId,
    /// Namespace and name.
    pub name: NamespacedName,
    /// The facts that it shares with others of its template.
    pub facts: Arc<TemplateFacts>,
    /// Its class in the scheduler's cache.
    pub class: ClassId,
    /// Labels.
    pub labels: Labels,
    /// Annotations.
    pub annotations: Labels,
    /// Its controller.
    pub controller: Option<Controller>,
    /// When it was created.
    pub created: SimTime,
    /// `status.phase`.
    pub phase: PodPhase,
    /// `deletionTimestamp`, if it is terminating.
    pub deletion: Option<SimTime>,
}

impl PodInfo {
    /// True if it belongs to a DaemonSet (`IsDaemonSetPod`).
    pub(crate) fn is_daemon_set_pod(&self) -> bool {
        self.controller.as_ref().is_some_and(|one| *one.kind == *"DaemonSet")
            || self.has_annotation(DAEMON_SET_POD_ANNOTATION, "true")
    }

    /// True if it is the mirror of a static pod (`IsMirrorPod`).
    pub(crate) fn is_mirror(&self) -> bool {
        self.annotations.contains_key(MIRROR_ANNOTATION)
    }

    /// True if a controller recreates it elsewhere after an eviction (`FilterRecreatablePods`).
    pub(crate) fn is_recreatable(&self) -> bool {
        let is_static =
            self.annotations.get(SOURCE_ANNOTATION).is_some_and(|from| **from != *"api");
        !(is_static || self.is_mirror() || self.is_daemon_set_pod())
    }

    /// `spec.priority`; absent counts as 0, except by `is_expendable`.
    pub fn priority(&self) -> Option<i32> {
        self.facts.template.spec.priority
    }

    /// True if its priority is below the cutoff, so that it neither triggers scale-ups nor prevents removals
    /// (`IsExpendablePod`).
    pub(crate) fn is_expendable(&self, cutoff: i64) -> bool {
        self.priority().is_some_and(|priority| i64::from(priority) < cutoff)
    }

    /// Whether an annotation has this value.
    pub(crate) fn has_annotation(&self, key: &str, value: &str) -> bool {
        self.annotations.get(key).is_some_and(|own| **own == *value)
    }

    /// True if it has finished (`IsPodTerminal`).
    pub fn is_terminal(&self) -> bool {
        let restarts = self.facts.template.spec.restart_policy;
        match self.phase {
            PodPhase::Failed => true,
            PodPhase::Succeeded => restarts != RestartPolicy::Always,
            _ => false,
        }
    }

    /// True if it should have terminated long ago (`IsPodLongTerminating`).
    pub(crate) fn is_long_terminating(&self, now: SimTime) -> bool {
        let grace = self.facts.template.spec.termination_grace_period;
        self.deletion.is_some_and(|deadline| deadline + grace + LONG_TERMINATING < now)
    }

    /// True if the pod is as the other was, whatever of it changed that the autoscaler does not read: a condition, say.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        let Self {
            id,
            name,
            facts,
            class,
            labels,
            annotations,
            controller,
            created,
            phase,
            deletion,
        } = self;
        Arc::ptr_eq(facts, &other.facts)
            && (*id, *class, *created, *phase, *deletion)
                == (other.id, other.class, other.created, other.phase, other.deletion)
            && (name, labels, annotations, controller)
                == (&other.name, &other.labels, &other.annotations, &other.controller)
    }

    /// True if the scheduler treats both the same: equal labels and spec (`PodSpecSemanticallyEqual`).
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.labels == other.labels
            && (self.class == other.class
                || self.facts.template.spec == other.facts.template.spec
                    && self.facts.local_volumes == other.facts.local_volumes)
    }
}

/// Facts of templates, cached for the autoscaler's lifetime.
#[derive(Clone, Debug, Default)]
pub struct TemplateCache {
    /// Only ever looked up, never iterated.
    facts: FxHashMap<TemplateId, Arc<TemplateFacts>>,
}

impl TemplateCache {
    /// The facts of a template in the store.
    pub fn facts(&mut self, view: ClusterView<'_>, id: TemplateId) -> Arc<TemplateFacts> {
        let facts = self.facts.entry(id);
        let made = || Arc::new(TemplateFacts::new(view.store().templates()[id].clone()));
        Arc::clone(facts.or_insert_with(made))
    }

    /// A pod in the store; `class` is its class.
    pub fn pod(&mut self, view: ClusterView<'_>, id: PodId, pod: &Pod, class: ClassId) -> PodInfo {
        let facts = self.facts(view, pod.reserved());
        let store = view.store();
        PodInfo {
            id,
            name: pod.id.clone(),
            controller: controller_of(view, pod, &facts),
            class,
            labels: store.labels_of(pod).clone(),
            annotations: store.annotations_of(pod).clone(),
            created: pod.created,
            phase: pod.phase,
            deletion: pod.deletion.map(|deletion| deletion.deadline),
            facts,
        }
    }
}

fn controller_of(view: ClusterView<'_>, pod: &Pod, facts: &TemplateFacts) -> Option<Controller> {
    let Some(owner) = pod.owner else {
        let (kind, name) = facts.written_controller.clone()?;
        let id = NamespacedName::new(pod.id.namespace.clone(), name);
        return Some(Controller { kind, id, owner: None });
    };
    let kind = match owner {
        Owner::ReplicaSet(_) => Kind::ReplicaSet,
        Owner::StatefulSet(_) => Kind::StatefulSet,
        Owner::DaemonSet(_) => Kind::DaemonSet,
        Owner::Job(_) => Kind::Job,
    };
    let known = view.store().identity_of(owner);
    let id = known.map_or_else(|| pod.id.clone(), |(_, id)| id.clone());
    let owner = known.map(|_| owner);
    Some(Controller { kind: kind.name().into(), id, owner })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use scheduler::cache::Cache;
    use serde_json::json;
    use units::Quantity;

    /// A pod of a ReplicaSet that is never looked up, with 1 core and 1 GiB.
    pub(crate) fn pod(name: &str) -> PodInfo {
        let mut template = PodTemplate::default();
        template.spec.pod_requests =
            [("cpu", Quantity::from_units(1)), ("memory", Quantity::from_bytes(1 << 30))]
                .into_iter()
                .collect();
        of_template(name, template)
    }

    /// The same with another template.
    pub(crate) fn of_template(name: &str, template: PodTemplate) -> PodInfo {
        let namespace: Name = "default".into();
        let id = TemplateId::from_bits(0);
        let class = Cache::default().intern(id, &template, &namespace, None);
        PodInfo {
            id: PodId::from_bits(u64::from(name.bytes().next_back().unwrap_or_default())),
            name: NamespacedName::new(namespace, name),
            labels: template.labels.clone(),
            annotations: template.annotations.clone(),
            facts: Arc::new(TemplateFacts::new(template)),
            class,
            controller: Some(controller("ReplicaSet", "web")),
            created: SimTime::ZERO,
            phase: PodPhase::Running,
            deletion: None,
        }
    }

    pub(crate) fn controller(kind: &str, name: &str) -> Controller {
        let owner = None;
        Controller { kind: kind.into(), id: NamespacedName::new("default", name), owner }
    }

    /// With one annotation.
    pub(crate) fn annotated(mut pod: PodInfo, key: &str, value: &str) -> PodInfo {
        pod.annotations = pod.annotations.with(key, value);
        pod
    }

    #[test]
    fn volumes_on_the_node_are_found_and_those_in_memory_are_none_of_them() {
        let mut template = PodTemplate::default();
        let volumes = json!([
            { "name": "scratch", "emptyDir": {} },
            { "name": "shm", "emptyDir": { "medium": "Memory" } },
            { "name": "logs", "hostPath": { "path": "/var/log" } },
            { "name": "config", "configMap": { "name": "c" } },
        ]);
        let owners = json!([
            { "kind": "Workflow", "name": "w" },
            { "kind": "Thing", "name": "t", "controller": true },
        ]);
        let metadata = json!({ "ownerReferences": owners });
        template.document = json!({ "metadata": metadata, "spec": { "volumes": volumes } }).into();
        let facts = TemplateFacts::new(template);
        assert_eq!(facts.local_volumes, ["scratch".into(), "logs".into()]);
        assert_eq!(facts.written_controller, Some(("Thing".into(), "t".into())));
    }

    #[test]
    fn only_a_written_priority_below_the_cutoff_makes_a_pod_expendable() {
        let with = |priority| {
            let mut template = PodTemplate::default();
            template.spec.priority = priority;
            of_template("a", template).is_expendable(-10)
        };
        assert_eq!([None, Some(-10), Some(-11)].map(with), [false, false, true]);
    }

    #[test]
    fn a_pod_no_longer_counts_half_a_minute_after_its_grace_is_over_twice() {
        let mut pod = pod("a");
        pod.deletion = Some(SimTime::from_secs(100));
        assert!(!pod.is_long_terminating(SimTime::from_secs(130)));
        assert!(pod.is_long_terminating(SimTime::from_secs(131)));
    }

    #[test]
    fn pods_that_stay_with_their_node_are_not_made_anew() {
        assert!(pod("a").is_recreatable());
        for (key, value) in [
            (MIRROR_ANNOTATION, "x"),
            (SOURCE_ANNOTATION, "file"),
            (DAEMON_SET_POD_ANNOTATION, "true"),
        ] {
            assert!(!annotated(pod("a"), key, value).is_recreatable(), "{key}");
        }
        assert!(annotated(pod("a"), SOURCE_ANNOTATION, "api").is_recreatable());
    }
}
