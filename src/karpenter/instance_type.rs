//! Instance types and what the cloud asks for them (`pkg/cloudprovider/types.go`).

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
    /// The labels that a node of this type can have.
    pub requirements: Requirements,
    /// Where and how it can be had.
    pub offerings: Vec<Offering>,
    /// What the machine has.
    pub capacity: Amounts,
    /// What pods may use.
    pub allocatable: Amounts,
}

/// A way to get an instance type.
#[derive(Clone, Debug, PartialEq)]
pub struct Offering {
    /// Zone.
    pub zone: Name,
    /// `spot`, `on-demand` or `reserved`.
    pub capacity_type: Name,
    /// Dollars an hour.
    pub price: f64,
    /// Whether it can be had now.
    pub is_available: bool,
}

impl Offering {
    /// Whether a node with these requirements may be this one.
    pub fn is_compatible(&self, requirements: &Requirements) -> bool {
        requirements.allows(ZONE, &self.zone)
            && requirements.allows(CAPACITY_TYPE, &self.capacity_type)
    }
}

/// Which keys have fewer values than they want, and how many they have.
pub type Unsatisfied = BTreeMap<Name, i64>;

impl InstanceType {
    /// The offerings that can be had now for these requirements.
    pub fn launchable<'a>(
        &'a self,
        requirements: &'a Requirements,
    ) -> impl Iterator<Item = &'a Offering> {
        self.offerings.iter().filter(|one| one.is_available && one.is_compatible(requirements))
    }

    /// The lowest price at which it can be had now for these requirements.
    pub fn cheapest(&self, requirements: &Requirements) -> Option<f64> {
        self.launchable(requirements).map(|one| one.price).reduce(f64::min)
    }

    /// The highest price that a node with these requirements may cost: that of the capacity type that would be taken
    /// (`WorstLaunchPrice`).
    pub fn worst_launch_price(&self, requirements: &Requirements) -> f64 {
        let of = |capacity_type: &str| {
            let offerings = self.launchable(requirements);
            let own = offerings.filter(|one| one.capacity_type.as_ref() == capacity_type);
            own.map(|one| one.price).reduce(f64::max)
        };
        of(RESERVED).or_else(|| of(SPOT)).or_else(|| of(ON_DEMAND)).unwrap_or(f64::MAX)
    }

    /// The lowest price of the offerings that a node with these labels may be, available or not.
    pub fn price_of(&self, labels: &Requirements) -> Option<f64> {
        let own = self.offerings.iter().filter(|one| one.is_compatible(labels));
        own.map(|one| one.price).reduce(f64::min)
    }
}

/// Orders types by the lowest price at which they can be had (`OrderByPrice`).
pub fn order_by_price(types: &mut Vec<Arc<InstanceType>>, requirements: &Requirements) {
    let price = |one: &Arc<InstanceType>| one.cheapest(requirements).unwrap_or(f64::MAX);
    let mut priced: Vec<_> = types.drain(..).map(|one| (price(&one), one)).collect();
    sort_slice(&mut priced, |one, other| one.0 < other.0);
    types.extend(priced.into_iter().map(|(_, one)| one));
}

/// How many of the types, from the first on, have as many distinct values as each key wants; or which keys want more
/// than all of them have (`SatisfiesMinValues`).
pub fn satisfies_min_values(
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
