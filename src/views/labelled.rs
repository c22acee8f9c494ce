//! `kubectl get -l`: the objects of a kind that a label selector matches.

use std::collections::BTreeSet;

use super::get::Kind;
use cluster::selector::Selector;
use cluster::{ClusterView, NamespacedName, ObjectMeta};

/// The names of the objects of a kind whose labels a selector matches; `None` for kinds of which labels are
/// not kept, as they play no part in a run.
pub fn labelled(
    view: ClusterView<'_>,
    kind: Kind,
    selector: &Selector,
) -> Option<BTreeSet<NamespacedName>> {
    fn matching<'a>(
        metas: impl Iterator<Item = &'a ObjectMeta>,
        selector: &Selector,
    ) -> BTreeSet<NamespacedName> {
        let chosen = metas.filter(|meta| selector.matches(&meta.labels));
        chosen.map(|meta| meta.id.clone()).collect()
    }
    let store = view.store();
    Some(match kind {
        Kind::Pods => {
            let pods = store.pods().values();
            let chosen = pods.filter(|pod| selector.matches(view.labels_of(pod)));
            chosen.map(|pod| pod.id.clone()).collect()
        }
        Kind::Nodes => matching(store.nodes().values().map(|one| &one.meta), selector),
        Kind::Deployments => matching(store.deployments().values().map(|one| &one.meta), selector),
        Kind::ReplicaSets => matching(store.replica_sets().values().map(|one| &one.meta), selector),
        Kind::StatefulSets => {
            matching(store.stateful_sets().values().map(|one| &one.meta), selector)
        }
        Kind::DaemonSets => matching(store.daemon_sets().values().map(|one| &one.meta), selector),
        Kind::Jobs => matching(store.jobs().values().map(|one| &one.meta), selector),
        Kind::CronJobs => matching(store.cron_jobs().values().map(|one| &one.meta), selector),
        Kind::Services => matching(store.services().values().map(|one| &one.meta), selector),
        Kind::Hpas => matching(store.hpas().values().map(|one| &one.meta), selector),
        Kind::DisruptionBudgets => {
            matching(store.disruption_budgets().values().map(|one| &one.meta), selector)
        }
        Kind::Quotas => matching(store.quotas().values().map(|one| &one.meta), selector),
        Kind::ConfigMaps | Kind::Secrets | Kind::Claims | Kind::Namespaces => return None,
    })
}
