//! Caps a recommendation for a specific pod: by the LimitRanges of its namespace, the policy, and the container's
//! limit (`pkg/utils/vpa/{capping,limit_and_request_scaling}.go` of the vertical-pod-autoscaler 1.7). Used by both
//! admission and updater.

use super::limit_range::{LimitRangeItem, LimitType};
use super::meta::Name;
use super::pod_template::{Container, ResourceList};
use super::store::Store;
use super::vpa::{Amounts, ContainerPolicy, ContainerRecommendation, Resource, VpaSpec};
use units::Quantity;

/// A container of the pod, with the amounts in force.
#[derive(Clone, Copy, Debug)]
pub struct CappedContainer<'a> {
    /// Container name.
    pub name: &'a Name,
    /// Its requests.
    pub requests: &'a ResourceList,
    /// Its limits.
    pub limits: &'a ResourceList,
}

impl<'a> CappedContainer<'a> {
    /// Containers as their specs have them.
    pub fn of(containers: &'a [Container]) -> Vec<Self> {
        let seen = containers.iter().map(|Container { name, requests, limits, .. }| Self {
            name,
            requests,
            limits,
        });
        seen.collect()
    }

    fn request(&self, resource: Resource) -> Quantity {
        self.requests.get(resource.as_str()).unwrap_or_default()
    }

    fn limit(&self, resource: Resource) -> Quantity {
        self.limits.get(resource.as_str()).unwrap_or_default()
    }
}

/// LimitRanges of a namespace for pods and for containers, each merged into one item (`limit_range_calculator.go`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceLimits {
    /// Of pods.
    pub pod: Option<LimitRangeItem>,
    /// Of containers.
    pub container: Option<LimitRangeItem>,
}

impl NamespaceLimits {
    /// The greatest minimum, the least maximum and the last defaults of all items.
    pub fn of(items: &[&LimitRangeItem]) -> Self {
        let of_type = |limit_type: LimitType| {
            let own = items.iter().filter(|item| item.limit_type == limit_type);
            let merged = own.fold(LimitRangeItem::default(), |mut all, item| {
                if !item.default_limits.is_empty() {
                    all.default_limits = item.default_limits.clone();
                }
                all.max = merged(&all.max, &item.max, Ord::min);
                all.min = merged(&all.min, &item.min, Ord::max);
                all
            });
            let LimitRangeItem { max, min, default_limits, .. } = &merged;
            let is_nothing = max.is_empty() && min.is_empty() && default_limits.is_empty();
            (!is_nothing).then_some(LimitRangeItem { limit_type, ..merged })
        };
        Self { pod: of_type(LimitType::Pod), container: of_type(LimitType::Container) }
    }
}

/// Amounts of two lists, each by `pick` where both name it.
fn merged(
    all: &ResourceList,
    item: &ResourceList,
    pick: fn(Quantity, Quantity) -> Quantity,
) -> ResourceList {
    let mut merged = all.clone();
    for (name, amount) in item.iter() {
        merged.set(name.clone(), all.get(name).map_or(amount, |known| pick(known, amount)));
    }
    merged
}

impl Store {
    /// The limits that the LimitRanges of a namespace set for the vertical-pod-autoscaler.
    pub fn namespace_limits(&self, namespace: &Name) -> NamespaceLimits {
        let own = self.limit_ranges().values();
        let own = own.filter(|one| one.meta.namespace() == namespace);
        let items: Vec<&LimitRangeItem> = own.flat_map(|range| &range.spec.limits).collect();
        NamespaceLimits::of(&items)
    }
}

/// A capped recommendation for a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capped {
    /// Recommendations for those of the pod's containers that have any.
    pub recommendation: Vec<ContainerRecommendation>,
    /// Container names and the reasons for capping, in the wording of the annotation `vpaUpdates`.
    pub notes: Vec<(Name, String)>,
}

/// The vertical-pod-autoscaler panics here: a pod's LimitRange requires a bound that is absent from the
/// recommendation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CappingPanic;

/// A container's recommendation on its way.
#[derive(Clone, Debug)]
struct Entry {
    recommendation: ContainerRecommendation,
    /// True if the container's requests replace a missing recommendation; it then has no bounds.
    is_stand_in: bool,
}

