//! The recommender: loops of one VPA, with its pods, their usage samples and OOM kills.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{pair, spec};
use crate::Difference;
use crate::json::{first_gap, is_equal};
use crate::recording::{Mapped, inputs_of, parse};
use cluster::meta::{Labels, Name};
use cluster::vpa::{ContainerRecommendation, VpaSpec};
use controllers::hpa::cpu_milli;
use controllers::vpa::{Checkpoint, HistogramCheckpoint, Model, VpaSettings, recommend};
use engine::{SimDuration, SimTime};
use units::{Bytes, MilliCpu, Quantity};

/// Resolution of recorded checkpoint weights.
const WEIGHT_DIGITS: f64 = 1e-6;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    #[serde(default)]
    cpu_unit: String,
    flags: Mapped<Flags>,
    vpa: Mapped<Vpa>,
    loops: Vec<Mapped<Loop>>,
}

/// The flags of the recommender; times in seconds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Flags {
    recommender_interval_seconds: Option<f64>,
    safety_margin_fraction: Option<f64>,
    pod_min_cpu_millicores: Option<f64>,
    pod_min_memory_mb: Option<f64>,
    target_cpu_percentile: Option<f64>,
    lower_bound_cpu_percentile: Option<f64>,
    upper_bound_cpu_percentile: Option<f64>,
    target_memory_percentile: Option<f64>,
    lower_bound_memory_percentile: Option<f64>,
    upper_bound_memory_percentile: Option<f64>,
    confidence_interval_cpu_seconds: Option<f64>,
    confidence_interval_memory_seconds: Option<f64>,
    memory_aggregation_interval_seconds: Option<f64>,
    memory_aggregation_interval_count: Option<i64>,
    memory_histogram_decay_half_life_seconds: Option<f64>,
    cpu_histogram_decay_half_life_seconds: Option<f64>,
    oom_bump_up_ratio: Option<f64>,
    oom_min_bump_up_bytes: Option<f64>,
    post_processor_cpu_as_integer: Option<bool>,
    container_recommendation_max_allowed_cpu: Option<Quantity>,
    container_recommendation_max_allowed_memory: Option<Quantity>,
    round_cpu_millicores: Option<i64>,
    round_memory_bytes: Option<i64>,
}

impl Flags {
    fn settings(&self) -> Result<VpaSettings, String> {
        let defaults = VpaSettings::default();
        let time = |flag: &str, given: Option<f64>, default: SimDuration| match given {
            None => Ok(default),
            Some(seconds) if seconds > 0.0 => Ok(SimDuration::from_secs_f64(seconds)),
            Some(seconds) => Err(format!("flags.{flag}: {seconds} s; must be more than 0")),
        };
        Ok(VpaSettings {
            recommender_interval: time(
                "recommenderIntervalSeconds",
                self.recommender_interval_seconds,
                defaults.recommender_interval,
            )?,
            confidence_interval_cpu: time(
                "confidenceIntervalCpuSeconds",
                self.confidence_interval_cpu_seconds,
                defaults.confidence_interval_cpu,
            )?,
            confidence_interval_memory: time(
                "confidenceIntervalMemorySeconds",
                self.confidence_interval_memory_seconds,
                defaults.confidence_interval_memory,
            )?,
            memory_aggregation_interval: time(
                "memoryAggregationIntervalSeconds",
                self.memory_aggregation_interval_seconds,
                defaults.memory_aggregation_interval,
            )?,
            memory_aggregation_interval_count: self
                .memory_aggregation_interval_count
                .unwrap_or(defaults.memory_aggregation_interval_count),
            memory_histogram_half_life: time(
                "memoryHistogramDecayHalfLifeSeconds",
                self.memory_histogram_decay_half_life_seconds,
                defaults.memory_histogram_half_life,
            )?,
            cpu_histogram_half_life: time(
                "cpuHistogramDecayHalfLifeSeconds",
                self.cpu_histogram_decay_half_life_seconds,
                defaults.cpu_histogram_half_life,
            )?,
            oom_min_bump_up: self
                .oom_min_bump_up_bytes
                .map_or(defaults.oom_min_bump_up, |bytes| Quantity::from_bytes(whole(bytes))),
            post_processor_cpu_as_integer: self.post_processor_cpu_as_integer.unwrap_or(false),
            container_recommendation_max_allowed_cpu: self.container_recommendation_max_allowed_cpu,
            container_recommendation_max_allowed_memory: self
                .container_recommendation_max_allowed_memory,
            round_cpu_millicores: self.round_cpu_millicores.unwrap_or(1),
            round_memory_bytes: self.round_memory_bytes.unwrap_or(1),
            ..self.fractions()
        })
    }

