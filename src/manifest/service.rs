//! Converts Services of the API to those of `cluster`, validated like in the API server
//! (`ValidateService`, 1.36).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::container::{PROTOCOLS, port_number};
use super::field::{FieldErrors, FieldPath};
use super::names::{NameRule, check_labels, check_name};
use super::pod::pairs;
use cluster::Name;
use cluster::selector::Selector;
use cluster::service::{ServicePort, ServiceSpec, TrafficDistribution};
use engine::SimDuration;

/// A Service without endpoints yet.
pub(super) fn service_spec(spec: &core::ServiceSpec, errors: &mut FieldErrors) -> ServiceSpec {
    let path = FieldPath::ROOT.field("spec");
    let types = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"].map(|name| (name, name));
    let service_type = errors.choose(spec.type_.as_deref(), &types, &path.field("type"));
    let is_headless = spec.cluster_ip.as_deref() == Some("None");
    let at = path.field("ports");
    let given = spec.ports.as_deref().unwrap_or_default();
    if given.is_empty() && !is_headless && service_type != "ExternalName" {
        errors.required(&at, "at least one port");
    }
    check_labels(spec.selector.as_ref(), &path.field("selector"), errors);
    let affinities = [("None", false), ("ClientIP", true)];
    let affinity = spec.session_affinity.as_deref();
    let keeps_clients = errors.choose(affinity, &affinities, &path.field("sessionAffinity"));
    let policies = [("Cluster", false), ("Local", true)];
    let mut is_local = |policy: &Option<String>, field: &'static str| {
        errors.chosen(policy.as_deref(), &policies, &path.field(field)).unwrap_or_default()
    };
    let is_internal_local = is_local(&spec.internal_traffic_policy, "internalTrafficPolicy");
    let is_external_local = is_local(&spec.external_traffic_policy, "externalTrafficPolicy");
    let distributions = [
        ("PreferClose", TrafficDistribution::PreferSameZone),
        ("PreferSameZone", TrafficDistribution::PreferSameZone),
        ("PreferSameNode", TrafficDistribution::PreferSameNode),
    ];
    let traffic_distribution = errors.chosen(
        spec.traffic_distribution.as_deref(),
        &distributions,
        &path.field("trafficDistribution"),
    );
    let selector = spec.selector.as_ref().filter(|selector| !selector.is_empty());
    ServiceSpec {
        // An external name is a DNS alias and involves no pods.
        selector: selector
            .filter(|_| service_type != "ExternalName")
            .map(|labels| Selector::from_labels(&pairs(Some(labels)))),
        ports: ports(given, &at, errors),
        is_headless,
        node_ports: node_ports(service_type, spec),
        is_load_balancer: service_type == "LoadBalancer",
        publish_not_ready_addresses: spec.publish_not_ready_addresses.unwrap_or_default(),
        client_affinity: keeps_clients.then(|| affinity_timeout(spec)),
        is_internal_local,
        is_external_local: is_external_local && service_type != "ClusterIP",
        traffic_distribution,
    }
}

/// Session affinity timeout after a client's last request: three hours by default.
fn affinity_timeout(spec: &core::ServiceSpec) -> SimDuration {
    let config = spec.session_affinity_config.as_ref().and_then(|one| one.client_ip.as_ref());
    let seconds = config.and_then(|one| one.timeout_seconds).unwrap_or(10_800);
    SimDuration::from_secs(i64::from(seconds.max(1)))
}

/// Number of node ports, as counted by quotas (`serviceEvaluator.Usage`).
fn node_ports(service_type: &str, spec: &core::ServiceSpec) -> usize {
    let ports = spec.ports.as_deref().unwrap_or_default();
    match service_type {
        "LoadBalancer" if spec.allocate_load_balancer_node_ports == Some(false) => {
            ports.iter().filter(|port| port.node_port.is_some_and(|number| number != 0)).count()
        }
        "NodePort" | "LoadBalancer" => ports.len(),
        _ => 0,
    }
}

fn ports(
    given: &[core::ServicePort],
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Vec<ServicePort> {
    let mut names = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    let mut ports = Vec::new();
    for (index, given_port) in given.iter().enumerate() {
        let at = path.item(index);
        let name = given_port.name.as_deref().unwrap_or_default();
        if name.is_empty() && given.len() > 1 {
            errors.required(&at.field("name"), "a Service with several ports names each of them");
        } else if !names.insert(name) {
            errors.push(&at.field("name"), format!("Duplicate value: {name:?}"));
        }
        if !name.is_empty() {
            check_name(name, false, NameRule::Label, &at.field("name"), errors);
        }
        let protocol = given_port.protocol.as_deref();
        let protocol = errors.choose(protocol, &PROTOCOLS, &at.field("protocol"));
        if !numbers.insert((given_port.port, protocol)) {
            errors.push(&at, format!("Duplicate value: {}/{protocol}", given_port.port));
        }
        let port = port_number(given_port.port, &at.field("port"), errors);
        ports.push(ServicePort {
            name: Name::from(name),
            port,
            target_port: target_port(given_port),
        });
    }
    ports
}

/// `targetPort`: a number, or the name of a container port.
fn target_port(given: &core::ServicePort) -> Name {
    match &given.target_port {
        Some(IntOrString::Int(number)) => Name::from(number.to_string()),
        None => Name::from(given.port.to_string()),
        Some(IntOrString::String(name)) => Name::from(name.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::defaults::SetDefaults;
    use serde_json::{Value, json};

    fn lower(spec: &Value) -> (ServiceSpec, Vec<String>) {
        let mut errors = FieldErrors::default();
        let mut object: core::Service = serde_json::from_value(json!({ "spec": spec })).unwrap();
        object.set_defaults();
        let service = service_spec(&object.spec.unwrap(), &mut errors);
        (service, errors.into_vec().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_target_port_defaults_to_the_port() {
        let ports = json!([{"name": "a", "port": 80}, {"name": "b", "port": 81, "targetPort": "http"}, {"name": "c", "port": 82, "targetPort": 8082}]);
        let (service, errors) = lower(&json!({"selector": {"app": "web"}, "ports": ports}));
        assert_eq!(errors, [""; 0]);
        let targets: Vec<&str> = service.ports.iter().map(|port| &*port.target_port).collect();
        assert_eq!(targets, ["80", "http", "8082"]);
        assert!(!service.is_headless && service.client_affinity.is_none());
        assert!(service.selector.is_some());
    }

    #[test]
    fn a_service_without_a_selector_finds_no_pods_and_an_external_name_needs_none() {
        let (service, errors) =
            lower(&json!({"type": "ExternalName", "externalName": "a.b", "selector": {"a": "b"}}));
        assert_eq!(errors, [""; 0]);
        assert_eq!(service.selector, None);
        let (service, _) = lower(&json!({"selector": {}, "clusterIP": "None"}));
        assert!(service.selector.is_none() && service.is_headless);
    }

    #[test]
    fn what_is_wrong_with_ports_is_said_port_by_port() {
        let ports = json!([{"port": 0}, {"name": "a", "port": 80, "protocol": "HTTP"}, {"name": "a", "port": 80, "targetPort": "8080"}]);
        let (_, errors) = lower(&json!({"ports": ports}));
        assert_eq!(errors.len(), 5, "{errors:#?}");
        assert_eq!(
            errors[1],
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive"
        );
        assert_eq!(lower(&json!({})).1, ["spec.ports: Required value: at least one port"]);
    }
}
