//! The cells of `kubectl get` for objects that workloads refer to or that limit them, and for custom resources.

use std::collections::BTreeSet;

use serde_json::Value;

use super::columns::NONE;
use super::rows::{Rows, Snapshot, label_text, title_case};
use cluster::claim::{AccessMode, Claim};
use cluster::config::{ConfigMap, Secret};
use cluster::namespace::Namespace;
use cluster::network_policy::NetworkPolicy;
use cluster::node::ConditionStatus;
use cluster::persistent_volume::PersistentVolume;
use cluster::pod_autoscaler::PodAutoscalerStatus;
use cluster::priority_class::PriorityClass;
use cluster::service_account::ServiceAccount;
use cluster::storage_class::StorageClass;
use cluster::store::Store;
use cluster::vpa::Resource;
use cluster::{Kind, Labels, NamespacedName};

pub(super) fn config_maps(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for ConfigMap { meta, spec } in snapshot.view.store().config_maps().values() {
        rows.of(meta, || vec![spec.keys.len().to_string(), snapshot.age(meta.created)]);
    }
}

pub(super) fn secrets(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for Secret { meta, spec } in snapshot.view.store().secrets().values() {
        rows.of(meta, || {
            let keys = spec.keys.len().to_string();
            vec![spec.secret_type.to_string(), keys, snapshot.age(meta.created)]
        });
    }
}

pub(super) fn service_accounts(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for ServiceAccount { meta, .. } in snapshot.view.store().service_accounts().values() {
        rows.of(meta, || vec![snapshot.age(meta.created)]);
    }
}

pub(super) fn ingresses(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for (meta, value) in snapshot.all_written(Kind::Ingress) {
        rows.of(meta, || {
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
                snapshot.age(meta.created),
            ]
        });
    }
}

pub(super) fn ingress_classes(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for (meta, value) in snapshot.all_written(Kind::IngressClass) {
        rows.of(meta, || {
            let parameters = &value["spec"]["parameters"];
            let parameters = match (parameters["kind"].as_str(), parameters["name"].as_str()) {
                (Some(kind), Some(name)) => format!("{kind}/{name}"),
                _ => NONE.to_owned(),
            };
            let controller = value["spec"]["controller"].as_str().unwrap_or_default();
            vec![controller.to_owned(), parameters, snapshot.age(meta.created)]
        });
    }
}

pub(super) fn network_policies(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for NetworkPolicy { meta, spec } in snapshot.view.store().network_policies().values() {
        rows.of(meta, || vec![label_text(&spec.pod_selector), snapshot.age(meta.created)]);
    }
}

/// The columns of the Gateway API's CustomResourceDefinition.
pub(super) fn http_routes(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for (meta, value) in snapshot.all_written(Kind::HTTPRoute) {
        rows.of(meta, || {
            let names = &value["spec"]["hostnames"];
            let names = if names.is_null() { String::new() } else { names.to_string() };
            vec![names, snapshot.age(meta.created)]
        });
    }
}

/// Claims. Their volumes are named after the claim's UID, as provisioners do; storage classes are not defaulted.
pub(super) fn claims(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for claim in snapshot.view.store().claims().values() {
        rows.of(&claim.meta, || {
            let is_bound = claim.volume.is_some();
            let bound = size_and_modes(snapshot.view.store(), claim);
            let (size, modes) = if is_bound { bound } else { Default::default() };
            vec![
                claim.status().to_owned(),
                if is_bound { claim.volume_name() } else { String::new() },
                size,
                modes,
                claim.spec.storage_class.as_deref().unwrap_or_default().to_owned(),
                "<unset>".to_owned(),
                snapshot.age(claim.meta.created),
                "Filesystem".to_owned(),
            ]
        });
    }
}

pub(super) fn storage_classes(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for StorageClass { meta, spec } in snapshot.view.store().storage_classes().values() {
        let written = snapshot.written(Kind::StorageClass, &meta.id);
        rows.of(meta, || {
            let text = |field: &str| written[field].as_str().unwrap_or_default().to_owned();
            vec![
                spec.provisioner.to_string(),
                text("reclaimPolicy"),
                text("volumeBindingMode"),
                written["allowVolumeExpansion"].as_bool().unwrap_or(false).to_string(),
                snapshot.age(meta.created),
            ]
        });
    }
}

/// CSINodes, as their names and numbers of drivers.
pub(super) fn csi_nodes(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for node in snapshot.view.store().csi_nodes().values() {
        let drivers = node.spec.drivers.len().to_string();
        rows.of(&node.meta, || vec![drivers, snapshot.age(node.meta.created)]);
    }
}

