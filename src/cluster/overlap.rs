//! Pods matched by the selector of a scaled workload that does not own them. The HorizontalPodAutoscaler lists pods
//! by labels alone (`GetResourceReplicas` of `pkg/controller/podautoscaler/replica_calculator.go`, 1.36), so it
//! counts them too.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::change::{Change, PodChanges};
use super::hpa_object::HpaId;
use super::meta::{Labels, Name, NamespacedName};
use super::objects::ObjectId;
use super::pod::PodId;
use super::pod_template::TemplateId;
use super::scale::ScaleTarget;
use super::selector::Selector;
use super::store::Store;

/// Index of the pods counted by HPAs whose targets do not own them.
#[derive(Clone, Debug, Default)]
pub(super) struct Overlaps {
    /// Scale targets of HPAs, by namespace.
    targets: BTreeMap<Name, Targets>,
    /// All scale targets of HPAs.
    known_targets: BTreeSet<ScaleTarget>,
    /// Templates by label. Lookups only, never iterated.
    templates_by_label: FxHashMap<Label, Vec<TemplateId>>,
    /// Number of templates indexed by label so far.
    templates_known: usize,
    /// Targets in a namespace whose selectors match a template's labels. Lookups only, never iterated.
    by_template: FxHashMap<(Name, TemplateId), Vec<ScaleTarget>>,
    /// Pods matched by a target's selector that it does not own.
    unowned: BTreeMap<ScaleTarget, BTreeSet<PodId>>,
    /// The same, by pod.
    counted_by: BTreeMap<PodId, Vec<ScaleTarget>>,
}

/// A key and its value.
type Label = (Name, Name);

/// Scale targets of HPAs in one namespace, keyed by a label required by the selector, if any, so that only few
/// selectors are evaluated for a pod's labels.
#[derive(Clone, Debug, Default)]
struct Targets(BTreeMap<Option<Label>, BTreeSet<ScaleTarget>>);

impl Targets {
    /// Targets whose selectors may match these labels.
    fn that_may_match(&self, labels: &Labels) -> impl Iterator<Item = ScaleTarget> {
        let labels = labels.iter().map(|(key, value)| Some((key.clone(), value.clone())));
        let found = labels.chain([None]).filter_map(|label| self.0.get(&label));
        found.flatten().copied()
    }
}

impl Store {
    /// Pods in a target's namespace matched by its selector but not owned by it.
    pub fn unowned_pods_of(&self, target: ScaleTarget) -> impl Iterator<Item = PodId> {
        self.overlaps.unowned.get(&target).into_iter().flatten().copied()
    }

    /// Targets of HPAs that count a pod without owning it.
    pub fn counted_by_other_targets(&self, pod: PodId) -> impl Iterator<Item = ScaleTarget> {
        self.overlaps.counted_by.get(&pod).into_iter().flatten().copied()
    }

    /// True if no pod is counted by an HPA whose target does not own it.
    pub fn has_no_overlaps(&self) -> bool {
        self.overlaps.counted_by.is_empty()
    }

    /// Updates the index after a change.
    pub(super) fn note_overlaps(&mut self, change: &Change) {
        match change {
            Change::Spec(ObjectId::HorizontalPodAutoscaler(id), _) => self.note_target_of(*id),
            Change::Spec(object, _) => {
                if let Some(target) = ScaleTarget::of(*object) {
                    self.note_target(target);
                }
            }
            Change::Removed { object, .. } => {
                if let Some(target) = ScaleTarget::of(*object) {
                    self.forget_target(target);
                }
            }
            Change::PodAdded(pod) => self.note_unowned(*pod),
            Change::PodUpdated(pod, what) if what.has(PodChanges::LABELS) => {
                self.forget_unowned(*pod);
                self.note_unowned(*pod);
            }
            Change::PodRemoved { pod, .. } => self.forget_unowned(*pod),
            _ => {}
        }
    }

    fn note_target_of(&mut self, id: HpaId) {
        let Some(hpa) = self.hpas().get(id) else { return };
        let scaled = &hpa.spec.scale_target;
        let named = NamespacedName::new(hpa.meta.namespace().clone(), scaled.name.clone());
        if let Some(target) = self.scale_target(&scaled.kind, &named) {
            self.compare_all_with(target, &named.namespace);
        }
    }

    /// Handles a workload that may be new and may already be referenced by an HPA.
    fn note_target(&mut self, target: ScaleTarget) {
        // No HPA can name a Deployment's ReplicaSet in advance.
        let is_set_of_deployment =
            |id| self.replica_sets().get(id).is_some_and(|set| set.owner.is_some());
        if self.hpas().is_empty()
            || matches!(target, ScaleTarget::ReplicaSet(id) if is_set_of_deployment(id))
        {
            return;
        }
        let Some((kind, id)) = self.kind_and_name_of(target) else { return };
        if !self.overlaps.known_targets.contains(&target)
            && self.hpas_of(&id.namespace, &kind.name().into(), &id.name).next().is_some()
        {
            self.compare_all_with(target, &id.namespace.clone());
        }
    }

