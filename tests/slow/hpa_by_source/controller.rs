//! `horizontal.go`, statement by statement: one sync of one HPA, with what the controller remembers.

use super::calculator::{Calculator, Current, Error, Tolerances, int32, selector_text};
use super::world::{Case, Metric, Policy, Rules, Source, Spec, Target, Tick};

/// `HorizontalPodAutoscalerStatus`; times in whole seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    pub last_scale_time: Option<i64>,
    pub current_replicas: i32,
    pub desired_replicas: i32,
    pub current_metrics: Vec<Option<(Source, Current)>>,
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub kind: &'static str,
    pub status: bool,
    pub reason: &'static str,
    pub message: String,
    pub since: i64,
}

#[derive(Clone, Debug)]
pub struct Event {
    pub is_warning: bool,
    pub reason: &'static str,
    /// `None` where it quotes what is not the controller's.
    pub message: Option<String>,
}

/// What a sync did besides the status.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub raw: Option<i32>,
    pub write: Option<(i32, bool)>,
    pub events: Vec<Event>,
    pub error: Option<&'static str>,
    pub status_written: bool,
}

#[derive(Clone, Copy, Debug)]
struct ScaleEvent {
    change: i32,
    at: i64,
    outdated: bool,
}

#[derive(Debug, Default)]
pub struct Controller {
    pub status: Status,
    recommendations: Option<Vec<(i32, i64)>>,
    up_events: Vec<ScaleEvent>,
    down_events: Vec<ScaleEvent>,
}

/// `behavior` after `SetDefaults_HorizontalPodAutoscalerBehavior`.
struct Defaulted {
    window: Option<i32>,
    select: &'static str,
    policies: Vec<Policy>,
}

fn defaulted(rules: &Rules, is_up: bool) -> Defaulted {
    let policy = |kind, value| Policy { kind, value, period_seconds: 15 };
    let default = if is_up {
        vec![policy("Pods", 4), policy("Percent", 100)]
    } else {
        vec![policy("Percent", 100)]
    };
    Defaulted {
        window: rules.window_seconds.or(if is_up { Some(0) } else { None }),
        select: rules.select.unwrap_or("Max"),
        policies: rules.policies.clone().unwrap_or(default),
    }
}

/// `Quantity.AsApproximateFloat64` of thousandths as the API server stores them.
fn approximate(milli: i64) -> f64 {
    if milli % 1000 == 0 { (milli / 1000) as f64 } else { milli as f64 * 1e-3 }
}

const ABLE: &str = "AbleToScale";
const ACTIVE: &str = "ScalingActive";
const LIMITED: &str = "ScalingLimited";
const ZERO: &str = "ScaledToZero";

impl Controller {
    /// The controller starts anew: the status is all that is left.
    pub fn restart(&mut self) {
        *self = Self { status: std::mem::take(&mut self.status), ..Self::default() };
    }

    fn set_condition(
        &mut self,
        tick: &Tick,
        kind: &'static str,
        status: bool,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let (since, message) = (tick.t.div_euclid(1000), message.into());
        let conditions = &mut self.status.conditions;
        match conditions.iter_mut().find(|condition| condition.kind == kind) {
            None => conditions.push(Condition { kind, status, reason, message, since }),
            Some(condition) => {
                let since = if condition.status == status { condition.since } else { since };
                *condition = Condition { kind, status, reason, message, since };
            }
        }
    }

    /// `reconcileAutoscaler`.
    pub fn reconcile(&mut self, case: &Case, spec: &Spec, tick: &Tick) -> Outcome {
        let before = self.status.clone();
        let mut outcome = Outcome::default();
        self.sync(case, spec, tick, &mut outcome);
        outcome.status_written = self.status != before;
        outcome
    }

