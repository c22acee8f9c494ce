//! Namespaces of the API to those of `cluster`.

use k8s_openapi::api::core::v1 as core;

use super::field::FieldErrors;
use super::object_meta::required_name;
use super::pod::pairs;
use crate::cluster::policy::Namespace;
use crate::cluster::{Labels, Name};

/// Label that the API server sets on every namespace to its name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// A Namespace.
pub fn namespace(namespace: &core::Namespace, errors: &mut FieldErrors) -> Namespace {
    let name = required_name(&namespace.metadata, errors);
    labelled(name.into(), &pairs(namespace.metadata.labels.as_ref()))
}

/// A Namespace that was made with nothing but its name.
pub fn plain_namespace(name: &Name) -> Namespace {
    labelled(name.clone(), &Labels::default())
}

fn labelled(name: Name, labels: &Labels) -> Namespace {
    Namespace { labels: labels.with(NAME_LABEL, name.clone()), name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_carries_its_name_as_a_label() {
        let typed: core::Namespace = serde_json::from_str(
            r#"{"metadata":{"name":"shop","labels":{"team":"a","kubernetes.io/metadata.name":"x"}}}"#,
        )
        .unwrap();
        let namespace = namespace(&typed, &mut FieldErrors::default());
        assert_eq!(namespace.labels.get(NAME_LABEL), Some(&namespace.name));
        assert_eq!(namespace.labels.get("team").map(AsRef::as_ref), Some("a"));
        assert_eq!(plain_namespace(&namespace.name).labels.len(), 1);
    }

    #[test]
    fn a_namespace_needs_a_name() {
        let mut errors = FieldErrors::default();
        namespace(&core::Namespace::default(), &mut errors);
        assert_eq!(errors.into_vec()[0].to_string(), "metadata.name: is required");
    }
}
