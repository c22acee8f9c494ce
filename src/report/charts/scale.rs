//! The value scale: maps values to heights and chooses the ticks.

use crate::figures::number;

/// Latencies whose maximum exceeds this multiple of the minimum are drawn on a logarithmic scale.
const DECADES_FROM: f64 = 12.0;

/// Unit of a panel's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Requests per second.
    Rate,
    /// Pods, nodes.
    Count,
    /// Milliseconds.
    Latency,
}

/// Values and their ticks from the lower to the upper end of a panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    bottom: f64,
    top: f64,
    is_logarithmic: bool,
    ticks: Vec<f64>,
}

impl Unit {
    /// The name known to the page's script.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Count => "count",
            Self::Latency => "latency",
        }
    }

    /// The label of a tick, with its unit if that is not in the panel title.
    pub fn label(self, value: f64) -> String {
        match self {
            Self::Rate | Self::Count => number(value),
            Self::Latency if value >= 1e3 => format!("{} s", number(value / 1e3)),
            Self::Latency if value == 0.0 => "0".to_owned(),
            Self::Latency => format!("{} ms", number(value)),
        }
    }
}

impl Scale {
    /// A scale for all `values`: linear from zero, or logarithmic for latencies that span decades.
    pub fn of(values: impl Iterator<Item = f64>, unit: Unit) -> Self {
        let finite: Vec<f64> = values.filter(|value| value.is_finite() && *value >= 0.0).collect();
        let largest = finite.iter().copied().fold(0.0, f64::max);
        let smallest = finite.iter().copied().filter(|&value| value > 0.0).fold(largest, f64::min);
        if unit == Unit::Latency && largest > smallest * DECADES_FROM {
            Self::logarithmic(smallest, largest)
        } else {
            Self::linear(largest, unit == Unit::Count)
        }
    }

    /// The height of a value as a fraction of the panel, 0..=1.
    pub fn height(&self, value: f64) -> f64 {
        let share = if self.is_logarithmic {
            libm::log10(value.max(self.bottom) / self.bottom) / libm::log10(self.top / self.bottom)
        } else {
            value / self.top
        };
        share.clamp(0.0, 1.0)
    }

    /// The values with a grid line and label.
    pub fn ticks(&self) -> &[f64] {
        &self.ticks
    }

    /// True for a logarithmic scale.
    pub(crate) fn is_logarithmic(&self) -> bool {
        self.is_logarithmic
    }

    fn linear(largest: f64, is_whole: bool) -> Self {
        let step = round_step(largest / 4.0, is_whole);
        let steps = libm::ceil(largest / step).max(1.0);
        let mut ticks = Vec::new();
        while (ticks.len() as f64) <= steps {
            ticks.push(ticks.len() as f64 * step);
        }
        Self { bottom: 0.0, top: steps * step, is_logarithmic: false, ticks }
    }

    fn logarithmic(smallest: f64, largest: f64) -> Self {
        let first = libm::floor(libm::log10(smallest));
        let mut rungs = Vec::new();
        let mut power = first;
        while rungs.last().is_none_or(|&rung| rung < largest) {
            rungs.extend([1.0, 2.0, 5.0].map(|factor| factor * libm::pow(10.0, power)));
            power += 1.0;
        }
        let from = rungs.iter().rposition(|&rung| rung <= smallest).unwrap_or(0);
        let to = rungs.iter().position(|&rung| rung >= largest).unwrap_or(rungs.len() - 1);
        let rungs = &rungs[from..=to];
        let decades: Vec<f64> = rungs
            .iter()
            .copied()
            .filter(|&rung| {
                let exponent = libm::log10(rung);
                (exponent - libm::round(exponent)).abs() < 1e-9
            })
            .collect();
        let ticks = if rungs.len() <= 8 { rungs.to_vec() } else { decades };
        Self { bottom: rungs[0], top: rungs[rungs.len() - 1], is_logarithmic: true, ticks }
    }
}

/// The smallest of 1, 2, 2.5, 5 times a power of ten that is at least `least`.
fn round_step(least: f64, is_whole: bool) -> f64 {
    if least <= 0.0 || (is_whole && least <= 1.0) {
        return 1.0;
    }
    let power = libm::pow(10.0, libm::floor(libm::log10(least)));
    let factors: &[f64] = if is_whole { &[1.0, 2.0, 5.0] } else { &[1.0, 2.0, 2.5, 5.0] };
    let factor = factors.iter().copied().find(|factor| factor * power >= least * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_have_whole_ticks_from_zero() {
        assert_eq!(Scale::of([2.0, 3.0].into_iter(), Unit::Count).ticks(), [0.0, 1.0, 2.0, 3.0]);
        let scale = Scale::of([25.0].into_iter(), Unit::Count);
        assert_eq!(scale.ticks(), [0.0, 10.0, 20.0, 30.0]);
        assert!((scale.height(15.0) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn latencies_that_span_decades_are_logarithmic() {
        let scale = Scale::of([180.0, 29_000.0].into_iter(), Unit::Latency);
        assert!(scale.is_logarithmic());
        let labels: Vec<_> = scale.ticks().iter().map(|&tick| Unit::Latency.label(tick)).collect();
        let expected = ["100 ms", "200 ms", "500 ms", "1 s", "2 s", "5 s", "10 s", "20 s", "50 s"];
        assert_eq!(labels, [expected[0], expected[3], expected[6]]);
        assert!((scale.height(100.0), scale.height(50_000.0)) == (0.0, 1.0));
        assert!(!Scale::of([400.0, 900.0].into_iter(), Unit::Latency).is_logarithmic());
    }

    #[test]
    fn no_values_and_one_value_have_a_scale() {
        for unit in [Unit::Rate, Unit::Count, Unit::Latency] {
            for values in [vec![], vec![0.0], vec![f64::NAN, f64::INFINITY], vec![7.0]] {
                let scale = Scale::of(values.into_iter(), unit);
                assert!(scale.ticks().len() >= 2, "{scale:?}");
                assert!(scale.height(7.0).is_finite());
            }
        }
    }
}
