//! One object to what `cluster` makes of it, and to the document of the API: defaulted and checked, by kind.

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::policy::v1::PodDisruptionBudget as PdbObject;
use k8s_openapi::api::scheduling::v1 as scheduling;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use serde::Deserialize;
use serde_json::Value;

use super::batch::{cron_job_spec, job_spec};
use super::claim::claim;
use super::defaults::SetDefaults;
use super::deployment::{deployment_spec, replica_set};
use super::field::{FieldErrors, FieldPath};
use super::hpa::{drop_conversion_annotations, read_hpa};
use super::limit_range::limit_range;
use super::load::ControlPlane;
use super::names::{NameRule, check_key, check_labels, check_name};
use super::node::node;
use super::object::Manifest;
use super::pod::{pairs, pod_template};
use super::pod_validation::validate_pod;
use super::policy::{disruption_budget, keys, object_meta, priority_class, resource_quota};
use super::scaled_object::scaled_object_spec;
use super::service::service;
use super::stateful_set::{daemon_set_spec, stateful_set_spec};
use super::vpa::vpa_spec;
use cluster::ObjectMeta;
use cluster::action::ReplicaSetDraft;
use cluster::claim::ClaimSpec;
use cluster::cron_job::CronJobSpec;
use cluster::daemon_set::DaemonSetSpec;
use cluster::deployment::DeploymentSpec;
use cluster::hpa::HpaSpec;
use cluster::job::JobSpec;
use cluster::limit_range::LimitRange;
use cluster::node::Node;
use cluster::pod_template::{PodTemplate, ReferenceKind};
use cluster::policy::{Namespace, PodDisruptionBudget, PriorityClass};
use cluster::quota::ResourceQuota;
use cluster::scaled_object::ScaledObjectSpec;
use cluster::service::Service;
use cluster::stateful_set::StatefulSetSpec;
use cluster::store::ConfigContent;
use cluster::vpa::VpaSpec;

/// What an object is to the simulation.
#[derive(Clone, Debug)]
pub enum Content {
    /// A Pod.
    Pod(Box<PodTemplate>),
    /// A Deployment.
    Deployment(Box<DeploymentSpec>),
    /// A ReplicaSet.
    ReplicaSet(Box<ReplicaSetDraft>),
    /// A StatefulSet.
    StatefulSet(Box<StatefulSetSpec>),
    /// A DaemonSet.
    DaemonSet(Box<DaemonSetSpec>),
    /// A Job.
    Job(Box<JobSpec>),
    /// A CronJob.
    CronJob(Box<CronJobSpec>),
    /// A Service.
    Service(Box<Service>),
    /// A Node.
    Node(Box<Node>),
    /// A Namespace.
    Namespace(Namespace),
    /// A PriorityClass.
    PriorityClass(PriorityClass),
    /// A ResourceQuota.
    ResourceQuota(Box<ResourceQuota>),
    /// A LimitRange.
    LimitRange(Box<LimitRange>),
    /// A ServiceAccount.
    ServiceAccount,
    /// A HorizontalPodAutoscaler of whatever version.
    Hpa(Box<HpaSpec>),
    /// A ScaledObject of KEDA.
    ScaledObject(Box<ScaledObjectSpec>),
    /// A VerticalPodAutoscaler.
    Vpa(Box<VpaSpec>),
    /// A PodDisruptionBudget.
    DisruptionBudget(Box<PodDisruptionBudget>),
    /// A ConfigMap or a Secret, with its keys.
    Config(ReferenceKind, ConfigContent),
    /// A PersistentVolumeClaim.
    Claim(Box<ClaimSpec>),
    /// Of no consequence for the simulation.
    Other,
}

impl Content {
    /// What its pods are made from, if it has any.
    pub fn pod_template(&self) -> Option<&PodTemplate> {
        match self {
            Self::Pod(template) => Some(template),
            Self::StatefulSet(spec) => Some(&spec.template),
            Self::DaemonSet(spec) => Some(&spec.template),
            Self::Job(spec) => Some(&spec.template),
            Self::CronJob(spec) => Some(&spec.job_template.spec.template),
            Self::Deployment(spec) => Some(&spec.template),
            Self::ReplicaSet(draft) => Some(&draft.template),
            _ => None,
        }
    }

    pub(super) fn pod_template_mut(&mut self) -> Option<&mut PodTemplate> {
        match self {
            Self::Pod(template) => Some(template),
            Self::StatefulSet(spec) => Some(&mut spec.template),
            Self::DaemonSet(spec) => Some(&mut spec.template),
            Self::Job(spec) => Some(&mut spec.template),
            Self::CronJob(spec) => Some(&mut spec.job_template.spec.template),
            Self::Deployment(spec) => Some(&mut spec.template),
            Self::ReplicaSet(draft) => Some(&mut draft.template),
            _ => None,
        }
    }
}