/// The PersistentVolumes of the manifests, and the volumes provisioned for claims, each as old as its claim.
pub(super) fn volumes(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for volume in snapshot.view.store().persistent_volumes().values() {
        let spec = &volume.spec;
        let written = snapshot.written(Kind::PersistentVolume, &volume.meta.id);
        rows.of(&volume.meta, || {
            let text = |field: &str| written["spec"][field].as_str().unwrap_or_default().to_owned();
            let claim = volume.claim.as_ref().or(spec.claim.as_ref());
            vec![
                spec.capacity.map_or_else(String::new, |capacity| capacity.to_string()),
                short_modes(&spec.access_modes),
                text("persistentVolumeReclaimPolicy"),
                volume.phase().to_owned(),
                claim.map_or_else(String::new, ToString::to_string),
                spec.storage_class.to_string(),
                "<unset>".to_owned(),
                String::new(),
                snapshot.age(volume.meta.created),
                text("volumeMode"),
            ]
        });
    }
    for claim in snapshot.view.store().claims().values().filter(|one| has_made_volume(one)) {
        let id = NamespacedName::new("", claim.volume_name());
        rows.add(&id, &Labels::default(), || {
            vec![
                claim.spec.storage().map_or_else(String::new, |storage| storage.to_string()),
                access_modes(claim),
                "Delete".to_owned(),
                "Bound".to_owned(),
                claim.meta.id.to_string(),
                claim.spec.storage_class.as_deref().unwrap_or_default().to_owned(),
                "<unset>".to_owned(),
                String::new(),
                snapshot.age(claim.meta.created),
                "Filesystem".to_owned(),
            ]
        });
    }
}

pub(super) fn namespaces(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for Namespace { meta } in snapshot.view.store().namespaces().values() {
        rows.of(meta, || vec!["Active".to_owned(), snapshot.age(meta.created)]);
    }
}

pub(super) fn quotas(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for quota in snapshot.view.store().quotas().values() {
        rows.of(&quota.meta, || {
            let used = snapshot.view.store().quota_used(quota);
            let cell = |of_limits: bool| {
                let own = used.iter().filter(|one| one.resource.starts_with("limits") == of_limits);
                let pairs = own.map(|one| format!("{}: {}/{}", one.resource, one.used, one.hard));
                pairs.collect::<Vec<_>>().join(", ")
            };
            vec![cell(false), cell(true), snapshot.age(quota.meta.created)]
        });
    }
}

pub(super) fn limit_ranges(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for range in snapshot.view.store().limit_ranges().values() {
        rows.of(&range.meta, || {
            let at =
                cluster::ClusterView::new(snapshot.view.store(), range.meta.created).timestamp();
            vec![at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()]
        });
    }
}

pub(super) fn priority_classes(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for PriorityClass { meta, spec } in snapshot.view.store().priority_classes().values() {
        rows.of(meta, || {
            vec![
                spec.value.to_string(),
                spec.global_default.to_string(),
                snapshot.age(meta.created),
                if spec.never_preempts { "Never" } else { "PreemptLowerPriority" }.to_owned(),
            ]
        });
    }
}

/// The columns of the vertical-pod-autoscaler's CustomResourceDefinition.
pub(super) fn vpas(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for vpa in snapshot.view.store().vpas().values() {
        rows.add(&vpa.meta.id, &vpa.meta.labels, || {
            let first = vpa.recommendation.first();
            let amount_text = |resource| {
                let target = first.and_then(|one| one.target.get(resource));
                target.map_or_else(String::new, |amount| amount.to_string())
            };
            vec![
                format!("{:?}", vpa.spec.mode),
                amount_text(Resource::Cpu),
                amount_text(Resource::Memory),
                first.map_or_else(String::new, |_| "True".to_owned()),
                snapshot.age(vpa.meta.created),
            ]
        });
    }
}

/// Those columns of KEDA's CustomResourceDefinition for which the simulation has values.
pub(super) fn scaled_objects(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for object in snapshot.view.store().scaled_objects().values() {
        let spec = &object.spec;
        rows.add(&object.meta.id, &object.meta.labels, || {
            let target = &spec.scale_target;
            let triggers: BTreeSet<&str> = spec.triggers.iter().map(|one| &*one.kind).collect();
            vec![
                format!("{}.{}", target.api_version.replace('/', "."), target.kind),
                target.name.to_string(),
                spec.min_replicas.to_string(),
                spec.max_replicas.to_string(),
                title_case(spec.pause.is_paused).to_owned(),
                triggers.into_iter().collect::<Vec<_>>().join(","),
                snapshot.age(object.meta.created),
            ]
        });
    }
}

/// The same of ScaledJobs.
pub(super) fn scaled_jobs(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for object in snapshot.view.store().scaled_jobs().values() {
        let (scaling, conditions) = (&object.spec.scaling, &object.status.conditions);
        rows.of(&object.meta, || {
            let written =
                |number: Option<i64>| number.map_or_else(String::new, |one| one.to_string());
            let triggers: BTreeSet<&str> =
                object.spec.triggers.iter().map(|one| &*one.kind).collect();
            vec![
                written(scaling.min_replicas),
                written(scaling.max_replicas),
                conditions.ready.status.as_str().to_owned(),
                conditions.active.status.as_str().to_owned(),
                conditions.paused.status.as_str().to_owned(),
                triggers.into_iter().collect::<Vec<_>>().join(","),
                snapshot.age(object.meta.created),
            ]
        });
    }
}

