//! Helm charts, rendered by `helm template` if Helm is installed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use manifest::Source;
use scenario::HelmChart;

/// Rendering options of charts, by folder.
#[derive(Clone, Debug, Default)]
pub struct HelmCharts(BTreeMap<String, HelmChart>);

impl HelmCharts {
    /// Paths are relative to the working directory.
    pub fn new(charts: impl IntoIterator<Item = HelmChart>) -> Self {
        Self(charts.into_iter().map(|chart| (tidy(&chart.path), chart)).collect())
    }

    /// Renders the chart in a folder to one text.
    pub(super) fn render(&self, folder: &str) -> Result<Source, String> {
        let unset = HelmChart::of(folder);
        let chart = self.0.get(&tidy(folder)).unwrap_or(&unset);
        let arguments = arguments(chart, folder);
        let by_hand = || {
            let line: Vec<&str> = arguments.iter().map(String::as_str).collect();
            format!(
                "render it where Helm is installed, and use the output: helm {} > rendered.yaml",
                line.join(" ")
            )
        };
        let mut helm = Command::new("helm");
        helm.args(&arguments).stdin(Stdio::null());
        let done = helm.output().map_err(|_| {
            format!("{folder} is a Helm chart, but `helm` is not on the PATH; {}", by_hand())
        })?;
        if !done.status.success() {
            let stderr_text = String::from_utf8_lossy(&done.stderr);
            return Err(format!("`helm {}` failed: {}", arguments.join(" "), stderr_text.trim()));
        }
        let text = String::from_utf8(done.stdout)
            .map_err(|_| format!("the output of `helm template` for {folder} is not UTF-8 text"))?;
        Ok(Source::new(&format!("{folder} (rendered)"), text))
    }
}

/// True if the folder is a chart.
pub fn is_chart(folder: &Path) -> bool {
    folder.join("Chart.yaml").is_file()
}

/// Arguments of `helm`. Hooks are excluded: they run once at installation, or on `helm test`.
fn arguments(chart: &HelmChart, folder: &str) -> Vec<String> {
    let mut arguments = vec![
        "template".to_owned(),
        chart.release_name(),
        folder.to_owned(),
        "--no-hooks".to_owned(),
    ];
    if let Some(namespace) = &chart.namespace {
        arguments.extend(["--namespace".to_owned(), namespace.clone()]);
    }
    for file in &chart.values_files {
        arguments.extend(["--values".to_owned(), file.clone()]);
    }
    arguments
}

fn tidy(path: &str) -> String {
    manifest::kustomize::join(path, ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_rendered_under_its_release_with_its_values_in_order() {
        let chart = HelmChart {
            release_name: Some("shop".to_owned()),
            namespace: Some("prod".to_owned()),
            values_files: vec!["a.yaml".to_owned(), "b.yaml".to_owned()],
            ..HelmChart::of("charts/web")
        };
        assert_eq!(
            arguments(&chart, "charts/web").join(" "),
            "template shop charts/web --no-hooks --namespace prod --values a.yaml --values b.yaml"
        );
        let unset = arguments(&HelmChart::of("charts/Web_App/"), "charts/Web_App/");
        assert_eq!(unset.join(" "), "template web-app charts/Web_App/ --no-hooks");
    }
}
