//! Draws HPAs, pods and their samples. Values lie on and around the edges of the rules: at the target, at the
//! ends of the tolerance, at the ends of windows and periods.

use std::collections::BTreeMap;

use wavetank::engine::random::index_below;
use wavetank::engine::{Stream, Streams};

use super::world::{
    Api, Behavior, Case, Container, Flags, Gates, Group, Metric, Policy, Rules, Sample, Source,
    Spec, Target, Template, Tick,
};

pub struct Draw(Stream);

/// Current value over target, in percent.
const FACTORS: [i64; 16] = [0, 1, 30, 70, 89, 90, 91, 95, 100, 105, 109, 110, 111, 150, 230, 900];
const PHASES: [&str; 12] = [
    "Running",
    "Running",
    "Running",
    "Running",
    "Running",
    "Running",
    "Running",
    "Running",
    "Pending",
    "Failed",
    "Succeeded",
    "Unknown",
];

impl Draw {
    pub fn new(seed: u64) -> Self {
        Self(Streams::new(seed).stream("hpa", 0))
    }

    fn below(&mut self, n: usize) -> usize {
        index_below(&mut self.0, n)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below((high - low + 1) as usize) as i64
    }

    pub fn case(&mut self) -> Case {
        let flags = Flags {
            tolerance: self.of(&[0.1, 0.1, 0.1, 0.0, 0.05, 0.25]),
            downscale_stabilization: self.of(&[300_000, 300_000, 60_000, 0, 15_500, 30_500]),
            cpu_initialization_period: self.of(&[300_000, 300_000, 120_000, 0]),
            initial_readiness_delay: self.of(&[30_000, 30_000, 10_000, 0]),
        };
        let gates = Gates {
            configurable_tolerance: !self.one_in(5),
            scale_to_zero: self.one_in(2),
            pod_level_resources: !self.one_in(4),
        };
        let spec = self.spec(gates.scale_to_zero);
        let templates = (0..=self.below(2)).map(|_| self.template()).collect();
        let api_version = self.of(&[
            "autoscaling/v2",
            "autoscaling/v2",
            "autoscaling/v2beta2",
            "autoscaling/v2beta1",
            "autoscaling/v1",
        ]);
        Case { flags, gates, api_version, spec, templates }
    }

    fn spec(&mut self, scale_to_zero: bool) -> Spec {
        let count = 1 + self.below(3);
        let mut metrics: Vec<Metric> = Vec::new();
        while metrics.len() < count {
            let metric = self.metric();
            if metrics.iter().all(|other| other.source != metric.source) {
                metrics.push(metric);
            }
        }
        let min = if scale_to_zero && self.one_in(2) {
            Some(0)
        } else {
            self.of(&[None, Some(1), Some(2), Some(5)])
        };
        Spec {
            min,
            max: self.of(&[5, 6, 10, 12, 30, 100]),
            metrics,
            behavior: if self.one_in(2) { Some(self.behavior()) } else { None },
        }
    }

    fn metric(&mut self) -> Metric {
        let resource = self.of(&["cpu", "cpu", "memory"]);
        let amount = if resource == "memory" { 1 << 20 } else { 1 };
        let per_pod = if self.one_in(3) {
            Target::AverageValue(self.of(&[1, 100, 333, 500]) * amount)
        } else {
            Target::Utilization(self.of(&[1, 30, 50, 60, 80, 100, 150]))
        };
        let milli = self.of(&[1, 7, 333, 1_000, 1_500, 30_000]);
        let target =
            if self.one_in(2) { Target::AverageValue(milli) } else { Target::Value(milli) };
        let label = self.of(&[None, Some("orders")]);
        let (source, target) = match self.below(10) {
            0..4 => (Source::Resource(resource), per_pod),
            4 => {
                let container = self.of(&["app", "app", "proxy", "ghost"]);
                (Source::ContainerResource(resource, container), per_pod)
            }
            5 => (Source::Pods(self.of(&["rps", "load"])), Target::AverageValue(milli)),
            6 | 7 => (Source::Object(self.of(&["depth", "hits"])), target),
            _ => (Source::External(self.of(&["queue", "lag"]), label), target),
        };
        Metric { source, target }
    }

