//! Objects that controllers create from others before pods need them: Secrets for certificates and from external secret
//! stores, and the ReplicaSet that replaces a ReplicationController.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::diagnostic::{Diagnostic, Diagnostics};
use super::object::Manifest;
use cluster::{Kind, ObjectReference};

/// Adds the objects that controllers create from these, with notes. Existing Secrets are left unchanged.
pub(super) fn add_derived(manifests: &mut Vec<Manifest>, diagnostics: &mut Diagnostics) {
    let mut asked = BTreeMap::new();
    for manifest in manifests.iter() {
        keys_asked(&manifest.value, &mut asked);
    }
    let mut made: Vec<Manifest> = Vec::new();
    for manifest in manifests.iter_mut() {
        if &*manifest.api_version == "v1" && &*manifest.kind == "ReplicationController" {
            become_replica_set(manifest, diagnostics);
        }
        let Some((name, mut keys)) = secret_of(manifest) else { continue };
        keys.extend(asked.get(&name).into_iter().flatten().cloned());
        let namespace = manifest.reference.id.namespace.clone();
        let data: Map<String, Value> = keys.into_iter().map(|key| (key, "".into())).collect();
        let metadata = json!({"name": name, "namespace": &*namespace});
        let value =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data});
        let message = format!(
            "its controller creates the Secret {name}, which is assumed to exist from the start"
        );
        let note = Diagnostic::note("made-object", message);
        diagnostics.push(note.at(manifest.origin.place()).of(manifest.label()));
        made.push(Manifest {
            api_version: "v1".into(),
            kind: "Secret".into(),
            reference: ObjectReference::new(Kind::Secret, namespace, name),
            has_generated_name: false,
            made_from: None,
            value,
            origin: manifest.origin.clone(),
        });
    }
    let mut known: BTreeSet<ObjectReference> =
        manifests.iter().map(|manifest| manifest.reference.clone()).collect();
    made.retain(|one| known.insert(one.reference.clone()));
    manifests.append(&mut made);
}

/// The keys that pods read from Secrets, by Secret name.
fn keys_asked(value: &Value, asked: &mut BTreeMap<String, BTreeSet<String>>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| keys_asked(item, asked)),
        Value::Object(fields) => {
            let text =
                |of: &Value, field: &str| of.get(field).and_then(Value::as_str).map(str::to_owned);
            if let Some(reference) = fields.get("secretKeyRef")
                && let (Some(name), Some(key)) = (text(reference, "name"), text(reference, "key"))
            {
                asked.entry(name).or_default().insert(key);
            }
            if let Some(volume) = fields.get("secret")
                && let Some(name) = text(volume, "secretName").or_else(|| text(volume, "name"))
            {
                let items = volume.get("items").and_then(Value::as_array).into_iter().flatten();
                asked.entry(name).or_default().extend(items.filter_map(|item| text(item, "key")));
            }
            fields.values().for_each(|field| keys_asked(field, asked));
        }
        _ => {}
    }
}

