//! `wavetank get`, `describe`, `events`, `rollout` and `top` as a person meets them.

use crate::shop::Shop;
use serde_json::Value;

/// The shop with a rollout after two minutes.
fn shop() -> Shop {
    let shop = Shop::new();
    let change = "timeline:\n  - {at: 2m, setImage: {workload: Deployment/shop/web, image: 'example.com/web:v2'}}\n";
    let scenario = shop.read("scenario.yaml");
    shop.write("scenario.yaml", scenario + change);
    shop
}

fn shown(arguments: &[&str]) -> String {
    let ran = shop().run(arguments);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{arguments:?}");
    ran.out
}

#[test]
fn a_kind_that_is_not_simulated_is_refused_with_the_reason_and_one_that_is_has_its_form() {
    let shop = Shop::new();
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: shop}\n";
    let manifests = shop.read("web.yaml");
    shop.write("web.yaml", format!("{manifests}---\n{account}"));
    let of = |words: &[&str]| {
        let asked = ["scenario.yaml", "--at", "90s", "-n", "shop"];
        shop.run(&[&["get"], words, &asked].concat())
    };
    assert!(of(&["sa"]).out.contains("\nweb "), "{}", of(&["sa"]).out);
    let one = of(&["sa", "web", "-o", "yaml"]).out;
    assert!(one.starts_with("apiVersion: v1\nkind: ServiceAccount\nmetadata:\n"), "{one}");
    let refused = of(&["roles"]);
    assert_eq!((refused.code, refused.out.as_str()), (1, ""));
    let why = "a simulation has no roles.rbac.authorization.k8s.io: permissions are not enforced";
    assert!(refused.err.contains(why), "{}", refused.err);
}

#[test]
fn other_kinds_are_listed_beside_one_that_is_not_simulated() {
    let shop = Shop::new();
    let listed = shop.run(&["get", "deploy,rc", "scenario.yaml", "--at", "90s", "-n", "shop"]);
    assert_eq!(listed.code, 1);
    assert!(listed.out.contains("deployment.apps/web "), "{}", listed.out);
    let why = "error: a simulation has no replicationcontrollers: each is simulated as a ReplicaSet of the same name";
    assert!(listed.err.contains(why), "{}", listed.err);
}

#[test]
fn deployments_and_nodes_are_listed_as_kubectl_lists_them() {
    let deployments = shown(&["get", "deploy", "scenario.yaml", "--at", "90s", "-n", "shop"]);
    assert_eq!(
        deployments,
        "NAME   READY   UP-TO-DATE   AVAILABLE   AGE\nweb    3/3     3            3           90s\n"
    );
    let nodes = shown(&["get", "nodes", "scenario.yaml", "--at", "90s", "-o", "wide"]);
    assert!(nodes.contains("\ngeneral-1   Ready    <none>   90s   v1.36.2   10.0.0."), "{nodes}");
    let arguments = ["get", "svc", "scenario.yaml", "--at", "90s", "-n", "shop", "-o", "wide"];
    let services = shown(&arguments);
    let row = services.lines().nth(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    let row = row.expect("there is one");
    assert!(row[2].starts_with("10.96."), "{services}");
    assert_eq!(row[3..], ["<none>", "80/TCP", "90s", "app=web"], "{services}");
}

#[test]
fn pods_are_listed_at_the_time_that_is_asked_for() {
    let columns = |text: &str| {
        let rows = text.lines().map(|line| {
            let cells: Vec<&str> =
                line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
            cells[2..].join(" ")
        });
        rows.collect::<Vec<_>>()
    };
    let later = shown(&["get", "pods", "scenario.yaml", "--at", "90s"]);
    assert_eq!(columns(&later)[1..], ["1/1 Running 0 90s"; 3], "{later}");
    let none = shop().run(&["get", "hpa", "scenario.yaml"]);
    assert_eq!((none.code, none.err.as_str()), (0, "No resources found\n"), "{}", none.out);
}

#[test]
fn several_kinds_are_listed_one_after_the_other_with_their_names_in_full() {
    let all = shown(&["get", "all", "scenario.yaml", "--at", "90s", "-A"]);
    let titles = all.lines().filter(|line| line.starts_with("NAMESPACE")).count();
    assert_eq!(titles, 4, "pods, Services, Deployments, ReplicaSets: {all}");
    assert!(
        all.contains("\nshop        service/web") && all.contains("deployment.apps/web"),
        "{all}"
    );
    let two = shown(&["get", "deploy,svc", "scenario.yaml", "--at", "90s", "-n", "shop"]);
    assert!(two.starts_with("NAME") && two.contains("\n\nNAME"), "{two}");
    let both = shown(&["get", "deploy,rs", "scenario.yaml", "--at", "90s", "-o", "json"]);
    let list: Value = serde_json::from_str(&both).expect("JSON");
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2));
}

