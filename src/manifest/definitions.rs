//! The fields of all types that the kinds use, as JSON Schemas.
//!
//! Those of Kubernetes 1.36 are stored as data, generated from k8s-openapi (`data/generator`): they
//! only change with the Kubernetes version, so builds need not compile them. Those of custom kinds
//! are derived from the types that parse them.

use std::borrow::Cow;
use std::sync::LazyLock;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

use super::analysis_template::{AnalysisTemplate, ClusterAnalysisTemplate};
use super::http_route::HttpRoute;
use super::karpenter::{Ec2NodeClass, KwokNodeClass, NodePool};
use super::kueue::{ClusterQueue, LocalQueue, ResourceFlavor, WorkloadPriorityClass};
use super::pod_autoscaler::PodAutoscaler;
use super::rollout::Rollout;
use super::scaled_job::ScaledJob;
use super::scaled_object::ScaledObject;
use super::vpa::VerticalPodAutoscaler;

const KUBERNETES_FIELDS: &str = include_str!("data/kubernetes_fields.json");

/// The schemas of all types, by type name.
pub(super) static DEFINITIONS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let mut definitions: Map<String, Value> =
        serde_json::from_str(KUBERNETES_FIELDS).expect("the generator prints a map");
    let mut generator = SchemaGenerator::default();
    let _ = generator.subschema_for::<VerticalPodAutoscaler>();
    let _ = generator.subschema_for::<ScaledObject>();
    let _ = generator.subschema_for::<ScaledJob>();
    let _ = generator.subschema_for::<ResourceFlavor>();
    let _ = generator.subschema_for::<ClusterQueue>();
    let _ = generator.subschema_for::<LocalQueue>();
    let _ = generator.subschema_for::<WorkloadPriorityClass>();
    let _ = generator.subschema_for::<PodAutoscaler>();
    let _ = generator.subschema_for::<Rollout>();
    let _ = generator.subschema_for::<AnalysisTemplate>();
    let _ = generator.subschema_for::<ClusterAnalysisTemplate>();
    let _ = generator.subschema_for::<HttpRoute>();
    let _ = generator.subschema_for::<NodePool>();
    let _ = generator.subschema_for::<Ec2NodeClass>();
    let _ = generator.subschema_for::<KwokNodeClass>();
    let mut custom = generator.take_definitions(true);
    custom.values_mut().for_each(leave_out_null);
    definitions.append(&mut custom);
    definitions
});

/// Removes null as an alternative, to match the Kubernetes schemas, in which optional fields are
/// absent rather than null.
fn leave_out_null(schema: &mut Value) {
    let is_null = |schema: &Value| schema.get("type").is_some_and(|one| one == "null");
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Array(types)) = fields.get_mut("type") {
                types.retain(|one| one != "null");
                if let Some(only) = types.pop() {
                    fields.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = fields.get("anyOf")
                && choices.iter().any(is_null)
                && let Some(Value::Object(only)) =
                    choices.iter().find(|choice| !is_null(choice)).cloned()
            {
                fields.remove("anyOf");
                fields.extend(only);
            }
            fields.values_mut().for_each(leave_out_null);
        }
        Value::Array(values) => values.iter_mut().for_each(leave_out_null),
        _ => {}
    }
}

/// A type that can be parsed on its own, outside of loaded objects.
pub trait Defined {
    /// Its name in the definitions.
    const TYPE_NAME: &'static str;
}

macro_rules! defined {
    ($($type:ty, $name:literal;)*) => {
        $(impl Defined for $type {
            const TYPE_NAME: &'static str = $name;
        })*

        #[cfg(test)]
        const READ_BY_THEMSELVES: &[&str] = &[$($name),*];
    };
}

defined! {
    core::Node, "io.k8s.api.core.v1.Node";
    core::PodTemplateSpec, "io.k8s.api.core.v1.PodTemplateSpec";
    core::Service, "io.k8s.api.core.v1.Service";
    meta::ObjectMeta, "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    Ingress, "io.k8s.api.networking.v1.Ingress";
    IngressClass, "io.k8s.api.networking.v1.IngressClass";
    HttpRoute, "HTTPRoute";
    NodePool, "NodePool";
    Ec2NodeClass, "EC2NodeClass";
    KwokNodeClass, "KWOKNodeClass";
}

/// Kubernetes types used by custom kinds; their fields are in the generated data.
macro_rules! of_kubernetes {
    ($($name:ident $definition:literal;)*) => {$(
        #[doc = concat!("Stands for `", $definition, "` where a custom kind derives its schema.")]
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $definition.into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"$ref": concat!("#/$defs/", $definition)})
            }
        }
    )*};
}

of_kubernetes! {
    ObjectMetaFields "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    LabelSelectorFields "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector";
    PodTemplateFields "io.k8s.api.core.v1.PodTemplateSpec";
    IntOrStringFields "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
    QuantityFields "io.k8s.apimachinery.pkg.api.resource.Quantity";
    TaintFields "io.k8s.api.core.v1.Taint";
    TolerationFields "io.k8s.api.core.v1.Toleration";
    JobSpecFields "io.k8s.api.batch.v1.JobSpec";
    BehaviorFields "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerBehavior";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    found.push(reference.clone());
                }
                fields.values().for_each(|schema| references(schema, found));
            }
            Value::Array(values) => values.iter().for_each(|schema| references(schema, found)),
            _ => {}
        }
    }

    #[test]
    fn types_that_are_read_by_themselves_are_defined() {
        for name in READ_BY_THEMSELVES {
            assert!(DEFINITIONS.contains_key(*name), "{name} is not defined");
        }
    }

    #[test]
    fn every_type_that_a_field_names_is_defined() {
        let mut found = Vec::new();
        DEFINITIONS.values().for_each(|schema| references(schema, &mut found));
        assert!(found.len() > 400, "the walk finds the references");
        for reference in found {
            let name = reference.strip_prefix("#/$defs/").unwrap();
            assert!(DEFINITIONS.contains_key(name), "{name} is not defined");
        }
    }
}
