//! Sums of resources, exact to the nano (`pkg/utils/resources`).

use cluster::Name;
use cluster::pod_template::ResourceList;

/// The resources that nearly every pod and node has, kept in place.
const COMMON: [&str; 5] = ["cpu", "memory", "pods", "ephemeral-storage", "nodes"];
/// The place of CPU.
const CPU: usize = 0;
/// The place of memory.
const MEMORY: usize = 1;
/// The place of pods.
const PODS: usize = 2;
const NANO: i128 = 1_000_000_000;

/// Amounts by resource, in nano-units. A resource that is not named counts as 0 where amounts are compared, but
/// is not made up where others are subtracted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    common: [i128; COMMON.len()],
    /// Which of the common ones are named, as bits.
    named: u8,
    /// The others, by name.
    others: Vec<(Name, i128)>,
}

impl Amounts {
    /// The amounts of a list.
    pub fn of(list: &ResourceList) -> Self {
        list.iter().map(|(name, amount)| (name.clone(), amount.nanos())).collect()
    }

    /// These amounts and one more pod.
    pub fn with_pods(mut self, pods: usize) -> Self {
        self.common[PODS] = pods as i128 * NANO;
        self.named |= 1 << PODS;
        self
    }

    /// One node, beside what is named.
    pub fn with_a_node(mut self) -> Self {
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

    /// An amount if it is named, in nano-units.
    pub fn get(&self, resource: &str) -> Option<i128> {
        if let Some(place) = COMMON.iter().position(|name| *name == resource) {
            return (self.named >> place & 1 == 1).then(|| self.common[place]);
        }
        let found = self.others.binary_search_by(|(name, _)| name.as_ref().cmp(resource)).ok()?;
        Some(self.others[found].1)
    }

    /// Names an amount.
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

    /// All that is named, the common ones first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i128)> {
        let named = |place: &usize| self.named >> *place & 1 == 1;
        let common =
            (0..COMMON.len()).filter(named).map(|place| (COMMON[place], self.common[place]));
        common.chain(self.others.iter().map(|(name, nanos)| (name.as_ref(), *nanos)))
    }

    /// Adds others to these (`Merge`).
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

    /// Takes others off these, also what is not named here (`SubtractFrom`).
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

    /// These amounts less others, of which only what is named here counts (`Subtract`).
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

    /// Nothing below 0.
    pub fn floor(&mut self) {
        for own in self.common.iter_mut().chain(self.others.iter_mut().map(|(_, nanos)| nanos)) {
            *own = (*own).max(0);
        }
    }

    /// Raises each amount to that of others, where that is larger or not yet named (`MaxResources`).
    pub fn raise_to(&mut self, other: &Self) {
        for (name, nanos) in other.iter() {
            if self.get(name).is_none_or(|own| own < nanos) {
                self.set(&Name::from(name), nanos);
            }
        }
    }

    /// Whether these fit into others, none of which may be below 0 (`Fits`).
    pub fn fits(&self, total: &Self) -> bool {
        total.common.iter().all(|nanos| *nanos >= 0)
            && total.others.iter().all(|(_, nanos)| *nanos >= 0)
            && self.common.iter().zip(&total.common).all(|(one, other)| one <= other)
            && self.others.iter().all(|(name, nanos)| *nanos <= total.get(name).unwrap_or(0))
    }

    /// Whether any amount that a limit names is above it (`Limits.ExceededBy`).
    pub fn exceeds(&self, limits: &Self) -> Option<String> {
        let over =
            |(name, limit): &(&str, i128)| self.get(name).is_some_and(|nanos| nanos > *limit);
        limits.iter().find(over).map(|(name, _)| name.to_owned())
    }

    /// Whether one of these is more than what remains of a limit that names it.
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