    #[expect(clippy::too_many_lines, reason = "the original is one function, too")]
    fn sync(&mut self, case: &Case, spec: &Spec, tick: &Tick, outcome: &mut Outcome) {
        if tick.get_error {
            outcome.warn("FailedGetScale", None);
            self.set_condition(tick, ABLE, false, "FailedGetScale", "");
            outcome.error = Some("getScaleFailed");
            return;
        }
        let text = "the HPA controller was able to get the target's current scale";
        self.set_condition(tick, ABLE, true, "SucceededGetScale", text);
        let current = tick.spec_replicas;
        if self.recommendations.is_none() {
            self.recommendations = Some(vec![(current, tick.t)]);
        }
        let gate = case.gates.scale_to_zero;
        if !gate {
            self.status.conditions.retain(|condition| condition.kind != ZERO);
        }
        let wakes =
            |metric: &Metric| matches!(metric.source, Source::Object(_) | Source::External(..));
        let has_object_or_external = spec.metrics.iter().any(wakes);
        let scaled_to_zero =
            self.status.conditions.iter().any(|one| one.kind == ZERO && one.status) && gate;
        let min = spec.min.unwrap_or(1);
        let mut desired = 0;
        let mut reason = String::new();
        let mut rescale = true;
        let mut metrics = Vec::new();
        let mut needs_metrics = true;
        if current == 0 {
            let can_wake = scaled_to_zero && has_object_or_external;
            if !((min != 0 && scaled_to_zero) || can_wake) {
                needs_metrics = false;
                rescale = false;
                let text = "scaling is disabled since the replica count of the target is zero";
                self.set_condition(tick, ACTIVE, false, "ScalingDisabled", text);
            }
        } else if current > spec.max {
            "Current number of replicas above Spec.MaxReplicas".clone_into(&mut reason);
            desired = spec.max;
            needs_metrics = false;
        } else if current < min {
            "Current number of replicas below Spec.MinReplicas".clone_into(&mut reason);
            desired = min;
            needs_metrics = false;
        }
        if needs_metrics {
            let computed = self.compute_replicas(case, spec, tick, outcome);
            metrics = computed.statuses;
            let Some((proposed, name)) = computed.result else {
                self.status.current_replicas = current;
                self.status.current_metrics = metrics;
                outcome.warn("FailedComputeMetricsReplicas", computed.error);
                outcome.error = Some("metricsFailed");
                return;
            };
            if computed.is_partial {
                outcome.error = Some("partialMetricsFailure");
            }
            let mut metric = "";
            if proposed > desired {
                desired = proposed;
                metric = &name;
            }
            if desired > current {
                reason = format!("{metric} above target");
            }
            if desired < current {
                "All metrics below target".clone_into(&mut reason);
            }
            outcome.raw = Some(desired);
            desired = self.normalize(case, spec, tick, (current, desired, min));
            if current == 0 && min != 0 && scaled_to_zero && desired < min {
                desired = min;
                if reason.is_empty() {
                    "Current number of replicas below Spec.MinReplicas".clone_into(&mut reason);
                }
            }
            rescale = desired != current;
        }
        if rescale {
            if tick.update_error {
                outcome.write = Some((desired, false));
                outcome.warn("FailedRescale", None);
                self.set_condition(tick, ABLE, false, "FailedUpdateScale", "");
                self.status.current_replicas = current;
                self.status.current_metrics = metrics;
                outcome.error = Some("rescaleFailed");
                return;
            }
            outcome.write = Some((desired, true));
            let text =
                format!("the HPA controller was able to update the target scale to {desired}");
            self.set_condition(tick, ABLE, true, "SucceededRescale", text);
            if gate {
                if current > 0 && desired == 0 && min == 0 && has_object_or_external {
                    let text = "the HPA controller scaled the workload to zero";
                    self.set_condition(tick, ZERO, true, "ScaledToZero", text);
                } else {
                    let text = "the HPA controller did not scale the workload to zero";
                    self.set_condition(tick, ZERO, false, "NotScaledToZero", text);
                }
            }
            let message = format!("New size: {desired}; reason: {reason}");
            outcome.events.push(Event {
                is_warning: false,
                reason: "SuccessfulRescale",
                message: Some(message),
            });
            self.store_scale_event(spec, tick, current, desired);
            self.status.last_scale_time = Some(tick.t.div_euclid(1000));
        } else {
            desired = current;
        }
        self.status.current_replicas = current;
        self.status.desired_replicas = desired;
        self.status.current_metrics = metrics;
    }

