//! Detects other HPAs that select the pods of an HPA (`hpasControllingPodsUnderSelector` of
//! `pkg/controller/podautoscaler/horizontal.go`, 1.36).

use std::collections::BTreeSet;

use super::controller::Pods;
use cluster::hpa_object::{HpaId, HpaObject};
use cluster::scale::ScaleTarget;
use cluster::{ClusterView, Name};

/// An HPA, and the other HPAs whose selections are known.
#[derive(Clone, Copy, Debug)]
pub struct SelectorConflicts<'a> {
    pub id: HpaId,
    /// By the HPA's slot: those that have listed their pods.
    pub selecting: &'a [Option<HpaId>],
}

impl SelectorConflicts<'_> {
    /// True if its pods belong to its target alone, and no other HPA scales that target.
    pub(crate) fn are_none(self, view: ClusterView<'_>, hpa: &HpaObject, pods: &Pods<'_>) -> bool {
        let (store, target) = (view.store(), &hpa.spec.scale_target);
        let mut all = view.hpas_of(hpa.meta.namespace(), &target.kind, &target.name);
        let is_shared = |pod| store.counted_by_other_targets(pod).next().is_some();
        all.all(|other| other == self.id)
            && (store.has_no_overlaps() || !pods.ids.iter().any(|pod| is_shared(*pod)))
    }

    /// The controller's message if other HPAs select the same pods, named in no particular order.
    pub(crate) fn ambiguity(
        self,
        view: ClusterView<'_>,
        scaled: ScaleTarget,
        pods: &Pods<'_>,
    ) -> Option<Name> {
        let store = view.store();
        let mut targets = BTreeSet::new();
        for pod in &pods.ids {
            let owner = view.pods().get(*pod).and_then(|pod| pod.owner);
            targets.extend(owner.and_then(|owner| store.scaled_owner(owner)));
            targets.extend(store.counted_by_other_targets(*pod));
        }
        let mut hpas: Vec<HpaId> = Vec::new();
        for (kind, target) in targets.into_iter().filter_map(|one| store.kind_and_name_of(one)) {
            hpas.extend(view.hpas_of(&target.namespace, &kind.name().into(), &target.name));
        }
        let is_known = |id: &HpaId| {
            *id == self.id || self.selecting.get(id.index()).copied().flatten() == Some(*id)
        };
        let mut keys: Vec<String> = hpas
            .into_iter()
            .filter(is_known)
            .map(|id| &view.hpas()[id].meta.id)
            .map(|id| format!("{{{} {}}}", id.name, id.namespace))
            .collect();
        if keys.len() < 2 {
            return None;
        }
        keys.sort_unstable();
        let selector = store.selector_scaled_by(scaled).map(ToString::to_string);
        let (selector, keys) = (selector.unwrap_or_default(), keys.join(" "));
        let text = format!("pods by selector {selector} are controlled by multiple HPAs: [{keys}]");
        Some(text.into())
    }
}
