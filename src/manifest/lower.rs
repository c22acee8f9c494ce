//! Lowers an object to its form in `cluster` and to its API document, defaulted and validated by kind.

use std::sync::Arc;

use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::batch::v1 as batch;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget as PdbObject;
use k8s_openapi::api::rbac::v1 as rbac;
use k8s_openapi::api::scheduling::v1 as scheduling;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use serde::Deserialize;
use serde_json::Value;

use super::analysis_template::{AnalysisTemplate, ClusterAnalysisTemplate, analysis_template};
use super::batch::{cron_job_spec, job_spec};
use super::claim::{claim, csi_node, persistent_volume, storage_class};
use super::decode::{decode, decode_without_diagnostics};
use super::defaults::SetDefaults;
use super::deployment::{deployment_spec, replica_set_spec};
use super::diagnostic::Diagnostic;
use super::field::{FieldErrors, FieldPath};
use super::hpa::{drop_conversion_annotations, read_hpa};
use super::karpenter::{Ec2NodeClass, KwokNodeClass, NodePool};
use super::kueue::{cluster_queue, local_queue, resource_flavor, workload_priority_class};
use super::limit_range::limit_range;
use super::load::ControlPlane;
use super::names::{NameRule, check_key, check_labels, check_name};
use super::network_policy::network_policy_spec;
use super::node::node;
use super::object::Manifest;
use super::pod::pod_template;
use super::pod_autoscaler::pod_autoscaler_spec;
use super::policy::{disruption_budget, keys, object_meta, priority_class, resource_quota};
use super::rollout::rollout;
use super::scaled_job::scaled_job;
use super::scaled_object::scaled_object_spec;
use super::service::service_spec;
use super::stateful_set::{daemon_set_spec, stateful_set_spec};
use super::validation::{
    Validate, path_segment, validate_http_route, validate_ingress, validate_ingress_class,
    validate_metadata,
};
use super::vpa::vpa_spec;
use cluster::analysis::ClusterAnalysisTemplateSpec;
use cluster::claim::ClaimContent;
use cluster::config::{ConfigMapSpec, SecretSpec};
use cluster::job::JobDraft;
use cluster::karpenter::{EC2NodeClassSpec, KWOKNodeClassSpec, NodePoolSpec};
use cluster::namespace::NamespaceSpec;
use cluster::routes::{HTTPRouteSpec, IngressClassSpec, IngressSpec};
use cluster::service_account::ServiceAccountSpec;
use cluster::{AnySpec, Document, Kind, ObjectMeta};

/// A lowered object.
pub(super) struct Lowered {
    /// Its own name, labels and annotations.
    pub(super) meta: ObjectMeta,
    /// The lowered spec.
    pub(super) spec: AnySpec,
}

/// Lowers an object whose fields match its kind; `None` if it does not affect a simulation.
pub(super) fn lower(
    manifest: &Manifest,
    value: Value,
    control_plane: ControlPlane,
    errors: &mut FieldErrors,
) -> Result<Option<Lowered>, serde_json::Error> {
    let metadata = value.get("metadata").cloned().unwrap_or_default();
    let metadata: meta::ObjectMeta = serde_json::from_value(metadata)?;
    let mut rules = FieldErrors::default();
    check_metadata(manifest, &metadata, &mut rules);
    validate_metadata(&metadata, &mut rules);
    errors.append_rules(rules);
    let kind = manifest.reference.kind;
    if NEED_A_SPEC.contains(&kind) && value.get("spec").is_none_or(Value::is_null) {
        errors.required(&SPEC, "the requested resources");
    }
    let mut meta = object_meta(&manifest.reference.id, &metadata);
    let (mut spec, mut document) = match kind {
        Kind::HorizontalPodAutoscaler => hpa(value, control_plane, errors),
        _ => spec_of(kind, &meta, value, errors)?,
    };
    let namespace = &manifest.reference.id.namespace;
    if let Value::Object(fields) = &mut document {
        // The status of a Node describes the machine.
        if kind != Kind::Node {
            fields.shift_remove("status");
        }
        fields.values_mut().for_each(leave_out_nothing);
        fields.retain(|_, field| !field.is_null());
        if !namespace.is_empty() {
            document["metadata"]["namespace"] = Value::from(&**namespace);
        }
    }
    // Nobody checks it, so that it was taken out.
    if let Some(info) = manifest.value.pointer("/status/nodeInfo").filter(|_| kind == Kind::Node) {
        document["status"]["nodeInfo"] = info.clone();
    }
    if let Some(Value::Object(fields)) = document.get_mut("metadata") {
        fields.retain(|name, _| !OF_THE_SERVER.contains(&name.as_str()));
    }
    let template = spec.as_mut().and_then(AnySpec::pod_template_mut);
    if let (Some(template), Some(written)) = (template, written_template(kind, &document)) {
        template.document = written.into();
    }
    let last_applied = Some(manifest.value.clone());
    meta.document = Some(Arc::new(Document { object: document, last_applied }));
    Ok(spec.map(|spec| Lowered { meta, spec }))
}

