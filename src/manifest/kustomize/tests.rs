//! Small kustomizations; those of the corpus are compared with `kubectl kustomize` elsewhere.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;

struct Texts(BTreeMap<&'static str, &'static str>);

impl Files for Texts {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0.get(path).map(|text| text.as_bytes().to_vec()).ok_or("no such file".into())
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
        ("resources: [../base]\nhelmCharts: [{name: a}]\n", "`helmCharts` is not supported"),
        ("resources: ['https://example.com/a.yaml']\n", "https://example.com/a.yaml is remote"),
        ("resources: [../other.yaml]\n", "../other.yaml: no such file"),
        (
            "resources: [../base]\npatches: [{patch: '{apiVersion: v1, kind: Pod, metadata: {name: x}}'}]\n",
            "the Pod x of a patch matches no object",
        ),
        ("resources: [../prod]\n", "include each other in a cycle"),
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

/// The expectations are the output of kubectl 1.32's kustomize for these files.
#[test]
fn replacements_and_configurations_write_what_kustomize_writes() {
    let settings = "namespace: prod\nnamePrefix: p-\nresources: [all.yaml]\nconfigurations: [kinds.yaml]\nreplacements:\n\
        - source: {kind: Certificate, name: cert, fieldPath: metadata.name}\n  targets:\n  - select: {kind: Gadget}\n    \
        fieldPaths: ['.metadata.annotations.[example.com/inject]']\n    options: {delimiter: /, index: 1, create: true}\n\
        - source: {kind: Certificate, fieldPath: spec.image, options: {delimiter: ':', index: 1}}\n  targets:\n  \
        - select: {kind: Deployment}\n    reject: [{name: p-other}]\n    \
        fieldPaths: ['spec.template.spec.containers.[name=web].image']\n    options: {delimiter: ':', index: 1}\n";
    let kinds = "nameReference:\n- kind: Service\n  fieldSpecs: [{kind: Gadget, path: spec/hooks/target}]\n\
        namespace:\n- {kind: Gadget, path: spec/place, create: true}\nvarReference:\n- path: metadata/annotations\n";
    let all = "{apiVersion: v1, kind: Service, metadata: {name: api}}\n---\n\
        {apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {name: cert}, spec: {image: 'x:v2'}}\n---\n\
        {apiVersion: example.com/v1, kind: Gadget, metadata: {name: g, annotations: {example.com/inject: ns/old}}, \
        spec: {hooks: [{target: api}, {target: other}]}}\n---\n\
        {apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {template: {spec: {containers: [\
        {name: web, image: 'web:v1'}, {name: side, image: 'side:v1'}]}}}}\n---\n\
        {apiVersion: apps/v1, kind: Deployment, metadata: {name: other}, spec: {template: {spec: {containers: [\
        {name: web, image: 'web:v1'}]}}}}\n";
    let files = [("a/kustomization.yaml", settings), ("a/kinds.yaml", kinds), ("a/all.yaml", all)];
    let objects = render("a", &Texts(files.into())).expect("it is rendered");
    let gadget = of_kind(&objects, "Gadget");
    assert_eq!(gadget["metadata"]["annotations"], json!({"example.com/inject": "ns/p-cert"}));
    let spec = json!({"hooks": [{"target": "p-api"}, {"target": "other"}], "place": "prod"});
    assert_eq!(gadget["spec"], spec);
    let images = |name: &str| -> Vec<String> {
        let web = objects.iter().find(|one| one["metadata"]["name"] == name).expect("it is there");
        let containers = web["spec"]["template"]["spec"]["containers"].as_array();
        let images = containers.into_iter().flatten().map(|one| one["image"].to_string());
        images.collect()
    };
    assert_eq!(images("p-web"), ["\"web:v2\"", "\"side:v1\""]);
    assert_eq!(images("p-other"), ["\"web:v1\""]);
}

#[test]
fn a_replacement_without_a_source_or_a_field_is_an_error() {
    for (replacement, said) in [
        ("{source: {kind: Gadget}, targets: []}", "must be one object"),
        (
            "{source: {kind: Service}, targets: [{select: {kind: Service}, fieldPaths: [spec.none]}]}",
            "Service web has no field \"spec.none\" for a replacement",
        ),
        (
            "{source: {kind: Service, fieldPath: spec.no}, targets: []}",
            "the source of a replacement",
        ),
    ] {
        let overlay = format!("resources: [../base]\nreplacements: [{replacement}]\n");
        let problem = rendered(overlay.leak()).unwrap_err();
        assert!(problem.contains(said), "{problem}");
    }
}

#[test]
fn what_is_no_object_is_refused_wherever_it_comes_from() {
    let wrong = |overlay, web| {
        let files = [("prod/kustomization.yaml", overlay), ("prod/web.yaml", web)];
        render("prod", &Texts(files.into())).unwrap_err().to_string()
    };
    let plain = "resources: [web.yaml]\nnamePrefix: p-\n";
    let said = wrong(plain, "7\n");
    assert!(
        said.contains("7 is no Kubernetes object") && said.contains("metadata: {name"),
        "{said}"
    );
    assert!(wrong(plain, "{kind: Service, metadata: web}\n").contains("is no Kubernetes object"));
    let patched = "resources: [web.yaml]\nnamePrefix: p-\npatches:\n- target: {kind: Service}\n  \
                   patch: '[{op: replace, path: /metadata, value: 3}]'\n";
    let said = wrong(patched, "{apiVersion: v1, kind: Service, metadata: {name: web}}\n");
    assert!(said.contains("\"metadata\":3"), "{said}");
}
