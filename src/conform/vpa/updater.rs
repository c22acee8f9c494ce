//! The updater: loops over the pods of one VPA.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{LimitItem, Pair, Recommended, namespace_limits, spec};
use crate::Difference;
use crate::json::first_gap;
use crate::recording::{Mapped, inputs_of, parse};
use cluster::meta::Name;
use cluster::pod_template::ResourceList;
use cluster::vpa::{ContainerRecommendation, VpaSpec};
use cluster::vpa_admission::AdmittedResources;
use cluster::vpa_capping::{CappedContainer, NamespaceLimits, capped};
use controllers::vpa::{
    Group, ResizeState, Round, UpdaterApi, UpdaterMemory, UpdaterPod, VpaSettings, priority,
};
use engine::{SimDuration, SimTime};

/// Up to this many candidates with equal priority keep their order in Go's sort; beyond that, their order is not
/// compared.
const ORDERED: usize = 12;

#[derive(Debug, Deserialize)]
struct Case {
    flags: Mapped<Flags>,
    loops: Vec<Mapped<Loop>>,
}

/// The flags of the updater; times in seconds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Flags {
    updater_interval_seconds: Option<f64>,
    min_replicas: Option<i32>,
    eviction_tolerance: Option<f64>,
    eviction_rate_limit: Option<f64>,
    eviction_rate_burst: Option<i64>,
    pod_update_threshold: Option<f64>,
    in_recommendation_bounds_eviction_lifetime_threshold_seconds: Option<f64>,
    evict_after_oom_threshold_seconds: Option<f64>,
    #[serde(default)]
    in_place_skip_disruption_budget: bool,
    #[serde(default)]
    feature_gate_in_place: bool,
    #[serde(default, rename = "featureGatePerVPAConfig")]
    feature_gate_per_vpa_config: bool,
}

impl Flags {
    fn settings(&self) -> VpaSettings {
        let defaults = VpaSettings::default();
        let time = |given: Option<f64>, default| given.map_or(default, SimDuration::from_secs_f64);
        VpaSettings {
            updater_interval: time(self.updater_interval_seconds, defaults.updater_interval),
            min_replicas: self.min_replicas.unwrap_or(defaults.min_replicas),
            eviction_tolerance: self.eviction_tolerance.unwrap_or(defaults.eviction_tolerance),
            pod_update_threshold: self
                .pod_update_threshold
                .unwrap_or(defaults.pod_update_threshold),
            eviction_lifetime_threshold: time(
                self.in_recommendation_bounds_eviction_lifetime_threshold_seconds,
                defaults.eviction_lifetime_threshold,
            ),
            evict_after_oom_threshold: time(
                self.evict_after_oom_threshold_seconds,
                defaults.evict_after_oom_threshold,
            ),
            in_place_skip_disruption_budget: self.in_place_skip_disruption_budget,
            has_in_place_mode: self.feature_gate_in_place,
            has_per_vpa_config: self.feature_gate_per_vpa_config,
            ..defaults
        }
    }