/// Validates an object of a known kind that is not lowered: returns the mistakes in its fields, and adds violated
/// rules to `errors`; `None` for other kinds.
pub(super) fn check_unread(
    manifest: &Manifest,
    errors: &mut FieldErrors,
) -> Option<Vec<Diagnostic>> {
    let value = &manifest.value;
    let mut rules = FieldErrors::default();
    let kind = manifest.reference.kind;
    // Gateway API serves two versions with the same fields.
    let is_current = *manifest.api_version == *kind.api_version();
    if !is_current && &*manifest.api_version != "gateway.networking.k8s.io/v1beta1" {
        return None;
    }
    let mistakes = match kind {
        Kind::Ingress => {
            let (ingress, mistakes) = decode(value);
            validate_ingress(&ingress, &mut rules);
            mistakes
        }
        Kind::IngressClass => {
            let (class, mistakes) = decode(value);
            validate_ingress_class(&class, &mut rules);
            mistakes
        }
        Kind::HTTPRoute => {
            let (route, mistakes) = decode(value);
            validate_http_route(&route, &mut rules);
            mistakes
        }
        Kind::Role => validated::<rbac::Role>(value, &mut rules),
        Kind::ClusterRole => validated::<rbac::ClusterRole>(value, &mut rules),
        Kind::RoleBinding => validated::<rbac::RoleBinding>(value, &mut rules),
        Kind::ClusterRoleBinding => validated::<rbac::ClusterRoleBinding>(value, &mut rules),
        Kind::NodePool => decode::<NodePool>(value).1,
        Kind::EC2NodeClass => decode::<Ec2NodeClass>(value).1,
        Kind::KWOKNodeClass => decode::<KwokNodeClass>(value).1,
        _ => return None,
    };
    let metadata: meta::ObjectMeta = decode_without_diagnostics(&value["metadata"]);
    check_metadata(manifest, &metadata, &mut rules);
    validate_metadata(&metadata, &mut rules);
    errors.append_rules(rules);
    Some(mistakes)
}

/// Validates an object whose type the API knows better than the tables of fields; the mistake if it cannot be read.
fn validated<K: Validate + serde::de::DeserializeOwned>(
    value: &Value,
    rules: &mut FieldErrors,
) -> Vec<Diagnostic> {
    match serde_json::from_value::<K>(value.clone()) {
        Ok(object) => {
            object.validate(rules);
            Vec::new()
        }
        Err(error) => vec![Diagnostic::error("invalid-value", format!("cannot be read: {error}"))],
    }
}

/// An object that the store holds as written.
pub(super) fn unread(manifest: &Manifest) -> Option<Lowered> {
    let spec = match manifest.reference.kind {
        Kind::Ingress => IngressSpec::default().into(),
        Kind::IngressClass => IngressClassSpec.into(),
        Kind::HTTPRoute => HTTPRouteSpec.into(),
        Kind::NodePool => NodePoolSpec.into(),
        Kind::EC2NodeClass => EC2NodeClassSpec.into(),
        Kind::KWOKNodeClass => KWOKNodeClassSpec.into(),
        _ => return None,
    };
    let metadata: meta::ObjectMeta = decode_without_diagnostics(&manifest.value["metadata"]);
    let mut meta = object_meta(&manifest.reference.id, &metadata);
    let (object, last_applied) = (manifest.value.clone(), Some(manifest.value.clone()));
    meta.document = Some(Arc::new(Document { object, last_applied }));
    Some(Lowered { meta, spec })
}

/// Metadata set by the API server, overriding clients.
const OF_THE_SERVER: [&str; 9] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
    "ownerReferences",
];

/// The pod template of an object, without names.
fn written_template(kind: Kind, document: &Value) -> Option<Value> {
    let mut written = document.pointer(kind.pod_template_pointer())?.clone();
    if let (Kind::Pod, Some(fields)) = (kind, written.as_object_mut()) {
        fields.retain(|name, _| ["metadata", "spec"].contains(&name.as_str()));
        if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
            metadata.retain(|name, _| ["labels", "annotations"].contains(&name.as_str()));
        }
    }
    Some(written)
}

const SPEC: FieldPath<'static> = FieldPath::ROOT.field("spec");

