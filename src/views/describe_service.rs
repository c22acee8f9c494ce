//! `kubectl describe` of Services, EndpointSlices and Ingresses.

use std::collections::BTreeMap;

use serde_json::Value;

use super::columns::NONE;
use super::describe::{labels, names};
use super::endpoints::{endpoint_addresses, endpoints_labels, reached, some_of, target_port};
use super::get::{Snapshot, label_text};
use super::page::{Page, line};
use super::rows::service_type;
use cluster::assigned::{cluster_ip, node_port};
use cluster::service::{Endpoint, Service, ServicePort, TrafficDistribution};
use cluster::{Kind, NamespacedName};

pub(super) fn service(snapshot: Snapshot<'_>, id: &NamespacedName, page: &mut Page) -> Option<()> {
    let store = snapshot.view.store();
    let service = store.services().get(snapshot.view.named(id)?)?;
    let written = &snapshot.written(Kind::Service, id)["spec"];
    let kind = service_type(snapshot, service);
    names(id, page);
    labels(&service.meta, page);
    let selector = service.spec.selector.as_ref().map_or_else(|| NONE.to_owned(), label_text);
    line!(page, 0, "Selector:\t{selector}");
    line!(page, 0, "Type:\t{kind}");
    if kind == "ExternalName" {
        line!(page, 0, "IP Families:\t<none>");
        line!(page, 0, "IP:\t");
        line!(page, 0, "IPs:\t<none>");
        line!(page, 0, "External Name:\t{}", written["externalName"].as_str().unwrap_or(""));
    } else {
        let ip = cluster_ip(service).unwrap_or_else(|| NONE.to_owned());
        let policy = written["ipFamilyPolicy"].as_str().unwrap_or("SingleStack");
        line!(page, 0, "IP Family Policy:\t{policy}");
        line!(page, 0, "IP Families:\tIPv4");
        line!(page, 0, "IP:\t{ip}");
        line!(page, 0, "IPs:\t{ip}");
    }
    for (position, port) in service.spec.ports.iter().enumerate() {
        let written = &written["ports"][position];
        let protocol = written["protocol"].as_str().unwrap_or("TCP");
        let name = if port.name.is_empty() { "<unset>" } else { &*port.name };
        line!(page, 0, "Port:\t{name}\t{}/{protocol}", port.port);
        line!(page, 0, "TargetPort:\t{}/{protocol}", port.target_port);
        if service.spec.node_ports > 0 {
            let number = node_port(service, position);
            line!(page, 0, "NodePort:\t{name}\t{number}/{protocol}");
        }
        line!(page, 0, "Endpoints:\t{}", endpoints(snapshot, service, port));
    }
    let affinity = if service.spec.client_affinity.is_some() { "ClientIP" } else { "None" };
    line!(page, 0, "Session Affinity:\t{affinity}");
    if matches!(kind, "NodePort" | "LoadBalancer") {
        let policy = written["externalTrafficPolicy"].as_str().unwrap_or("Cluster");
        line!(page, 0, "External Traffic Policy:\t{policy}");
    }
    if kind != "ExternalName" {
        let policy = written["internalTrafficPolicy"].as_str().unwrap_or("Cluster");
        line!(page, 0, "Internal Traffic Policy:\t{policy}");
    }
    match service.spec.traffic_distribution {
        Some(TrafficDistribution::PreferSameZone) => {
            let word = written["trafficDistribution"].as_str().unwrap_or("PreferSameZone");
            line!(page, 0, "Traffic Distribution:\t{word}");
        }
        Some(TrafficDistribution::PreferSameNode) => {
            line!(page, 0, "Traffic Distribution:\tPreferSameNode");
        }
        None => {}
    }
    Some(())
}

/// The ready endpoints of a port (`formatEndpointSlices`).
fn endpoints(snapshot: Snapshot<'_>, service: &Service, port: &ServicePort) -> String {
    let number = target_port(snapshot, service, port);
    let all = endpoint_addresses(snapshot, service, |endpoint| endpoint.ready);
    let all: Vec<String> = match number {
        Some(number) => all.into_iter().map(|address| format!("{address}:{number}")).collect(),
        None => Vec::new(),
    };
    some_of(&all)
}

pub(super) fn endpoint_slice(
    snapshot: Snapshot<'_>,
    id: &NamespacedName,
    page: &mut Page,
) -> Option<()> {
    let (name, _) = id.name.rsplit_once('-')?;
    let owner = NamespacedName::new(id.namespace.clone(), name);
    let service = snapshot.view.store().services().get(snapshot.view.named(&owner)?)?;
    names(id, page);
    line!(page, 0, "Labels:\tkubernetes.io/service-name={name}");
    line!(page, 0, "Annotations:\t<none>");
    line!(page, 0, "AddressType:\tIPv4");
    ports(snapshot, service, 0, page);
    line!(page, 0, "Endpoints:");
    for (endpoint, pod, ip) in reached(snapshot, service) {
        line!(page, 1, "- Addresses:\t{ip}");
        line!(page, 2, "Conditions:");
        line!(page, 3, "Ready:\t{}", endpoint.ready);
        line!(page, 2, "Hostname:\t<unset>");
        line!(page, 2, "TargetRef:\tPod/{}", pod.name());
        line!(page, 2, "NodeName:\t{}", snapshot.node_name(pod.node));
        line!(page, 2, "Zone:\t<unset>");
    }
    Some(())
}

