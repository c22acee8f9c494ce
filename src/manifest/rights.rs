//! Access rights by the Roles, ClusterRoles and bindings of manifests (`plugin/pkg/auth/authorizer/rbac` and
//! `pkg/registry/rbac/validation`, 1.36), and the built-in ones.

mod builtin;

use std::fmt;

use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};

use super::diagnostic::{Diagnostic, Diagnostics};
use super::field::{FieldErrors, FieldPath};
use super::object::Manifest;
use super::selector::label_selector;
use cluster::{Kind, Labels};

/// Rights by role-based access control (RBAC).
#[derive(Debug, Default)]
pub struct Rights {
    roles: Vec<Role>,
    cluster_roles: Vec<ClusterRole>,
    bindings: Vec<RoleBinding>,
    cluster_bindings: Vec<ClusterRoleBinding>,
}

/// The user of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User name, as authenticated: `jane`, `system:serviceaccount:shop:web`.
    pub name: String,
    /// Its groups.
    pub groups: Vec<String>,
}

/// A request to be authorized.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The verb, such as `get`.
    pub verb: String,
    /// The resource or path.
    pub target: Target,
}

/// The resource or path of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Objects of the API.
    Resource {
        /// API group; empty for the core group.
        group: String,
        /// Plural name, such as `pods`.
        resource: String,
        /// Subresource, such as `log`; empty for none.
        subresource: String,
        /// Name of the object; empty for any.
        name: String,
        /// Namespace; empty for all namespaces, or for cluster-scoped resources.
        namespace: String,
    },
    /// A non-resource path of the API server, such as `/metrics`.
    Url(String),
}

/// The decision on a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// True if allowed.
    pub is_allowed: bool,
    /// The binding that allows it; empty if denied.
    pub reason: String,
    /// Bindings of the user to roles that do not exist.
    pub dangling: Vec<String>,
}

impl User {
    /// A user with the groups implied by its name: a ServiceAccount is in the groups of its namespace.
    pub fn named(name: &str, groups: &[String]) -> Self {
        let mut groups = groups.to_vec();
        if let Some(account) = name.strip_prefix("system:serviceaccount:") {
            groups.push("system:serviceaccounts".to_owned());
            if let Some((namespace, _)) = account.split_once(':') {
                groups.push(format!("system:serviceaccounts:{namespace}"));
            }
        }
        let last = match name {
            "system:anonymous" => "system:unauthenticated",
            _ => "system:authenticated",
        };
        groups.push(last.to_owned());
        Self { name: name.to_owned(), groups }
    }

    fn is(&self, subject: &Subject, namespace: &str) -> bool {
        match subject.kind.as_str() {
            "User" => self.name == subject.name,
            "Group" => self.groups.contains(&subject.name),
            "ServiceAccount" => {
                let own = subject.namespace.as_deref().filter(|one| !one.is_empty());
                let namespace = own.unwrap_or(namespace);
                !namespace.is_empty()
                    && self.name == format!("system:serviceaccount:{namespace}:{}", subject.name)
            }
            _ => false,
        }
    }
}

impl Rights {
    /// The rights of manifests and the built-in ones; invalid roles and bindings are errors.
    pub fn of(manifests: &[Manifest]) -> Result<Self, Diagnostics> {
        let mut rights = Self {
            cluster_roles: builtin::cluster_roles(),
            cluster_bindings: builtin::cluster_role_bindings(),
            ..Self::default()
        };
        let mut problems = Diagnostics::default();
        for manifest in manifests {
            if let Err(error) = rights.add(manifest) {
                let place = manifest.origin.place();
                problems.push(Diagnostic::error("rights", error.to_string()).at(place));
            }
        }
        if problems.has_errors() { Err(problems) } else { Ok(rights) }
    }

    fn add(&mut self, manifest: &Manifest) -> Result<(), serde_json::Error> {
        let value = manifest.value.clone();
        let namespace = Some(manifest.reference.id.namespace.to_string());
        match manifest.reference.kind {
            Kind::Role => {
                let mut role: Role = serde_json::from_value(value)?;
                role.metadata.namespace = namespace;
                self.roles.push(role);
            }
            Kind::RoleBinding => {
                let mut binding: RoleBinding = serde_json::from_value(value)?;
                binding.metadata.namespace = namespace;
                self.bindings.push(binding);
            }
            Kind::ClusterRole => {
                let role: ClusterRole = serde_json::from_value(value)?;
                self.cluster_roles.retain(|one| one.metadata.name != role.metadata.name);
                self.cluster_roles.push(role);
            }
            Kind::ClusterRoleBinding => {
                let binding: ClusterRoleBinding = serde_json::from_value(value)?;
                self.cluster_bindings.retain(|one| one.metadata.name != binding.metadata.name);
                self.cluster_bindings.push(binding);
            }
            _ => {}
        }
        Ok(())
    }

