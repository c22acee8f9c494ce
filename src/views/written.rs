//! Fields of objects that have no part in the simulation, as written: commands, environments, mounts, the data of
//! ConfigMaps, the fields of Ingresses.

use serde_json::Value;

use super::rows::Snapshot;
use cluster::pod::Pod;
use cluster::pod_template::PodTemplate;
use cluster::{ClusterView, Kind, NamespacedName, ObjectMeta};

impl<'a> Snapshot<'a> {
    /// An object as written; null if it was not created from a document.
    pub(super) fn written(self, kind: Kind, id: &NamespacedName) -> &'a Value {
        let store = self.view.store();
        let meta = store.object_named(kind, id).and_then(|object| store.meta_of(object));
        meta.map_or(&Value::Null, document)
    }

    /// All objects of a kind with their documents.
    pub(super) fn all_written(
        self,
        kind: Kind,
    ) -> impl Iterator<Item = (&'a ObjectMeta, &'a Value)> {
        let store = self.view.store();
        let all = store.objects_of(kind).into_iter();
        let all = all.filter_map(|(object, _)| store.meta_of(object));
        all.map(|meta| (meta, document(meta)))
    }
}

fn document(meta: &ObjectMeta) -> &Value {
    meta.document.as_ref().map_or(&Value::Null, |document| &document.object)
}

/// A pod template as written; null if no manifest has it.
pub(super) fn written_template(template: &PodTemplate) -> &Value {
    template.document.get().unwrap_or(&Value::Null)
}

/// A pod's template as written.
pub(super) fn template_of<'a>(view: ClusterView<'a>, pod: &Pod) -> &'a Value {
    written_template(view.store().template_of(pod))
}