    /// `computeReplicasForMetrics`.
    fn compute_replicas(
        &mut self,
        case: &Case,
        spec: &Spec,
        tick: &Tick,
        outcome: &mut Outcome,
    ) -> Computed {
        if let Some(selector) = tick.selector {
            let (event, text) = if selector.is_empty() {
                ("SelectorRequired", Some("selector is required".to_owned()))
            } else {
                ("InvalidSelector", None)
            };
            outcome.warn(event, text.clone());
            self.set_condition(tick, ACTIVE, false, "InvalidSelector", "");
            return Computed { error: text, ..Computed::default() };
        }
        if tick.other_hpa && tick.pods.iter().any(|group| group.n > 0) {
            outcome.warn("AmbiguousSelector", None);
            self.set_condition(tick, ACTIVE, false, "AmbiguousSelector", "");
            return Computed::default();
        }
        let flag = case.flags.tolerance;
        let mut tolerances = Tolerances { down: flag, up: flag };
        if let (Some(behavior), true) = (&spec.behavior, case.gates.configurable_tolerance) {
            tolerances.down = behavior.down.tolerance_milli.map_or(flag, approximate);
            tolerances.up = behavior.up.tolerance_milli.map_or(flag, approximate);
        }
        let calculator = Calculator { case, tick, tolerances };
        let mut replicas = 0;
        let mut name = String::new();
        let mut statuses = Vec::new();
        let mut invalid = 0;
        let mut first: Option<(&'static str, Error, Error)> = None;
        for Metric { source, target } in &spec.metrics {
            match calculator.replicas(source, *target) {
                Err(error) => {
                    let reason = failure(source);
                    outcome.warn(reason, error.is_told.then(|| error.text.clone()));
                    let wrapped = wrapped(source, *target, error.clone());
                    first.get_or_insert((reason, error, wrapped));
                    invalid += 1;
                    statuses.push(None);
                }
                Ok((proposal, current)) => {
                    statuses.push(Some((source.clone(), current)));
                    if replicas == 0 || proposal > replicas {
                        replicas = proposal;
                        name = metric_name(source, *target);
                    }
                }
            }
        }
        let count = spec.metrics.len();
        if let Some((reason, error, wrapped)) = &first
            && (invalid >= count || replicas < tick.spec_replicas)
        {
            let text = format!("the HPA was unable to compute the replica count: {}", error.text);
            self.set_condition(tick, ACTIVE, false, reason, text);
            let text = format!(
                "invalid metrics ({invalid} invalid out of {count}), first error is: {}",
                wrapped.text
            );
            let error = wrapped.is_told.then_some(text);
            return Computed { statuses, error, ..Computed::default() };
        }
        let text =
            format!("the HPA was able to successfully calculate a replica count from {name}");
        self.set_condition(tick, ACTIVE, true, "ValidMetricFound", text);
        Computed {
            result: Some((replicas, name)),
            statuses,
            is_partial: first.is_some(),
            error: None,
        }
    }

    /// `normalizeDesiredReplicas`, `normalizeDesiredReplicasWithBehaviors`.
    fn normalize(
        &mut self,
        case: &Case,
        spec: &Spec,
        tick: &Tick,
        (current, proposed, min): (i32, i32, i32),
    ) -> i32 {
        const HIGHER: &str = "recent recommendations were higher than current one, applying the \
                              highest recent recommendation";
        const LOWER: &str = "recent recommendations were lower than current one, applying the \
                             lowest recent recommendation";
        let flag = case.flags.downscale_stabilization;
        let (stabilized, why) = match &spec.behavior {
            None => (self.stabilize(tick.t, proposed, flag), ("ScaleDownStabilized", HIGHER)),
            Some(behavior) => {
                let up = defaulted(&behavior.up, true).window.unwrap_or(0);
                let down = defaulted(&behavior.down, false).window;
                let down = down.map_or(flag / 1000, i64::from);
                let windows = (i64::from(up) * 1000, down * 1000);
                let stabilized = self.stabilize_with_behaviors(tick.t, current, proposed, windows);
                let why = if proposed >= current {
                    ("ScaleUpStabilized", LOWER)
                } else {
                    ("ScaleDownStabilized", HIGHER)
                };
                (stabilized, why)
            }
        };
        if stabilized == proposed {
            let text = "recommended size matches current size";
            self.set_condition(tick, ABLE, true, "ReadyForNewScale", text);
        } else {
            self.set_condition(tick, ABLE, true, why.0, why.1);
        }
        let (desired, reason) = match &spec.behavior {
            None => convert_with_rules(current, stabilized, min, spec.max),
            Some(behavior) => {
                let rules = (defaulted(&behavior.up, true), defaulted(&behavior.down, false));
                self.convert_with_rate(tick.t, &rules, (current, stabilized, min, spec.max))
            }
        };
        let text = match reason {
            "ScaleUpLimit" => {
                "the desired replica count is increasing faster than the maximum scale rate"
            }
            "ScaleDownLimit" => {
                "the desired replica count is decreasing faster than the maximum scale rate"
            }
            "TooManyReplicas" => "the desired replica count is more than the maximum replica count",
            "TooFewReplicas" => "the desired replica count is less than the minimum replica count",
            _ => "the desired count is within the acceptable range",
        };
        self.set_condition(tick, LIMITED, desired != stabilized, reason, text);
        desired
    }

    /// `stabilizeRecommendation`.
    fn stabilize(&mut self, now: i64, proposed: i32, window: i64) -> i32 {
        let mut highest = proposed;
        let mut old = None;
        let cutoff = now - window;
        let known = self.recommendations.get_or_insert_default();
        for (index, (replicas, at)) in known.iter().enumerate() {
            if *at < cutoff {
                old = Some(index);
            } else if *replicas > highest {
                highest = *replicas;
            }
        }
        match old {
            Some(index) => known[index] = (proposed, now),
            None => known.push((proposed, now)),
        }
        highest
    }

    /// `stabilizeRecommendationWithBehaviors`.
    fn stabilize_with_behaviors(
        &mut self,
        now: i64,
        current: i32,
        proposed: i32,
        (up, down): (i64, i64),
    ) -> i32 {
        let (up_cutoff, down_cutoff) = (now - up, now - down);
        let (mut up, mut down) = (proposed, proposed);
        let mut old = None;
        let known = self.recommendations.get_or_insert_default();
        for (index, (replicas, at)) in known.iter().enumerate() {
            if *at > up_cutoff {
                up = up.min(*replicas);
            }
            if *at > down_cutoff {
                down = down.max(*replicas);
            }
            if *at < up_cutoff && *at < down_cutoff {
                old = Some(index);
            }
        }
        let mut recommendation = current;
        if recommendation < up {
            recommendation = up;
        }
        if recommendation > down {
            recommendation = down;
        }
        match old {
            Some(index) => known[index] = (proposed, now),
            None => known.push((proposed, now)),
        }
        recommendation
    }

    /// `convertDesiredReplicasWithBehaviorRate`.
    fn convert_with_rate(
        &self,
        now: i64,
        (up, down): &(Defaulted, Defaulted),
        (current, desired, min, max): (i32, i32, i32, i32),
    ) -> (i32, &'static str) {
        if desired > current {
            let limit = self.scale_limit(now, current, up, true).max(current);
            let (allowed, reason) =
                if max > limit { (limit, "ScaleUpLimit") } else { (max, "TooManyReplicas") };
            if desired > allowed {
                return (allowed, reason);
            }
        } else if desired < current {
            let limit = self.scale_limit(now, current, down, false).min(current);
            let (allowed, reason) =
                if min < limit { (limit, "ScaleDownLimit") } else { (min, "TooFewReplicas") };
            if desired < allowed {
                return (allowed, reason);
            }
        }
        (desired, "DesiredWithinRange")
    }

    /// `calculateScaleUpLimitWithScalingRules`, `calculateScaleDownLimitWithBehaviors`.
    fn scale_limit(&self, now: i64, current: i32, rules: &Defaulted, is_up: bool) -> i32 {
        if rules.select == "Disabled" {
            return current;
        }
        let takes_lowest = (rules.select == "Min") == is_up;
        let mut result = if takes_lowest { i32::MAX } else { i32::MIN };
        for policy in &rules.policies {
            let cutoff = now - i64::from(policy.period_seconds) * 1000;
            let changed = |events: &[ScaleEvent]| -> i32 {
                events.iter().filter(|event| event.at > cutoff).map(|event| event.change).sum()
            };
            let start = current - changed(&self.up_events) + changed(&self.down_events);
            let share = f64::from(policy.value) / 100.0;
            let proposed = match (policy.kind, is_up) {
                ("Pods", true) => start + policy.value,
                ("Pods", false) => start - policy.value,
                (_, true) => int32(libm::ceil(f64::from(start) * (1.0 + share))),
                (_, false) => int32(f64::from(start) * (1.0 - share)),
            };
            result = if takes_lowest { result.min(proposed) } else { result.max(proposed) };
        }
        result
    }

    /// `storeScaleEvent`.
    fn store_scale_event(&mut self, spec: &Spec, tick: &Tick, before: i32, after: i32) {
        let Some(behavior) = &spec.behavior else { return };
        let (events, rules) = if after > before {
            (&mut self.up_events, defaulted(&behavior.up, true))
        } else {
            (&mut self.down_events, defaulted(&behavior.down, false))
        };
        let longest = rules.policies.iter().map(|policy| policy.period_seconds).max().unwrap_or(0);
        let cutoff = tick.t - i64::from(longest) * 1000;
        let mut old = None;
        for (index, event) in events.iter_mut().enumerate() {
            if event.at < cutoff {
                event.outdated = true;
            }
            if event.outdated {
                old = Some(index);
            }
        }
        let event = ScaleEvent { change: (after - before).abs(), at: tick.t, outdated: false };
        match old {
            Some(index) => events[index] = event,
            None => events.push(event),
        }
    }
}

#[derive(Default)]
struct Computed {
    result: Option<(i32, String)>,
    statuses: Vec<Option<(Source, Current)>>,
    is_partial: bool,
    /// Text of the event, if it is known.
    error: Option<String>,
}

impl Outcome {
    fn warn(&mut self, reason: &'static str, message: Option<String>) {
        self.events.push(Event { is_warning: true, reason, message });
    }
}

/// `convertDesiredReplicasWithRules`.
fn convert_with_rules(current: i32, desired: i32, min: i32, max: i32) -> (i32, &'static str) {
    let limit = int32((2.0 * f64::from(current)).max(4.0));
    let (allowed, reason) =
        if max > limit { (limit, "ScaleUpLimit") } else { (max, "TooManyReplicas") };
    if desired < min {
        (min, "TooFewReplicas")
    } else if desired > allowed {
        (allowed, reason)
    } else {
        (desired, "DesiredWithinRange")
    }
}

const fn failure(source: &Source) -> &'static str {
    match source {
        Source::Resource(_) => "FailedGetResourceMetric",
        Source::ContainerResource(..) => "FailedGetContainerResourceMetric",
        Source::Pods(_) => "FailedGetPodsMetric",
        Source::Object(_) => "FailedGetObjectMetric",
        Source::External(..) => "FailedGetExternalMetric",
    }
}

