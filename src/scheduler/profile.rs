//! Profiles: the plugins at each extension point, with their order, weights and arguments. Follows the rules of
//! KubeSchedulerConfiguration v1 (`pkg/scheduler/apis/config/v1` and `framework/runtime/framework.go`, 1.36); parsing
//! the file is left to `scenario`.

use std::fmt;
use std::sync::Arc;

use super::framework::{FilterPlugin, PluginName, ReservePlugin, ScorePlugin};
use super::plugins::gpu_fragmentation::TypicalPod;
use super::plugins::{self, ExtensionPoint, Plugin, PluginArguments};
use super::preemption::PreemptionArguments;
use cluster::Name;
use engine::SimDuration;

/// Name of the default profile's scheduler.
pub const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// The parts of a KubeSchedulerConfiguration that affect decisions.
#[derive(Clone, Debug)]
pub struct SchedulerConfiguration {
    /// The profiles; never empty.
    pub profiles: Vec<ProfileConfiguration>,
    /// `percentageOfNodesToScore`; 0 = by the size of the cluster.
    pub percentage_of_nodes_to_score: i64,
    /// `podInitialBackoffSeconds`.
    pub initial_backoff: SimDuration,
    /// `podMaxBackoffSeconds`.
    pub max_backoff: SimDuration,
    /// Whether waiting pods are retried on changes that may help, or after five minutes. Off in replays, which
    /// specify the retries themselves.
    pub retries_waiting_pods: bool,
}

impl Default for SchedulerConfiguration {
    fn default() -> Self {
        Self {
            profiles: vec![ProfileConfiguration::default()],
            percentage_of_nodes_to_score: 0,
            initial_backoff: SimDuration::from_secs(1),
            max_backoff: SimDuration::from_secs(10),
            retries_waiting_pods: true,
        }
    }
}

/// One profile as written in the configuration.
#[derive(Clone, Debug)]
pub struct ProfileConfiguration {
    /// The `spec.schedulerName` of its pods.
    pub scheduler_name: Name,
    /// Overrides that of the configuration.
    pub percentage_of_nodes_to_score: Option<i64>,
    /// `plugins.multiPoint`.
    pub multi_point: PluginSet,
    /// The other fields of `plugins`.
    pub points: Vec<(ExtensionPoint, PluginSet)>,
    /// `pluginConfig`.
    pub arguments: PluginArguments,
}

impl Default for ProfileConfiguration {
    fn default() -> Self {
        Self {
            scheduler_name: DEFAULT_SCHEDULER.into(),
            percentage_of_nodes_to_score: None,
            multi_point: PluginSet::default(),
            points: Vec::new(),
            arguments: PluginArguments::default(),
        }
    }
}

/// Plugins that are switched on and off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginSet {
    /// Switched on, with their weights; 0 = none is given.
    pub enabled: Vec<(Name, i64)>,
    /// Switched off; `*` = all defaults.
    pub disabled: Vec<Name>,
}

impl PluginSet {
    fn disables(&self, plugin: &str) -> bool {
        self.disabled.iter().any(|name| name.as_ref() == "*" || name.as_ref() == plugin)
    }

    fn enables(&self, plugin: &str) -> bool {
        self.enabled.iter().any(|(name, _)| name.as_ref() == plugin)
    }
}

/// A resolved profile, ready to run.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The `spec.schedulerName` of its pods.
    pub scheduler_name: Name,
    /// `percentageOfNodesToScore`; 0 = by the size of the cluster.
    pub percentage_of_nodes_to_score: i64,
    /// Whether scheduling gates hold pods back.
    pub has_gates: bool,
    /// The plugins with PreFilter, and those with only a Filter, in the order in which they examine the pod.
    pub pre_filters: Vec<PreFilterEntry>,
    /// The plugins at Filter, in their order.
    pub filters: Vec<PluginName>,
    /// The plugins at PostFilter, in their order.
    pub post_filters: Vec<PluginName>,
    /// The plugins at Score, in their order.
    pub scorers: Vec<Scorer>,
    /// Chooses the devices of a pod on its node, if a plugin does so.
    pub reserve: Option<Arc<dyn ReservePlugin>>,
    /// Arguments of preemption.
    pub preemption: PreemptionArguments,
    topology_keys: Vec<Name>,
}

