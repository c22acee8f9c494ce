//! Quotas of ClusterQueues and what is left of them (`pkg/cache/scheduler/resource_node.go`), for cohorts of one level.

use std::collections::BTreeMap;

use cluster::Name;
use cluster::kueue::{ClusterQueueSpec, FlavorQuota};

/// A resource in a flavor: the flavor's name and the resource's.
pub type FlavorResource = (Name, Name);

/// Amounts in thousandths of a unit.
pub type Usage = BTreeMap<FlavorResource, i64>;

/// All ClusterQueues with the quota in use.
#[derive(Clone, Debug, Default)]
pub struct Quotas {
    queues: BTreeMap<Name, QueueQuotas>,
}

#[derive(Clone, Debug, Default)]
struct QueueQuotas {
    cohort: Option<Name>,
    quotas: BTreeMap<FlavorResource, FlavorQuota>,
    usage: Usage,
}

impl QueueQuotas {
    fn quota(&self, resource: &FlavorResource) -> FlavorQuota {
        self.quotas.get(resource).copied().unwrap_or_default()
    }

    fn used(&self, resource: &FlavorResource) -> i64 {
        self.usage.get(resource).copied().unwrap_or_default()
    }

    /// Quota that it never lends (`localQuota`).
    fn guaranteed(&self, resource: &FlavorResource) -> i64 {
        let FlavorQuota { nominal_milli, lending_limit_milli, .. } = self.quota(resource);
        lending_limit_milli.map_or(0, |limit| (nominal_milli - limit).max(0))
    }

    /// Its usage of the cohort's quota.
    fn used_of_cohort(&self, resource: &FlavorResource) -> i64 {
        (self.used(resource) - self.guaranteed(resource)).max(0)
    }
}

impl Quotas {
    /// Adds a ClusterQueue that uses nothing.
    pub(crate) fn add_queue(&mut self, name: Name, spec: &ClusterQueueSpec) {
        let flavors = spec.groups.iter().flat_map(|group| &group.flavors);
        let quotas = flavors.flat_map(|flavor| {
            let of = |(resource, quota): &(Name, FlavorQuota)| {
                ((flavor.flavor.clone(), resource.clone()), *quota)
            };
            flavor.quotas.iter().map(of)
        });
        let quotas = quotas.collect();
        let queue = QueueQuotas { cohort: spec.cohort.clone(), quotas, usage: Usage::new() };
        self.queues.insert(name, queue);
    }

    /// A Job of the queue uses this much.
    pub fn add(&mut self, queue: &Name, usage: &Usage) {
        let Some(queue) = self.queues.get_mut(queue) else { return };
        for (resource, amount) in usage {
            *queue.usage.entry(resource.clone()).or_default() += amount;
        }
    }

    /// It does no more.
    pub fn remove(&mut self, queue: &Name, usage: &Usage) {
        let Some(queue) = self.queues.get_mut(queue) else { return };
        for (resource, amount) in usage {
            *queue.usage.entry(resource.clone()).or_default() -= amount;
        }
    }

    /// The quota of a queue, and what is used of it.
    pub fn of(&self, queue: &Name, resource: &FlavorResource) -> (FlavorQuota, i64) {
        let queue = self.queues.get(queue);
        queue.map_or_else(Default::default, |queue| (queue.quota(resource), queue.used(resource)))
    }

    /// Amount that a queue can still use, with what its cohort lends (`available`).
    pub fn available(&self, name: &Name, resource: &FlavorResource) -> i64 {
        let Some(queue) = self.queues.get(name) else { return 0 };
        let FlavorQuota { nominal_milli, borrowing_limit_milli, .. } = queue.quota(resource);
        let Some(cohort) = &queue.cohort else { return nominal_milli - queue.used(resource) };
        let guaranteed = queue.guaranteed(resource);
        let local = (guaranteed - queue.used(resource)).max(0);
        let members = self.queues.values().filter(|other| other.cohort.as_ref() == Some(cohort));
        let mut lent = members.fold(0, |sum, other| {
            let shared = other.quota(resource).nominal_milli - other.guaranteed(resource);
            sum + shared - other.used_of_cohort(resource)
        });
        if let Some(limit) = borrowing_limit_milli {
            let own_share = nominal_milli - guaranteed - queue.used_of_cohort(resource);
            lent = lent.min(own_share.saturating_add(limit));
        }
        local + lent
    }

