//! `kubectl describe` of objects that pods refer to: ConfigMaps, Secrets, ServiceAccounts, claims and their
//! volumes.

use super::describe::{labels, names};
use super::get::Snapshot;
use super::page::{Page, line};
use super::rows_of_others::{access_modes, has_made_volume, short_modes, size_and_modes};
use cluster::claim::Claim;
use cluster::config::{ConfigMap, Secret};
use cluster::persistent_volume::PersistentVolume;
use cluster::service_account::ServiceAccount;
use cluster::{Kind, NamespacedName};

pub(super) fn config(
    snapshot: Snapshot<'_>,
    id: &NamespacedName,
    kind: Kind,
    page: &mut Page,
) -> Option<()> {
    let store = snapshot.view.store();
    let is_secret = kind == Kind::Secret;
    let (meta, keys) = if is_secret {
        store.find::<Secret>(id).map(|one| (&one.meta, &one.spec.keys))?
    } else {
        store.find::<ConfigMap>(id).map(|one| (&one.meta, &one.spec.keys))?
    };
    let written = snapshot.written(kind, id);
    names(id, page);
    labels(meta, page);
    line!(page, 0, "");
    if let Some(secret) = store.find::<Secret>(id).filter(|_| is_secret) {
        line!(page, 0, "Type:\t{}", secret.spec.secret_type);
        line!(page, 0, "");
    }
    line!(page, 0, "Data");
    line!(page, 0, "====");
    for key in keys {
        let value = |field: &str| written[field][&**key].as_str();
        if is_secret {
            let plain = value("stringData").map(str::len);
            let bytes = plain.or_else(|| value("data").map(decoded_length)).unwrap_or(0);
            line!(page, 0, "{key}:\t{bytes} bytes");
        } else if let Some(text) = value("data") {
            line!(page, 0, "{key}:");
            line!(page, 0, "----");
            line!(page, 0, "{text}");
            line!(page, 0, "");
        }
    }
    if !is_secret {
        line!(page, 0, "");
        line!(page, 0, "BinaryData");
        line!(page, 0, "====");
        for key in keys {
            if let Some(data) = written["binaryData"][&**key].as_str() {
                line!(page, 0, "{key}: {} bytes", decoded_length(data));
            }
        }
        line!(page, 0, "");
    }
    Some(())
}

/// Decoded length of a base64 text in bytes.
fn decoded_length(text: &str) -> usize {
    let letters = text.bytes().filter(|letter| !letter.is_ascii_whitespace() && *letter != b'=');
    letters.count() * 3 / 4
}

pub(super) fn service_account(
    snapshot: Snapshot<'_>,
    id: &NamespacedName,
    page: &mut Page,
) -> Option<()> {
    let account = snapshot.view.store().find::<ServiceAccount>(id)?;
    let written = snapshot.written(Kind::ServiceAccount, id);
    names(id, page);
    labels(&account.meta, page);
    let secrets = written["imagePullSecrets"].as_array().into_iter().flatten();
    let secrets = secrets.filter_map(|one| one["name"].as_str().map(str::to_owned));
    page.list("Image pull secrets", secrets);
    Some(())
}

pub(super) fn claim(snapshot: Snapshot<'_>, id: &NamespacedName, page: &mut Page) -> Option<()> {
    let store = snapshot.view.store();
    let claim = store.claim(id)?;
    let is_bound = claim.volume.is_some();
    names(id, page);
    line!(page, 0, "StorageClass:\t{}", class(claim));
    line!(page, 0, "Status:\t{}", claim.status());
    line!(page, 0, "Volume:\t{}", if is_bound { claim.volume_name() } else { String::new() });
    labels(&claim.meta, page);
    line!(page, 0, "Finalizers:\t[kubernetes.io/pvc-protection]");
    let bound = |text: String| if is_bound { text } else { String::new() };
    let (size, modes) = size_and_modes(store, claim);
    line!(page, 0, "Capacity:\t{}", bound(size));
    line!(page, 0, "Access Modes:\t{}", bound(modes));
    line!(page, 0, "VolumeMode:\tFilesystem");
    let refers =
        |pod: &cluster::pod::Pod| store.template_of(pod).spec.claims().any(|name| *name == id.name);
    let pods = store.pods_in(&id.namespace).filter(|(_, pod)| refers(pod));
    let mut pods: Vec<String> = pods.map(|(_, pod)| pod.name().to_string()).collect();
    pods.sort();
    page.list("Used By", pods);
    Some(())
}