/// The name and known keys of the Secret that a controller creates from an object.
fn secret_of(manifest: &Manifest) -> Option<(String, BTreeSet<String>)> {
    let value = &manifest.value;
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let own_name = || Some(manifest.reference.id.name.to_string());
    let group = manifest.api_version.split('/').next().unwrap_or_default();
    let keys_of = |pointer: &str| {
        let fields = value.pointer(pointer).and_then(Value::as_object);
        fields.into_iter().flat_map(Map::keys).cloned().collect::<BTreeSet<String>>()
    };
    let texts = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    Some(match (group, &*manifest.kind) {
        ("cert-manager.io", "Certificate") => {
            (text("/spec/secretName")?, texts(&["tls.crt", "tls.key", "ca.crt"]))
        }
        ("external-secrets.io", "ExternalSecret") => {
            let name = text("/spec/target/name").or_else(own_name)?;
            let mut keys = keys_of("/spec/target/template/data");
            let data = value.pointer("/spec/data").and_then(Value::as_array);
            let entries =
                data.into_iter().flatten().filter_map(|one| one.get("secretKey")?.as_str());
            keys.extend(entries.map(str::to_owned));
            (name, keys)
        }
        ("bitnami.com", "SealedSecret") => {
            let name = text("/spec/template/metadata/name").or_else(own_name)?;
            (name, keys_of("/spec/encryptedData"))
        }
        ("secrets.hashicorp.com", _) => (text("/spec/destination/name")?, BTreeSet::new()),
        ("onepassword.com", "OnePasswordItem") => (own_name()?, BTreeSet::new()),
        // CloudNativePG: the credentials for applications.
        ("postgresql.cnpg.io", "Cluster") => {
            let name = text("/spec/bootstrap/initdb/secret/name")
                .unwrap_or_else(|| format!("{}-app", manifest.reference.id.name));
            let keys = [
                "username", "user", "password", "dbname", "host", "port", "pgpass", "uri",
                "jdbc-uri",
            ];
            (name, texts(&keys))
        }
        _ => return None,
    })
}

/// Converts a ReplicationController to a ReplicaSet, which only differs in the form of its selector.
fn become_replica_set(manifest: &mut Manifest, diagnostics: &mut Diagnostics) {
    let message =
        "it is simulated as a ReplicaSet of the same name, whose controller works the same way";
    let note = Diagnostic::note("translated-kind", message);
    diagnostics.push(note.at(manifest.origin.place()).of(manifest.label()));
    let labels = manifest.value.pointer("/spec/template/metadata/labels").cloned();
    if let Some(Value::Object(spec)) = manifest.value.get_mut("spec") {
        let selector = spec.get("selector").filter(|one| !one.is_null()).cloned().or(labels);
        let selector = selector.unwrap_or_else(|| Value::Object(Map::new()));
        spec.insert("selector".to_owned(), json!({ "matchLabels": selector }));
    }
    manifest.value["apiVersion"] = "apps/v1".into();
    manifest.value["kind"] = "ReplicaSet".into();
    manifest.api_version = "apps/v1".into();
    manifest.kind = "ReplicaSet".into();
    manifest.reference.kind = Kind::ReplicaSet;
}

#[cfg(test)]
mod tests {
    use crate::{Source, load};

    fn diagnostics_of(text: &str) -> String {
        load(&[Source::new("a.yaml", text)]).diagnostics.to_string()
    }

    #[test]
    fn a_secret_that_a_controller_makes_is_there() {
        let pod = "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: a, env: \
                   [{name: P, valueFrom: {secretKeyRef: {name: db, key: password}}}]}]}}\n---\n";
        assert!(diagnostics_of(pod).contains("Secret default/db does not exist"));
        for maker in [
            "{apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {name: a}, spec: {secretName: db}}",
            "{apiVersion: external-secrets.io/v1, kind: ExternalSecret, metadata: {name: db}, spec: {}}",
            "{apiVersion: bitnami.com/v1alpha1, kind: SealedSecret, metadata: {name: db}, spec: {encryptedData: {a: b}}}",
        ] {
            let diagnostics_of = diagnostics_of(&format!("{pod}{maker}\n"));
            assert!(!diagnostics_of.contains("warning"), "{diagnostics_of}");
            assert!(
                diagnostics_of.contains("its controller creates the Secret db"),
                "{diagnostics_of}"
            );
        }
    }

    #[test]
    fn a_replication_controller_brings_its_pods() {
        let text = "{apiVersion: v1, kind: ReplicationController, metadata: {name: a}, spec: {replicas: 2, template: \
                    {metadata: {labels: {app: a}}, spec: {containers: [{name: a, image: a}]}}}}\n";
        let loaded = load(&[Source::new("a.yaml", text)]);
        assert_eq!(loaded.objects.len(), 1);
        assert_eq!(&*loaded.objects[0].manifest.kind, "ReplicaSet");
        assert!(!loaded.diagnostics.has_errors());
    }
}
