//! What changes in the manifests, as strategic merge patches that kubectl and Kustomize take.

use serde_json::{Map, Value, json};

use manifest::Manifest;
use manifest::yaml::to_yaml;
use scenario::Override;

/// A patch of one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    /// Name for its file: `deployment-shop-web.yaml`.
    pub file: String,
    /// The patch.
    pub value: Value,
}

/// The patches that settings make of manifests, one for each object that changes.
pub fn patches(manifests: &[Manifest], settings: &[Override]) -> Vec<Patch> {
    manifests.iter().filter_map(|manifest| patch(manifest, settings)).collect()
}

fn patch(manifest: &Manifest, settings: &[Override]) -> Option<Patch> {
    let mut after = manifest.value.clone();
    for setting in settings.iter().filter(|one| one.object() == Some(&manifest.reference)) {
        setting.apply(&mut after).ok()?;
    }
    let Value::Object(changed) = difference(&manifest.value, &after)? else { return None };
    let id = &manifest.reference.id;
    let mut metadata = json!({"name": id.name});
    if !manifest.value["metadata"]["namespace"].is_null() {
        metadata["namespace"] = json!(id.namespace);
    }
    let mut value = json!({
        "apiVersion": manifest.api_version,
        "kind": manifest.kind,
        "metadata": metadata,
    });
    if let Some(fields) = value.as_object_mut() {
        fields.extend(changed);
    }
    let parts = [&*manifest.kind, &*id.namespace, &*id.name].map(str::to_lowercase);
    Some(Patch { file: format!("{}.yaml", parts.join("-")), value })
}

/// The strategic merge patch that turns `before` into `after`. Lists whose elements have names merge by these; others are
/// replaced.
fn difference(before: &Value, after: &Value) -> Option<Value> {
    match (before, after) {
        (before, after) if before == after => None,
        (Value::Object(before), Value::Object(after)) => {
            let changed = after.iter().filter_map(|(name, value)| {
                let was = before.get(name).unwrap_or(&Value::Null);
                Some((name.clone(), difference(was, value)?))
            });
            Some(Value::Object(changed.collect::<Map<_, _>>()))
        }
        (Value::Array(before), Value::Array(after)) if have_same_names(before, after) => {
            let changed = before.iter().zip(after).filter_map(|(before, after)| {
                let mut changed = difference(before, after)?;
                changed["name"] = after["name"].clone();
                Some(changed)
            });
            Some(Value::Array(changed.collect()))
        }
        (_, after) => Some(after.clone()),
    }
}

fn have_same_names(before: &[Value], after: &[Value]) -> bool {
    before.len() == after.len()
        && before
            .iter()
            .zip(after)
            .all(|(before, after)| before["name"].is_string() && before["name"] == after["name"])
}

/// The patches as one text, a document each.
pub fn text(patches: &[Patch]) -> String {
    let documents: Vec<String> = patches.iter().map(|patch| to_yaml(&patch.value)).collect();
    documents.join("---\n")
}

/// A kustomization that applies the patches to these resources.
pub fn kustomization(resources: &[String], patches: &[Patch]) -> String {
    let paths: Vec<Value> = patches.iter().map(|patch| json!({"path": patch.file})).collect();
    to_yaml(&json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": resources,
        "patches": paths,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use manifest::{Diagnostics, Source, read_manifests};

    const WEB: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  template:
    spec:
      containers:
        - name: proxy
          image: proxy:1
        - name: web
          image: web:1
          resources: {requests: {cpu: 500m, memory: 1Gi}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec:
  maxReplicas: 5
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}
";

    fn patched(settings: &[&str]) -> String {
        let source = Source::new("web.yaml", WEB);
        let manifests = read_manifests(&[source], &mut Diagnostics::default());
        let settings: Vec<Override> =
            settings.iter().map(|one| one.parse().expect("well-formed")).collect();
        text(&patches(&manifests, &settings))
    }

    #[test]
    fn a_patch_names_the_object_and_what_changes() {
        let cpu = "manifests.Deployment/shop/web.spec.template.spec.containers[web].resources.requests.cpu=250m";
        let text = patched(&[cpu, "manifests.Deployment/shop/web.spec.replicas=2"]);
        let expected = "\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
spec:
  template:
    spec:
      containers:
      - name: web
        resources:
          requests:
            cpu: 250m
";
        let read = |text: &str| {
            manifest::read_documents(&Source::new("p", text), &mut Diagnostics::default())
        };
        assert_eq!(read(&text)[0].value, read(expected)[0].value, "{text}");
        assert_eq!(patched(&["seed=3"]), "");
    }

    #[test]
    fn a_list_without_names_is_replaced_as_a_whole() {
        let target = "manifests.HorizontalPodAutoscaler/shop/web.spec.metrics[0].resource.target.averageUtilization=70";
        let text = patched(&[target]);
        assert!(
            text.contains("averageUtilization: 70") && text.contains("type: Resource"),
            "{text}"
        );
        assert!(!text.contains("maxReplicas"), "{text}");
    }
}
