//! ResourceQuotas of the API to those of `cluster`.

use k8s_openapi::api::core::v1 as core;

use super::field::{FieldErrors, FieldPath};
use super::object_meta::namespaced;
use super::resources::resource_list;
use crate::cluster::quota::ResourceQuota;

/// A ResourceQuota, ready to be created.
pub fn resource_quota(quota: &core::ResourceQuota, errors: &mut FieldErrors) -> ResourceQuota {
    let hard = quota.spec.as_ref().and_then(|spec| spec.hard.as_ref());
    let path = FieldPath::ROOT.field("spec");
    ResourceQuota {
        meta: namespaced(&quota.metadata, errors),
        hard: resource_list(hard, &path.field("hard"), errors),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_limits_what_it_names() {
        let mut errors = FieldErrors::default();
        let typed: core::ResourceQuota = serde_json::from_str(
            r#"{"metadata":{"name":"q","namespace":"shop"},
                "spec":{"hard":{"requests.cpu":"4","pods":"10","limits.memory":"-1"}}}"#,
        )
        .unwrap();
        let quota = resource_quota(&typed, &mut errors);
        assert_eq!(quota.meta.id.to_string(), "shop/q");
        assert_eq!(quota.hard.get("requests.cpu").unwrap().to_string(), "4");
        let problems = errors.into_vec();
        assert_eq!(problems[0].path, "spec.hard[limits.memory]");
        assert_eq!(problems.len(), 1);
    }
}
