//! Assigns a flavor to each resource that a Job requests (`pkg/scheduler/flavorassigner`).

use std::collections::BTreeMap;

use super::quota::{FlavorResource, Quotas, Usage};
use cluster::Name;
use cluster::kueue::{ClusterQueueSpec, FlavorQuotas, ResourceFlavorSpec, ResourceGroup};
use cluster::pod_template::{PodSpec, TaintEffect};
use units::Quantity;
use units::quantity::Format;

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

/// What a flavor needs, from the worst to the best (`preemptionMode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// More than there ever is.
    NoFit,
    /// That others end: none may be preempted.
    Patience,
    /// That Jobs of the same queue are preempted.
    Preemption,
    /// That queues which borrowed give back.
    Reclamation,
    /// Nothing.
    Nothing,
}

impl Need {
    const fn mode(self) -> Mode {
        match self {
            Self::NoFit => Mode::NoFit,
            Self::Patience | Self::Preemption | Self::Reclamation => Mode::Preempt,
            Self::Nothing => Mode::Fit,
        }
    }
}

/// Simulates the preemption for an amount: what it needs then, and whether it borrows afterwards
/// (`SimulatePreemption`).
pub type Simulate<'a> = &'a dyn Fn(&FlavorResource, i64) -> (Need, bool);

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
    simulate: Simulate<'_>,
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
        let mut reasons: Vec<String> = Vec::new();
        let mut best: Option<(Need, bool, &FlavorQuotas)> = None;
        for flavor in &group.flavors {
            if let Err(why) = accepts(flavors, group, &flavor.flavor, pod) {
                reasons.push(why);
                continue;
            }
            let of_flavor = (queue, &flavor.flavor);
            let (need, borrows) = need_of(quotas, of_flavor, &wanted, simulate, &mut reasons);
            let is_last = !tries_next(spec, need, borrows);
            let is_better =
                best.is_none_or(|(known, borrowed, _)| (need, !borrows) > (known, !borrowed));
            if is_last || (is_better && need > Need::NoFit) {
                best = Some((need, borrows, flavor));
            }
            if is_last {
                break;
            }
        }
        if best.is_none_or(|(need, ..)| need != Need::Nothing) {
            assignment.reasons.append(&mut reasons);
        }
        let Some((need, borrows, flavor)) = best else {
            assignment.mode = Mode::NoFit;
            continue;
        };
        assignment.mode = assignment.mode.min(need.mode());
        assignment.borrows |= borrows;
        for (resource, amount) in wanted {
            assignment.flavors.insert(resource.clone(), flavor.flavor.clone());
            let key = (flavor.flavor.clone(), resource.clone());
            *assignment.usage.entry(key).or_default() += amount;
        }
    }
    assignment
}

/// Whether flavors after one with this need are looked at (`shouldTryNextFlavor`).
const fn tries_next(spec: &ClusterQueueSpec, need: Need, borrows: bool) -> bool {
    match need {
        Need::NoFit | Need::Patience => true,
        Need::Preemption | Need::Reclamation if !spec.stops_at_preemption => true,
        Need::Preemption | Need::Reclamation | Need::Nothing => borrows && spec.avoids_borrowing,
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

/// What these amounts need in a flavor, and whether they borrow: the worst of them (`fitsResourceQuota`).
fn need_of(
    quotas: &Quotas,
    (queue, flavor): (&Name, &Name),
    wanted: &[(&Name, i64)],
    simulate: Simulate<'_>,
    reasons: &mut Vec<String>,
) -> (Need, bool) {
    let mut worst = (Need::Nothing, false);
    for (resource, amount) in wanted {
        let key = (flavor.clone(), (*resource).clone());
        let printed = |milli: i64| quantity(resource, milli);
        let most = quotas.potential(queue, &key);
        if *amount > most {
            reasons.push(format!(
                "insufficient quota for {resource} in flavor {flavor}, previously considered podsets requests (0) + \
                 current podset request ({}) > maximum capacity ({})",
                printed(*amount),
                printed(most)
            ));
            return (Need::NoFit, false);
        }
        let available = quotas.available(queue, &key);
        let (need, borrows) = if *amount <= available {
            (Need::Nothing, quotas.borrows_from_cohort(queue, &key, *amount))
        } else {
            reasons.push(format!(
                "insufficient unused quota for {resource} in flavor {flavor}, {} more needed",
                printed(amount - available)
            ));
            // Only its own quota can be taken back.
            if *amount > quotas.of(queue, &key).0.nominal_milli {
                return (Need::NoFit, false);
            }
            simulate(&key, *amount)
        };
        if (need, !borrows) < (worst.0, !worst.1) {
            worst = (need, borrows);
        }
    }
    worst
}

/// An amount as Kueue prints it (`ResourceQuantityString`).
fn quantity(resource: &str, milli: i64) -> Quantity {
    let is_binary =
        matches!(resource, "memory" | "ephemeral-storage") || resource.starts_with("hugepages-");
    let format = if is_binary { Format::BinarySi } else { Format::DecimalSi };
    Quantity::from_milli(milli).with_format(format)
}