    const fn memory(&self) -> UpdaterMemory<Name> {
        let limit = match self.eviction_rate_limit {
            Some(limit) => limit,
            None => -1.0,
        };
        let burst = match self.eviction_rate_burst {
            Some(burst) => burst,
            None => 1,
        };
        UpdaterMemory::new(limit, burst)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Loop {
    t: f64,
    #[serde(default)]
    updater_restart: bool,
    vpa: Option<Value>,
    limit_ranges: Option<Vec<Mapped<LimitItem>>>,
    /// The string `none`, or a list of containers.
    recommendation: Option<Value>,
    owners: Option<Vec<Mapped<Owner>>>,
    eviction_refused: Option<Vec<String>>,
    resize_refused: Option<Vec<String>>,
    pods: Option<Vec<Mapped<Pod>>>,
    expect: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Owner {
    kind: String,
    name: String,
    #[serde(default)]
    replicas: i64,
    number_ready: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pod {
    name: String,
    phase: String,
    start: Option<f64>,
    #[serde(default)]
    owner_kind: String,
    #[serde(default)]
    owner_name: String,
    #[serde(default)]
    deleting: bool,
    observed_containers: Option<String>,
    containers: Vec<Mapped<Container>>,
    resize: Option<Mapped<Condition>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: String,
    requests: Pair,
    limits: Pair,
    resize_policy: Option<BTreeMap<String, String>>,
    status_requests: Option<Pair>,
    status_limits: Option<Pair>,
    last_termination: Option<Mapped<Termination>>,
}

#[derive(Debug, Deserialize)]
struct Termination {
    reason: String,
    started: f64,
    finished: f64,
}

/// A condition of a resize with status True.
#[derive(Debug, Deserialize)]
struct Condition {
    r#type: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

impl Condition {
    fn state(&self) -> ResizeState {
        match (self.r#type.as_str(), self.reason.as_str()) {
            ("PodResizePending", "Deferred") => ResizeState::Deferred,
            ("PodResizePending", "Infeasible") => ResizeState::Infeasible,
            ("PodResizeInProgress", "") if self.message.is_empty() => ResizeState::InProgress,
            ("PodResizeInProgress", "Error") => ResizeState::Error,
            _ => ResizeState::Unknown,
        }
    }
}

/// A container's name with its actual requests and limits.
type Actual = (Name, ResourceList, ResourceList);

/// The actual amounts: those in the status, if present.
fn actual(container: &Container) -> Actual {
    let name = container.name.as_str().into();
    match (container.status_requests, container.status_limits) {
        (None, None) => (name, container.requests.list(), container.limits.list()),
        (requests, limits) => {
            (name, requests.unwrap_or_default().list(), limits.unwrap_or_default().list())
        }
    }
}

impl Pod {
    fn seen<'a>(&self, actual: &'a [Actual], groups: &[(&str, &str)]) -> UpdaterPod<'a, Name> {
        let owner = (self.owner_kind.as_str(), self.owner_name.as_str());
        let containers = actual.iter().map(|(name, requests, limits)| CappedContainer {
            name,
            requests,
            limits,
        });
        let ooms = self.containers.iter().filter_map(|container| {
            let last = container.last_termination.as_ref()?;
            let lasted = SimDuration::from_secs_f64(last.finished - last.started);
            (last.reason == "OOMKilled").then(|| (container.name.as_str().into(), lasted))
        });
        let restarts = |container: &Mapped<Container>| {
            container.resize_policy.iter().flatten().any(|(_, policy)| policy == "RestartContainer")
        };
        UpdaterPod {
            id: self.name.as_str().into(),
            name: self.name.as_str().into(),
            group: groups.iter().position(|group| *group == owner),
            is_pending: self.phase == "Pending",
            start_time: self.start.map(SimTime::from_secs_f64),
            containers: containers.collect(),
            observed: self.observed_containers.as_deref().and_then(observed),
            ooms: ooms.collect(),
            resize: self.resize.as_ref().map(|condition| condition.state()),
            restarts_for_resize: self.containers.iter().any(restarts),
        }
    }
}

/// The containers that the annotation names; none if it names anything that is not a container
/// (`ParseVpaObservedContainersValue`).
fn observed(value: &str) -> Option<Vec<Name>> {
    if value.is_empty() {
        return Some(Vec::new());
    }
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |name: &str| {
        let bytes = name.as_bytes();
        let ends = bytes.first().zip(bytes.last());
        name.len() <= 63
            && ends.is_some_and(|(first, last)| is_inner(*first) && is_inner(*last))
            && bytes.iter().all(|byte| is_inner(*byte) || *byte == b'-')
    };
    let names = value.split(", ");
    names.map(|name| is_label(name).then(|| name.into())).collect()
}

/// The recorded API: refuses the requests that were refused in the recording.
struct Api<'a> {
    begin: SimTime,
    refused_evictions: &'a [String],
    refused_resizes: &'a [String],
    /// Position of each pod in the recorded actions, for cases in which the order does not matter.
    ranks: BTreeMap<&'a str, usize>,
    evicted: Vec<(Name, f64)>,
    resized: Vec<Value>,
    refused: Vec<Name>,
}

impl UpdaterApi<Name> for Api<'_> {
    fn evict(&mut self, pod: &Name, at: SimTime) -> bool {
        let is_refused = self.refused_evictions.iter().any(|name| **name == **pod);
        if is_refused {
            self.refused.push(pod.clone());
        } else {
            self.evicted.push((pod.clone(), (at - self.begin).as_secs_f64()));
        }
        !is_refused
    }

    fn resize(&mut self, pod: &Name, resources: &[AdmittedResources]) -> bool {
        let is_refused = self.refused_resizes.iter().any(|name| **name == **pod);
        if is_refused {
            self.refused.push(pod.clone());
            return false;
        }
        let mut set = Map::new();
        for (index, one) in resources.iter().enumerate() {
            for (field, amounts) in [("requests", &one.requests), ("limits", &one.limits)] {
                for (name, amount) in amounts.iter() {
                    let path = format!("{index}/resources/{field}/{name}");
                    set.insert(path, json!(amount.to_string()));
                }
            }
        }
        self.resized.push(json!({ "pod": &**pod, "set": set }));
        true
    }

    fn rank(&self, pod: &Name) -> usize {
        self.ranks.get(&**pod).copied().unwrap_or(usize::MAX)
    }
}

/// State that persists until a later loop changes it.
struct World {
    settings: VpaSettings,
    spec: VpaSpec,
    /// False if there is neither `resourcePolicy` nor a recommendation, so that no priorities can be computed.
    has_policy: bool,
    limits: NamespaceLimits,
    recommendation: Option<Vec<ContainerRecommendation>>,
    memory: UpdaterMemory<Name>,
}

/// Replays one case and returns the first difference, if any.
pub(super) fn replay(line: &str) -> Result<Option<Difference>, String> {
    let case: Case = parse(line)?;
    let first = case.loops.first().ok_or("loops: there must be at least one")?;
    let vpa = first.vpa.as_ref().ok_or("loops[0].vpa: is missing; it holds for all loops")?;
    let mut world = World {
        settings: case.flags.settings(),
        spec: spec(vpa, "loops[0].vpa")?,
        has_policy: !vpa["resourcePolicy"].is_null(),
        limits: NamespaceLimits::default(),
        recommendation: None,
        memory: case.flags.memory(),
    };
    for (index, look) in case.loops.iter().enumerate() {
        if let Some(vpa) = look.vpa.as_ref().filter(|_| index > 0) {
            world.spec = spec(vpa, &format!("loops[{index}].vpa"))?;
            world.has_policy = !vpa["resourcePolicy"].is_null();
        }
        if let Some(items) = &look.limit_ranges {
            world.limits = namespace_limits(items);
        }
        if let Some(stored) = &look.recommendation {
            world.recommendation = stored_recommendation(stored, index)?;
        }
        if look.updater_restart {
            world.memory = case.flags.memory();
        }
        let got = world.look(look, case.flags.eviction_rate_limit.is_some_and(|limit| limit > 0.0));
        let expected = completed(&look.expect);
        // Floating-point sums, and times in nanoseconds.
        let slack = |path: &str| {
            if path.contains(".priorities") || path.contains(".evictedAfter") { 1e-8 } else { 0.0 }
        };
        if let Some((field, expected, got)) = first_gap("expect", &expected, &got, &slack) {
            let at = format!("loop {index} (t={})", look.t);
            let inputs = inputs_of(line, &["loops"], index);
            return Ok(Some(Difference::new(at, field, expected, got, inputs)));
        }
    }
    Ok(None)
}

fn stored_recommendation(
    stored: &Value,
    index: usize,
) -> Result<Option<Vec<ContainerRecommendation>>, String> {
    if *stored == json!("none") {
        return Ok(None);
    }
    let all: Result<Vec<Mapped<Recommended>>, _> = serde_path_to_error::deserialize(stored);
    let all = all.map_err(|error| {
        let path = error.path().to_string();
        format!("loops[{index}].recommendation{path}: {}", error.into_inner())
    })?;
    Ok(Some(all.iter().map(|one| one.lower()).collect()))
}

/// Fills in empty values that the recording omits.
fn completed(expected: &Value) -> Value {
    let mut completed = expected.clone();
    for field in ["evicted", "resized", "refused"] {
        if completed[field].is_null() && completed.is_object() {
            completed[field] = json!([]);
        }
    }
    completed
}

impl World {
    /// One loop, in the form of the recording.
    fn look(&mut self, look: &Loop, has_rate_limit: bool) -> Value {
        let pods: Vec<&Pod> = look.pods.iter().flatten().map(|pod| &**pod).collect();
        let all_actual: Vec<Vec<Actual>> =
            pods.iter().map(|pod| pod.containers.iter().map(|one| actual(one)).collect()).collect();
        let is_live =
            |pod: &Pod| !pod.deleting && !matches!(pod.phase.as_str(), "Succeeded" | "Failed");
        let mut owners: Vec<(&str, &str)> = pods
            .iter()
            .filter(|pod| is_live(pod) && !pod.owner_kind.is_empty())
            .map(|pod| (pod.owner_kind.as_str(), pod.owner_name.as_str()))
            .collect();
        owners.sort_unstable();
        owners.dedup();
        let groups = owners.iter().map(|owner| self.group(look, *owner, &pods, is_live));
        let groups = groups.collect();
        let given = self.recommendation.as_deref().unwrap_or_default();
        let mut priorities = Map::new();
        let mut listed = Vec::new();
        for (pod, actual) in pods.iter().zip(&all_actual) {
            let seen = pod.seen(actual, &owners);
            let own = capped(&self.spec, given, &seen.containers, &self.limits);
            let own = own.map(|own| own.recommendation).unwrap_or_default();
            let priority = priority(&seen, &own);
            let told = json!([priority.is_outside_bounds, priority.scales_up, priority.difference]);
            if self.recommendation.is_some() || self.has_policy {
                priorities.insert(pod.name.clone(), told);
            }
            if is_live(pod) && !pod.owner_kind.is_empty() {
                listed.push(seen);
            }
        }
        let now = SimTime::from_secs_f64(look.t);
        let mut api = Api {
            begin: now,
            refused_evictions: look.eviction_refused.as_deref().unwrap_or_default(),
            refused_resizes: look.resize_refused.as_deref().unwrap_or_default(),
            ranks: if listed.len() > ORDERED { ranks(&look.expect) } else { BTreeMap::new() },
            evicted: Vec::new(),
            resized: Vec::new(),
            refused: Vec::new(),
        };
        let round = Round {
            now,
            spec: &self.spec,
            recommendation: self.recommendation.as_deref(),
            limits: &self.limits,
            pods: listed,
            groups,
            settings: &self.settings,
        };
        self.memory.run(round, &mut api);
        let names = |all: &[Name]| -> Vec<String> { all.iter().map(ToString::to_string).collect() };
        let evicted: Vec<Name> = api.evicted.iter().map(|(name, _)| name.clone()).collect();
        let mut got = json!({
            "priorities": priorities,
            "evicted": names(&evicted),
            "resized": api.resized,
            "refused": names(&api.refused),
        });
        if has_rate_limit && !api.evicted.is_empty() {
            let after: Vec<f64> = api.evicted.iter().map(|(_, after)| *after).collect();
            got["evictedAfterSeconds"] = json!(after);
        }
        got
    }

