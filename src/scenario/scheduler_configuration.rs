//! Converts a KubeSchedulerConfiguration (`kubescheduler.config.k8s.io/v1`) to the scheduler's own.
//! Fields that affect how the process runs but not its decisions are accepted and ignored.

mod arguments;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use cluster::Name;
use engine::SimDuration;
use manifest::field::{FieldError, FieldErrors, FieldPath};
use scheduler::plugins::ExtensionPoint;
use scheduler::profile::{PluginSet, ProfileConfiguration, SchedulerConfiguration};

/// The `apiVersion` of such files.
const API_VERSION: &str = "kubescheduler.config.k8s.io/v1";
const KIND: &str = "KubeSchedulerConfiguration";

/// Converts a configuration, or reports all errors in it.
pub fn scheduler_configuration(value: &Value) -> Result<SchedulerConfiguration, Vec<FieldError>> {
    let mut errors = FieldErrors::default();
    let written: Option<Configuration> = typed(value, &FieldPath::ROOT, &mut errors);
    let configuration = written.map(|written| lower(&written, &mut errors));
    match configuration {
        Some(configuration) if errors.is_empty() => match configuration.resolve() {
            Ok(_) => return Ok(configuration),
            Err(error) => errors.push(&FieldPath::ROOT.field("profiles"), error.to_string()),
        },
        _ => {}
    }
    Err(errors.into_vec())
}

