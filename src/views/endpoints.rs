//! EndpointSlices and Endpoints, which the store keeps as part of Services: rows of `get`, and objects.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::columns::NONE;
use super::object::{sort, time};
use super::rows::{Rows, Snapshot};
use cluster::assigned::{pod_ip, uid_text};
use cluster::pod::Pod;
use cluster::service::{Endpoint, Service, ServicePort};
use cluster::{ClusterView, Kind, Labels, NamespacedName};

/// Maximum number of endpoints listed in a cell.
const SHOWN: usize = 3;

/// The Services that the endpoints controllers manage.
fn services(view: ClusterView<'_>) -> impl Iterator<Item = &Service> {
    view.store().services().values().filter(|one| one.spec.selector.is_some())
}

fn slice_id(service: &Service) -> NamespacedName {
    let suffix = &uid_text(!service.meta.uid)[..5];
    let name = format!("{}-{suffix}", service.meta.name());
    NamespacedName::new(service.meta.namespace().clone(), name)
}

fn slice_labels(service: &Service) -> Labels {
    let labels = service.meta.labels.with("kubernetes.io/service-name", &**service.meta.name());
    let labels = with_headless(service, labels);
    labels.with("endpointslice.kubernetes.io/managed-by", "endpointslice-controller.k8s.io")
}

pub(super) fn endpoints_labels(service: &Service) -> Labels {
    let labels = with_headless(service, service.meta.labels.clone());
    labels.with("endpoints.kubernetes.io/managed-by", "endpoint-controller")
}

fn with_headless(service: &Service, labels: Labels) -> Labels {
    if service.spec.is_headless {
        labels.with("service.kubernetes.io/headless", "")
    } else {
        labels
    }
}

pub(super) fn endpoint_slices(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for service in services(snapshot.view) {
        rows.add(&slice_id(service), &slice_labels(service), || {
            let addresses = endpoint_addresses(snapshot, service, |endpoint| !endpoint.terminating);
            let ports: BTreeSet<u16> = ports(snapshot, service).map(|(_, number)| number).collect();
            let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
            vec![
                "IPv4".to_owned(),
                if ports.is_empty() { "<unset>".to_owned() } else { ports.join(",") },
                if addresses.is_empty() { "<unset>".to_owned() } else { some_of(&addresses) },
                snapshot.age(service.meta.created),
            ]
        });
    }
}

pub(super) fn endpoints(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for service in services(snapshot.view) {
        rows.add(&service.meta.id, &endpoints_labels(service), || {
            let mut addresses = endpoint_addresses(snapshot, service, |endpoint| endpoint.ready);
            addresses.sort();
            let numbers: Vec<u16> = ports(snapshot, service).map(|(_, number)| number).collect();
            let at = |number: u16| addresses.iter().map(move |one| format!("{one}:{number}"));
            let all: Vec<String> = if numbers.is_empty() {
                addresses.clone()
            } else {
                numbers.into_iter().flat_map(at).collect()
            };
            let shown = if all.is_empty() { NONE.to_owned() } else { some_of(&all) };
            vec![shown, snapshot.age(service.meta.created)]
        });
    }
}

/// The first few items, followed by the number of others.
pub(super) fn some_of(all: &[String]) -> String {
    match all.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{} + {more} more...", all[..SHOWN].join(",")),
        _ => all.join(","),
    }
}

/// The addresses of a Service's endpoints.
pub(super) fn endpoint_addresses(
    snapshot: Snapshot<'_>,
    service: &Service,
    is_meant: impl Fn(&Endpoint) -> bool,
) -> Vec<String> {
    let meant = reached(snapshot, service).filter(|(endpoint, ..)| is_meant(endpoint));
    meant.map(|(_, _, address)| address).collect()
}

/// The endpoints of a Service with their pods and addresses.
pub(super) fn reached<'a>(
    snapshot: Snapshot<'a>,
    service: &'a Service,
) -> impl Iterator<Item = (&'a Endpoint, &'a Pod, String)> {
    let store = snapshot.view.store();
    service.endpoints.iter().filter_map(|endpoint| {
        let pod = store.pods().get(endpoint.pod)?;
        Some((endpoint, pod, pod_ip(store, pod)?))
    })
}

/// The ports of a Service, each with the port number of its pods.
fn ports<'a>(
    snapshot: Snapshot<'a>,
    service: &'a Service,
) -> impl Iterator<Item = (&'a ServicePort, u16)> {
    let ports = service.spec.ports.iter();
    ports.filter_map(move |port| Some((port, target_port(snapshot, service, port)?)))
}

