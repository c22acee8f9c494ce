//! All objects of a run to the actions that create them, in the order in which a person would: what
//! others need comes first. Not responsible for reading objects, nor for objects of kinds that the
//! simulation does not have.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::policy::v1 as policy;
use k8s_openapi::api::scheduling::v1 as scheduling;

use super::admission::{default_toleration_seconds, priority};
use super::config::{config_map, persistent_volume_claim, secret};
use super::deployment::deployment;
use super::disruption_budget::disruption_budget;
use super::field::{FieldError, FieldErrors, FieldPath};
use super::namespace::{namespace, plain_namespace};
use super::node::node;
use super::pod::{pod_draft, pod_template};
use super::priority_class::priority_class;
use super::replica_set::replica_set;
use super::resource_quota::resource_quota;
use super::service::service;
use crate::cluster::node::Node;
use crate::cluster::pod_template::PodTemplate;
use crate::cluster::policy::PriorityClass;
use crate::cluster::{Action, Name};

/// A typed object of a kind that the simulation has.
#[derive(Clone, Debug)]
pub enum Object {
    /// `v1`, `Node`.
    Node(Box<core::Node>),
    /// `v1`, `Namespace`.
    Namespace(Box<core::Namespace>),
    /// `scheduling.k8s.io/v1`, `PriorityClass`.
    PriorityClass(Box<scheduling::PriorityClass>),
    /// `v1`, `ConfigMap`.
    ConfigMap(Box<core::ConfigMap>),
    /// `v1`, `Secret`.
    Secret(Box<core::Secret>),
    /// `v1`, `PersistentVolumeClaim`.
    PersistentVolumeClaim(Box<core::PersistentVolumeClaim>),
    /// `v1`, `ResourceQuota`.
    ResourceQuota(Box<core::ResourceQuota>),
    /// `v1`, `Service`.
    Service(Box<core::Service>),
    /// `policy/v1`, `PodDisruptionBudget`.
    PodDisruptionBudget(Box<policy::PodDisruptionBudget>),
    /// `apps/v1`, `Deployment`.
    Deployment(Box<apps::Deployment>),
    /// `apps/v1`, `ReplicaSet`.
    ReplicaSet(Box<apps::ReplicaSet>),
    /// `v1`, `Pod`.
    Pod(Box<core::Pod>),
}

impl Object {
    /// What goes first: the lower.
    const fn rank(&self) -> u8 {
        match self {
            Self::Node(_) | Self::Namespace(_) => 0,
            Self::PriorityClass(_) => 1,
            Self::ConfigMap(_)
            | Self::Secret(_)
            | Self::PersistentVolumeClaim(_)
            | Self::ResourceQuota(_) => 2,
            Self::Service(_) => 3,
            Self::PodDisruptionBudget(_) => 4,
            Self::Deployment(_) | Self::ReplicaSet(_) => 5,
            Self::Pod(_) => 6,
        }
    }
}

/// What objects are admitted against: filled by one [`lower`], of use to the next one of the run.
#[derive(Clone, Debug, Default)]
pub struct Known {
    priority_classes: BTreeMap<Name, PriorityClass>,
    namespaces: BTreeSet<Name>,
}

/// The objects of `cluster` that manifests stand for.
#[derive(Clone, Debug, Default)]
pub struct Lowered {
    /// Nodes, in the order of the manifests.
    pub nodes: Vec<Node>,
    /// What creates all other objects, in order.
    pub actions: Vec<Action>,
    /// What is wrong. An object of which something is wrong is among the others all the same.
    pub problems: Vec<Problem>,
}

/// Something wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The object's position among those that were given.
    pub object: usize,
    /// The field, and what is wrong with it.
    pub error: FieldError,
}

/// Lowers objects, and lets admission have its say. A namespace that objects name and that no
/// manifest makes is made: in a real cluster it is mostly there already.
pub fn lower(objects: &[Object], known: &mut Known) -> Lowered {
    let mut order: Vec<(usize, &Object)> = objects.iter().enumerate().collect();
    order.sort_by_key(|(_, object)| object.rank());
    let mut lowered = Lowered::default();
    for (position, object) in order {
        let mut errors = FieldErrors::default();
        match object {
            Object::Node(given) => lowered.nodes.push(node(given, &mut errors)),
            other => lowered.actions.extend(create(other, known, &mut errors)),
        }
        let errors = errors.into_vec().into_iter();
        lowered.problems.extend(errors.map(|error| Problem { object: position, error }));
    }
    lowered.problems.sort_by_key(|problem| problem.object);
    let named: BTreeSet<Name> = lowered.actions.iter().filter_map(namespace_of).cloned().collect();
    let missing: Vec<Name> = named.difference(&known.namespaces).cloned().collect();
    let implied = missing.iter().map(|name| Action::CreateNamespace(plain_namespace(name).into()));
    lowered.actions.splice(0..0, implied);
    known.namespaces.extend(missing);
    lowered
}

