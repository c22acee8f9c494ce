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
                    format!("a {} cannot be assumed: more than its name matters", object.kind);
                let help = "assume ConfigMaps, Secrets, ServiceAccounts and claims; write a manifest of anything else";
                self.error(&path, message, help);
            } else if self.at_start.objects.contains(object) {
                let message = format!("{object} is among the manifests");
                self.error(&path, message, "take it out here; the manifest says which keys it has");
            } else if self.is_complete && !needed.contains_key(object) {
                let message = format!("no pod needs {object}");
                self.warn(&path, message, "take it out, or look for a misspelt name");
            }
        }
    }
}
