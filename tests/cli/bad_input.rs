//! Bad input ends in a message that says where, what and what to do, or in an honest report: never in a
//! panic, a hang, or silence.

use std::fmt::Write as _;

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

/// A shop whose pods serve a language model, with these tokens of prompts and answers.
fn with_tokens(prompt: &str, output: &str, file: &str) -> Shop {
    let scenario = SCENARIO.replace(
        "requests: {concurrency: 4, queue: 50, cpuTime: {distribution: exponential, mean: 20ms}}",
        &format!(
            "requests:\n      llm:\n        model: Llama-3.1-8B\n        gpu: A100-80GB\n        \
             promptTokens: {prompt}\n        outputTokens: {output}"
        ),
    );
    let shop = Shop::with(
        &scenario.replace(
            "instanceType: aws/m5.large",
            "capacity: {cpu: 8, memory: 32Gi, nvidia.com/gpu: 4}",
        ),
        &MANIFESTS.replace("limits: {cpu: 500m}", "limits: {cpu: 500m, nvidia.com/gpu: 1}"),
    );
    shop.write("tokens.csv", file);
    shop
}

const TOKENS: &str = "field,bin_lo,bin_hi,probability,mean_in_bin\n\
                      input_tokens,100,199,0.5,150\ninput_tokens,400,400,0.5,400\n\
                      output_tokens,7,7,0.25,7\noutput_tokens,8,11,0.75,9.4\n";

#[test]
fn histograms_of_tokens_are_drawn_from_and_what_is_wrong_with_them_is_told_at_its_place() {
    let law = "{histogram: tokens.csv}";
    let shop = with_tokens(law, law, TOKENS);
    let report = |shop: &Shop| -> serde_json::Value {
        let ran = run(shop, &["run", "scenario.yaml", "-o", "json"]);
        assert!(ran.code == 0 && ran.err.is_empty(), "{}", ran.err);
        serde_json::from_str(&ran.out).expect("a report")
    };
    let first = report(&shop);
    let service = &first["services"][0];
    let answered = service["answered"].as_f64().expect("a number");
    // 0.5 x 150 + 0.5 x 400, and 0.25 x 7 + 0.75 x 9.4; 4 standard errors of 4000 requests and more.
    for (field, mean, most) in [("prompt_tokens", 275.0, 9.0), ("output_tokens", 8.8, 0.12)] {
        let drawn = service["llm"][field].as_f64().expect("a number") / answered;
        assert!((drawn - mean).abs() < most, "{field}: {drawn}");
    }
    shop.write("tokens.csv", TOKENS.replace("9.4", "9.5"));
    assert_ne!(report(&shop)["run"]["scenario_hash"], first["run"]["scenario_hash"]);

    let no_answers = TOKENS.split("output").next().unwrap_or_default();
    let at = "error: scenario.yaml:18: workloads[0].requests.llm.";
    for (prompt, output, file, says) in [
        (
            "{histogram: no.csv}",
            law,
            TOKENS,
            "17: workloads[0].requests.llm.promptTokens.histogram: no.csv: no such file",
        ),
        (
            law,
            law,
            no_answers,
            &*format!("{at}outputTokens.histogram: tokens.csv has no rows of `output_tokens`"),
        ),
        (
            "{mean: 5}",
            "{mean: 5, histogram: tokens.csv}",
            TOKENS,
            &*format!("{at}outputTokens: a `histogram` implies mean and cv"),
        ),
        (
            "{mean: 5}",
            "{cv: 1}",
            TOKENS,
            &*format!("{at}outputTokens: set the `mean`, or the `histogram`"),
        ),
        (
            law,
            law,
            &TOKENS.replace("0.25", "much"),
            "error: tokens.csv:4: probability: \"much\" is not a number",
        ),
        (law, law, "t_s\n1\n2\n", "error: tokens.csv:1: no column `field` among `t_s`"),
    ] {
        let ran = run(&with_tokens(prompt, output, file), &["run", "scenario.yaml"]);
        assert!(ran.code == 2 && ran.err.contains(says), "{says}: {}", ran.err);
    }
    let ran = run(&with_trace(TOKENS), &["run", "scenario.yaml"]);
    assert!(
        ran.err.contains("error: trace.csv:1: this is a histogram of token counts"),
        "{}",
        ran.err
    );
}

