//! Pods that exclude each other from a node, or from another domain of nodes.

use super::sizing::Member;

/// Maximum number of workloads from which a set is grown: a JobSet may have thousands of Jobs, all alike.
const STARTS_MAX: usize = 50;

/// Number of domains with the label `key` that pods need that exclude each other, as far as that is found by adding one
/// workload after another; at least 1.
pub(super) fn domains(members: &[Member<'_>], key: &str) -> i64 {
    let is_apart = |one: &Member<'_>, other: &Member<'_>| {
        let (a, b) = (&one.workload.id.namespace, &other.workload.id.namespace);
        one.shape.excludes(a, key, (b, other.shape)) || other.shape.excludes(b, key, (a, one.shape))
    };
    // Pods that do not exclude their like can share a domain.
    let weight = |one: &Member<'_>| if is_apart(one, one) { one.most } else { 1 };
    let has_terms =
        |one: &&Member<'_>| one.shape.anti_affinity.iter().any(|term| *term.topology_key == *key);
    let starts = members.iter().filter(has_terms).take(STARTS_MAX);
    let grown = starts.map(|first| {
        let mut set = vec![first];
        for one in members {
            if !std::ptr::eq(one, first) && set.iter().all(|other| is_apart(one, other)) {
                set.push(one);
            }
        }
        set.into_iter().map(weight).sum::<i64>()
    });
    grown.max().unwrap_or(1).max(1)
}

/// True if this workload's pods exclude each other from a domain.
pub(super) fn is_apart_from_itself(member: &Member<'_>, key: &str) -> bool {
    let namespace = &member.workload.id.namespace;
    member.shape.excludes(namespace, key, (namespace, member.shape))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Inventory;
    use manifest::Source;

    fn pod(name: &str, app: &str, excludes: &str) -> String {
        let term = match excludes {
            "" => String::new(),
            excluded => format!(
                ", affinity: {{podAntiAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: [{{topologyKey: \
                 kubernetes.io/hostname, labelSelector: {{matchLabels: {{app: {excluded}}}}}}}]}}}}"
            ),
        };
        format!(
            "---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: {name}}}\nspec: {{replicas: 3, template: \
             {{metadata: {{labels: {{app: {app}}}}}, spec: {{containers: [{{name: a, image: a}}]{term}}}}}}}\n"
        )
    }

    #[test]
    fn workloads_that_exclude_each_other_add_up() {
        let count = |pods: &[String]| {
            let inventory = Inventory::of(&[Source::new("all.yaml", pods.concat())]);
            let members: Vec<Member<'_>> = inventory
                .workloads
                .iter()
                .map(|(workload, shape)| Member { workload, shape, most: shape.replicas })
                .collect();
            domains(&members, "kubernetes.io/hostname")
        };
        let (one, two) = (pod("a", "db", "db"), pod("b", "db", "db"));
        assert_eq!(count(&[one.clone(), two]), 6);
        assert_eq!(count(std::slice::from_ref(&one)), 3);
        assert_eq!(
            count(&[one.clone(), pod("b", "web", "web")]),
            3,
            "they do not exclude each other"
        );
        // One of them excludes the other, whose pods can all share a node.
        assert_eq!(count(&[one.clone(), pod("b", "db", "")]), 4);
        assert_eq!(count(&[one, pod("b", "web", "db")]), 4);
        assert_eq!(count(&[pod("a", "db", "")]), 1);
    }
}
