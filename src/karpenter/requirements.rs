//! Requirements on several labels (`pkg/scheduling/requirements.go`).

use std::fmt;
use std::sync::Arc;

use super::labels::{HOSTNAME, WellKnownLabels};
use super::requirement::{NodeOperator, Requirement, WrittenRequirement};
use cluster::pod_template::Affinity;
use cluster::selector::Requirement as LabelRequirement;
use cluster::{Labels, Name};

/// Requirements by key. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements(Vec<Arc<Requirement>>);

impl Requirements {
    /// Requires each label with its value.
    pub fn of_labels(labels: &Labels) -> Self {
        let mut made = Self::default();
        for (key, value) in labels.iter() {
            made.add(Arc::new(Requirement::value(key, value)));
        }
        made
    }

    /// Requirements of a NodePool or a NodeClaim.
    pub fn of_written<'a>(written: impl IntoIterator<Item = &'a WrittenRequirement>) -> Self {
        let mut made = Self::default();
        for one in written {
            let values = one.values.iter().cloned();
            made.add(Arc::new(Requirement::new(&one.key, one.operator, values, one.min_values)));
        }
        made
    }

    /// Requirements of a term of a pod's node affinity.
    pub(crate) fn of_expressions(expressions: &[LabelRequirement]) -> Self {
        let mut made = Self::default();
        for one in expressions {
            let values = one.values.iter().cloned();
            made.add(Arc::new(Requirement::new(&one.key, one.operator.into(), values, None)));
        }
        made
    }

    /// Requirements of a pod: its node selector, the first required term of its node affinity and, unless
    /// `is_strict`, its heaviest preferred term (`newPodRequirements`).
    pub fn of_pod(node_selector: &Labels, affinity: &Affinity, is_strict: bool) -> Self {
        let mut made = Self::of_labels(node_selector);
        if !is_strict {
            let mut preferred: Vec<_> = affinity.preferred_node.iter().collect();
            super::go_sort::sort_slice(&mut preferred, |one, other| one.0 > other.0);
            if let Some((_, term)) = preferred.first() {
                made.add_all(&Self::of_expressions(&term.match_expressions));
            }
        }
        if let Some(term) = affinity.required_node.as_ref().and_then(|terms| terms.first()) {
            made.add_all(&Self::of_expressions(&term.match_expressions));
        }
        made
    }

    /// Adds a requirement to those on its key.
    pub fn add(&mut self, requirement: Arc<Requirement>) {
        match self.place(&requirement.key) {
            Ok(found) => {
                let own = &mut self.0[found];
                if !Arc::ptr_eq(own, &requirement) {
                    *own = Arc::new(requirement.intersection(own));
                }
            }
            Err(place) => self.0.insert(place, requirement),
        }
    }

    /// Adds all of these requirements.
    pub fn add_all(&mut self, others: &Self) {
        for one in &others.0 {
            self.add(Arc::clone(one));
        }
    }

    /// Replaces the requirement on a key.
    pub fn replace(&mut self, requirement: Requirement) {
        match self.place(&requirement.key) {
            Ok(found) => self.0[found] = Arc::new(requirement),
            Err(place) => self.0.insert(place, Arc::new(requirement)),
        }
    }

    /// Removes the requirement on a key.
    pub fn remove(&mut self, key: &str) {
        self.0.retain(|one| one.key.as_ref() != key);
    }

    /// The requirement on a key.
    pub fn get(&self, key: &str) -> Option<&Arc<Requirement>> {
        self.place(key).ok().map(|found| &self.0[found])
    }

    /// The requirement on a key, or one that allows any value.
    pub(crate) fn get_or_any(&self, key: &Name) -> Arc<Requirement> {
        self.get(key).cloned().unwrap_or_else(|| Arc::new(Requirement::any(key)))
    }

    /// True if the value is allowed for the key.
    pub fn allows(&self, key: &str, value: &str) -> bool {
        self.get(key).is_none_or(|one| one.has(value))
    }

    /// All requirements, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Requirement>> {
        self.0.iter()
    }

    /// True if there are no requirements.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if any key has `minValues`.
    pub(crate) fn has_min_values(&self) -> bool {
        self.0.iter().any(|one| one.min_values.is_some())
    }

    /// Checks that the incoming requirements can be met as well. Those on a key that is absent here cannot, unless
    /// the absence of the label meets them or the key is one that every new node gets.
    pub fn compatible(
        &self,
        incoming: &Self,
        undefined: Option<&WellKnownLabels>,
    ) -> Result<(), String> {
        for one in &incoming.0 {
            let is_known = undefined.is_some_and(|known| known.contains(&one.key))
                || self.get(&one.key).is_some()
                || one.is_negative();
            if !is_known {
                return Err(format!("label {:?} does not have known values", one.key));
            }
        }
        match self.conflict(incoming) {
            None => Ok(()),
            Some((own, one)) => Err(format!("key {}, {one} not in {own}", one.key)),
        }
    }

    /// [`Self::compatible`] without the error message.
    pub fn is_compatible(&self, incoming: &Self, undefined: Option<&WellKnownLabels>) -> bool {
        incoming.0.iter().all(|one| match self.get(&one.key) {
            Some(own) => agree(own, one),
            None => one.is_negative() || undefined.is_some_and(|known| known.contains(&one.key)),
        })
    }

    /// True if the requirements on all common keys can be met together (`Intersects`).
    pub fn intersects(&self, incoming: &Self) -> bool {
        self.conflict(incoming).is_none()
    }

    fn conflict<'a>(&'a self, incoming: &'a Self) -> Option<(&'a Requirement, &'a Requirement)> {
        incoming.0.iter().find_map(|one| {
            let own = self.get(&one.key)?;
            (!agree(own, one)).then_some((own.as_ref(), one.as_ref()))
        })
    }

    /// The API form, ordered by key.
    pub fn written(&self) -> Vec<WrittenRequirement> {
        self.0.iter().flat_map(|one| one.written()).collect()
    }

    fn place(&self, key: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|one| one.key.as_ref().cmp(key))
    }
}

