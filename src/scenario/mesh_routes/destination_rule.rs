//! DestinationRules.

use std::collections::BTreeMap;

use serde_json::Value;

use super::ignored::IGNORED_OF_POLICY;
use super::{Findings, Policies, Policy, duration, service_of};
use cluster::{Labels, NamespacedName};
use engine::SimDuration;
use manifest::{FieldPath, Manifest};
use traffic::{Balancer, ConnectionPool, OutlierDetection};

/// The policies for the pods of a Service.
pub(super) fn read(
    manifest: &Manifest,
    findings: &mut Findings,
) -> Option<(NamespacedName, Policies)> {
    let spec = &manifest.value["spec"];
    let root = FieldPath::ROOT;
    let at = root.field("spec");
    let host = spec["host"].as_str().unwrap_or_default();
    let Some(service) = service_of(host, &manifest.reference.id.namespace) else {
        findings.ignore(&at.field("host"), "host", "it names no Service of the cluster");
        return None;
    };
    for field in ["workloadSelector", "exportTo"] {
        if !spec[field].is_null() {
            findings.ignore(&at.field(field), field, "the rule holds for all callers with a proxy");
        }
    }
    let own = policy(&spec["trafficPolicy"], &at.field("trafficPolicy"), findings);
    let mut subsets = BTreeMap::new();
    let list = at.field("subsets");
    for (number, subset) in spec["subsets"].as_array().into_iter().flatten().enumerate() {
        let at = list.item(number);
        let Some(name) = subset["name"].as_str() else { continue };
        let labels = subset["labels"].as_object().into_iter().flatten();
        let labels: Labels =
            labels.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect();
        let policy = policy(&subset["trafficPolicy"], &at.field("trafficPolicy"), findings);
        subsets.insert(name.to_owned(), (labels, policy));
    }
    let object = manifest.reference.clone();
    Some((service, Policies { object, policy: own, subsets }))
}

fn policy(value: &Value, at: &FieldPath<'_>, findings: &mut Findings) -> Policy {
    for (path, consequence) in IGNORED_OF_POLICY {
        let pointer = format!("/{}", path.replace('.', "/"));
        if value.pointer(&pointer).is_some_and(|value| !value.is_null()) {
            let name = path.rsplit('.').next().unwrap_or(path);
            findings.0.push(manifest::Diagnostic {
                field: format!("{at}.{path}"),
                ..manifest::Diagnostic::note(
                    "ignored-field",
                    format!("`{name}` is ignored: {consequence}"),
                )
            });
        }
    }
    let at_balancer = at.field("loadBalancer");
    let balancer = value["loadBalancer"]["simple"].as_str().and_then(|simple| match simple {
        "ROUND_ROBIN" => Some(Balancer::RoundRobin),
        "LEAST_REQUEST" | "LEAST_CONN" | "UNSPECIFIED" => Some(Balancer::LeastRequest),
        // The proxy passes calls on to the Service's own address.
        "RANDOM" | "PASSTHROUGH" => Some(Balancer::Random),
        other => {
            findings.warn(
                &at_balancer.field("simple"),
                format!("{other:?} is not ROUND_ROBIN, LEAST_REQUEST, RANDOM or PASSTHROUGH"),
            );
            None
        }
    });
    let tcp = &value["connectionPool"]["tcp"]["connectTimeout"];
    let at_pool = at.field("connectionPool");
    let at_tcp = at_pool.field("tcp");
    let connect_timeout = duration(tcp, &at_tcp.field("connectTimeout"), findings);
    let outliers = &value["outlierDetection"];
    let at_outliers = at.field("outlierDetection");
    let outlier_detection = outliers.is_object().then(|| {
        let errors = [&outliers["consecutive5xxErrors"], &outliers["consecutiveErrors"]];
        let errors = errors.into_iter().find_map(Value::as_u64).unwrap_or(5);
        let ejection = &outliers["baseEjectionTime"];
        let ejection = duration(ejection, &at_outliers.field("baseEjectionTime"), findings);
        let percent = outliers["maxEjectionPercent"].as_f64().unwrap_or(10.0);
        (errors > 0).then(|| OutlierDetection {
            consecutive_failures: u32::try_from(errors).unwrap_or(u32::MAX),
            base_ejection_time: ejection
                .filter(|time| *time > SimDuration::ZERO)
                .unwrap_or(SimDuration::from_secs(30)),
            max_ejected_share: (percent / 100.0).clamp(0.0, 1.0),
        })
    });
    let limit = |part: &str, name: &str| {
        // Istio passes on positive numbers alone.
        let number = value["connectionPool"][part][name].as_u64().filter(|number| *number > 0)?;
        Some(u32::try_from(number).unwrap_or(u32::MAX))
    };
    let pool = ConnectionPool {
        max_connections: limit("tcp", "maxConnections"),
        max_pending: limit("http", "http1MaxPendingRequests"),
        max_requests: limit("http", "http2MaxRequests"),
        max_requests_per_connection: limit("http", "maxRequestsPerConnection"),
    };
    let pool = (pool != ConnectionPool::default()).then_some(pool);
    Policy { balancer, outlier_detection: outlier_detection.flatten(), connect_timeout, pool }
}
