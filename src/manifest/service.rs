//! Services of the API to those of `cluster`, defaulted and validated as the API server does
//! (`pkg/apis/core/v1/defaults.go`, `pkg/apis/core/validation`, 1.36).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::container::port_number;
use super::field::{FieldErrors, FieldPath};
use super::object_meta::namespaced;
use super::pod::pairs;
use crate::cluster::Name;
use crate::cluster::selector::Selector;
use crate::cluster::service::{Service, ServicePort};

/// A Service without endpoints, ready to be created.
pub fn service(service: &core::Service, errors: &mut FieldErrors) -> Service {
    let meta = namespaced(&service.metadata, errors);
    let spec = service.spec.clone().unwrap_or_default();
    let path = FieldPath::ROOT.field("spec");
    let choices = [
        ("ClusterIP", false),
        ("NodePort", false),
        ("LoadBalancer", false),
        ("ExternalName", true),
    ];
    let at = path.field("type");
    let is_external_name = errors.choose(spec.type_.as_deref(), &choices, false, &at);
    if is_external_name && spec.external_name.as_deref().unwrap_or_default().is_empty() {
        errors.push(&path.field("externalName"), "is required with type ExternalName");
    }
    let is_headless = spec.cluster_ip.as_deref() == Some("None");
    let ports = ports(&spec, &path.field("ports"), errors);
    if ports.is_empty() && !is_headless && !is_external_name {
        errors.push(&path.field("ports"), "is required");
    }
    let choices = [("None", false), ("ClientIP", true)];
    let at = path.field("sessionAffinity");
    let affinity = spec.session_affinity.as_deref();
    Service {
        meta,
        selector: if is_external_name { None } else { selector(&spec) },
        ports,
        is_headless,
        publish_not_ready_addresses: spec.publish_not_ready_addresses.unwrap_or(false),
        has_client_affinity: errors.choose(affinity, &choices, false, &at),
        endpoints: Vec::new(),
    }
}

/// An empty map is stored like an absent one: someone else writes the endpoints.
fn selector(spec: &core::ServiceSpec) -> Option<Selector> {
    let labels = pairs(spec.selector.as_ref());
    (!labels.is_empty()).then(|| Selector::from_labels(&labels))
}

fn ports(
    spec: &core::ServiceSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Vec<ServicePort> {
    let given = spec.ports.as_deref().unwrap_or_default();
    let mut names = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    let mut ports = Vec::new();
    for (position, port) in given.iter().enumerate() {
        let at = path.item(position);
        let name = port.name.as_deref().unwrap_or_default();
        if name.is_empty() && given.len() > 1 {
            errors.push(&at.field("name"), "is required where there are several ports");
        } else if !name.is_empty() && !names.insert(name) {
            errors.push(&at.field("name"), format!("{name:?} is taken by two ports"));
        }
        let protocols = [("TCP", "TCP"), ("UDP", "UDP"), ("SCTP", "SCTP")];
        let protocol = port.protocol.as_deref();
        let protocol = errors.choose(protocol, &protocols, "TCP", &at.field("protocol"));
        if !numbers.insert((protocol, port.port)) {
            errors.push(&at, format!("{protocol} port {} is taken by two ports", port.port));
        }
        ports.push(ServicePort {
            name: Name::from(name),
            port: port_number(port.port, &at.field("port"), errors),
            target_port: target_port(port, &at.field("targetPort"), errors),
        });
    }
    ports
}

fn target_port(port: &core::ServicePort, path: &FieldPath<'_>, errors: &mut FieldErrors) -> Name {
    match &port.target_port {
        None | Some(IntOrString::Int(0)) => Name::from(port.port.to_string()),
        Some(IntOrString::String(name)) if name.is_empty() => Name::from(port.port.to_string()),
        Some(IntOrString::Int(number)) => port_number(*number, path, errors).to_string().into(),
        Some(IntOrString::String(name)) => {
            if !name.bytes().any(|byte| byte.is_ascii_lowercase()) {
                let problem = "must contain at least one letter (a-z): it names a container port, \
                               a number stands without quotes";
                errors.push(path, format!("{name:?} {problem}"));
            }
            Name::from(name.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn lower(spec: &Value) -> (Service, Vec<String>) {
        let mut errors = FieldErrors::default();
        let object = json!({"metadata": {"name": "web"}, "spec": spec});
        let typed: core::Service = serde_json::from_value(object).unwrap();
        let service = service(&typed, &mut errors);
        (service, errors.into_vec().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_target_port_is_the_port_unless_it_is_given() {
        let (service, errors) = lower(&json!({"selector": {"app": "web"}, "ports": [
            {"name": "plain", "port": 80},
            {"name": "zero", "port": 81, "targetPort": 0},
            {"name": "named", "port": 82, "targetPort": "http"},
            {"name": "numbered", "port": 83, "targetPort": 8080},
        ]}));
        assert_eq!(errors, [""; 0]);
        let targets: Vec<&str> = service.ports.iter().map(|port| &*port.target_port).collect();
        assert_eq!(targets, ["80", "81", "http", "8080"]);
        let labels = [("app", "web")].into_iter().collect();
        assert!(service.selector.is_some_and(|selector| selector.matches(&labels)));
    }

    #[test]
    fn headless_and_external_services_need_no_ports() {
        let (service, errors) = lower(&json!({"clusterIP": "None", "selector": {"app": "db"}}));
        assert_eq!(errors, [""; 0]);
        assert!(service.is_headless);
        let external = json!({
            "type": "ExternalName", "externalName": "db.example.com", "selector": {"app": "db"},
        });
        let (service, errors) = lower(&external);
        assert_eq!(errors, [""; 0]);
        assert_eq!(service.selector, None);
    }

    #[test]
    fn without_a_selector_or_with_an_empty_one_no_pods_are_looked_for() {
        for spec in
            [json!({"ports": [{"port": 80}]}), json!({"ports": [{"port": 80}], "selector": {}})]
        {
            let (service, errors) = lower(&spec);
            assert_eq!(errors, [""; 0]);
            assert_eq!(service.selector, None);
        }
    }

    #[test]
    fn what_the_api_server_refuses_is_an_error() {
        for (spec, expected) in [
            (json!({}), "spec.ports: is required"),
            (
                json!({"ports": [{"port": 80, "targetPort": "8080"}]}),
                "spec.ports[0].targetPort: \"8080\" must contain at least one letter (a-z): it \
                 names a container port, a number stands without quotes",
            ),
            (
                json!({"ports": [{"port": 80, "name": "a"}, {"port": 81}]}),
                "spec.ports[1].name: is required where there are several ports",
            ),
            (
                json!({"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "a"}]}),
                "spec.ports[1].name: \"a\" is taken by two ports",
            ),
            (
                json!({"ports": [{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]}),
                "spec.ports[1]: TCP port 80 is taken by two ports",
            ),
            (
                json!({"ports": [{"port": 0}]}),
                "spec.ports[0].port: 0 is not a port; ports are 1 to 65535",
            ),
            (
                json!({"ports": [{"port": 80}], "sessionAffinity": "Cookie"}),
                "spec.sessionAffinity: \"Cookie\" is not one of None, ClientIP",
            ),
            (
                json!({"type": "ExternalName"}),
                "spec.externalName: is required with type ExternalName",
            ),
        ] {
            assert_eq!(lower(&spec).1, [expected]);
        }
    }
}
