//! VirtualServices.

use serde_json::Value;

use super::ignored::{IGNORED_OF_HTTP, IGNORED_OF_VIRTUAL_SERVICE};
use super::{Findings, Route, RouteRetries, Target, duration, service_of, share};
use crate::routing::status;
use cluster::NamespacedName;
use engine::SimDuration;
use manifest::{FieldPath, Manifest};
use traffic::{Causes, FailureCause, Retries, RetrySpec};

/// The treatment of calls to each host.
pub(super) fn read(manifest: &Manifest, findings: &mut Findings) -> Vec<(NamespacedName, Route)> {
    let namespace = &*manifest.reference.id.namespace;
    let spec = &manifest.value["spec"];
    let root = FieldPath::ROOT;
    let at = root.field("spec");
    for (field, consequence) in IGNORED_OF_VIRTUAL_SERVICE {
        if !spec[field].is_null() {
            findings.ignore(&at.field(field), field, consequence);
        }
    }
    let gateways = spec["gateways"].as_array();
    let is_of_mesh =
        gateways.is_none_or(|all| all.is_empty() || all.iter().any(|one| one == "mesh"));
    if gateways.is_some_and(|all| all.iter().any(|one| one != "mesh")) {
        let consequence = "only calls between pods follow it, and requests from outside do not; add an HTTPRoute for them";
        findings.ignore(&at.field("gateways"), "gateways", consequence);
    }
    let entries = spec["http"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !is_of_mesh || entries.is_empty() {
        return Vec::new();
    }
    let list = at.field("http");
    let entry = entry_for_calls(entries, &list, findings);
    let route = match entry {
        None => Route::of(manifest, None),
        Some(number) => {
            let (value, at) = (&entries[number], list.item(number));
            for (field, consequence) in IGNORED_OF_HTTP {
                if !value[field].is_null() {
                    findings.ignore(&at.field(field), field, consequence);
                }
            }
            http(manifest, (number, value), &at, findings)
        }
    };
    let hosts = spec["hosts"].as_array().into_iter().flatten().filter_map(Value::as_str);
    hosts.filter_map(|host| Some((service_of(host, namespace)?, route.clone()))).collect()
}

impl Route {
    const fn plain(object: cluster::ObjectReference, entry: Option<usize>) -> Self {
        Self {
            object,
            entry,
            destinations: Vec::new(),
            timeout: None,
            retries: None,
            mirror: None,
            delay: None,
            abort_share: 0.0,
        }
    }

    fn of(manifest: &Manifest, entry: Option<usize>) -> Self {
        Self::plain(manifest.reference.clone(), entry)
    }
}

/// The first entry that matches calls, which have neither headers nor a path: one without conditions or, if all have
/// some, the first that only asks for a path.
fn entry_for_calls(
    entries: &[Value],
    list: &FieldPath<'_>,
    findings: &mut Findings,
) -> Option<usize> {
    let conditions = |entry: &Value| -> Vec<Vec<String>> {
        let all = entry["match"].as_array().into_iter().flatten();
        let names = all.filter_map(Value::as_object);
        names.map(|one| one.keys().filter(|key| *key != "name").cloned().collect()).collect()
    };
    let is_free = |entry: &Value| {
        let conditions = conditions(entry);
        conditions.is_empty() || conditions.iter().any(Vec::is_empty)
    };
    let asks_for_path = |entry: &Value| {
        conditions(entry).iter().any(|names| names.iter().all(|name| name == "uri"))
    };
    let chosen =
        entries.iter().position(is_free).or_else(|| entries.iter().position(asks_for_path));
    for (number, _) in entries.iter().enumerate().filter(|(_, entry)| !is_free(entry)) {
        let message = if Some(number) == chosen {
            "calls have no path, and are all taken to match"
        } else {
            "calls have neither headers nor a path, so none matches"
        };
        let entry = list.item(number);
        findings.ignore(&entry.field("match"), "match", message);
    }
    if chosen.is_none() {
        findings.warn(list, "no entry applies to calls: they go to the Service itself");
    }
    chosen
}

fn http(
    manifest: &Manifest,
    (number, value): (usize, &Value),
    at: &FieldPath<'_>,
    findings: &mut Findings,
) -> Route {
    let namespace = &*manifest.reference.id.namespace;
    let target = |destination: &Value| -> Option<Target> {
        let service = service_of(destination["host"].as_str()?, namespace)?;
        Some(Target { service, subset: destination["subset"].as_str().map(str::to_owned) })
    };
    let routes = value["route"].as_array().map(Vec::as_slice).unwrap_or_default();
    let destinations = routes.iter().filter_map(|one| {
        // A single destination without a weight gets everything.
        let usual = if routes.len() == 1 { 100.0 } else { 0.0 };
        Some((target(&one["destination"])?, one["weight"].as_f64().unwrap_or(usual)))
    });
    let destinations: Vec<_> = destinations.collect();
    if destinations.len() < routes.len() {
        findings.warn(&at.field("route"), "hosts outside of the cluster get no calls");
    }
    let fault = &value["fault"];
    let at_fault = at.field("fault");
    let at_delay = at_fault.field("delay");
    let delay = duration(&fault["delay"]["fixedDelay"], &at_delay.field("fixedDelay"), findings);
    let aborts = fault["abort"].is_object();
    let mirrors = value["mirrors"].as_array().and_then(|all| all.first());
    let mirror = match (value["mirror"].is_object(), mirrors) {
        (true, _) => {
            let percent = &value["mirrorPercentage"]["value"];
            let percent = percent.as_f64().or_else(|| value["mirrorPercent"].as_f64());
            let share = percent.map_or(1.0, |percent| (percent / 100.0).clamp(0.0, 1.0));
            target(&value["mirror"]).map(|target| (target, share))
        }
        (false, Some(one)) => target(&one["destination"]).map(|target| (target, share(one))),
        (false, None) => None,
    };
    let zero = SimDuration::ZERO;
    let timeout = duration(&value["timeout"], &at.field("timeout"), findings);
    Route {
        destinations,
        timeout: timeout.filter(|time| *time > zero),
        retries: value["retries"]
            .is_object()
            .then(|| retries(&value["retries"], &at.field("retries"), findings)),
        mirror,
        delay: delay.map(|delay| (delay, share(&fault["delay"]))),
        abort_share: if aborts { share(&fault["abort"]) } else { 0.0 },
        ..Route::of(manifest, Some(number))
    }
}

/// `retries`. Without `retryOn` those of the mesh's default policy.
fn retries(value: &Value, at: &FieldPath<'_>, findings: &mut Findings) -> RouteRetries {
    let attempts = value["attempts"].as_u64().unwrap_or(0);
    let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
    let per_try = &value["perTryTimeout"];
    let try_timeout = duration(per_try, &at.field("perTryTimeout"), findings);
    let try_timeout = try_timeout.filter(|time| *time > SimDuration::ZERO);
    let causes = match value["retryOn"].as_str() {
        Some(text) if !text.trim().is_empty() => retried(text, &at.field("retryOn"), findings),
        _ => retried(DEFAULT_RETRY_ON, at, findings),
    };
    let backoff = duration(&value["backoff"], &at.field("backoff"), findings);
    for field in ["retryRemoteLocalities", "retryIgnorePreviousHosts"] {
        if !value[field].is_null() {
            let consequence = "a retry goes to any pod, also to the one that failed";
            findings.ignore(&at.field(field), field, consequence);
        }
    }
    RouteRetries { retries: of(attempts, backoff, causes), try_timeout }
}

/// `retryOn` of istiod's default policy.
const DEFAULT_RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled";
/// Retries of istiod's default policy.
const DEFAULT_ATTEMPTS: u32 = 2;
/// Envoy's longest back-off as a multiple of its base interval.
const MAX_BACKOFF_FACTOR: i64 = 10;

/// The retries of calls without `retries` of a VirtualService.
pub fn default_retries() -> RouteRetries {
    let causes = retried(DEFAULT_RETRY_ON, &FieldPath::ROOT, &mut Findings::default());
    RouteRetries { retries: of(DEFAULT_ATTEMPTS, None, causes), try_timeout: None }
}

fn of(attempts: u32, backoff: Option<SimDuration>, causes: Causes) -> Option<Retries> {
    let usual = RetrySpec::default();
    let backoff = backoff.unwrap_or(usual.backoff);
    let spec = RetrySpec { attempts, backoff, max_backoff: backoff * MAX_BACKOFF_FACTOR, ..usual };
    (attempts > 0).then(|| Retries { causes, ..Retries::from(spec) })
}

/// The failures that Envoy's conditions (`x-envoy-retry-on`) cover.
fn retried(text: &str, at: &FieldPath<'_>, findings: &mut Findings) -> Causes {
    const CONNECT: [FailureCause; 3] =
        [FailureCause::Refused, FailureCause::Unreachable, FailureCause::Blocked];
    // A connection that is reset, and a try that times out.
    const RESET: [FailureCause; 2] = [FailureCause::Killed, FailureCause::Timeout];
    let statuses = |range: std::ops::Range<i64>| {
        let all = FailureCause::ALL.into_iter();
        all.filter(move |cause| status(*cause).is_some_and(|code| range.contains(&code)))
    };
    let mut causes = Causes::default();
    for condition in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        let more = match condition {
            "5xx" => Causes::of(statuses(500..600).chain(CONNECT).chain(RESET)),
            "gateway-error" => Causes::of(statuses(502..505)),
            "reset" | "reset-before-request" => Causes::of(RESET.into_iter().chain(CONNECT)),
            "connect-failure" => Causes::of(CONNECT),
            "retriable-4xx"
            | "refused-stream"
            | "retriable-status-codes"
            | "cancelled"
            | "deadline-exceeded"
            | "resource-exhausted"
            | "unavailable"
            | "internal"
            | "retriable-headers"
            | "envoy-ratelimited"
            | "http3-post-connect-failure" => Causes::default(),
            other => {
                if let Ok(code) = other.parse::<i64>() {
                    Causes::of(statuses(code..code + 1))
                } else {
                    findings.warn(at, format!("{other:?} is no condition of Envoy's retries"));
                    Causes::default()
                }
            }
        };
        causes = causes.and(more);
    }
    causes
}