    /// The API server's message to a user without permission for a request (`NewForbidden` of `apimachinery/pkg/api/errors` and
    /// `ForbiddenErrorMessage` of `apiserver/pkg/endpoints/handlers/responsewriters`); `None` if it is permitted.
    pub fn forbidden(&self, user: &User, request: &Request) -> Option<String> {
        if self.answer(user, request).is_allowed {
            return None;
        }
        let User { name: user, .. } = user;
        let verb = &request.verb;
        let Target::Resource { group, resource, subresource, name, namespace } = &request.target
        else {
            let Target::Url(path) = &request.target else { return None };
            return Some(format!("forbidden: User {user:?} cannot {verb} path {path:?}"));
        };
        let dotted = if group.is_empty() { String::new() } else { format!(".{group}") };
        let named = if name.is_empty() { String::new() } else { format!(" {name:?}") };
        let of_part =
            if subresource.is_empty() { String::new() } else { format!("/{subresource}") };
        let place = match namespace.as_str() {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace {namespace:?}"),
        };
        Some(format!(
            "{resource}{dotted}{named} is forbidden: User {user:?} cannot {verb} resource \
             \"{resource}{of_part}\" in API group {group:?} {place}"
        ))
    }

    /// Decides whether a user may perform a request.
    pub fn answer(&self, user: &User, request: &Request) -> Decision {
        let mut dangling = Vec::new();
        for binding in &self.cluster_bindings {
            let source = Source::of_cluster(binding);
            if let Some(answer) = self.by_binding(user, request, &source, &mut dangling) {
                return Decision { dangling, ..answer };
            }
        }
        let namespace = match &request.target {
            Target::Resource { namespace, .. } => namespace.as_str(),
            Target::Url(_) => "",
        };
        let of_namespace = |binding: &&RoleBinding| {
            !namespace.is_empty() && binding.metadata.namespace.as_deref() == Some(namespace)
        };
        for binding in self.bindings.iter().filter(of_namespace) {
            let source = Source::of_namespace(binding, namespace);
            if let Some(answer) = self.by_binding(user, request, &source, &mut dangling) {
                return Decision { dangling, ..answer };
            }
        }
        Decision { is_allowed: false, reason: String::new(), dangling }
    }

    fn by_binding(
        &self,
        user: &User,
        request: &Request,
        source: &Source<'_>,
        dangling: &mut Vec<String>,
    ) -> Option<Decision> {
        let subject = source.subjects.iter().find(|one| user.is(one, source.namespace))?;
        let Some(rules) = self.rules(source.role, source.namespace) else {
            dangling.push(source.describe(subject));
            return None;
        };
        rules.iter().any(|rule| allows(rule, request)).then(|| Decision {
            is_allowed: true,
            reason: format!("RBAC: allowed by {}", source.describe(subject)),
            dangling: Vec::new(),
        })
    }

    /// The rules of a role; `None` if it does not exist.
    fn rules(&self, role: &RoleRef, namespace: &str) -> Option<Vec<PolicyRule>> {
        let is_it = |name: &Option<String>| name.as_deref() == Some(role.name.as_str());
        match role.kind.as_str() {
            "Role" => {
                let own = |one: &&Role| {
                    is_it(&one.metadata.name)
                        && one.metadata.namespace.as_deref() == Some(namespace)
                };
                let found = self.roles.iter().rev().find(own)?;
                Some(found.rules.clone().unwrap_or_default())
            }
            "ClusterRole" => {
                let found = self.cluster_roles.iter().find(|one| is_it(&one.metadata.name))?;
                Some(self.aggregated(found, &mut Vec::new()))
            }
            _ => None,
        }
    }