    /// The settings that are plain numbers.
    fn fractions(&self) -> VpaSettings {
        let defaults = VpaSettings::default();
        let or = |given: Option<f64>, default: f64| given.unwrap_or(default);
        VpaSettings {
            safety_margin_fraction: or(
                self.safety_margin_fraction,
                defaults.safety_margin_fraction,
            ),
            pod_min_cpu_millicores: or(
                self.pod_min_cpu_millicores,
                defaults.pod_min_cpu_millicores,
            ),
            pod_min_memory_mb: or(self.pod_min_memory_mb, defaults.pod_min_memory_mb),
            target_cpu_percentile: or(self.target_cpu_percentile, defaults.target_cpu_percentile),
            target_memory_percentile: or(
                self.target_memory_percentile,
                defaults.target_memory_percentile,
            ),
            lower_bound_cpu_percentile: or(
                self.lower_bound_cpu_percentile,
                defaults.lower_bound_cpu_percentile,
            ),
            lower_bound_memory_percentile: or(
                self.lower_bound_memory_percentile,
                defaults.lower_bound_memory_percentile,
            ),
            upper_bound_cpu_percentile: or(
                self.upper_bound_cpu_percentile,
                defaults.upper_bound_cpu_percentile,
            ),
            upper_bound_memory_percentile: or(
                self.upper_bound_memory_percentile,
                defaults.upper_bound_memory_percentile,
            ),
            oom_bump_up_ratio: or(self.oom_bump_up_ratio, defaults.oom_bump_up_ratio),
            ..defaults
        }
    }
}

/// A number of bytes, truncated.
#[expect(clippy::cast_possible_truncation, reason = "cut as the flag is")]
const fn whole(bytes: f64) -> i64 {
    bytes as i64
}

