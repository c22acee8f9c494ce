//! What `wavetank init` writes for the pods behind Services and routes.

use crate::init_guesses::{init, served};
use crate::shop::Shop;

/// A Deployment of these labels, with as many replicas.
fn labelled(name: &str, labels: &str, rest: &str) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec: {{{rest}selector: {{matchLabels: \
         {{{labels}}}}}, template: {{metadata: {{labels: {{{labels}}}}}, spec: {{containers: [{{name: a, image: a, \
         resources: {{requests: {{cpu: 200m}}}}}}]}}}}}}\n"
    )
}

fn canary() -> String {
    let stable = labelled("web-stable", "app: web, track: stable", "replicas: 3, ");
    let canary = labelled("web-canary", "app: web, track: canary", "");
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n";
    stable + &canary + service
}

/// CPU usage of a workload's pods, as a share of their requests [%], in the text of a report.
fn cpu_percent(report: &str, workload: &str) -> f64 {
    let row = report.lines().find(|line| line.trim_start().starts_with(workload));
    let row = row.unwrap_or_else(|| panic!("no {workload} in {report}")).trim_end();
    let number = row.trim_end_matches('%').split_whitespace().last();
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{row}"))
}

#[test]
fn all_workloads_behind_a_service_get_its_requests() {
    let (shop, _, text) = init(&canary());
    for workload in ["web-stable", "web-canary"] {
        assert!(
            text.contains(&format!("- workload: Deployment/default/{workload}\n"))
                || text.contains(&format!("- workload: Deployment/default/{workload} ")),
            "{text}"
        );
    }
    // Half of 4 x 200m at 20 ms a request.
    assert!(text.contains("load: {pattern: constant, rps: 20}\n"), "{text}");
    let report = shop.run(&["run", "scenario.yaml"]).out;
    for workload in ["Deployment/default/web-stable", "Deployment/default/web-canary"] {
        let percent = cpu_percent(&report, workload);
        assert!((45.0..56.0).contains(&percent), "{workload}: {percent}");
    }
}

#[test]
fn endpoints_that_the_scenario_does_not_describe_get_their_share_and_are_named() {
    let (shop, _, text) = init(&canary());
    let (head, rest) =
        text.split_once("  - workload: Deployment/default/web-stable").expect("described");
    let (_, rest) = rest.split_once("\n# GUESS: requests per second").expect("traffic");
    shop.write("scenario.yaml", format!("{head}\n# GUESS: requests per second{rest}"));
    let said = shop.run(&["validate", "scenario.yaml"]).out;
    let why = "the pods of Deployment/default/web-stable are endpoints of the Service default/web, but the scenario does \
               not say what a request costs them: assumed to be as with Deployment/default/web-canary";
    assert!(said.contains(why), "{said}");
    let report = shop.run(&["run", "scenario.yaml"]).out;
    assert!(report.contains("web-stable are endpoints of"), "{report}");
    for workload in ["Deployment/default/web-stable", "Deployment/default/web-canary"] {
        let percent = cpu_percent(&report, workload);
        assert!((45.0..56.0).contains(&percent), "{workload}: {percent}");
    }
}

#[test]
fn services_whose_workloads_have_no_pods_get_no_traffic() {
    let zero = labelled("web", "app: web", "replicas: 0, ");
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n";
    let (_, _, text) = init(&(zero + service));
    assert!(text.contains("0 replicas, or pods that fit no machine.\n#   default/web\n"), "{text}");
    assert!(text.contains("\ntraffic: []\n") && !text.contains("availability:"), "{text}");
    let (_, _, text) = init(&served(
        "Deployment",
        "huge",
        "{containers: [{name: a, image: a, resources: {requests: {memory: 90Ti}}}]}",
    ));
    assert!(
        text.contains("0 replicas, or pods that fit no machine.\n#   default/huge\n"),
        "{text}"
    );
    assert!(text.contains("\ntraffic: []\n"), "{text}");
}

#[test]
fn rates_far_from_half_of_the_requested_cpu_say_so() {
    let pod = |cpu: &str| {
        format!("{{containers: [{{name: a, image: a, resources: {{requests: {{cpu: {cpu}}}}}}}]}}")
    };
    let (_, _, text) = init(&served("Deployment", "idle", &pod("1m")));
    assert!(
        text.contains(
            "rps: 1}     # the minimum of a guess: more than half of the requested CPU\n"
        ),
        "{text}"
    );
    let (_, _, text) = init(&served("Deployment", "web", &pod("200m")));
    assert!(text.contains("rps: 15}\n"), "{text}");
    let many = served("Deployment", "web", &pod("2")).replace("replicas: 3", "replicas: 900");
    let (_, _, text) = init(&many);
    assert!(
        text.contains(
            "rps: 10000}     # the maximum of a guess: half of the requested CPU would be 45000; "
        ),
        "{text}"
    );
}

