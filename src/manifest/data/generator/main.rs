//! Prints the fields of all supported kinds in the format of `src/manifest/data/kubernetes_fields.json`:
//! the JSON Schemas of k8s-openapi, reduced to the keywords that checks use.
//!
//! Run `cargo run -p wavetank-kubernetes-fields > src/manifest/data/kubernetes_fields.json` after a
//! change of the Kubernetes version or of the kinds below. Ordinary builds therefore need not compile
//! these schemas, which only change with that version.
#![expect(clippy::print_stdout, reason = "printing is all it does")]

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::{v1, v2};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use schemars::SchemaGenerator;
use serde_json::{Map, Value};

fn main() {
    print!("{}", kubernetes_fields());
}

/// The file's content: a line per type, in the order in which the kinds refer to them.
fn kubernetes_fields() -> String {
    let lines: Vec<String> = definitions()
        .into_iter()
        .map(|(name, schema)| format!("{}: {}", Value::from(name), trimmed(schema, false)))
        .collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

/// The schemas of all types used by the kinds, by type name.
fn definitions() -> Map<String, Value> {
    let mut generator = SchemaGenerator::default();
    macro_rules! define {
        ($($kind:ty),* $(,)?) => { $(let _ = generator.subschema_for::<$kind>();)* };
    }
    define![core::Pod, core::Node, core::Namespace, core::Service, core::ServiceAccount];
    define![core::ConfigMap, core::Secret, core::ResourceQuota, core::LimitRange];
    define![core::PersistentVolumeClaim, core::PersistentVolume, StorageClass, PriorityClass];
    define![Deployment, ReplicaSet, StatefulSet, DaemonSet, Job, CronJob, PodDisruptionBudget];
    define![v1::HorizontalPodAutoscaler, v2::HorizontalPodAutoscaler, Ingress, IngressClass];
    define![NetworkPolicy, CSINode];
    generator.take_definitions(true)
}

/// A schema reduced to the keywords that `manifest::schema` reads. Only required fields keep their
/// description, shortened to the first sentence, which is quoted when the field is missing.
fn trimmed(schema: Value, is_required: bool) -> Value {
    let Value::Object(keywords) = schema else { return schema };
    let required = keywords.get("required").cloned().unwrap_or_default();
    let requires = |field: &str| {
        required.as_array().is_some_and(|fields| fields.iter().any(|one| one == field))
    };
    let mut kept = Map::new();
    for (keyword, value) in keywords {
        let value = match keyword.as_str() {
            "type" | "format" | "required" | "$ref" | "x-kubernetes-int-or-string" => value,
            "items" | "additionalProperties" => trimmed(value, false),
            "properties" => fields(value, requires),
            "description" if is_required => {
                Value::from(first_sentence(value.as_str().unwrap_or_default()))
            }
            _ => continue,
        };
        kept.insert(keyword, value);
    }
    Value::Object(kept)
}

fn fields(properties: Value, is_required: impl Fn(&str) -> bool) -> Value {
    let Value::Object(properties) = properties else { return properties };
    let trimmed = properties.into_iter().map(|(field, schema)| {
        let required = is_required(&field);
        (field, trimmed(schema, required))
    });
    Value::Object(trimmed.collect())
}

fn first_sentence(description: &str) -> &str {
    let sentence = description.split_once(". ").map_or(description, |(sentence, _)| sentence);
    sentence.strip_suffix('.').unwrap_or(sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_what_this_prints() {
        let file = include_str!("../kubernetes_fields.json");
        let how =
            "cargo run -p wavetank-kubernetes-fields > src/manifest/data/kubernetes_fields.json";
        assert!(kubernetes_fields() == file, "the fields have changed: {how}");
    }
}
