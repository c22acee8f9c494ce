//! Instance types and their prices (`pkg/cloudprovider/types.go`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::amounts::Amounts;
use super::go_sort::sort_slice;
use super::labels::{CAPACITY_TYPE, ON_DEMAND, RESERVED, SPOT, ZONE};
use super::requirements::Requirements;
use cluster::Name;

/// A type of machine.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceType {
    /// Name.
    pub name: Name,
    /// The possible labels of a node of this type.
    pub requirements: Requirements,
    /// Its offerings: zone, capacity type and price.
    pub offerings: Vec<Offering>,
    /// Total capacity.
    pub capacity: Amounts,
    /// Resources allocatable to pods.
    pub allocatable: Amounts,
}

/// An offering of an instance type.
#[derive(Clone, Debug, PartialEq)]
pub struct Offering {
    /// Zone.
    pub zone: Name,
    /// `spot`, `on-demand` or `reserved`.
    pub capacity_type: Name,
    /// Dollars an hour.
    pub price: f64,
    /// True if it is available now.
    pub is_available: bool,
}

impl Offering {
    /// True if a node with these requirements may use this offering.
    pub fn is_compatible(&self, requirements: &Requirements) -> bool {
        requirements.allows(ZONE, &self.zone)
            && requirements.allows(CAPACITY_TYPE, &self.capacity_type)
    }
}

/// Keys with fewer distinct values than their `minValues`, and the number that they have.
pub type Unsatisfied = BTreeMap<Name, i64>;

impl InstanceType {
    /// The available offerings that meet these requirements.
    pub fn launchable<'a>(
        &'a self,
        requirements: &'a Requirements,
    ) -> impl Iterator<Item = &'a Offering> {
        self.offerings.iter().filter(|one| one.is_available && one.is_compatible(requirements))
    }

    /// The lowest price of an available offering that meets these requirements.
    pub fn cheapest(&self, requirements: &Requirements) -> Option<f64> {
        self.launchable(requirements).map(|one| one.price).reduce(f64::min)
    }

    /// The highest price of a node with these requirements: that of the capacity type that would be chosen
    /// (`WorstLaunchPrice`).
    pub(crate) fn worst_launch_price(&self, requirements: &Requirements) -> f64 {
        let of = |capacity_type: &str| {
            let offerings = self.launchable(requirements);
            let own = offerings.filter(|one| one.capacity_type.as_ref() == capacity_type);
            own.map(|one| one.price).reduce(f64::max)
        };
        of(RESERVED).or_else(|| of(SPOT)).or_else(|| of(ON_DEMAND)).unwrap_or(f64::MAX)
    }

    /// The lowest price of the offerings that match a node's labels, available or not.
    pub fn price_of(&self, labels: &Requirements) -> Option<f64> {
        let own = self.offerings.iter().filter(|one| one.is_compatible(labels));
        own.map(|one| one.price).reduce(f64::min)
    }
}

/// Orders types by their lowest available price (`OrderByPrice`).
pub(crate) fn order_by_price(types: &mut Vec<Arc<InstanceType>>, requirements: &Requirements) {
    let price = |one: &Arc<InstanceType>| one.cheapest(requirements).unwrap_or(f64::MAX);
    let mut priced: Vec<_> = types.drain(..).map(|one| (price(&one), one)).collect();
    sort_slice(&mut priced, |one, other| one.0 < other.0);
    types.extend(priced.into_iter().map(|(_, one)| one));
}

/// The length of the shortest prefix of the types that has enough distinct values for the `minValues` of all keys,
/// or the keys for which all types together have too few (`SatisfiesMinValues`).
pub(crate) fn satisfies_min_values(
    types: &[Arc<InstanceType>],
    requirements: &Requirements,
) -> Result<usize, Unsatisfied> {
    let wanted: Vec<(&Name, i64)> =
        requirements.iter().filter_map(|one| Some((&one.key, one.min_values?))).collect();
    if wanted.is_empty() {
        return Ok(0);
    }
    let mut values: BTreeMap<&Name, BTreeSet<&Name>> = BTreeMap::new();
    let mut short = Unsatisfied::new();
    for (place, one) in types.iter().enumerate() {
        for (key, _) in &wanted {
            let found = one.requirements.get(key).map(|one| one.values());
            values.entry(key).or_default().extend(found.into_iter().flatten());
        }
        short = wanted
            .iter()
            .map(|(key, least)| {
                (*key, *least, i64::try_from(values[*key].len()).unwrap_or(i64::MAX))
            })
            .filter(|(_, least, count)| count < least)
            .map(|(key, _, count)| (key.clone(), count))
            .collect();
        if short.is_empty() {
            return Ok(place + 1);
        }
    }
    if short.is_empty() { Ok(types.len()) } else { Err(short) }
}
