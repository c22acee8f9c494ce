//! Gateway API's HTTPRoute (`apis/v1/httproute_types.go`, its experimental fields included), with the field names of
//! upstream. The crate `gateway-api` has these types too, but brings another version of k8s-openapi and all of `kube`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::definitions::ObjectMetaFields;

/// What is known to be there and not looked into.
pub type Fields = BTreeMap<String, Value>;

/// The object as it is written.
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
    /// What controllers say of it.
    pub status: Option<Fields>,
}

/// `spec`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "HTTPRouteSpec")]
pub struct HttpRouteSpec {
    /// The gateways to which it belongs.
    pub parent_refs: Option<Vec<Fields>>,
    /// Whether it belongs to gateways that are marked so.
    pub use_default_gateways: Option<String>,
    /// Exact hosts, or `*.` and their end; absent = any.
    pub hostnames: Option<Vec<String>>,
    /// What becomes of which requests.
    pub rules: Option<Vec<HttpRouteRule>>,
}

/// A rule.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "HTTPRouteRule")]
pub struct HttpRouteRule {
    /// Its name.
    pub name: Option<String>,
    /// A request has to meet one of them; absent = it meets any.
    pub matches: Option<Vec<HttpRouteMatch>>,
    /// What is done to requests on their way.
    pub filters: Option<Vec<Fields>>,
    /// Where the requests go.
    pub backend_refs: Option<Vec<HttpBackendRef>>,
    /// How long they may take.
    pub timeouts: Option<HttpRouteTimeouts>,
    /// Which are tried again.
    pub retry: Option<HttpRouteRetry>,
    /// Which go where an earlier one of the same client went.
    pub session_persistence: Option<Fields>,
}

/// What a request has to be like, in all of this.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "HTTPRouteMatch")]
pub struct HttpRouteMatch {
    /// Its path; absent = any.
    pub path: Option<HttpPathMatch>,
    /// Its headers.
    pub headers: Option<Vec<Fields>>,
    /// Its query parameters.
    pub query_params: Option<Vec<Fields>>,
    /// Its method.
    pub method: Option<String>,
}

/// The path that a request has to have.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "HTTPPathMatch")]
pub struct HttpPathMatch {
    /// Exact, PathPrefix or RegularExpression; absent = PathPrefix.
    pub r#type: Option<String>,
    /// The path; absent = `/`.
    pub value: Option<String>,
}

/// Where requests go.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "HTTPBackendRef")]
pub struct HttpBackendRef {
    /// The API group; absent = the core group.
    pub group: Option<String>,
    /// Absent = Service.
    pub kind: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Absent = that of the route.
    pub namespace: Option<String>,
    /// The Service's port.
    pub port: Option<i32>,
    /// Its part of the requests is this, by the sum over all of the rule; absent = 1.
    pub weight: Option<i64>,
    /// What is done to requests on their way to it.
    pub filters: Option<Vec<Fields>>,
}

/// How long requests may take, as GEP-2257 writes durations; 0s = no limit.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "HTTPRouteTimeouts")]
pub struct HttpRouteTimeouts {
    /// A request with all its tries.
    pub request: Option<String>,
    /// One try.
    pub backend_request: Option<String>,
}

/// Which requests are tried again.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "HTTPRouteRetry")]
pub struct HttpRouteRetry {
    /// Those with one of these statuses.
    pub codes: Option<Vec<i64>>,
    /// Further tries at most.
    pub attempts: Option<i64>,
    /// How long to wait before a further try, as GEP-2257 writes durations.
    pub backoff: Option<String>,
}
