//! Arrival processes on top of a rate: regular, random or bursty arrivals.

use rand_distr::Distribution;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Arrival;
use super::modulation::{Modulation, ModulationState};
use super::rate::{RateSegment, Segment};
use engine::logarithm::{ln, times_ln_each};
use engine::random::{Gamma, Weibull, open_unit};
use engine::{SimTime, Stream};

/// Arrival process at a given rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ArrivalProcess {
    /// Independent arrivals, as from many users.
    #[default]
    Poisson,
    /// Equally spaced arrivals.
    Even,
    /// Gaps with a gamma distribution: burstier than Poisson if their coefficient of variation is above
    /// 1, more regular if below.
    Gamma,
    /// Gaps with a Weibull distribution, which fits sessions and machine-to-machine traffic better than
    /// gamma where long gaps are rare; `gapCv` as with gamma.
    Weibull,
    /// A Markov-modulated Poisson process: Poisson arrivals at a rate that jumps randomly between the
    /// `states`.
    Mmpp,
    /// No single requests but a continuous flow, spread evenly over the endpoints, at no simulation
    /// cost per request. For very high traffic; latencies are then computed from queueing formulas.
    Fluid,
}

/// Distribution of the gaps between arrivals, normalized to mean 1.
#[derive(Clone, Copy, Debug)]
pub(crate) enum GapDistribution {
    /// Constant 1.
    Even,
    /// Poisson arrivals.
    Exponential,
    /// Gamma gaps.
    Gamma(Gamma),
    /// Weibull gaps.
    Weibull(Weibull),
}

/// A rate over time.
pub(crate) trait Curve {
    /// The linear segment that contains `at`.
    fn segment_at(&self, at: SimTime) -> Segment;
}

/// Arrivals drawn from a time-varying rate.
///
/// The gaps are drawn as areas under the rate, and each arrival is placed where that area is reached:
/// the exact inversion for non-homogeneous Poisson processes (Çinlar 1975), which holds for any renewal
/// process.
#[derive(Clone, Debug)]
pub(super) struct RateArrivals<C> {
    curve: C,
    gaps: Gaps,
    stretch: RateSegment,
    /// Offset of the last arrival, or of the beginning, within the segment [s].
    offset: f64,
    /// Remaining area until the next arrival [requests].
    area: f64,
    /// With `mmpp`.
    modulation: Option<Box<Modulation>>,
}

/// Gaps between arrivals, drawn in batches.
#[derive(Clone, Debug)]
struct Gaps {
    law: GapDistribution,
    stream: Stream,
    drawn: Vec<f64>,
    /// Position of the next gap in `drawn`.
    next: usize,
}

/// Number of gaps drawn at a time.
const GAPS: usize = 64;

impl GapDistribution {
    /// The gap distribution of a process; `cv` applies to gamma and Weibull gaps only.
    pub(crate) fn new(process: ArrivalProcess, cv: f64) -> Self {
        match process {
            ArrivalProcess::Poisson | ArrivalProcess::Mmpp => Self::Exponential,
            // A flow draws no gaps.
            ArrivalProcess::Even | ArrivalProcess::Fluid => Self::Even,
            ArrivalProcess::Gamma => Self::Gamma(Gamma::from_mean_cv(1.0, cv)),
            ArrivalProcess::Weibull => Self::Weibull(Weibull::from_mean_cv(1.0, cv)),
        }
    }

    fn sample(&self, stream: &mut Stream) -> f64 {
        match self {
            Self::Even => 1.0,
            Self::Exponential => -ln(open_unit(stream)),
            Self::Gamma(gamma) => gamma.sample(stream),
            Self::Weibull(weibull) => weibull.sample(stream),
        }
    }
}

impl Gaps {
    const fn new(law: GapDistribution, stream: Stream) -> Self {
        Self { law, stream, drawn: Vec::new(), next: 0 }
    }

    #[inline]
    fn take(&mut self) -> f64 {
        if self.next == self.drawn.len() {
            self.draw();
        }
        self.next += 1;
        self.drawn[self.next - 1]
    }