/// What creates an object; nothing for Nodes, which no request creates.
fn create(object: &Object, known: &mut Known, errors: &mut FieldErrors) -> Option<Action> {
    let spec = FieldPath::ROOT.field("spec");
    let template_path = spec.field("template");
    Some(match object {
        Object::Node(_) => return None,
        Object::Namespace(given) => {
            let namespace = namespace(given, errors);
            known.namespaces.insert(namespace.name.clone());
            Action::CreateNamespace(Box::new(namespace))
        }
        Object::PriorityClass(given) => {
            let class = known_class(priority_class(given, errors), known, errors);
            Action::CreatePriorityClass(Box::new(class))
        }
        Object::ConfigMap(given) => config_map(given, errors),
        Object::Secret(given) => secret(given, errors),
        Object::PersistentVolumeClaim(given) => persistent_volume_claim(given, errors),
        Object::ResourceQuota(given) => {
            Action::ApplyResourceQuota(Box::new(resource_quota(given, errors)))
        }
        Object::Service(given) => Action::CreateService(Box::new(service(given, errors))),
        Object::PodDisruptionBudget(given) => {
            Action::CreateDisruptionBudget(Box::new(disruption_budget(given, errors)))
        }
        Object::Deployment(given) => {
            let mut draft = deployment(given, errors);
            admit(&mut draft.1.template, known, &template_path, errors);
            Action::CreateDeployment(Box::new(draft))
        }
        Object::ReplicaSet(given) => {
            let mut draft = replica_set(given, errors);
            admit(&mut draft.template, known, &template_path, errors);
            Action::CreateReplicaSet(Box::new(draft))
        }
        Object::Pod(given) => {
            let spec = given.spec.clone().unwrap_or_default();
            let path = FieldPath::ROOT;
            let mut template = pod_template(Some(&given.metadata), &spec, &path, errors);
            admit(&mut template, known, &path, errors);
            Action::CreatePod(Box::new(pod_draft(&given.metadata, template, errors)))
        }
    })
}

/// A class that later pods can name. Only one can be the default of pods that name none.
fn known_class(class: PriorityClass, known: &mut Known, errors: &mut FieldErrors) -> PriorityClass {
    let classes = &mut known.priority_classes;
    let other = classes.values().find(|other| other.global_default && other.name != class.name);
    if let Some(other) = other.filter(|_| class.global_default) {
        let problem = format!(
            "PriorityClass {} is already marked as default. Only one default can exist",
            other.name
        );
        errors.push(&FieldPath::ROOT.field("globalDefault"), problem);
    }
    classes.insert(class.name.clone(), class.clone());
    class
}

fn admit(
    template: &mut PodTemplate,
    known: &Known,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    priority(template, &known.priority_classes, path, errors);
    default_toleration_seconds(template);
}