    fn compare_all_with(&mut self, target: ScaleTarget, namespace: &Name) {
        let Some(selector) = self.selector_scaled_by(target).cloned() else { return };
        if !self.overlaps.known_targets.insert(target) {
            return;
        }
        let label = selector.demanded_label();
        let targets = self.overlaps.targets.entry(namespace.clone()).or_default();
        targets.0.entry(label.clone()).or_default().insert(target);
        let templates = self.templates_that_match(&selector, label);
        for template in &templates {
            self.overlaps.by_template.remove(&(namespace.clone(), *template));
        }
        if templates.is_empty() && self.index.pods_with_own_labels.is_empty() {
            return;
        }
        let pods = self.pods.iter().filter(|(_, pod)| {
            (pod.overrides.is_some() || templates.contains(&pod.template))
                && pod.id.namespace == *namespace
        });
        let pods: Vec<PodId> = pods.map(|(pod, _)| pod).collect();
        for pod in pods {
            self.forget_unowned(pod);
            self.note_unowned(pod);
        }
    }

    fn templates_that_match(
        &mut self,
        selector: &Selector,
        label: Option<Label>,
    ) -> BTreeSet<TemplateId> {
        let Self { overlaps, templates, .. } = self;
        let matches = |template: &TemplateId| selector.matches(&templates[*template].labels);
        let Some(label) = label else {
            return templates.iter().map(|(id, _)| id).filter(matches).collect();
        };
        // Templates are never removed, so only those at the end are new.
        for (id, template) in templates.iter().skip(overlaps.templates_known) {
            for (key, value) in template.labels.iter() {
                let label = (key.clone(), value.clone());
                overlaps.templates_by_label.entry(label).or_default().push(id);
            }
        }
        overlaps.templates_known = templates.len();
        let labelled = overlaps.templates_by_label.get(&label).into_iter().flatten();
        labelled.copied().filter(matches).collect()
    }

    fn forget_target(&mut self, target: ScaleTarget) {
        let overlaps = &mut self.overlaps;
        if !overlaps.known_targets.remove(&target) {
            return;
        }
        for targets in overlaps.targets.values_mut().flat_map(|targets| targets.0.values_mut()) {
            targets.remove(&target);
        }
        overlaps.by_template.clear();
        for pod in overlaps.unowned.remove(&target).into_iter().flatten() {
            if let Some(targets) = overlaps.counted_by.get_mut(&pod) {
                targets.retain(|other| *other != target);
                if targets.is_empty() {
                    overlaps.counted_by.remove(&pod);
                }
            }
        }
    }

    fn note_unowned(&mut self, id: PodId) {
        let Some(pod) = self.pods.get(id) else { return };
        let namespace = &pod.id.namespace;
        if !self.overlaps.targets.contains_key(namespace) {
            return;
        }
        let of_own_labels;
        let matching = if pod.overrides.is_some() {
            of_own_labels = self.targets_matching(namespace, self.labels_of(pod));
            &of_own_labels
        } else {
            let key = (namespace.clone(), pod.template);
            if !self.overlaps.by_template.contains_key(&key) {
                let matching = self.targets_matching(namespace, self.labels_of(pod));
                self.overlaps.by_template.insert(key.clone(), matching);
            }
            &self.overlaps.by_template[&key]
        };
        let is_own = |target: ScaleTarget| {
            pod.owner.is_some_and(|owner| {
                self.scaled_owner(owner) == Some(target)
                    || self.owners_scaled_by(target).any(|own| own == owner)
            })
        };
        let strange: Vec<ScaleTarget> =
            matching.iter().copied().filter(|target| !is_own(*target)).collect();
        for target in &strange {
            self.overlaps.unowned.entry(*target).or_default().insert(id);
        }
        if !strange.is_empty() {
            self.overlaps.counted_by.insert(id, strange);
        }
    }

    fn forget_unowned(&mut self, pod: PodId) {
        for target in self.overlaps.counted_by.remove(&pod).into_iter().flatten() {
            if let Some(unowned) = self.overlaps.unowned.get_mut(&target) {
                unowned.remove(&pod);
                if unowned.is_empty() {
                    self.overlaps.unowned.remove(&target);
                }
            }
        }
    }

    fn targets_matching(&self, namespace: &Name, labels: &Labels) -> Vec<ScaleTarget> {
        let targets = self.overlaps.targets.get(namespace);
        let targets = targets.into_iter().flat_map(|targets| targets.that_may_match(labels));
        let matches = |target: &ScaleTarget| {
            self.selector_scaled_by(*target).is_some_and(|selector| selector.matches(labels))
        };
        let matching: BTreeSet<ScaleTarget> = targets.filter(matches).collect();
        matching.into_iter().collect()
    }
}
