//! Assigns a flavor to each resource that a workload requests (`pkg/scheduler/flavorassigner`).

use std::collections::BTreeMap;

use super::quota::{FlavorResource, Quotas, Usage};
use super::workload::PodSet;
use cluster::Name;
use cluster::kueue::{
    ClusterQueueSpec, FlavorQuotas, QueuePreemption, ResourceFlavorSpec, ResourceGroup,
};
use cluster::pod_template::{PodSpec, TaintEffect};
use units::Quantity;
use units::quantity::Format;

/// Step that a workload needs before it can be admitted, in order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// More than there ever is.
    NoFit,
    /// That others give quota back.
    Preempt,
    /// Nothing.
    Fit,
}

/// Step that a flavor needs, from the worst to the best (`preemptionMode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// More than there ever is.
    NoFit,
    /// That others end: none may be preempted.
    Patience,
    /// That workloads of the same queue are preempted.
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

/// Flavors for a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The step that it needs.
    pub mode: Mode,
    /// Whether it needs more than the nominal quota of its queue.
    pub borrows: bool,
    /// Flavor by resource, of each set of pods.
    pub flavors: BTreeMap<Name, BTreeMap<Name, Name>>,
    /// Number of pods, if it is not all of them.
    pub count: Option<i64>,
    /// Amounts by flavor and resource.
    pub usage: Usage,
    /// Why sets of pods do not fit.
    pub reasons: Vec<(Name, Vec<String>)>,
}

impl Assignment {
    /// Why it does not fit, as Kueue says it (`Message`).
    pub fn message(&self) -> String {
        let of_set = |(set, reasons): &(Name, Vec<String>)| {
            let mut reasons = reasons.clone();
            reasons.sort_unstable();
            format!("couldn't assign flavors to pod set {set}: {}", reasons.join(", "))
        };
        self.reasons.iter().map(of_set).collect::<Vec<_>>().join("; ")
    }
}

/// Where flavors are looked for.
#[derive(Clone, Copy)]
pub struct Search<'a> {
    /// Quota, and its use.
    pub quotas: &'a Quotas,
    /// The ClusterQueue.
    pub queue: (&'a Name, &'a ClusterQueueSpec),
    /// The ResourceFlavors.
    pub flavors: &'a BTreeMap<Name, &'a ResourceFlavorSpec>,
    /// Simulation of preemption.
    pub simulate: Simulate<'a>,
}

/// The flavors for these sets of pods, each of which requests these amounts together, in thousandths of a unit.
pub fn assign(search: Search<'_>, sets: &[(&PodSet<'_>, BTreeMap<Name, i64>)]) -> Assignment {
    let mut assignment = Assignment {
        mode: Mode::Fit,
        borrows: false,
        flavors: BTreeMap::new(),
        count: None,
        usage: Usage::new(),
        reasons: Vec::new(),
    };
    for (set, requests) in sets {
        let reasons = assign_set(search, (set, requests), &mut assignment);
        if !reasons.is_empty() {
            assignment.reasons.push((set.name.clone(), reasons));
        }
        if assignment.mode == Mode::NoFit {
            break;
        }
    }
    assignment
}

/// Adds the flavors for one set, beside what the sets before it use, and returns why it does not fit.
fn assign_set(
    search: Search<'_>,
    (set, requests): (&PodSet<'_>, &BTreeMap<Name, i64>),
    assignment: &mut Assignment,
) -> Vec<String> {
    let Search { queue: (_, spec), flavors, .. } = search;
    let mut all_reasons = Vec::new();
    let is_covered =
        |resource: &Name| spec.groups.iter().any(|group| group.resources.contains(resource));
    for resource in requests.keys().filter(|resource| !is_covered(resource)) {
        assignment.mode = Mode::NoFit;
        all_reasons.push(format!("resource {resource} unavailable in ClusterQueue"));
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
            if let Err(why) = accepts(flavors, group, &flavor.flavor, set.pod) {
                reasons.push(why);
                continue;
            }
            let wanted = (&*wanted, &assignment.usage);
            let (need, borrows) = need_of(search, &flavor.flavor, wanted, &mut reasons);
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
            all_reasons.append(&mut reasons);
        }
        let Some((need, borrows, flavor)) = best else {
            assignment.mode = Mode::NoFit;
            continue;
        };
        assignment.mode = assignment.mode.min(need.mode());
        assignment.borrows |= borrows;
        for (resource, amount) in wanted {
            let own = assignment.flavors.entry(set.name.clone()).or_default();
            own.insert(resource.clone(), flavor.flavor.clone());
            let key = (flavor.flavor.clone(), resource.clone());
            *assignment.usage.entry(key).or_default() += amount;
        }
    }
    all_reasons
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

/// Step that these amounts need in a flavor beside those before them, and whether they borrow: the worst of them
/// (`fitsResourceQuota`).
fn need_of(
    Search { quotas, queue: (queue, spec), simulate, .. }: Search<'_>,
    flavor: &Name,
    (wanted, before): (&[(&Name, i64)], &Usage),
    reasons: &mut Vec<String>,
) -> (Need, bool) {
    let mut worst = (Need::Nothing, false);
    for (resource, amount) in wanted {
        let key = (flavor.clone(), (*resource).clone());
        let before = before.get(&key).copied().unwrap_or_default();
        let together = before + amount;
        let printed = |milli: i64| quantity(resource, milli);
        let most = quotas.potential(queue, &key);
        if together > most {
            reasons.push(format!(
                "insufficient quota for {resource} in flavor {flavor}, previously considered podsets requests ({}) + \
                 current podset request ({}) > maximum capacity ({})",
                printed(before),
                printed(*amount),
                printed(most)
            ));
            return (Need::NoFit, false);
        }
        let available = quotas.available(queue, &key);
        let (need, borrows) = if together <= available {
            (Need::Nothing, quotas.borrows_from_cohort(queue, &key, together))
        } else {
            reasons.push(format!(
                "insufficient unused quota for {resource} in flavor {flavor}, {} more needed",
                printed(together - available)
            ));
            // Only its own quota can be taken back, unless it may preempt for what it borrows.
            let nominal = quotas.of(queue, &key).0.nominal_milli;
            if together > nominal && !preempts_while_borrowing(spec) {
                return (Need::NoFit, false);
            }
            simulate(&key, together)
        };
        if (need, !borrows) < (worst.0, !worst.1) {
            worst = (need, borrows);
        }
    }
    worst
}

/// Whether others make room for what a queue borrows (`canPreemptWhileBorrowing`).
fn preempts_while_borrowing(spec: &ClusterQueueSpec) -> bool {
    spec.borrow_within_cohort.is_some() && spec.within_cohort != QueuePreemption::Never
}

/// An amount as Kueue prints it (`ResourceQuantityString`).
fn quantity(resource: &str, milli: i64) -> Quantity {
    let is_binary =
        matches!(resource, "memory" | "ephemeral-storage") || resource.starts_with("hugepages-");
    let format = if is_binary { Format::BinarySi } else { Format::DecimalSi };
    Quantity::from_milli(milli).with_format(format)
}
