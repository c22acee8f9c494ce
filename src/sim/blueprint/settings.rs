//! Settings of manifests (`--set manifests.KIND/NAMESPACE/NAME.PATH=VALUE`).

use serde_json::Value;

use manifest::{Diagnostic, Diagnostics, Manifest};
use scenario::Override;

/// Applies a setting to the manifest that it names.
pub(super) fn set_in_manifests(
    manifests: &mut [Manifest],
    setting: &Override,
    problems: &mut Diagnostics,
) {
    let mut found = false;
    for manifest in manifests.iter_mut() {
        if Some(&manifest.reference) == setting.object() {
            found = true;
            let before = identity(&manifest.value);
            if let Err(error) = setting.apply(&mut manifest.value) {
                problems.push(Diagnostic::error("setting", error.to_string()));
            } else if identity(&manifest.value) != before {
                let message =
                    format!("{setting}: an object's kind, name and namespace cannot be set");
                let help = "change them in the manifest, and wherever the object is named";
                problems.push(Diagnostic::error("setting", message).help(help));
            }
        }
    }
    if !found {
        let message = format!("{setting}: no manifest defines this object");
        problems.push(Diagnostic::error("setting", message));
    }
}

/// The fields by which an object is known.
fn identity(object: &Value) -> [Option<Value>; 4] {
    ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"]
        .map(|field| object.pointer(field).cloned())
}
