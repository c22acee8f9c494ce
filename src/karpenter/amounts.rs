//! Sums of resources, exact to the nano (`pkg/utils/resources`).

use cluster::Name;
use cluster::pod_template::ResourceList;

/// Resources that nearly every pod and node has, stored inline.
const COMMON: [&str; 5] = ["cpu", "memory", "pods", "ephemeral-storage", "nodes"];
/// Position of CPU in [`COMMON`].
const CPU: usize = 0;
/// Position of memory.
const MEMORY: usize = 1;
/// Position of pods.
const PODS: usize = 2;
const NANO: i128 = 1_000_000_000;

/// Amounts by resource, in nano-units. Comparisons count an absent resource as 0, whereas a subtraction does not
/// add it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Amounts {
    common: [i128; COMMON.len()],
    /// Bit set of the common resources that are present.
    named: u8,
    /// The other resources.
    others: Vec<(Name, i128)>,
}

impl Amounts {
    /// The amounts of a resource list.
    pub fn of(list: &ResourceList) -> Self {
        list.iter().map(|(name, amount)| (name.clone(), amount.nanos())).collect()
    }

    /// Sets the number of pods.
    pub fn with_pods(mut self, pods: usize) -> Self {
        self.common[PODS] = pods as i128 * NANO;
        self.named |= 1 << PODS;
        self
    }

    /// Adds one node.
    pub(crate) fn with_a_node(mut self) -> Self {
        self.set(&Name::from("nodes"), NANO);
        self
    }

    /// CPU in nano-cores.
    pub const fn cpu(&self) -> i128 {
        self.common[CPU]
    }

    /// Memory in nano-bytes.
    pub const fn memory(&self) -> i128 {
        self.common[MEMORY]
    }

    /// The amount of a resource in nano-units, if present.
    pub fn get(&self, resource: &str) -> Option<i128> {
        if let Some(place) = COMMON.iter().position(|name| *name == resource) {
            return (self.named >> place & 1 == 1).then(|| self.common[place]);
        }
        let found = self.others.binary_search_by(|(name, _)| name.as_ref().cmp(resource)).ok()?;
        Some(self.others[found].1)
    }

    /// Sets the amount of a resource.
    pub fn set(&mut self, resource: &Name, nanos: i128) {
        if let Some(place) = COMMON.iter().position(|name| *name == resource.as_ref()) {
            self.common[place] = nanos;
            self.named |= 1 << place;
            return;
        }
        match self.others.binary_search_by(|(name, _)| name.cmp(resource)) {
            Ok(found) => self.others[found].1 = nanos,
            Err(place) => self.others.insert(place, (resource.clone(), nanos)),
        }
    }

    /// All present resources, the common ones first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i128)> {
        let named = |place: &usize| self.named >> *place & 1 == 1;
        let common =
            (0..COMMON.len()).filter(named).map(|place| (COMMON[place], self.common[place]));
        common.chain(self.others.iter().map(|(name, nanos)| (name.as_ref(), *nanos)))
    }

    /// Adds other amounts (`Merge`).
    pub fn add(&mut self, other: &Self) {
        for (own, more) in self.common.iter_mut().zip(other.common) {
            *own += more;
        }
        self.named |= other.named;
        for (name, nanos) in &other.others {
            let own = self.get(name).unwrap_or(0);
            self.set(name, own + nanos);
        }
    }

    /// Subtracts other amounts, including resources absent here (`SubtractFrom`).
    pub fn take(&mut self, other: &Self) {
        for (own, less) in self.common.iter_mut().zip(other.common) {
            *own -= less;
        }
        self.named |= other.named;
        for (name, nanos) in &other.others {
            let own = self.get(name).unwrap_or(0);
            self.set(name, own - nanos);
        }
    }

    /// Subtracts the other amounts of the resources that are present here (`Subtract`).
    pub fn minus(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        for (place, own) in rest.common.iter_mut().enumerate() {
            if self.named >> place & 1 == 1 {
                *own -= other.common[place];
            }
        }
        for (name, own) in &mut rest.others {
            *own -= other.get(name).unwrap_or(0);
        }
        rest
    }

    /// Raises negative amounts to 0.
    pub fn floor(&mut self) {
        for own in self.common.iter_mut().chain(self.others.iter_mut().map(|(_, nanos)| nanos)) {
            *own = (*own).max(0);
        }
    }

    /// Raises each amount to the other one if that is larger or the resource is absent here (`MaxResources`).
    pub fn raise_to(&mut self, other: &Self) {
        for (name, nanos) in other.iter() {
            if self.get(name).is_none_or(|own| own < nanos) {
                self.set(&Name::from(name), nanos);
            }
        }
    }

    /// True if these amounts fit into `total`, none of which may be negative (`Fits`).
    pub fn fits(&self, total: &Self) -> bool {
        total.common.iter().all(|nanos| *nanos >= 0)
            && total.others.iter().all(|(_, nanos)| *nanos >= 0)
            && self.common.iter().zip(&total.common).all(|(one, other)| one <= other)
            && self.others.iter().all(|(name, nanos)| *nanos <= total.get(name).unwrap_or(0))
    }

    /// Why an amount exceeds its limit; `None` if all are within (`Limits.ExceededBy`).
    pub fn exceeds(&self, limits: &Self) -> Option<String> {
        let over =
            |(name, limit): &(&str, i128)| self.get(name).is_some_and(|nanos| nanos > *limit);
        limits.iter().find(over).map(|(name, _)| name.to_owned())
    }

    /// True if no amount exceeds what remains of its limit.
    pub fn is_within(&self, remaining: &Self) -> bool {
        remaining.iter().all(|(name, nanos)| self.get(name).unwrap_or(0) <= nanos)
    }
}

impl<K: Into<Name>> FromIterator<(K, i128)> for Amounts {
    fn from_iter<I: IntoIterator<Item = (K, i128)>>(amounts: I) -> Self {
        let mut all = Self::default();
        for (name, nanos) in amounts {
            all.set(&name.into(), nanos);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(list: &[(&str, i128)]) -> Amounts {
        list.iter().copied().collect()
    }

    #[test]
    fn what_is_not_named_is_not_made_up_by_subtraction() {
        let rest = amounts(&[("cpu", 3), ("gpu", 2)]).minus(&amounts(&[("cpu", 1), ("fpga", 1)]));
        assert_eq!(rest, amounts(&[("cpu", 2), ("gpu", 2)]));
    }

    #[test]
    fn nothing_fits_where_any_amount_is_below_zero() {
        assert!(!amounts(&[("cpu", 1)]).fits(&amounts(&[("cpu", 5), ("memory", -1)])));
        assert!(!amounts(&[("gpu", 1)]).fits(&amounts(&[("cpu", 5)])));
        assert!(amounts(&[("gpu", 0), ("cpu", 5)]).fits(&amounts(&[("cpu", 5)])));
    }
}