/// The namespace of the object that an action of [`create`] makes.
fn namespace_of(action: &Action) -> Option<&Name> {
    match action {
        Action::PutConfig(_, object) => Some(&object.0.namespace),
        Action::ApplyResourceQuota(quota) => Some(quota.meta.namespace()),
        Action::CreateService(service) => Some(service.meta.namespace()),
        Action::CreateDisruptionBudget(budget) => Some(budget.meta.namespace()),
        Action::CreateDeployment(draft) => Some(draft.0.namespace()),
        Action::CreateReplicaSet(draft) => Some(draft.meta.namespace()),
        Action::CreatePod(draft) => Some(&draft.namespace),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::{ClusterView, Store, apply};
    use crate::engine::{SimTime, Streams};

    fn typed<T: DeserializeOwned>(object: Value) -> T {
        serde_json::from_value(object).unwrap()
    }

    fn deployment(name: &str, priority_class: &str) -> Object {
        Object::Deployment(Box::new(typed(json!({
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {
                        "containers": [{"name": "web", "image": "web:1"}],
                        "priorityClassName": priority_class,
                    },
                },
            },
        }))))
    }

    fn class(name: &str, value: i32, global_default: bool) -> Object {
        Object::PriorityClass(Box::new(typed(json!({
            "metadata": {"name": name}, "value": value, "globalDefault": global_default,
        }))))
    }

    fn verbs(lowered: &Lowered) -> Vec<&'static str> {
        lowered.actions.iter().map(Action::verb).collect()
    }

    #[test]
    fn what_others_need_is_created_first() {
        let objects = [
            Object::Pod(Box::new(typed(json!({
                "metadata": {"generateName": "job-", "namespace": "shop"},
                "spec": {"containers": [{"name": "a"}], "restartPolicy": "Never"},
            })))),
            deployment("web", "gold"),
            Object::PodDisruptionBudget(Box::new(typed(json!({
                "metadata": {"name": "web", "namespace": "shop"}, "spec": {"minAvailable": 1},
            })))),
            Object::Service(Box::new(typed(json!({
                "metadata": {"name": "web", "namespace": "shop"},
                "spec": {"ports": [{"port": 80}]},
            })))),
            Object::Secret(Box::new(typed(
                json!({"metadata": {"name": "s", "namespace": "shop"}}),
            ))),
            class("gold", 9, false),
            Object::Namespace(Box::new(typed(json!({"metadata": {"name": "shop"}})))),
            Object::Node(Box::new(typed(json!({"metadata": {"name": "n"}})))),
        ];
        let lowered = lower(&objects, &mut Known::default());
        assert_eq!(lowered.problems, []);
        assert_eq!(lowered.nodes.len(), 1);
        assert_eq!(
            verbs(&lowered),
            [
                "CreateNamespace",
                "CreatePriorityClass",
                "PutConfig",
                "CreateService",
                "CreateDisruptionBudget",
                "CreateDeployment",
                "CreatePod",
            ]
        );
    }

    #[test]
    fn the_api_server_takes_everything_that_is_lowered() {
        let objects = [deployment("web", ""), deployment("api", "")];
        let mut store = Store::new(Streams::new(1));
        for action in lower(&objects, &mut Known::default()).actions {
            let verb = action.verb();
            let result = apply(&mut store, SimTime::ZERO, action, &mut Vec::new());
            assert_eq!(result, Ok(()), "{verb}");
        }
        let view = ClusterView::new(&store, SimTime::ZERO);
        let names: Vec<String> =
            view.deployments().values().map(|deployment| deployment.meta.id.to_string()).collect();
        assert_eq!(names, ["shop/web", "shop/api"]);
        assert!(view.namespaces().contains_key("shop"));
    }

    #[test]
    fn a_namespace_is_implied_once_in_a_run() {
        let mut known = Known::default();
        let first = lower(&[deployment("web", "")], &mut known);
        assert_eq!(verbs(&first), ["CreateNamespace", "CreateDeployment"]);
        let second = lower(&[deployment("api", "")], &mut known);
        assert_eq!(verbs(&second), ["CreateDeployment"]);
    }

    #[test]
    fn pods_meet_the_admission_of_a_default_cluster() {
        let mut known = Known::default();
        lower(&[class("gold", 9, false)], &mut known);
        let later = lower(&[deployment("web", "gold")], &mut known);
        assert_eq!(later.problems, []);
        let Action::CreateDeployment(draft) = &later.actions[1] else { panic!("a Deployment") };
        let pod = &draft.1.template.spec;
        assert_eq!(pod.priority, Some(9));
        let seconds: Vec<_> = pod.tolerations.iter().map(|one| one.toleration_seconds).collect();
        assert_eq!(seconds, [Some(300), Some(300)]);
    }

    #[test]
    fn problems_say_which_object_and_which_field() {
        let objects = [deployment("web", "silver"), class("a", 1, true), class("b", 2, true)];
        let lowered = lower(&objects, &mut Known::default());
        let problems: Vec<(usize, String)> = lowered
            .problems
            .iter()
            .map(|problem| (problem.object, problem.error.to_string()))
            .collect();
        assert_eq!(
            problems,
            [
                (
                    0,
                    "spec.template.spec.priorityClassName: no PriorityClass with name silver was \
                     found"
                        .to_owned()
                ),
                (
                    2,
                    "globalDefault: PriorityClass a is already marked as default. Only one default \
                     can exist"
                        .to_owned()
                ),
            ]
        );
    }
}