/// Removes empty fields such as `creationTimestamp: null`, which the API server does not print.
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

/// Kinds whose objects do nothing without `spec`, although the schema makes it optional.
const NEED_A_SPEC: [Kind; 15] = [
    Kind::Pod,
    Kind::Deployment,
    Kind::Rollout,
    Kind::ScaledJob,
    Kind::AnalysisTemplate,
    Kind::ClusterAnalysisTemplate,
    Kind::ReplicaSet,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::Job,
    Kind::Service,
    Kind::ResourceQuota,
    Kind::LimitRange,
    Kind::PodDisruptionBudget,
    Kind::PersistentVolumeClaim,
];

fn check_metadata(manifest: &Manifest, metadata: &meta::ObjectMeta, errors: &mut FieldErrors) {
    let rule = match manifest.reference.kind {
        Kind::Service | Kind::Namespace => NameRule::Label,
        Kind::CronJob => NameRule::SubdomainUpTo(52),
        Kind::StatefulSet | Kind::Job => NameRule::SubdomainUpTo(63),
        _ => NameRule::Subdomain,
    };
    let path = FieldPath::ROOT.field("metadata");
    let field = if manifest.has_generated_name { "generateName" } else { "name" };
    let name = &manifest.reference.id.name;
    if is_of_rbac(manifest.reference.kind) {
        path_segment(name, &path.field(field), errors);
    } else {
        check_name(name, manifest.has_generated_name, rule, &path.field(field), errors);
    }
    if let Some(namespace) = metadata.namespace.as_deref().filter(|namespace| !namespace.is_empty())
    {
        check_name(namespace, false, NameRule::Label, &path.field("namespace"), errors);
    }
    check_labels(metadata.labels.as_ref(), &path.field("labels"), errors);
    for key in metadata.annotations.iter().flatten().map(|(key, _)| key) {
        check_key(key, &path.field("annotations"), errors);
    }
}

const fn is_of_rbac(kind: Kind) -> bool {
    matches!(kind, Kind::Role | Kind::ClusterRole | Kind::RoleBinding | Kind::ClusterRoleBinding)
}

/// The lowered spec of a simulated object and its complete document, both defaulted.
fn spec_of(
    kind: Kind,
    meta: &ObjectMeta,
    value: Value,
    errors: &mut FieldErrors,
) -> Result<(Option<AnySpec>, Value), serde_json::Error> {
    /// `of!(Kind, |object| spec)`, or `of!(spec of Kind, |spec| lowered)` if only the spec matters.
    macro_rules! of {
        ($kind:ty, |$object:ident| $lowered:expr) => {{
            let ($object, document) = defaulted::<$kind>(value, errors)?;
            (AnySpec::from($lowered), document)
        }};
        (spec of $kind:ty, |$spec:ident| $lowered:expr) => {{
            let (object, document) = defaulted::<$kind>(value, errors)?;
            let $spec = object.spec.unwrap_or_default();
            (AnySpec::from($lowered), document)
        }};
    }
    let (spec, document) = match kind {
        Kind::Pod => of!(core::Pod, |pod| {
            let spec = pod.spec.unwrap_or_default();
            let template = pod_template(Some(&pod.metadata), &spec, &FieldPath::ROOT, errors);
            AnySpec::Pod(Box::new(template))
        }),
        Kind::Deployment => of!(spec of apps::Deployment, |spec| deployment_spec(&spec, errors)),
        Kind::ReplicaSet => of!(spec of apps::ReplicaSet, |spec| replica_set_spec(&spec, errors)),
        Kind::StatefulSet => {
            of!(spec of apps::StatefulSet, |spec| stateful_set_spec(&spec, errors))
        }
        Kind::DaemonSet => of!(spec of apps::DaemonSet, |spec| daemon_set_spec(&spec, errors)),
        Kind::Job => {
            of!(spec of batch::Job, |spec| JobDraft::from(job_spec(&spec, &SPEC, errors)))
        }
        Kind::CronJob => of!(batch::CronJob, |object| cron_job_spec(&object.spec, errors)),
        Kind::Service => of!(spec of core::Service, |spec| service_spec(&spec, errors)),
        Kind::Node => of!(core::Node, |object| AnySpec::Node(Box::new(node(&object, errors)))),
        Kind::Namespace => of!(core::Namespace, |_object| NamespaceSpec),
        Kind::PriorityClass => {
            of!(scheduling::PriorityClass, |class| priority_class(&class, meta.name(), errors))
        }
        Kind::ResourceQuota => {
            of!(spec of core::ResourceQuota, |spec| resource_quota(&spec, errors))
        }
        Kind::LimitRange => of!(spec of core::LimitRange, |spec| limit_range(&spec, errors)),
        Kind::ServiceAccount => of!(core::ServiceAccount, |_object| ServiceAccountSpec),
        Kind::PodDisruptionBudget => {
            of!(spec of PdbObject, |spec| disruption_budget(&spec, errors))
        }
        Kind::NetworkPolicy => {
            of!(spec of NetworkPolicy, |spec| network_policy_spec(&spec, errors))
        }
        Kind::ConfigMap => of!(core::ConfigMap, |map| {
            let mut names = keys(map.data.as_ref());
            names.append(&mut keys(map.binary_data.as_ref()));
            ConfigMapSpec { keys: names }
        }),
        Kind::Secret => of!(core::Secret, |secret| {
            let secret_type = secret.type_.unwrap_or_default().into();
            SecretSpec { keys: keys(secret.data.as_ref()), secret_type }
        }),
        Kind::PersistentVolumeClaim => {
            of!(spec of core::PersistentVolumeClaim, |spec| {
                ClaimContent::from(claim(&spec, &SPEC, errors))
            })
        }
        Kind::PersistentVolume => {
            of!(spec of core::PersistentVolume, |spec| persistent_volume(&spec, &SPEC, errors))
        }
        Kind::StorageClass => of!(StorageClass, |class| storage_class(&class)),
        Kind::CSINode => of!(CSINode, |node| csi_node(&node)),
        _ => return custom_spec_of(kind, meta, value, errors),
    };
    Ok((Some(spec), document))
}

