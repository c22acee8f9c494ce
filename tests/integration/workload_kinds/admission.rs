//! LimitRanges, ResourceQuotas and ServiceAccounts admit or reject the pods of workloads.

use super::{NODES, images, listed, set};
use crate::texts::{ran, resolved};
use wavetank::cluster::Kind;
use wavetank::sim::Simulation;

fn refusals(simulation: &Simulation) -> Vec<String> {
    let log = &simulation.recorder().log;
    let refused = log.iter().filter(|line| ["FailedCreate", "Refused"].contains(&line.reason));
    refused.map(|line| line.message.clone()).collect()
}

#[test]
fn a_limit_range_fills_in_requests_and_refuses_what_is_out_of_its_bounds() {
    let range = "apiVersion: v1\nkind: LimitRange\nmetadata: {name: bounds}\nspec: {limits: [{type: Container, \
                 max: {cpu: 1}, default: {cpu: 500m, memory: 256Mi}, defaultRequest: {memory: 64Mi}}]}\n";
    let large = set("Deployment", "large", "replicas: 1, ").replace("cpu: 200m", "cpu: 2");
    let manifests = [range.to_owned(), set("Deployment", "web", "replicas: 1, "), large];
    let scenario = format!("duration: 5m\n{NODES}workloads: [{{workload: Deployment/web}}]\n");
    let (_, simulation) = ran(&resolved(&scenario, &manifests.join("---\n"), &[]));
    let view = simulation.view();
    let pods: Vec<_> = view.store().pods().values().collect();
    assert_eq!(pods.len(), 1);
    let container = &view.template_of(pods[0]).spec.containers[0];
    let limit = |resource| container.limits.get(resource).map(|amount| amount.to_string());
    assert_eq!((limit("cpu"), limit("memory")), (Some("500m".into()), Some("256Mi".into())));
    let request = container.requests.get("cpu").map(|amount| amount.to_string());
    assert_eq!(request, Some("200m".into()), "what it says itself stays");
    let told = refusals(&simulation);
    let why = "is forbidden: maximum cpu usage per Container is 1, but request is 2";
    assert!(told.iter().any(|message| message.contains(why)), "{told:?}");
}

#[test]
fn a_quota_with_a_scope_counts_the_pods_in_it_alone() {
    let quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: few}\nspec: {hard: {pods: 1}, \
                 scopes: [BestEffort]}\n";
    let plain = set("Deployment", "plain", "replicas: 3, ")
        .replace(", resources: {requests: {cpu: 200m, memory: 128Mi}}", "");
    let manifests = [quota.to_owned(), plain, set("Deployment", "sized", "replicas: 3, ")];
    let (_, simulation) =
        ran(&resolved(&format!("duration: 5m\n{NODES}"), &manifests.join("---\n"), &[]));
    let count = |app| images(simulation.view(), app).len();
    assert_eq!((count("plain"), count("sized")), (1, 3));
}

#[test]
fn a_quota_counts_objects_and_says_so() {
    let quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: few}\nspec: {hard: {count/deployments.apps: \
                 \"1\", services: \"1\"}}\n";
    let manifests =
        [quota.to_owned(), set("Deployment", "a", "replicas: 1, "), set("Deployment", "b", "")];
    let scenario = format!("duration: 5m\n{NODES}workloads: [{{workload: Deployment/a}}]\n");
    let (_, simulation) = ran(&resolved(&scenario, &manifests.join("---\n"), &[]));
    let told = refusals(&simulation);
    let why = "deployments.apps \"b\" is forbidden: exceeded quota: few, requested: \
               count/deployments.apps=1, used: count/deployments.apps=1, limited: count/deployments.apps=1";
    assert_eq!(told, [format!("the API server rejects it: {why}")]);
    let table = listed(&simulation, Kind::ResourceQuota);
    assert!(table.contains("count/deployments.apps: 1/1, services: 0/1"), "{table}");
}

#[test]
fn a_pod_whose_service_account_is_missing_is_not_created() {
    let with = |account: &str| {
        let web = set("Deployment", "web", "replicas: 1, ")
            .replace("restartPolicy: Always", "restartPolicy: Always, serviceAccountName: robot");
        let scenario = format!("duration: 5m\n{NODES}workloads: [{{workload: Deployment/web}}]\n");
        let (_, simulation) = ran(&resolved(&scenario, &format!("{web}{account}"), &[]));
        (simulation.view().store().pods().values().count(), refusals(&simulation).pop())
    };
    let (pods, told) = with("");
    assert_eq!(pods, 0);
    let why = "error looking up service account default/robot: serviceaccount \"robot\" not found";
    assert!(told.is_some_and(|told| told.contains(why)));
    let account = "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: robot}\n";
    assert_eq!(with(account), (1, None));
}