/// An object lowered.
pub(super) struct Lowered {
    /// Its own name, labels and annotations.
    pub(super) meta: ObjectMeta,
    /// What it is to the simulation.
    pub(super) content: Content,
    /// The object of the API, defaulted, without its status.
    pub(super) document: Value,
}

/// Lowers an object whose fields are those of its kind.
pub(super) fn lower(
    manifest: &Manifest,
    value: Value,
    control_plane: ControlPlane,
    errors: &mut FieldErrors,
) -> Result<Lowered, serde_json::Error> {
    let metadata = value.get("metadata").cloned().unwrap_or_default();
    let metadata: meta::ObjectMeta = serde_json::from_value(metadata)?;
    let mut rules = FieldErrors::default();
    check_metadata(manifest, &metadata, &mut rules);
    errors.append_rules(rules);
    let kind = &*manifest.reference.kind;
    if NEED_A_SPEC.contains(&kind) && value.get("spec").is_none_or(Value::is_null) {
        errors.required(&SPEC, "what is asked for");
    }
    let meta = object_meta(&manifest.reference.id, &metadata);
    let (content, mut document) = match kind {
        "HorizontalPodAutoscaler" => hpa(value, control_plane, errors),
        _ => content(kind, &meta, value, errors)?,
    };
    let namespace = &manifest.reference.id.namespace;
    if let Value::Object(fields) = &mut document {
        fields.shift_remove("status");
        fields.values_mut().for_each(leave_out_nothing);
        fields.retain(|_, field| !field.is_null());
        if !namespace.is_empty() {
            document["metadata"]["namespace"] = Value::from(&**namespace);
        }
    }
    Ok(Lowered { meta, content, document })
}

const SPEC: FieldPath<'static> = FieldPath::ROOT.field("spec");

/// Takes out fields that hold nothing, as `creationTimestamp: null`, which the API server does not print.
fn leave_out_nothing(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(leave_out_nothing),
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(leave_out_nothing);
        }
        _ => {}
    }
}

/// Kinds whose objects ask for nothing without `spec`, though the schema lets them.
const NEED_A_SPEC: [&str; 11] = [
    "Pod",
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "Service",
    "ResourceQuota",
    "LimitRange",
    "PodDisruptionBudget",
    "PersistentVolumeClaim",
];

fn check_metadata(manifest: &Manifest, metadata: &meta::ObjectMeta, errors: &mut FieldErrors) {
    let rule = match &*manifest.reference.kind {
        "Service" => NameRule::Rfc1035Label,
        "Namespace" => NameRule::Label,
        "CronJob" => NameRule::SubdomainUpTo(52),
        "StatefulSet" | "Job" => NameRule::SubdomainUpTo(63),
        _ => NameRule::Subdomain,
    };
    let path = FieldPath::ROOT.field("metadata");
    let field = if manifest.has_generated_name { "generateName" } else { "name" };
    let name = &manifest.reference.id.name;
    check_name(name, manifest.has_generated_name, rule, &path.field(field), errors);
    if let Some(namespace) = metadata.namespace.as_deref().filter(|namespace| !namespace.is_empty())
    {
        check_name(namespace, false, NameRule::Label, &path.field("namespace"), errors);
    }
    check_labels(metadata.labels.as_ref(), &path.field("labels"), errors);
    for key in metadata.annotations.iter().flatten().map(|(key, _)| key) {
        check_key(key, &path.field("annotations"), errors);
    }
}

