//! Checks `assumePresent`: the objects are of the right kinds, absent from the manifests, and
//! needed by some pod.

use super::Checker;
use crate::assumed::ASSUMABLE;
use manifest::FieldPath;

impl Checker<'_> {
    /// Checks `assumePresent`.
    pub(super) fn assumed(&mut self) {
        let list = FieldPath::ROOT.field("assumePresent");
        let needed = self.ever.needed();
        for (index, object) in self.text.scenario.assume_present.iter().enumerate() {
            let path = list.item(index);
            if !ASSUMABLE.contains(&object.kind) {
                let message =
                    format!("a {} cannot be assumed to exist: its content matters", object.kind);
                let help = "only ConfigMaps, Secrets, ServiceAccounts and claims can be assumed; write a manifest for others";
                self.error(&path, message, help);
            } else if self.at_start.objects.contains(object) {
                let message = format!("{object} is in the manifests");
                self.error(&path, message, "remove it here; the manifest defines its keys");
            } else if self.is_complete && !needed.contains_key(object) {
                let message = format!("no pod needs {object}");
                self.warn(&path, message, "remove it, or check its spelling");
            }
        }
    }
}