/// The pods' port number for a port of a Service.
pub(super) fn target_port(
    snapshot: Snapshot<'_>,
    service: &Service,
    port: &ServicePort,
) -> Option<u16> {
    port.target_port.parse().ok().or_else(|| {
        let store = snapshot.view.store();
        let mut pods = service.endpoints.iter().filter_map(|one| store.pods().get(one.pod));
        pods.find_map(|pod| {
            let containers = store.template_of(pod).spec.containers.iter();
            let mut ports = containers.flat_map(|one| &one.ports);
            ports.find(|one| one.name == port.target_port).map(|one| one.container_port)
        })
    })
}

/// The objects as the controllers would write them.
pub(super) fn objects(view: ClusterView<'_>, kind: Kind) -> Vec<(NamespacedName, Value)> {
    let snapshot = Snapshot { view };
    let all = services(view).map(|service| {
        let (id, mut value) = match kind {
            Kind::EndpointSlice => (slice_id(service), slice(snapshot, service)),
            _ => (service.meta.id.clone(), subsets(snapshot, service)),
        };
        value["metadata"]["creationTimestamp"] = time(view, service.meta.created);
        value["metadata"]["name"] = (&*id.name).into();
        value["metadata"]["namespace"] = (&*id.namespace).into();
        value["metadata"]["resourceVersion"] = service.meta.resource_version.to_string().into();
        sort(&mut value);
        (id, value)
    });
    all.collect()
}

fn slice(snapshot: Snapshot<'_>, service: &Service) -> Value {
    let endpoints = reached(snapshot, service).map(|(endpoint, pod, address)| {
        json!({
            "addresses": [address],
            "conditions": {
                "ready": endpoint.ready,
                "serving": endpoint.serving,
                "terminating": endpoint.terminating,
            },
            "nodeName": snapshot.node_name(pod.node),
            "targetRef": target(pod),
        })
    });
    json!({
        "addressType": "IPv4",
        "apiVersion": "discovery.k8s.io/v1",
        "endpoints": endpoints.collect::<Vec<_>>(),
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": format!("{}-", service.meta.name()),
            "generation": 1,
            "labels": labels(&slice_labels(service)),
            "ownerReferences": [{
                "apiVersion": "v1",
                "blockOwnerDeletion": true,
                "controller": true,
                "kind": "Service",
                "name": &**service.meta.name(),
                "uid": uid_text(service.meta.uid),
            }],
            "uid": uid_text(!service.meta.uid),
        },
        "ports": port_list(snapshot, service),
    })
}

fn subsets(snapshot: Snapshot<'_>, service: &Service) -> Value {
    let addresses = |is_ready: bool| {
        let all = reached(snapshot, service).filter(|(endpoint, ..)| {
            endpoint.ready == is_ready && (is_ready || !endpoint.terminating)
        });
        let mut all: Vec<(String, Value)> = all
            .map(|(_, pod, ip)| {
                let node = snapshot.node_name(pod.node);
                (ip.clone(), json!({ "ip": ip, "nodeName": node, "targetRef": target(pod) }))
            })
            .collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all.into_iter().map(|(_, value)| value).collect::<Vec<Value>>()
    };
    let mut subset = json!({});
    for (field, list) in [
        ("addresses", addresses(true)),
        ("notReadyAddresses", addresses(false)),
        ("ports", port_list(snapshot, service)),
    ] {
        if !list.is_empty() {
            subset[field] = list.into();
        }
    }
    let mut value = json!({
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {
            "labels": labels(&endpoints_labels(service)),
            "uid": uid_text(service.meta.uid.rotate_left(32)),
        },
    });
    if subset.get("addresses").or_else(|| subset.get("notReadyAddresses")).is_some() {
        value["subsets"] = json!([subset]);
    }
    value
}

fn labels(labels: &Labels) -> Value {
    labels.iter().map(|(key, value)| (key.to_string(), Value::from(&**value))).collect()
}

fn target(pod: &Pod) -> Value {
    json!({
        "kind": "Pod",
        "name": &*pod.id.name,
        "namespace": &*pod.id.namespace,
        "uid": uid_text(pod.uid),
    })
}

fn port_list(snapshot: Snapshot<'_>, service: &Service) -> Vec<Value> {
    let ports = ports(snapshot, service).map(|(port, number)| {
        let mut value = json!({ "port": number, "protocol": "TCP" });
        if !port.name.is_empty() {
            value["name"] = (&*port.name).into();
        }
        value
    });
    ports.collect()
}
