//! What the controller is given, as plain data: an HPA as written, pods one by one, and what the APIs answer.

use std::collections::BTreeMap;

/// Command line flags of the controller; times in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Flags {
    pub tolerance: f64,
    pub downscale_stabilization: i64,
    pub cpu_initialization_period: i64,
    pub initial_readiness_delay: i64,
}

#[derive(Clone, Copy, Debug)]
pub struct Gates {
    pub configurable_tolerance: bool,
    pub scale_to_zero: bool,
    pub pod_level_resources: bool,
}

/// `HorizontalPodAutoscalerSpec` as a user writes it.
#[derive(Clone, Debug)]
pub struct Spec {
    pub min: Option<i32>,
    pub max: i32,
    pub metrics: Vec<Metric>,
    pub behavior: Option<Behavior>,
}

#[derive(Clone, Debug)]
pub struct Metric {
    pub source: Source,
    pub target: Target,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    Resource(&'static str),
    ContainerResource(&'static str, &'static str),
    Pods(&'static str),
    Object(&'static str),
    /// With a label `queue` of the series, or without a selector.
    External(&'static str, Option<&'static str>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    Utilization(i32),
    /// Thousandths.
    AverageValue(i64),
    /// Thousandths.
    Value(i64),
}

/// `HorizontalPodAutoscalerBehavior`.
#[derive(Clone, Debug, Default)]
pub struct Behavior {
    pub up: Rules,
    pub down: Rules,
}

#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub window_seconds: Option<i32>,
    pub select: Option<&'static str>,
    pub policies: Option<Vec<Policy>>,
    pub tolerance_milli: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
pub struct Policy {
    pub kind: &'static str,
    pub value: i32,
    pub period_seconds: i32,
}

/// What pods are made from. Requests in thousandths; of memory, bytes times thousand.
#[derive(Clone, Debug)]
pub struct Template {
    pub containers: Vec<Container>,
    pub pod_level: BTreeMap<&'static str, i64>,
}

#[derive(Clone, Debug)]
pub struct Container {
    pub name: &'static str,
    pub requests: BTreeMap<&'static str, i64>,
    pub restartable_init: bool,
}

/// Pods that are alike. Times in milliseconds of the case.
#[derive(Clone, Debug, Default)]
pub struct Group {
    pub n: usize,
    pub phase: &'static str,
    pub deleting: bool,
    pub ready: Option<bool>,
    pub ready_since: i64,
    pub start: Option<i64>,
    pub template: usize,
    pub sample: Sample,
}

/// What the metrics APIs know of a pod.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Time and window of the resource sample; without it there is none.
    pub at: Option<(i64, i64)>,
    /// By container: billionths of a core, and bytes.
    pub usage: BTreeMap<&'static str, (Option<i64>, Option<i64>)>,
    /// Custom metrics, thousandths.
    pub custom: BTreeMap<&'static str, i64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Api {
    #[default]
    Serving,
    Error,
    Empty,
}

/// Everything that the controller finds at one sync.
#[derive(Clone, Debug, Default)]
pub struct Tick {
    pub t: i64,
    pub new_spec: Option<Spec>,
    pub restart: bool,
    pub spec_replicas: i32,
    pub status_replicas: i32,
    pub selector: Option<&'static str>,
    pub other_hpa: bool,
    pub get_error: bool,
    pub update_error: bool,
    pub pods: Vec<Group>,
    pub orphans: Vec<(usize, Sample)>,
    pub resource_api: Api,
    pub custom_api: Api,
    pub external_api: Api,
    pub objects: BTreeMap<&'static str, i64>,
    pub externals: BTreeMap<&'static str, Vec<i64>>,
}

#[derive(Clone, Debug)]
pub struct Case {
    pub flags: Flags,
    pub gates: Gates,
    pub api_version: &'static str,
    pub spec: Spec,
    pub templates: Vec<Template>,
}
