//! `replica_calculator.go`, `metrics/utilization.go` and `metrics/client.go`, statement by statement: pods in
//! maps by name, walked over as often as the original does.

use std::collections::{BTreeMap, BTreeSet};

use super::world::{Api, Case, Container, Sample, Source, Target, Template, Tick};

/// An error, and whether its text is known: those of APIs that fail are not the controller's.
#[derive(Clone, Debug)]
pub struct Error {
    pub text: String,
    pub is_told: bool,
}

fn error(text: impl Into<String>) -> Error {
    Error { text: text.into(), is_told: true }
}

impl Error {
    pub fn wrapped(self, prefix: &str) -> Self {
        Self { text: format!("{prefix}: {}", self.text), ..self }
    }
}

/// `math.MaxInt64` and the like, as amd64 converts floats that do not fit.
pub fn int32(value: f64) -> i32 {
    let cut = libm::trunc(value);
    if (-2_147_483_648.0..=2_147_483_647.0).contains(&cut) { cut as i32 } else { i32::MIN }
}

fn int64(value: f64) -> i64 {
    let cut = libm::trunc(value);
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&cut) {
        cut as i64
    } else {
        i64::MIN
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Tolerances {
    pub down: f64,
    pub up: f64,
}

impl Tolerances {
    fn is_within(self, ratio: f64) -> bool {
        (1.0 - self.down) <= ratio && ratio <= (1.0 + self.up)
    }
}

/// What the status shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Current {
    Utilization(i32, i64),
    AverageValue(i64),
    Value(i64),
}

#[derive(Clone, Copy)]
struct PodMetric {
    timestamp: i64,
    window: i64,
    value: i64,
}

type PodMetrics = BTreeMap<String, PodMetric>;

struct Pod<'a> {
    /// Unique.
    name: String,
    /// Under which it is known to the reader of recordings.
    shown: String,
    group: &'a super::world::Group,
    template: &'a Template,
}

/// One call of the calculator.
pub struct Calculator<'a> {
    pub case: &'a Case,
    pub tick: &'a Tick,
    pub tolerances: Tolerances,
}

