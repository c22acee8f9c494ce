//! A bounded queue with a linearly changing inflow, integrated exactly: no step size, only
//! floating-point error.

/// An inflow over a span of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Inflow {
    /// At the start of the span [requests/s]; never negative within the span.
    pub rate: f64,
    /// Slope [requests/s per s].
    pub slope: f64,
}

/// The server of the queue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FlowServer {
    /// Maximum throughput in requests per second.
    pub capacity: f64,
    /// Maximum queue length; beyond it requests overflow.
    pub bound: f64,
}

/// Outcomes of a phase: a span during which the queue is empty, full, or in between throughout.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Phase {
    /// Duration [s].
    pub seconds: f64,
    /// Requests arrived.
    pub arrived: f64,
    /// Requests that were served.
    pub served: f64,
    /// Requests that found the queue full.
    pub overflowed: f64,
    /// Integral of the queue's length [requests x s].
    pub queued_seconds: f64,
    /// Queue length at the end [requests].
    pub queue: f64,
}

/// Upper bound of phases in one span: an empty queue fills, is full, drains and is empty. The
/// remainder after this many is rounding error.
const PHASES_MAX: usize = 12;

/// Advances a queue by `seconds`, and reports the outcomes phase by phase.
pub(super) fn pass(
    queue: f64,
    inflow: Inflow,
    outlet: FlowServer,
    seconds: f64,
    mut tell: impl FnMut(Phase),
) -> f64 {
    let mut queue = queue.clamp(0.0, outlet.bound);
    let mut rate = inflow.rate;
    let mut left = seconds;
    for _ in 0..PHASES_MAX {
        if left <= 0.0 {
            break;
        }
        let phase = next_phase(queue, Inflow { rate, ..inflow }, outlet, left);
        queue = phase.queue;
        rate += inflow.slope * phase.seconds;
        left -= phase.seconds;
        tell(phase);
    }
    queue
}

/// The phase that begins now, at most `left` seconds long.
fn next_phase(queue: f64, inflow: Inflow, outlet: FlowServer, left: f64) -> Phase {
    let Inflow { rate, slope } = inflow;
    let excess = rate - outlet.capacity;
    let rises = excess > 0.0 || (excess == 0.0 && slope > 0.0);
    let area = |seconds: f64| (rate + 0.5 * slope * seconds) * seconds;
    if queue <= 0.0 && !rises {
        // Arrivals are served at once until the inflow exceeds the capacity.
        let seconds = if slope > 0.0 { (-excess / slope).min(left) } else { left };
        let arrived = area(seconds);
        return Phase { seconds, arrived, served: arrived, ..Phase::default() };
    }
    let falls = excess < 0.0 || (excess == 0.0 && slope < 0.0);
    if queue >= outlet.bound && !falls {
        let seconds = if slope < 0.0 { (-excess / slope).min(left) } else { left };
        let (arrived, served) = (area(seconds), outlet.capacity * seconds);
        return Phase {
            seconds,
            arrived,
            served,
            overflowed: arrived - served,
            queued_seconds: outlet.bound * seconds,
            queue: outlet.bound,
        };
    }
    let to_full = first_root(0.5 * slope, excess, queue - outlet.bound);
    let to_empty = first_root(0.5 * slope, excess, queue);
    let (mut seconds, mut end) = (left, None);
    for (root, at) in [(to_full, outlet.bound), (to_empty, 0.0)] {
        if let Some(root) = root.filter(|root| *root <= seconds) {
            (seconds, end) = (root, Some(at));
        }
    }
    let grown = (excess + 0.5 * slope * seconds) * seconds;
    let end = end.unwrap_or((queue + grown).clamp(0.0, outlet.bound));
    let arrived = area(seconds);
    Phase {
        seconds,
        arrived,
        // Conserves requests exactly: everything not queued has been served.
        served: arrived + queue - end,
        overflowed: 0.0,
        queued_seconds: (queue + (0.5 * excess + slope * seconds / 6.0) * seconds) * seconds,
        queue: end,
    }
}

