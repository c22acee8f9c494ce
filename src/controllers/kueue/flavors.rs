//! Assigns a flavor to each resource that a Job requests (`pkg/scheduler/flavorassigner`).

use std::collections::BTreeMap;

use super::quota::{Quotas, Usage};
use super::workload::PodSet;
use cluster::Name;
use cluster::kueue::{
    ClusterQueueSpec, FlavorQuotas, QueuePreemption, ResourceFlavorSpec, ResourceGroup,
};
use cluster::pod_template::{PodSpec, TaintEffect};

/// What a Job needs to be admitted, in order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// More than there ever is.
    NoFit,
    /// That others give quota back.
    Preempt,
    /// Nothing.
    Fit,
}

/// Flavors for a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// What it needs.
    pub mode: Mode,
    /// Whether it needs more than the nominal quota of its queue.
    pub borrows: bool,
    /// Flavor by resource, of each set of pods.
    pub flavors: BTreeMap<Name, BTreeMap<Name, Name>>,
    /// Number of pods, if it is not all of them.
    pub count: Option<i64>,
    /// Amounts by flavor and resource.
    pub usage: Usage,
    /// Why it does not fit.
    pub reasons: Vec<String>,
}

/// The flavors for these sets of pods, each of which requests these amounts together, in thousandths of a unit.
pub fn assign(
    quotas: &Quotas,
    queue: (&Name, &ClusterQueueSpec),
    flavors: &BTreeMap<Name, &ResourceFlavorSpec>,
    sets: &[(&PodSet<'_>, BTreeMap<Name, i64>)],
) -> Assignment {
    let mut assignment = Assignment {
        mode: Mode::Fit,
        borrows: false,
        flavors: BTreeMap::new(),
        count: None,
        usage: Usage::new(),
        reasons: Vec::new(),
    };
    for (set, requests) in sets {
        assign_set(quotas, queue, flavors, (set, requests), &mut assignment);
    }
    assignment
}

/// The flavors for one set, beside what the sets before it use.
fn assign_set(
    quotas: &Quotas,
    (queue, spec): (&Name, &ClusterQueueSpec),
    flavors: &BTreeMap<Name, &ResourceFlavorSpec>,
    (set, requests): (&PodSet<'_>, &BTreeMap<Name, i64>),
    assignment: &mut Assignment,
) {
    let pod = set.pod;
    let before = assignment.usage.clone();
    let is_covered =
        |resource: &Name| spec.groups.iter().any(|group| group.resources.contains(resource));
    for resource in requests.keys().filter(|resource| !is_covered(resource)) {
        assignment.mode = Mode::NoFit;
        assignment.reasons.push(format!("resource {resource} unavailable in ClusterQueue"));
    }
    for group in &spec.groups {
        let wanted = requests.iter().filter(|(name, _)| group.resources.contains(name));
        let wanted: Vec<(&Name, i64)> = wanted.map(|(name, amount)| (name, *amount)).collect();
        if wanted.is_empty() {
            continue;
        }
        let mut best: Option<(Mode, bool, &FlavorQuotas)> = None;
        for flavor in &group.flavors {
            if let Err(why) = accepts(flavors, group, &flavor.flavor, pod) {
                assignment.reasons.push(why);
                continue;
            }
            let place = (queue, spec, &flavor.flavor);
            let (mode, borrows) = mode_of(quotas, place, &wanted, &before, &mut assignment.reasons);
            // Without borrowing before with, where the queue says so.
            let rank = |mode: Mode, borrows: bool| (mode, !(borrows && spec.avoids_borrowing));
            if best.is_none_or(|(known, borrowed, _)| rank(mode, borrows) > rank(known, borrowed)) {
                best = Some((mode, borrows, flavor));
            }
            let is_enough = match mode {
                Mode::Fit => !(borrows && spec.avoids_borrowing),
                Mode::Preempt => spec.stops_at_preemption,
                Mode::NoFit => false,
            };
            if is_enough {
                break;
            }
        }
        let Some((mode, borrows, flavor)) = best else {
            assignment.mode = Mode::NoFit;
            continue;
        };
        assignment.mode = assignment.mode.min(mode);
        assignment.borrows |= borrows;
        for (resource, amount) in wanted {
            let own = assignment.flavors.entry(set.name.clone()).or_default();
            own.insert(resource.clone(), flavor.flavor.clone());
            let key = (flavor.flavor.clone(), resource.clone());
            *assignment.usage.entry(key).or_default() += amount;
        }
    }
}

/// Whether pods of this spec can run on the nodes of a flavor, by taints and node selector.
fn accepts(
    flavors: &BTreeMap<Name, &ResourceFlavorSpec>,
    group: &ResourceGroup,
    name: &Name,
    pod: &PodSpec,
) -> Result<(), String> {
    let Some(flavor) = flavors.get(name) else { return Err(format!("flavor {name} not found")) };
    let repels = |effect| matches!(effect, TaintEffect::NoSchedule | TaintEffect::NoExecute);
    let tolerations = || pod.tolerations.iter().chain(&flavor.tolerations);
    let mut taints = flavor.node_taints.iter().filter(|taint| repels(taint.effect));
    if let Some(taint) = taints.find(|taint| !tolerations().any(|one| one.tolerates(taint))) {
        return Err(format!("untolerated taint {} in flavor {name}", taint.key));
    }
    // Only labels of the group's flavors count.
    let is_of_group = |key: &str| {
        let mut all = group.flavors.iter().filter_map(|one| flavors.get(&one.flavor));
        all.any(|one| one.node_labels.contains_key(key))
    };
    let mut selected = pod.node_selector.iter().filter(|(key, _)| is_of_group(key));
    if selected.all(|(key, value)| flavor.node_labels.get(key) == Some(value)) {
        Ok(())
    } else {
        Err(format!("flavor {name} doesn't match node affinity"))
    }
}

/// What these amounts need in a flavor beside those `before` them, and whether they borrow.
fn mode_of(
    quotas: &Quotas,
    (queue, spec, flavor): (&Name, &ClusterQueueSpec, &Name),
    wanted: &[(&Name, i64)],
    before: &Usage,
    reasons: &mut Vec<String>,
) -> (Mode, bool) {
    let mut mode = Mode::Fit;
    let mut borrows = false;
    for (resource, amount) in wanted {
        let key = (flavor.clone(), (*resource).clone());
        let available = quotas.available(queue, &key);
        let amount = amount + before.get(&key).copied().unwrap_or_default();
        borrows |= quotas.borrows(queue, &key, amount);
        if amount <= available {
            continue;
        }
        let (quota, _) = quotas.of(queue, &key);
        // Who may preempt while borrowing gets along with what the cohort has, too (`canPreemptWhileBorrowing`).
        let most = match spec.borrow_within_cohort {
            Some(_) if spec.within_cohort != QueuePreemption::Never => {
                quotas.potential(queue, &key)
            }
            _ => quota.nominal_milli,
        };
        if amount > most {
            mode = Mode::NoFit;
            reasons.push(format!("insufficient quota for {resource} in flavor {flavor}"));
        } else {
            mode = mode.min(Mode::Preempt);
            reasons.push(format!("insufficient unused quota for {resource} in flavor {flavor}"));
        }
    }
    (mode, borrows)
}
