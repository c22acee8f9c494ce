//! The cells of `kubectl get` for what workloads refer to and what limits them, and for custom resources.

use std::collections::BTreeSet;

use serde_json::Value;

use super::columns::NONE;
use super::derived;
use super::rows::{Rows, Sight, title_case};
use cluster::claim::{AccessMode, Claim};
use cluster::pod_template::ReferenceKind;
use cluster::service::Service;
use cluster::{Labels, NamespacedName, ObjectMeta};
use engine::SimTime;

pub(super) fn config_maps(sight: Sight<'_>, rows: &mut Rows<'_>) {
    configs(sight, rows, ReferenceKind::ConfigMap, "ConfigMap");
}

pub(super) fn secrets(sight: Sight<'_>, rows: &mut Rows<'_>) {
    configs(sight, rows, ReferenceKind::Secret, "Secret");
}

fn configs(sight: Sight<'_>, rows: &mut Rows<'_>, kind: ReferenceKind, name: &str) {
    for (of, id, config) in sight.view.store().configs() {
        if of != kind {
            continue;
        }
        let content = &config.content;
        rows.add(id, &labels_of(sight.written.get(name, id)), config.created, || {
            let of_type = (kind == ReferenceKind::Secret).then(|| content.secret_type.to_string());
            let others = [content.keys.len().to_string(), sight.age(config.created)];
            of_type.into_iter().chain(others).collect()
        });
    }
}

pub(super) fn service_accounts(sight: Sight<'_>, rows: &mut Rows<'_>) {
    for (id, since, value) in sight.written.of_kind("ServiceAccount") {
        rows.add(id, &labels_of(value), since, || vec![sight.age(since)]);
    }
}

pub(super) fn ingresses(sight: Sight<'_>, rows: &mut Rows<'_>) {
    for (id, since, value) in sight.written.of_kind("Ingress") {
        rows.add(id, &labels_of(value), since, || {
            let spec = &value["spec"];
            let rules = spec["rules"].as_array().into_iter().flatten();
            let mut hosts: Vec<&str> = Vec::new();
            for host in rules.filter_map(|rule| rule["host"].as_str()) {
                if !hosts.contains(&host) {
                    hosts.push(host);
                }
            }
            let hosts = match hosts.len() {
                0 => "*".to_owned(),
                1..=3 => hosts.join(","),
                more => format!("{} + {} more...", hosts[..3].join(","), more - 3),
            };
            let has_tls = spec["tls"].as_array().is_some_and(|tls| !tls.is_empty());
            vec![
                spec["ingressClassName"].as_str().unwrap_or(NONE).to_owned(),
                hosts,
                String::new(),
                if has_tls { "80, 443" } else { "80" }.to_owned(),
                sight.age(since),
            ]
        });
    }
}

/// Claims. That of a volume is named after the claim's UID, as provisioners do; classes are not defaulted.
pub(super) fn claims(sight: Sight<'_>, rows: &mut Rows<'_>) {
    for (id, claim) in sight.view.store().claims() {
        let written = sight.written.get("PersistentVolumeClaim", id);
        rows.add(id, &labels_of(written), claim.created, || {
            let storage = claim.spec.storage().filter(|_| claim.volume.is_some());
            let is_bound = claim.volume.is_some();
            vec![
                claim.status().to_owned(),
                if is_bound { volume_name(id) } else { String::new() },
                storage.map_or_else(String::new, |storage| storage.to_string()),
                if is_bound { access_modes(claim) } else { String::new() },
                claim.spec.storage_class.as_deref().unwrap_or_default().to_owned(),
                "<unset>".to_owned(),
                sight.age(claim.created),
                "Filesystem".to_owned(),
            ]
        });
    }
}

