//! Timeline entries with `as`: requests that RBAC does not allow are refused.

use crate::shop::{MANIFESTS, SCENARIO, Shop};

/// The shop with a deployer, who may change Deployments and nothing else, and this timeline.
fn shop(timeline: &str) -> Shop {
    let rights = "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: deploy, namespace: shop}\nrules:\n\
                  - {apiGroups: [apps], resources: [deployments], verbs: [get, patch]}\n---\n\
                  apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: deploy, namespace: shop}\n\
                  roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: deploy}\n\
                  subjects: [{kind: ServiceAccount, name: deployer, namespace: shop}]\n";
    let manifests = format!("{MANIFESTS}{rights}");
    let (before, _) = SCENARIO.split_once("timeline:").unwrap_or((SCENARIO, ""));
    Shop::with(&format!("{before}\ntimeline:\n{timeline}"), &manifests)
}

/// All that a run tells of, with the quotation marks of messages as they are.
fn told(shop: &Shop) -> String {
    let ran = shop.run(&["run", "scenario.yaml", "-o", "json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out.replace("\\\"", "\"")
}

const DEPLOYER: &str = "as: \"system:serviceaccount:shop:deployer\"";

#[test]
fn what_an_actor_may_not_do_is_refused_in_the_words_of_the_api_server() {
    let shop = shop(&format!(
        "- {{at: 1m, {DEPLOYER}, restartRollout: Deployment/shop/web}}\n\
         - {{at: 2m, {DEPLOYER}, scale: {{workload: Deployment/shop/web, replicas: 1}}}}\n\
         - {{at: 3m, {DEPLOYER}, delete: Service/shop/web}}\n"
    ));
    let events = told(&shop);
    let who = "User \"system:serviceaccount:shop:deployer\" cannot";
    for told in [
        format!(
            "deployments.apps \"web\" is forbidden: {who} patch resource \"deployments/scale\" in API group \"apps\" in the namespace \"shop\""
        ),
        format!(
            "services \"web\" is forbidden: {who} delete resource \"services\" in API group \"\" in the namespace \"shop\""
        ),
    ] {
        assert!(events.contains(&told), "{told}\n{events}");
    }
    assert!(!events.contains("cannot patch resource \"deployments\""), "{events}");
    assert!(shop.run(&["get", "svc", "web", "scenario.yaml", "-n", "shop"]).out.contains("web"));
}

#[test]
fn an_actor_without_any_binding_may_not_even_look_and_one_without_a_name_may_do_all() {
    let stranger = shop("- {at: 1m, as: jane, restartRollout: Deployment/shop/web}\n");
    let events = told(&stranger);
    let message = "User \"jane\" cannot get resource \"deployments\" in API group \"apps\"";
    assert!(events.contains(message), "{events}");
    let anyone = shop("- {at: 1m, delete: Service/shop/web}\n");
    let events = told(&anyone);
    assert!(!events.contains("orbidden"), "{events}");
    assert_ne!(anyone.run(&["get", "svc", "web", "scenario.yaml", "-n", "shop"]).code, 0);
}

#[test]
fn of_a_file_what_is_allowed_is_applied_and_a_role_counts_from_when_it_is_applied() {
    let shop = shop(&format!(
        "- {{at: 1m, {DEPLOYER}, apply: more.yaml}}\n- {{at: 2m, apply: role.yaml}}\n\
         - {{at: 3m, {DEPLOYER}, delete: Service/shop/web}}\n"
    ));
    shop.write(
        "more.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: flags, namespace: shop}\n---\n\
         apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: new, namespace: shop}\nspec:\n  \
         selector: {matchLabels: {app: new}}\n  template: {metadata: {labels: {app: new}}, spec: {containers: \
         [{name: a, image: a}]}}\n",
    );
    shop.write(
        "role.yaml",
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: deploy, namespace: shop}\nrules:\n\
         - {apiGroups: [''], resources: [services], verbs: [delete]}\n",
    );
    let events = told(&shop);
    let message = "configmaps \"flags\" is forbidden: User \"system:serviceaccount:shop:deployer\" cannot get resource";
    assert!(events.contains(message), "{events}");
    let message = "deployments.apps is forbidden: User \"system:serviceaccount:shop:deployer\" cannot create resource";
    assert!(events.contains(message), "{events}");
    assert!(!events.contains("services \"web\" is forbidden"), "{events}");
    assert_ne!(shop.run(&["get", "cm", "flags", "scenario.yaml", "-n", "shop"]).code, 0);
    assert_ne!(shop.run(&["get", "svc", "web", "scenario.yaml", "-n", "shop"]).code, 0);
}

#[test]
fn nobody_asks_the_api_server_to_let_a_node_die() {
    let shop = shop("- {at: 1m, as: jane, killNode: general-1}\n");
    let ran = shop.run(&["validate", "scenario.yaml"]);
    assert!(ran.code == 2 && ran.out.contains("killNode is a fault"), "{}", ran.out);
}