/// A plugin that examines the pod before any node.
#[derive(Clone, Debug)]
pub struct PreFilterEntry {
    /// Plugin name.
    pub name: PluginName,
    /// Its code; absent where it rejects nothing here.
    pub plugin: Option<Arc<dyn FilterPlugin>>,
}

/// A plugin that scores.
#[derive(Clone, Debug)]
pub struct Scorer {
    /// Plugin name.
    pub name: PluginName,
    /// Factor applied to its scores.
    pub weight: i64,
    /// Its code.
    pub plugin: Arc<dyn ScorePlugin>,
}

/// Why a profile makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileError {
    /// No plugin has this name.
    UnknownPlugin(Name),
    /// The plugin does not implement the extension point.
    NotAtPoint(Name, ExtensionPoint),
    /// The plugin runs at the second point without the first, on which it relies.
    Needs(PluginName, ExtensionPoint, ExtensionPoint),
    /// Two profiles have this scheduler name.
    Duplicate(Name),
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPlugin(name) => {
                let known: Vec<&str> = plugins::ALL.iter().map(|plugin| plugin.name).collect();
                write!(f, "unknown plugin {name:?}; the plugins are {}", known.join(", "))
            }
            Self::NotAtPoint(name, point) => {
                write!(f, "plugin {name} does not implement the extension point {point:?}")
            }
            Self::Needs(name, first, second) => write!(
                f,
                "plugin {name} is enabled at {second:?} but not at {first:?}, which it requires"
            ),
            Self::Duplicate(name) => write!(f, "two profiles have the scheduler name {name:?}"),
        }
    }
}

impl std::error::Error for ProfileError {}

impl SchedulerConfiguration {
    /// Sets the typical pods of FGDScore in profiles that do not configure them.
    pub fn expect_typical(&mut self, typical: &[TypicalPod]) {
        for profile in &mut self.profiles {
            let fragmentation = &mut profile.arguments.gpu_fragmentation;
            if fragmentation.typical.is_empty() {
                fragmentation.typical = typical.into();
            }
        }
    }

    /// The profiles, ready to run.
    pub fn resolve(&self) -> Result<Vec<Profile>, ProfileError> {
        let mut profiles: Vec<Profile> = Vec::with_capacity(self.profiles.len());
        for written in &self.profiles {
            let profile = written.resolve(self.percentage_of_nodes_to_score)?;
            if profiles.iter().any(|known| known.scheduler_name == profile.scheduler_name) {
                return Err(ProfileError::Duplicate(profile.scheduler_name));
            }
            profiles.push(profile);
        }
        Ok(profiles)
    }
}

