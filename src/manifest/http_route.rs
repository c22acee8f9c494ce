//! Gateway API's HTTPRoute (`apis/v1/httproute_types.go`, including experimental fields), with the upstream field
//! names. The crate `gateway-api` has these types too, but depends on another version of k8s-openapi and all of
//! `kube`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::definitions::ObjectMetaFields;

/// Fields that are accepted but not interpreted.
pub type Fields = BTreeMap<String, Value>;

/// The object as written.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "HTTPRoute")]
pub struct HttpRoute {
    /// `gateway.networking.k8s.io/v1`, or v1beta1, which has the same fields.
    pub api_version: String,
    /// HTTPRoute.
    pub kind: String,
    /// Name and namespace.
    #[schemars(with = "ObjectMetaFields")]
    pub metadata: meta::ObjectMeta,
    /// Hosts and rules.
    pub spec: HttpRouteSpec,
    /// Status written by controllers.
    pub status: Option<Fields>,
}

/// `spec`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "HTTPRouteSpec")]
pub struct HttpRouteSpec {
    /// The gateways that it is attached to.
    pub parent_refs: Option<Vec<Fields>>,
    /// The scope of default gateways that it is attached to.
    pub use_default_gateways: Option<String>,
    /// Exact hosts, or `*.` and a suffix; absent means any.
    pub hostnames: Option<Vec<String>>,
    /// The routing rules.
    pub rules: Option<Vec<HttpRouteRule>>,
}

/// A rule.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "HTTPRouteRule")]
pub struct HttpRouteRule {
    /// `name`, unique within the route.
    pub name: Option<String>,
    /// A request must match one of them; absent matches all.
    pub matches: Option<Vec<HttpRouteMatch>>,
    /// Modifications of requests.
    pub filters: Option<Vec<Fields>>,
    /// Destinations of the requests.
    pub backend_refs: Option<Vec<HttpBackendRef>>,
    /// Time limits of the requests.
    pub timeouts: Option<HttpRouteTimeouts>,
    /// Retry policy.
    pub retry: Option<HttpRouteRetry>,
    /// Session persistence.
    pub session_persistence: Option<Fields>,
}

/// Conditions on a request, all of which must hold.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "HTTPRouteMatch")]
pub struct HttpRouteMatch {
    /// Path condition; absent means any.
    pub path: Option<HttpPathMatch>,
    /// Header conditions.
    pub headers: Option<Vec<Fields>>,
    /// Query parameter conditions.
    pub query_params: Option<Vec<Fields>>,
    /// Method condition.
    pub method: Option<String>,
}

/// A path condition.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "HTTPPathMatch")]
pub struct HttpPathMatch {
    /// Exact, PathPrefix or RegularExpression; absent means PathPrefix.
    pub r#type: Option<String>,
    /// The path; absent means `/`.
    pub value: Option<String>,
}

/// A destination of requests.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "HTTPBackendRef")]
pub struct HttpBackendRef {
    /// The API group; absent means the core group.
    pub group: Option<String>,
    /// The kind; absent means Service.
    pub kind: Option<String>,
    /// The name.
    pub name: Option<String>,
    /// The namespace; absent means that of the route.
    pub namespace: Option<String>,
    /// The Service's port.
    pub port: Option<i32>,
    /// Share of the requests relative to the sum over the rule's backends; absent means 1.
    pub weight: Option<i64>,
    /// Modifications of requests to this backend.
    pub filters: Option<Vec<Fields>>,
}

/// Time limits of requests as GEP-2257 durations; 0s means no limit.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "HTTPRouteTimeouts")]
pub struct HttpRouteTimeouts {
    /// Limit of a request including all retries.
    pub request: Option<String>,
    /// Limit of one attempt.
    pub backend_request: Option<String>,
}

/// Retry policy.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "HTTPRouteRetry")]
pub struct HttpRouteRetry {
    /// Status codes that are retried.
    pub codes: Option<Vec<i64>>,
    /// Maximum number of retries.
    pub attempts: Option<i64>,
    /// Wait before a retry, as a GEP-2257 duration.
    pub backoff: Option<String>,
}
