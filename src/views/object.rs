//! `kubectl get -o yaml` and `-o json`: objects in their API form. The fields written by clients come from
//! `manifest::written`, the remaining metadata and the status from the store.

use serde_json::{Map, Value, json};

use super::endpoints;
use super::get::Scope;
use super::object_status::status;
use super::rows_of_others::{has_made_volume, labels_of};
use cluster::assigned::uid_text;
use cluster::{ClusterView, Kind, NamespacedName, ObjectId};
use engine::{SimDuration, SimTime};
use manifest::{amounts, written};

/// The selected objects of a kind, in the order in which they are listed.
pub fn objects(view: ClusterView<'_>, kind: Kind, scope: &Scope) -> Vec<Value> {
    let mut items: Vec<(NamespacedName, Value)> = match kind {
        Kind::EndpointSlice | Kind::Endpoints => {
            let all = endpoints::objects(view, kind).into_iter();
            all.filter(|(id, _)| scope.has_name(id)).collect()
        }
        _ => {
            let all = view.store().objects_of(kind).into_iter();
            let meant = all.filter(|(_, id)| scope.has_name(id));
            meant.filter_map(|(object, id)| Some((id.clone(), api_object(view, object)?))).collect()
        }
    };
    if kind == Kind::PersistentVolume {
        items.extend(made_volumes(view, scope));
    }
    if let Some(selector) = &scope.selector {
        items.retain(|(_, item)| selector.matches(&labels_of(item)));
    }
    items.sort_by(|(one, _), (other, _)| one.cmp(other));
    items.sort_by_key(|(id, _)| scope.place(id));
    items.into_iter().map(|(_, item)| item).collect()
}

/// An object as the API server prints it, with its fields in alphabetical order.
fn api_object(view: ClusterView<'_>, object: ObjectId) -> Option<Value> {
    let mut value = written(view.store(), object)?;
    add_metadata(view, object, &mut value["metadata"]);
    if let Some(status) = status(view, object) {
        match value["status"].as_object_mut() {
            // A node's status has the machine's description already.
            Some(known) => known.extend(status),
            None => value["status"] = Value::Object(status),
        }
    }
    sort(&mut value);
    Some(value)
}

/// Sorts fields alphabetically, as kubectl prints them.
pub(super) fn sort(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.sort_keys();
            fields.values_mut().for_each(sort);
        }
        Value::Array(items) => items.iter_mut().for_each(sort),
        _ => {}
    }
}

/// `metav1.Time`: in whole seconds, UTC.
pub(super) fn time(view: ClusterView<'_>, at: SimTime) -> Value {
    let at = ClusterView::new(view.store(), at).timestamp();
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()
}

fn add_metadata(view: ClusterView<'_>, object: ObjectId, metadata: &mut Value) {
    let store = view.store();
    let (uid, version, created, deletion) = if let ObjectId::Pod(id) = object {
        let Some(pod) = store.pods().get(id) else { return };
        let deletion = pod.deletion.map(|one| (one.requested_at, one.deadline));
        (pod.uid, pod.resource_version, pod.created, deletion)
    } else {
        let Some(meta) = store.meta_of(object) else { return };
        let deletion = meta.deletion.map(|at| (at, at));
        (meta.uid, meta.resource_version, meta.created, deletion)
    };
    metadata["uid"] = uid_text(uid).into();
    metadata["resourceVersion"] = version.to_string().into();
    metadata["creationTimestamp"] = time(view, created);
    if object.kind().info().has_generation {
        metadata["generation"] = store.meta_of(object).map_or(1, |meta| meta.generation).into();
    }
    if let Some((asked, deadline)) = deletion {
        metadata["deletionTimestamp"] = time(view, deadline);
        let grace: SimDuration = deadline - asked.floor_to_second();
        metadata["deletionGracePeriodSeconds"] = grace.as_secs().into();
    }
    if let Some(owner) = store.owner_of(object)
        && let (Some(name), Some(meta)) = (store.name_of(owner), store.meta_of(owner))
    {
        metadata["ownerReferences"] = json!([{
            "apiVersion": owner.kind().api_version(),
            "blockOwnerDeletion": true,
            "controller": true,
            "kind": owner.kind().name(),
            "name": &*name.name,
            "uid": uid_text(meta.uid),
        }]);
    }
}

/// The volumes provisioned for claims.
fn made_volumes(view: ClusterView<'_>, scope: &Scope) -> Vec<(NamespacedName, Value)> {
    let claims = view.store().claims().values().filter(|one| has_made_volume(one));
    let all = claims.map(|claim| {
        let id = NamespacedName::new("", claim.volume_name());
        let mut spec = json!({
            "accessModes": written(view.store(), view.store().object_named(
                Kind::PersistentVolumeClaim, &claim.meta.id)?)?["spec"]["accessModes"],
            "capacity": amounts(&claim.spec.requests),
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": &**claim.meta.name(),
                "namespace": &**claim.meta.namespace(),
                "uid": uid_text(claim.meta.uid),
            },
            "csi": { "driver": "simulated.csi", "volumeHandle": &*id.name },
            "persistentVolumeReclaimPolicy": "Delete",
            "volumeMode": "Filesystem",
        });
        if let Some(class) = &claim.spec.storage_class {
            spec["storageClassName"] = Value::from(&**class);
        }
        if let Some(zone) = claim.zone() {
            spec["nodeAffinity"] = json!({ "required": { "nodeSelectorTerms": [{ "matchExpressions": [
                { "key": "topology.kubernetes.io/zone", "operator": "In", "values": [&**zone] },
            ] }] } });
        }
        let mut object = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {
                "creationTimestamp": time(view, claim.meta.created),
                "finalizers": ["kubernetes.io/pv-protection"],
                "name": &*id.name,
                "uid": uid_text(!claim.meta.uid),
            },
            "spec": spec,
            "status": { "phase": "Bound" },
        });
        sort(&mut object);
        Some((id, object))
    });
    all.flatten().filter(|(id, _)| scope.has_name(id)).collect()
}

/// An object of these fields, without the empty ones.
pub(super) fn fields<const N: usize>(all: [(&str, Value); N]) -> Map<String, Value> {
    let pairs = all.into_iter().filter(|(_, value)| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Number(number) => number.as_i64() != Some(0),
        _ => true,
    });
    pairs.map(|(name, value)| (name.to_owned(), value)).collect()
}
