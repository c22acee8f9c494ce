//! References to objects as written by users: `Deployment/ai-agents/ai-agent`, or `ai-agents/ai-agent` where the kind
//! is implied. Performs no lookups.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::kind::Kind;
use super::meta::{Name, NamespacedName};

/// An object by kind, namespace and name, written `Kind/namespace/name`; without a namespace it is
/// in `default`. The kind may be written as kubectl takes it: `deploy`, `deployments`, `Deployment`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectReference {
    /// The kind.
    pub kind: Kind,
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
    problem: String,
}

impl ReferenceError {
    fn of_form(text: &str, form: &str) -> Self {
        Self { text: text.to_owned(), problem: format!("does not name an object; write {form}") }
    }

    fn unknown_kind(text: &str, kind: &str) -> Self {
        Self {
            text: text.to_owned(),
            problem: format!("does not name an object: unknown kind {kind:?}"),
        }
    }
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.text, self.problem)
    }
}

impl std::error::Error for ReferenceError {}

const OBJECT_FORM: &str = "Kind/namespace/name, such as Deployment/ai-agents/ai-agent";
const SERVICE_FORM: &str = "namespace/name of a Service, such as ai-agents/ai-agent";

impl ObjectReference {
    /// A reference to an object; that of a cluster-scoped kind has no namespace.
    pub fn new(kind: Kind, namespace: impl Into<Name>, name: impl Into<Name>) -> Self {
        let namespace = if kind.is_namespaced() { namespace.into() } else { "".into() };
        Self { kind, id: NamespacedName { namespace, name: name.into() } }
    }
}

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
            return Err(ReferenceError::of_form(text, OBJECT_FORM));
        }
        let Some(kind) = Kind::named(kind) else {
            return Err(ReferenceError::unknown_kind(text, kind));
        };
        Ok(Self::new(kind, namespace, name))
    }
}

impl FromStr for ServiceReference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (namespace, name) = text.split_once('/').unwrap_or(("default", text));
        if namespace.is_empty() || name.is_empty() || name.contains('/') {
            return Err(ReferenceError::of_form(text, SERVICE_FORM));
        }
        Ok(Self(NamespacedName::new(namespace, name)))
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