/// The smallest `t > 0` with `a t^2 + b t + c = 0`, in a numerically stable form.
fn first_root(a: f64, b: f64, c: f64) -> Option<f64> {
    let roots = if c == 0.0 {
        // The other root is zero.
        [-b / a, f64::NAN]
    } else if a == 0.0 {
        [-c / b, f64::NAN]
    } else {
        let discriminant = b * b - 4.0 * a * c;
        let q = -0.5 * (b + discriminant.sqrt().copysign(b));
        [q / a, c / q]
    };
    roots.into_iter().filter(|root| root.is_finite() && *root > 0.0).reduce(f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn total(queue: f64, inflow: Inflow, outlet: FlowServer, seconds: f64) -> Phase {
        let mut sum = Phase::default();
        sum.queue = pass(queue, inflow, outlet, seconds, |phase| {
            sum.seconds += phase.seconds;
            sum.arrived += phase.arrived;
            sum.served += phase.served;
            sum.overflowed += phase.overflowed;
            sum.queued_seconds += phase.queued_seconds;
        });
        sum
    }

    #[test]
    fn a_rising_flow_fills_the_queue_and_overflows() {
        // 40/s rising by 1/s per s against 50/s: empty until 10 s, then t^2/2 queue until 50 after
        // another 10 s, then (10 + t) overflow.
        let inflow = Inflow { rate: 40.0, slope: 1.0 };
        let sum = total(0.0, inflow, FlowServer { capacity: 50.0, bound: 50.0 }, 30.0);
        assert!((sum.arrived - (40.0 * 30.0 + 450.0)).abs() < 1e-9);
        assert!((sum.overflowed - (10.0 * 10.0 + 50.0)).abs() < 1e-9, "{sum:?}");
        assert!((sum.queue - 50.0).abs() < 1e-9);
        assert!((sum.queued_seconds - (1000.0 / 6.0 + 500.0)).abs() < 1e-9);
    }

    #[test]
    fn a_queue_drains_and_stays_empty() {
        let inflow = Inflow { rate: 20.0, slope: 0.0 };
        let sum = total(60.0, inflow, FlowServer { capacity: 50.0, bound: 500.0 }, 10.0);
        assert!((sum.served - 260.0).abs() < 1e-9);
        assert!(sum.queue.abs() < 1e-12);
        assert!((sum.queued_seconds - 60.0).abs() < 1e-9);
    }

    proptest! {
        /// Compared with a plain summation in 20,000 steps.
        #[test]
        fn the_integral_is_that_of_small_steps(
            start in 0.0..1.0_f64, from in 0.0..200.0_f64, to in 0.0..200.0_f64, capacity in 0.0..100.0_f64,
            bound in 0.0..300.0_f64, seconds in 0.1..60.0_f64,
        ) {
            let outlet = FlowServer { capacity, bound };
            let inflow = Inflow { rate: from, slope: (to - from) / seconds };
            let sum = total(start * bound, inflow, outlet, seconds);
            let (steps, mut queue, mut overflowed): (u32, f64, f64) = (20_000, start * bound, 0.0);
            let step = seconds / f64::from(steps);
            for number in 0..steps {
                let rate = from + inflow.slope * (f64::from(number) + 0.5) * step;
                let next = (queue + (rate - capacity) * step).max(0.0);
                overflowed += (next - bound).max(0.0);
                queue = next.min(bound);
            }
            let slack = 600.0 * step + 1e-6;
            prop_assert!((sum.queue - queue).abs() <= slack, "{} {queue}", sum.queue);
            prop_assert!((sum.overflowed - overflowed).abs() <= slack);
            let conserved: f64 = start * bound + sum.arrived - sum.served - sum.overflowed - sum.queue;
            prop_assert!(conserved.abs() < 1e-6, "{conserved}");
            prop_assert!((sum.seconds - seconds).abs() < 1e-9);
        }
    }
}
