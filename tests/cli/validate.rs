//! `wavetank validate` and the commands that run scenarios tell all mistakes at once, in the order of the files.

use std::fmt::Write as _;

use crate::shop::{MANIFESTS, SCENARIO, Shop};

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
fn a_chart_or_kustomization_that_cannot_be_rendered_hides_no_mistake_beside_it() {
    let shop = Shop::with("", "");
    shop.write("k8s/web.yaml", MANIFESTS.replace("port: 80", "port: 80000"));
    shop.write("k8s/chart/Chart.yaml", "name: chart\n");
    shop.write("k8s/chart/templates/a.yaml", "{{ x }}");
    shop.write("k8s/k/kustomization.yaml", "resources: [https://example.com/a.yaml]\n");
    let ran = shop.run_without_helm(&["validate", "k8s"]);
    assert_eq!(ran.code, 2);
    for said in [
        "error: k8s: k8s/chart is a Helm chart, but `helm` is not on the PATH",
        "error: k8s: k8s/k/kustomization.yaml: https://example.com/a.yaml is remote, and remote files are not fetched\n",
        "error: k8s/web.yaml:",
        "not valid: 1 file, ",
    ] {
        assert!(ran.out.contains(said), "{said}\nis not in\n{}", ran.out);
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
            "web.yaml:23: Service shop/web: spec.ports[0].targetPort: Invalid value: 70000",
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
    assert!(ran.out.contains("and 470 more: at most 30 per file"), "{}", ran.out);
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
    let says = "spec.defaultBackend.service.port.number: the Service shop/web has no port 81, so requests \
                find no endpoint\n  help: the Service has port 80";
    assert!(ran.code == 0 && ran.out.contains(says), "{}", ran.out);
}

#[test]
fn a_backend_without_a_service_is_told_before_the_run_and_by_who_writes_scenarios() {
    let ingress = "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: api, namespace: shop}\n\
                   spec: {defaultBackend: {service: {name: api, port: {number: 80}}}}\n";
    let route = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: old, namespace: shop}\n\
                 spec: {hostnames: [old.example], rules: [{backendRefs: [{name: web, port: 80}, {name: old, port: 80}]}]}\n";
    let shop = Shop::with(SCENARIO, &format!("{MANIFESTS}{ingress}{route}"));
    let says = [
        "spec.defaultBackend.service.name: the Service shop/api does not exist, so requests find no endpoint",
        "spec.rules[0].backendRefs[1].name: the Service shop/old does not exist, so the gateway answers 500",
    ];
    let init = ["init", "web.yaml", "-o", "new.yaml"];
    for arguments in [&["validate", "web.yaml"][..], &["validate", "scenario.yaml"], &init] {
        let ran = shop.run(arguments);
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        let said = ran.out + &ran.err;
        for words in says {
            assert_eq!(said.matches(words).count(), 1, "{arguments:?}: {words}\nis not in\n{said}");
        }
    }
    for file in ["web.yaml", "scenario.yaml"] {
        let ran = shop.run(&["validate", file]);
        let place = "warning: web.yaml:25: Ingress shop/api: spec.default";
        assert!(ran.out.contains(place), "{file}: {}", ran.out);
    }
    // One by which requests come is an error, and no warning beside.
    let reached = "ingress: [{host: old.example, load: {pattern: constant, rps: 1}}]\n";
    shop.write("scenario.yaml", format!("{SCENARIO}{reached}"));
    let ran = shop.run(&["validate", "scenario.yaml"]);
    assert!(ran.code == 2 && ran.out.contains("no manifest has a Service shop/old"), "{}", ran.out);
    assert!(!ran.out.contains("shop/old does not exist"), "{}", ran.out);
}

#[test]
fn objectives_in_other_units_than_were_meant_are_doubted() {
    let slips = SCENARIO.replace("p95: 200ms", "p95: 300").replace("99\n", "0.999\n");
    let validated = Shop::with(&slips, MANIFESTS).run(&["validate", "scenario.yaml"]);
    assert_eq!(validated.code, 0, "{}", validated.out);
    for doubt in [
        "scenario.yaml:18: objectives[0].latency.p95: 300 s is always met by answered requests, because clients give up after 2 s",
        "scenario.yaml:19: objectives[0].availability: 0.999 % is met by almost any system",
        "write 99.9 for the ratio 0.999",
    ] {
        assert!(validated.out.contains(doubt), "{doubt}\nis not in\n{}", validated.out);
    }
}

