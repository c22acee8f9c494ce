//! `wavetank init` writes scenarios that are valid and run, whatever the manifests bring.

use crate::shop::{MANIFESTS, SCENARIO, Shop};

/// A Deployment of this container behind a Service.
fn serving(name: &str, pod: &str) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}, namespace: ai}}\nspec:\n  replicas: 1\n  \
         selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: {{labels: {{app: {name}}}}}\n    \
         spec: {pod}\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: ai}}\n\
         spec: {{selector: {{app: {name}}}, ports: [{{port: 80}}]}}\n"
    )
}

/// The scenario that is written for these manifests, after a run of it.
fn started(manifests: &str) -> String {
    let shop = Shop::with(SCENARIO, manifests);
    let ran = shop.run(&["init", "web.yaml", "--force"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let text = shop.read("scenario.yaml");
    let validated = shop.run(&["validate", "--strict", "scenario.yaml"]);
    assert_eq!(validated.code, 0, "{}\n{text}", validated.out);
    let ran = shop.run(&["run", "scenario.yaml", "--set", "duration=20m"]);
    assert_eq!(ran.code, 0, "{}\n{text}", ran.err);
    text
}

#[test]
fn a_server_of_a_language_model_is_known_by_its_container_with_its_gpu_and_its_metrics() {
    let pod = "{nodeSelector: {cloud.google.com/gke-accelerator: nvidia-l4}, containers: [{name: proxy, image: 'envoy:1', \
               resources: {requests: {cpu: 100m}}}, {name: server, image: 'vllm/vllm-openai:v0.11.0', \
               args: ['--model=$(MODEL)', --max-num-seqs, '64', --quantization=fp8], \
               env: [{name: MODEL, value: meta-llama/Llama-3.1-8B-Instruct}], ports: [{containerPort: 80}], \
               resources: {requests: {cpu: 2, memory: 16Gi}, limits: {nvidia.com/gpu: 1}}}]}";
    let metric = |name: &str| {
        format!(
            "{{type: Pods, pods: {{metric: {{name: {name}}}, target: {{type: AverageValue, averageValue: 5}}}}}}"
        )
    };
    let hpa = format!(
        "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: llm, namespace: ai}}\n\
         spec:\n  minReplicas: 1\n  maxReplicas: 3\n  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: llm}}\n  \
         metrics: [{}, {}]\n",
        metric("'vllm:num_requests_waiting'"),
        metric("'vllm:gpu_cache_usage_perc'"),
    );
    let ingress = "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: llm, namespace: ai}\n\
                   spec: {rules: [{host: llm.example, http: {paths: [{path: /, pathType: Prefix, backend: \
                   {service: {name: llm, port: {number: 80}}}}]}}]}\n";
    let server = serving("llm", pod) + &hpa;
    for (manifests, entrance) in
        [(server.clone(), "- service: ai/llm"), (server + ingress, "- host: llm.example")]
    {
        let text = started(&manifests);
        for line in [
            "      instanceType: gcp/g2-standard-8 ",
            "      zones: [us-central1-a, us-central1-b, us-central1-c]\n",
            "        cloud.google.com/gke-accelerator: nvidia-l4\n",
            "    - {name: \"vllm:num_requests_waiting\", measure: queueDepth, service: ai/llm}",
            "    - {name: \"vllm:gpu_cache_usage_perc\", measure: kvCacheUsage, service: ai/llm}",
            "    container: server\n",
            "        model: Llama-3.1-8B     # meta-llama/Llama-3.1-8B-Instruct\n",
            "        gpu: L4 ",
            "        maxNumSeqs: 64\n",
            "        # not modelled: --quantization fp8\n",
            entrance,
        ] {
            assert!(text.contains(line), "{line}\nis not in\n{text}");
        }
    }
}

#[test]
fn servers_of_which_little_is_known_get_gpus_that_take_their_models() {
    let tgi = "{containers: [{name: server, image: 'ghcr.io/huggingface/text-generation-inference:3', \
               env: [{name: MODEL_ID, value: Qwen/Qwen2.5-32B-Instruct}], \
               resources: {limits: {nvidia.com/gpu: 4}}}]}";
    let text = started(&serving("llm", tgi));
    assert!(
        text.contains("        model: Qwen2.5-32B ") && text.contains("tensorParallelSize: 4"),
        "{text}"
    );
    assert!(!text.contains("kvCacheTokens"), "{text}");
    let unknown = "{containers: [{name: server, image: 'vllm/vllm-openai', args: [--model, mine/private-3b, \
                   --tensor-parallel-size, '2'], resources: {limits: {nvidia.com/gpu: 1}}}]}";
    let text = started(&serving("llm", unknown));
    let guess = "model: Llama-3.2-3B     # GUESS: mine/private-3b is unknown; this model is of similar size";
    assert!(text.contains(guess), "{text}");
    let fewer = "tensorParallelSize: 1     # configured: 2; the pod has 1 GPUs";
    assert!(text.contains(fewer), "{text}");
    // A model that is too large for the only nodes that its pods may have is a guess, and no error.
    let narrow = "{nodeSelector: {nvidia.com/gpu.product: Tesla-T4}, containers: [{name: server, image: 'vllm/vllm-openai', \
                  args: [--model, meta-llama/Llama-3.1-70B], resources: {limits: {nvidia.com/gpu: 1}}}]}";
    let text = started(&serving("llm", narrow));
    assert!(text.contains("gpu: T4 ") && text.contains("kvCacheTokens: "), "{text}");
    // Without GPUs it is an application as any other.
    let text = started(MANIFESTS);
    assert!(!text.contains("llm:"), "{text}");
}

#[test]
fn a_scenario_may_lie_among_its_manifests() {
    let shop = Shop::with("", MANIFESTS);
    let ran = shop.run(&["init", "web.yaml", "--force"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    // The second time what is written the first time is there.
    let ran = shop.run(&["init", ".", "--force"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let validated = shop.run(&["validate", "scenario.yaml"]);
    assert!(!validated.out.contains("not simulated"), "{}", validated.out);
    let named = shop.read("scenario.yaml").replace("  - \".\"", "  - web.yaml\n  - scenario.yaml");
    shop.write("named.yaml", named);
    let validated = shop.run(&["validate", "named.yaml"]);
    assert!(validated.out.contains("1 object of kind Scenario"), "{}", validated.out);
    let ran = shop.run(&["run", "scenario.yaml", "--set", "duration=10m"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
}

/// A vLLM Deployment behind a Service.
fn vllm(name: &str, arguments: &str) -> String {
    let pod = format!(
        "{{containers: [{{name: server, image: 'vllm/vllm-openai:v0.11.0', \
         args: [--model, meta-llama/Llama-3.1-8B-Instruct{arguments}], resources: {{limits: {{nvidia.com/gpu: 1}}}}}}]}}"
    );
    serving(name, &pod)
}

/// A ScaledObject of a Deployment by this query.
fn scaled(name: &str, query: &str) -> String {
    format!(
        "---\napiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {{name: {name}, namespace: ai}}\nspec:\n  \
         scaleTargetRef: {{name: {name}}}\n  minReplicaCount: 1\n  maxReplicaCount: 3\n  triggers:\n  - type: prometheus\n    \
         metadata:\n      serverAddress: http://p\n      threshold: '5'\n      query: {query}\n"
    )
}

#[test]
fn what_manifests_say_in_several_lines_is_a_comment_of_one() {
    let query = "|\n        sum(\n          rate(orders_open[1m])\n        )";
    let shop = Shop::with("", &(vllm("llm", "") + &scaled("llm", query)));
    let ran = shop.run(&["init", "web.yaml", "--force"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let text = shop.read("scenario.yaml");
    let says =
        "add one if there is any: ScaledObject/ai/llm queries sum( rate(orders_open[1m]) )\n";
    assert!(text.contains(says), "{text}");
    let validated = shop.run(&["validate", "scenario.yaml"]);
    assert_eq!(validated.code, 0, "{}\n{text}", validated.out);
}

#[test]
fn two_models_that_scale_on_metrics_of_the_same_name_get_a_rule_each() {
    let both = vllm("a", "") + &vllm("b", "");
    let hpa = |name: &str| {
        format!(
            "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: {name}, namespace: ai}}\n\
             spec:\n  maxReplicas: 3\n  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {name}}}\n  \
             metrics: [{{type: Pods, pods: {{metric: {{name: 'vllm:num_requests_waiting'}}, \
             target: {{type: AverageValue, averageValue: 5}}}}}}]\n"
        )
    };
    let text = started(&(both.clone() + &hpa("a") + &hpa("b")));
    for name in ["a", "b"] {
        let rule = format!(
            "- {{name: \"vllm:num_requests_waiting\", measure: queueDepth, service: ai/{name}}}     # HorizontalPodAutoscaler/ai/{name}\n"
        );
        assert!(text.contains(&rule), "{rule}\nis not in\n{text}");
    }
    assert!(!text.contains("and also"), "{text}");
    let query = |name: &str| format!("'sum(vllm:num_requests_waiting{{model=\"{name}\"}})'");
    let text = started(&(both.clone() + &scaled("a", &query("a")) + &scaled("b", &query("b"))));
    for name in ["a", "b"] {
        let rule = format!(
            r#"- {{name: "vllm:num_requests_waiting{{model=\"{name}\"}}", measure: queueDepth, service: ai/{name}}}"#
        );
        assert!(text.contains(&rule), "{rule}\nis not in\n{text}");
    }
    assert!(!text.contains("and also"), "{text}");
    let same = "sum(vllm:num_requests_waiting)";
    let text = started(&(both + &scaled("a", same) + &scaled("b", same)));
    let doubt = "# The query vllm:num_requests_waiting of ScaledObject/ai/b matches ai/b and also ai/a: it may scale on their values.\n";
    assert!(text.contains(doubt), "{text}");
}

#[test]
fn what_something_else_than_the_manifests_makes_is_named_and_assumed() {
    let pod = "{serviceAccountName: runner, containers: [{name: web, image: 'web:1', env: [{name: P, valueFrom: {secretKeyRef: \
               {name: db, key: password}}}], envFrom: [{configMapRef: {name: flags}}]}], volumes: [{name: v, secret: \
               {secretName: tls, items: [{key: tls.crt, path: a}]}}, {name: own, configMap: {name: mine}}, \
               {name: ca, configMap: {name: kube-root-ca.crt}}, {name: may, secret: {secretName: o, optional: true}}]}";
    let mine = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: mine, namespace: ai}\n";
    let manifests = serving("web", pod) + mine;
    let shop = Shop::with(SCENARIO, &manifests);
    assert_eq!(shop.run(&["init", "web.yaml", "--force"]).code, 0);
    let text = shop.read("scenario.yaml");
    let assumed = "assumePresent:\n  - ConfigMap/ai/flags\n  - Secret/ai/db\n  - Secret/ai/tls\n  \
                   - ServiceAccount/ai/runner\n\n";
    assert!(text.contains(assumed), "{text}");
    let validated = shop.run(&["validate", "--strict", "scenario.yaml"]);
    assert_eq!(validated.code, 0, "{}", validated.out);
    let pods = |settings: &[&str]| {
        let mut words = vec!["get", "pods", "scenario.yaml", "--at", "5m", "-n", "ai"];
        words.extend(settings);
        shop.run(&words).out
    };
    assert!(pods(&[]).contains("1/1     Running"), "{}", pods(&[]));
    // Without them the pod waits, as in a cluster.
    assert!(!pods(&["--set", "assumePresent=[]"]).contains("web-"));
    let one = pods(&["--set", "assumePresent=[ServiceAccount/ai/runner, Secret/ai/tls]"]);
    assert!(one.contains("CreateContainerConfigError"), "{one}");
    let secrets = shop.run(&["get", "secrets", "scenario.yaml", "--at", "1m", "-n", "ai"]).out;
    assert!(secrets.contains("db     Opaque   1"), "{secrets}");
}

#[test]
fn what_cannot_be_assumed_is_told_at_its_line() {
    let pod =
        "{containers: [{name: web, image: 'web:1', envFrom: [{configMapRef: {name: flags}}]}]}";
    let mine = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: flags, namespace: ai}\n";
    let shop = Shop::with(SCENARIO, &(serving("web", pod) + mine));
    assert_eq!(shop.run(&["init", "web.yaml", "--force"]).code, 0);
    let told = |object: &str| {
        let text = shop.read("scenario.yaml");
        let setting = format!("\nassumePresent: [{object}]\nmanifests:");
        shop.write("assuming.yaml", text.replace("\nmanifests:", &setting));
        let ran = shop.run(&["validate", "assuming.yaml"]);
        (ran.code, ran.out + &ran.err)
    };
    let (code, text) = told("ConfigMap/ai/flags");
    assert!(code != 0 && text.contains("ConfigMap/ai/flags is in the manifests"), "{text}");
    let (code, text) = told("Service/ai/web");
    assert!(code != 0 && text.contains("a Service cannot be assumed"), "{text}");
    let (code, text) = told("Secret/ai/flag");
    assert!(code == 0 && text.contains("no pod needs Secret/ai/flag"), "{text}");
}

/// A Deployment whose container has these variables, behind a Service.
fn calling(name: &str, variables: &str) -> String {
    let pod = format!(
        "{{containers: [{{name: a, image: 'a:1', env: [{variables}], resources: {{requests: {{cpu: 500m}}}}}}]}}"
    );
    serving(name, &pod)
}

#[test]
fn services_call_those_whose_addresses_they_have_and_clients_ask_the_others() {
    let manifests = calling(
        "web",
        "{name: CART_ADDR, value: 'cart:7070'}, {name: PAY_URL, value: 'http://pay'}",
    ) + &calling("cart", "{name: DB_HOST, value: db.ai}")
        + &calling("pay", "{name: DB_HOST, value: db.ai}")
        + &calling("db", "");
    let text = started(&manifests);
    let web =
        "        - {service: ai/cart, timeout: 5s}\n        - {service: ai/pay, timeout: 5s}\n";
    assert!(text.contains(web), "{text}");
    assert_eq!(text.matches("        - {service: ai/db, timeout: 5s}\n").count(), 2, "{text}");
    let traffic = text.split("\ntraffic:\n").nth(1).expect("it is there");
    let traffic = traffic.split("\n\n").next().expect("its section");
    // 13 requests a second keep half of 500m busy; each asks the database twice.
    assert_eq!(
        traffic.trim(),
        "- service: ai/web\n    load: {pattern: constant, rps: 6.5}\n    timeout: 10s"
    );
    let objectives = text.split("\nobjectives:\n").nth(1).expect("it is there");
    assert_eq!(objectives.matches("- service: ").count(), 1, "{objectives}");
}

#[test]
fn objectives_are_for_what_people_come_by_and_unknown_callers_are_an_assumption() {
    let exposed = calling("web", "").replace("ports: [", "type: LoadBalancer, ports: [");
    assert!(exposed.contains("LoadBalancer"), "{exposed}");
    let text = started(&(calling("api", "") + &exposed));
    let objectives = text.split("\nobjectives:\n").nth(1).expect("it is there");
    assert_eq!(objectives.matches("- service: ").count(), 1, "{objectives}");
    assert!(objectives.contains("- service: ai/web\n"), "{objectives}");
    let unknown = "    - \"traffic[*].service\"\n";
    assert!(text.contains(unknown), "{text}");
    // The only Service has clients for certain.
    assert!(!started(&calling("web", "")).contains(unknown));
}

#[test]
fn the_guessed_cpu_time_of_a_request_is_one_that_the_cpu_limit_lets_through() {
    let limited = |limit: &str| {
        let resources = format!("{{requests: {{cpu: 1m}}, limits: {{cpu: {limit}}}}}");
        serving("web", &format!("{{containers: [{{name: a, image: a, resources: {resources}}}]}}"))
    };
    for (limit, cpu_time, rps) in
        [("2m", "1ms", "1"), ("50m", "1.25ms", "1"), ("200m", "5ms", "1"), ("4", "20ms", "1")]
    {
        let text = started(&limited(limit));
        assert!(
            text.contains(&format!(
                "cpuTime: {{distribution: lognormal, mean: {cpu_time}, cv: 1}}"
            )),
            "{text}"
        );
        assert!(text.contains(&format!("rps: {rps}}}")), "{text}");
    }
    let shop = Shop::with(SCENARIO, &limited("2m"));
    shop.run(&["init", "web.yaml", "--force"]);
    let ran = shop.run(&["check", "scenario.yaml", "--set", "duration=20m"]);
    assert_eq!(ran.code, 0, "{}", ran.out);
}

#[test]
fn guesses_are_told_and_doubted() {
    let text = started(&calling("web", ""));
    assert!(
        text.contains("\nprovenance:\n  assumed:\n    - \"cluster.nodePools[*].instanceType\"\n"),
        "{text}"
    );
    let shop = Shop::with(&text, &calling("web", ""));
    let short = ["--set", "duration=12m", "--set", "warmUp=2m"];
    let run = |words: &[&str]| shop.run(&[&["run", "scenario.yaml"][..], &short, words].concat());
    let plain = run(&[]);
    assert!(plain.out.contains("ASSUMED  guesses, neither measured nor stated"), "{}", plain.out);
    assert!(plain.out.contains("  workloads[*].requests.cpuTime"), "{}", plain.out);
    let doubted = run(&["--doubts"]);
    assert_eq!(doubted.code, 0, "{}", doubted.err);
    let json = run(&["--doubts", "-o", "json"]).out;
    let report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let all = report["assumptions"].as_array().expect("a list");
    let cpu = all
        .iter()
        .find(|one| one["setting"] == "workloads[*].requests.cpuTime")
        .expect("it is there");
    assert_eq!(cpu["values"], serde_json::json!(["20ms"]));
    let p95 = |side: &str| cpu[side]["p95_ms"].as_f64().expect("it was answered");
    let as_it_is = report["services"][0]["latency_of_all"]["p95_ms"].as_f64().expect("answered");
    assert!(p95("halved") < as_it_is && as_it_is < p95("doubled"), "{cpu}");
    // A choice has no half.
    assert_eq!(all[0]["values"], serde_json::json!(["aws/m5.large"]));
    assert!(all[0].get("halved").is_none_or(serde_json::Value::is_null), "{}", all[0]);
    let nodes = &all[1];
    assert_eq!(nodes["setting"], "cluster.nodePools[*].count");
    let month = |side: &str| nodes[side]["month_usd"].as_f64().expect("priced");
    // Four nodes at $0.096 an hour, with 20 GiB of disk at $0.08 a month each, in place of one.
    let dearer = month("doubled") - month("halved");
    assert!((dearer - 3.0 * (0.096 * 730.0 + 1.6)).abs() < 0.02, "{nodes}");
    // A measured setting is no assumption any more, and one that is not there is a mistake.
    let measured = run(&["--set", "provenance.measured=['workloads[0].requests.cpuTime']"]).out;
    assert!(!measured.contains("workloads[*].requests.cpuTime"), "{measured}");
    let wrong = run(&["--set", "provenance.measured=['workloads[7].requests']"]);
    assert!(wrong.err.contains("the scenario has no workloads[7].requests"), "{}", wrong.err);
}

#[test]
fn pods_that_select_nodes_by_the_old_names_of_labels_find_them() {
    let pod = "{nodeSelector: {beta.kubernetes.io/os: linux, beta.kubernetes.io/arch: amd64}, \
               containers: [{name: web, image: 'web:1'}]}";
    let shop = Shop::with(SCENARIO, &serving("web", pod));
    assert_eq!(shop.run(&["init", "web.yaml", "--force"]).code, 0);
    let pods = shop.run(&["get", "pods", "scenario.yaml", "--at", "5m", "-n", "ai"]).out;
    assert!(pods.contains("1/1     Running"), "{pods}");
}

/// What `init` says of manifests for which it writes nothing.
fn refused(manifests: &str) -> String {
    let shop = Shop::with(SCENARIO, manifests);
    std::fs::remove_file(shop.path().join("scenario.yaml")).expect("it was there");
    let ran = shop.run(&["init", "web.yaml"]);
    assert_ne!(ran.code, 0, "{}", ran.out);
    assert!(!shop.path().join("scenario.yaml").exists(), "a run would refuse it");
    ran.err
}

#[test]
fn what_the_api_server_refuses_is_left_out_by_name_and_the_rest_runs() {
    let budget = "---\napiVersion: policy/v1beta1\nkind: PodDisruptionBudget\nmetadata: {name: web}\nspec: {}\n";
    let web = serving("web", "{containers: [{name: a, image: a}]}");
    let shop = Shop::with(SCENARIO, &format!("{web}{budget}"));
    let ran = shop.run(&["init", "web.yaml", "--force"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let why = "no matches for kind \"PodDisruptionBudget\" in version \"policy/v1beta1\"";
    let told = format!("a run refuses it: PodDisruptionBudget/default/web: apiVersion: {why}\n");
    assert!(ran.err.contains(&told), "{}", ran.err);
    let text = shop.read("scenario.yaml");
    let line = format!("leaveOut:\n  - PodDisruptionBudget/default/web     # apiVersion: {why}\n");
    assert!(text.contains(&line), "{text}");
    assert_eq!(shop.run(&["validate", "scenario.yaml"]).code, 0);
    // An object that is not there any more is no object to leave out.
    shop.write("web.yaml", &*web);
    let gone = shop.run(&["validate", "scenario.yaml"]);
    assert!(gone.out.contains("no manifest defines this object"), "{}", gone.out);
}

#[test]
fn where_nothing_is_left_to_run_no_scenario_is_written() {
    let old = serving("web", "{containers: [{name: a, image: a}]}")
        .replace("apps/v1", "extensions/v1beta1");
    let said = refused(&old);
    assert!(
        said.contains("no matches for kind \"Deployment\" in version \"extensions/v1beta1\""),
        "{said}"
    );
}

#[test]
fn of_a_folder_with_variants_and_other_files_one_system_is_taken() {
    let shop = Shop::with("", "");
    let web =
        |image: &str| serving("web", &format!("{{containers: [{{name: a, image: '{image}'}}]}}"));
    shop.write("k8s/app.yaml", web("web:1"));
    shop.write("k8s/app-canary.yaml", web("web:2"));
    shop.write("k8s/dashboard.json", "{\"panels\": []}");
    shop.write("k8s/broken.yaml", "apiVersion: v1\nkind: {{ .Values.kind }}\n");
    shop.write("k8s/chart/Chart.yaml", "name: chart\n");
    shop.write("k8s/chart/templates/a.yaml", "{{ x }}");
    let ran = shop.run_without_helm(&["init", "k8s", "--force"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for (left, why) in [
        ("k8s/app-canary.yaml", "contains Deployment/ai/web again, in another variant"),
        ("k8s/broken.yaml", ""),
        ("k8s/chart", "k8s/chart is a Helm chart, but `helm` is not on the PATH"),
    ] {
        assert!(ran.err.contains(&format!("skipped: {left}: {why}")), "{}", ran.err);
    }
    let text = shop.read("scenario.yaml");
    assert!(text.contains("manifests:\n  - k8s/app.yaml\n  # skipped: k8s/"), "{text}");
    assert!(!text.contains("dashboard"), "{text}");
    assert_eq!(shop.run(&["run", "scenario.yaml", "--set", "duration=10m"]).code, 0);
}

#[test]
fn a_chart_goes_through_helm_with_its_values() {
    let shop = Shop::with("", "");
    let rendered = serving("web", "{containers: [{name: a, image: a}]}");
    // Stands for Helm: tells how it was called, and prints what Helm would.
    let helm = format!("#!/bin/sh\necho \"# $*\"\ncat <<'END'\n{rendered}END\n");
    shop.write_program("bin/helm", &helm);
    shop.write("chart/Chart.yaml", "name: chart\n");
    shop.write("chart/templates/a.yaml", "{{ x }}");
    let ran = shop.run_with_programs("bin", &["init", "chart", "--force", "--values", "prod.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let text = shop.read("scenario.yaml");
    let charts = "helmCharts:\n  - {path: chart, valuesFiles: [prod.yaml]}\n";
    assert!(text.contains(charts), "{text}");
    let ran = shop.run_with_programs("bin", &["run", "scenario.yaml", "--set", "duration=10m"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    // It is called anew at each run, with the values.
    let checks = "#!/bin/sh\n[ \"$*\" = 'template chart chart --no-hooks --values prod.yaml' ] || \
                  { echo \"called as $*\" >&2; exit 1; }\n";
    let checked = helm.replace("#!/bin/sh\n", checks);
    shop.write_program("bin/helm", &checked);
    let ran = shop.run_with_programs("bin", &["validate", "scenario.yaml"]);
    assert_eq!(ran.code, 0, "{}", ran.out);
    let ran = shop.run_with_programs("bin", &["validate", "chart"]);
    assert!(ran.out.contains("failed: called as template chart chart --no-hooks"), "{}", ran.out);
    let ran = shop.run_without_helm(&["validate", "chart"]);
    let by_hand = "helm template chart chart --no-hooks > rendered.yaml";
    assert!(ran.code == 2 && ran.out.contains(by_hand), "{}", ran.out);
}

#[test]
fn a_claim_that_nobody_makes_is_taken_to_be_there() {
    let pod = "{containers: [{name: a, image: a}], volumes: [{name: v, persistentVolumeClaim: {claimName: models}}]}";
    let text = started(&serving("web", pod));
    assert!(text.contains("assumePresent:\n  - PersistentVolumeClaim/ai/models\n"), "{text}");
}

#[test]
fn pods_that_keep_apart_get_a_node_each_and_jobs_behind_a_service_no_traffic() {
    let apart = "{containers: [{name: a, image: a, ports: [{containerPort: 80, hostPort: 80}]}]}";
    let web = serving("web", apart).replace("replicas: 1", "replicas: 5");
    let job = "---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: load, namespace: ai}\nspec: {template: {metadata: \
               {labels: {app: load}}, spec: {restartPolicy: Never, containers: [{name: a, image: a}]}}}\n---\napiVersion: \
               v1\nkind: Service\nmetadata: {name: load, namespace: ai}\nspec: {selector: {app: load}, ports: [{port: 80}]}\n";
    let text = started(&format!("{web}{job}"));
    assert!(text.contains("      count: 5\n"), "{text}");
    assert!(!text.contains("service: ai/load"), "{text}");
}

#[test]
fn kinds_of_other_projects_are_sized_and_run() {
    let text = "apiVersion: ray.io/v1\nkind: RayService\nmetadata: {name: llm}\nspec:\n  rayClusterConfig:\n    headGroupSpec: \
                {template: {spec: {containers: [{name: head, image: 'ray:1', resources: {requests: {cpu: 1}}}]}}}\n    \
                workerGroupSpecs: [{groupName: w, replicas: 2, template: {spec: {containers: [{name: w, image: 'ray:1', \
                resources: {requests: {cpu: 1}}}]}}}]\n";
    let shop = Shop::with(SCENARIO, text);
    assert_eq!(shop.run(&["init", "web.yaml", "--force"]).code, 0);
    let written = shop.read("scenario.yaml");
    assert!(written.contains("  - service: default/llm-serve-svc\n"), "{written}");
    let ran = shop.run(&["run", "scenario.yaml", "--set", "duration=20m"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("1 object of kind RayService"), "{}", ran.out);
}

#[test]
fn node_pools_among_the_manifests_bring_karpenter_with_their_zones_and_a_guessed_spot_price() {
    let pod = "{containers: [{name: web, image: 'web:1', resources: {requests: {cpu: 500m, memory: 512Mi}}}]}";
    let pool = "---\napiVersion: karpenter.sh/v1\nkind: NodePool\nmetadata: {name: general}\nspec: {template: {spec: {\
                requirements: [{key: karpenter.sh/capacity-type, operator: In, values: [spot, on-demand]}, \
                {key: topology.kubernetes.io/zone, operator: In, values: [us-east-1b, us-east-1d]}], \
                nodeClassRef: {group: karpenter.k8s.aws, kind: EC2NodeClass, name: default}}}}\n---\n\
                apiVersion: karpenter.k8s.aws/v1\nkind: EC2NodeClass\nmetadata: {name: default}\nspec: {role: node}\n";
    let text = started(&(serving("web", pod) + pool));
    for line in [
        "from the NodePools in the manifests: general.",
        "  preset: eks ",
        "      zones: [us-east-1b, us-east-1d] ",
        "      spotShare: 0.4 ",
        "    - cluster.autoscaler.karpenter.spotShare\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("nodePools:"), "{text}");
}

#[test]
fn groups_that_are_named_are_pools_with_bounds_which_the_cluster_autoscaler_keeps() {
    let pod = "{containers: [{name: web, image: 'web:1', resources: {requests: {cpu: 500m, memory: 512Mi}}}]}";
    let shop = Shop::with(SCENARIO, &serving("web", pod));
    let group = |group: &str| shop.run(&["init", "web.yaml", "--force", "--node-group", group]);
    assert_eq!(group("web=aws/m5.xlarge:1:4").code, 0);
    let text = shop.read("scenario.yaml");
    for line in [
        "    clusterAutoscaler:\n",
        "    - name: web\n      instanceType: aws/m5.xlarge ",
        "      count: {min: 1, max: 4}\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert_eq!(shop.run(&["validate", "--strict", "scenario.yaml"]).code, 0, "{text}");
    assert_eq!(shop.run(&["run", "scenario.yaml", "--set", "duration=20m"]).code, 0, "{text}");
    let refused = group("web=aws/m5.xlarge:4:1");
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("write the smaller first"), "{}", refused.err);
}
