//! The values that settings have in a scenario: what a change leaves as it is.

use serde_json::Value;

use manifest::{Diagnostics, Manifest, read_manifests};
use scenario::Override;
use scenario::resolved::ResolvedScenario;

/// The objects of a scenario's manifests, with the settings that are made in them.
pub fn objects(resolved: &ResolvedScenario) -> Vec<Manifest> {
    let mut manifests = read_manifests(&resolved.files.manifests, &mut Diagnostics::default());
    for manifest in &mut manifests {
        for setting in &resolved.manifest_settings {
            if setting.object() == Some(&manifest.reference) {
                // One that cannot be made has ended the command before.
                let _ = setting.apply(&mut manifest.value);
            }
        }
    }
    manifests
}

/// A scenario with its objects, in which settings are made to see whether they change anything.
#[derive(Clone, Debug)]
pub struct Current {
    /// The scenario.
    pub scenario: Value,
    /// The objects of its manifests.
    pub manifests: Vec<Manifest>,
}

impl Current {
    /// Of a scenario with its settings.
    pub fn new(resolved: &ResolvedScenario) -> Self {
        let scenario = serde_json::to_value(resolved.scenario()).unwrap_or_default();
        Self { scenario, manifests: objects(resolved) }
    }

    /// Whether a setting has this value: setting it changes nothing.
    pub fn has(&self, path: &str, value: &str) -> bool {
        let Ok(setting) = format!("{path}={value}").parse::<Override>() else { return false };
        let document = match setting.object() {
            Some(object) => {
                let own = self.manifests.iter().find(|one| one.reference == *object);
                own.map(|one| &one.value)
            }
            None => Some(&self.scenario),
        };
        document.is_some_and(|document| {
            let mut after = document.clone();
            setting.apply(&mut after).is_ok() && after == *document
        })
    }

    /// For each path the one of its values that it has now, among the settings to run; nothing if it has another.
    pub fn values(&self, varied: &[String], cells: &[Vec<String>]) -> Vec<Option<String>> {
        let of_path = |(place, path): (usize, &String)| {
            let mut values: Vec<&String> =
                cells.iter().filter_map(|cell| cell.get(place)).collect();
            values.sort_unstable();
            values.dedup();
            values.into_iter().find(|value| self.has(path, value)).cloned()
        };
        varied.iter().enumerate().map(of_path).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_current_value_is_the_one_that_changes_nothing() {
        let scenario =
            json!({"seed": 7, "cluster": {"nodePools": [{"name": "general", "count": 3}]}});
        let current = Current { scenario, manifests: Vec::new() };
        let varied = ["cluster.nodePools[general].count", "seed"].map(str::to_owned);
        let cells =
            [["2", "1"], ["3", "2"], ["4", "3"]].map(|cell| cell.map(str::to_owned).to_vec());
        assert_eq!(current.values(&varied, &cells), [Some("3".to_owned()), None]);
    }
}
