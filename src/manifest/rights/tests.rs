//! `auth can-i` against tables of users and their permissions.

use super::*;
use crate::diagnostic::Diagnostics;
use crate::object::read_manifests;
use crate::yaml::Source;

/// Roles and bindings of all forms.
const MANIFESTS: &str = include_str!("cases.yaml");
/// The lines of the table: `user | verb | resource | namespace | name of the binding that allows it, or no`.
const TABLE: &str = include_str!("cases.txt");

fn rights(text: &str) -> Rights {
    let mut problems = Diagnostics::default();
    let manifests = read_manifests(&[Source::new("rights.yaml", text)], &mut problems);
    assert!(!problems.has_errors(), "{problems}");
    Rights::of(&manifests).expect("roles and bindings")
}

fn user(text: &str) -> User {
    let (name, groups) = text.split_once('+').unwrap_or((text, ""));
    let name = match name.split_once('/') {
        Some((namespace, account)) => format!("system:serviceaccount:{namespace}:{account}"),
        None => name.to_owned(),
    };
    let groups: Vec<String> =
        groups.split('+').filter(|group| !group.is_empty()).map(str::to_owned).collect();
    User::named(&name, &groups)
}

/// `pods`, `pods/log`, `deployments.apps`, `pods:NAME`, or a path.
fn target(text: &str, namespace: &str) -> Target {
    if text.starts_with('/') {
        return Target::Url(text.to_owned());
    }
    let (text, name) = text.split_once(':').unwrap_or((text, ""));
    let (text, group) = text.split_once('.').unwrap_or((text, ""));
    let (resource, subresource) = text.split_once('/').unwrap_or((text, ""));
    let [group, resource, subresource, name, namespace] =
        [group, resource, subresource, name, namespace].map(str::to_owned);
    Target::Resource { group, resource, subresource, name, namespace }
}

#[test]
fn who_may_do_what_is_as_the_authorizer_answers() {
    let rights = rights(MANIFESTS);
    let mut count = 0;
    for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let cells: Vec<&str> = line.split(" | ").map(str::trim).collect();
        let [who, verb, what, namespace, allowed] = cells[..] else { panic!("{line}") };
        let namespace = if namespace == "-" { "" } else { namespace };
        let request = Request { verb: verb.to_owned(), target: target(what, namespace) };
        let answer = rights.answer(&user(who), &request);
        assert_eq!(answer.is_allowed, allowed != "no", "{line}: {answer:?}");
        if allowed != "no" {
            assert!(answer.reason.contains(&format!("Binding \"{allowed}")), "{line}: {answer:?}");
        }
        count += 1;
    }
    assert!(count >= 60, "{count} rows");
}

#[test]
fn the_reason_is_told_in_the_words_of_the_api_server() {
    let rights = rights(MANIFESTS);
    let request = Request { verb: "get".to_owned(), target: target("pods", "shop") };
    assert_eq!(
        rights.answer(&user("shop/reader"), &request).reason,
        "RBAC: allowed by RoleBinding \"read/shop\" of Role \"reader\" to ServiceAccount \"reader/shop\""
    );
    assert_eq!(request.target.to_string(), "pods in namespace \"shop\"");
    let answer = rights.answer(&user("shop/lost"), &request);
    assert_eq!(
        answer.dangling,
        ["RoleBinding \"lost/shop\" of Role \"nowhere\" to ServiceAccount \"lost/shop\""]
    );
}
