//! Converts LimitRanges of the API to those of `cluster`, validated like in the API server
//! (`ValidateLimitRange`, 1.36).

use k8s_openapi::api::core::v1 as core;

use super::field::{FieldErrors, FieldPath};
use super::resources::resource_list;
use cluster::limit_range::{LimitRangeItem, LimitRangeSpec, LimitType};

/// A LimitRange.
pub(super) fn limit_range(spec: &core::LimitRangeSpec, errors: &mut FieldErrors) -> LimitRangeSpec {
    let path = FieldPath::ROOT.field("spec");
    let list = path.field("limits");
    let mut limits = Vec::new();
    let mut kinds = Vec::new();
    for (index, item) in spec.limits.iter().enumerate() {
        let at = list.item(index);
        let limit_type = match item.type_.as_str() {
            "Pod" => Some(LimitType::Pod),
            "Container" => Some(LimitType::Container),
            "PersistentVolumeClaim" => Some(LimitType::PersistentVolumeClaim),
            _ => None,
        };
        let lowered = limit_range_item(item, limit_type.unwrap_or_default(), &at, errors);
        if kinds.contains(&item.type_) {
            errors.push(&at.field("type"), format!("Duplicate value: \"{}\"", item.type_));
        }
        kinds.push(item.type_.clone());
        if limit_type.is_some() {
            limits.push(lowered);
        }
    }
    LimitRangeSpec { limits }
}

fn limit_range_item(
    item: &core::LimitRangeItem,
    limit_type: LimitType,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> LimitRangeItem {
    let mut read = |amounts, field| resource_list(amounts, &path.field(field), errors);
    let max = read(item.max.as_ref(), "max");
    let min = read(item.min.as_ref(), "min");
    let default_limits = read(item.default.as_ref(), "default");
    let default_requests = read(item.default_request.as_ref(), "defaultRequest");
    let ratio = read(item.max_limit_request_ratio.as_ref(), "maxLimitRequestRatio");
    let has_defaults = !(default_limits.is_empty() && default_requests.is_empty());
    if has_defaults && item.type_ != "Container" {
        let rule = format!("Forbidden: may not be specified when `type` is '{}'", item.type_);
        errors.push(&path.field("default"), rule);
    }
    if item.type_ == "PersistentVolumeClaim"
        && min.get("storage").is_none()
        && max.get("storage").is_none()
    {
        let rule = "either minimum or maximum storage value is required, but neither was provided";
        errors.required(&path.field("limits"), rule);
    }
    LimitRangeItem {
        limit_type,
        max,
        min,
        default_limits,
        default_requests,
        max_limit_request_ratio: ratio,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::defaults::SetDefaults;
    use cluster::pod_template::ResourceList;
    use serde_json::{Value, json};

    fn lowered(limits: &Value) -> (LimitRangeSpec, Vec<String>) {
        let object = json!({ "spec": { "limits": limits } });
        let mut object: core::LimitRange = serde_json::from_value(object).expect("a LimitRange");
        object.set_defaults();
        let mut errors = FieldErrors::default();
        let range = limit_range(&object.spec.expect("a spec"), &mut errors);
        (range, errors.into_vec().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_default_is_the_maximum_and_a_default_request_the_default_unless_they_are_given() {
        let (range, errors) = lowered(&json!([
            {"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "64Mi"}},
            {"type": "PersistentVolumeClaim", "max": {"storage": "2Gi"}},
        ]));
        assert!(errors.is_empty(), "{errors:?}");
        let types: Vec<LimitType> = range.limits.iter().map(|item| item.limit_type).collect();
        assert_eq!(types, [LimitType::Container, LimitType::PersistentVolumeClaim]);
        let item = &range.limits[0];
        let shown = |list: &ResourceList| {
            list.iter().map(|(name, amount)| format!("{name}={amount}")).collect::<Vec<_>>()
        };
        assert_eq!(shown(&item.default_limits), ["cpu=2"]);
        assert_eq!(shown(&item.default_requests), ["cpu=2", "memory=64Mi"]);
    }

    #[test]
    fn contradictions_are_told() {
        let (_, errors) = lowered(&json!([
            {"type": "Pod", "default": {"cpu": "1"}},
            {"type": "Pod"},
        ]));
        assert_eq!(errors.len(), 2, "{errors:?}");
    }
}
