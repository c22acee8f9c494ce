//! Explains a decision about a revision with the numbers filled into the formulas.

use std::fmt;

use serde_json::{Value, json};

use super::LastDecision;
use super::activation::Hold;
use crate::Row;
use cluster::pod_autoscaler::{PodAutoscalerSpec, ScalingMetric, ServerlessMode};

/// The settings behind a decision that its explanation shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct DecisionSettings {
    metric: ScalingMetric,
    target: f64,
    total: f64,
    burst: f64,
    panic_threshold: f64,
    stable_seconds: f64,
    panic_seconds: f64,
    bounds: (i32, i32),
    max_scale_up_rate: f64,
}

impl DecisionSettings {
    pub(super) fn of(spec: &PodAutoscalerSpec) -> Self {
        Self {
            metric: spec.metric,
            target: spec.target,
            total: spec.total,
            burst: spec.target_burst_capacity,
            panic_threshold: spec.panic_threshold,
            stable_seconds: spec.stable_window.as_secs_f64(),
            panic_seconds: spec.panic_window.as_secs_f64(),
            bounds: (spec.min_scale, spec.max_scale),
            max_scale_up_rate: spec.max_scale_up_rate,
        }
    }

    const fn unit(&self) -> &'static str {
        match self.metric {
            ScalingMetric::Concurrency => "concurrent requests",
            ScalingMetric::Rps => "requests per second",
        }
    }
}

impl fmt::Display for LastDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (decision, settings) = (&self.decision, &self.settings);
        let observed = decision.observed;
        let (least, most) = settings.bounds;
        let most = if most == 0 { "any number".to_owned() } else { most.to_string() };
        writeln!(
            f,
            "at {}: {} pods desired, {} ready, {least} to {most} allowed",
            self.at, self.before, observed.ready
        )?;
        writeln!(
            f,
            "target: {} {} per pod, of its capacity of {}",
            settings.target,
            settings.unit(),
            settings.total
        )?;
        writeln!(
            f,
            "stable window of {} s: {} / {} = {} pods, rounded up",
            settings.stable_seconds, observed.stable, settings.target, decision.for_stable
        )?;
        writeln!(
            f,
            "panic window of {} s: {} / {} = {} pods, rounded up; a panic begins at {} times the ready pods",
            settings.panic_seconds,
            observed.panic,
            settings.target,
            decision.for_panic,
            settings.panic_threshold
        )?;
        let (lowest, highest) = decision.rates;
        writeln!(
            f,
            "one decision is limited to {lowest} to {highest} pods (max-scale-up-rate {})",
            settings.max_scale_up_rate
        )?;
        match decision.panics_since {
            Some(since) => writeln!(
                f,
                "panic mode, threshold last exceeded at {since}: the maximum since the panic began, {}",
                decision.undelayed
            )?,
            None => writeln!(f, "stable mode: {}", decision.undelayed)?,
        }
        if decision.desired != decision.undelayed {
            writeln!(f, "scale-down-delay: the maximum over that time, {}", decision.desired)?;
        }
        let want = self.step.want;
        if self.step.held_by.is_none() && want >= 0 && want != decision.desired {
            writeln!(f, "within min-scale and max-scale: {want}")?;
        }
        if let Some(hold) = self.step.held_by {
            writeln!(f, "{}", why_held(hold))?;
        }
        writeln!(f, "result: {}", self.result())?;
        self.path(f)
    }
}

fn why_held(hold: Hold) -> String {
    match hold {
        Hold::Disabled => "enable-scale-to-zero is off: one pod stays".to_owned(),
        Hold::Activating => {
            "the first pods are starting: nothing changes until one is ready".into()
        }
        Hold::Active(until) => {
            format!("active for less than the stable window: one pod stays until {until}")
        }
        Hold::Deactivating => "no requests: the activator enters the path first".to_owned(),
        Hold::Retention(until) => {
            format!("scale-to-zero-pod-retention-period: the last pod stays until {until}")
        }
        Hold::Grace(until) => format!(
            "scale-to-zero-grace-period: the activator must have been in the path until {until}"
        ),
    }
}

impl LastDecision {
    fn result(&self) -> String {
        if self.is_change {
            format!("{} -> {}", self.before, self.step.want)
        } else {
            self.before.to_string()
        }
    }

    /// Why the activator is in the path of requests, or not.
    fn path(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (settings, observed) = (&self.settings, self.decision.observed);
        let excess = self.decision.excess_burst_capacity;
        let is_in = self.mode == ServerlessMode::Proxy;
        let verdict = if is_in { "is in the path" } else { "is not in the path" };
        write!(f, "the activator {verdict}: ")?;
        if settings.burst < 0.0 {
            writeln!(f, "target-burst-capacity is -1")
        } else if is_in && self.step.want <= 0 {
            writeln!(f, "no pods are wanted")
        } else if settings.burst == 0.0 {
            writeln!(f, "target-burst-capacity is 0")
        } else {
            writeln!(
                f,
                "{} ready x {} - target-burst-capacity {} - {} in the panic window = {excess}",
                observed.ready, settings.total, settings.burst, observed.panic
            )
        }
    }

    pub(super) fn to_row(&self) -> Row {
        let (decision, observed) = (&self.decision, self.decision.observed);
        let mode = if decision.panics_since.is_some() { "panic" } else { "stable" };
        let is_in = self.mode == ServerlessMode::Proxy;
        let cells = vec![
            ("TIME", self.at.to_string()),
            ("READY", observed.ready.to_string()),
            ("STABLE", observed.stable.to_string()),
            ("PANIC", observed.panic.to_string()),
            ("MODE", mode.to_owned()),
            ("ASKED FOR", decision.desired.to_string()),
            ("RESULT", self.result()),
            ("ACTIVATOR", if is_in { "in the path" } else { "-" }.to_owned()),
        ];
        Row { at: self.at, cells, is_change: self.is_change }
    }

    pub(super) fn to_json(&self) -> Value {
        let (decision, observed) = (&self.decision, self.decision.observed);
        json!({
            "time_seconds": self.at.as_secs_f64(),
            "replicas_before": self.before,
            "ready_pods": observed.ready,
            "stable_value": observed.stable,
            "panic_value": observed.panic,
            "target_value": self.settings.target,
            "total_value": self.settings.total,
            "pods_for_stable": decision.for_stable,
            "pods_for_panic": decision.for_panic,
            "is_panicking": decision.panics_since.is_some(),
            "desired_pods": decision.desired,
            "wanted_pods": self.step.want,
            "is_applied": self.is_change,
            "excess_burst_capacity": decision.excess_burst_capacity,
            "activator_in_path": self.mode == ServerlessMode::Proxy,
        })
    }
}
