//! `metadata` of the API to that of `cluster`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

use super::field::{FieldErrors, FieldPath};
use super::pod::pairs;
use crate::cluster::ObjectMeta;

/// The namespace of objects that name none.
pub(super) const DEFAULT_NAMESPACE: &str = "default";

/// Metadata of an object that lives in a namespace.
pub(super) fn namespaced(metadata: &meta::ObjectMeta, errors: &mut FieldErrors) -> ObjectMeta {
    let namespace = metadata.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    let namespace = namespace.unwrap_or(DEFAULT_NAMESPACE);
    ObjectMeta {
        labels: pairs(metadata.labels.as_ref()),
        annotations: pairs(metadata.annotations.as_ref()),
        ..ObjectMeta::new(namespace, required_name(metadata, errors))
    }
}

/// The name of an object that needs one.
pub(super) fn required_name<'a>(
    metadata: &'a meta::ObjectMeta,
    errors: &mut FieldErrors,
) -> &'a str {
    let name = metadata.name.as_deref().unwrap_or_default();
    if name.is_empty() {
        let at = FieldPath::ROOT.field("metadata");
        errors.push(&at.field("name"), "is required");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_without_a_namespace_is_in_the_default_one() {
        let mut errors = FieldErrors::default();
        let name = |namespace: Option<&str>| meta::ObjectMeta {
            name: Some("a".to_owned()),
            namespace: namespace.map(ToOwned::to_owned),
            ..meta::ObjectMeta::default()
        };
        assert_eq!(namespaced(&name(None), &mut errors).id.to_string(), "default/a");
        assert_eq!(namespaced(&name(Some("")), &mut errors).id.to_string(), "default/a");
        assert_eq!(namespaced(&name(Some("shop")), &mut errors).id.to_string(), "shop/a");
        assert!(errors.is_empty());
        namespaced(&meta::ObjectMeta::default(), &mut errors);
        assert_eq!(errors.into_vec()[0].to_string(), "metadata.name: is required");
    }
}
