//! HTTPRoutes (`gateway.networking.k8s.io/v1`) to rules.
//!
//! `timeouts` and `retry` of a rule follow `apis/v1/httproute_types.go` of Gateway API (GEP-1742 and GEP-1731); behaviour
//! that it leaves to the gateway follows Envoy, the data plane of most gateways.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use serde_json::Value;

use super::limits::{RouteLimits, RouteRetry};
use super::{Backend, Class, Path, RouteFindings, Rule};
use cluster::{NamespacedName, ObjectReference};
use engine::SimDuration;
use manifest::http_route::{
    Fields, HttpBackendRef, HttpRoute, HttpRouteMatch, HttpRouteRetry, HttpRouteTimeouts,
};
use manifest::{FieldPath, pool_service};
use traffic::{Causes, FailureCause, RetrySpec};

/// Maximum of `HTTPBackendRef.weight`.
const WEIGHT_MAX: u64 = 1_000_000;
/// Envoy's `connect_timeout` of a cluster.
const ENVOY_CONNECT_TIMEOUT: SimDuration = SimDuration::from_secs(5);

/// The rules of an HTTPRoute, one for each of a rule's hosts and paths.
pub(super) fn rules(
    object: &ObjectReference,
    route: HttpRoute,
    findings: &mut RouteFindings,
) -> Vec<Rule> {
    let hosts = route.spec.hostnames.filter(|hosts| !hosts.is_empty());
    let hosts = hosts.map_or_else(|| vec![None], |all| all.into_iter().map(Some).collect());
    let mut rules = Vec::new();
    let root = FieldPath::ROOT;
    let spec = root.field("spec");
    let list = spec.field("rules");
    for (number, rule) in route.spec.rules.iter().flatten().enumerate() {
        let at = list.item(number);
        let [at_matches, at_backends] = ["matches", "backendRefs"].map(|field| at.field(field));
        let mut paths = Vec::new();
        for (number, one) in rule.matches.iter().flatten().enumerate() {
            paths.extend(path(one, &at_matches.item(number), findings));
        }
        if rule.matches.is_none() {
            paths.push(Path::Prefix("/".to_owned()));
        }
        let mut backends = Vec::new();
        for (number, one) in rule.backend_refs.iter().flatten().enumerate() {
            backends.extend(backend(object, one, &at_backends.item(number), findings));
        }
        let times = timeouts(rule.timeouts.as_ref(), &at.field("timeouts"), findings);
        let retry = rule.retry.as_ref().and_then(|one| retry(one, &at.field("retry"), findings));
        let limits = RouteLimits { connect: retry.map(|_| ENVOY_CONNECT_TIMEOUT), retry, ..times };
        let mirrors = filters(object, rule.filters.as_deref(), &at.field("filters"), findings);
        for (field, is_given, instead) in [(
            "sessionPersistence",
            rule.session_persistence.is_some(),
            "`sessionAffinity` of the Service applies",
        )] {
            if is_given {
                findings.warn(&at.field(field), format!("ignored: {instead}"));
            }
        }
        let places = paths.iter().flat_map(|path| hosts.iter().map(move |host| (path, host)));
        rules.extend(places.map(|(path, host)| Rule {
            object: object.clone(),
            backends: backends.clone(),
            host: host.clone(),
            path: path.clone(),
            path_type: String::new(),
            field: at.to_string(),
            canary: None,
            limits: limits.clone(),
            mirrors: mirrors.clone(),
            class: Class::Gateway,
        }));
    }
    rules
}

