//! Knative's decision on the number of a revision's pods (`Scale` of `pkg/autoscaler/scaling/autoscaler.go`).

use super::buckets::DelayWindow;
use cluster::pod_autoscaler::PodAutoscalerSpec;
use engine::{SimDuration, SimTime};

/// Time between two decisions.
pub(crate) const TICK: SimDuration = SimDuration::from_secs(2);

/// The observations behind a decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// Ready pods.
    pub ready: i32,
    /// The metric's average over the stable window.
    pub stable: f64,
    /// The metric's average over the panic window.
    pub panic: f64,
}

/// A decision, with the figures behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// The observations behind it.
    pub observed: Observation,
    /// Pods desired by the stable window, before limits: stable / target, rounded up.
    pub for_stable: f64,
    /// Pods desired by the panic window, before limits.
    pub for_panic: f64,
    /// Minimum and maximum number of pods by the scale-down and scale-up rates.
    pub rates: (f64, f64),
    /// Time at which the panic threshold was last exceeded; `None` in stable mode.
    pub panics_since: Option<SimTime>,
    /// The number of pods before the scale-down delay.
    pub undelayed: i32,
    /// The number of pods wanted.
    pub desired: i32,
    /// Requests that the ready pods can take on top of the target burst capacity; if negative, the activator stays in the
    /// path.
    pub excess_burst_capacity: i32,
}

/// The state of a decider.
#[derive(Clone, Debug, Default)]
pub struct Decider {
    /// The last time that the panic threshold was exceeded; absent in stable mode.
    panics_since: Option<SimTime>,
    /// Largest number of pods desired since the panic began.
    most_in_panic: i32,
    delay: DelayWindow,
}

impl Decider {
    /// Decides at `now`.
    pub fn decide(
        &mut self,
        spec: &PodAutoscalerSpec,
        observed: Observation,
        now: SimTime,
    ) -> Decision {
        let ready = f64::from(observed.ready.max(1));
        // Rounded outwards, so that a low rate still permits one pod more or less.
        let most = (spec.max_scale_up_rate * ready).ceil();
        let least = (ready / spec.max_scale_down_rate).floor();
        let for_stable = (observed.stable / spec.target).ceil();
        let for_panic = (observed.panic / spec.target).ceil();
        let limited = |pods: f64| {
            let limited = whole(pods.max(least).min(most));
            let is_activation = spec.activation_scale > 1 && pods > 0.0;
            if is_activation { limited.max(spec.activation_scale) } else { limited }
        };
        let (stable, panic) = (limited(for_stable), limited(for_panic));
        if for_panic / ready >= spec.panic_threshold {
            self.panics_since = Some(now);
        } else if self.panics_since.is_some_and(|since| since + spec.stable_window < now) {
            (self.panics_since, self.most_in_panic) = (None, 0);
        }
        let undelayed = if self.panics_since.is_some() {
            // A panic scales only up.
            self.most_in_panic = self.most_in_panic.max(stable).max(panic);
            self.most_in_panic
        } else {
            stable
        };
        let desired = if spec.scale_down_delay > SimDuration::ZERO {
            self.delay.delayed(now, (spec.scale_down_delay, TICK), undelayed)
        } else {
            undelayed
        };
        Decision {
            observed,
            for_stable,
            for_panic,
            rates: (least, most),
            panics_since: self.panics_since,
            undelayed,
            desired,
            excess_burst_capacity: excess(spec, observed),
        }
    }
}

/// The excess burst capacity: requests that the ready pods can take on top of the target burst capacity.
fn excess(spec: &PodAutoscalerSpec, observed: Observation) -> i32 {
    let burst = spec.target_burst_capacity;
    if burst < 0.0 {
        return -1;
    }
    if burst == 0.0 {
        return 0;
    }
    whole((f64::from(observed.ready) * spec.total - burst - observed.panic).floor())
}

/// The same before the first decision, of a revision at its initial scale (`createScaler`).
pub(crate) fn excess_at_first(spec: &PodAutoscalerSpec) -> i32 {
    let burst = spec.target_burst_capacity;
    if burst <= 0.0 {
        whole(burst)
    } else {
        whole(f64::from(spec.initial_scale) * spec.total - burst)
    }
}

/// The whole part of a number of pods or requests; those beyond an `i32` are its bounds.
#[expect(clippy::cast_possible_truncation, reason = "a cast from a float saturates")]
const fn whole(number: f64) -> i32 {
    number as i32
}