/// The volumes of claims that are bound; that of a claim is as old as the claim.
pub(super) fn volumes(sight: Sight<'_>, rows: &mut Rows<'_>) {
    for (claim_id, claim) in sight.view.store().claims().filter(|(_, one)| one.volume.is_some()) {
        let id = NamespacedName::new("", volume_name(claim_id));
        rows.add(&id, &Labels::default(), claim.created, || {
            vec![
                claim.spec.storage().map_or_else(String::new, |storage| storage.to_string()),
                access_modes(claim),
                "Delete".to_owned(),
                "Bound".to_owned(),
                claim_id.to_string(),
                claim.spec.storage_class.as_deref().unwrap_or_default().to_owned(),
                "<unset>".to_owned(),
                String::new(),
                sight.age(claim.created),
                "Filesystem".to_owned(),
            ]
        });
    }
}

/// Name of the volume that was made for a claim.
pub(super) fn volume_name(claim: &NamespacedName) -> String {
    format!("pvc-{}", derived::uid(&claim.to_string(), 0))
}

pub(super) fn namespaces(sight: Sight<'_>, rows: &mut Rows<'_>) {
    for namespace in sight.view.store().namespaces().values() {
        let id = NamespacedName::new("", namespace.name.clone());
        let since = sight.written.since("Namespace", &id).unwrap_or(SimTime::ZERO);
        rows.add(&id, &namespace.labels, since, || vec!["Active".to_owned(), sight.age(since)]);
    }
}

pub(super) fn quotas(sight: Sight<'_>, rows: &mut Rows<'_>) {
    for (id, quota) in sight.view.store().quotas() {
        let created = since(sight, "ResourceQuota", &quota.meta);
        rows.add(id, &quota.meta.labels, created, || {
            let used = sight.view.store().quota_used(quota);
            let cell = |of_limits: bool| {
                let own = used.iter().filter(|one| one.resource.starts_with("limits") == of_limits);
                let pairs = own.map(|one| format!("{}: {}/{}", one.resource, one.used, one.hard));
                pairs.collect::<Vec<_>>().join(", ")
            };
            vec![cell(false), cell(true), sight.age(created)]
        });
    }
}

pub(super) fn limit_ranges(sight: Sight<'_>, rows: &mut Rows<'_>) {
    for (id, range) in sight.view.store().limit_ranges() {
        let created = since(sight, "LimitRange", &range.meta);
        rows.add(id, &range.meta.labels, created, || {
            let at = cluster::ClusterView::new(sight.view.store(), created).timestamp();
            vec![at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()]
        });
    }
}

/// When an object was created of which the store does not say it.
fn since(sight: Sight<'_>, kind: &str, meta: &ObjectMeta) -> SimTime {
    let written = sight.written.since(kind, &meta.id).map(SimTime::floor_to_second);
    written.unwrap_or(meta.created).max(meta.created)
}

pub(super) fn priority_classes(sight: Sight<'_>, rows: &mut Rows<'_>) {
    for class in sight.view.store().priority_classes().values() {
        let id = NamespacedName::new("", class.name.clone());
        let since = sight.written.since("PriorityClass", &id).unwrap_or(SimTime::ZERO);
        let labels = labels_of(sight.written.get("PriorityClass", &id));
        rows.add(&id, &labels, since, || {
            vec![
                class.value.to_string(),
                class.global_default.to_string(),
                sight.age(since),
                if class.never_preempts { "Never" } else { "PreemptLowerPriority" }.to_owned(),
            ]
        });
    }
}

pub(super) fn endpoint_slices(sight: Sight<'_>, rows: &mut Rows<'_>) {
    for service in sight.view.store().services().values().filter(|one| one.selector.is_some()) {
        let suffix = &derived::uid("EndpointSlice", service.meta.sequence)[..5];
        let id = NamespacedName::new(
            service.meta.namespace().clone(),
            format!("{}-{suffix}", service.meta.name()),
        );
        let labels = service.meta.labels.with("kubernetes.io/service-name", &**service.meta.name());
        rows.add(&id, &labels, service.meta.created, || {
            let addresses = endpoint_addresses(sight, service, |endpoint| !endpoint.terminating);
            let shown = match addresses.len() {
                0 => "<unset>".to_owned(),
                1..=3 => addresses.join(","),
                more => format!("{} + {} more...", addresses[..3].join(","), more - 3),
            };
            let ports: BTreeSet<u16> =
                service.ports.iter().filter_map(|port| target_port(sight, service, port)).collect();
            let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
            let ports = if ports.is_empty() { "<unset>".to_owned() } else { ports.join(",") };
            vec!["IPv4".to_owned(), ports, shown, sight.age(service.meta.created)]
        });
    }
}