    /// The pods of one owner.
    fn group(
        &self,
        look: &Loop,
        (kind, name): (&str, &str),
        pods: &[&Pod],
        is_live: impl Fn(&Pod) -> bool,
    ) -> Option<Group> {
        let count = |is_meant: &dyn Fn(&Pod) -> bool| {
            let is_own = |pod: &Pod| pod.owner_kind == kind && pod.owner_name == name;
            let own = pods.iter().filter(|pod| is_live(pod) && is_own(pod) && is_meant(pod));
            i64::try_from(own.count()).unwrap_or(i64::MAX)
        };
        let live = count(&|_| true);
        let mut owners = look.owners.iter().flatten();
        let owner = owners.find(|owner| owner.kind == kind && owner.name == name);
        let configured = match kind {
            "Job" => live,
            "DaemonSet" => owner?.number_ready?,
            "ReplicaSet" | "StatefulSet" | "ReplicationController" => owner?.replicas,
            _ => 0,
        };
        let counts_for_nothing = configured == 0 && kind != "Job";
        let pending = count(&|pod| pod.phase == "Pending");
        Group::new(configured, live, pending, &self.spec, &self.settings)
            .filter(|_| !counts_for_nothing)
    }
}

/// Positions of pods in the recorded actions.
fn ranks(expected: &Value) -> BTreeMap<&str, usize> {
    let resized = expected["resized"].as_array().into_iter().flatten();
    let resized = resized.filter_map(|one| one["pod"].as_str());
    let named = |field: &str| expected[field].as_array().into_iter().flatten();
    let others = named("refused").chain(named("evicted")).filter_map(Value::as_str);
    let mut ranks = BTreeMap::new();
    for (rank, name) in resized.chain(others).enumerate() {
        ranks.entry(name).or_insert(rank);
    }
    ranks
}
