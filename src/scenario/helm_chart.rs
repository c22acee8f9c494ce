//! Rendering options for Helm charts among the manifests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rendering options of a Helm chart, named as in Kustomize's `helmCharts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HelmChart {
    /// The chart's folder, relative to this file; it is listed in `manifests` or lies in a folder listed there.
    pub path: String,
    /// Name of the release. Default: the name of the folder.
    pub release_name: Option<String>,
    /// Namespace of the release. Default: default.
    pub namespace: Option<String>,
    /// Values files, relative to this file; later files override earlier ones. Default: the chart's own values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values_files: Vec<String>,
}

impl HelmChart {
    /// Options of a chart with defaults only.
    pub fn of(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            release_name: None,
            namespace: None,
            values_files: Vec::new(),
        }
    }

    /// Name of the release, by default derived from the folder: lower case, digits and `-`, at most 53 characters.
    pub fn release_name(&self) -> String {
        if let Some(name) = &self.release_name {
            return name.clone();
        }
        let folder = self.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let fitting = |letter: char| match letter.to_ascii_lowercase() {
            letter if letter.is_ascii_lowercase() || letter.is_ascii_digit() => letter,
            _ => '-',
        };
        let name: String = folder.chars().map(fitting).take(53).collect();
        let name = name.trim_matches('-');
        if name.is_empty() { "release".to_owned() } else { name.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_called_as_the_folder_as_far_as_its_rules_allow() {
        for (path, name) in
            [("charts/web", "web"), ("Web_App/", "web-app"), (".", "release"), ("a/_b_", "b")]
        {
            assert_eq!(HelmChart::of(path).release_name(), name);
        }
        let named = HelmChart { release_name: Some("shop".to_owned()), ..HelmChart::of("web") };
        assert_eq!(named.release_name(), "shop");
    }
}