/// The file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Configuration {
    api_version: String,
    kind: String,
    #[serde(default)]
    profiles: Vec<Profile>,
    percentage_of_nodes_to_score: Option<i64>,
    pod_initial_backoff_seconds: Option<i64>,
    pod_max_backoff_seconds: Option<i64>,
    #[serde(default)]
    extenders: Vec<IgnoredAny>,
    #[serde(default, rename = "parallelism")]
    _parallelism: IgnoredAny,
    #[serde(default, rename = "leaderElection")]
    _leader_election: IgnoredAny,
    #[serde(default, rename = "clientConnection")]
    _client_connection: IgnoredAny,
    #[serde(default, rename = "enableProfiling")]
    _enable_profiling: IgnoredAny,
    #[serde(default, rename = "enableContentionProfiling")]
    _enable_contention_profiling: IgnoredAny,
    #[serde(default, rename = "delayCacheUntilActive")]
    _delay_cache_until_active: IgnoredAny,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Profile {
    scheduler_name: Option<Name>,
    percentage_of_nodes_to_score: Option<i64>,
    plugins: Plugins,
    plugin_config: Vec<PluginConfig>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Plugins {
    multi_point: Set,
    pre_enqueue: Set,
    queue_sort: Set,
    pre_filter: Set,
    filter: Set,
    post_filter: Set,
    pre_score: Set,
    score: Set,
    reserve: Set,
    permit: Set,
    pre_bind: Set,
    bind: Set,
    post_bind: Set,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Set {
    enabled: Vec<PluginReference>,
    disabled: Vec<PluginReference>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PluginReference {
    name: Name,
    #[serde(default)]
    weight: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PluginConfig {
    name: String,
    args: Value,
}

/// Converts a value to a type; a mismatch is an error at its path.
fn typed<T: DeserializeOwned>(
    value: &Value,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Option<T> {
    match serde_path_to_error::deserialize(value) {
        Ok(typed) => Some(typed),
        Err(error) => {
            let inner = error.path().to_string();
            let problem = error.into_inner().to_string();
            match inner.as_str() {
                "." => errors.push(path, problem),
                inner => errors.push(&path.field(inner), problem),
            }
            None
        }
    }
}

fn lower(written: &Configuration, errors: &mut FieldErrors) -> SchedulerConfiguration {
    let root = FieldPath::ROOT;
    if written.api_version != API_VERSION {
        let problem = format!("{:?} must be {API_VERSION}", written.api_version);
        errors.push(&root.field("apiVersion"), problem);
    }
    if written.kind != KIND {
        errors.push(&root.field("kind"), format!("{:?} must be {KIND}", written.kind));
    }
    if !written.extenders.is_empty() {
        let problem = "extenders are external processes and cannot be simulated; remove them";
        errors.push(&root.field("extenders"), problem);
    }
    let defaults = SchedulerConfiguration::default();
    let seconds = |given: Option<i64>, default| given.map_or(default, SimDuration::from_secs);
    let initial_backoff = seconds(written.pod_initial_backoff_seconds, defaults.initial_backoff);
    let max_backoff = seconds(written.pod_max_backoff_seconds, defaults.max_backoff);
    if initial_backoff <= SimDuration::ZERO {
        errors.push(&root.field("podInitialBackoffSeconds"), "must be greater than 0");
    }
    if max_backoff < initial_backoff {
        let problem = "must not be less than podInitialBackoffSeconds";
        errors.push(&root.field("podMaxBackoffSeconds"), problem);
    }
    let percentage = written.percentage_of_nodes_to_score;
    check_percentage(percentage, &root.field("percentageOfNodesToScore"), errors);
    let path = root.field("profiles");
    let mut profiles: Vec<ProfileConfiguration> = Vec::with_capacity(written.profiles.len());
    for (position, profile) in written.profiles.iter().enumerate() {
        profiles.push(lower_profile(profile, &path.item(position), errors));
    }
    if profiles.is_empty() {
        profiles = vec![ProfileConfiguration::default()];
    }
    SchedulerConfiguration {
        profiles,
        percentage_of_nodes_to_score: percentage.unwrap_or(0),
        initial_backoff,
        max_backoff,
        ..defaults
    }
}

fn check_percentage(percentage: Option<i64>, path: &FieldPath<'_>, errors: &mut FieldErrors) {
    if percentage.is_some_and(|percentage| !(0..=100).contains(&percentage)) {
        errors.push(path, "must be from 0 to 100");
    }
}

fn lower_profile(
    profile: &Profile,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> ProfileConfiguration {
    let percentage = profile.percentage_of_nodes_to_score;
    check_percentage(percentage, &path.field("percentageOfNodesToScore"), errors);
    let mut lowered = ProfileConfiguration {
        percentage_of_nodes_to_score: percentage,
        multi_point: lower_set(&profile.plugins.multi_point),
        points: points(&profile.plugins),
        ..ProfileConfiguration::default()
    };
    if let Some(name) = &profile.scheduler_name {
        lowered.scheduler_name = name.clone();
    }
    let path = path.field("pluginConfig");
    for (position, config) in profile.plugin_config.iter().enumerate() {
        let at = path.item(position);
        arguments::read(&config.name, &config.args, &at, &mut lowered.arguments, errors);
    }
    lowered
}

fn points(plugins: &Plugins) -> Vec<(ExtensionPoint, PluginSet)> {
    let points = [
        (ExtensionPoint::PreEnqueue, &plugins.pre_enqueue),
        (ExtensionPoint::QueueSort, &plugins.queue_sort),
        (ExtensionPoint::PreFilter, &plugins.pre_filter),
        (ExtensionPoint::Filter, &plugins.filter),
        (ExtensionPoint::PostFilter, &plugins.post_filter),
        (ExtensionPoint::PreScore, &plugins.pre_score),
        (ExtensionPoint::Score, &plugins.score),
        (ExtensionPoint::Reserve, &plugins.reserve),
        (ExtensionPoint::Permit, &plugins.permit),
        (ExtensionPoint::PreBind, &plugins.pre_bind),
        (ExtensionPoint::Bind, &plugins.bind),
        (ExtensionPoint::PostBind, &plugins.post_bind),
    ];
    points.map(|(point, set)| (point, lower_set(set))).into()
}

fn lower_set(set: &Set) -> PluginSet {
    PluginSet {
        enabled: set.enabled.iter().map(|one| (one.name.clone(), one.weight)).collect(),
        disabled: set.disabled.iter().map(|one| one.name.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(mut rest: Value) -> Result<SchedulerConfiguration, Vec<String>> {
        rest["apiVersion"] = API_VERSION.into();
        rest["kind"] = KIND.into();
        let errors = |errors: Vec<FieldError>| errors.iter().map(ToString::to_string).collect();
        scheduler_configuration(&rest).map_err(errors)
    }

    #[test]
    fn what_is_not_written_is_as_in_kube_scheduler() {
        let configuration = read(json!({"leaderElection": {"leaderElect": false}})).unwrap();
        assert_eq!(configuration.profiles[0].scheduler_name.as_ref(), "default-scheduler");
        assert_eq!(configuration.max_backoff, SimDuration::from_secs(10));
    }

    #[test]
    fn arguments_are_read_by_the_plugins_name() {
        let configuration = read(json!({"profiles": [{"pluginConfig": [
            {"name": "InterPodAffinity", "args": {"hardPodAffinityWeight": 7}},
            {"name": "NodeAffinity", "args": {"addedAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "pool", "operator": "Exists"}]}]}}}},
        ]}]}));
        let arguments = &configuration.unwrap().profiles[0].arguments;
        assert_eq!(arguments.inter_pod_affinity.hard_pod_affinity_weight, 7);
        assert_eq!(arguments.node_affinity.added_required.as_ref().map(Vec::len), Some(1));
    }

    #[test]
    fn a_profile_can_name_the_gpu_sharing_plugins() {
        let configuration = read(json!({"profiles": [{
            "plugins": {
                "multiPoint": {"enabled": [{"name": "Open-Gpu-Share"}]},
                "score": {"disabled": [{"name": "*"}], "enabled": [{"name": "FGDScore"}]},
            },
            "pluginConfig": [
                {"name": "Open-Gpu-Share", "args": {"gpuSelMethod": "FGDScore"}},
                {"name": "FGDScore", "args": {"typicalPods": [
                    {"milliCpu": 1000, "gpuMilli": 500, "gpuCount": 1, "count": 3},
                    {"milliCpu": 4000, "count": 1}]}},
            ],
        }]}));
        let arguments = &configuration.unwrap().profiles[0].arguments;
        let shares: Vec<f64> =
            arguments.gpu_fragmentation.typical.iter().map(|pod| pod.share).collect();
        assert_eq!(shares, [0.75, 0.25]);
    }

    #[test]
    fn mistakes_are_shown_at_their_path() {
        for (written, says) in [
            (json!({"profile": []}), "profile: unknown field `profile`"),
            (
                json!({"profiles": [{"plugins": {"score": {"enabled": [{"nam": "a"}]}}}]}),
                "profiles[0].plugins.score.enabled[0].nam: unknown field",
            ),
            (
                json!({"profiles": [{"plugins": {"score": {"enabled": [{"name": "Fit"}]}}}]}),
                "profiles: unknown plugin \"Fit\"",
            ),
            (
                json!({"profiles": [{"pluginConfig": [{"name": "NodeResourcesFit", "args":
                    {"scoringStrategy": {"type": "Most"}}}]}]}),
                "profiles[0].pluginConfig[0].args.scoringStrategy.type: unknown variant `Most`, expected one of",
            ),
            (json!({"podMaxBackoffSeconds": 0}), "podMaxBackoffSeconds: must not be less"),
            (
                json!({"profiles": [{"pluginConfig": [{"name": "NodeResourcesBalancedAllocation",
                    "args": {"resources": [{"name": "cpu", "weight": 2}]}}]}]}),
                "profiles[0].pluginConfig[0].args.resources[0].weight: must be 1",
            ),
            (
                json!({"profiles": [{"pluginConfig": [{"name": "NodeResourcesBalancedAllocation",
                    "args": {"resources": [{"name": "cpu"}, {"name": "cpu"}]}}]}]}),
                "profiles[0].pluginConfig[0].args.resources[1].name: \"cpu\" comes twice",
            ),
            (
                json!({"profiles": [{"pluginConfig": [{"name": "DefaultPreemption", "args":
                    {"minCandidateNodesPercentage": 0, "minCandidateNodesAbsolute": 0}}]}]}),
                "profiles[0].pluginConfig[0].args.minCandidateNodesAbsolute: must not be 0",
            ),
            (json!({"extenders": [{}]}), "extenders: extenders are external processes"),
        ] {
            let errors = read(written).unwrap_err();
            assert!(errors[0].starts_with(says), "{errors:?}");
        }
    }
}
