//! One object to what `cluster` makes of it: defaulted and checked, by kind.

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::policy::v1 as policy_api;
use k8s_openapi::api::scheduling::v1 as scheduling;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::batch::{cron_job_spec, job_spec};
use super::claim::claim;
use super::deployment::{deployment_spec, replica_set};
use super::field::{FieldErrors, FieldPath};
use super::hpa::read_hpa;
use super::limit_range::limit_range;
use super::load::ControlPlane;
use super::names::{NameRule, check_key, check_labels, check_name};
use super::node::node;
use super::object::Manifest;
use super::pod_validation::validate_pod;
use super::policy::{
    disruption_budget, keys, namespace, object_meta, priority_class, resource_quota,
};
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
    let meta = object_meta(&manifest.reference.id, &metadata);
    let content = content(&manifest.reference.kind, &meta, value, control_plane, errors)?;
    Ok(Lowered { meta, content })
}

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

fn content(
    kind: &str,
    meta: &ObjectMeta,
    value: Value,
    control_plane: ControlPlane,
    errors: &mut FieldErrors,
) -> Result<Content, serde_json::Error> {
    let path = FieldPath::ROOT.field("spec");
    Ok(match kind {
        "Pod" => pod(typed(value)?, &path, errors),
        "Deployment" => {
            let spec = or_required(typed::<apps::Deployment>(value)?.spec, &path, errors);
            Content::Deployment(Box::new(deployment_spec(&spec, errors)))
        }
        "ReplicaSet" => {
            let spec = or_required(typed::<apps::ReplicaSet>(value)?.spec, &path, errors);
            Content::ReplicaSet(Box::new(replica_set(meta.clone(), &spec, errors)))
        }
        "StatefulSet" => {
            let spec = or_required(typed::<apps::StatefulSet>(value)?.spec, &path, errors);
            Content::StatefulSet(Box::new(stateful_set_spec(&spec, errors)))
        }
        "DaemonSet" => {
            let spec = or_required(typed::<apps::DaemonSet>(value)?.spec, &path, errors);
            Content::DaemonSet(Box::new(daemon_set_spec(&spec, errors)))
        }
        "Job" => {
            let spec = or_required(typed::<batch::Job>(value)?.spec, &path, errors);
            Content::Job(Box::new(job_spec(&spec, &path, errors)))
        }
        "CronJob" => {
            let spec = typed::<batch::CronJob>(value)?.spec;
            Content::CronJob(Box::new(cron_job_spec(&spec, errors)))
        }
        "Service" => {
            let spec = or_required(typed::<core::Service>(value)?.spec, &path, errors);
            Content::Service(Box::new(service(meta.clone(), &spec, errors)))
        }
        "Node" => Content::Node(Box::new(node(&typed(value)?, errors))),
        "Namespace" => Content::Namespace(namespace(meta)),
        "PriorityClass" => {
            let class: scheduling::PriorityClass = typed(value)?;
            Content::PriorityClass(priority_class(&class, meta.name(), errors))
        }
        "ResourceQuota" => {
            let spec = or_required(typed::<core::ResourceQuota>(value)?.spec, &path, errors);
            Content::ResourceQuota(Box::new(resource_quota(meta.clone(), &spec, errors)))
        }
        "LimitRange" => {
            let spec = or_required(typed::<core::LimitRange>(value)?.spec, &path, errors);
            Content::LimitRange(Box::new(limit_range(meta.clone(), &spec, errors)))
        }
        "ServiceAccount" => Content::ServiceAccount,
        "HorizontalPodAutoscaler" => hpa(&value, control_plane, errors),
        "VerticalPodAutoscaler" => Content::Vpa(Box::new(vpa_spec(&typed(value)?, errors))),
        "ScaledObject" => {
            let spec = scaled_object_spec(meta, &typed(value)?, errors);
            Content::ScaledObject(Box::new(spec))
        }
        "PodDisruptionBudget" => {
            let spec = typed::<policy_api::PodDisruptionBudget>(value)?.spec;
            let spec = or_required(spec, &path, errors);
            Content::DisruptionBudget(Box::new(disruption_budget(meta.clone(), &spec, errors)))
        }
        "ConfigMap" => {
            let map: core::ConfigMap = typed(value)?;
            let keys = keys(map.data.as_ref(), map.binary_data.as_ref());
            let content = ConfigContent { keys, ..ConfigContent::default() };
            Content::Config(ReferenceKind::ConfigMap, content)
        }
        "Secret" => {
            let secret: core::Secret = typed(value)?;
            let keys = keys(secret.data.as_ref(), secret.string_data.as_ref());
            // As the API server's defaulting has it.
            let secret_type = secret.type_.filter(|name| !name.is_empty());
            let secret_type = secret_type.as_deref().unwrap_or("Opaque").into();
            Content::Config(ReferenceKind::Secret, ConfigContent { keys, secret_type })
        }
        "PersistentVolumeClaim" => persistent_volume_claim(typed(value)?, &path, errors),
        _ => Content::Other,
    })
}

fn pod(object: core::Pod, path: &FieldPath<'_>, errors: &mut FieldErrors) -> Content {
    let spec = or_required(object.spec, path, errors);
    let mut rules = FieldErrors::default();
    validate_pod(&spec, path, &mut rules);
    errors.append_rules(rules);
    let (metadata, root) = (Some(&object.metadata), FieldPath::ROOT);
    Content::Pod(Box::new(super::pod::pod_template(metadata, &spec, &root, errors)))
}

fn persistent_volume_claim(
    object: core::PersistentVolumeClaim,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Content {
    let spec = or_required(object.spec, path, errors);
    Content::Claim(Box::new(claim(&spec, path, errors)))
}

fn hpa(value: &Value, control_plane: ControlPlane, errors: &mut FieldErrors) -> Content {
    let api_version = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    match read_hpa(api_version, value, control_plane.hpa_scale_to_zero) {
        Ok(spec) => Content::Hpa(Box::new(spec)),
        Err(problems) => {
            errors.append(problems);
            Content::Other
        }
    }
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(value)
}

fn or_required<T: Default>(spec: Option<T>, path: &FieldPath<'_>, errors: &mut FieldErrors) -> T {
    spec.unwrap_or_else(|| {
        errors.required(path, "what is asked for");
        T::default()
    })
}