#[derive(Debug, Deserialize)]
struct Vpa {
    annotations: Option<BTreeMap<String, String>>,
    spec: Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Loop {
    t: f64,
    #[serde(default)]
    restart: bool,
    vpa_spec: Option<Value>,
    vpa_annotations: Option<BTreeMap<String, String>>,
    pods_added: Option<Vec<Mapped<Pod>>>,
    pods_removed: Option<Vec<String>>,
    samples: Option<BTreeMap<String, Option<Mapped<Sample>>>>,
    #[serde(default)]
    metrics_api_down: bool,
    ooms: Option<Vec<Mapped<Oom>>>,
    expect: Option<Value>,
    expect_checkpoints: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pod {
    name: String,
    labels: Option<BTreeMap<String, String>>,
    containers: Vec<Mapped<Container>>,
    init_containers: Option<Vec<Mapped<Container>>>,
}

#[derive(Debug, Deserialize)]
struct Container {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Sample {
    at: f64,
    v: Vec<Option<(i64, i64)>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Oom {
    pod: String,
    container: String,
    at: f64,
    mem_bytes: i64,
}

/// A pod of the case: its id in the recommender, its labels and its containers.
struct CasePod {
    number: usize,
    labels: Labels,
    containers: Vec<Name>,
    /// Number of values in its samples that belong to init containers, which do not count.
    init_containers: usize,
}

/// The complete state.
struct World {
    is_nano: bool,
    settings: VpaSettings,
    spec: VpaSpec,
    annotations: BTreeMap<String, String>,
    pods: BTreeMap<String, CasePod>,
    /// Number of pods so far.
    count: usize,
    model: Model<usize>,
    stored: BTreeMap<Name, Checkpoint>,
}

/// Replays one case and returns the first difference, if any.
pub(super) fn replay(line: &str) -> Result<Option<Difference>, String> {
    let case: Case = parse(line)?;
    let mut world = World {
        is_nano: case.cpu_unit == "n",
        settings: case.flags.settings()?,
        spec: spec(&case.vpa.spec, "vpa.spec")?,
        annotations: case.vpa.annotations.clone().unwrap_or_default(),
        pods: BTreeMap::new(),
        count: 0,
        model: Model::default(),
        stored: BTreeMap::new(),
    };
    // The status is recorded only when it changes.
    let mut expected = Value::Null;
    for (index, look) in case.loops.iter().enumerate() {
        let at = format!("loop {index} (t={})", look.t);
        let now = SimTime::from_secs_f64(look.t);
        let differs = |(field, expected, got): (String, Value, Value)| {
            let inputs = inputs_of(line, &["loops"], index);
            Difference::new(at.as_str(), field, expected, got, inputs)
        };
        if look.restart {
            world.stored.extend(world.model.checkpoints(&world.settings, now));
            if let Some(gap) = checkpoint_gap(look, &world) {
                return Ok(Some(differs(gap)));
            }
            world.model = Model::restored(&world.stored, &world.settings, now);
        }
        let got = world.look(look, now).map_err(|problem| format!("loops[{index}].{problem}"))?;
        if let Some(changed) = &look.expect {
            expected = changed.clone();
        }
        if let Some(gap) = first_gap("status", &expected, &got, &|_| 0.0) {
            return Ok(Some(differs(gap)));
        }
        // Checkpoints are stored after each loop; those of dropped containers stay.
        if world.model.is_collection_due(now) || look.expect_checkpoints.is_some() {
            world.stored.extend(world.model.checkpoints(&world.settings, now));
        }
        if !look.restart
            && let Some(gap) = checkpoint_gap(look, &world)
        {
            return Ok(Some(differs(gap)));
        }
        world.model.collect_garbage(&world.settings, now);
    }
    Ok(None)
}

impl World {
    /// One loop of the recommender; returns the status.
    fn look(&mut self, look: &Loop, now: SimTime) -> Result<Value, String> {
        if let Some(changed) = &look.vpa_spec {
            self.spec = spec(changed, "vpaSpec")?;
        }
        if let Some(changed) = &look.vpa_annotations {
            self.annotations.clone_from(changed);
        }
        for pod in look.pods_added.iter().flatten() {
            let known = CasePod::new(pod, self.count);
            self.count += 1;
            self.pods.insert(pod.name.clone(), known);
        }
        for name in look.pods_removed.iter().flatten() {
            self.pods.remove(name);
        }
        let known_at = (&self.settings, now);
        let there: BTreeSet<usize> = self.pods.values().map(|pod| pod.number).collect();
        self.model.retain_pods(|number| there.contains(number));
        let is_of_vpa = |pod: &&CasePod| pod.labels.get("app").is_some_and(|app| **app == *"app");
        for pod in self.pods.values().filter(is_of_vpa) {
            let names = pod.containers.iter();
            self.model.load_pod(pod.number, &pod.labels, names, &self.settings, now);
        }
        for (name, sample) in look.samples.iter().flatten() {
            let (Some(sample), false) = (sample, look.metrics_api_down) else { continue };
            let Some(pod) = self.pods.get(name) else { continue };
            if sample.v.len() > pod.containers.len() + pod.init_containers {
                let (given, most) = (sample.v.len(), pod.containers.len() + pod.init_containers);
                return Err(format!("samples.{name}.v: has {given} values of {most} containers"));
            }
            let at = SimTime::from_secs_f64(sample.at);
            for (container, usage) in pod.containers.iter().zip(&sample.v) {
                let Some((cpu, memory)) = *usage else { continue };
                let cpu = if self.is_nano { cpu_milli(cpu) } else { cpu };
                let usage = (MilliCpu(cpu), Bytes(memory));
                self.model.add_sample(pod.number, container, usage, at, known_at);
            }
        }
        for oom in look.ooms.iter().flatten() {
            let Some(pod) = self.pods.get(&oom.pod) else { continue };
            let (memory, at) = (Bytes(oom.mem_bytes), SimTime::from_secs_f64(oom.at));
            self.model.add_oom(pod.number, &oom.container, memory, at, known_at);
        }
        let states = self.model.by_container(&self.settings, now);
        let annotations = self.annotations.iter();
        let annotations: Vec<(&str, &str)> =
            annotations.map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let recommendation = recommend(&states, &self.spec, &annotations, &self.settings);
        Ok(status(&recommendation, self.model.pods() > 0))
    }
}

impl CasePod {
    fn new(pod: &Pod, number: usize) -> Self {
        let labels = pod.labels.iter().flatten();
        let labels = labels.map(|(key, value)| (key.as_str(), value.as_str()));
        Self {
            number,
            labels: labels.collect(),
            containers: pod.containers.iter().map(|one| one.name.as_str().into()).collect(),
            init_containers: pod.init_containers.as_ref().map_or(0, Vec::len),
        }
    }
}

/// The status in the form of the recordings.
fn status(recommendation: &[ContainerRecommendation], has_pods: bool) -> Value {
    let containers = recommendation.iter().map(|one| {
        json!({
            "name": &*one.container,
            "target": pair(one.target),
            "lowerBound": pair(one.lower_bound),
            "upperBound": pair(one.upper_bound),
            "uncappedTarget": pair(one.uncapped_target),
        })
    });
    let containers: Vec<Value> = containers.collect();
    let provided = if containers.is_empty() { "False" } else { "True" };
    let mut conditions = Map::new();
    if !has_pods {
        conditions.insert("NoPodsMatched".to_owned(), json!("True"));
    }
    conditions.insert("RecommendationProvided".to_owned(), json!(provided));
    json!({ "containers": containers, "conditions": conditions })
}

/// The first difference of the checkpoints, if they are recorded.
fn checkpoint_gap(look: &Loop, world: &World) -> Option<(String, Value, Value)> {
    let expected = look.expect_checkpoints.as_ref()?;
    let (cpu, memory) =
        (world.settings.cpu_histogram_half_life, world.settings.memory_histogram_half_life);
    let stored = world.stored.iter().map(|(name, checkpoint)| {
        let Checkpoint { cpu: of_cpu, memory: of_memory, span, samples } = checkpoint;
        let told = json!({
            "cpuHistogram": histogram(of_cpu, cpu),
            "memoryHistogram": histogram(of_memory, memory),
            "firstSampleStart": span.map(|(first, _)| first.as_secs_f64()),
            "lastSampleStart": span.map(|(_, last)| last.as_secs_f64()),
            "totalSamplesCount": samples,
        });
        (name.to_string(), told)
    });
    let got = Value::Object(stored.collect());
    // Weights grow with time, so their tolerance is relative.
    let slack = |path: &str| if path.ends_with(".totalWeight") { f64::INFINITY } else { 0.0 };
    first_gap("checkpoints", expected, &got, &slack).or_else(|| weight_gap(expected, &got))
}

/// The first total weight that differs within the recorded digits.
fn weight_gap(expected: &Value, got: &Value) -> Option<(String, Value, Value)> {
    let containers = expected.as_object()?;
    containers.keys().find_map(|name| {
        ["cpuHistogram", "memoryHistogram"].into_iter().find_map(|histogram| {
            let of = |all: &Value| all[name][histogram]["totalWeight"].clone();
            let (expected, got) = (of(expected), of(got));
            let close = expected.as_f64().zip(got.as_f64()).is_some_and(|(one, other)| {
                (one - other).abs() <= WEIGHT_DIGITS * 10.0 * one.abs().max(WEIGHT_DIGITS)
            });
            let path = format!("checkpoints.{name}.{histogram}.totalWeight");
            (!close && !is_equal(&expected, &got)).then_some((path, expected, got))
        })
    })
}

/// A histogram in the form of the recordings, with its weight at time zero.
fn histogram(stored: &HistogramCheckpoint, half_life: SimDuration) -> Value {
    let buckets: Vec<(usize, u32)> =
        stored.buckets.iter().map(|(at, weight)| (*at, *weight)).collect();
    let since = stored
        .reference
        .map_or(0.0, |reference| reference.as_nanos() as f64 / half_life.as_nanos() as f64);
    json!({ "buckets": buckets, "totalWeight": stored.total_weight * libm::exp2(since) })
}
