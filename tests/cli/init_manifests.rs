//! `wavetank init` reads what can be read of the manifests, and says what it found otherwise.

use crate::init_guesses::{init, served};
use crate::shop::{Ran, Shop};

const POD: &str = "{containers: [{name: a, image: a}]}";

/// `init` of a folder with these files.
fn init_folder(files: &[(&str, &str)]) -> (Shop, Ran) {
    let shop = Shop::with("", "");
    for (name, text) in files {
        shop.write(&format!("k8s/{name}"), text);
    }
    let ran = shop.run(&["init", "k8s", "--force"]);
    (shop, ran)
}

#[test]
fn a_variant_that_the_api_server_accepts_is_taken_for_one_that_it_refuses() {
    let current = served("Deployment", "web", POD);
    let old = current.replace("apps/v1", "extensions/v1beta1");
    let (shop, ran) = init_folder(&[("node/app.yaml", &old), ("plain-files/app.yaml", &current)]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let text = shop.read("scenario.yaml");
    assert!(text.contains("manifests:\n  - k8s/plain-files/app.yaml\n"), "{text}");
    assert!(!text.contains("leaveOut"), "{text}");
    let why = "skipped: k8s/node/app.yaml: a run refuses Deployment/default/web: apiVersion: no matches for kind";
    assert!(ran.err.contains(why), "{}", ran.err);
}

#[test]
fn jobs_with_generated_names_run_under_a_name_that_is_told() {
    let job = "---\napiVersion: batch/v1\nkind: Job\nmetadata: {generateName: batch-}\nspec: {template: {spec: {restartPolicy: \
               Never, containers: [{name: a, image: a}]}}}\n";
    let (shop, ran, text) = init(&job.repeat(2));
    for name in ["batch-bbbbb", "batch-bbbbc"] {
        assert!(text.contains(&format!("  - workload: Job/default/{name}\n")), "{text}");
        let told = format!(
            "Job default/batch-: `kubectl apply` refuses a generated name; here it is {name}; write `metadata.name`, or create it \
             with `kubectl create`"
        );
        assert!(ran.err.contains(&told), "{}", ran.err);
    }
    let jobs = shop.run(&["get", "jobs", "scenario.yaml", "--at", "4m"]);
    assert!(jobs.out.contains("batch-bbbbc ") && !jobs.out.contains("batch- "), "{}", jobs.out);
    let ran = shop.run(&["run", "scenario.yaml", "--set", "duration=10m"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
}

#[test]
fn of_a_file_with_a_template_the_other_documents_are_taken() {
    let secret =
        "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: token\ndata:\n  a: {{TOKEN}}\n";
    let web = served("Deployment", "web", POD);
    let (shop, ran) = init_folder(&[("app.yaml", &(web + secret))]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let line = "left out, because a run refuses it: Secret/default/token: line ";
    assert!(ran.err.contains(line) && ran.err.contains("; "), "{}", ran.err);
    let text = shop.read("scenario.yaml");
    assert!(text.contains("leaveOut:\n  - Secret/default/token     # line 22: "), "{text}");
    let ran = shop.run(&["run", "scenario.yaml", "--set", "duration=10m"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    // Without a name it cannot be left out: the file is skipped, with the line.
    let web = served("Deployment", "web", POD);
    let broken = secret.replace("  name: token\n", "  name: {{NAME}}\n");
    let (_, ran) = init_folder(&[("app.yaml", &web), ("broken.yaml", &broken)]);
    assert!(ran.err.contains("skipped: k8s/broken.yaml: line 5: "), "{}", ran.err);
}

#[test]
fn where_nothing_runs_pods_the_kinds_that_were_found_are_named() {
    let objects = "apiVersion: batch.volcano.sh/v1alpha1\nkind: Job\nmetadata: {name: a}\n---\napiVersion: \
                   helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: a}\n---\napiVersion: \
                   kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\n---\napiVersion: v1\nkind: \
                   Namespace\nmetadata: {name: a}\n";
    let shop = Shop::with("", objects);
    let ran = shop.run(&["init", "web.yaml", "--force"]);
    assert_ne!(ran.code, 0);
    for line in [
        "  found: 1 batch.volcano.sh Job, not simulated: custom resources",
        "  found: 1 helm.toolkit.fluxcd.io HelmRelease, not simulated: Flux installs its chart; use the output of `helm template`",
        "  found: 1 kustomize.toolkit.fluxcd.io Kustomization, not simulated: Flux applies the folder in its `spec.path`",
        "  found: 1 Namespace\n",
    ] {
        assert!(ran.err.contains(line), "{}", ran.err);
    }
    let validated = shop.run(&["validate", "web.yaml"]);
    let told = "not simulated: 1 object of kind Job of batch.volcano.sh: custom resources";
    assert!(validated.out.contains(told), "{}", validated.out);
}

#[test]
fn a_file_whose_only_object_is_left_out_is_passed_over_without_a_word() {
    let budget =
        "apiVersion: policy/v1beta1\nkind: PodDisruptionBudget\nmetadata: {name: web}\nspec: {}\n";
    let web = served("Deployment", "web", POD);
    let (shop, ran) = init_folder(&[("app.yaml", &web), ("budget.yaml", budget)]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let validated = shop.run(&["validate", "scenario.yaml"]);
    assert!(!validated.out.contains("contains no Kubernetes object"), "{}", validated.out);
}

#[test]
fn a_route_without_a_service_gets_no_traffic_and_is_not_called_left_out() {
    let ingress = "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\nspec: {rules: [{host: a.example, \
                   http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: gone, port: {number: 80}}}}]}}]}\n";
    let (_, ran, _) = init(&(served("Deployment", "web", POD) + ingress));
    let told = "warning: no traffic is written for this route: Ingress default/web: spec.rules[0]";
    assert!(ran.err.contains(told), "{}", ran.err);
}

#[test]
fn kustomizations_that_share_a_component_are_no_variants_of_each_other() {
    let component =
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [ns.yaml]\n";
    let app = |name: &str| {
        let kustomization =
            "resources: [app.yaml]\ncomponents: [../../components/alerts]\n".to_owned();
        (kustomization, served("Deployment", name, POD))
    };
    let ((one, one_app), (two, two_app)) = (app("one"), app("two"));
    let (shop, ran) = init_folder(&[
        ("components/alerts/kustomization.yaml", component),
        (
            "components/alerts/ns.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: alerts}\n",
        ),
        ("apps/one/kustomization.yaml", &one),
        ("apps/one/app.yaml", &one_app),
        ("apps/two/kustomization.yaml", &two),
        ("apps/two/app.yaml", &two_app),
    ]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let text = shop.read("scenario.yaml");
    assert!(text.contains("default/one") && text.contains("default/two"), "{text}");
}

#[test]
fn an_autoscaler_of_an_object_that_is_replaced_is_told_so() {
    let set = "---\napiVersion: jobset.x-k8s.io/v1alpha2\nkind: JobSet\nmetadata: {name: train}\nspec: {replicatedJobs: [{name: a, \
               template: {spec: {template: {spec: {containers: [{name: a, image: a}]}}}}}]}\n";
    let hpa = |name: &str| {
        format!(
            "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: {name}}}\nspec:\n  maxReplicas: 3\n  \
             scaleTargetRef: {{apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, name: {name}}}\n"
        )
    };
    let shop = Shop::with("", &(set.to_owned() + &hpa("train") + &hpa("gone")));
    let validated = shop.run(&["validate", "web.yaml"]);
    let replaced = "JobSet default/train is simulated as the objects that its controller creates: this HPA does not scale them";
    assert!(validated.out.contains(replaced), "{}", validated.out);
    assert!(
        validated.out.contains("JobSet default/gone is not in the manifests"),
        "{}",
        validated.out
    );
    assert!(!validated.out.contains("JobSet default/train is not in"), "{}", validated.out);
}

#[test]
fn a_folder_is_no_file_to_write() {
    let shop = Shop::with("", &served("Deployment", "web", POD));
    shop.write("ro/a.txt", "");
    for arguments in
        [&["init", "web.yaml", "-o", "ro"][..], &["init", "web.yaml", "-o", "ro", "--force"]]
    {
        let ran = shop.run(arguments);
        assert_ne!(ran.code, 0);
        let told = "ro is a folder, but a scenario is a file: write `-o ro/scenario.yaml`";
        assert!(ran.err.contains(told) && !ran.err.contains("--force"), "{}", ran.err);
    }
}
