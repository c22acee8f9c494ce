//! Names, labels and ownership: the metadata common to all objects.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::document::Document;
use engine::SimTime;

/// A name, label key or label value. Cheap to clone.
pub type Name = Arc<str>;

/// Namespace and name of an object; cluster-scoped objects have an empty namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NamespacedName {
    /// `metadata.namespace`, empty for cluster-scoped kinds.
    pub namespace: Name,
    /// `metadata.name`.
    pub name: Name,
}

impl NamespacedName {
    /// The name `namespace/name`.
    pub fn new(namespace: impl Into<Name>, name: impl Into<Name>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl Ord for NamespacedName {
    /// By namespace, then by name.
    fn cmp(&self, other: &Self) -> Ordering {
        // Most names share the allocation of their namespace, which avoids comparing its text.
        if Arc::ptr_eq(&self.namespace, &other.namespace) {
            return self.name.cmp(&other.name);
        }
        self.namespace.cmp(&other.namespace).then_with(|| self.name.cmp(&other.name))
    }
}

impl PartialOrd for NamespacedName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for NamespacedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// Labels or annotations: keys and values, sorted by key. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[(Name, Name)]>);

impl Labels {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Name> {
        let found = self.0.binary_search_by(|(k, _)| k.as_ref().cmp(key)).ok()?;
        Some(&self.0[found].1)
    }

    /// Whether the key is present.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// All pairs, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Name)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These labels with one added or overwritten.
    pub fn with(&self, key: impl Into<Name>, value: impl Into<Name>) -> Self {
        self.iter()
            .map(|(k, v)| (k.clone(), v.clone()))
            .chain([(key.into(), value.into())])
            .collect()
    }

    /// True if these labels equal `other`, ignoring one key.
    pub(crate) fn equal_ignoring(&self, other: &Self, key: &str) -> bool {
        let is_other = |pair: &&(Name, Name)| pair.0.as_ref() != key;
        self.0.iter().filter(is_other).eq(other.0.iter().filter(is_other))
    }
}

impl<K: Into<Name>, V: Into<Name>> FromIterator<(K, V)> for Labels {
    /// On duplicate keys the last value wins.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let sorted: BTreeMap<Name, Name> =
            pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Self(sorted.into_iter().collect())
    }
}

/// Metadata common to all objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Namespace and name.
    pub id: NamespacedName,
    /// Labels of the object itself, not of its pods.
    pub labels: Labels,
    /// Annotations of the object itself.
    pub annotations: Labels,
    /// `creationTimestamp`, truncated to whole seconds as in the API server.
    pub created: SimTime,
    /// Creation number in the store: breaks ties between equal creation times.
    pub sequence: u64,
    /// Stands for `uid`: unique in a run. Controllers that compare UIDs compare these numbers.
    pub uid: u64,
    /// `resourceVersion`: number of the last write in the store.
    pub resource_version: u64,
    /// `generation`: counts changes of the spec.
    pub generation: i64,
    /// `deletionTimestamp` of an object still held by a finalizer.
    pub deletion: Option<SimTime>,
    /// The object as written; absent if a controller created it.
    pub document: Option<Arc<Document>>,
}

impl ObjectMeta {
    /// The metadata of an object that is about to be created.
    pub fn new(namespace: impl Into<Name>, name: impl Into<Name>) -> Self {
        Self {
            id: NamespacedName::new(namespace, name),
            labels: Labels::default(),
            annotations: Labels::default(),
            created: SimTime::ZERO,
            sequence: 0,
            uid: 0,
            resource_version: 0,
            generation: 1,
            deletion: None,
            document: None,
        }
    }

    /// `metadata.name`.
    pub const fn name(&self) -> &Name {
        &self.id.name
    }

    /// `metadata.namespace`.
    pub const fn namespace(&self) -> &Name {
        &self.id.namespace
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_by_key_and_the_last_value_wins() {
        let labels: Labels = [("b", "1"), ("a", "2"), ("b", "3")].into_iter().collect();
        assert_eq!(labels.get("b").map(AsRef::as_ref), Some("3"));
        assert_eq!(labels.get("c"), None);
        assert_eq!(labels.with("a", "9").get("a").map(AsRef::as_ref), Some("9"));
        assert_eq!(labels.len(), 2);
    }
}