/// The path of a match, if it has no other conditions.
fn path(one: &HttpRouteMatch, at: &FieldPath<'_>, findings: &mut RouteFindings) -> Option<Path> {
    let HttpRouteMatch { path, headers, query_params, method } = one;
    let asks = [
        ("headers", headers.is_some()),
        ("queryParams", query_params.is_some()),
        ("method", method.is_some()),
    ];
    let mut asks_more = false;
    for (field, _) in asks.into_iter().filter(|(_, is_given)| *is_given) {
        asks_more = true;
        let message =
            "simulated requests have only a host and a path, so this matches none of them";
        findings.warn(&at.field(field), message);
    }
    let path = path.clone().unwrap_or_default();
    let text = path.value.unwrap_or_else(|| "/".to_owned());
    let types = [("Exact", Some(true)), ("PathPrefix", Some(false)), ("RegularExpression", None)];
    let at = at.field("path");
    let at = at.field("type");
    let meaning = findings.choose(path.r#type.as_deref().unwrap_or("PathPrefix"), &types, &at)?;
    if meaning.is_none() {
        findings.warn(&at, "regular expressions are not supported, so this matches no request");
    }
    let is_exact = meaning.filter(|_| !asks_more)?;
    Some(if is_exact { Path::Exact(text) } else { Path::Prefix(text) })
}

fn backend(
    object: &ObjectReference,
    given: &HttpBackendRef,
    at: &FieldPath<'_>,
    findings: &mut RouteFindings,
) -> Option<Backend> {
    let weight = given.weight.map_or(Ok(1), u64::try_from).ok();
    let weight = weight.filter(|weight| *weight <= WEIGHT_MAX);
    if let (Some(given), None) = (given.weight, weight) {
        let message =
            format!("Invalid value: {given}: must be a whole number from 0 to {WEIGHT_MAX}");
        findings.error(&at.field("weight"), message);
    }
    let kind = given.kind.as_deref().unwrap_or("Service");
    let is_pool = kind == "InferencePool";
    let foreign_kind = (kind != "Service" && !is_pool).then(|| kind.to_owned());
    for (service, _) in filters(object, given.filters.as_deref(), &at.field("filters"), findings) {
        let message = format!(
            "RequestMirror is ignored: {service} gets no requests by it; write it as a filter of the rule"
        );
        findings.warn(&at.field("filters"), message);
    }
    let name = given.name.as_deref().filter(|name| !name.is_empty());
    if name.is_none() {
        findings.error(&at.field("name"), "Required value");
    }
    let namespace = given.namespace.as_deref().unwrap_or(&object.id.namespace);
    let service = if is_pool { pool_service(name?) } else { name?.to_owned() };
    Some(Backend {
        service: NamespacedName::new(namespace, service),
        foreign_kind,
        weight: weight.unwrap_or(1),
        // A pool has its own ports.
        port: given.port.filter(|_| !is_pool).map(IntOrString::Int),
        holder: at.to_string(),
        port_field: "port",
    })
}

/// The Services that filters mirror requests to, with the shares of the requests. Changes of headers and paths have no
/// effect on time or load.
fn filters(
    object: &ObjectReference,
    given: Option<&[Fields]>,
    at: &FieldPath<'_>,
    findings: &mut RouteFindings,
) -> Vec<(NamespacedName, f64)> {
    let mut mirrors = Vec::new();
    for (number, filter) in given.unwrap_or_default().iter().enumerate() {
        let at = at.item(number);
        let text = |name: &str| filter.get(name).and_then(Value::as_str);
        match text("type").unwrap_or_default() {
            "RequestHeaderModifier" | "ResponseHeaderModifier" | "URLRewrite" => {}
            "RequestMirror" => {
                let mirror = filter.get("requestMirror").cloned().unwrap_or_default();
                let backend = &mirror["backendRef"];
                let namespace = backend["namespace"].as_str().unwrap_or(&object.id.namespace);
                let share = match (&mirror["percent"], &mirror["fraction"]) {
                    (Value::Number(percent), _) => percent.as_f64().unwrap_or(100.0) / 100.0,
                    (_, Value::Object(fraction)) => {
                        let number = |name: &str| fraction.get(name).and_then(Value::as_f64);
                        number("numerator").unwrap_or(0.0) / number("denominator").unwrap_or(100.0)
                    }
                    _ => 1.0,
                };
                match backend["name"].as_str().filter(|name| !name.is_empty()) {
                    Some(name) if (0.0..=1.0).contains(&share) => {
                        mirrors.push((NamespacedName::new(namespace, name), share));
                    }
                    Some(_) => findings.error(
                        &at.field("requestMirror"),
                        format!("Invalid value: {share} of the requests: must be from 0 to all of them"),
                    ),
                    None => {
                        let at = at.field("requestMirror");
                        findings.error(&at.field("backendRef"), "Required value");
                    }
                }
            }
            "RequestRedirect" => findings.warn(
                &at.field("type"),
                "RequestRedirect is ignored: requests go to the backends, if there are any, and clients follow no redirect",
            ),
            "CORS" => findings.warn(&at.field("type"), "CORS is ignored: requests have no headers"),
            other => findings.warn(
                &at.field("type"),
                format!("the filter {other:?} is ignored: requests are passed on unchanged"),
            ),
        }
    }
    mirrors
}

fn timeouts(
    given: Option<&HttpRouteTimeouts>,
    at: &FieldPath<'_>,
    findings: &mut RouteFindings,
) -> RouteLimits {
    let request = given.and_then(|one| one.request.as_deref());
    let request = duration(request, &at.field("request"), findings);
    let at = at.field("backendRequest");
    let one_try = duration(given.and_then(|one| one.backend_request.as_deref()), &at, findings);
    if request.is_some_and(|request| request > SimDuration::ZERO && one_try > Some(request)) {
        let message = "Invalid value: backendRequest timeout cannot be longer than request timeout";
        findings.error(&at, message);
    }
    let one_try = one_try.filter(|time| *time > SimDuration::ZERO);
    RouteLimits { request, one_try, ..RouteLimits::default() }
}

/// Retries after a failed connection and after a timeout, which the API requires, and after the listed status codes;
/// `None` without retries.
fn retry(
    given: &HttpRouteRetry,
    at: &FieldPath<'_>,
    findings: &mut RouteFindings,
) -> Option<RouteRetry> {
    let at_codes = at.field("codes");
    let codes = given.codes.as_deref().unwrap_or_default();
    for (number, code) in codes.iter().enumerate().filter(|(_, code)| !(400..600).contains(*code)) {
        let message = format!("Invalid value: {code}: must be a status from 400 to 599");
        findings.error(&at_codes.item(number), message);
    }
    if given.attempts.is_some_and(|attempts| attempts < 0) {
        let message = "a negative number counts as 0: no retries";
        findings.warn(&at.field("attempts"), message);
    }
    let backoff = duration(given.backoff.as_deref(), &at.field("backoff"), findings);
    let defaults = RetrySpec::default();
    let attempts = given.attempts.map(|count| u32::try_from(count.max(0)).unwrap_or(u32::MAX));
    let attempts = attempts.unwrap_or(defaults.attempts);
    let always = [
        FailureCause::Refused,
        FailureCause::Unreachable,
        FailureCause::Blocked,
        FailureCause::Timeout,
    ];
    let answered = |cause: &FailureCause| status(*cause).is_some_and(|code| codes.contains(&code));
    let causes =
        Causes::of(always.into_iter().chain(FailureCause::ALL.into_iter().filter(answered)));
    (attempts > 0).then_some(RouteRetry {
        attempts: Some(attempts),
        backoff: backoff.unwrap_or(defaults.backoff),
        causes,
        // The API does not distinguish methods.
        causes_unless_idempotent: causes,
        window: None,
    })
}

/// The status with which a gateway answers a request that failed in or on its way to a pod; `None` for requests that
/// were never sent because of a circuit breaker, a limit or a lack of endpoints, which are not
/// retried.
pub(crate) const fn status(cause: FailureCause) -> Option<i64> {
    match cause {
        FailureCause::TooLong => Some(400),
        FailureCause::Dependency | FailureCause::ApplicationError => Some(500),
        // The connection was closed.
        FailureCause::Killed => Some(502),
        FailureCause::QueueFull | FailureCause::Shed => Some(503),
        FailureCause::Timeout | FailureCause::Unreachable | FailureCause::Blocked => Some(504),
        FailureCause::Refused
        | FailureCause::NoEndpoint
        | FailureCause::CircuitOpen
        | FailureCause::NoRoute
        | FailureCause::Injected
        | FailureCause::RateLimited => None,
    }
}

fn duration(
    text: Option<&str>,
    at: &FieldPath<'_>,
    findings: &mut RouteFindings,
) -> Option<SimDuration> {
    let duration = gateway_duration(text?);
    if duration.is_none() {
        let rule = "must be up to four times digits and h, m, s or ms, such as 500ms or 1m30s";
        findings.error(at, format!("Invalid value: {:?}: {rule}", text?));
    }
    duration
}

/// A duration of Gateway API (GEP-2257): up to four times digits, at most five, and h, m, s or ms.
pub(super) fn gateway_duration(text: &str) -> Option<SimDuration> {
    let mut rest = text;
    let mut sum = SimDuration::ZERO;
    for _ in 0..4 {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, tail) = tail.split_at(letters);
        let millis = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return None,
        };
        if !(1..=5).contains(&digits) {
            return None;
        }
        sum += SimDuration::from_millis(number.parse::<i64>().ok()? * millis);
        rest = tail;
        if rest.is_empty() {
            return Some(sum);
        }
    }
    None
}