/// One of the lists of a recommendation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Upper,
    Target,
    Lower,
}

impl Entry {
    const fn list(&mut self, list: List) -> &mut Amounts {
        match list {
            List::Upper => &mut self.recommendation.upper_bound,
            List::Target => &mut self.recommendation.target,
            List::Lower => &mut self.recommendation.lower_bound,
        }
    }

    fn set(&mut self, list: List, resource: Resource, to: Quantity) -> Result<(), CappingPanic> {
        if self.is_stand_in && list != List::Target {
            return Err(CappingPanic);
        }
        self.list(list).set(resource, Some(to));
        Ok(())
    }
}

/// The recommendation for a pod with these containers (`cappingRecommendationProcessor.Apply`).
pub fn capped(
    spec: &VpaSpec,
    recommendation: &[ContainerRecommendation],
    pod: &[CappedContainer<'_>],
    limits: &NamespaceLimits,
) -> Result<Capped, CappingPanic> {
    let own = recommendation.iter().cloned();
    let entries = own.map(|recommendation| Entry { recommendation, is_stand_in: false });
    let mut entries: Vec<Entry> = entries.collect();
    if let Some(item) = &limits.pod {
        stand_in(&mut entries, pod);
        for list in [List::Upper, List::Target, List::Lower] {
            for resource in Resource::ALL {
                fit_pod(&mut entries, pod, item, resource, list)?;
            }
        }
    }
    let mut capped = Capped::default();
    for Entry { mut recommendation, .. } in entries {
        let Some(container) = pod.iter().find(|one| *one.name == recommendation.container) else {
            continue;
        };
        let item = limits.container.as_ref();
        let mut notes = Vec::new();
        cap(&mut recommendation.target, container, spec, item, &mut notes);
        cap(&mut recommendation.lower_bound, container, spec, item, &mut Vec::new());
        cap(&mut recommendation.upper_bound, container, spec, item, &mut Vec::new());
        capped.notes.extend(notes.into_iter().map(|note| (container.name.clone(), note)));
        capped.recommendation.push(recommendation);
    }
    Ok(capped)
}

/// Containers without a recommendation count with their requests.
fn stand_in(entries: &mut Vec<Entry>, pod: &[CappedContainer<'_>]) {
    for container in pod.iter().filter(|container| !container.requests.is_empty()) {
        if entries.iter().all(|one| one.recommendation.container != *container.name) {
            let target = Amounts::of(container.requests);
            let none = Amounts::default();
            entries.push(Entry {
                recommendation: ContainerRecommendation {
                    container: container.name.clone(),
                    target,
                    lower_bound: none,
                    upper_bound: none,
                    uncapped_target: none,
                },
                is_stand_in: true,
            });
        }
    }
}

/// Makes sums over all containers fit the pods' LimitRange (`applyPodLimitRange`).
fn fit_pod(
    entries: &mut [Entry],
    pod: &[CappedContainer<'_>],
    item: &LimitRangeItem,
    resource: Resource,
    list: List,
) -> Result<(), CappingPanic> {
    let of = |bounds: &ResourceList| bounds.get(resource.as_str()).unwrap_or_default();
    let (min, max, default) = (of(&item.min), of(&item.max), of(&item.default_limits));
    let zero = Quantity::default();
    let (mut limits, mut requests) = (zero, zero);
    let place = |entries: &[Entry], name: &Name| {
        entries.iter().position(|one| one.recommendation.container == *name)
    };
    for container in pod {
        let own = container.request(resource);
        let request = match place(entries, container.name) {
            Some(place) => entries[place].list(list).get(resource).unwrap_or_default(),
            None => own,
        };
        let limit = proportional_limit(resource, container.limit(resource), own, request, default);
        limits = limits + limit.amount.unwrap_or_default();
        requests = requests + request;
    }
    let (min_nanos, limit_nanos) = (min.nanos(), limits.nanos());
    let is_below_max = is_zero(max) || max.nanos() >= limit_nanos;
    let has_enough = min_nanos <= requests.nanos();
    if (min_nanos <= limit_nanos && has_enough && is_below_max) || limit_nanos == 0 {
        return Ok(());
    }
    if !has_enough {
        for container in pod {
            let Some(place) = place(entries, container.name) else { continue };
            let request = entries[place].list(list).get(resource).unwrap_or_default();
            let raised = scaled(resource, request, requests, min, Rounding::Up).amount;
            entries[place].set(list, resource, raised)?;
        }
        return Ok(());
    }
    let mut total = zero;
    if min_nanos > limit_nanos {
        total = min;
    }
    if !is_below_max {
        total = max;
    }
    for container in pod {
        let place = place(entries, container.name).ok_or(CappingPanic)?;
        let request = entries[place].list(list).get(resource).unwrap_or_default();
        let fitting = scaled(resource, request, limits, total, Rounding::Down).amount;
        entries[place].set(list, resource, fitting)?;
    }
    Ok(())
}

/// Makes one list of a container's recommendation fit the containers' LimitRange, the policy, and a limit
/// that stays (`getCappedRecommendationForContainer`).
fn cap(
    amounts: &mut Amounts,
    container: &CappedContainer<'_>,
    spec: &VpaSpec,
    item: Option<&LimitRangeItem>,
    notes: &mut Vec<String>,
) {
    if let Some(item) = item {
        fit_container(amounts, container, item, notes);
    }
    if let Some(policy) = spec.policy_of(container.name) {
        apply_policy(amounts, policy, notes);
    }
    if spec.requests_only(container.name) {
        for (resource, amount) in amounts.iter() {
            let limit = container.limits.get(resource.as_str());
            if let Some(limit) = limit.filter(|limit| amount.milli_value() > limit.milli_value()) {
                amounts.set(resource, Some(limit));
                notes.push(format!("{} capped to container limit", resource.as_str()));
            }
        }
    }
}

fn fit_container(
    amounts: &mut Amounts,
    container: &CappedContainer<'_>,
    item: &LimitRangeItem,
    notes: &mut Vec<String>,
) {
    // A bound of the limit, as one of the request.
    let for_limit = |bounds: &ResourceList, resource: Resource| {
        if bounds.is_empty() {
            return Quantity::default();
        }
        let of = |list: &ResourceList| list.get(resource.as_str()).unwrap_or_default();
        let limit = container.limit(resource);
        let limit = if is_zero_units(limit) { of(&item.default_limits) } else { limit };
        let (request, bound) = (container.request(resource), of(bounds));
        match () {
            () if is_zero_units(limit) => Quantity::default(),
            () if is_zero_units(request) => bound,
            () => scaled(resource, request, limit, bound, Rounding::None).amount,
        }
    };
    for (resource, amount) in amounts.iter() {
        let max = for_limit(&item.max, resource);
        let mut min = for_limit(&item.min, resource);
        // The minimum applies to the request, too.
        if let Some(own) = item.min.get(resource.as_str()).filter(|own| own.nanos() > min.nanos()) {
            min = own;
        }
        let name = resource.as_str();
        let mut fitting = amount;
        if !is_zero(min) && fitting.nanos() < min.nanos() {
            fitting = min;
            notes.push(format!("{name} capped to fit Min in container LimitRange"));
        }
        if !is_zero(max) && fitting.nanos() > max.nanos() {
            fitting = max;
            notes.push(format!("{name} capped to fit Max in container LimitRange"));
        }
        amounts.set(resource, Some(fitting));
    }
}

/// Least and greatest amounts of a policy; a maximum below the minimum wins, and zeros count for nothing
/// (`applyVPAPolicy`).
fn apply_policy(amounts: &mut Amounts, policy: &ContainerPolicy, notes: &mut Vec<String>) {
    for (resource, amount) in amounts.iter() {
        let name = resource.as_str();
        let bound = |list: &ResourceList| list.get(name).filter(|bound| !is_zero(*bound));
        let mut fitting = amount;
        if let Some(min) = bound(&policy.min_allowed).filter(|min| fitting.nanos() < min.nanos()) {
            fitting = min;
            notes.push(format!("{name} capped to minAllowed"));
        }
        if let Some(max) = bound(&policy.max_allowed).filter(|max| fitting.nanos() > max.nanos()) {
            fitting = max;
            notes.push(format!("{name} capped to maxAllowed"));
        }
        amounts.set(resource, Some(fitting));
    }
}

/// The amounts within a policy, and within a maximum for all containers where the policy has none
/// (`ApplyVPAPolicy`).
pub fn within_policy(
    amounts: Amounts,
    policy: Option<&ContainerPolicy>,
    global_max: Amounts,
) -> Amounts {
    let mut within = amounts;
    for (resource, amount) in amounts.iter() {
        let name = resource.as_str();
        let is_meant = |bound: &Quantity| !is_zero(*bound);
        let min = policy.and_then(|policy| policy.min_allowed.get(name)).filter(is_meant);
        let max = policy.and_then(|policy| policy.max_allowed.get(name));
        let max = max.or(global_max.get(resource)).filter(is_meant);
        let mut fitting = amount;
        fitting = min.filter(|min| fitting.nanos() < min.nanos()).unwrap_or(fitting);
        fitting = max.filter(|max| fitting.nanos() > max.nanos()).unwrap_or(fitting);
        within.set(resource, Some(fitting));
    }
    within
}

/// A proportional limit, or the reason for its absence.
pub(super) struct ProportionalLimit {
    /// The limit.
    pub(super) amount: Option<Quantity>,
    /// Its note in the annotation `vpaUpdates`; empty if there is none.
    pub(super) note: String,
}

/// The limit whose ratio to the recommended request equals that of `limit` to `request`
/// (`getProportionalResourceLimit`).
pub(super) fn proportional_limit(
    resource: Resource,
    limit: Quantity,
    request: Quantity,
    recommended: Quantity,
    default: Quantity,
) -> ProportionalLimit {
    let name = resource.as_str();
    let none = |why: &str| ProportionalLimit {
        amount: None,
        note: format!("{name}: limit NOT set since {why} is nil or 0"),
    };
    let limit = if is_zero_units(limit) { default } else { limit };
    if is_zero_units(limit) {
        return none("originalLimit");
    }
    if is_zero_units(recommended) {
        return none("recommendedRequest");
    }
    if is_zero_units(request) || request.milli_value() == limit.milli_value() {
        return ProportionalLimit { amount: Some(recommended), note: String::new() };
    }
    let Scaled { amount, is_capped } =
        scaled(resource, limit, request, recommended, Rounding::None);
    let note = if is_capped {
        format!("{name}: failed to keep limit to request ratio; capping limit to int64")
    } else {
        String::new()
    };
    ProportionalLimit { amount: Some(amount), note }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rounding {
    None,
    Up,
    Down,
}

struct Scaled {
    amount: Quantity,
    is_capped: bool,
}

/// `amount` times `to / from`, truncated, in milli-CPU or whole bytes (`scaleQuantityProportionallyCPU`, `...Mem`).
fn scaled(
    resource: Resource,
    amount: Quantity,
    from: Quantity,
    to: Quantity,
    rounding: Rounding,
) -> Scaled {
    let units: fn(Quantity) -> i128 = match resource {
        Resource::Cpu => |quantity| quantity.milli_value().into(),
        Resource::Memory => |quantity| quantity.value().into(),
    };
    if units(from) == 0 {
        return Scaled { amount, is_capped: false };
    }
    let product = units(amount) * units(to);
    let (mut quotient, rest) = (product.div_euclid(units(from)), product.rem_euclid(units(from)));
    let is_capped = i64::try_from(quotient).is_err();
    if resource == Resource::Cpu && rest != 0 && rounding == Rounding::Up {
        quotient += 1;
    }
    // Upstream rounds down by subtracting 0.999 and rounding away from zero, which turns 0 into -1.
    if resource == Resource::Memory && quotient == 0 && rounding == Rounding::Down {
        quotient = -1;
    }
    let quotient = if is_capped { i64::MAX } else { i64::try_from(quotient).unwrap_or(i64::MAX) };
    let scaled = match resource {
        Resource::Cpu => Quantity::from_milli(quotient),
        Resource::Memory => Quantity::from_units(quotient),
    };
    Scaled { amount: scaled.with_format(amount.format()), is_capped }
}

const fn is_zero(amount: Quantity) -> bool {
    amount.nanos() == 0
}

/// Whether it is nothing in whole units, rounded up.
fn is_zero_units(amount: Quantity) -> bool {
    amount.value() == 0
}