#[test]
fn an_inference_pool_sends_the_requests_of_its_routes_to_its_pods() {
    let server = "{containers: [{name: a, image: 'vllm/vllm-openai', args: [--model, meta-llama/Llama-3.1-8B], resources: \
                  {limits: {nvidia.com/gpu: 1}}}]}";
    let vllm = served("Deployment", "vllm", server)
        .split("---\napiVersion: v1\nkind: Service")
        .next()
        .unwrap_or_default()
        .to_owned();
    let pool = |group: &str, spec: &str| {
        format!(
            "---\napiVersion: inference.networking.{group}\nkind: InferencePool\nmetadata: {{name: llama}}\nspec: {spec}\n"
        )
    };
    let route = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: chat}\nspec: {hostnames: [chat.example], \
                 rules: [{backendRefs: [{group: inference.networking.k8s.io, kind: InferencePool, name: llama}]}]}\n";
    let picker = served("Deployment", "picker", "{containers: [{name: a, image: a}]}");
    for pool in [
        pool(
            "k8s.io/v1",
            "{selector: {matchLabels: {name: vllm}}, targetPorts: [{number: 8000}], endpointPickerRef: {name: picker, port: {number: 9002}}}",
        ),
        pool(
            "x-k8s.io/v1alpha2",
            "{selector: {name: vllm}, targetPortNumber: 8000, extensionRef: {name: picker}}",
        ),
    ] {
        let (shop, ran, text) =
            init(&[&vllm, &pool, &picker, route].map(|part: &str| part.to_owned()).concat());
        assert!(!ran.err.contains("does not exist"), "{}", ran.err);
        assert!(text.contains("  - workload: Deployment/default/vllm     # vLLM"), "{text}");
        assert!(text.contains("  - host: chat.example     # HTTPRoute/default/chat\n"), "{text}");
        assert!(
            text.contains("  - {service: default/llama-ip, balancer: leastKvCache}\n"),
            "{text}"
        );
        assert!(text.contains("they have no users.\n#   default/picker\n"), "{text}");
        let report = shop.run(&["run", "scenario.yaml"]).out;
        assert!(report.contains("default/llama-ip"), "{report}");
    }
}

#[test]
fn a_route_to_an_object_that_is_not_simulated_names_its_kind() {
    let web = served("Deployment", "web", "{containers: [{name: a, image: a}]}");
    let route = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: files}\nspec: {rules: \
                 [{backendRefs: [{group: gcp.example, kind: Bucket, name: web}]}]}\n";
    let shop = Shop::with("", &(web + route));
    let ran = shop.run(&["init", "web.yaml", "--force"]);
    let why = "a backend of kind Bucket is not simulated: its share of the requests fails";
    assert!(ran.err.contains(why), "{}", ran.err);
    let said = shop.run(&["validate", "web.yaml"]).out;
    assert!(said.contains(why) && !said.contains("does not exist"), "{said}");
}

#[test]
fn pools_have_the_node_labels_of_resource_flavors_or_it_is_told() {
    let flavor = |name: &str, labels: &str| {
        format!(
            "---\napiVersion: kueue.x-k8s.io/v1beta2\nkind: ResourceFlavor\nmetadata: {{name: {name}}}\nspec: {{nodeLabels: {{{labels}}}}}\n"
        )
    };
    let web = served("Deployment", "web", "{containers: [{name: a, image: a}]}");
    let one = flavor("a-racks", "example.com/rack: left, kubernetes.io/arch: amd64");
    let (_, ran, text) = init(&(web.clone() + &one));
    assert_eq!(ran.err, "");
    let label =
        "      labels:\n        example.com/rack: left     # GUESS: a ResourceFlavor selects it\n";
    assert!(text.contains(label) && !text.contains("arch: amd64"), "{text}");
    let two = flavor("b-spot", "example.com/rack: right");
    let (_, ran, text) = init(&(web + &one + &two));
    let why = "no pool has the labels of ResourceFlavor b-spot (example.com/rack=right): pods admitted with it stay pending";
    assert!(ran.err.contains(why), "{}", ran.err);
    assert!(text.contains(label), "{text}");
}

#[test]
fn selectors_of_pods_that_an_operator_makes_are_not_judged() {
    let operated = |name: &str, spec: &str| {
        format!(
            "---\napiVersion: monitoring.coreos.com/v1\nkind: Prometheus\nmetadata: {{name: {name}}}\nspec: {spec}\n"
        )
    };
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: metrics}\nspec: {selector: {instance: k8s, app: prometheus}, \
                   ports: [{port: 80}]}\n---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: metrics}\nspec: \
                   {maxUnavailable: 1, selector: {matchLabels: {instance: k8s}}}\n";
    let said = |custom: &str| {
        Shop::with("", &(service.to_owned() + custom)).run(&["validate", "web.yaml"]).out
    };
    let made = said(&operated("k8s", "{replicas: 2}"));
    let why = "spec.selector: not judged: its pods are those of Prometheus default/k8s, whose operator is not simulated";
    assert_eq!(made.matches(why).count(), 2, "{made}");
    assert!(!made.contains("selects no pods"), "{made}");
    for other in [
        operated("other", "{replicas: 2}"),
        operated("k8s", "{url: a}"),
        operated("k8s", "{replicas: 2}").replace("name: k8s", "name: k8s, namespace: other"),
    ] {
        let said = said(&other);
        assert_eq!(said.matches("selects no pods").count(), 2, "{said}");
    }
}

#[test]
fn a_metrics_exporter_gets_no_clients() {
    let exporter = served(
        "DaemonSet",
        "node",
        "{containers: [{name: a, image: 'quay.io/prometheus/node-exporter:v1'}]}",
    )
    .replace("  replicas: 3\n", "");
    let web = served("Deployment", "web", "{containers: [{name: a, image: a}]}");
    let (_, _, text) = init(&(exporter + &web));
    assert!(text.contains("they have no users.\n#   default/node\n"), "{text}");
    assert!(
        !text.contains("service: default/node") && text.contains("service: default/web"),
        "{text}"
    );
}

#[test]
fn an_error_in_a_setting_is_not_buried_in_what_follows_from_it() {
    let (shop, _, _) = init(&served("Deployment", "web", "{containers: [{name: a, image: a}]}"));
    for setting in ["traffic[0].timeout=0s", "duration=0s"] {
        let ran = shop.run(&["run", "scenario.yaml", "--set", setting]);
        assert_eq!(ran.err.matches("error: ").count(), 1, "{}", ran.err);
        assert!(!ran.err.contains("warning: ") && !ran.err.contains("note: "), "{}", ran.err);
    }
}
