//! Which pods Services and PodDisruptionBudgets select, without comparing labels for every pod:
//! labels belong to templates, which are few.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::meta::{Labels, Name};
use super::pod::{Pod, PodId};
use super::pod_template::TemplateId;
use super::policy::PodDisruptionBudgetId;
use super::selector::Selector;
use super::service::ServiceId;
use super::store::Store;

/// An object with a pod selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selecting {
    /// A Service.
    Service(ServiceId),
    /// A PodDisruptionBudget.
    PodDisruptionBudget(PodDisruptionBudgetId),
}

/// Matches between templates and selectors, ignoring namespaces.
#[derive(Clone, Debug, Default)]
pub(super) struct Selections {
    /// By the template's slot.
    by_template: Vec<Vec<Selecting>>,
    /// By the template's slot: whether its pods are listed, as they are once anything selects them.
    is_listed: Vec<bool>,
    templates: BTreeMap<Selecting, Vec<TemplateId>>,
    /// The templates that have a label, in the order of their creation. Only ever looked up, never iterated.
    with_label: FxHashMap<Label, Vec<TemplateId>>,
    /// The objects whose selector demands a label, by one such label. Only ever looked up, never iterated.
    demanding: FxHashMap<Label, BTreeSet<Selecting>>,
    /// The objects whose selector demands none.
    undemanding: BTreeSet<Selecting>,
    /// The label under which an object is listed. Only ever looked up, never iterated.
    demands: FxHashMap<Selecting, Option<Label>>,
}

/// Key and value.
type Label = (Name, Name);

impl Selections {
    /// The objects whose selector may match labels, in order.
    fn candidates(&self, labels: &Labels) -> Vec<Selecting> {
        let of_label = |(key, value): (&Name, &Name)| {
            self.demanding.get(&(key.clone(), value.clone())).into_iter().flatten()
        };
        let demanding = labels.iter().flat_map(of_label);
        let mut found: Vec<Selecting> = demanding.chain(&self.undemanding).copied().collect();
        found.sort_unstable();
        found
    }

    /// Lists an object under a label that its selector demands.
    fn list(&mut self, key: Selecting, selector: &Selector) {
        let label = selector.demanded_label();
        match &label {
            Some(label) => self.demanding.entry(label.clone()).or_default().insert(key),
            None => self.undemanding.insert(key),
        };
        self.demands.insert(key, label);
    }

    /// Takes an object out of the lists and of the templates that it selects.
    fn unlist(&mut self, key: Selecting) {
        match self.demands.remove(&key) {
            Some(Some(label)) => {
                if let Some(listed) = self.demanding.get_mut(&label) {
                    listed.remove(&key);
                }
            }
            Some(None) => {
                self.undemanding.remove(&key);
            }
            None => {}
        }
        for template in self.templates.remove(&key).into_iter().flatten() {
            self.by_template[template.index()].retain(|other| *other != key);
        }
    }
}

impl Store {
    /// The Services and budgets that select a pod.
    pub fn selecting(&self, pod: &Pod) -> impl Iterator<Item = Selecting> {
        let by_template = match &pod.overrides {
            None => self.index.selections.by_template.get(pod.template.index()),
            Some(_) => None,
        };
        // Pods with their own labels are matched individually.
        let own_labels = pod.overrides.as_ref().map(|overrides| &overrides.labels);
        let compared = own_labels.into_iter().flat_map(|labels| {
            let all = self.index.selections.templates.keys();
            all.filter(|key| self.selector_of_selecting(**key).is_some_and(|s| s.matches(labels)))
        });
        by_template
            .into_iter()
            .flatten()
            .chain(compared)
            .copied()
            .filter(|key| self.namespace_of_selecting(*key) == Some(&pod.id.namespace))
    }

    /// The pod objects that a Service or budget selects, terminating and ended ones included.
    pub fn selected_by(&self, key: Selecting) -> impl Iterator<Item = (PodId, &Pod)> {
        let namespace = self.namespace_of_selecting(key);
        let by_template = self
            .templates_selected_by(key)
            .iter()
            .filter_map(|template| self.index.pods_by_template.get(template.index()))
            .flatten()
            .map(|pod| (*pod, &self.pods[*pod]))
            .filter(|(_, pod)| pod.overrides.is_none());
        by_template
            .filter(move |(_, pod)| namespace == Some(&pod.id.namespace))
            .chain(self.selected_by_own_labels(key))
    }

