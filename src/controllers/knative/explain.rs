//! Explains a decision about a revision with the numbers filled into the formulas.

use std::fmt;

use serde_json::{Value, json};

use super::Told;
use super::activation::Hold;
use crate::Row;
use cluster::pod_autoscaler::{PodAutoscalerSpec, ScalingMetric, ServerlessMode};

/// What a decision was taken by, as far as its explanation needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
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

impl Terms {
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

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (decision, terms) = (&self.decision, &self.terms);
        let seen = decision.seen;
        let (least, most) = terms.bounds;
        let most = if most == 0 { "any number".to_owned() } else { most.to_string() };
        writeln!(
            f,
            "at {}: {} pods asked for, {} ready, {least} to {most} allowed",
            self.at, self.before, seen.ready
        )?;
        writeln!(
            f,
            "target: {} {} per pod, of {} that it can take",
            terms.target,
            terms.unit(),
            terms.total
        )?;
        writeln!(
            f,
            "stable window of {} s: {} / {} = {} pods, rounded up",
            terms.stable_seconds, seen.stable, terms.target, decision.for_stable
        )?;
        writeln!(
            f,
            "panic window of {} s: {} / {} = {} pods, rounded up; {} times the ready pods begin a panic",
            terms.panic_seconds,
            seen.panic,
            terms.target,
            decision.for_panic,
            terms.panic_threshold
        )?;
        let (lowest, highest) = decision.rates;
        writeln!(
            f,
            "one decision leads to {lowest} pods at least and {highest} at most (max-scale-up-rate {})",
            terms.max_scale_up_rate
        )?;
        match decision.panics_since {
            Some(since) => writeln!(
                f,
                "panic mode, threshold last exceeded at {since}: the most asked for since the panic began, {}",
                decision.undelayed
            )?,
            None => writeln!(f, "stable mode: {}", decision.undelayed)?,
        }
        if decision.desired != decision.undelayed {
            writeln!(f, "scale-down-delay: the most of that time, {}", decision.desired)?;
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
        Hold::Deactivating => "no requests: the activator comes into the path first".to_owned(),
        Hold::Retention(until) => {
            format!("scale-to-zero-pod-retention-period: the last pod stays until {until}")
        }
        Hold::Grace(until) => format!(
            "scale-to-zero-grace-period: the activator must have been in the path until {until}"
        ),
    }
}

impl Told {
    fn result(&self) -> String {
        if self.is_change {
            format!("{} -> {}", self.before, self.step.want)
        } else {
            self.before.to_string()
        }
    }

    /// Why the activator is in the path of requests, or not.
    fn path(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (terms, seen) = (&self.terms, self.decision.seen);
        let excess = self.decision.excess_burst_capacity;
        let is_in = self.mode == ServerlessMode::Proxy;
        let verdict = if is_in { "is in the path" } else { "is not in the path" };
        write!(f, "the activator {verdict}: ")?;
        if terms.burst < 0.0 {
            writeln!(f, "target-burst-capacity is -1")
        } else if is_in && self.step.want <= 0 {
            writeln!(f, "no pods are wanted")
        } else if terms.burst == 0.0 {
            writeln!(f, "target-burst-capacity is 0")
        } else {
            writeln!(
                f,
                "{} ready x {} - target-burst-capacity {} - {} in the panic window = {excess}",
                seen.ready, terms.total, terms.burst, seen.panic
            )
        }
    }

    pub(super) fn to_row(&self) -> Row {
        let (decision, seen) = (&self.decision, self.decision.seen);
        let mode = if decision.panics_since.is_some() { "panic" } else { "stable" };
        let is_in = self.mode == ServerlessMode::Proxy;
        let cells = vec![
            ("TIME", self.at.to_string()),
            ("READY", seen.ready.to_string()),
            ("STABLE", seen.stable.to_string()),
            ("PANIC", seen.panic.to_string()),
            ("MODE", mode.to_owned()),
            ("ASKED FOR", decision.desired.to_string()),
            ("RESULT", self.result()),
            ("ACTIVATOR", if is_in { "in the path" } else { "-" }.to_owned()),
        ];
        Row { at: self.at, cells, is_change: self.is_change }
    }

    pub(super) fn to_json(&self) -> Value {
        let (decision, seen) = (&self.decision, self.decision.seen);
        json!({
            "time_seconds": self.at.as_secs_f64(),
            "replicas_before": self.before,
            "ready_pods": seen.ready,
            "stable_value": seen.stable,
            "panic_value": seen.panic,
            "target_value": self.terms.target,
            "total_value": self.terms.total,
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
