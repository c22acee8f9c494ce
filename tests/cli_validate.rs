//! `wavetank validate` and the commands that run scenarios tell all mistakes at once, in the order of the files.

#[path = "support/shop.rs"]
#[allow(dead_code, reason = "not every test that includes this uses all of it")]
mod shop;

use std::fmt::Write as _;

use shop::{MANIFESTS, SCENARIO, Shop};

/// The errors that are told of a scenario, without their helps, by `validate` and by `run` alike.
fn errors(shop: &Shop) -> Vec<String> {
    let validated = shop.run(&["validate", "scenario.yaml"]);
    assert_eq!(validated.code, 2, "{}{}", validated.out, validated.err);
    let ran = shop.run(&["run", "scenario.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
    let of = |text: &str| {
        let errors = text.lines().filter_map(|line| line.strip_prefix("error: "));
        errors.map(ToOwned::to_owned).collect::<Vec<String>>()
    };
    assert_eq!(of(&validated.out), of(&ran.err));
    of(&validated.out)
}

/// Each of these stands in one of the errors, in this order, and there are no others.
fn told(errors: &[String], expected: &[&str]) {
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, words) in errors.iter().zip(expected) {
        assert!(error.contains(words), "{words}\nis not in\n{error}");
    }
}

#[test]
fn a_wrong_type_hides_no_other_mistake_of_its_object() {
    let manifests = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: three
  minReadySeconds: -1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: registry.example/web:v1
          imagePullPolicy: Sometimes
          resources: {requests: {cpu: 250q}, limits: {memory: 64Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  externalName: 1
  ports: [{port: 70000}, 81]
";
    let shop = Shop::with(SCENARIO, manifests);
    told(
        &errors(&shop),
        &[
            "web.yaml:5: Deployment shop/web: spec.replicas: Invalid value: \"three\": must be a whole number",
            "web.yaml:6: Deployment shop/web: spec.minReadySeconds: Invalid value: -1",
            "web.yaml:14: Deployment shop/web: spec.template.spec.containers[0].imagePullPolicy: Unsupported",
            "web.yaml:15: Deployment shop/web: spec.template.spec.containers[0].resources.requests[cpu]",
            "web.yaml:22: Service shop/web: spec.externalName: Invalid value: 1: must be text",
            "web.yaml:23: Service shop/web: spec.ports[0].name: Required value",
            "web.yaml:23: Service shop/web: spec.ports[0].port: Invalid value: 70000",
            "web.yaml:23: Service shop/web: spec.ports[1]: Invalid value: 81: must be fields",
        ],
    );
}

#[test]
fn a_mistake_of_the_scenario_hides_none_of_its_manifests_and_of_its_other_sections() {
    let scenario = SCENARIO
        .replace("rps: 20", "rps: -20")
        .replace("  - service: shop/web\n", "  - service: shop/wbe\n")
        + "timeline:\n  - {at: 5 minutes, cordon: general-1}\n";
    let manifests = MANIFESTS.replace("replicas: 3", "replicas: -3");
    assert_ne!(manifests, MANIFESTS);
    let shop = Shop::with(&scenario, &manifests);
    told(
        &errors(&shop),
        &[
            "scenario.yaml:15: traffic[0].load.rps: -20",
            "scenario.yaml:17: objectives[0].service: ",
            "scenario.yaml:22: timeline[0].at: ",
            "web.yaml:5: Deployment shop/web: spec.replicas: Invalid value: -3",
        ],
    );
}

#[test]
fn a_file_that_is_not_there_hides_no_mistake_elsewhere() {
    let scenario = SCENARIO
        .replace("load: {pattern: constant, rps: 20}", "load: {trace: none.csv}")
        .replace("count: 2", "count: two");
    assert!(scenario.contains("none.csv") && scenario.contains("count: two"), "{scenario}");
    let manifests = MANIFESTS.replace("replicas: 3", "replicas: -3");
    told(
        &errors(&Shop::with(&scenario, &manifests)),
        &[
            "nodePools[0].count: found the text \"two\"",
            "traffic[0].load.trace: ",
            "web.yaml:5: Deployment shop/web: spec.replicas: Invalid value: -3",
        ],
    );
}

#[test]
fn what_follows_from_a_mistake_is_not_told_as_another() {
    // What requests cost is not known now, which is no mistake of the traffic.
    let scenario = SCENARIO.replace("requests:", "requets:");
    let shop = Shop::with(&scenario, MANIFESTS);
    let said = errors(&shop);
    told(&said, &["workloads[0].requets: unknown field `requets`"]);
    let manifests = MANIFESTS.replace("matchLabels: {app: web}", "matchlabels: {app: web}");
    assert_ne!(manifests, MANIFESTS);
    let said = errors(&Shop::with(SCENARIO, &manifests));
    told(&said, &["spec.selector.matchlabels: unknown field `matchlabels`"]);
}

#[test]
fn of_very_many_mistakes_the_first_of_each_file_are_shown_and_the_others_counted() {
    let mut flood = String::new();
    for number in 0..500 {
        let separator = if number == 0 { "" } else { "---\n" };
        writeln!(
            flood,
            "{separator}apiVersion: v1\nkind: Service\nmetadata: {{name: s{number}}}\nspec: {{ports: 80}}"
        )
        .expect("a text takes it");
    }
    let shop = Shop::with(SCENARIO, MANIFESTS);
    shop.write("a.yaml", flood);
    shop.write("b.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: b}\nspec: {ports: 80}\n");
    let ran = shop.run(&["validate", "a.yaml", "b.yaml"]);
    let count = |words: &str| ran.out.lines().filter(|line| line.contains(words)).count();
    assert_eq!((ran.code, count("error: a.yaml"), count("error: b.yaml")), (2, 30, 1));
    assert!(ran.out.contains("and 470 more: the first 30 of each file are shown"), "{}", ran.out);
    assert!(ran.out.ends_with("not valid: 2 files, 501 errors, 0 warnings\n"), "{}", ran.out);
    let ran = shop.run(&["validate", "a.yaml", "-o", "json"]);
    assert_eq!(ran.out.matches("\"code\": \"wrong-type\"").count(), 500);
}

#[test]
fn a_port_that_the_service_lacks_is_told_of_manifests_by_themselves() {
    let ingress = "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web, namespace: shop}\n\
                   spec: {defaultBackend: {service: {name: web, port: {number: 81}}}}\n";
    let shop = Shop::with(SCENARIO, &format!("{MANIFESTS}---\n{ingress}"));
    let ran = shop.run(&["validate", "web.yaml"]);
    let says = "spec.defaultBackend.service.port.number: the Service shop/web has no port 81, so that requests \
                find no endpoint\n  help: its port is 80";
    assert!(ran.code == 0 && ran.out.contains(says), "{}", ran.out);
}

#[test]
fn objectives_in_other_units_than_were_meant_are_doubted() {
    let slips = SCENARIO.replace("p95: 200ms", "p95: 300").replace("99\n", "0.999\n");
    let validated = Shop::with(&slips, MANIFESTS).run(&["validate", "scenario.yaml"]);
    assert_eq!(validated.code, 0, "{}", validated.out);
    for doubt in [
        "scenario.yaml:18: objectives[0].latency.p95: 300 s always holds, as clients give up after 2 s",
        "scenario.yaml:19: objectives[0].availability: this is 0.999 %",
        "write 99.9 for the ratio 0.999",
    ] {
        assert!(validated.out.contains(doubt), "{doubt}\nis not in\n{}", validated.out);
    }
}