impl Calculator<'_> {
    fn pods(&self) -> Vec<Pod<'_>> {
        let mut pods = Vec::new();
        for (index, group) in self.tick.pods.iter().enumerate() {
            for one in 0..group.n {
                pods.push(Pod {
                    name: format!("pod-{index}-{one}"),
                    shown: format!("group {index}"),
                    group,
                    template: &self.case.templates[group.template],
                });
            }
        }
        pods
    }

    /// Every sample that the API lists, those of pods that are gone included.
    fn samples(&self) -> Vec<(String, &Sample)> {
        let mut samples = Vec::new();
        for pod in self.pods() {
            samples.push((pod.name, &pod.group.sample));
        }
        for (index, (n, sample)) in self.tick.orphans.iter().enumerate() {
            for one in 0..*n {
                samples.push((format!("gone-{index}-{one}"), sample));
            }
        }
        samples
    }

    /// `resourceMetricsClient.GetResourceMetric`.
    fn get_resource_metric(&self, resource: &str, container: &str) -> Result<PodMetrics, Error> {
        match self.tick.resource_api {
            Api::Error => return Err(Error { text: "unable to fetch".into(), is_told: false }),
            Api::Empty => return Err(error("no metrics returned from resource metrics API")),
            Api::Serving => {}
        }
        let items: Vec<_> =
            self.samples().into_iter().filter(|(_, sample)| sample.at.is_some()).collect();
        if items.is_empty() {
            return Err(error("no metrics returned from resource metrics API"));
        }
        let quantity = |(nano, bytes): (Option<i64>, Option<i64>)| match resource {
            // MilliValue rounds up.
            "cpu" => nano.map(|nano| nano / 1_000_000 + i64::from(nano % 1_000_000 > 0)),
            "memory" => bytes.map(|bytes| bytes * 1000),
            _ => None,
        };
        let mut metrics = PodMetrics::new();
        for (name, sample) in items {
            let (timestamp, window) = sample.at.expect("just filtered");
            let value = if container.is_empty() {
                let mut sum = 0_i64;
                let mut missing = sample.usage.is_empty();
                for usage in sample.usage.values() {
                    match quantity(*usage) {
                        Some(value) => sum += value,
                        None => missing = true,
                    }
                }
                if missing { None } else { Some(sum) }
            } else {
                sample.usage.get(container).and_then(|usage| quantity(*usage))
            };
            if let Some(value) = value {
                metrics.insert(name, PodMetric { timestamp, window, value });
            }
        }
        Ok(metrics)
    }

    /// `customMetricsClient.GetRawMetric`.
    fn get_raw_metric(&self, metric: &str) -> Result<PodMetrics, Error> {
        match self.tick.custom_api {
            Api::Error => return Err(Error { text: "unable to fetch".into(), is_told: false }),
            Api::Empty => return Err(error("no metrics returned from custom metrics API")),
            Api::Serving => {}
        }
        let mut metrics = PodMetrics::new();
        for (name, sample) in self.samples() {
            if let Some(value) = sample.custom.get(metric) {
                metrics.insert(name, PodMetric { timestamp: 0, window: 60_000, value: *value });
            }
        }
        if metrics.is_empty() {
            return Err(error("no metrics returned from custom metrics API"));
        }
        Ok(metrics)
    }

    fn get_object_metric(&self, metric: &str) -> Result<i64, Error> {
        let unable = || Error { text: "unable to fetch".into(), is_told: false };
        if self.tick.custom_api == Api::Error {
            return Err(unable());
        }
        self.tick.objects.get(metric).copied().ok_or_else(unable)
    }

    fn get_external_metric(&self, metric: &str) -> Result<Vec<i64>, Error> {
        if self.tick.external_api == Api::Error {
            return Err(Error { text: "unable to fetch".into(), is_told: false });
        }
        let values = self.tick.externals.get(metric).cloned().unwrap_or_default();
        if self.tick.external_api == Api::Empty || values.is_empty() {
            return Err(error("no metrics returned from external metrics API"));
        }
        Ok(values)
    }

    /// `groupPods`.
    fn group_pods(
        &self,
        pods: &[Pod<'_>],
        metrics: &PodMetrics,
        resource: &str,
    ) -> (usize, [BTreeSet<String>; 3]) {
        let mut ready_pod_count = 0;
        let (mut unready, mut missing, mut ignored) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for pod in pods {
            let name = pod.name.clone();
            if pod.group.deleting || pod.group.phase == "Failed" {
                ignored.insert(name);
                continue;
            }
            if pod.group.phase == "Pending" {
                unready.insert(name);
                continue;
            }
            let Some(metric) = metrics.get(&name) else {
                missing.insert(name);
                continue;
            };
            if resource == "cpu" {
                let is_unready = match (pod.group.ready, pod.group.start) {
                    (None, _) | (_, None) => true,
                    (Some(ready), Some(start)) => {
                        let flags = &self.case.flags;
                        let transition = pod.group.ready_since;
                        if start + flags.cpu_initialization_period > self.tick.t {
                            !ready || metric.timestamp < transition + metric.window
                        } else {
                            !ready && start + flags.initial_readiness_delay > transition
                        }
                    }
                };
                if is_unready {
                    unready.insert(name);
                    continue;
                }
            }
            ready_pod_count += 1;
        }
        (ready_pod_count, [unready, missing, ignored])
    }

    /// `calculateRequests`.
    fn calculate_requests(
        &self,
        pods: &[Pod<'_>],
        container: &str,
        resource: &str,
    ) -> Result<BTreeMap<String, i64>, Error> {
        let mut requests = BTreeMap::new();
        for pod in pods {
            let is_pod_level = self.case.gates.pod_level_resources
                && !pod.template.pod_level.is_empty()
                && container.is_empty();
            let request = if is_pod_level {
                let level = pod.template.pod_level.get(resource).copied();
                let asked = |one: &Container| one.requests.get(resource).copied();
                let sums: Vec<i64> = pod.template.containers.iter().filter_map(asked).collect();
                let below = if sums.is_empty() { None } else { Some(sums.iter().sum()) };
                level.or(below).ok_or_else(|| {
                    error(format!("missing pod-level request for {resource} in Pod {}", pod.shown))
                })?
            } else {
                Self::requests_from_containers(pod, container, resource)?
            };
            requests.insert(pod.name.clone(), request);
        }
        Ok(requests)
    }

    fn requests_from_containers(
        pod: &Pod<'_>,
        container: &str,
        resource: &str,
    ) -> Result<i64, Error> {
        let all = &pod.template.containers;
        let regular = all.iter().filter(|one| !one.restartable_init);
        let sidecars = all.iter().filter(|one| one.restartable_init);
        let mut request = 0;
        for one in regular.chain(sidecars) {
            if container.is_empty() || container == one.name {
                let Some(amount) = one.requests.get(resource) else {
                    let (name, pod) = (one.name, &pod.shown);
                    return Err(error(format!(
                        "missing request for {resource} in container {name} of Pod {pod}"
                    )));
                };
                request += amount;
            }
            if container == one.name {
                return Ok(request);
            }
        }
        if container.is_empty() {
            return Ok(request);
        }
        Err(error(format!("container {container} not found in Pod {}", pod.shown)))
    }

    /// `GetResourceReplicas` with a utilization, else `calcPlainMetricReplicas`.
    fn per_pod_replicas(
        &self,
        mut metrics: PodMetrics,
        current_replicas: i32,
        target: Target,
        container: &str,
        resource: &str,
    ) -> Result<(i32, Current), Error> {
        let pods = self.pods();
        if pods.is_empty() {
            return Err(error("no pods returned by selector while calculating replica count"));
        }
        let (ready_pod_count, [unready, missing, ignored]) =
            self.group_pods(&pods, &metrics, resource);
        metrics.retain(|name, _| !ignored.contains(name) && !unready.contains(name));
        if metrics.is_empty() {
            let text = "did not receive metrics for targeted pods (pods might be unready)";
            return Err(error(text));
        }
        let requests = match target {
            Target::Utilization(_) => self.calculate_requests(&pods, container, resource)?,
            _ => BTreeMap::new(),
        };
        let (usage_ratio, current) = usage_ratio(&metrics, &requests, target)?;
        let scale_up_with_unready = !unready.is_empty() && usage_ratio > 1.0;
        if !scale_up_with_unready && missing.is_empty() {
            if self.tolerances.is_within(usage_ratio) {
                return Ok((current_replicas, current));
            }
            return Ok((int32(libm::ceil(usage_ratio * ready_pod_count as f64)), current));
        }
        let mut assume = |name: &String, value: i64| {
            metrics.insert(name.clone(), PodMetric { timestamp: 0, window: 0, value });
        };
        if !missing.is_empty() {
            if usage_ratio < 1.0 {
                for name in &missing {
                    let value = match target {
                        Target::Utilization(percent) => {
                            requests[name].wrapping_mul(i64::from(percent.max(100))) / 100
                        }
                        Target::AverageValue(target) | Target::Value(target) => target,
                    };
                    assume(name, value);
                }
            } else if usage_ratio > 1.0 {
                for name in &missing {
                    assume(name, 0);
                }
            }
        }
        if scale_up_with_unready {
            for name in &unready {
                assume(name, 0);
            }
        }
        let (new_ratio, _) = self::usage_ratio(&metrics, &requests, target)?;
        if self.tolerances.is_within(new_ratio)
            || (usage_ratio < 1.0 && new_ratio > 1.0)
            || (usage_ratio > 1.0 && new_ratio < 1.0)
        {
            return Ok((current_replicas, current));
        }
        let new_replicas = int32(libm::ceil(new_ratio * metrics.len() as f64));
        if (new_ratio < 1.0 && new_replicas > current_replicas)
            || (new_ratio > 1.0 && new_replicas < current_replicas)
        {
            return Ok((current_replicas, current));
        }
        Ok((new_replicas, current))
    }

    /// `getUsageRatioReplicaCount`.
    fn ratio_replica_count(&self, current_replicas: i32, ratio: f64) -> Result<i32, Error> {
        if current_replicas == 0 {
            return Ok(int32(libm::ceil(ratio)));
        }
        if self.tolerances.is_within(ratio) {
            return Ok(current_replicas);
        }
        let pods = self.pods();
        if pods.is_empty() {
            let text = "no pods returned by selector while calculating replica count";
            return Err(error(text).wrapped("unable to calculate ready pods"));
        }
        let is_ready =
            |pod: &&Pod<'_>| pod.group.phase == "Running" && pod.group.ready == Some(true);
        let count = ratio * pods.iter().filter(is_ready).count() as f64;
        Ok(if count > f64::from(i32::MAX) { i32::MAX } else { int32(libm::ceil(count)) })
    }

    /// What one metric asks for: the calculator's part of `computeReplicasForMetric`.
    pub fn replicas(&self, source: &Source, target: Target) -> Result<(i32, Current), Error> {
        let (spec, status) = (self.tick.spec_replicas, self.tick.status_replicas);
        match *source {
            Source::Resource(resource) => self.resource_replicas(resource, "", target),
            Source::ContainerResource(resource, container) => {
                self.resource_replicas(resource, container, target)
            }
            Source::Pods(metric) => {
                let metrics = self.get_raw_metric(metric);
                let unable = format!("unable to get metric {metric}");
                let metrics = metrics.map_err(|error| error.wrapped(&unable))?;
                self.per_pod_replicas(metrics, spec, target, "", "")
            }
            Source::Object(metric) => {
                let usage = self.get_object_metric(metric)?;
                match target {
                    Target::AverageValue(target) => {
                        let ratio = usage as f64 / (target as f64 * f64::from(status));
                        let mut count = status;
                        if !self.tolerances.is_within(ratio) {
                            count = int32(libm::ceil(usage as f64 / target as f64));
                        }
                        let average = int64(libm::ceil(usage as f64 / f64::from(status)));
                        Ok((count, Current::AverageValue(average)))
                    }
                    Target::Value(target) => {
                        let ratio = usage as f64 / target as f64;
                        Ok((self.ratio_replica_count(spec, ratio)?, Current::Value(usage)))
                    }
                    Target::Utilization(_) => unreachable!("an object has no utilization"),
                }
            }
            Source::External(metric, label) => {
                let unable = format!(
                    "unable to get external metric default/{metric}/{}",
                    selector_text(label)
                );
                let values = self.get_external_metric(metric);
                let values = values.map_err(|error| error.wrapped(&unable))?;
                match target {
                    Target::AverageValue(target) => Ok(self.external_per_pod(&values, target)),
                    Target::Value(target) => {
                        let mut usage = 0_i64;
                        for value in values {
                            if value > 0 && usage > i64::MAX - value {
                                usage = i64::MAX;
                                break;
                            }
                            usage += value;
                        }
                        let ratio = usage as f64 / target as f64;
                        Ok((self.ratio_replica_count(spec, ratio)?, Current::Value(usage)))
                    }
                    Target::Utilization(_) => unreachable!("an external metric has no utilization"),
                }
            }
        }
    }

    fn resource_replicas(
        &self,
        resource: &str,
        container: &str,
        target: Target,
    ) -> Result<(i32, Current), Error> {
        let of = if let Target::Utilization(_) = target { "utilization" } else { "usage" };
        let failed = format!("failed to get {resource} {of}");
        let metrics = self.get_resource_metric(resource, container).map_err(|error| {
            error
                .wrapped(&format!("unable to get metrics for resource {resource}"))
                .wrapped(&failed)
        })?;
        self.per_pod_replicas(metrics, self.tick.spec_replicas, target, container, resource)
            .map_err(|error| error.wrapped(&failed))
    }

    /// `GetExternalPerPodMetricReplicas`.
    fn external_per_pod(&self, values: &[i64], target: i64) -> (i32, Current) {
        let status = self.tick.status_replicas;
        let mut usage = 0_i64;
        for value in values {
            usage = usage.wrapping_add(*value);
            if usage < 0 {
                usage = i64::MAX;
                break;
            }
        }
        let mut count = status;
        let ratio = usage as f64 / (target as f64 * f64::from(status));
        if !self.tolerances.is_within(ratio) {
            let result = libm::ceil(usage as f64 / target as f64);
            count = if result > f64::from(i32::MAX) { i32::MAX } else { int32(result) };
        }
        let average = if usage as f64 >= i64::MAX as f64 {
            i64::MAX
        } else {
            int64(libm::ceil(usage as f64 / f64::from(status)))
        };
        (count, Current::AverageValue(average))
    }
}

/// `%+v` of a `*metav1.LabelSelector`.
pub fn selector_text(label: Option<&str>) -> String {
    label.map_or_else(
        || "nil".to_owned(),
        |value| {
            format!(
                "&LabelSelector{{MatchLabels:map[string]string{{queue: {value},}},\
                 MatchExpressions:[]LabelSelectorRequirement{{}},}}"
            )
        },
    )
}

/// `GetResourceUtilizationRatio`, `GetMetricUsageRatio`.
fn usage_ratio(
    metrics: &PodMetrics,
    requests: &BTreeMap<String, i64>,
    target: Target,
) -> Result<(f64, Current), Error> {
    let target = match target {
        Target::Utilization(target) => target,
        Target::AverageValue(target) | Target::Value(target) => {
            let mut total = 0_i64;
            for metric in metrics.values() {
                total = total.wrapping_add(metric.value);
            }
            let usage = total / metrics.len() as i64;
            return Ok((usage as f64 / target as f64, Current::AverageValue(usage)));
        }
    };
    let (mut total, mut requests_total, mut entries) = (0_i64, 0_i64, 0_i64);
    for (name, metric) in metrics {
        let Some(request) = requests.get(name) else { continue };
        total = total.wrapping_add(metric.value);
        requests_total = requests_total.wrapping_add(*request);
        entries += 1;
    }
    if requests_total == 0 {
        return Err(error("no metrics returned matched known pods"));
    }
    let percent = (total.wrapping_mul(100) / requests_total) as i32;
    let current = Current::Utilization(percent, total / entries);
    Ok((f64::from(percent) / f64::from(target), current))
}
