//! Counts of the pods that Services and PodDisruptionBudgets select, kept as the pods change, so that none of them has
//! to be read to know whether any is ready.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::change::Change;
use super::meta::Name;
use super::pod::{Owner, Pod, PodCondition, PodId};
use super::pod_template::TemplateId;
use super::selection::Selecting;
use super::store::Store;

/// Counts of the pods of a template in one namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PodTally {
    /// All pod objects.
    pub pods: usize,
    /// Those that are bound to a node.
    pub bound: usize,
    /// Those that are ready and not terminating.
    pub ready: usize,
    /// Those whose containers are ready.
    pub containers_ready: usize,
}

/// Contribution of a pod to the tally of its template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    template: TemplateId,
    owner: Option<Owner>,
    is_bound: bool,
    is_ready: bool,
    are_containers_ready: bool,
}

/// The tallies of all templates that anything selects.
#[derive(Clone, Debug, Default)]
pub(super) struct Standings {
    /// By the pod's slot: what is counted of it.
    counted: Vec<Option<Standing>>,
    /// Looked up only, never iterated.
    tallies: FxHashMap<(TemplateId, Name), OwnedTally>,
}

/// A tally with the number of pods of each owner.
#[derive(Clone, Debug, Default)]
struct OwnedTally {
    tally: PodTally,
    owners: BTreeMap<Option<Owner>, usize>,
}

impl PodTally {
    fn add(&mut self, standing: Standing) {
        self.pods += 1;
        self.bound += usize::from(standing.is_bound);
        self.ready += usize::from(standing.is_ready);
        self.containers_ready += usize::from(standing.are_containers_ready);
    }

    fn subtract(&mut self, standing: Standing) {
        self.pods -= 1;
        self.bound -= usize::from(standing.is_bound);
        self.ready -= usize::from(standing.is_ready);
        self.containers_ready -= usize::from(standing.are_containers_ready);
    }
}

fn sum(tallies: &[(TemplateId, PodTally)]) -> PodTally {
    tallies.iter().fold(PodTally::default(), |sum, (_, tally)| PodTally {
        pods: sum.pods + tally.pods,
        bound: sum.bound + tally.bound,
        ready: sum.ready + tally.ready,
        containers_ready: sum.containers_ready + tally.containers_ready,
    })
}

impl Standing {
    fn of(pod: &Pod) -> Self {
        Self {
            template: pod.template,
            owner: pod.owner,
            is_bound: pod.node.is_some(),
            is_ready: pod.is_ready() && !pod.is_terminating(),
            are_containers_ready: pod
                .conditions
                .containers_ready
                .is_some_and(PodCondition::is_true),
        }
    }
}

impl Standings {
    /// Counts a pod of this namespace as it stands now; `None` = not at all.
    fn count(&mut self, id: PodId, namespace: &Name, standing: Option<Standing>) {
        if self.counted.len() <= id.index() {
            self.counted.resize(id.index() + 1, None);
        }
        let before = std::mem::replace(&mut self.counted[id.index()], standing);
        if before == standing {
            return;
        }
        if let Some(before) = before {
            let counted = self.tally_mut(before.template, namespace);
            counted.tally.subtract(before);
            if let Some(pods) = counted.owners.get_mut(&before.owner) {
                *pods -= 1;
                if *pods == 0 {
                    counted.owners.remove(&before.owner);
                }
            }
        }
        if let Some(standing) = standing {
            let counted = self.tally_mut(standing.template, namespace);
            counted.tally.add(standing);
            *counted.owners.entry(standing.owner).or_default() += 1;
        }
    }

    fn tally_mut(&mut self, template: TemplateId, namespace: &Name) -> &mut OwnedTally {
        self.tallies.entry((template, namespace.clone())).or_default()
    }
}

impl Store {
    /// The pod objects that a Service or budget selects, terminating and ended ones included, as counts by template.
    pub fn tallies_of(&self, key: Selecting) -> Vec<(TemplateId, PodTally)> {
        let counted = self.counted_of(key).map(|(template, counted)| (template, counted.tally));
        let mut tallies: Vec<(TemplateId, PodTally)> = counted.collect();
        for (_, pod) in self.selected_by_own_labels(key) {
            let mut tally = PodTally::default();
            tally.add(Standing::of(pod));
            tallies.push((pod.template, tally));
        }
        debug_assert_eq!(self.sum_of_selected(key), sum(&tallies), "no pod was missed");
        tallies
    }

    /// The owners of the pods that a Service or budget selects, `None` among them if a pod has none.
    pub fn owners_selected_by(&self, key: Selecting) -> BTreeSet<Option<Owner>> {
        let counted = self.counted_of(key).flat_map(|(_, counted)| counted.owners.keys().copied());
        let others = self.selected_by_own_labels(key).map(|(_, pod)| pod.owner);
        let owners = counted.chain(others).collect();
        debug_assert_eq!(
            owners,
            self.selected_by(key).map(|(_, pod)| pod.owner).collect(),
            "no owner was missed"
        );
        owners
    }

    /// The counts of the templates that a Service or budget selects and that have pods.
    fn counted_of(&self, key: Selecting) -> impl Iterator<Item = (TemplateId, &OwnedTally)> {
        let namespace = self.namespace_of_selecting(key);
        self.templates_selected_by(key).iter().filter_map(move |template| {
            let counted = self.index.standings.tallies.get(&(*template, namespace?.clone()))?;
            (counted.tally.pods > 0).then_some((*template, counted))
        })
    }

    /// The tally of all pods that a Service or budget selects, from the pods themselves.
    fn sum_of_selected(&self, key: Selecting) -> PodTally {
        let mut tally = PodTally::default();
        self.selected_by(key).for_each(|(_, pod)| tally.add(Standing::of(pod)));
        tally
    }

    /// Takes note of what a change says about a pod.
    pub(super) fn note_standing(&mut self, change: &Change) {
        if let Change::PodAdded(pod) | Change::PodUpdated(pod, _) = change {
            self.count_standing(*pod);
        }
    }

    /// Counts a pod as it stands, if anything selects pods of its template.
    pub(super) fn count_standing(&mut self, id: PodId) {
        let Some(pod) = self.pods.get(id) else { return };
        let is_counted = pod.overrides.is_none() && self.is_listed(pod.template);
        let standing = is_counted.then(|| Standing::of(pod));
        self.index.standings.count(id, &pod.id.namespace, standing);
    }

    /// Stops counting a pod that has been removed.
    pub(super) fn forget_standing(&mut self, id: PodId, pod: &Pod) {
        self.index.standings.count(id, &pod.id.namespace, None);
    }
}
