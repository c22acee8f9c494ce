//! Which pods Services and PodDisruptionBudgets select, without comparing labels for every pod:
//! labels belong to templates, which are few.

use std::collections::BTreeMap;

use super::pod::{Pod, PodId};
use super::pod_template::TemplateId;
use super::policy::PodDisruptionBudgetId;
use super::selector::Selector;
use super::service::ServiceId;
use super::store::Store;

/// An object with a pod selector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
            .filter(|key| self.namespace_of_selecting(*key) == Some(&*pod.id.namespace))
    }

    /// The pod objects that a Service or budget selects, terminating and ended ones included.
    pub fn selected_by(&self, key: Selecting) -> impl Iterator<Item = (PodId, &Pod)> {
        let templates = self.index.selections.templates.get(&key);
        let namespace = self.namespace_of_selecting(key);
        let selector = self.selector_of_selecting(key);
        let by_template = templates
            .into_iter()
            .flatten()
            .filter_map(|template| self.index.pods_by_template.get(template.index()))
            .flatten()
            .map(|pod| (*pod, &self.pods[*pod]))
            .filter(|(_, pod)| pod.overrides.is_none());
        let compared = self.index.pods_with_own_labels.iter().map(|pod| (*pod, &self.pods[*pod]));
        let compared = compared.filter(move |(_, pod)| {
            selector.is_some_and(|selector| selector.matches(self.labels_of(pod)))
        });
        by_template.chain(compared).filter(move |(_, pod)| namespace == Some(&*pod.id.namespace))
    }

    /// Indexes a template that is new in the store.
    pub(super) fn select_template(&mut self, template: TemplateId) {
        let labels = &self.templates[template].labels;
        let keys = self.index.selections.templates.keys().copied();
        let matching: Vec<Selecting> = keys
            .filter(|key| self.selector_of_selecting(*key).is_some_and(|s| s.matches(labels)))
            .collect();
        let selections = &mut self.index.selections;
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
        for keys in &mut self.index.selections.by_template {
            keys.retain(|other| *other != key);
        }
        let Some(selector) = self.selector_of_selecting(key) else {
            self.index.selections.templates.remove(&key);
            return;
        };
        let matches = self.templates.iter().filter(|(_, one)| selector.matches(&one.labels));
        let matching: Vec<TemplateId> = matches.map(|(template, _)| template).collect();
        let selections = &mut self.index.selections;
        let mut is_new = vec![false; selections.is_listed.len()];
        for template in &matching {
            selections.by_template[template.index()].push(key);
            let is_listed = &mut selections.is_listed[template.index()];
            is_new[template.index()] = !std::mem::replace(is_listed, true);
        }
        selections.templates.insert(key, matching);
        if is_new.contains(&true) {
            for (id, pod) in self.pods.iter().filter(|(_, pod)| is_new[pod.template.index()]) {
                self.index.pods_by_template[pod.template.index()].insert(id);
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

    fn namespace_of_selecting(&self, key: Selecting) -> Option<&str> {
        match key {
            Selecting::Service(id) => Some(self.services().get(id)?.meta.namespace()),
            Selecting::PodDisruptionBudget(id) => {
                Some(self.disruption_budgets().get(id)?.meta.namespace())
            }
        }
    }
}