impl ProfileConfiguration {
    /// The profile, ready to run.
    pub fn resolve(&self, percentage_of_nodes_to_score: i64) -> Result<Profile, ProfileError> {
        let multi_point = self.multi_point()?;
        let at = |point| self.plugins_at(point, &multi_point);
        let filters = at(ExtensionPoint::Filter)?;
        let pre_filters = at(ExtensionPoint::PreFilter)?;
        let scorers = at(ExtensionPoint::Score)?;
        require(&filters, ExtensionPoint::PreFilter, &pre_filters, ExtensionPoint::Filter)?;
        let pre_scorers = at(ExtensionPoint::PreScore)?;
        require(&scorers, ExtensionPoint::PreScore, &pre_scorers, ExtensionPoint::Score)?;
        let names = |chosen: &[WeightedPlugin]| chosen.iter().map(|one| one.plugin.name).collect();
        let alone = filters.iter().filter(|one| !one.is_at(ExtensionPoint::PreFilter));
        let entry = |one: &WeightedPlugin| PreFilterEntry {
            name: one.plugin.name,
            plugin: one.plugin.filter.map(|make| make(&self.arguments)),
        };
        Ok(Profile {
            scheduler_name: self.scheduler_name.clone(),
            percentage_of_nodes_to_score: self
                .percentage_of_nodes_to_score
                .unwrap_or(percentage_of_nodes_to_score),
            has_gates: at(ExtensionPoint::PreEnqueue)?
                .iter()
                .any(|one| one.plugin.name == plugins::SCHEDULING_GATES),
            pre_filters: alone.chain(&pre_filters).map(entry).collect(),
            filters: names(&filters),
            post_filters: names(&at(ExtensionPoint::PostFilter)?),
            scorers: scorers.iter().filter_map(|one| self.scorer(one)).collect(),
            reserve: at(ExtensionPoint::Reserve)?
                .iter()
                .find_map(|one| one.plugin.reserve)
                .map(|make| make(&self.arguments)),
            preemption: self.arguments.preemption,
            topology_keys: self.arguments.topology_spread.topology_keys().collect(),
        })
    }

    fn scorer(&self, chosen: &WeightedPlugin) -> Option<Scorer> {
        let plugin = chosen.plugin.score?(&self.arguments);
        Some(Scorer { name: chosen.plugin.name, weight: chosen.weight.max(1), plugin })
    }

    /// The defaults without disabled plugins, replaced in place if enabled with another weight; then the other
    /// enabled plugins.
    fn multi_point(&self) -> Result<Vec<WeightedPlugin>, ProfileError> {
        let set = &self.multi_point;
        let mut chosen = Vec::new();
        let written = |name: &str| set.enabled.iter().find(|(one, _)| one.as_ref() == name);
        for plugin in plugins::ALL {
            let Some(default_weight) = plugin.default_weight else { continue };
            if set.disables(plugin.name) {
                continue;
            }
            let weight = written(plugin.name).map_or(default_weight, |(_, weight)| *weight);
            chosen.push(WeightedPlugin { plugin, weight });
        }
        for (name, weight) in &set.enabled {
            let plugin =
                plugins::find(name).ok_or_else(|| ProfileError::UnknownPlugin(name.clone()))?;
            if !chosen.iter().any(|one| one.plugin.name == plugin.name) {
                chosen.push(WeightedPlugin { plugin, weight: *weight });
            }
        }
        Ok(chosen)
    }

    /// The plugins at one point: first those that are both in the point's own set and in the
    /// multi-point set, in the order of the former; then those of the multi-point set; then the rest
    /// of the point's own.
    fn plugins_at(
        &self,
        point: ExtensionPoint,
        multi_point: &[WeightedPlugin],
    ) -> Result<Vec<WeightedPlugin>, ProfileError> {
        let none = PluginSet::default();
        let found = self.points.iter().find(|(one, _)| *one == point);
        let set = found.map_or(&none, |(_, set)| set);
        let mut own = Vec::new();
        for (name, weight) in &set.enabled {
            let plugin =
                plugins::find(name).ok_or_else(|| ProfileError::UnknownPlugin(name.clone()))?;
            if !plugin.points.contains(&point) {
                return Err(ProfileError::NotAtPoint(name.clone(), point));
            }
            own.push(WeightedPlugin { plugin, weight: *weight });
        }
        let spread: Vec<WeightedPlugin> = multi_point
            .iter()
            .filter(|one| one.is_at(point) && !set.disables(one.plugin.name))
            .copied()
            .collect();
        let overrides =
            |one: &&WeightedPlugin| spread.iter().any(|other| other.plugin.name == one.plugin.name);
        let first = own.iter().filter(|one| overrides(one));
        let second = spread.iter().filter(|one| !set.enables(one.plugin.name));
        let third = own.iter().filter(|one| !overrides(one));
        Ok(first.chain(second).chain(third).copied().collect())
    }
}