/// The addresses of a Service's endpoints.
pub(super) fn endpoint_addresses(
    sight: Sight<'_>,
    service: &Service,
    is_meant: impl Fn(&cluster::service::Endpoint) -> bool,
) -> Vec<String> {
    let endpoints = service.endpoints.iter().filter(|endpoint| is_meant(endpoint));
    let pods = endpoints.filter_map(|one| sight.view.store().pods().get(one.pod));
    pods.filter_map(|pod| derived::pod_ip(sight, pod)).collect()
}

/// The number of the pods' port behind a port of a Service.
pub(super) fn target_port(
    sight: Sight<'_>,
    service: &Service,
    port: &cluster::service::ServicePort,
) -> Option<u16> {
    port.target_port.parse().ok().or_else(|| {
        let store = sight.view.store();
        let mut pods = service.endpoints.iter().filter_map(|one| store.pods().get(one.pod));
        pods.find_map(|pod| {
            let containers = store.template_of(pod).spec.containers.iter();
            let mut ports = containers.flat_map(|one| &one.ports);
            ports.find(|one| one.name == port.target_port).map(|one| one.container_port)
        })
    })
}

/// The columns of the vertical-pod-autoscaler's CustomResourceDefinition.
pub(super) fn vpas(sight: Sight<'_>, rows: &mut Rows<'_>) {
    for vpa in sight.view.store().vpas().values() {
        rows.add(&vpa.meta.id, &vpa.meta.labels, vpa.meta.created, || {
            let first = vpa.recommendation.first();
            vec![
                format!("{:?}", vpa.spec.mode),
                first.map_or_else(String::new, |one| format!("{}m", one.target.cpu.0)),
                first.map_or_else(String::new, |one| one.target.memory.0.to_string()),
                first.map_or_else(String::new, |_| "True".to_owned()),
                sight.age(vpa.meta.created),
            ]
        });
    }
}

/// The columns of KEDA's CustomResourceDefinition that a simulation can fill.
pub(super) fn scaled_objects(sight: Sight<'_>, rows: &mut Rows<'_>) {
    for object in sight.view.store().scaled_objects().values() {
        let spec = &object.spec;
        rows.add(&object.meta.id, &object.meta.labels, object.meta.created, || {
            let target = &spec.scale_target;
            let triggers: BTreeSet<&str> = spec.triggers.iter().map(|one| &*one.kind).collect();
            vec![
                format!("{}.{}", target.api_version.replace('/', "."), target.kind),
                target.name.to_string(),
                spec.min_replicas.to_string(),
                spec.max_replicas.to_string(),
                title_case(spec.pause.is_paused).to_owned(),
                triggers.into_iter().collect::<Vec<_>>().join(","),
                sight.age(object.meta.created),
            ]
        });
    }
}

/// `metadata.labels` of an object as written.
pub(super) fn labels_of(written: &Value) -> Labels {
    pairs(&written["metadata"]["labels"])
}

/// The texts of a map.
pub(super) fn pairs(written: &Value) -> Labels {
    let pairs = written.as_object().into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
}

/// A claim's access modes as kubectl abbreviates them, in its order.
pub(super) fn access_modes(claim: &Claim) -> String {
    let own = AccessMode::NAMED.iter().filter(|(_, mode)| claim.spec.access_modes.contains(mode));
    own.map(|(_, mode)| mode.to_string()).collect::<Vec<_>>().join(",")
}
