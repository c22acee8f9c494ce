//! Small kustomizations; those of the corpus are compared with `kubectl kustomize` elsewhere.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

struct Texts(BTreeMap<&'static str, &'static str>);

impl Files for Texts {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0.get(path).map(|text| text.as_bytes().to_vec()).ok_or("there is no such file".into())
    }

    fn is_folder(&self, path: &str) -> bool {
        self.0.keys().any(|file| file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    }
}

const BASE: &str =
    "resources: [web.yaml]\nconfigMapGenerator: [{name: settings, literals: [a=b]}]\n";
const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: nginx:1.0
        env: [{name: A, value: '1'}, {name: B, value: '2'}]
        envFrom: [{configMapRef: {name: settings}}]
---
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}
";

fn rendered(overlay: &'static str) -> Result<Vec<Value>, String> {
    let files = [
        ("base/kustomization.yaml", BASE),
        ("base/web.yaml", WEB),
        ("prod/kustomization.yaml", overlay),
    ];
    render("prod", &Texts(files.into())).map_err(|problem| problem.to_string())
}

fn of_kind(objects: &[Value], kind: &str) -> Value {
    objects.iter().find(|one| one["kind"] == kind).expect("an object of the kind").clone()
}

#[test]
fn an_overlay_changes_names_labels_images_and_replicas_of_its_base() {
    let objects = rendered(
        "resources: [../base]\nnamespace: shop\nnamePrefix: p-\ncommonLabels: {env: prod}\n\
         commonAnnotations: {team: a}\nreplicas: [{name: web, count: 5}]\nimages: [{name: nginx, newTag: '2.0'}]\n",
    )
    .unwrap();
    let web = of_kind(&objects, "Deployment");
    assert_eq!(web["metadata"]["name"], "p-web");
    assert_eq!(web["metadata"]["namespace"], "shop");
    assert_eq!(web["spec"]["replicas"], 5);
    assert_eq!(web["spec"]["selector"]["matchLabels"], json!({"app": "web", "env": "prod"}));
    let pod = &web["spec"]["template"];
    assert_eq!(pod["metadata"]["labels"], json!({"app": "web", "env": "prod"}));
    assert_eq!(pod["metadata"]["annotations"], json!({"team": "a"}));
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["image"], "nginx:2.0");
    let settings = of_kind(&objects, "ConfigMap");
    assert_eq!(container["envFrom"][0]["configMapRef"]["name"], settings["metadata"]["name"]);
    assert!(settings["metadata"]["name"].as_str().unwrap().starts_with("p-settings-"));
    assert_eq!(
        of_kind(&objects, "Service")["spec"]["selector"],
        json!({"app": "web", "env": "prod"})
    );
}

#[test]
fn patches_merge_lists_by_their_keys_and_take_out_what_is_nothing() {
    let objects = rendered(
        "resources: [../base]\npatches:\n- patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    \
         metadata: {name: web}\n    spec: {template: {spec: {containers: [{name: web, env: [{name: B, value: '3'}, \
         {name: A, $patch: delete}, {name: C, value: c}]}]}}}\n- target: {kind: Service}\n  patch: |-\n    \
         - {op: replace, path: /spec/ports/0/port, value: 81}\n",
    )
    .unwrap();
    let web = of_kind(&objects, "Deployment");
    assert_eq!(
        web["spec"]["template"]["spec"]["containers"][0]["env"],
        json!([{"name": "C", "value": "c"}, {"name": "B", "value": "3"}])
    );
    assert_eq!(of_kind(&objects, "Service")["spec"]["ports"][0]["port"], 81);
}

#[test]
fn what_is_not_rendered_is_named() {
    for (overlay, said) in [
        ("resources: [../base]\nhelmCharts: [{name: a}]\n", "`helmCharts` is not rendered here"),
        ("resources: ['https://example.com/a.yaml']\n", "https://example.com/a.yaml is elsewhere"),
        ("resources: [../other.yaml]\n", "../other.yaml: there is no such file"),
        (
            "resources: [../base]\npatches: [{patch: '{apiVersion: v1, kind: Pod, metadata: {name: x}}'}]\n",
            "no object is the Pod x of a patch",
        ),
        ("resources: [../prod]\n", "include each other without an end"),
    ] {
        let problem = rendered(overlay).unwrap_err();
        assert!(problem.contains(said), "{problem}");
    }
}

#[test]
fn a_target_fits_whole_names() {
    for (pattern, text, fits) in [
        ("web", "web", true),
        ("web", "web-1", false),
        ("web.*", "web-1", true),
        (".*-api", "cart-api", true),
        ("^(cart|web)$", "web", true),
        (".*", "anything", true),
        ("a.*b.*c", "a-b-c", true),
        ("a.*b.*c", "a-c", false),
    ] {
        assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
    }
}
