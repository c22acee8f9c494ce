//! How a person names an object: `Deployment/ai-agents/ai-agent`, or `ai-agents/ai-agent` where the
//! kind is plain. Looks nothing up: that is for those who hold the objects.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::meta::{Name, NamespacedName};

/// An object by kind, namespace and name, written `Kind/namespace/name`; without a namespace it is
/// in `default`. The kind may be written as kubectl takes it: `deploy`, `deployments`, `Deployment`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectReference {
    /// The kind, spelled as in a manifest.
    pub kind: Name,
    /// Namespace and name; cluster-scoped kinds have an empty namespace.
    pub id: NamespacedName,
}

/// A Service, written `namespace/name`, or `name` alone where the namespace is `default`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceReference(pub NamespacedName);

/// Why a text names no object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceError {
    text: String,
    form: &'static str,
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} names no object; write {}", self.text, self.form)
    }
}

impl std::error::Error for ReferenceError {}

/// Kinds with kubectl's short names; the last field says whether they live in a namespace.
const KINDS: [(&str, &str, bool); 23] = [
    ("Deployment", "deploy", true),
    ("ReplicaSet", "rs", true),
    ("StatefulSet", "sts", true),
    ("DaemonSet", "ds", true),
    ("Job", "job", true),
    ("CronJob", "cj", true),
    ("Pod", "po", true),
    ("Service", "svc", true),
    ("HorizontalPodAutoscaler", "hpa", true),
    ("ScaledObject", "so", true),
    ("VerticalPodAutoscaler", "vpa", true),
    ("PodDisruptionBudget", "pdb", true),
    ("ConfigMap", "cm", true),
    ("Secret", "secret", true),
    ("ServiceAccount", "sa", true),
    ("ResourceQuota", "quota", true),
    ("LimitRange", "limits", true),
    ("PersistentVolumeClaim", "pvc", true),
    ("Ingress", "ing", true),
    ("Node", "no", false),
    ("Namespace", "ns", false),
    ("PriorityClass", "pc", false),
    ("PersistentVolume", "pv", false),
];

const OBJECT_FORM: &str = "Kind/namespace/name, such as Deployment/ai-agents/ai-agent";
const SERVICE_FORM: &str = "namespace/name of a Service, such as ai-agents/ai-agent";

impl FromStr for ObjectReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let parts: Vec<&str> = text.split('/').collect();
        let (kind, namespace, name) = match parts[..] {
            [kind, name] => (kind, "default", name),
            [kind, namespace, name] => (kind, namespace, name),
            _ => ("", "", ""),
        };
        if kind.is_empty() || namespace.is_empty() || name.is_empty() {
            return Err(ReferenceError { text: text.to_owned(), form: OBJECT_FORM });
        }
        let (kind, is_namespaced) = canonical_kind(kind);
        let namespace = if is_namespaced { namespace } else { "" };
        Ok(Self { kind: kind.into(), id: NamespacedName::new(namespace, name) })
    }
}

impl FromStr for ServiceReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (namespace, name) = text.split_once('/').unwrap_or(("default", text));
        if namespace.is_empty() || name.is_empty() || name.contains('/') {
            return Err(ReferenceError { text: text.to_owned(), form: SERVICE_FORM });
        }
        Ok(Self(NamespacedName::new(namespace, name)))
    }
}

/// The kind as manifests spell it, and whether it lives in a namespace; kinds that are not known
/// stay as they are.
fn canonical_kind(kind: &str) -> (&str, bool) {
    let wanted = kind.to_ascii_lowercase();
    KINDS
        .iter()
        .find(|(name, short, _)| {
            let singular = name.to_ascii_lowercase();
            wanted == *short || wanted == singular || wanted == plural(&singular)
        })
        .map_or((kind, true), |(name, _, is_namespaced)| (name, *is_namespaced))
}

/// The resource name of a kind in lower case, as the API server forms it.
fn plural(singular: &str) -> String {
    match singular.strip_suffix('s') {
        Some(_) => format!("{singular}es"),
        None => format!("{singular}s"),
    }
}

impl fmt::Display for ObjectReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

impl fmt::Display for ServiceReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! text_form {
    ($name:ident, $schema_name:literal, $description:expr) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $schema_name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $description })
            }
        }
    };
}

text_form!(
    ObjectReference,
    "ObjectReference",
    "An object as Kind/namespace/name, such as Deployment/ai-agents/ai-agent; without a namespace \
     it is in `default`."
);
text_form!(
    ServiceReference,
    "ServiceReference",
    "A Service as namespace/name, such as ai-agents/ai-agent; without a namespace it is in `default`."
);

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        text.parse::<ObjectReference>().expect("a valid reference").to_string()
    }

    #[test]
    fn objects_are_named_as_kubectl_names_them() {
        for (text, expected) in [
            ("Deployment/ai-agents/ai-agent", "Deployment/ai-agents/ai-agent"),
            ("deploy/web", "Deployment/default/web"),
            ("statefulsets/db/postgres", "StatefulSet/db/postgres"),
            ("ingresses/shop/front", "Ingress/shop/front"),
            ("no/general-1", "Node/general-1"),
            ("Rollout/shop/front", "Rollout/shop/front"),
        ] {
            assert_eq!(canonical(text), expected);
        }
        for text in ["", "web", "a/b/c/d", "Deployment//web", "/a/b", "Deployment/a/"] {
            assert!(text.parse::<ObjectReference>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_service_without_a_namespace_is_in_the_default_one() {
        let service: ServiceReference = "web".parse().expect("a valid reference");
        assert_eq!(service.to_string(), "default/web");
        for text in ["", "/web", "a/", "a/b/c"] {
            assert!(text.parse::<ServiceReference>().is_err(), "{text:?}");
        }
    }
}