    /// Of these pods, those whose labels differ from their template's.
    pub(super) fn selected_by_own_labels(
        &self,
        key: Selecting,
    ) -> impl Iterator<Item = (PodId, &Pod)> {
        let namespace = self.namespace_of_selecting(key);
        let selector = self.selector_of_selecting(key);
        let compared = self.index.pods_with_own_labels.iter().map(|pod| (*pod, &self.pods[*pod]));
        compared.filter(move |(_, pod)| {
            namespace == Some(&pod.id.namespace)
                && selector.is_some_and(|selector| selector.matches(self.labels_of(pod)))
        })
    }

    /// The templates whose labels a Service or budget selects, in any namespace.
    pub(super) fn templates_selected_by(&self, key: Selecting) -> &[TemplateId] {
        self.index.selections.templates.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Whether anything has selected the pods of a template.
    pub(super) fn is_listed(&self, template: TemplateId) -> bool {
        self.index.selections.is_listed.get(template.index()).copied().unwrap_or(false)
    }

    /// Indexes a template that is new in the store.
    pub(super) fn select_template(&mut self, template: TemplateId) {
        let labels = &self.templates[template].labels;
        let keys = self.index.selections.candidates(labels).into_iter();
        let matching: Vec<Selecting> = keys
            .filter(|key| self.selector_of_selecting(*key).is_some_and(|s| s.matches(labels)))
            .collect();
        let selections = &mut self.index.selections;
        for (key, value) in self.templates[template].labels.iter() {
            let label = (key.clone(), value.clone());
            selections.with_label.entry(label).or_default().push(template);
        }
        for key in &matching {
            selections.templates.entry(*key).or_default().push(template);
        }
        selections.by_template.resize_with(template.index() + 1, Vec::new);
        selections.is_listed.resize(template.index() + 1, false);
        selections.is_listed[template.index()] = !matching.is_empty();
        selections.by_template[template.index()] = matching;
    }

    /// Adds a pod to the list of its template, if that list is maintained.
    pub(super) fn list_by_template(&mut self, template: TemplateId, pod: PodId) {
        if self.index.selections.is_listed[template.index()] {
            self.index.pods_by_template[template.index()].insert(pod);
        }
    }

    /// Reindexes an object whose selector was added, changed or removed.
    pub(super) fn reindex(&mut self, key: Selecting) {
        self.index.selections.unlist(key);
        let Some(selector) = self.selector_of_selecting(key) else { return };
        let matches = |template: &TemplateId| selector.matches(&self.templates[*template].labels);
        let matching: Vec<TemplateId> = match selector.demanded_label() {
            Some(label) => {
                let listed = self.index.selections.with_label.get(&label);
                listed.into_iter().flatten().copied().filter(matches).collect()
            }
            None => self.templates.iter().map(|(template, _)| template).filter(matches).collect(),
        };
        let selector = selector.clone();
        let selections = &mut self.index.selections;
        selections.list(key, &selector);
        let mut new = BTreeSet::new();
        for template in &matching {
            selections.by_template[template.index()].push(key);
            let is_listed = &mut selections.is_listed[template.index()];
            if !std::mem::replace(is_listed, true) {
                new.insert(*template);
            }
        }
        selections.templates.insert(key, matching);
        if !new.is_empty() {
            let pods = self.pods.iter().filter(|(_, pod)| new.contains(&pod.template));
            let pods: Vec<(PodId, TemplateId)> = pods.map(|(id, pod)| (id, pod.template)).collect();
            for (id, template) in pods {
                self.index.pods_by_template[template.index()].insert(id);
                self.count_standing(id);
            }
        }
    }

    fn selector_of_selecting(&self, key: Selecting) -> Option<&Selector> {
        match key {
            Selecting::Service(id) => self.services().get(id)?.spec.selector.as_ref(),
            Selecting::PodDisruptionBudget(id) => {
                self.disruption_budgets().get(id)?.spec.selector.as_ref()
            }
        }
    }

    pub(super) fn namespace_of_selecting(&self, key: Selecting) -> Option<&Name> {
        match key {
            Selecting::Service(id) => Some(self.services().get(id)?.meta.namespace()),
            Selecting::PodDisruptionBudget(id) => {
                Some(self.disruption_budgets().get(id)?.meta.namespace())
            }
        }
    }
}