pub(super) fn endpoints_of(
    snapshot: Snapshot<'_>,
    id: &NamespacedName,
    page: &mut Page,
) -> Option<()> {
    let service = snapshot.view.store().services().get(snapshot.view.named(id)?)?;
    names(id, page);
    page.labels("Labels", &endpoints_labels(service));
    line!(page, 0, "Annotations:\t<none>");
    line!(page, 0, "Subsets:");
    if reached(snapshot, service).next().is_none() {
        return Some(());
    }
    let list = |is_meant: fn(&Endpoint) -> bool| {
        let mut all = endpoint_addresses(snapshot, service, is_meant);
        all.sort();
        if all.is_empty() { NONE.to_owned() } else { all.join(",") }
    };
    line!(page, 1, "Addresses:\t{}", list(|one| one.ready));
    line!(page, 1, "NotReadyAddresses:\t{}", list(|one| !one.ready && !one.terminating));
    ports(snapshot, service, 1, page);
    line!(page, 0, "");
    Some(())
}

/// The ports of the pods behind a Service.
fn ports(snapshot: Snapshot<'_>, service: &Service, level: usize, page: &mut Page) {
    line!(page, level, "Ports:");
    line!(page, level + 1, "Name\tPort\tProtocol");
    line!(page, level + 1, "----\t----\t--------");
    for port in &service.spec.ports {
        let title = if port.name.is_empty() { "<unset>" } else { &*port.name };
        let number = target_port(snapshot, service, port);
        let number = number.map_or_else(|| "<unset>".to_owned(), |number| number.to_string());
        line!(page, level + 1, "{title}\t{number}\tTCP");
    }
}

pub(super) fn ingress(snapshot: Snapshot<'_>, id: &NamespacedName, page: &mut Page) -> Option<()> {
    let written = snapshot.written(Kind::Ingress, id);
    let spec = &written["spec"];
    if spec.is_null() {
        return None;
    }
    line!(page, 0, "Name:\t{}", id.name);
    page.labels("Labels", &super::rows_of_others::labels_of(written));
    line!(page, 0, "Namespace:\t{}", id.namespace);
    line!(page, 0, "Address:\t");
    let class = spec["ingressClassName"].as_str().unwrap_or(NONE);
    line!(page, 0, "Ingress Class:\t{class}");
    let default = &spec["defaultBackend"];
    let default =
        if default.is_object() { backend(snapshot, id, default) } else { "<default>".to_owned() };
    line!(page, 0, "Default backend:\t{default}");
    let list = |value: &'_ Value| value.as_array().cloned().unwrap_or_default();
    let tls = list(&spec["tls"]);
    if !tls.is_empty() {
        line!(page, 0, "TLS:");
    }
    for one in tls {
        let secret = one["secretName"].as_str().unwrap_or_default().to_owned();
        let hosts = list(&one["hosts"]);
        let hosts: Vec<&str> = hosts.iter().filter_map(Value::as_str).collect();
        let hosts = hosts.join(",");
        if secret.is_empty() {
            line!(page, 1, "SNI routes {hosts}");
        } else {
            line!(page, 1, "{secret} terminates {hosts}");
        }
    }
    line!(page, 0, "Rules:");
    line!(page, 1, "Host\tPath\tBackends");
    line!(page, 1, "----\t----\t--------");
    let rules = list(&spec["rules"]);
    let rules: Vec<&Value> = rules.iter().filter(|rule| rule["http"].is_object()).collect();
    for rule in &rules {
        let host = rule["host"].as_str().filter(|host| !host.is_empty());
        line!(page, 1, "{}\t", host.unwrap_or("*"));
        for path in list(&rule["http"]["paths"]) {
            let to = backend(snapshot, id, &path["backend"]);
            line!(page, 2, "\t{} \t{to}", path["path"].as_str().unwrap_or_default());
        }
    }
    if rules.is_empty() {
        line!(page, 1, "*\t*\t{default}");
    }
    let annotations = super::rows_of_others::pairs(&written["metadata"]["annotations"]);
    page.annotations("Annotations", &annotations);
    Some(())
}

/// `web:80 (10.244.0.5:8080)` (`describeBackendV1`).
fn backend(snapshot: Snapshot<'_>, ingress: &NamespacedName, backend: &Value) -> String {
    let to = &backend["service"];
    let Some(name) = to["name"].as_str() else {
        let resource = &backend["resource"];
        let fields: BTreeMap<&str, &str> = ["apiGroup", "kind", "name"]
            .into_iter()
            .map(|field| (field, resource[field].as_str().unwrap_or_default()))
            .collect();
        return format!(
            "APIGroup: {}, Kind: {}, Name: {}",
            fields["apiGroup"], fields["kind"], fields["name"]
        );
    };
    let port = &to["port"];
    let number = port["number"].as_u64().map(|number| number.to_string());
    let number = number.or_else(|| port["name"].as_str().map(str::to_owned)).unwrap_or_default();
    let id = NamespacedName::new(ingress.namespace.clone(), name);
    let service = snapshot.view.named(&id);
    let service = service.and_then(|service| snapshot.view.store().services().get(service));
    let Some(service) = service else {
        return format!("{name}:{number} (<error: services \"{name}\" not found>)");
    };
    let port = service
        .spec
        .ports
        .iter()
        .find(|port| *port.name == *number || port.port.to_string() == number);
    let found = port.map_or_else(String::new, |port| endpoints(snapshot, service, port));
    format!("{name}:{number} ({found})")
}
