//! Who makes pools larger and smaller, with its flags.

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
    /// The Cluster Autoscaler. Pools whose `count` has bounds get it without a word here, too, with the flags that
    /// it has without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_autoscaler: Option<ClusterAutoscalerSettings>,
    /// Karpenter. It runs if there is a NodePool among the manifests, with or without a word here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub karpenter: Option<KarpenterSettings>,
}

/// The Cluster Autoscaler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClusterAutoscalerSettings {
    /// Its flags under their own names, such as {expander: "priority,least-waste", scale-down-unneeded-time: 5m};
    /// those that may come several times take a list. Default: as without any.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub flags: BTreeMap<String, Value>,
    /// The config map of the expander `priority`: patterns of pools by priority, such as
    /// `{50: [spot], 10: [general]}`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub priorities: BTreeMap<i64, Vec<String>>,
    /// When its first loop is: a time from the start, or seeded, for any time within its scan interval. Default seeded.
    pub first_loop: LoopPhase,
}

impl Default for ClusterAutoscalerSettings {
    fn default() -> Self {
        Self { flags: BTreeMap::new(), priorities: BTreeMap::new(), first_loop: LoopPhase::Seeded }
    }
}

/// What is wrong with a flag: its name, its place in a list if it has one, and the reason.
pub(super) type FlagProblem = (String, Option<usize>, String);

impl ClusterAutoscalerSettings {
    /// The flags of the autoscaler, and all that is wrong with them.
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
                    _ => Err("a flag is a text, a number, true or false".to_owned()),
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
            Ok(priorities) => options.priorities = priorities,
            Err(problem) => problems.push((String::new(), None, problem)),
        }
        (options, problems)
    }

    /// The flags, over those of the cluster's preset; those that are wrong are reported by the scenario's own check.
    pub fn options(&self, preset: Option<Preset>) -> Options {
        self.read(preset).0
    }
}