/// True if two requirements can be met together: by a value, or by the absence of the label if both allow it.
fn agree(own: &Requirement, incoming: &Requirement) -> bool {
    own.intersects(incoming) || own.is_negative() && incoming.is_negative()
}

impl fmt::Display for Requirements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().filter(|one| one.key.as_ref() != HOSTNAME);
        let shown: Vec<String> = shown.map(ToString::to_string).collect();
        f.write_str(&shown.join(", "))
    }
}

impl WrittenRequirement {
    /// Requires one of several values.
    pub fn one_of(key: &str, values: impl IntoIterator<Item = Name>) -> Self {
        Self {
            key: key.into(),
            operator: NodeOperator::In,
            values: values.into_iter().collect(),
            min_values: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn required(operator: NodeOperator, key: &str, values: &[&str]) -> Requirements {
        let values = values.iter().map(|value| Name::from(*value)).collect();
        Requirements::of_written(&[WrittenRequirement {
            key: key.into(),
            operator,
            values,
            min_values: None,
        }])
    }

    #[test]
    fn an_undefined_key_is_refused_unless_well_known_or_met_by_absence() {
        let known = WellKnownLabels::default();
        let node = required(NodeOperator::In, "a", &["1"]);
        let zone = required(NodeOperator::In, "topology.kubernetes.io/zone", &["z"]);
        let custom = required(NodeOperator::Exists, "team", &[]);
        let absent = required(NodeOperator::NotIn, "team", &["x"]);
        assert!(node.is_compatible(&zone, Some(&known)));
        assert!(!node.is_compatible(&zone, None));
        assert!(!node.is_compatible(&custom, Some(&known)));
        assert!(node.is_compatible(&absent, None));
        assert!(node.compatible(&custom, None).unwrap_err().contains("known values"));
    }

    #[test]
    fn two_negations_never_conflict() {
        let absent = required(NodeOperator::DoesNotExist, "a", &[]);
        let not_in = required(NodeOperator::NotIn, "a", &["x"]);
        assert!(absent.is_compatible(&not_in, None) && not_in.is_compatible(&absent, None));
        assert!(!absent.is_compatible(&required(NodeOperator::Exists, "a", &[]), None));
    }
}