/// The columns of the CustomResourceDefinitions of Kueue.
pub(super) fn cluster_queues(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for queue in snapshot.view.store().cluster_queues().values() {
        rows.of(&queue.meta, || {
            let strategy = if queue.spec.is_strict { "StrictFIFO" } else { "BestEffortFIFO" };
            vec![
                queue.spec.cohort.as_deref().unwrap_or_default().to_owned(),
                queue.status.pending.to_string(),
                strategy.to_owned(),
                queue.status.admitted.to_string(),
            ]
        });
    }
}

pub(super) fn local_queues(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for queue in snapshot.view.store().local_queues().values() {
        rows.of(&queue.meta, || {
            vec![
                queue.spec.cluster_queue.to_string(),
                queue.status.pending.to_string(),
                queue.status.admitted.to_string(),
            ]
        });
    }
}

pub(super) fn resource_flavors(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for flavor in snapshot.view.store().resource_flavors().values() {
        rows.of(&flavor.meta, || vec![snapshot.age(flavor.meta.created)]);
    }
}

pub(super) fn workload_priority_classes(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for class in snapshot.view.store().workload_priority_classes().values() {
        rows.of(&class.meta, || vec![class.spec.value.to_string()]);
    }
}

/// The columns of the CustomResourceDefinitions of Argo Rollouts.
pub(super) fn rollouts(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for rollout in snapshot.view.store().rollouts().values() {
        rows.of(&rollout.meta, || {
            let status = &rollout.status;
            vec![
                rollout.spec.replicas.to_string(),
                status.replicas.to_string(),
                status.updated_replicas.to_string(),
                status.available_replicas.to_string(),
                snapshot.age(rollout.meta.created),
            ]
        });
    }
}

pub(super) fn analysis_templates(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for template in snapshot.view.store().analysis_templates().values() {
        rows.of(&template.meta, || vec![snapshot.age(template.meta.created)]);
    }
}

pub(super) fn cluster_analysis_templates(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for template in snapshot.view.store().cluster_analysis_templates().values() {
        rows.of(&template.meta, || vec![snapshot.age(template.meta.created)]);
    }
}

/// The columns of Knative's CustomResourceDefinition.
pub(super) fn pod_autoscalers(snapshot: Snapshot<'_>, rows: &mut Rows<'_>) {
    for object in snapshot.view.store().pod_autoscalers().values() {
        rows.add(&object.meta.id, &object.meta.labels, || {
            let status = &object.status;
            let (ready, reason) = readiness(status);
            vec![
                Some(status.desired_scale)
                    .filter(|desired| *desired >= 0)
                    .map_or_else(String::new, |one| one.to_string()),
                status.actual_scale.to_string(),
                ready.to_owned(),
                reason.to_owned(),
            ]
        });
    }
}

/// Status and reason of the Ready condition of a PodAutoscaler.
pub(super) const fn readiness(status: &PodAutoscalerStatus) -> (&'static str, &'static str) {
    match status.active {
        ConditionStatus::True => ("True", ""),
        ConditionStatus::Unknown => ("Unknown", "Queued"),
        ConditionStatus::False => ("False", "NoTraffic"),
    }
}

/// `metadata.labels` of an object as written.
pub(super) fn labels_of(written: &Value) -> Labels {
    pairs(&written["metadata"]["labels"])
}

/// The string values of a map.
pub(super) fn pairs(written: &Value) -> Labels {
    let pairs = written.as_object().into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
}

/// A claim's access modes with kubectl's abbreviations, in kubectl's order.
pub(super) fn access_modes(claim: &Claim) -> String {
    short_modes(&claim.spec.access_modes)
}

/// Access modes as kubectl abbreviates them, in its order.
pub(super) fn short_modes(modes: &[AccessMode]) -> String {
    let own = AccessMode::NAMED.iter().filter(|(_, mode)| modes.contains(mode));
    own.map(|(_, mode)| mode.to_string()).collect::<Vec<_>>().join(",")
}

/// Whether the volume of a claim was made for it, and is no object of the manifests.
pub(super) fn has_made_volume(claim: &Claim) -> bool {
    claim.volume.as_ref().is_some_and(|volume| volume.name.is_none())
}

/// The volume of the manifests that a claim has.
pub(super) fn volume_of<'a>(store: &'a Store, claim: &Claim) -> Option<&'a PersistentVolume> {
    let name = claim.volume.as_ref()?.name.clone()?;
    store.find(&NamespacedName::new("", name))
}

/// Size and access modes of a bound claim: those of its volume.
pub(super) fn size_and_modes(store: &Store, claim: &Claim) -> (String, String) {
    let volume = volume_of(store, claim);
    let size = volume.map_or_else(|| claim.spec.storage(), |volume| volume.spec.capacity);
    let modes = volume.map_or(&claim.spec.access_modes, |volume| &volume.spec.access_modes);
    (size.map_or_else(String::new, |size| size.to_string()), short_modes(modes))
}