/// The same for kinds of other projects, of which the API server completes nothing.
fn custom_spec_of(
    kind: Kind,
    meta: &ObjectMeta,
    value: Value,
    errors: &mut FieldErrors,
) -> Result<(Option<AnySpec>, Value), serde_json::Error> {
    let spec: AnySpec = match kind {
        Kind::VerticalPodAutoscaler => vpa_spec(&Deserialize::deserialize(&value)?, errors).into(),
        Kind::ScaledObject => {
            scaled_object_spec(meta, &Deserialize::deserialize(&value)?, errors).into()
        }
        Kind::ScaledJob => {
            let (spec, document) = scaled_job(meta, value, errors)?;
            return Ok((Some(spec.into()), document));
        }
        Kind::Rollout => {
            let (spec, document) = rollout(meta, value, errors)?;
            return Ok((Some(spec.into()), document));
        }
        Kind::AnalysisTemplate => {
            let template: AnalysisTemplate = Deserialize::deserialize(&value)?;
            analysis_template(&template.spec, errors).into()
        }
        Kind::ClusterAnalysisTemplate => {
            let template: ClusterAnalysisTemplate = Deserialize::deserialize(&value)?;
            ClusterAnalysisTemplateSpec(analysis_template(&template.spec, errors)).into()
        }
        Kind::ResourceFlavor => resource_flavor(&Deserialize::deserialize(&value)?, errors).into(),
        Kind::ClusterQueue => cluster_queue(&Deserialize::deserialize(&value)?, errors).into(),
        Kind::LocalQueue => local_queue(&Deserialize::deserialize(&value)?, errors).into(),
        Kind::WorkloadPriorityClass => {
            workload_priority_class(&Deserialize::deserialize(&value)?).into()
        }
        Kind::PodAutoscaler => {
            pod_autoscaler_spec(meta, &Deserialize::deserialize(&value)?, errors).into()
        }
        _ => return Ok((None, value)),
    };
    Ok((Some(spec), value))
}

/// An HPA of any version, and its document in the current version.
fn hpa(
    mut value: Value,
    control_plane: ControlPlane,
    errors: &mut FieldErrors,
) -> (Option<AnySpec>, Value) {
    let api_version = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    match read_hpa(api_version, &value, control_plane.hpa_scale_to_zero) {
        Ok((spec, lean)) => {
            value["apiVersion"] = "autoscaling/v2".into();
            value["spec"] = serde_json::to_value(spec).unwrap_or_default();
            drop_conversion_annotations(&mut value);
            (Some(lean.into()), value)
        }
        Err(problems) => {
            errors.append(problems);
            (None, value)
        }
    }
}

/// The typed, defaulted and validated object, and its document as the API server would print it.
fn defaulted<T: SetDefaults + Validate>(
    value: Value,
    errors: &mut FieldErrors,
) -> Result<(T, Value), serde_json::Error> {
    let mut object: T = serde_json::from_value(value)?;
    object.set_defaults();
    let mut rules = FieldErrors::default();
    object.validate(&mut rules);
    errors.append_rules(rules);
    let document = serde_json::to_value(&object)?;
    Ok((object, document))
}
