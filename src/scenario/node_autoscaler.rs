//! The node autoscaler with its flags.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::karpenter::KarpenterSettings;
use super::machines::Preset;
use cluster_autoscaler::expander::PriorityList;
use cluster_autoscaler::{OptionError, Options};
use units::LoopPhase;

/// The node autoscaler of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NodeAutoscaler {
    /// The Cluster Autoscaler. Pools whose `count` has bounds use it even if it is not configured here, then with its
    /// default flags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_autoscaler: Option<ClusterAutoscalerSettings>,
    /// Karpenter. It runs if the manifests contain a NodePool, even if it is not configured here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub karpenter: Option<KarpenterSettings>,
}

/// Settings of the Cluster Autoscaler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClusterAutoscalerSettings {
    /// Command-line flags by name, such as {expander: "priority,least-waste", scale-down-unneeded-time: 5m}; repeatable
    /// flags take a list. Default: the autoscaler's own defaults.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub flags: BTreeMap<String, Value>,
    /// The ConfigMap of the `priority` expander: name patterns of pools by priority, such as `{50: [spot], 10:
    /// [general]}`. Without it, that expander adds no node.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub priorities: BTreeMap<i64, Vec<String>>,
    /// Time of the first loop: a time from the start, or seeded for a random time within the scan interval. Default
    /// seeded.
    pub first_loop: LoopPhase,
}

impl Default for ClusterAutoscalerSettings {
    fn default() -> Self {
        Self { flags: BTreeMap::new(), priorities: BTreeMap::new(), first_loop: LoopPhase::Seeded }
    }
}

/// An invalid flag: its name, its index if the flag is a list, and the reason.
pub(super) type FlagProblem = (String, Option<usize>, String);

impl ClusterAutoscalerSettings {
    /// The autoscaler's flags, and all that are invalid.
    pub(super) fn read(&self, preset: Option<Preset>) -> (Options, Vec<FlagProblem>) {
        let mut options = Options::default();
        for (flag, value) in preset.map_or(&[][..], Preset::cluster_autoscaler_flags) {
            options.set(flag, value).expect("flags of presets are right: a test looks at each");
        }
        let mut problems = Vec::new();
        for (flag, value) in &self.flags {
            let items = value.as_array();
            for (at, item) in
                items.map_or(std::slice::from_ref(value), Vec::as_slice).iter().enumerate()
            {
                let text = match item {
                    Value::String(text) => Ok(text.clone()),
                    Value::Number(_) | Value::Bool(_) => Ok(item.to_string()),
                    _ => Err("a flag is text, a number, true or false".to_owned()),
                };
                let set = |text: String| {
                    options.set(flag, &text).map_err(|OptionError { problem, .. }| problem)
                };
                if let Err(problem) = text.and_then(set) {
                    problems.push((flag.clone(), items.map(|_| at), problem));
                }
            }
        }
        let lists = self
            .priorities
            .iter()
            .map(|(priority, patterns)| (*priority, patterns.iter().map(String::as_str).collect()));
        match PriorityList::new(lists) {
            Ok(_) if self.priorities.is_empty() => {}
            Ok(priorities) => options.priorities = priorities,
            Err(problem) => problems.push((String::new(), None, problem)),
        }
        (options, problems)
    }

    /// The flags, overriding those of the cluster's preset; invalid ones are reported by the scenario check.
    pub fn options(&self, preset: Option<Preset>) -> Options {
        self.read(preset).0
    }
}