    fn behavior(&mut self) -> Behavior {
        if self.one_in(6) {
            return Behavior::default();
        }
        Behavior { up: self.rules(), down: self.rules() }
    }

    fn rules(&mut self) -> Rules {
        let policies = if self.one_in(3) {
            None
        } else {
            let policy = |draw: &mut Self| Policy {
                kind: draw.of(&["Pods", "Percent"]),
                value: draw.of(&[1, 2, 4, 10, 30, 50, 100, 900]),
                period_seconds: draw.of(&[15, 16, 30, 60, 300, 1800]),
            };
            Some((0..=self.below(3)).map(|_| policy(self)).collect())
        };
        Rules {
            window_seconds: self.of(&[None, Some(0), Some(15), Some(30), Some(60), Some(300)]),
            select: self.of(&[None, None, Some("Max"), Some("Min"), Some("Min"), Some("Disabled")]),
            policies,
            tolerance_milli: self.of(&[None, None, None, Some(0), Some(50), Some(75), Some(1000)]),
        }
    }

    fn template(&mut self) -> Template {
        let request = |draw: &mut Self, name, restartable_init| {
            let mut requests = BTreeMap::new();
            if !draw.one_in(15) {
                requests.insert("cpu", draw.of(&[50, 100, 250, 333, 1_000]));
            }
            if !draw.one_in(15) {
                requests.insert("memory", draw.of(&[64, 100, 512]) * (1 << 20) * 1000);
            }
            Container { name, requests, restartable_init }
        };
        let mut containers = vec![request(self, "app", false)];
        if self.one_in(3) {
            let is_sidecar = self.one_in(2);
            containers.push(request(self, "proxy", is_sidecar));
        }
        let mut pod_level = BTreeMap::new();
        if self.one_in(6) {
            pod_level.insert("cpu", self.of(&[500, 1_500]));
        }
        if self.one_in(8) {
            pod_level.insert("memory", 1_000 << 30);
        }
        Template { containers, pod_level }
    }

    /// What the controller finds next, some time later.
    pub fn tick(&mut self, case: &Case, spec: &Spec, t: i64, replicas: i32) -> Tick {
        // Somebody asleep is more often given a minimum.
        let rarity = if replicas == 0 { 4 } else { 25 };
        let new_spec =
            if self.one_in(rarity) { Some(self.spec(case.gates.scale_to_zero)) } else { None };
        let spec = new_spec.as_ref().unwrap_or(spec).clone();
        let spec_replicas = match self.below(30) {
            0 => self.of(&[0, 1, 3, 7, 40]),
            _ => replicas,
        };
        let status_replicas = match self.below(6) {
            0 => self.of(&[0, 1, 2, 5, 9]),
            _ => spec_replicas,
        };
        let factor = self.of(&FACTORS);
        let groups = if self.one_in(15) { 0 } else { 1 + self.below(3) };
        let pods: Vec<Group> = (0..groups).map(|_| self.group(case, &spec, t, factor)).collect();
        let mut orphans = Vec::new();
        if self.one_in(6) {
            let template = self.below(case.templates.len());
            let sample = self.sample(&case.templates[template], &spec, t, factor);
            orphans.push((1 + self.below(3), sample));
        }
        let mut objects = BTreeMap::new();
        let mut externals = BTreeMap::new();
        let running: usize = pods.iter().map(|group| group.n).sum();
        for Metric { source, target } in &spec.metrics {
            let (Target::AverageValue(target) | Target::Value(target)) = *target else { continue };
            let replicas = self.of(&[1, i64::from(status_replicas), running as i64]);
            let value = (target * factor * replicas / 100 + self.between(-1, 1)).max(0);
            if self.one_in(12) {
                continue;
            }
            match source {
                Source::Object(metric) => {
                    objects.insert(*metric, value);
                }
                Source::External(metric, _) => {
                    let mut values = vec![value];
                    if self.one_in(4) {
                        values = vec![value / 3, value - value / 3, 0];
                    }
                    if self.one_in(60) {
                        values = vec![i64::MAX / 2, i64::MAX / 2, 5];
                    }
                    externals.insert(*metric, values);
                }
                _ => {}
            }
        }
        let broken = |draw: &mut Self| match draw.below(25) {
            0 => Api::Error,
            1 => Api::Empty,
            _ => Api::Serving,
        };
        let has_object = spec.metrics.iter().any(|one| matches!(one.source, Source::Object(_)));
        Tick {
            t,
            new_spec,
            restart: self.one_in(40),
            spec_replicas,
            status_replicas,
            selector: match self.below(60) {
                0 => Some(""),
                1 => Some("app in (web"),
                _ => None,
            },
            other_hpa: self.one_in(60),
            get_error: self.one_in(50),
            update_error: self.one_in(30),
            pods,
            orphans,
            resource_api: broken(self),
            // An object is asked for by name: there is no empty list.
            custom_api: match broken(self) {
                Api::Empty if has_object => Api::Serving,
                state => state,
            },
            external_api: broken(self),
            objects,
            externals,
        }
    }