/// A plugin with the weight that was written for it.
#[derive(Clone, Copy, Debug)]
struct WeightedPlugin {
    plugin: &'static Plugin,
    weight: i64,
}

impl WeightedPlugin {
    fn is_at(&self, point: ExtensionPoint) -> bool {
        self.plugin.points.contains(&point)
    }
}

/// Plugins that run at the later of two points must run at the earlier, if they implement it.
fn require(
    later: &[WeightedPlugin],
    earlier_point: ExtensionPoint,
    earlier: &[WeightedPlugin],
    later_point: ExtensionPoint,
) -> Result<(), ProfileError> {
    let runs_earlier =
        |one: &WeightedPlugin| earlier.iter().any(|other| other.plugin.name == one.plugin.name);
    let lost = later.iter().find(|one| one.is_at(earlier_point) && !runs_earlier(one));
    match lost {
        None => Ok(()),
        Some(one) => Err(ProfileError::Needs(one.plugin.name, earlier_point, later_point)),
    }
}

impl Profile {
    /// The topology keys that its plugins' arguments name; a [`super::cache::Cache`] must know them.
    pub fn topology_keys(&self) -> impl Iterator<Item = Name> {
        self.topology_keys.iter().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(enabled: &[(&str, i64)], disabled: &[&str]) -> PluginSet {
        PluginSet {
            enabled: enabled.iter().map(|(name, weight)| (Name::from(*name), *weight)).collect(),
            disabled: disabled.iter().map(|name| Name::from(*name)).collect(),
        }
    }

    fn weights(profile: &Profile) -> Vec<(&str, i64)> {
        profile.scorers.iter().map(|scorer| (scorer.name, scorer.weight)).collect()
    }

    #[test]
    fn the_default_profile_has_the_weights_of_kubernetes() {
        let profile = ProfileConfiguration::default().resolve(0).unwrap();
        assert_eq!(
            weights(&profile),
            [
                ("TaintToleration", 3),
                ("NodeAffinity", 2),
                ("NodeResourcesFit", 1),
                ("PodTopologySpread", 2),
                ("InterPodAffinity", 2),
                ("DynamicResources", 2),
                ("NodeResourcesBalancedAllocation", 1),
                ("ImageLocality", 1),
            ]
        );
        assert_eq!(profile.post_filters, ["DynamicResources", "DefaultPreemption"]);
        assert_eq!(profile.filters[..3], ["NodeUnschedulable", "NodeName", "TaintToleration"]);
        assert!(profile.has_gates);
    }

    #[test]
    fn a_weight_at_the_score_point_comes_first_and_replaces_the_default() {
        let written = ProfileConfiguration {
            points: vec![(ExtensionPoint::Score, set(&[("NodeAffinity", 9)], &[]))],
            ..ProfileConfiguration::default()
        };
        let profile = written.resolve(0).unwrap();
        assert_eq!(weights(&profile)[..2], [("NodeAffinity", 9), ("TaintToleration", 3)]);
    }

    #[test]
    fn disabled_at_score_a_plugin_still_filters_but_not_if_disabled_everywhere() {
        let written = ProfileConfiguration {
            multi_point: set(&[], &["NodePorts"]),
            points: vec![(ExtensionPoint::Score, set(&[], &["TaintToleration"]))],
            ..ProfileConfiguration::default()
        };
        let profile = written.resolve(0).unwrap();
        assert!(profile.filters.contains(&"TaintToleration"));
        assert!(!profile.filters.contains(&"NodePorts"));
        assert!(profile.scorers.iter().all(|scorer| scorer.name != "TaintToleration"));
    }

    #[test]
    fn a_filter_without_its_pre_filter_is_an_error() {
        let written = ProfileConfiguration {
            points: vec![(ExtensionPoint::PreFilter, set(&[], &["NodePorts"]))],
            ..ProfileConfiguration::default()
        };
        let error = written.resolve(0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "plugin NodePorts is enabled at Filter but not at PreFilter, which it requires"
        );
    }
}
