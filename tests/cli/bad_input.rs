//! Bad input ends in a message that says where, what and what to do, or in an honest report: never in a
//! panic, a hang, or silence.

mod language_models;
mod mangled_text;

use crate::shop::{MANIFESTS, Ran, SCENARIO, Shop};

const HPA: &str = "\
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  maxReplicas: 5
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}
";

/// Runs the scenario, and checks that nothing went wrong in the program itself.
fn run(shop: &Shop, arguments: &[&str]) -> Ran {
    let ran = shop.run(arguments);
    assert!([0, 1, 2].contains(&ran.code), "{}: {}", ran.code, ran.err);
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
    let is_told = !ran.err.is_empty() || !ran.out.is_empty();
    assert!(ran.code != 2 || is_told, "wrong input is told in words");
    ran
}

/// `run` refuses the input with these words, and `validate` says the same.
fn refused(scenario: &str, manifests: &str, says: &[&str]) {
    let shop = Shop::with(scenario, manifests);
    let ran = run(&shop, &["run", "scenario.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
    let validated = run(&shop, &["validate", "scenario.yaml"]);
    assert_eq!(validated.code, 2);
    for words in says {
        assert!(ran.err.contains(words), "{words}\nis missing in\n{}", ran.err);
        assert!(validated.out.contains(words), "{words}\nis missing in\n{}", validated.out);
    }
}

/// `run` reports what came of it, with these words in the text.
fn reported(scenario: &str, manifests: &str, says: &[&str]) {
    let ran = run(&Shop::with(scenario, manifests), &["run", "scenario.yaml"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let on_one_line = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in says {
        assert!(on_one_line.contains(words), "{words}\nis missing in\n{}", ran.out);
    }
}

fn with_trace(trace: &str) -> Shop {
    let scenario = SCENARIO.replace("{pattern: constant, rps: 20}", "{trace: trace.csv}");
    let shop = Shop::with(&scenario, MANIFESTS);
    shop.write("trace.csv", trace);
    shop
}

#[test]
fn a_missing_file_is_named_at_the_field_that_names_it() {
    let ran = run(&Shop::new(), &["run", "other.yaml"]);
    assert_eq!((ran.code, ran.err.as_str()), (2, "error: other.yaml: no such file\n"));
    let missing = SCENARIO.replace("[web.yaml]", "[web.yaml, api.yaml]");
    refused(&missing, MANIFESTS, &["scenario.yaml:6: manifests[1]: api.yaml: no such file"]);
    let shop = with_trace("");
    shop.write("scenario.yaml", shop.read("scenario.yaml").replace("trace.csv", "none.csv"));
    let ran = run(&shop, &["run", "scenario.yaml"]);
    assert!(ran.err.contains("scenario.yaml:15: traffic[0].load.trace: none.csv: "), "{}", ran.err);
}

#[test]
fn an_empty_file_is_no_scenario_no_manifest_and_no_trace() {
    let ran = run(&Shop::with("", MANIFESTS), &["run", "scenario.yaml"]);
    assert!(
        ran.code == 2 && ran.err.contains("scenario.yaml: the file contains no scenario"),
        "{}",
        ran.err
    );
    refused(SCENARIO, "", &["web.yaml: contains no object"]);
    refused(SCENARIO, "# only words\n---\n", &["web.yaml: contains no object"]);
    let ran = run(&with_trace(""), &["run", "scenario.yaml"]);
    assert!(ran.code == 2 && ran.err.contains("trace.csv: the file is empty"), "{}", ran.err);
}

#[test]
fn what_is_not_yaml_is_told_with_its_line_and_nothing_is_said_about_what_could_not_be_read() {
    refused("a: [b", MANIFESTS, &["scenario.yaml:1: not valid YAML"]);
    refused(SCENARIO, "kind: {", &["web.yaml:1: not valid YAML"]);
    let ran = run(&Shop::with(SCENARIO, "kind: {"), &["run", "scenario.yaml"]);
    assert!(!ran.err.contains("no manifest has"), "{}", ran.err);
    let shop = Shop::new();
    shop.write("web.yaml", [0xff, 0xfe, 0x00]);
    let ran = run(&shop, &["run", "scenario.yaml"]);
    assert!(ran.code == 2 && ran.err.contains("the file is not UTF-8 text"), "{}", ran.err);
}

#[test]
fn two_documents_with_one_name_are_both_shown() {
    let other = MANIFESTS.replace("replicas: 3", "replicas: 4");
    let twice = format!("{MANIFESTS}---\n{other}");
    let says = ["web.yaml:22: Deployment shop/web: is defined twice", "web.yaml:1: first defined"];
    refused(SCENARIO, &twice, &says);
}

#[test]
fn a_service_that_selects_nothing_is_refused_where_traffic_goes_to_it() {
    let wrong = MANIFESTS.replace("spec: {selector: {app: web}", "spec: {selector: {app: wbe}");
    refused(SCENARIO, &wrong, &["scenario.yaml:15: traffic[0].service: ", "selects no pods"]);
}

#[test]
fn a_service_without_pods_from_the_start_is_not_available() {
    let none = MANIFESTS.replace("replicas: 3", "replicas: 0");
    reported(
        SCENARIO,
        &none,
        &[
            "available 0 % of requests (0 % within 200 ms), 0 % of the time",
            "4,250 no ready endpoint",
            "no pod exists",
        ],
    );
}

#[test]
fn an_hpa_without_a_target_is_told_at_its_line_and_in_the_report() {
    let manifests = format!("{MANIFESTS}{}", HPA.replace("name: web}\n  max", "name: wbe}\n  max"));
    reported(
        SCENARIO,
        &manifests,
        &[
            "Deployment shop/wbe is not in the manifests: the HPA will scale nothing",
            "cannot decide: ",
        ],
    );
    let shop = Shop::with(SCENARIO, &manifests);
    let validated = run(&shop, &["validate", "web.yaml"]);
    assert!(validated.out.contains("warning: web.yaml:26: "), "{}", validated.out);
}

#[test]
fn an_hpa_without_requests_is_told_at_its_line_and_in_the_report() {
    let without = MANIFESTS.replace("cpu: 250m, ", "").replace(", limits: {cpu: 500m}", "");
    reported(
        SCENARIO,
        &format!("{without}{HPA}"),
        &[
            "requests no cpu, to which utilization refers",
            "missing request for cpu in container web",
        ],
    );
}

#[test]
fn an_object_metric_without_the_value_that_its_type_names_is_told_at_its_line_and_in_the_report() {
    let (start, _) = HPA.split_once("  metrics:").expect("an HPA with metrics");
    let metric = "  metrics:\n  - type: Object\n    object:\n      metric: {name: queue}\n      \
                  describedObject: {apiVersion: v1, kind: Service, name: web}\n      \
                  target: {type: Utilization, averageValue: 5}\n";
    let manifests = format!("{MANIFESTS}{start}{metric}");
    reported(
        SCENARIO,
        &manifests,
        &["the field of this type is not set", "invalid object metric source"],
    );
}

#[test]
fn numbers_that_cannot_be_are_told_at_their_lines() {
    let replicas = MANIFESTS.replace("replicas: 3", "replicas: -3");
    refused(SCENARIO, &replicas, &["web.yaml:5: Deployment shop/web: spec.replicas: ", "-3"]);
    let huge = MANIFESTS.replace("replicas: 3", "replicas: 2147483648");
    refused(SCENARIO, &huge, &["web.yaml:5: ", "2147483647"]);
    let quantity = MANIFESTS.replace("memory: 128Mi", "memory: 1.5.2Gi");
    refused(
        SCENARIO,
        &quantity,
        &["web.yaml:15: ", "\"1.5.2Gi\" is not a quantity", "250m, 1.5Gi"],
    );
    let nodes = SCENARIO.replace("count: 2", "count: -2");
    refused(&nodes, MANIFESTS, &["scenario.yaml:9: cluster.nodePools[0].count: "]);
}

#[test]
fn a_run_of_too_many_requests_or_pods_is_refused_until_its_limit_is_raised() {
    let busy = SCENARIO.replace("rps: 20}", "rps: 500000000}");
    let says = [
        "scenario.yaml:15: traffic[0].load: the run would simulate about 120 billion requests over 4m, 11.1 hours",
        "write `arrivals: fluid` beside `load`",
    ];
    refused(&busy, MANIFESTS, &says);
    let fluid = busy.replace("timeout: 2s", "timeout: 2s, arrivals: fluid");
    reported(&fluid, MANIFESTS, &["0 requests"]);
    let two = SCENARIO.replace("duration: 4m", "duration: 4m\nlimits: {pods: 2}");
    refused(
        &two,
        MANIFESTS,
        &["limits.pods: the run reaches 3 pods, most of them of Deployment/shop/web"],
    );
    reported(&two.replace("pods: 2", "pods: 3"), MANIFESTS, &["requests"]);
    let few = SCENARIO.replace("duration: 4m", "duration: 4m\nlimits: {requests: 4799}");
    refused(&few, MANIFESTS, &["about 4.8 thousand requests over 4m, a few minutes of computing"]);
    reported(&few.replace("4799", "4800"), MANIFESTS, &["requests"]);
}

#[test]
fn a_run_that_takes_too_much_memory_is_refused_or_ends_with_what_there_is() {
    let limited = |memory| {
        SCENARIO.replace("duration: 4m", &format!("duration: 4m\nlimits: {{memory: {memory}}}"))
    };
    let says = "limits.memory: the run's 3 pods would take about 40 MiB of memory, more than limits.memory: 30Mi";
    refused(&limited("30Mi"), MANIFESTS, &[says]);
    // Requests that nobody answers.
    let hoard = limited("100Mi")
        .replace("rps: 20}, timeout: 2s", "rps: 50000}, timeout: 1h")
        .replace("queue: 50", "queue: 100000000");
    let shop = Shop::with(&hoard, MANIFESTS);
    let ran = shop.run(&["run", "scenario.yaml", "-o", "json", "--report", "page.html"]);
    if cfg!(target_os = "linux") {
        assert_eq!(ran.code, 1, "{}", ran.err);
        let report: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
        let said = report["attention"][0]["message"].as_str().expect("a text");
        assert!(
            said.starts_with("the run ended after ") && said.contains(" of 4m: it takes "),
            "{said}"
        );
        let reason = "MiB of memory, more than limits.memory: 100Mi; all figures are of that time";
        assert!(said.ends_with(reason) && shop.read("page.html").contains(reason), "{said}");
        let ran = shop.run(&["check", "scenario.yaml", "--seeds", "2"]);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
        let told = "error: the command ended early: it takes ";
        assert!(ran.err.contains(told) && ran.err.contains("limits.memory: 100Mi"), "{}", ran.err);
    }
}

#[test]
fn settings_of_traffic_and_requests_are_told_at_their_own_lines() {
    let split = SCENARIO.replace(
        "{service: shop/web, load: {pattern: constant, rps: 20}, timeout: 2s}",
        "service: shop/web\n    load:\n      pattern: constant\n      rps: -20",
    );
    refused(&split, MANIFESTS, &["scenario.yaml:18: traffic[0].load.rps: "]);
    let requests = SCENARIO.replace(
        "requests: {concurrency: 4, queue: 50, cpuTime: {distribution: exponential, mean: 20ms}}",
        "requests:\n      queue: 50\n      concurrency: 0",
    );
    refused(&requests, MANIFESTS, &["scenario.yaml:15: workloads[0].requests.concurrency: "]);
}

#[test]
fn mistakes_inside_of_a_load_are_told_at_their_own_fields() {
    let load = |load: &str| SCENARIO.replace("{pattern: constant, rps: 20}", load);
    let says = "scenario.yaml:15: traffic[0].load.users: found the number `5000000000`, expected a whole \
                number of at most 4294967295";
    refused(&load("{users: 5000000000, thinkTime: 1s}"), MANIFESTS, &[says]);
    let nested = load("{add: [{pattern: constant, rps: 1}, {users: many, thinkTime: 1s}]}");
    let says = "scenario.yaml:15: traffic[0].load.add[1].users: found the text \"many\"";
    refused(&nested, MANIFESTS, &[says]);
    for (wrong, says) in [
        ("sine, meanRps: 9, amplitudeRps: 5, period: 0s", "period: 0s is below 1ms"),
        ("sine, meanRps: 9, amplitudeRps: 5, period: 5ns", "period: 5ns is below 1ms"),
        ("weekly, meanRps: 5, hours: []", "hours: 0 numbers instead of 24"),
        ("phases, phases: [{for: 0s, load: {pattern: constant, rps: 1}}]", "for: 0s is below"),
        ("constant, rps: 1e308", "rps: 1e308 requests/s are more than one per nanosecond"),
    ] {
        refused(&load(&format!("{{pattern: {wrong}}}")), MANIFESTS, &[says]);
    }
    let misspelt = load("{trace: a.csv, sped: 2}");
    refused(&misspelt, MANIFESTS, &["traffic[0].load.sped: unknown field `sped`"]);
}

#[test]
fn a_name_that_yaml_reads_as_true_is_to_be_put_in_quotes() {
    let scenario = SCENARIO.replace("name: shop\n", "name: y\n");
    assert_ne!(scenario, SCENARIO);
    refused(&scenario, MANIFESTS, &["name: found `true`, expected a text", "quote it; YAML reads"]);
}

#[test]
fn an_operator_that_there_is_not_is_the_only_mistake_that_is_told() {
    let affinity = "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: \
                    {nodeSelectorTerms: [{matchExpressions: [{key: gpu, operator: in, values: [a]}]}]}}}";
    let tolerations = "tolerations: [{operator: exists}]";
    for (field, says) in
        [(affinity, "Unsupported value: \"in\""), (tolerations, "Unsupported value: \"exists\"")]
    {
        let manifests = MANIFESTS
            .replace("      containers:\n", &format!("      {field}\n      containers:\n"));
        assert_ne!(manifests, MANIFESTS);
        let ran = run(&Shop::with(SCENARIO, &manifests), &["run", "scenario.yaml"]);
        assert!(ran.code == 2 && ran.err.contains(says), "{}", ran.err);
        assert_eq!(ran.err.matches("error: ").count(), 1, "{}", ran.err);
    }
}

#[test]
fn items_of_a_list_of_one_kind_need_not_say_what_they_are() {
    let (deployment, service) = MANIFESTS.split_once("---\n").expect("two objects");
    let (head, fields) = deployment.split_once("metadata:").expect("a head");
    assert_eq!(head.lines().count(), 2);
    let indented = format!("metadata:{fields}").replace('\n', "\n  ");
    let list = format!(
        "apiVersion: apps/v1\nkind: DeploymentList\nitems:\n- {}\n---\n{service}",
        indented.trim_end()
    );
    let ran = run(&Shop::with(SCENARIO, &list), &["validate", "scenario.yaml"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let untyped = list.replace("DeploymentList", "List");
    refused(SCENARIO, &untyped, &["web.yaml", "apiVersion: Required value"]);
}

#[test]
fn a_mistake_is_told_once() {
    let zero = SCENARIO.replace("concurrency: 4", "concurrency: 0");
    let ran = run(&Shop::with(&zero, MANIFESTS), &["run", "scenario.yaml"]);
    assert_eq!(
        ran.err.matches("requests.concurrency: 0 would never answer").count(),
        1,
        "{}",
        ran.err
    );
}

/// The scenario with this under `services`, of shop/web.
fn with_service(settings: &str) -> String {
    format!("{SCENARIO}services:\n  - {{service: shop/web, {settings}}}\n")
}

#[test]
fn settings_that_change_nothing_are_told() {
    let warned = |scenario: &str, manifests: &str| {
        let ran = run(&Shop::with(scenario, manifests), &["validate", "scenario.yaml"]);
        assert_eq!(ran.code, 0, "{}", ran.out);
        ran.out
    };
    let few = with_service("clients: 500");
    assert!(warned(&few, MANIFESTS).contains("services[0].clients: clients are not distinguished"));
    let affinity = MANIFESTS.replace(
        "spec: {selector: {app: web},",
        "spec: {sessionAffinity: ClientIP, selector: {app: web},",
    );
    assert_ne!(affinity, MANIFESTS);
    for (scenario, manifests) in
        [(few, &*affinity), (with_service("clients: 5, balancer: ringHash"), MANIFESTS)]
    {
        let said = warned(&scenario, manifests);
        assert!(!said.contains("clients are not distinguished"), "{said}");
    }
    let prefix = with_service("balancer: prefixCache");
    let said = warned(&prefix, MANIFESTS);
    assert!(
        said.contains("services[0].balancer: the pods of shop/web serve no language model"),
        "{said}"
    );
}

const ROUTE: &str = "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: front, namespace: shop}
spec:
  hostnames: [shop.example]
  rules:
    - matches: [{path: {type: PathPrefix, value: /}}]
      backendRefs: [{name: web, port: 80, weight: 1}]
";

#[test]
fn routes_that_requests_come_by_are_not_called_ignored_and_are_held_to_their_rules() {
    let traffic = SCENARIO.find("traffic:").expect("there is traffic");
    let objectives = SCENARIO.find("objectives:").expect("there are objectives");
    let entrance = "ingress: [{host: shop.example, load: {pattern: constant, rps: 20}}]\n\
                    services: [{service: shop/web, maxRequests: 500}]\n";
    let scenario = format!("{}{entrance}{}", &SCENARIO[..traffic], &SCENARIO[objectives..]);
    let shop = Shop::with(&scenario, &format!("{MANIFESTS}{ROUTE}"));
    let ran = run(&shop, &["validate", "scenario.yaml"]);
    assert!(ran.out.starts_with("valid: ") && ran.out.contains(" 0 warnings"), "{}", ran.out);
    assert!(!run(&shop, &["run", "scenario.yaml"]).out.contains("not simulated"));
    let route = "manifests.HTTPRoute/shop/front.spec.rules[0]";
    for (setting, says) in [
        ("backendRefs[0].weight=-1", "spec.rules[0].backendRefs[0].weight: Invalid value: -1"),
        (
            "matches[0].method=POST",
            "after these settings no Ingress or HTTPRoute has a rule for shop.example/",
        ),
    ] {
        let ran = run(&shop, &["run", "scenario.yaml", "--set", &format!("{route}.{setting}")]);
        assert_eq!(ran.code, 2);
        assert!(ran.err.contains(says), "{}", ran.err);
    }
}

#[test]
fn a_retry_storm_is_told_by_its_further_attempts() {
    let storm = SCENARIO.replace(
        "rps: 20}, timeout: 2s",
        "rps: 400}, timeout: 2s, retries: {attempts: 3, perTryTimeout: 100ms}",
    );
    assert_ne!(storm, SCENARIO);
    reported(&storm, MANIFESTS, &["retries 252,", "further attempts, 3 per request"]);
}

#[test]
fn a_broken_row_of_a_trace_and_time_that_goes_back_are_told_at_their_lines() {
    for (trace, says) in [
        ("t_s\n1\n2\nx\n4\n", "error: trace.csv:4: \"x\" is not a time"),
        ("t_s\n1\n3\n2\n4\n", "error: trace.csv:4: time goes back from 00:00:03 to 00:00:02"),
        ("hello\n1\n", "trace.csv"),
    ] {
        let ran = run(&with_trace(trace), &["run", "scenario.yaml"]);
        assert!(ran.code == 2 && ran.err.contains(says), "{says}: {}", ran.err);
    }
}

#[test]
fn a_trace_with_few_broken_rows_is_played_without_them_and_says_so() {
    let row = |row: i32| {
        if row % 500 == 499 { "soon".into() } else { format!("{}", f64::from(row) * 0.1) }
    };
    let rows: Vec<String> = (0..1200).map(row).collect();
    let shop = with_trace(&format!("t_s\n{}\n", rows.join("\n")));
    let ran = run(&shop, &["run", "scenario.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let said = "trace.csv: 2 broken rows were skipped; the first, line 501: \"soon\" is not a time";
    let on_one_line = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(on_one_line.contains(said), "{}", ran.out);

    let strict =
        shop.read("scenario.yaml").replace("trace: trace.csv", "trace: trace.csv, maxBroken: 0");
    shop.write("scenario.yaml", strict);
    let ran = run(&shop, &["run", "scenario.yaml"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("error: trace.csv:501: \"soon\" is not a time"), "{}", ran.err);
}

#[test]
fn a_drain_that_would_end_a_pod_for_good_is_told() {
    let scenario = format!("{SCENARIO}timeline:\n  - {{at: 2m, drain: general-1}}\n");
    let bare = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: bare, namespace: shop}\n\
                spec: {containers: [{name: x, image: x}]}\n";
    let shop = Shop::with(&scenario, &format!("{MANIFESTS}{bare}"));
    let ran = run(&shop, &["validate", "scenario.yaml"]);
    let says =
        "timeline[0].drain: if Pod/shop/bare is on this node, it is evicted and not recreated";
    assert!(ran.code == 0 && ran.out.contains(says), "{}", ran.out);
}

#[test]
fn what_the_webhook_of_keda_refuses_is_refused() {
    let scaled = |least: &str, triggers: &str| {
        format!(
            "{MANIFESTS}---\napiVersion: keda.sh/v1alpha1\nkind: ScaledObject\n\
             metadata: {{name: web, namespace: shop}}\n\
             spec: {{scaleTargetRef: {{name: web}}, {least}maxReplicaCount: 5, triggers: [{triggers}]}}\n"
        )
    };
    let cpu = "{type: cpu, metricType: Utilization, metadata: {value: '50'}}";
    let never =
        "spec.minReplicaCount: scaledobject has only cpu/memory triggers AND minReplica is 0";
    refused(SCENARIO, &scaled("minReplicaCount: 0, ", cpu), &[never]);
    refused(SCENARIO, &scaled("", cpu), &[never]);
    let cron = "{type: cron, metadata: {timezone: UTC, start: 0 6 * * *, end: 0 20 * * *, desiredReplicas: '3'}}";
    for fine in [scaled("minReplicaCount: 1, ", cpu), scaled("", &format!("{cpu}, {cron}"))] {
        let ran = run(&Shop::with(SCENARIO, &fine), &["validate", "scenario.yaml"]);
        assert_eq!(ran.code, 0, "{}", ran.out);
    }
    let two = format!("{}{HPA}", scaled("minReplicaCount: 1, ", cpu));
    let says = "error: web.yaml:25: ScaledObject shop/web: spec.scaleTargetRef: the workload web of type \
                Deployment is already managed by the HorizontalPodAutoscaler shop/web";
    refused(SCENARIO, &two, &[says]);
    let two = format!("{}{HPA}", scaled("minReplicaCount: 1, ", cpu)).replace(
        "metadata: {name: web, namespace: shop}\nspec: {scaleTargetRef",
        "metadata: {name: web, namespace: shop, annotations: {scaledobject.keda.sh/transfer-hpa-ownership: 'true'}}\nspec: {\
         advanced: {horizontalPodAutoscalerConfig: {name: web}}, scaleTargetRef",
    );
    let ran = run(&Shop::with(SCENARIO, &two), &["validate", "scenario.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.out);
}

#[test]
fn a_cluster_without_nodes_is_refused() {
    let none = SCENARIO.replace("count: 2", "count: 0");
    refused(&none, MANIFESTS, &["scenario.yaml:8: cluster.nodePools: the cluster has no node"]);
}

#[test]
fn pods_that_fit_nowhere_are_the_first_thing_in_the_report() {
    let large = MANIFESTS.replace("cpu: 250m", "cpu: 64").replace("cpu: 500m", "cpu: 64");
    reported(
        SCENARIO,
        &large,
        &["✗ failed Deployment/shop/web: 3 pods still pending", "all pods are pending"],
    );
}

#[test]
fn an_image_is_not_set_in_what_is_no_container() {
    let change =
        "timeline:\n  - {at: 2m, setImage: {workload: Deployment/shop/web, image: 'web:v2'}}\n";
    let scenario = SCENARIO.replace("objectives:", &format!("{change}objectives:"));
    let containers = MANIFESTS.find("        - name: web\n").expect("the container");
    let end = MANIFESTS.find("---").expect("the Service");
    for container in ["web", "[]", "7", "null"] {
        let head = &MANIFESTS[..containers];
        let manifests = format!("{head}        - {container}\n{}", &MANIFESTS[end..]);
        refused(&scenario, &manifests, &["spec.template.spec.containers[0]"]);
    }
}

#[test]
fn requests_that_cost_a_lifetime_come_to_an_end() {
    for mean in ["1e8", "1e9"] {
        let endless = SCENARIO.replace("mean: 20ms", &format!("mean: {mean}"));
        reported(&endless, MANIFESTS, &["0 answered"]);
    }
}

#[test]
fn more_pods_than_can_be_simulated_are_refused_at_once() {
    let many = MANIFESTS.replace("replicas: 3", "replicas: 2147483647");
    refused(
        SCENARIO,
        &many,
        &["web.yaml:5: Deployment shop/web: spec.replicas: 2147483647 pods: "],
    );
}

#[test]
fn a_setting_that_would_make_another_object_is_refused() {
    let shop = Shop::new();
    for field in ["metadata.name=other", "metadata.namespace=other", "kind=StatefulSet"] {
        let ran = run(
            &shop,
            &["run", "scenario.yaml", "--set", &format!("manifests.Deployment/shop/web.{field}")],
        );
        assert_eq!(ran.code, 2, "{field}");
        assert!(
            ran.err.contains("an object's kind, name and namespace cannot be set"),
            "{}",
            ran.err
        );
    }
}
