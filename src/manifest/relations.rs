//! Indexes of the objects to which others refer, by name and by label.

use rustc_hash::FxHashMap;

use super::load::Object;
use cluster::selector::Selector;
use cluster::{AnySpec, Kind, Labels, Name, NamespacedName};

/// Objects by the references to them. Lookups only, never iterated.
pub(super) struct Relations<'a> {
    /// The first object of each kind, as written, and name.
    by_name: FxHashMap<(&'a str, &'a NamespacedName), &'a Object>,
    /// The first object of each simulated kind and name.
    by_id: FxHashMap<(Kind, &'a NamespacedName), &'a Object>,
    /// The last Namespace of each name.
    namespaces: FxHashMap<&'a Name, &'a Object>,
    /// HPAs and ScaledObjects by namespace and by kind and name of their target, in order.
    autoscalers: FxHashMap<(&'a Name, &'a str, &'a str), Vec<&'a Object>>,
    /// The objects that create pods, by the labels of these.
    owners: ByLabel<&'a Object>,
}

impl<'a> Relations<'a> {
    pub(super) fn new(objects: &'a [Object]) -> Self {
        let mut made = Self {
            by_name: FxHashMap::default(),
            by_id: FxHashMap::default(),
            namespaces: FxHashMap::default(),
            autoscalers: FxHashMap::default(),
            owners: ByLabel::default(),
        };
        for object in objects {
            let manifest = &object.manifest;
            let reference = &manifest.reference;
            made.by_name.entry((&manifest.kind, &reference.id)).or_insert(object);
            made.by_id.entry((reference.kind, &reference.id)).or_insert(object);
            let target = match &object.spec {
                AnySpec::Namespace(_) => {
                    made.namespaces.insert(object.meta.name(), object);
                    None
                }
                AnySpec::HorizontalPodAutoscaler(spec) => Some(&spec.scale_target),
                AnySpec::ScaledObject(spec) => Some(&spec.scale_target),
                _ => None,
            };
            if let Some(target) = target {
                let key = (object.meta.namespace(), &*target.kind, &*target.name);
                made.autoscalers.entry(key).or_default().push(object);
            }
            if let Some(template) = object.spec.pod_template() {
                made.owners.add(&template.labels, object);
            }
        }
        made
    }

    /// The first object of this kind, as written, and name.
    pub(super) fn named(&self, kind: &str, id: &NamespacedName) -> Option<&'a Object> {
        self.by_name.get(&(kind, id)).copied()
    }

    /// The first object of this kind and name.
    pub(super) fn find(&self, kind: Kind, id: &NamespacedName) -> Option<&'a Object> {
        self.by_id.get(&(kind, id)).copied()
    }

    /// The object of a namespace.
    pub(super) fn namespace(&self, name: &Name) -> Option<&'a Object> {
        self.namespaces.get(name).copied()
    }

    /// The HPAs and ScaledObjects of a namespace that scale this workload.
    pub(super) fn autoscalers(&self, namespace: &Name, kind: &str, name: &str) -> Vec<&'a Object> {
        self.autoscalers.get(&(namespace, kind, name)).cloned().unwrap_or_default()
    }

    /// The objects whose pods a selector may match, in any namespace.
    pub(super) fn owners(&self, selector: &Selector) -> &[&'a Object] {
        self.owners.candidates(selector)
    }
}

/// Items by their labels.
pub(super) struct ByLabel<T> {
    all: Vec<T>,
    /// Only ever looked up, never iterated.
    by_label: FxHashMap<(Name, Name), Vec<T>>,
}

impl<T> Default for ByLabel<T> {
    fn default() -> Self {
        Self { all: Vec::new(), by_label: FxHashMap::default() }
    }
}

impl<T: Copy> ByLabel<T> {
    pub(super) fn add(&mut self, labels: &Labels, item: T) {
        self.all.push(item);
        for (key, value) in labels.iter() {
            self.by_label.entry((key.clone(), value.clone())).or_default().push(item);
        }
    }

    /// The items that a selector may match, in the order in which they were added.
    pub(super) fn candidates(&self, selector: &Selector) -> &[T] {
        match selector.demanded_label() {
            Some(label) => self.by_label.get(&label).map_or(&[], Vec::as_slice),
            None => &self.all,
        }
    }
}
