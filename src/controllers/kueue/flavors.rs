//! Assigns a flavor to each resource that a Job requests (`pkg/scheduler/flavorassigner`).

use std::collections::BTreeMap;

use super::quota::{Quotas, Usage};
use cluster::Name;
use cluster::kueue::{ClusterQueueSpec, FlavorQuotas, ResourceFlavorSpec, ResourceGroup};
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
    /// Flavor by resource.
    pub flavors: BTreeMap<Name, Name>,
    /// Amounts by flavor and resource.
    pub usage: Usage,
    /// Why it does not fit.
    pub reasons: Vec<String>,
}

/// The flavors for pods of this spec, which request these amounts together, in thousandths of a unit.
pub fn assign(
    quotas: &Quotas,
    (queue, spec): (&Name, &ClusterQueueSpec),
    flavors: &BTreeMap<Name, &ResourceFlavorSpec>,
    pod: &PodSpec,
    requests: &BTreeMap<Name, i64>,
) -> Assignment {
    let mut assignment = Assignment {
        mode: Mode::Fit,
        borrows: false,
        flavors: BTreeMap::new(),
        usage: Usage::new(),
        reasons: Vec::new(),
    };
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
            let (mode, borrows) =
                mode_of(quotas, queue, &flavor.flavor, &wanted, &mut assignment.reasons);
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
            assignment.flavors.insert(resource.clone(), flavor.flavor.clone());
            let key = (flavor.flavor.clone(), resource.clone());
            *assignment.usage.entry(key).or_default() += amount;
        }
    }
    assignment
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

/// What these amounts need in a flavor, and whether they borrow.
fn mode_of(
    quotas: &Quotas,
    queue: &Name,
    flavor: &Name,
    wanted: &[(&Name, i64)],
    reasons: &mut Vec<String>,
) -> (Mode, bool) {
    let mut mode = Mode::Fit;
    let mut borrows = false;
    for (resource, amount) in wanted {
        let key = (flavor.clone(), (*resource).clone());
        let available = quotas.available(queue, &key);
        borrows |= quotas.borrows(queue, &key, *amount);
        if *amount <= available {
            continue;
        }
        let nominal = quotas.of(queue, &key).0.nominal_milli;
        if *amount > nominal {
            mode = Mode::NoFit;
            reasons.push(format!("insufficient quota for {resource} in flavor {flavor}"));
        } else {
            mode = mode.min(Mode::Preempt);
            reasons.push(format!("insufficient unused quota for {resource} in flavor {flavor}"));
        }
    }
    (mode, borrows)
}
