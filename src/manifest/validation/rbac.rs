//! Roles and bindings (`pkg/apis/rbac/validation`).

use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};

use super::super::field::{FieldErrors, FieldPath};
use super::super::selector::label_selector;
use super::{Validate, subdomain};

const GROUP: &str = "rbac.authorization.k8s.io";
const RULES: FieldPath<'static> = FieldPath::ROOT.field("rules");

/// A name that can be part of a path (`IsPathSegmentName`): roles have no other rule.
pub(in super::super) fn path_segment(name: &str, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if matches!(name, "." | "..") {
        errors.invalid(path, name, format!("may not be '{name}'"));
    }
    for part in ["/", "%"] {
        if name.contains(part) {
            errors.invalid(path, name, format!("may not contain '{part}'"));
        }
    }
}

impl Validate for Role {
    fn validate(&self, errors: &mut FieldErrors) {
        for (index, rule) in self.rules.iter().flatten().enumerate() {
            policy_rule(rule, true, &RULES.item(index), errors);
        }
    }
}

impl Validate for ClusterRole {
    fn validate(&self, errors: &mut FieldErrors) {
        for (index, rule) in self.rules.iter().flatten().enumerate() {
            policy_rule(rule, false, &RULES.item(index), errors);
        }
        let Some(aggregation) = &self.aggregation_rule else { return };
        let at = FieldPath::ROOT.field("aggregationRule");
        let at = at.field("clusterRoleSelectors");
        let selectors = aggregation.cluster_role_selectors.as_deref().unwrap_or_default();
        if selectors.is_empty() {
            let why = "at least one clusterRoleSelector required if aggregationRule is non-nil";
            errors.required(&at, why);
        }
        for (index, selector) in selectors.iter().enumerate() {
            label_selector(selector, &at.item(index), errors);
        }
    }
}

impl Validate for RoleBinding {
    fn validate(&self, errors: &mut FieldErrors) {
        binding(&self.role_ref, &["Role", "ClusterRole"], errors);
        subjects(self.subjects.as_deref(), true, errors);
    }
}

impl Validate for ClusterRoleBinding {
    fn validate(&self, errors: &mut FieldErrors) {
        binding(&self.role_ref, &["ClusterRole"], errors);
        subjects(self.subjects.as_deref(), false, errors);
    }
}

/// `ValidatePolicyRule`.
fn policy_rule(
    rule: &PolicyRule,
    is_namespaced: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let is_empty = |list: Option<&Vec<String>>| list.is_none_or(Vec::is_empty);
    if rule.verbs.is_empty() {
        errors.required(&path.field("verbs"), "verbs must contain at least one value");
    }
    let groups = rule.api_groups.as_ref();
    let resources = rule.resources.as_ref();
    if let Some(urls) = rule.non_resource_urls.as_ref().filter(|urls| !urls.is_empty()) {
        let at = path.field("nonResourceURLs");
        if is_namespaced {
            let rule = "namespaced rules cannot apply to non-resource URLs";
            errors.invalid(&at, urls, rule);
        }
        if ![groups, resources, rule.resource_names.as_ref()].into_iter().all(is_empty) {
            let rule = "rules cannot apply to both regular resources and non-resource URLs";
            errors.invalid(&at, urls, rule);
        }
        return;
    }
    if is_empty(groups) {
        let why = "resource rules must supply at least one api group";
        errors.required(&path.field("apiGroups"), why);
    }
    if is_empty(resources) {
        let why = "resource rules must supply at least one resource";
        errors.required(&path.field("resources"), why);
    }
}

/// The role of a binding. Without a group it is that of RBAC, by default.
fn binding(role: &RoleRef, kinds: &[&str], errors: &mut FieldErrors) {
    let at = FieldPath::ROOT.field("roleRef");
    let group = role.api_group.as_deref().unwrap_or_default();
    if !["", GROUP].contains(&group) {
        errors.not_supported(&at.field("apiGroup"), group, &[GROUP]);
    }
    if !kinds.contains(&role.kind.as_str()) {
        errors.not_supported(&at.field("kind"), &role.kind, kinds);
    }
    if role.name.is_empty() {
        errors.required(&at.field("name"), "");
    } else {
        path_segment(&role.name, &at.field("name"), errors);
    }
}

/// `ValidateRoleBindingSubject`.
fn subjects(subjects: Option<&[Subject]>, is_namespaced: bool, errors: &mut FieldErrors) {
    let list = FieldPath::ROOT.field("subjects");
    for (index, subject) in subjects.unwrap_or_default().iter().enumerate() {
        let at = list.item(index);
        let group = subject.api_group.as_deref().unwrap_or_default();
        let at_name = at.field("name");
        if subject.name.is_empty() {
            errors.required(&at_name, "");
        }
        match subject.kind.as_str() {
            "ServiceAccount" => {
                if !subject.name.is_empty() {
                    subdomain(&subject.name, &at_name, errors);
                }
                if !group.is_empty() {
                    errors.not_supported(&at.field("apiGroup"), group, &[""]);
                }
                if !is_namespaced && subject.namespace.as_deref().is_none_or(str::is_empty) {
                    errors.required(&at.field("namespace"), "");
                }
            }
            "User" | "Group" if ["", GROUP].contains(&group) => {}
            "User" | "Group" => errors.not_supported(&at.field("apiGroup"), group, &[GROUP]),
            other => {
                let kinds = ["ServiceAccount", "User", "Group"];
                errors.not_supported(&at.field("kind"), other, &kinds);
            }
        }
    }
}
