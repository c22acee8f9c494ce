//! Pods by name, without a second copy of the names.

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHasher};

use super::meta::NamespacedName;
use super::pod::{Pod, PodId};
use engine::Table;

/// The pods by the hash of their namespace and name.
#[derive(Clone, Debug, Default)]
pub(super) struct PodNames {
    /// Lookups only, never iterated.
    by_hash: FxHashMap<u64, PodId>,
    /// Pods whose hash was already in use by another; almost always empty.
    others: Vec<(u64, PodId)>,
}

impl PodNames {
    /// Hash of a name.
    pub(super) fn hash_of(id: &NamespacedName) -> u64 {
        let mut hasher = FxHasher::default();
        id.hash(&mut hasher);
        hasher.finish()
    }

    /// Looks up a pod by name in this table.
    pub(super) fn find(&self, pods: &Table<Pod>, id: &NamespacedName) -> Option<PodId> {
        let hash = Self::hash_of(id);
        let has_name = |pod: &PodId| pods.get(*pod).is_some_and(|pod| pod.id == *id);
        let first = self.by_hash.get(&hash).copied().filter(has_name);
        let others = || self.others.iter().filter(|(other, _)| *other == hash);
        first.or_else(|| others().map(|(_, pod)| *pod).find(has_name))
    }

    /// Inserts a pod whose name has this hash and is not taken.
    pub(super) fn insert(&mut self, hash: u64, pod: PodId) {
        if *self.by_hash.entry(hash).or_insert(pod) != pod {
            self.others.push((hash, pod));
        }
    }

    /// Removes a pod whose name has this hash.
    pub(super) fn remove(&mut self, hash: u64, pod: PodId) {
        if self.by_hash.get(&hash) == Some(&pod) {
            self.by_hash.remove(&hash);
        } else {
            self.others.retain(|(_, other)| *other != pod);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{PodDraft, PodName, PodSource};
    use crate::pod_template::PodTemplate;
    use crate::{Action, Store, apply};
    use engine::{SimTime, Streams};

    #[test]
    fn pods_whose_names_have_one_hash_are_told_apart() {
        let mut store = Store::new(Streams::new(1));
        for name in ["one", "two"] {
            let draft = PodDraft {
                name: PodName::Exact(name.into()),
                namespace: "default".into(),
                template: PodSource::New(Box::<PodTemplate>::default()),
                owner: None,
            };
            let action = Action::CreatePod(Box::new(draft));
            apply(&mut store, SimTime::ZERO, action, &mut Vec::new()).unwrap();
        }
        let pods: Vec<(PodId, NamespacedName)> =
            store.pods().iter().map(|(id, pod)| (id, pod.id.clone())).collect();
        // All under the hash of the first.
        let hash = PodNames::hash_of(&pods[0].1);
        let mut names = PodNames::default();
        names.insert(hash, pods[1].0);
        names.insert(hash, pods[0].0);
        assert_eq!(names.find(store.pods(), &pods[0].1), Some(pods[0].0));
        names.remove(hash, pods[1].0);
        assert_eq!(names.find(store.pods(), &pods[0].1), Some(pods[0].0));
        names.remove(hash, pods[0].0);
        assert_eq!(names.find(store.pods(), &pods[0].1), None);
    }
}
