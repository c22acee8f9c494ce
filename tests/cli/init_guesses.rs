//! The guesses of `wavetank init` fit the manifests: machines, clouds, timeouts, and objectives that a run meets.

use crate::shop::{Ran, Shop};

/// A workload of these pods, with a Service.
pub(super) fn served(kind: &str, name: &str, pod: &str) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n  replicas: 3\n  \
         selector: {{matchLabels: {{name: {name}}}}}\n  template:\n    metadata: {{labels: {{name: {name}, app: all}}}}\n    \
         spec: {pod}\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n\
         spec: {{selector: {{name: {name}}}, ports: [{{port: 80}}]}}\n"
    )
}

/// What `init` says and writes of these manifests.
pub(super) fn init(manifests: &str) -> (Shop, Ran, String) {
    let shop = Shop::with("", manifests);
    let ran = shop.run(&["init", "web.yaml", "--force"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let text = shop.read("scenario.yaml");
    let validated = shop.run(&["validate", "scenario.yaml"]);
    assert_eq!(validated.code, 0, "{}\n{text}", validated.out);
    (shop, ran, text)
}

fn pods_at(shop: &Shop, time: &str) -> String {
    shop.run(&["get", "pods", "scenario.yaml", "--at", time]).out
}

fn gpu_pod(rest: &str) -> String {
    format!(
        "{{containers: [{{name: a, image: a, resources: {{requests: {{nvidia.com/gpu: 8{rest}}}, limits: {{nvidia.com/gpu: 8}}}}}}]}}"
    )
}

#[test]
fn pods_that_need_much_disk_get_their_machines_with_a_larger_disk() {
    let pod = gpu_pod(", memory: 1124Gi, ephemeral-storage: 800Gi");
    let (shop, ran, text) = init(&served("StatefulSet", "llm", &pod));
    assert_eq!(ran.err, "");
    assert!(text.contains("- name: gpu\n"), "{text}");
    assert!(text.contains("      capacity: {ephemeral-storage: 800Gi}\n      allocatable: {ephemeral-storage: 800Gi}\n"), "{text}");
    let pods = pods_at(&shop, "9m");
    assert_eq!(pods.matches("Running").count(), 3, "{pods}");
}

#[test]
fn pods_for_which_there_is_no_machine_are_told() {
    let (_, ran, text) = init(&served("Deployment", "huge", &gpu_pod(", memory: 90Ti")));
    let why = "no instance type of the catalog has room for the pods of Deployment/default/huge (memory: 90Ti, \
               nvidia.com/gpu: 8): they stay pending\n";
    assert!(ran.err.contains(&format!("warning: {why}")), "{}", ran.err);
    assert!(text.contains(&format!("    # {why}")), "{text}");
}

#[test]
fn all_pools_are_of_the_cloud_that_the_manifests_name() {
    let gpu = "{nodeSelector: {cloud.google.com/gke-accelerator: nvidia-l4}, containers: [{name: a, image: a, resources: \
               {limits: {nvidia.com/gpu: 1}}}]}";
    let web = served("Deployment", "web", "{containers: [{name: a, image: a}]}");
    let (_, _, text) = init(&(served("Deployment", "llm", gpu) + &web));
    assert!(text.contains("gcp/e2-standard-2") && text.contains("gcp/g2-standard-"), "{text}");
    assert!(!text.contains("aws/") && !text.contains("us-east-1"), "{text}");
    let class = "---\napiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: fast}\nprovisioner: disk.csi.azure.com\n";
    let (_, _, text) = init(&(web + class));
    assert!(text.contains("azure/Standard_D2s_v5") && text.contains("[eastus-1, "), "{text}");
}

#[test]
fn callers_of_a_language_model_wait_as_long_as_its_clients() {
    let llm = "{containers: [{name: a, image: 'vllm/vllm-openai', args: [--model, meta-llama/Llama-3.1-8B], resources: \
               {limits: {nvidia.com/gpu: 1}}}]}";
    let web = "{containers: [{name: a, image: a, env: [{name: LLM_URL, value: 'http://llm'}]}]}";
    let manifests = served("Deployment", "llm", llm) + &served("Deployment", "web", web);
    let (_, _, text) = init(&manifests);
    assert!(text.contains("- {service: default/llm, timeout: 2m}\n"), "{text}");
    let traffic = text.split("\ntraffic:\n").nth(1).expect("it is there");
    assert!(
        traffic.contains("  - service: default/web\n") && traffic.contains("timeout: 2m\n"),
        "{traffic}"
    );
    let objective = "  - service: default/web\n    latency: {p95: 30s}           # of the model's whole answer\n";
    assert!(text.contains(objective), "{text}");
}

#[test]
fn the_warm_up_lasts_until_a_model_is_loaded() {
    let llm = |model: &str| {
        format!(
            "{{containers: [{{name: a, image: 'vllm/vllm-openai', args: [--model, {model}, --tensor-parallel-size, '8'], resources: \
             {{limits: {{nvidia.com/gpu: 8}}}}}}]}}"
        )
    };
    let of = |model: &str| init(&served("Deployment", "llm", &llm(model)));
    let (_, _, small) = of("meta-llama/Llama-3.1-8B");
    assert!(small.contains("warmUp: 10m "), "{small}");
    // 811 GB at 1 GB/s and the server's image take 15 minutes.
    let (shop, _, large) = of("meta-llama/Llama-3.1-405B");
    assert!(large.contains("warmUp: 18m ") && large.contains("duration: 1h\n"), "{large}");
    let pods = pods_at(&shop, "18m");
    assert_eq!(pods.matches("1/1     Running").count(), 3, "{pods}");
}

#[test]
fn workloads_that_exclude_each_other_get_a_node_for_each_pod() {
    let pod = "{containers: [{name: a, image: a}], affinity: {podAntiAffinity: \
               {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: \
               {matchLabels: {app: all}}}]}}}";
    let (shop, _, text) =
        init(&(served("StatefulSet", "dbc1", pod) + &served("StatefulSet", "dbc2", pod)));
    assert!(text.contains("      count: 6\n"), "{text}");
    let pods = pods_at(&shop, "4m");
    assert_eq!(pods.matches("Running").count(), 6, "{pods}");
}

fn job_set(topology: &str) -> String {
    format!(
        "apiVersion: jobset.x-k8s.io/v1alpha2\nkind: JobSet\nmetadata:\n  name: train\n  annotations: \
         {{alpha.jobset.sigs.k8s.io/exclusive-topology: {topology}}}\nspec:\n  replicatedJobs:\n  - name: workers\n    \
         replicas: 3\n    template:\n      spec:\n        parallelism: 3\n        completions: 3\n        template:\n          \
         spec: {{containers: [{{name: a, image: a, resources: {{requests: {{cpu: 1}}}}}}]}}\n"
    )
}

#[test]
fn jobs_with_a_domain_of_their_own_get_a_pool_each_and_run() {
    let (shop, _, text) = init(&job_set("cloud.google.com/gke-nodepool"));
    for name in ["general", "general-2", "general-3"] {
        let label = format!("        cloud.google.com/gke-nodepool: {name}     # GUESS: a domain");
        assert!(text.contains(&label), "{text}");
    }
    let running = |shop: &Shop| pods_at(shop, "4m").matches("Running").count();
    assert_eq!(running(&shop), 9, "{}", pods_at(&shop, "4m"));
    let (shop, _, text) = init(&job_set("topology.kubernetes.io/zone"));
    assert_eq!(text.matches("- name: general").count(), 1, "{text}");
    assert_eq!(running(&shop), 9, "{}", pods_at(&shop, "4m"));
}

#[test]
fn the_cost_objective_counts_load_balancers_disks_and_claims() {
    let month = |manifests: &str| -> (f64, String) {
        let (shop, _, text) = init(manifests);
        let limit = text.split("costPerMonth: ").nth(1).expect("it is there");
        let limit = limit.split_whitespace().next().expect("a number").parse().expect("a number");
        let ran = shop.run(&["run", "scenario.yaml", "--set", "duration=12m"]);
        let objective = ran.out.lines().find(|line| line.contains("cost per month"));
        (limit, objective.unwrap_or(&ran.out).to_owned())
    };
    let web = |name: &str| {
        let plain = served("Deployment", name, "{containers: [{name: a, image: a}]}");
        plain.replace("ports: [", "type: LoadBalancer, ports: [")
    };
    let four: String = ["a", "b", "c", "d"].map(web).concat();
    let (limit, objective) = month(&four);
    assert!(objective.contains('✓'), "{limit}: {objective}");
    assert!(limit > 320.0, "{limit}");
    let claim = "---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\nspec: {accessModes: [ReadWriteOnce], \
                 resources: {requests: {storage: 1Ti}}}\n";
    let (with_claim, _) = month(&(four + claim));
    assert!(with_claim > limit + 100.0, "{with_claim}");
}

#[test]
fn the_guesses_of_pods_with_low_cpu_limits_meet_their_objectives() {
    for limit in ["100m", "200m", "300m", "500m"] {
        let pod = format!(
            "{{containers: [{{name: a, image: a, resources: {{requests: {{cpu: {limit}}}, limits: {{cpu: {limit}}}}}}}]}}"
        );
        let (shop, _, text) = init(&served("Deployment", "web", &pod));
        let ran = shop.run(&["check", "scenario.yaml", "--set", "duration=25m"]);
        assert_eq!(ran.code, 0, "{limit}: {}\n{text}", ran.out);
    }
}

#[test]
fn clients_of_several_services_share_what_these_call() {
    let pod = |calls: &str| {
        let env = format!("env: [{{name: DB_URL, value: '{calls}'}}]");
        format!(
            "{{containers: [{{name: a, image: a, {env}, resources: {{requests: {{cpu: 500m}}, limits: {{cpu: 500m}}}}}}]}}"
        )
    };
    let db = served("Deployment", "db", &pod(""));
    let caller = |name: &str| served("Deployment", name, &pod("http://db"));
    let rps = |manifests: &str| -> f64 {
        let (_, _, text) = init(manifests);
        let rps = text.split("rps: ").nth(1).expect("it has clients");
        rps.split('}').next().expect("a number").parse().expect("a number")
    };
    let (one, two) = (rps(&(db.clone() + &caller("a"))), rps(&(db + &caller("a") + &caller("b"))));
    assert!((one / two - 2.0).abs() < 0.1, "{one} {two}");
}