    fn group(&mut self, case: &Case, spec: &Spec, t: i64, factor: i64) -> Group {
        let flags = case.flags;
        // At, just before, and just after the ends of the periods.
        let ends = [flags.cpu_initialization_period, 3_600_000, 20_000, 0];
        let age = self.of(&ends) + self.of(&[-1_000, 0, 1_000]);
        let start = (t - age).div_euclid(1000) * 1000;
        let edges = [0, flags.initial_readiness_delay, 5_000, age];
        let ready_since = start + self.of(&edges) + self.of(&[-1_000, 0, 1_000]);
        let template = self.below(case.templates.len());
        let sample = self.sample(&case.templates[template], spec, t, factor);
        Group {
            n: 1 + self.below(4),
            phase: self.of(&PHASES),
            deleting: self.one_in(15),
            ready: self.of(&[Some(true), Some(true), Some(true), Some(true), Some(false), None]),
            ready_since,
            start: if self.one_in(20) { None } else { Some(start) },
            template,
            sample,
        }
    }

    /// Usage at this percentage of the targets, or a little beside it.
    fn sample(&mut self, template: &Template, spec: &Spec, t: i64, factor: i64) -> Sample {
        let mut custom = BTreeMap::new();
        let mut sample = Sample::default();
        let of = |container: &Container, resource| {
            let target = spec.metrics.iter().find_map(|metric| match metric.source {
                Source::Resource(name) | Source::ContainerResource(name, _) if name == resource => {
                    Some(metric.target)
                }
                _ => None,
            });
            let request = container.requests.get(resource).copied().unwrap_or(100);
            match target {
                Some(Target::Utilization(percent)) => {
                    request * i64::from(percent) * factor / 10_000
                }
                Some(Target::AverageValue(target) | Target::Value(target)) => target * factor / 100,
                None => request / 2,
            }
        };
        for container in &template.containers {
            if self.one_in(25) {
                continue;
            }
            let cpu = (of(container, "cpu") * 1_000_000 + self.of(&[0, 0, 1, -1, 499_999])).max(0);
            let memory = (of(container, "memory") / 1000 + self.between(-1, 1)).max(0);
            let usage = ((!self.one_in(40)).then_some(cpu), (!self.one_in(40)).then_some(memory));
            sample.usage.insert(container.name, usage);
        }
        if self.one_in(12) {
            sample.usage.clear();
        } else {
            let window = self.of(&[15_000, 15_000, 30_000, 60_000, 14_987]);
            sample.at = Some((t - self.of(&[0, 3_000, 15_000, 30_000, 90_000]), window));
        }
        for metric in &spec.metrics {
            if let (Source::Pods(name), Target::AverageValue(target)) =
                (&metric.source, metric.target)
                && !self.one_in(10)
            {
                custom.insert(*name, (target * factor / 100 + self.between(-1, 1)).max(0));
            }
        }
        Sample { custom, ..sample }
    }

    /// From one sync to the next, in milliseconds.
    pub fn gap(&mut self) -> i64 {
        match self.below(8) {
            0 => 15_007,
            1 => self.of(&[1_000, 16_000, 29_000, 60_000, 301_000]),
            _ => 15_000,
        }
    }

    pub fn first_replicas(&mut self) -> i32 {
        self.of(&[1, 2, 3, 4, 8, 20])
    }
}