    #[inline(never)]
    fn draw(&mut self) {
        let Self { law, stream, drawn, next } = self;
        *next = 0;
        drawn.resize(GAPS, 0.0);
        if matches!(law, GapDistribution::Exponential) {
            // Separate loops, and a local copy of the stream that stays in registers.
            let mut own = stream.clone();
            for gap in &mut *drawn {
                *gap = open_unit(&mut own);
            }
            *stream = own;
            times_ln_each(-1.0, drawn);
        } else {
            for gap in drawn {
                *gap = law.sample(stream);
            }
        }
    }
}

impl<C: Curve> RateArrivals<C> {
    pub(super) fn new(
        curve: C,
        gaps: GapDistribution,
        states: &[ModulationState],
        mut stream: Stream,
    ) -> Self {
        let modulation = (!states.is_empty()).then(|| {
            // Jump far ahead so that the two sections of the stream never overlap.
            let mut apart = stream.clone();
            apart.jump();
            Box::new(Modulation::new(states, apart))
        });
        let area = match gaps {
            // Half a gap before the first arrival and after the last: the count in any span is the
            // whole number nearest to its expectation.
            GapDistribution::Even => 0.5,
            _ => gaps.sample(&mut stream),
        };
        let segment = curve.segment_at(SimTime::ZERO);
        let stretch = RateSegment::new(segment);
        let gaps = Gaps::new(gaps, stream);
        let mut arrivals = Self { curve, gaps, stretch, offset: 0.0, area, modulation };
        if arrivals.modulation.is_some() {
            arrivals.stretch = RateSegment::new(arrivals.modulated(segment, SimTime::ZERO));
        }
        arrivals
    }

    /// The part of a segment from `at` on during which the modulating chain keeps its state.
    fn modulated(&mut self, segment: Segment, at: SimTime) -> Segment {
        match &mut self.modulation {
            Some(chain) => chain.modulate(&segment, at),
            None => segment.between(at, segment.end),
        }
    }

    /// Appends the next arrivals, up to `count` of them, in the sense of [`Self::next_known_by`].
    pub(super) fn know_by(&mut self, until: SimTime, count: usize, into: &mut Vec<Arrival>) {
        let enough = into.len() + count;
        while into.len() < enough
            && let Some(at) = self.next_known_by(until)
        {
            into.push(Arrival::plain(at));
            // Most further arrivals are in the same stretch.
            self.know_in_stretch(enough, into);
        }
    }

    /// Appends the next arrivals in this stretch, up to a length of `enough`.
    fn know_in_stretch(&mut self, enough: usize, into: &mut Vec<Arrival>) {
        let stretch = self.stretch;
        let (mut offset, mut area) = (self.offset, self.area);
        while into.len() < enough && area <= stretch.area_from(offset) {
            offset += stretch.seconds_to_cover(offset, area);
            area = self.gaps.take();
            into.push(Arrival::plain(stretch.instant(offset)));
        }
        (self.offset, self.area) = (offset, area);
    }

    /// The next arrival, if it can be known without looking at stretches that begin after `until`.
    ///
    /// It may be after `until`. Whole stretches are processed, so the result does not depend on the
    /// steps in which time advances.
    #[inline]
    pub(super) fn next_known_by(&mut self, until: SimTime) -> Option<SimTime> {
        while self.stretch.segment.start <= until {
            let end = self.stretch.segment.end;
            let left = self.stretch.area_from(self.offset);
            if self.area <= left {
                self.offset += self.stretch.seconds_to_cover(self.offset, self.area);
                self.area = self.gaps.take();
                return Some(self.stretch.instant(self.offset));
            }
            if end == SimTime::MAX {
                return None;
            }
            self.area -= left;
            self.offset = 0.0;
            let next = self.curve.segment_at(end);
            self.stretch = RateSegment::new(self.modulated(next, end));
        }
        None
    }
}