/// The error of `computeReplicasForMetric`.
fn wrapped(source: &Source, target: Target, error: Error) -> Error {
    let is_average = matches!(target, Target::AverageValue(_));
    match source {
        Source::Resource(name) => {
            error.wrapped(&format!("failed to get {name} resource metric value"))
        }
        Source::ContainerResource(_, container) => {
            error.wrapped(&format!("failed to get {container} container metric value"))
        }
        Source::Pods(_) => error.wrapped("failed to get pods metric value"),
        Source::Object(metric) => {
            let inner = format!("failed to get {metric} object metric");
            let error = if is_average { error.wrapped(&inner) } else { error };
            error.wrapped("failed to get object metric value")
        }
        Source::External(metric, _) => {
            let inner = if is_average {
                format!("failed to get {metric} external metric")
            } else {
                format!("failed to get external metric {metric}")
            };
            error.wrapped(&inner).wrapped(&format!("failed to get {metric} external metric value"))
        }
    }
}

/// The name of `computeStatusFor...Metric`.
fn metric_name(source: &Source, target: Target) -> String {
    match (source, target) {
        (Source::Resource(name), Target::Utilization(_)) => {
            format!("{name} resource utilization (percentage of request)")
        }
        (Source::ContainerResource(name, _), Target::Utilization(_)) => {
            format!("{name} container resource utilization (percentage of request)")
        }
        (Source::Resource(name) | Source::ContainerResource(name, _), _) => {
            format!("{name} resource")
        }
        (Source::Pods(metric), _) => format!("pods metric {metric}"),
        (Source::Object(metric), Target::Value(_)) => format!("Service metric {metric}"),
        (Source::Object(metric), _) => format!("external metric {metric}(nil)"),
        (Source::External(metric, label), _) => {
            format!("external metric {metric}({})", selector_text(*label))
        }
    }
}