#[test]
fn labels_choose_what_is_listed() {
    let ran = |selector| shown(&["get", "pods", "scenario.yaml", "--at", "90s", "-l", selector]);
    assert_eq!(ran("app=web").lines().count(), 4);
    let none = shop().run(&["get", "pods", "scenario.yaml", "-n", "shop", "-l", "app!=web"]);
    assert_eq!(none.err, "No resources found in shop namespace.\n", "{}", none.out);
    let wrong = shop().run(&["get", "pods", "scenario.yaml", "-l", "app in web"]);
    assert!(wrong.code == 2 && wrong.err.contains("is not a label selector"), "{}", wrong.err);
}

#[test]
fn objects_are_json_and_yaml_for_programs() {
    let json = shown(&["get", "rs", "scenario.yaml", "-o", "json"]);
    let list: Value = serde_json::from_str(&json).expect("JSON");
    let replicas: Vec<&Value> = list["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|set| &set["spec"]["replicas"])
        .collect();
    assert_eq!(replicas.iter().filter(|count| ***count == 3).count(), 1);
    assert_eq!(replicas.len(), 2);
    let yaml = shown(&["get", "deploy/web", "scenario.yaml", "-o", "yaml"]);
    assert!(yaml.starts_with("apiVersion: apps/v1\nkind: Deployment\n"), "{yaml}");
    assert!(yaml.contains("  creationTimestamp: \"2026-01-05T00:00:00Z\"\n"), "{yaml}");
}

#[test]
fn fields_are_printed_by_their_paths_and_choose_and_sort_what_is_listed() {
    let of = |words: &[&str]| {
        shown(&[&["get"], words, &["scenario.yaml", "--at", "90s", "-n", "shop"]].concat())
    };
    let template = "{range .items[?(@.status.phase=='Running')]}{.spec.containers[0].name},{end}";
    assert_eq!(of(&["pods", "-o", &format!("jsonpath={template}")]), "web,web,web,");
    assert_eq!(of(&["deploy/web", "-o", "jsonpath={.status.readyReplicas}"]), "3");
    let columns = "custom-columns=NAME:.metadata.name,READY:.status.readyReplicas";
    assert_eq!(of(&["deploy", "-o", columns]), "NAME   READY\nweb    3\n");
    let scaled = ["ev", "--field-selector", "involvedObject.kind=Deployment", "--sort-by=.reason"];
    assert_eq!(of(&scaled).lines().count(), 2, "{}", of(&scaled));
    let addresses = of(&["pods", "--sort-by=.status.podIP", "-o", "jsonpath={..podIP}"]);
    let slice = of(&["endpointslices", "-o", "jsonpath={.items[0].endpoints[*].addresses[0]}"]);
    assert_eq!(addresses, slice);
}

#[test]
fn a_rollout_has_a_status_and_a_history() {
    let status =
        |at: &str| shown(&["rollout", "status", "deploy/shop/web", "scenario.yaml", "--at", at]);
    assert_eq!(status("90s"), "deployment \"web\" successfully rolled out\n");
    let under_way = status("121s");
    assert!(
        under_way.starts_with("Waiting for deployment \"web\" rollout to finish: "),
        "{under_way}"
    );
    let history = shown(&["rollout", "history", "deploy/shop/web", "scenario.yaml"]);
    assert!(
        history.ends_with("\nREVISION  CHANGE-CAUSE\n1         <none>\n2         <none>\n\n"),
        "{history}"
    );
}

#[test]
fn a_rollout_past_its_deadline_fails_as_with_kubectl() {
    let shop = shop();
    let manifest = shop.read("web.yaml");
    let late = manifest.replacen("spec:\n", "spec:\n  progressDeadlineSeconds: 30\n", 1);
    assert_ne!(late, manifest);
    shop.write("web.yaml", late);
    let scenario = shop.read("scenario.yaml");
    let never = "    images: {'example.com/web:v2': {app: {neverReady: true}}}\n";
    let workload = scenario.find("traffic:").expect("traffic follows the workload");
    shop.write(
        "scenario.yaml",
        format!("{}{never}{}", &scenario[..workload], &scenario[workload..]),
    );
    let status =
        |at| shop.run(&["rollout", "status", "deploy/shop/web", "scenario.yaml", "--at", at]);
    let under_way = status("130s");
    assert_eq!((under_way.code, under_way.err.as_str()), (0, ""), "{}", under_way.out);
    let late = status("170s");
    let error = "error: deployment \"web\" exceeded its progress deadline\n";
    assert_eq!((late.code, late.out.as_str(), late.err.as_str()), (1, "", error));
}

#[test]
fn the_beginning_of_a_name_describes_all_objects_that_have_it() {
    let page = shown(&["describe", "pod", "web", "scenario.yaml", "-n", "shop"]);
    assert_eq!(page.matches("\nNode: ").count(), page.matches("Name:             web-").count());
    assert!(page.matches("Name:             web-").count() >= 2, "{page}");
    assert!(page.contains("Events:"), "{page}");
    let none = shop().run(&["describe", "pod", "none", "scenario.yaml", "-n", "shop"]);
    assert_eq!(none.code, 1);
    assert!(none.err.contains("pods \"none\" not found"), "{}", none.err);
    let none = shop().run(&["explain", "pod/shop/web", "scenario.yaml", "--at", "2m"]);
    assert_eq!(none.code, 2);
    assert!(none.err.contains("there is shop/web-"), "{}", none.err);
}

#[test]
fn an_object_is_described_with_its_events() {
    let page = shown(&["describe", "deploy/shop/web", "scenario.yaml"]);
    for line in ["3 desired | 3 updated | 3 total", "example.com/web:v2", "ScalingReplicaSet"] {
        assert!(page.contains(line), "{line} is missing in\n{page}");
    }
    let node = shown(&["describe", "node/general-1", "scenario.yaml"]);
    assert!(node.contains(" 250m (12%) ") && node.contains(" 128Mi ("), "{node}");
    let ran = shop().run(&["describe", "pod/shop/none", "scenario.yaml"]);
    let missing = "Error from server (NotFound): pods \"none\" not found\n";
    assert_eq!((ran.code, ran.err.as_str()), (1, missing), "{}", ran.out);
}

#[test]
fn events_and_use_are_listed() {
    let events = shown(&["events", "scenario.yaml", "-n", "shop"]);
    assert!(events.contains("ScalingReplicaSet") && events.contains("Deployment/web"), "{events}");
    let top = shown(&["top", "nodes", "scenario.yaml"]);
    assert_eq!(top.lines().count(), 3, "{top}");
    let pods = shown(&["top", "pods", "scenario.yaml", "--at", "110s", "-n", "shop"]);
    assert_eq!(pods.lines().count(), 4, "{pods}");
}

#[test]
fn a_kind_that_is_not_known_is_told_as_kubectl_tells_it() {
    for command in ["get", "describe"] {
        let ran = shop().run(&[command, "nosuchthing", "scenario.yaml"]);
        let error = "error: the server doesn't have a resource type \"nosuchthing\"\n";
        assert_eq!((ran.code, ran.err.as_str()), (1, error), "{}", ran.out);
    }
}

#[test]
fn the_scenario_stands_before_or_after_the_object_or_is_the_one_of_the_folder() {
    let described = shown(&["describe", "deploy/shop/web", "scenario.yaml", "--at", "90s"]);
    assert_eq!(shown(&["describe", "scenario.yaml", "deploy/shop/web", "--at", "90s"]), described);
    assert_eq!(shown(&["describe", "deploy/shop/web", "--at", "90s"]), described);
    let nodes = shown(&["get", "nodes", "scenario.yaml", "--at", "90s"]);
    assert_eq!(shown(&["get", "nodes", "--at", "90s"]), nodes);
    assert_eq!(shown(&["describe", "deploy", "web", "-n", "shop", "--at", "90s"]), described);
    let failed = |arguments: &[&str], code| {
        let ran = shop().run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{arguments:?}");
        ran.err
    };
    let error = failed(&["describe", "scenario.yaml"], 1);
    assert!(error.contains("You must specify the type of resource"), "{error}");
    let error = failed(&["explain", "hpa/web", "missing.yaml"], 2);
    assert!(error.contains("missing.yaml"), "{error}");
}