/// What an object is to the simulation, and the whole of it, both by what is defaulted.
fn content(
    kind: &str,
    meta: &ObjectMeta,
    value: Value,
    errors: &mut FieldErrors,
) -> Result<(Content, Value), serde_json::Error> {
    let meta = || meta.clone();
    /// `of!(Kind, |object| content)`, or `of!(spec of Kind, |spec| Variant(lean))` where only that counts.
    macro_rules! of {
        ($kind:ty, |$object:ident| $content:expr) => {{
            let ($object, document) = defaulted::<$kind>(value)?;
            ($content, document)
        }};
        (spec of $kind:ty, |$spec:ident| $content:ident($lowered:expr)) => {{
            let (object, document) = defaulted::<$kind>(value)?;
            let $spec = object.spec.unwrap_or_default();
            (Content::$content(Box::new($lowered)), document)
        }};
    }
    Ok(match kind {
        "Pod" => of!(core::Pod, |pod| {
            let spec = pod.spec.unwrap_or_default();
            errors.append_rules(pod_rules(&spec));
            let template = pod_template(Some(&pod.metadata), &spec, &FieldPath::ROOT, errors);
            Content::Pod(Box::new(template))
        }),
        "Deployment" => {
            of!(spec of apps::Deployment, |spec| Deployment(deployment_spec(&spec, errors)))
        }
        "ReplicaSet" => {
            of!(spec of apps::ReplicaSet, |spec| ReplicaSet(replica_set(meta(), &spec, errors)))
        }
        "StatefulSet" => {
            of!(spec of apps::StatefulSet, |spec| StatefulSet(stateful_set_spec(&spec, errors)))
        }
        "DaemonSet" => {
            of!(spec of apps::DaemonSet, |spec| DaemonSet(daemon_set_spec(&spec, errors)))
        }
        "Job" => of!(spec of batch::Job, |spec| Job(job_spec(&spec, &SPEC, errors))),
        "CronJob" => of!(batch::CronJob, |object| {
            Content::CronJob(Box::new(cron_job_spec(&object.spec, errors)))
        }),
        "Service" => of!(spec of core::Service, |spec| Service(service(meta(), &spec, errors))),
        "Node" => of!(core::Node, |object| Content::Node(Box::new(node(&object, errors)))),
        "Namespace" => of!(core::Namespace, |object| {
            let labels = pairs(object.metadata.labels.as_ref());
            Content::Namespace(Namespace { name: meta().id.name, labels })
        }),
        "PriorityClass" => of!(scheduling::PriorityClass, |class| {
            Content::PriorityClass(priority_class(&class, meta().name(), errors))
        }),
        "ResourceQuota" => {
            of!(spec of core::ResourceQuota, |spec| ResourceQuota(resource_quota(meta(), &spec, errors)))
        }
        "LimitRange" => {
            of!(spec of core::LimitRange, |spec| LimitRange(limit_range(meta(), &spec, errors)))
        }
        "ServiceAccount" => of!(core::ServiceAccount, |_object| Content::ServiceAccount),
        "VerticalPodAutoscaler" => {
            let spec = vpa_spec(&Deserialize::deserialize(&value)?, errors);
            (Content::Vpa(Box::new(spec)), value)
        }
        "ScaledObject" => {
            let spec = scaled_object_spec(&meta(), &Deserialize::deserialize(&value)?, errors);
            (Content::ScaledObject(Box::new(spec)), value)
        }
        "PodDisruptionBudget" => {
            of!(spec of PdbObject, |spec| DisruptionBudget(disruption_budget(meta(), &spec, errors)))
        }
        "ConfigMap" => of!(core::ConfigMap, |map| {
            let mut names = keys(map.data.as_ref());
            names.append(&mut keys(map.binary_data.as_ref()));
            let content = ConfigContent { keys: names, ..ConfigContent::default() };
            Content::Config(ReferenceKind::ConfigMap, content)
        }),
        "Secret" => of!(core::Secret, |secret| {
            let secret_type = secret.type_.unwrap_or_default().into();
            let keys = keys(secret.data.as_ref());
            Content::Config(ReferenceKind::Secret, ConfigContent { keys, secret_type })
        }),
        "PersistentVolumeClaim" => {
            of!(spec of core::PersistentVolumeClaim, |spec| Claim(claim(&spec, &SPEC, errors)))
        }
        "PersistentVolume" => of!(core::PersistentVolume, |_volume| Content::Other),
        "StorageClass" => of!(StorageClass, |_class| Content::Other),
        _ => (Content::Other, value),
    })
}

/// The rules for writes that a pod breaks.
fn pod_rules(spec: &core::PodSpec) -> FieldErrors {
    let mut rules = FieldErrors::default();
    validate_pod(spec, &SPEC, &mut rules);
    rules
}

/// An HPA of whatever version, and the object of the current one.
fn hpa(
    mut value: Value,
    control_plane: ControlPlane,
    errors: &mut FieldErrors,
) -> (Content, Value) {
    let api_version = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    match read_hpa(api_version, &value, control_plane.hpa_scale_to_zero) {
        Ok((spec, lean)) => {
            value["apiVersion"] = "autoscaling/v2".into();
            value["spec"] = serde_json::to_value(spec).unwrap_or_default();
            drop_conversion_annotations(&mut value);
            (Content::Hpa(Box::new(lean)), value)
        }
        Err(problems) => {
            errors.append(problems);
            (Content::Other, value)
        }
    }
}

/// The object typed and defaulted, and as the API server would print it.
fn defaulted<T: SetDefaults>(value: Value) -> Result<(T, Value), serde_json::Error> {
    let mut object: T = serde_json::from_value(value)?;
    object.set_defaults();
    let document = serde_json::to_value(&object)?;
    Ok((object, document))
}