fn class(claim: &Claim) -> &str {
    claim.spec.storage_class.as_deref().unwrap_or_default()
}

fn capacity(claim: &Claim) -> String {
    claim.spec.storage().map_or_else(String::new, |storage| storage.to_string())
}

pub(super) fn volume(snapshot: Snapshot<'_>, id: &NamespacedName, page: &mut Page) -> Option<()> {
    if let Some(volume) = snapshot.view.store().find::<PersistentVolume>(id) {
        volume_of_manifests(snapshot, volume, page);
        return Some(());
    }
    let mut claims = snapshot.view.store().claims().values().filter(|one| has_made_volume(one));
    let claim = claims.find(|one| one.volume_name() == *id.name)?;
    names(id, page);
    line!(page, 0, "Labels:\t<none>");
    line!(page, 0, "Annotations:\t<none>");
    line!(page, 0, "Finalizers:\t[kubernetes.io/pv-protection]");
    line!(page, 0, "StorageClass:\t{}", class(claim));
    line!(page, 0, "Status:\tBound");
    line!(page, 0, "Claim:\t{}", claim.meta.id);
    line!(page, 0, "Reclaim Policy:\tDelete");
    line!(page, 0, "Access Modes:\t{}", access_modes(claim));
    line!(page, 0, "VolumeMode:\tFilesystem");
    line!(page, 0, "Capacity:\t{}", capacity(claim));
    match claim.zone() {
        Some(zone) => {
            line!(page, 0, "Node Affinity:");
            line!(page, 1, "Required Terms:");
            line!(page, 2, "Term 0:\ttopology.kubernetes.io/zone in [{zone}]");
        }
        None => line!(page, 0, "Node Affinity:\t<none>"),
    }
    line!(page, 0, "Message:\t");
    line!(page, 0, "Source:");
    line!(page, 1, "<unknown>");
    Some(())
}

/// A volume of the manifests; only the kind of its source is printed.
fn volume_of_manifests(snapshot: Snapshot<'_>, volume: &PersistentVolume, page: &mut Page) {
    let PersistentVolume { meta, spec, .. } = volume;
    let written = snapshot.written(Kind::PersistentVolume, &meta.id);
    let written = &written["spec"];
    let text = |field: &str| written[field].as_str().unwrap_or_default().to_owned();
    names(&meta.id, page);
    labels(meta, page);
    line!(page, 0, "Finalizers:\t[kubernetes.io/pv-protection]");
    line!(page, 0, "StorageClass:\t{}", spec.storage_class);
    line!(page, 0, "Status:\t{}", volume.phase());
    let claim = volume.claim.as_ref().or(spec.claim.as_ref());
    line!(page, 0, "Claim:\t{}", claim.map_or_else(String::new, ToString::to_string));
    line!(page, 0, "Reclaim Policy:\t{}", text("persistentVolumeReclaimPolicy"));
    line!(page, 0, "Access Modes:\t{}", short_modes(&spec.access_modes));
    line!(page, 0, "VolumeMode:\t{}", text("volumeMode"));
    let capacity = spec.capacity.map_or_else(String::new, |capacity| capacity.to_string());
    line!(page, 0, "Capacity:\t{capacity}");
    let terms = written["nodeAffinity"]["required"]["nodeSelectorTerms"].as_array();
    match terms {
        Some(terms) => {
            line!(page, 0, "Node Affinity:");
            line!(page, 1, "Required Terms:");
            for (place, term) in terms.iter().enumerate() {
                let needs = term["matchExpressions"].as_array().into_iter().flatten();
                let needs: Vec<String> = needs.map(requirement).collect();
                line!(page, 2, "Term {place}:\t{}", needs.join(", "));
            }
        }
        None => line!(page, 0, "Node Affinity:\t<none>"),
    }
    line!(page, 0, "Message:\t");
}

/// `key in [a, b]`.
fn requirement(one: &serde_json::Value) -> String {
    let text = |field: &str| one[field].as_str().unwrap_or_default().to_owned();
    let values = one["values"].as_array().into_iter().flatten();
    let values: Vec<&str> = values.filter_map(serde_json::Value::as_str).collect();
    format!("{} {} [{}]", text("key"), text("operator").to_lowercase(), values.join(", "))
}