    /// The most that a queue can ever use, with all that its cohort lends (`potentialAvailable`).
    pub fn potential(&self, name: &Name, resource: &FlavorResource) -> i64 {
        let Some(queue) = self.queues.get(name) else { return 0 };
        let FlavorQuota { nominal_milli, borrowing_limit_milli, .. } = queue.quota(resource);
        let Some(cohort) = &queue.cohort else { return nominal_milli };
        let members = self.queues.values().filter(|other| other.cohort.as_ref() == Some(cohort));
        let shared = members.fold(0, |sum, other| {
            sum + other.quota(resource).nominal_milli - other.guaranteed(resource)
        });
        let all = queue.guaranteed(resource) + shared;
        borrowing_limit_milli.map_or(all, |limit| all.min(nominal_milli.saturating_add(limit)))
    }

    /// Whether a queue uses, or with this amount would use, more than its nominal quota.
    pub fn borrows(&self, queue: &Name, resource: &FlavorResource, more: i64) -> bool {
        let (quota, used) = self.of(queue, resource);
        used + more > quota.nominal_milli
    }

    /// Whether a queue with this amount would use quota of its cohort.
    pub(crate) fn borrows_from_cohort(
        &self,
        name: &Name,
        resource: &FlavorResource,
        more: i64,
    ) -> bool {
        self.queues.get(name).is_some_and(|queue| queue.cohort.is_some())
            && self.borrows(name, resource, more)
    }

    /// Whether all of this fits.
    pub fn fits(&self, queue: &Name, usage: &Usage) -> bool {
        usage.iter().all(|(resource, amount)| *amount <= self.available(queue, resource))
    }

    /// Whether two queues belong to one cohort.
    pub(crate) fn are_together(&self, one: &Name, other: &Name) -> bool {
        let cohort = |name| self.queues.get(name).and_then(|queue| queue.cohort.as_ref());
        cohort(one).is_some() && cohort(one) == cohort(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::kueue::{FlavorQuotas, ResourceGroup};

    fn spec(nominal: i64, borrowing: Option<i64>, lending: Option<i64>) -> ClusterQueueSpec {
        let quota = FlavorQuota {
            nominal_milli: nominal,
            borrowing_limit_milli: borrowing,
            lending_limit_milli: lending,
        };
        let flavors =
            vec![FlavorQuotas { flavor: "any".into(), quotas: vec![("cpu".into(), quota)] }];
        ClusterQueueSpec {
            cohort: Some("all".into()),
            groups: vec![ResourceGroup { resources: vec!["cpu".into()], flavors }],
            ..ClusterQueueSpec::default()
        }
    }

    fn cpu() -> FlavorResource {
        ("any".into(), "cpu".into())
    }

    fn quotas(a: &ClusterQueueSpec, b: &ClusterQueueSpec, used: [i64; 2]) -> Quotas {
        let mut quotas = Quotas::default();
        for ((name, spec), used) in [("a", a), ("b", b)].into_iter().zip(used) {
            quotas.add_queue(name.into(), spec);
            quotas.add(&name.into(), &[(cpu(), used)].into_iter().collect());
        }
        quotas
    }

    #[test]
    fn a_cohort_lends_what_its_queues_leave() {
        let quotas = quotas(&spec(10, None, None), &spec(20, None, None), [4, 5]);
        assert_eq!(quotas.available(&"a".into(), &cpu()), 21);
        assert!(!quotas.borrows(&"a".into(), &cpu(), 6) && quotas.borrows(&"a".into(), &cpu(), 7));
    }

    #[test]
    fn the_borrowing_limit_caps_what_a_queue_gets_beyond_its_own() {
        let quotas = quotas(&spec(10, Some(3), None), &spec(20, None, None), [4, 5]);
        assert_eq!(quotas.available(&"a".into(), &cpu()), 9);
    }

    #[test]
    fn the_lending_limit_keeps_a_part_for_the_queue_itself() {
        // Of the 20 only 8 are for others; the 5 in use are of the 12 that are not.
        let quotas = quotas(&spec(10, None, None), &spec(20, None, Some(8)), [4, 5]);
        assert_eq!(quotas.available(&"a".into(), &cpu()), 14);
        assert_eq!(quotas.available(&"b".into(), &cpu()), 21);
    }

    #[test]
    fn a_queue_can_never_use_more_than_the_limits_of_its_cohort_leave() {
        let potential = |borrowing, lending| {
            let quotas = quotas(&spec(10, borrowing, None), &spec(20, None, lending), [4, 5]);
            quotas.potential(&"a".into(), &cpu())
        };
        assert_eq!(potential(None, None), 30);
        assert_eq!(potential(Some(3), None), 13);
        assert_eq!(potential(None, Some(8)), 18);
    }
}
