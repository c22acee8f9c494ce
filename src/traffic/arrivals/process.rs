//! Arrival processes on top of a rate: how regular or bursty requests come, whatever their rate.

use rand_distr::Distribution;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Arrival;
use super::modulation::{Modulation, ModulationState};
use super::rate::{Segment, Stretch};
use engine::logarithm::{ln, times_ln_each};
use engine::random::{Gamma, Weibull, open_unit};
use engine::{SimTime, Stream};

/// Process by which requests follow each other at a given rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ArrivalProcess {
    /// Independent of each other, as those of many users are.
    #[default]
    Poisson,
    /// At equal distances.
    Even,
    /// With gaps of a gamma distribution: burstier than Poisson if their coefficient of variation
    /// is above 1, more regular if below.
    Gamma,
    /// With gaps of a Weibull distribution, which fits sessions and machines that ask machines better
    /// than gamma where long gaps are rare; `gapCv` as with gamma.
    Weibull,
    /// A Markov-modulated Poisson process: Poisson arrivals at a rate that jumps by chance among the
    /// `states`.
    Mmpp,
    /// Not at all: they are a continuous flow, spread evenly over the endpoints, that costs the
    /// simulation nothing per request. For traffic beyond counting; latencies then follow from
    /// formulas of queueing theory.
    Fluid,
}

/// The law of the gaps between arrivals, in requests of the mean rate: its mean is 1.
#[derive(Clone, Copy, Debug)]
pub(crate) enum GapLaw {
    /// Always 1.
    Even,
    /// Poisson arrivals.
    Exponential,
    /// Gamma gaps.
    Gamma(Gamma),
    /// Weibull gaps.
    Weibull(Weibull),
}

/// Where the rate over time comes from.
pub(crate) trait Curve {
    /// The stretch of linear change that holds the instant `at`.
    fn segment_at(&self, at: SimTime) -> Segment;
}

/// Arrivals drawn from a rate that changes over time.
///
/// The gaps are drawn as areas under the rate, and each arrival is put where that area is reached:
/// the exact inversion for non-homogeneous Poisson processes (Çinlar 1975), which holds for any
/// renewal process.
#[derive(Clone, Debug)]
pub(super) struct RateArrivals<C> {
    curve: C,
    gaps: Gaps,
    stretch: Stretch,
    /// How far into the segment the last arrival or the beginning is [s].
    offset: f64,
    /// Area that is left until the next arrival [requests].
    area: f64,
    /// With `mmpp`.
    modulation: Option<Box<Modulation>>,
}

/// Gaps between arrivals, drawn many at a time.
#[derive(Clone, Debug)]
struct Gaps {
    law: GapLaw,
    stream: Stream,
    drawn: Vec<f64>,
    /// Position of the next in `drawn`.
    next: usize,
}

/// How many gaps are drawn at a time.
const GAPS: usize = 64;

impl GapLaw {
    /// The law of a process; `cv` counts for gamma gaps alone.
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
    const fn new(law: GapLaw, stream: Stream) -> Self {
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
        if matches!(law, GapLaw::Exponential) {
            // In loops of their own, and with a stream that nobody else sees, which stays in registers.
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
        gaps: GapLaw,
        states: &[ModulationState],
        mut stream: Stream,
    ) -> Self {
        let modulation = (!states.is_empty()).then(|| {
            // So far from the gaps that the two never meet.
            let mut apart = stream.clone();
            apart.jump();
            Box::new(Modulation::new(states, apart))
        });
        let area = match gaps {
            // Half a gap before the first arrival and half a gap after the last make the count of
            // any span the nearest whole number to its expectation.
            GapLaw::Even => 0.5,
            _ => gaps.sample(&mut stream),
        };
        let segment = curve.segment_at(SimTime::ZERO);
        let stretch = Stretch::new(segment);
        let gaps = Gaps::new(gaps, stream);
        let mut arrivals = Self { curve, gaps, stretch, offset: 0.0, area, modulation };
        if arrivals.modulation.is_some() {
            arrivals.stretch = Stretch::new(arrivals.modulated(segment, SimTime::ZERO));
        }
        arrivals
    }

    /// The part of a segment from `at` on, as far as the chain of states stays where it is.
    fn modulated(&mut self, segment: Segment, at: SimTime) -> Segment {
        match &mut self.modulation {
            Some(chain) => chain.modulate(&segment, at),
            None => segment.between(at, segment.end),
        }
    }

    /// Adds the next arrivals, `count` of them at most, as [`Self::next_known_by`] tells them.
    pub(super) fn know_by(&mut self, until: SimTime, count: usize, into: &mut Vec<Arrival>) {
        let enough = into.len() + count;
        while into.len() < enough
            && let Some(at) = self.next_known_by(until)
        {
            into.push(Arrival::plain(at));
            // Most of the others are in the same stretch.
            self.know_in_stretch(enough, into);
        }
    }

    /// Adds the next arrivals in this stretch, until there are `enough`.
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
    /// It may lie after `until`. Whole stretches are walked through, so that it does not matter in
    /// which steps time goes on.
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
            self.stretch = Stretch::new(self.modulated(next, end));
        }
        None
    }
}
