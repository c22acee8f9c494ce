//! The behavior of a workload's pods that manifests do not state.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use cluster::{Name, ObjectReference};
use engine::SimDuration;
use kubelet::AppProfile;
use traffic::RequestModelSpec;
use units::Quantity;

/// The behavior of a workload's pods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Workload {
    /// The workload, such as Deployment/ai-agents/ai-agent.
    pub workload: ObjectReference,
    /// The application container, which handles the requests. Default: the first container.
    pub container: Option<Name>,
    /// Start, stop and failures of the application.
    #[serde(default)]
    pub app: AppProfile,
    /// Start, stop and failures of other containers, by name, including init containers and sidecars. A container
    /// not named here answers its probes immediately and exits immediately on SIGTERM.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub containers: BTreeMap<Name, AppProfile>,
    /// Memory used by the application while it runs. Default: its memory request.
    pub memory: Option<Quantity>,
    /// Additional memory per request in progress. Default: none.
    pub memory_per_request: Option<Quantity>,
    /// Additional memory per hour since the container started: a memory leak. Default: none.
    pub memory_leak_per_hour: Option<Quantity>,
    /// The cost of a request. Default: that of another workload behind the same Service, or none: the workload
    /// accepts no requests.
    pub requests: Option<RequestModelSpec>,
    /// CPU used by all serving pods together, from given times on, in addition to that of requests. It is spread
    /// evenly over the pods, and each uses at most its limit. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpu_load: Vec<CpuLoad>,
    /// Resource usage of the other containers while they run, by container name. Default: no CPU, and memory as
    /// requested.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sidecars: BTreeMap<Name, Sidecar>,
    /// Behavior that differs with certain images; settings not given here are as above.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<Name, ImageBehavior>,
}

impl Workload {
    /// The request models of its pods, for all images.
    pub fn models(&self) -> impl Iterator<Item = &RequestModelSpec> {
        let of_images = self.images.values().map(|image| &image.requests);
        std::iter::once(&self.requests).chain(of_images).flatten()
    }

    /// True if its pods serve a language model, with any image.
    pub(crate) fn serves_language_model(&self) -> bool {
        self.models().any(|model| model.llm.is_some())
    }
}

/// One step of a planned CPU load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CpuLoad {
    /// Time of the run from which this load applies.
    pub at: SimDuration,
    /// CPU of all pods together, such as 12 or 500m.
    pub cpu: Quantity,
}

/// Resource usage of a container other than the application's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Sidecar {
    /// CPU usage. Default 0.
    pub cpu: Quantity,
    /// Memory usage. Default: its memory request.
    pub memory: Option<Quantity>,
}

/// The behavior of a workload's pods with a particular image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageBehavior {
    /// Start, stop and failures of the application.
    #[serde(default)]
    pub app: AppProfile,
    /// Memory used by the application while it runs. Default: as without this image entry.
    pub memory: Option<Quantity>,
    /// Additional memory per request in progress. Default: as without this image entry.
    pub memory_per_request: Option<Quantity>,
    /// Additional memory per hour since the container started: a memory leak. Default: as without this image
    /// entry.
    pub memory_leak_per_hour: Option<Quantity>,
    /// The cost of a request. Default: as without this image entry.
    pub requests: Option<RequestModelSpec>,
}

/// Completes the images in the untyped scenario with the settings of their workload: an image only lists its
/// differences.
pub(super) fn fill_images(scenario: &mut Value) {
    let workloads = scenario.get_mut("workloads").and_then(Value::as_array_mut);
    for workload in workloads.into_iter().flatten() {
        let Some(fields) = workload.as_object_mut() else { continue };
        let common: Map<String, Value> = fields
            .iter()
            .filter(|(name, _)| {
                !matches!(
                    name.as_str(),
                    "workload" | "images" | "container" | "containers" | "cpuLoad" | "sidecars"
                )
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let images = fields.get_mut("images").and_then(Value::as_object_mut);
        for (_, image) in images.into_iter().flatten() {
            if image.is_null() || image.is_object() {
                let differences = std::mem::replace(image, Value::Object(common.clone()));
                merge(image, differences);
            }
        }
    }
}

/// The fields that determine which other fields exist: a value with one of them replaces the base as a whole.
const TAGS: [&str; 2] = ["distribution", "histogram"];

/// True if `base` could not have the fields of `differences`. A token distribution that is not a histogram has
/// no tag, only another field.
fn is_of_another_kind(base: &Map<String, Value>, differences: &Map<String, Value>) -> bool {
    TAGS.iter().any(|tag| differences.contains_key(*tag))
        || base.contains_key("histogram") && differences.contains_key("mean")
}

/// Merges `differences` into `base`, field by field.
fn merge(base: &mut Value, differences: Value) {
    match (base, differences) {
        (Value::Object(base), Value::Object(differences))
            if !is_of_another_kind(base, &differences) =>
        {
            for (name, difference) in differences {
                merge(base.entry(name).or_insert(Value::Null), difference);
            }
        }
        (_, Value::Null) => {}
        (base, difference) => *base = difference,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn another_distribution_brings_all_its_fields() {
        let mut base = json!({"cpuTime": {"distribution": "lognormal", "mean": "1ms", "cv": 1}});
        merge(&mut base, json!({"cpuTime": {"distribution": "exponential", "mean": "2ms"}}));
        assert_eq!(base, json!({"cpuTime": {"distribution": "exponential", "mean": "2ms"}}));
    }

    #[test]
    fn a_histogram_and_a_mean_replace_each_other() {
        let (mean, histogram) = (json!({"mean": 5, "cv": 1}), json!({"histogram": "tokens.csv"}));
        for (base, difference) in [(&mean, &histogram), (&histogram, &mean)] {
            let mut law = json!({"promptTokens": base, "sessions": 3});
            merge(&mut law, json!({"promptTokens": difference}));
            assert_eq!(law, json!({"promptTokens": difference, "sessions": 3}));
        }
    }

    #[test]
    fn an_image_differs_only_in_what_it_names() {
        let mut scenario = json!({"workloads": [{
            "workload": "Deployment/shop/web",
            "memory": "1Gi",
            "app": {"imagePull": "8s", "warmUp": "10s"},
            "images": {"web:v2": {"app": {"warmUp": "30s"}}, "web:v3": null},
        }]});
        fill_images(&mut scenario);
        let workload: Workload =
            serde_json::from_value(scenario["workloads"][0].clone()).expect("a valid workload");
        let [v2, v3] = ["web:v2", "web:v3"].map(|image| &workload.images[image]);
        assert_eq!(v2.app.warm_up.to_string(), "30s");
        assert_eq!(v2.app.image_pull.to_string(), "8s");
        assert_eq!(v2.memory, "1Gi".parse().ok());
        assert_eq!(v3.app, workload.app);
    }
}