#[test]
fn a_server_of_a_language_model_needs_the_gpus_that_it_is_said_to_run_on() {
    let scenario = |settings: &str, pool: &str| {
        let cpu = "requests: {concurrency: 4, queue: 50, cpuTime: {distribution: exponential, mean: 20ms}}";
        let llm =
            format!("requests: {{llm: {{model: Llama-3.1-8B, maxModelLen: 8192, {settings}}}}}");
        SCENARIO.replace(cpu, &llm).replace("aws/m5.large", pool)
    };
    let manifests = |gpus: &str| {
        MANIFESTS.replace("limits: {cpu: 500m}", &format!("limits: {{cpu: 500m{gpus}}}"))
    };
    let one = manifests(", nvidia.com/gpu: 1");
    for (settings, manifests, says) in [
        (
            "gpu: H100-80GB",
            &one,
            "llm.gpu: the server of Deployment/shop/web is configured for H100-80GB, but the pool general, on which its pods fit, \
             has nvidia-l4\n  help: write `gpu: L4`, or use nodes with H100-80GB for the pods",
        ),
        (
            "gpu: L4, tensorParallelSize: 2",
            &one,
            "llm.tensorParallelSize: a server on 2 GPUs needs as many in its pod, but pods of \
             Deployment/shop/web request nvidia.com/gpu: 1\n  help: write 1 here, or `nvidia.com/gpu: 2`",
        ),
        (
            "gpu: L4",
            &manifests(""),
            "llm.gpu: pods of Deployment/shop/web request no GPU, but their server is configured for L4\n  \
             help: add `nvidia.com/gpu: 1` to their container's resources.limits",
        ),
    ] {
        let at = "error: scenario.yaml:13: workloads[0].requests.";
        refused(&scenario(settings, "aws/g6.12xlarge"), manifests, &[&format!("{at}{says}")]);
    }
    let told = |settings: &str, manifests: &str| {
        let shop = Shop::with(&scenario(settings, "aws/g6.12xlarge"), manifests);
        let ran = run(&shop, &["validate", "scenario.yaml"]);
        assert_eq!(ran.code, 0, "{}", ran.out);
        ran.out
    };
    assert!(!told("gpu: L4", &one).contains("warning:"));
    let idle = told("gpu: L4", &manifests(", nvidia.com/gpu: 4"));
    assert!(idle.contains("but their server uses 1: 3 per pod stay idle"), "{idle}");
    let both = manifests(", nvidia.com/gpu: 2");
    assert!(!told("gpu: L4, tensorParallelSize: 2", &both).contains("warning:"));
    // A second pool that fits makes it a doubt, and a node selector settles it.
    let pools = "    - {name: large, instanceType: aws/p5.4xlarge, count: 1}\n";
    let mixed = scenario("gpu: H100-80GB", "aws/g6.12xlarge")
        .replace("workloads:", &format!("{pools}workloads:"));
    let shop = Shop::with(&mixed, &one);
    let ran = run(&shop, &["validate", "scenario.yaml"]);
    assert!(ran.code == 0 && ran.out.contains("warning: scenario.yaml:14: "), "{}", ran.out);
    let selected = one.replace(
        "    spec:\n      containers:",
        "    spec:\n      nodeSelector: {node.kubernetes.io/instance-type: p5.4xlarge}\n      containers:",
    );
    shop.write("web.yaml", selected);
    let ran = run(&shop, &["validate", "scenario.yaml"]);
    assert!(ran.code == 0 && !ran.out.contains("warning:"), "{}", ran.out);
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
fn an_alias_bomb_of_ten_megabytes_is_refused_soon() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (one, next) in "abcdefghijkl".chars().zip("bcdefghijklm".chars()) {
        let aliases = vec![format!("*{one}"); 10].join(", ");
        let _ = writeln!(bomb, "{next}: &{next} [{aliases}]");
    }
    let line = format!("# {}\n", "x".repeat(98));
    bomb.push_str(&line.repeat(10 * 1024 * 1024 / line.len()));
    refused(SCENARIO, &bomb, &["aliases expand to more than 16 MiB"]);
    refused(&bomb, MANIFESTS, &["aliases expand to more than 16 MiB"]);
}

/// Lines are left out, doubled, cut, and their indentation changed, one at a time.
fn mutations(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let with = |at: usize, instead: &[&str]| {
        let mut all = lines.clone();
        all.splice(at..=at, instead.iter().copied());
        all.join("\n") + "\n"
    };
    let mut mutated = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if line.trim().is_empty() || line.trim().starts_with('#') {
            continue;
        }
        mutated.push(with(at, &[]));
        mutated.push(with(at, &[line, line]));
        mutated.push(with(at, &[line.split_once(':').map_or("", |(key, _)| key)]));
        mutated.push(with(at, &[&format!(" {line}")]));
        mutated.push(with(at, &[&line.replace(|one: char| one.is_ascii_digit(), "-1")]));
    }
    mutated
}

/// A scenario of the repository with one text changed, held in memory: starting the program for each
/// would take minutes. The run is cut short; what comes up in it comes up in its first minutes.
mod in_memory {
    use std::sync::Arc;

    use wavetank::manifest::{Diagnostics, Source};
    use wavetank::scenario::ScenarioText;
    use wavetank::scenario::resolved::{ResolvedScenario, ScenarioFiles};

    pub fn run(scenario: &str, manifests: &str) -> Result<(), Diagnostics> {
        let settings: Vec<_> = ["duration=45s", "warmUp=5s", "timeline=[]"]
            .iter()
            .map(|setting| setting.parse().expect("well-formed"))
            .collect();
        let text = ScenarioText::parse(&Source::new("scenario.yaml", scenario), &settings)?;
        let manifests = vec![Source::new("manifests.yaml", manifests)];
        let files = Arc::new(ScenarioFiles { manifests, ..ScenarioFiles::default() });
        let resolved = ResolvedScenario { text, files, manifest_settings: Vec::new() };
        wavetank::sweep::run(&resolved, 1, |_| {}).map(drop)
    }
}

#[test]
fn no_line_of_the_ai_agent_that_is_left_out_doubled_or_mangled_makes_it_panic() {
    let scenario = include_str!("../../scenarios/ai-agent/scenario.yaml")
        .replace("{trace: data/chat.csv.gz}", "{pattern: constant, rps: 3}");
    let manifests = include_str!("../../scenarios/ai-agent/manifests/ai-agent.yaml");
    in_memory::run(&scenario, manifests).expect("unchanged it runs");
    let mut refused = 0;
    for mutated in mutations(&scenario) {
        refused += usize::from(in_memory::run(&mutated, manifests).is_err());
    }
    for mutated in mutations(manifests) {
        refused += usize::from(in_memory::run(&scenario, &mutated).is_err());
    }
    assert!(refused > 100, "only {refused} were refused: the mutations do nothing");
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