    /// The rules of a ClusterRole. An aggregated role has the rules of all roles matched by its selectors, which
    /// replace its own (`pkg/controller/clusterroleaggregation`).
    fn aggregated(&self, role: &ClusterRole, on_the_way: &mut Vec<String>) -> Vec<PolicyRule> {
        let name = role.metadata.name.clone().unwrap_or_default();
        let Some(aggregation) = &role.aggregation_rule else {
            return role.rules.clone().unwrap_or_default();
        };
        if on_the_way.contains(&name) {
            return Vec::new();
        }
        on_the_way.push(name.clone());
        let mut rules = Vec::new();
        for selector in aggregation.cluster_role_selectors.iter().flatten() {
            let selector = label_selector(selector, &FieldPath::ROOT, &mut FieldErrors::default());
            let is_selected = |other: &&ClusterRole| {
                let labels = other.metadata.labels.iter().flatten();
                let labels: Labels =
                    labels.map(|(key, value)| (key.as_str(), value.as_str())).collect();
                other.metadata.name.as_deref() != Some(&*name) && selector.matches(&labels)
            };
            for other in self.cluster_roles.iter().filter(is_selected) {
                rules.extend(self.aggregated(other, on_the_way));
            }
        }
        on_the_way.pop();
        rules
    }
}

/// A binding of either kind.
struct Source<'a> {
    kind: &'static str,
    name: &'a str,
    /// Empty for a ClusterRoleBinding.
    namespace: &'a str,
    role: &'a RoleRef,
    subjects: &'a [Subject],
}

impl<'a> Source<'a> {
    fn of_cluster(binding: &'a ClusterRoleBinding) -> Self {
        Self {
            kind: "ClusterRoleBinding",
            name: binding.metadata.name.as_deref().unwrap_or_default(),
            namespace: "",
            role: &binding.role_ref,
            subjects: binding.subjects.as_deref().unwrap_or_default(),
        }
    }

    fn of_namespace(binding: &'a RoleBinding, namespace: &'a str) -> Self {
        Self {
            kind: "RoleBinding",
            name: binding.metadata.name.as_deref().unwrap_or_default(),
            namespace,
            role: &binding.role_ref,
            subjects: binding.subjects.as_deref().unwrap_or_default(),
        }
    }

    /// Formatted like in the API server.
    fn describe(&self, subject: &Subject) -> String {
        let name = match self.namespace {
            "" => self.name.to_owned(),
            namespace => format!("{}/{namespace}", self.name),
        };
        let of_subject = match subject.kind.as_str() {
            "ServiceAccount" => {
                let own = subject.namespace.as_deref().filter(|one| !one.is_empty());
                format!("{}/{}", subject.name, own.unwrap_or(self.namespace))
            }
            _ => subject.name.clone(),
        };
        format!(
            "{} {name:?} of {} {:?} to {} {of_subject:?}",
            self.kind, self.role.kind, self.role.name, subject.kind
        )
    }
}

/// True if the values contain this one, or `*`.
fn has(values: &[String], asked: &str) -> bool {
    values.iter().any(|value| value == "*" || value == asked)
}

fn listed(values: Option<&Vec<String>>) -> &[String] {
    values.map_or(&[], Vec::as_slice)
}

/// `RuleAllows`.
fn allows(rule: &PolicyRule, request: &Request) -> bool {
    if !has(&rule.verbs, &request.verb) {
        return false;
    }
    match &request.target {
        Target::Resource { group, resource, subresource, name, .. } => {
            let names = listed(rule.resource_names.as_ref());
            has(listed(rule.api_groups.as_ref()), group)
                && has_resource(listed(rule.resources.as_ref()), resource, subresource)
                && (names.is_empty() || names.contains(name))
        }
        Target::Url(url) => {
            let is_it = |one: &String| {
                let begin = one.trim_end_matches('*');
                one == "*" || one == url || (begin.len() < one.len() && url.starts_with(begin))
            };
            listed(rule.non_resource_urls.as_ref()).iter().any(is_it)
        }
    }
}

/// `ResourceMatches`: `*`, `pods`, `pods/log`, `*/log`.
fn has_resource(resources: &[String], resource: &str, subresource: &str) -> bool {
    if subresource.is_empty() {
        return has(resources, resource);
    }
    has(resources, &format!("{resource}/{subresource}"))
        || resources.iter().any(|one| one.strip_prefix("*/") == Some(subresource))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url),
            Self::Resource { group, resource, subresource, name, namespace } => {
                f.write_str(resource)?;
                if !subresource.is_empty() {
                    write!(f, "/{subresource}")?;
                }
                if !group.is_empty() {
                    write!(f, ".{group}")?;
                }
                if !name.is_empty() {
                    write!(f, " {name:?}")?;
                }
                match namespace.as_str() {
                    "" => f.write_str(" cluster-wide"),
                    namespace => write!(f, " in namespace {namespace:?}"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