/// What `validate` says of the shop's manifests with this beside them, which is never an error.
fn doubts(manifests: &str) -> String {
    let ran = Shop::with(SCENARIO, manifests).run(&["validate", "scenario.yaml"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    ran.out
}

/// The shop's manifests with this in place of that.
fn shop_with(old: &str, new: &str) -> String {
    let manifests = MANIFESTS.replace(old, new);
    assert_ne!(manifests, MANIFESTS, "{old} is not there");
    manifests
}

/// An HPA of the shop by CPU.
fn hpa(name: &str, target: &str) -> String {
    format!(
        "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec:\n  minReplicas: 2\n  maxReplicas: 9\n  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: web}}\n  \
         metrics:\n    - type: Resource\n      resource: {{name: cpu, target: {target}}}\n"
    )
}

#[test]
fn thousandths_of_bytes_are_doubted_wherever_bytes_are_written() {
    let manifests =
        shop_with("memory: 128Mi}, limits: {cpu: 500m}", "memory: 128m}, limits: {memory: 512}");
    let scenario = SCENARIO
        .replace("    app: {start: 1s}", "    memory: 200m\n    app: {start: 1s, imageSize: 500m}")
        + "kubelet: {imagePullBandwidth: 100m}\n";
    let ran = Shop::with(&scenario, &manifests).run(&["validate", "scenario.yaml"]);
    for doubt in [
        "web.yaml:15: Deployment shop/web: spec.template.spec.containers[0].resources.requests[memory]: 128m is \
         0.128 bytes, as m means a thousandth: the scheduler reserves almost nothing for it\n  help: mebibytes \
         are written 128Mi",
        "web.yaml:15: Deployment shop/web: spec.template.spec.containers[0].resources.limits[memory]: 512 is 512 \
         bytes, less than a page of memory: it is OOM-killed as soon as it runs\n  help: mebibytes are \
         written 512Mi",
        "scenario.yaml:12: workloads[0].memory: 200m is 0.2 bytes",
        "scenario.yaml:13: workloads[0].app.imageSize: 500m is 0.5 bytes",
        "kubelet.imagePullBandwidth: 100m is 0.1 bytes",
    ] {
        assert!(ran.out.contains(doubt), "{doubt}\nis not in\n{}", ran.out);
    }
    let quota = "---\napiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q, namespace: shop}\n\
                 spec: {hard: {requests.memory: 10m, requests.cpu: 500m}}\n";
    let said = doubts(&format!("{MANIFESTS}{quota}"));
    assert!(said.contains("spec.hard[requests.memory]: 10m is 0.01 bytes"), "{said}");
    assert_eq!(said.matches("warning:").count(), 1, "{said}");
    // The scheduler sets nothing aside for a claim, however large.
    let claim = "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: c, namespace: shop}\n\
                 spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10m}}}\n";
    let said = doubts(&format!("{MANIFESTS}{claim}"));
    let doubt = "spec.resources.requests[storage]: 10m is 0.01 bytes, as m means a thousandth\n";
    assert!(said.contains(doubt), "{said}");
}

#[test]
fn a_second_autoscaler_of_a_workload_is_doubted() {
    let one = format!("{MANIFESTS}{}", hpa("first", "{type: Utilization, averageUtilization: 60}"));
    assert!(!doubts(&one).contains("warning:"), "{}", doubts(&one));
    let two = format!("{one}{}", hpa("second", "{type: Utilization, averageUtilization: 70}"));
    let said = doubts(&two);
    let doubt = "HorizontalPodAutoscaler shop/second: spec.scaleTargetRef.name: the HorizontalPodAutoscaler \
                 shop/first also scales Deployment web: with both, neither scales (AmbiguousSelector)";
    assert!(said.contains(doubt), "{said}");
    assert_eq!(said.matches("warning:").count(), 1, "{said}");
    let ran = Shop::with(SCENARIO, &two).run(&["describe", "hpa/shop/first", "--at", "2m"]);
    assert!(ran.out.contains("AmbiguousSelector"), "as the run has it: {}", ran.out);
}

#[test]
fn an_autoscaler_and_a_scaled_object_of_a_workload_are_doubted_where_keda_lets_them_pass() {
    let hpa = hpa("own", "{type: Utilization, averageUtilization: 60}").replace(
        "namespace: shop}",
        "namespace: shop, annotations: {validations.keda.sh/hpa-ownership: 'false'}}",
    );
    let keda = "---\napiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: web, namespace: shop}\n\
                spec:\n  minReplicaCount: 1\n  scaleTargetRef: {name: web}\n  triggers:\n    \
                - {type: cpu, metricType: Utilization, metadata: {value: '60'}}\n";
    let said = doubts(&format!("{MANIFESTS}{keda}{hpa}"));
    assert!(said.contains("the ScaledObject shop/web also scales Deployment web"), "{said}");
}

#[test]
fn target_ports_that_no_container_has_are_doubted() {
    let named = shop_with("targetPort: 8080", "targetPort: http");
    let said = doubts(&named);
    assert!(said.contains("spec.ports[0].targetPort: no container of the selected pods has a port named \"http\": requests find no endpoint and fail"), "{said}");
    let numbered = shop_with("targetPort: 8080", "targetPort: 8081");
    let said = doubts(&numbered);
    let doubt = "web.yaml:20: Service shop/web: spec.ports[0].targetPort: no container of the selected pods declares \
                 port 8081; they declare 8080: if nothing listens there, requests are refused in a cluster";
    assert!(said.contains(doubt), "{said}");
    // Without any declared port nobody knows where the container listens.
    let undeclared = numbered.replace("          ports: [{containerPort: 8080}]\n", "");
    assert!(!doubts(&undeclared).contains("warning:"), "{}", doubts(&undeclared));
}

#[test]
fn targets_that_a_limit_keeps_pods_from_reaching_are_doubted() {
    let said_of = |target: &str| doubts(&format!("{MANIFESTS}{}", hpa("web", target)));
    // The limit of 500m is 200 % of the request; to add a pod takes a tenth more than the target.
    let said = said_of("{type: Utilization, averageUtilization: 250}");
    let doubt = "spec.metrics[0].resource.target.averageUtilization: a pod at its cpu limit uses 200 % of its request: \
                 the HPA never scales up by this metric\n  help: write 181 or less, or raise the cpu limit";
    assert!(said.contains(doubt), "{said}");
    let said = said_of("{type: Utilization, averageUtilization: 182}");
    assert!(
        said.contains("200 % of its request, above it by no more than the tolerance of 10 %"),
        "{said}"
    );
    assert!(!said_of("{type: Utilization, averageUtilization: 181}").contains("warning:"));
    let said = said_of("{type: AverageValue, averageValue: 700m}");
    assert!(said.contains("a pod at its cpu limit uses 500m: the HPA"), "{said}");
    // autoscaling/v1 has a field of its own for it.
    let v1 = "---\napiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: web, namespace: shop}\n\
              spec:\n  maxReplicas: 9\n  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}\n  \
              targetCPUUtilizationPercentage: 250\n";
    let said = doubts(&format!("{MANIFESTS}{v1}"));
    let doubt = "web.yaml:28: HorizontalPodAutoscaler shop/web: spec.targetCPUUtilizationPercentage: a pod at";
    assert!(said.contains(doubt), "{said}");
    let manifests = shop_with("requests: {cpu: 250m, memory: 128Mi}, limits: {cpu: 500m}", "{}");
    let manifests = manifests.replace("resources: {{}}", "resources: {}");
    let said = doubts(&format!("{manifests}{v1}"));
    assert!(
        said.contains("shop/web: spec.targetCPUUtilizationPercentage: container web of"),
        "{said}"
    );
    // The tolerance is the scenario's, where that has one.
    let scenario =
        format!("{SCENARIO}controllerManager: {{horizontalPodAutoscaler: {{tolerance: 0.05}}}}\n");
    let manifests =
        format!("{MANIFESTS}{}", hpa("web", "{type: Utilization, averageUtilization: 182}"));
    let ran = Shop::with(&scenario, &manifests).run(&["validate", "scenario.yaml"]);
    assert!(ran.code == 0 && !ran.out.contains("warning:"), "{}", ran.out);
}

#[test]
fn budgets_that_let_no_pod_go_are_doubted() {
    let budget = |limit: &str| {
        format!(
            "---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: web, namespace: shop}}\n\
             spec: {{selector: {{matchLabels: {{app: web}}}}{limit}}}\n"
        )
    };
    let said_of = |limit: &str| doubts(&format!("{MANIFESTS}{}", budget(limit)));
    for (limit, doubt) in [
        (
            ", maxUnavailable: 0",
            "spec.maxUnavailable: no pod may be unavailable, so no pod is ever evicted",
        ),
        (", maxUnavailable: 0%", "spec.maxUnavailable: no pod may be unavailable"),
        ("", "spec: without minAvailable and maxUnavailable no pod may be unavailable"),
        (
            ", minAvailable: 3",
            "spec.minAvailable: 3 of 3 pods must stay, so no pod is ever evicted",
        ),
        (", minAvailable: 67%", "spec.minAvailable: 3 of 3 pods must stay"),
    ] {
        let said = said_of(limit);
        assert!(said.contains(doubt), "{doubt}\nis not in\n{said}");
    }
    for fine in
        [", minAvailable: 2", ", minAvailable: 66%", ", maxUnavailable: 1", ", maxUnavailable: 1%"]
    {
        assert!(!said_of(fine).contains("warning:"), "{fine}: {}", said_of(fine));
    }
    let second =
        budget(", maxUnavailable: 1").replace("name: web, namespace", "name: other, namespace");
    let said = doubts(&format!("{MANIFESTS}{}{second}", budget(", maxUnavailable: 1")));
    let doubt = "PodDisruptionBudget shop/other: spec.selector: the PodDisruptionBudget shop/web also selects the pods of \
                 Deployment shop/web: the API server evicts no pod with two budgets";
    assert!(said.contains(doubt) && said.matches("warning:").count() == 1, "{said}");
    let hpa = hpa("web", "{type: Utilization, averageUtilization: 60}");
    let said = doubts(&format!("{MANIFESTS}{}{hpa}", budget(", minAvailable: 2")));
    let doubt = "at the minimum of 2 pods set by HorizontalPodAutoscaler shop/web, 2 must stay, so no pod is \
                 evicted: draining a node waits for more pods";
    assert!(said.contains(doubt), "{said}");
}

#[test]
fn warnings_fail_a_strict_validation_and_no_other() {
    let shop = Shop::with(SCENARIO, &shop_with("targetPort: 8080", "targetPort: http"));
    let ran = shop.run(&["validate", "scenario.yaml"]);
    assert_eq!((ran.code, ran.out.contains("\nvalid: 1 file, 0 errors, 1 warning\n")), (0, true));
    let strict = shop.run(&["validate", "--strict", "scenario.yaml"]);
    assert_eq!(strict.code, 1, "{}", strict.out);
    assert!(
        strict.out.ends_with("not valid with --strict: 1 file, 0 errors, 1 warning\n"),
        "{}",
        strict.out
    );
    assert_eq!(shop.run(&["validate", "--strict", "-o", "json", "scenario.yaml"]).code, 1);
    // Errors are wrong input, as ever; notes are no warnings.
    shop.write("web.yaml", MANIFESTS.replace("replicas: 3", "replicas: -3"));
    assert_eq!(shop.run(&["validate", "--strict", "scenario.yaml"]).code, 2);
    shop.write(
        "web.yaml",
        MANIFESTS.replace("          image:", "          stdin: true\n          image:"),
    );
    let noted = shop.run(&["validate", "--strict", "scenario.yaml"]);
    assert!(noted.code == 0 && noted.out.contains("note: "), "{}", noted.out);
}

#[test]
fn a_price_of_another_region_is_doubted_and_a_machine_of_another_cloud_refused() {
    let told = |pool: &str| {
        let general = "{name: general, instanceType: aws/m5.large, count: 2}";
        assert!(SCENARIO.contains(general));
        let pool = format!("{{name: general, count: 2, {pool}}}");
        let shop = Shop::with(&SCENARIO.replace(general, &pool), MANIFESTS);
        let ran = shop.run(&["validate", "scenario.yaml"]);
        (ran.code, ran.out)
    };
    let (code, text) = told("instanceType: aws/m5.large, zones: [us-east-1a, us-east-1b]");
    assert!(code == 0 && !text.contains("the price of"), "{text}");
    let (code, text) = told("instanceType: aws/m5.large, zones: [eu-west-1a, eu-west-1b]");
    let says = "the price of aws/m5.large is that of us-east-1, but the pool is in eu-west-1";
    assert!(code == 0 && text.matches(says).count() == 1, "{text}");
    let (_, text) = told("instanceType: aws/m5.large, zones: [eu-west-1a], pricePerHour: 0.107");
    assert!(!text.contains("the price of"), "{text}");
    let (_, text) = told(
        "instanceType: gcp/e2-standard-4, labels: {topology.kubernetes.io/region: europe-west1}",
    );
    assert!(text.contains("but the pool is in europe-west1"), "{text}");
    let (code, text) = told("instanceType: aws/m5.large, zones: [us-central1-a]");
    assert!(
        code == 2 && text.contains("us-central1-a is a zone of gcp, but aws/m5.large"),
        "{text}"
    );
    let two = "instanceType: aws/m5.large}\n    - {name: other, count: 1, instanceType: gcp/e2-standard-4";
    let (code, text) = told(two);
    assert!(
        code == 0 && text.contains("belongs to a different cloud than the nodes of general"),
        "{text}"
    );
}
