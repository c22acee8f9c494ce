//! The built-in user-facing ClusterRoles and bindings (`bootstrappolicy/policy.go`, 1.36). Those of the
//! control plane and its controllers are left out.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{
    AggregationRule, ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

const READ: &str = "get list watch";
const WRITE: &str = "create update patch delete deletecollection";
const ALL: &str = "get list watch create update patch delete deletecollection";
const RBAC: &str = "rbac.authorization.k8s.io";

/// Rules: verbs, API group (`core` for the unnamed one), resources.
type Rules = &'static [(&'static str, &'static str, &'static str)];

const VIEW: Rules = &[
    (
        READ,
        "core",
        "pods pods/status pods/log replicationcontrollers replicationcontrollers/scale \
         replicationcontrollers/status serviceaccounts services services/status endpoints persistentvolumeclaims \
         persistentvolumeclaims/status configmaps limitranges resourcequotas resourcequotas/status bindings namespaces \
         namespaces/status events",
    ),
    (READ, "events.k8s.io", "events"),
    (READ, "discovery.k8s.io", "endpointslices"),
    (
        READ,
        "apps",
        "controllerrevisions statefulsets statefulsets/status statefulsets/scale daemonsets daemonsets/status \
         deployments deployments/status deployments/scale replicasets replicasets/status replicasets/scale",
    ),
    (READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
    (READ, "batch", "jobs jobs/status cronjobs cronjobs/status"),
    (
        READ,
        "extensions",
        "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status \
         replicasets replicasets/scale replicasets/status replicationcontrollers/scale networkpolicies",
    ),
    (READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
    (READ, "networking.k8s.io", "networkpolicies ingresses ingresses/status"),
    (READ, "resource.k8s.io", "resourceclaims resourceclaims/status resourceclaimtemplates"),
];

const EDIT: Rules = &[
    (READ, "core", "pods/attach pods/proxy pods/exec pods/portforward secrets services/proxy"),
    ("impersonate", "core", "serviceaccounts"),
    (
        WRITE,
        "core",
        "pods pods/attach pods/proxy pods/exec pods/portforward replicationcontrollers replicationcontrollers/scale \
         serviceaccounts services services/proxy persistentvolumeclaims configmaps secrets events",
    ),
    ("create", "core", "pods/eviction serviceaccounts/token"),
    (WRITE, "events.k8s.io", "events"),
    (
        WRITE,
        "apps",
        "statefulsets statefulsets/scale daemonsets deployments deployments/scale deployments/rollback replicasets \
         replicasets/scale",
    ),
    (WRITE, "autoscaling", "horizontalpodautoscalers"),
    (WRITE, "batch", "jobs cronjobs"),
    (
        WRITE,
        "extensions",
        "daemonsets deployments deployments/scale deployments/rollback ingresses replicasets replicasets/scale \
         replicationcontrollers/scale networkpolicies",
    ),
    (WRITE, "policy", "poddisruptionbudgets"),
    (WRITE, "networking.k8s.io", "networkpolicies ingresses"),
    (ALL, "coordination.k8s.io", "leases"),
    (WRITE, "resource.k8s.io", "resourceclaims resourceclaimtemplates"),
];

const ADMIN: Rules = &[
    ("create", "authorization.k8s.io", "localsubjectaccessreviews"),
    (ALL, RBAC, "roles rolebindings"),
];

/// Paths that any authenticated user may read.
const DISCOVERY: &str =
    "/livez /readyz /healthz /version /version/ /openapi /openapi/* /api /api/* /apis /apis/*";
const MONITORING: &str =
    "/metrics /metrics/slis /livez /readyz /healthz /livez/* /readyz/* /healthz/*";

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

fn rules(rules: Rules) -> Vec<PolicyRule> {
    let rule = |(verbs, group, resources): &(&str, &str, &str)| PolicyRule {
        verbs: words(verbs),
        api_groups: Some(vec![if *group == "core" { String::new() } else { (*group).to_owned() }]),
        resources: Some(words(resources)),
        ..PolicyRule::default()
    };
    rules.iter().map(rule).collect()
}

fn urls(verbs: &str, urls: &str) -> PolicyRule {
    let non_resource_urls = Some(words(urls));
    PolicyRule { verbs: words(verbs), non_resource_urls, ..PolicyRule::default() }
}

fn role(name: &str, label: &str, rules: Vec<PolicyRule>) -> ClusterRole {
    let labels = (!label.is_empty()).then(|| to(label));
    let metadata = ObjectMeta { name: Some(name.to_owned()), labels, ..ObjectMeta::default() };
    ClusterRole { metadata, rules: Some(rules), aggregation_rule: None }
}

/// The label that aggregates a role into another.
fn to(name: &str) -> BTreeMap<String, String> {
    [(format!("{RBAC}/aggregate-to-{name}"), "true".to_owned())].into_iter().collect()
}

/// A role aggregated from others, and itself aggregated into `next`.
fn aggregate(name: &str, next: &str) -> ClusterRole {
    let selector = LabelSelector { match_labels: Some(to(name)), ..LabelSelector::default() };
    let aggregation_rule = Some(AggregationRule { cluster_role_selectors: Some(vec![selector]) });
    ClusterRole { aggregation_rule, rules: None, ..role(name, next, Vec::new()) }
}

/// The built-in ClusterRoles.
pub(super) fn cluster_roles() -> Vec<ClusterRole> {
    let everything = PolicyRule {
        verbs: words("*"),
        api_groups: Some(words("*")),
        resources: Some(words("*")),
        ..PolicyRule::default()
    };
    let mut monitoring = vec![urls("get", MONITORING)];
    monitoring.extend(rules(&[("get", "core", "nodes/metrics")]));
    vec![
        role("cluster-admin", "", vec![everything, urls("*", "*")]),
        aggregate("admin", ""),
        aggregate("edit", "admin"),
        aggregate("view", "edit"),
        role("system:aggregate-to-admin", "admin", rules(ADMIN)),
        role("system:aggregate-to-edit", "edit", rules(EDIT)),
        role("system:aggregate-to-view", "view", rules(VIEW)),
        role("system:discovery", "", vec![urls("get", DISCOVERY)]),
        role("system:monitoring", "", monitoring),
        role(
            "system:basic-user",
            "",
            rules(&[
                (
                    "create",
                    "authorization.k8s.io",
                    "selfsubjectaccessreviews selfsubjectrulesreviews",
                ),
                ("create", "authentication.k8s.io", "selfsubjectreviews"),
            ]),
        ),
        role(
            "system:public-info-viewer",
            "",
            vec![urls("get", "/livez /readyz /healthz /version /version/")],
        ),
        role(
            "system:auth-delegator",
            "",
            rules(&[
                ("create", "authentication.k8s.io", "tokenreviews"),
                ("create", "authorization.k8s.io", "subjectaccessreviews"),
            ]),
        ),
        role(
            "system:service-account-issuer-discovery",
            "",
            vec![urls("get", "/.well-known/openid-configuration /openid/v1/jwks")],
        ),
    ]
}

/// The built-in ClusterRoleBindings.
pub(super) fn cluster_role_bindings() -> Vec<ClusterRoleBinding> {
    let binding = |name: &str, groups: &[&str]| ClusterRoleBinding {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        role_ref: RoleRef {
            api_group: Some(RBAC.to_owned()),
            kind: "ClusterRole".to_owned(),
            name: name.to_owned(),
        },
        subjects: Some(groups.iter().map(|group| subject(group)).collect()),
    };
    vec![
        binding("cluster-admin", &["system:masters"]),
        binding("system:monitoring", &["system:monitoring"]),
        binding("system:discovery", &["system:authenticated"]),
        binding("system:basic-user", &["system:authenticated"]),
        binding("system:public-info-viewer", &["system:authenticated", "system:unauthenticated"]),
        binding("system:service-account-issuer-discovery", &["system:serviceaccounts"]),
    ]
}

fn subject(group: &str) -> Subject {
    Subject {
        api_group: Some(RBAC.to_owned()),
        kind: "Group".to_owned(),
        name: group.to_owned(),
        namespace: None,
    }
}
