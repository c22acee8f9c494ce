//! Arrival processes on top of a rate: how regular or bursty requests come, whatever their rate.

use rand_distr::Distribution;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rate::Segment;
use crate::engine::random::{Exponential, Gamma};
use crate::engine::{SimDuration, SimTime, Stream};

/// How requests follow each other at a given rate.
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
    /// Not at all: they are a continuous flow, spread evenly over the endpoints, that costs the
    /// simulation nothing per request. For traffic beyond counting; latencies then follow from
    /// formulas of queueing theory.
    Fluid,
}

/// The law of the gaps between arrivals, in requests of the mean rate: its mean is 1.
#[derive(Clone, Copy, Debug)]
pub(in crate::traffic) enum GapLaw {
    /// Always 1.
    Even,
    /// Poisson arrivals.
    Exponential,
    /// Gamma gaps.
    Gamma(Gamma),
}

/// Where the rate over time comes from.
pub(in crate::traffic) trait Curve {
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
    gaps: GapLaw,
    stream: Stream,
    segment: Segment,
    /// How far into the segment the last arrival or the beginning is [s].
    offset: f64,
    /// Area that is left until the next arrival [requests].
    area: f64,
}

impl GapLaw {
    /// The law of a process; `cv` counts for gamma gaps alone.
    pub(in crate::traffic) fn new(process: ArrivalProcess, cv: f64) -> Self {
        match process {
            ArrivalProcess::Poisson => Self::Exponential,
            // A flow draws no gaps.
            ArrivalProcess::Even | ArrivalProcess::Fluid => Self::Even,
            ArrivalProcess::Gamma => Self::Gamma(Gamma::from_mean_cv(1.0, cv)),
        }
    }

    fn sample(&self, stream: &mut Stream) -> f64 {
        match self {
            Self::Even => 1.0,
            Self::Exponential => Exponential { mean: 1.0 }.sample(stream),
            Self::Gamma(gamma) => gamma.sample(stream),
        }
    }
}

impl<C: Curve> RateArrivals<C> {
    pub(super) fn new(curve: C, gaps: GapLaw, mut stream: Stream) -> Self {
        let area = match gaps {
            // Half a gap before the first arrival and half a gap after the last make the count of
            // any span the nearest whole number to its expectation.
            GapLaw::Even => 0.5,
            _ => gaps.sample(&mut stream),
        };
        let segment = curve.segment_at(SimTime::ZERO);
        Self { curve, gaps, stream, segment, offset: 0.0, area }
    }

    /// The next arrival, if it can be known without looking at stretches that begin after `until`.
    ///
    /// It may lie after `until`. Whole stretches are walked through, so that it does not matter in
    /// which steps time goes on.
    #[inline]
    pub(super) fn next_known_by(&mut self, until: SimTime) -> Option<SimTime> {
        while self.segment.start <= until {
            let end = self.segment.end;
            let left = self.segment.area_from(self.offset);
            if self.area <= left {
                self.offset += self.segment.seconds_to_cover(self.offset, self.area);
                self.area = self.gaps.sample(&mut self.stream);
                let at = self.segment.start + SimDuration::from_secs_f64(self.offset);
                return Some(at.min(end));
            }
            if end == SimTime::MAX {
                return None;
            }
            self.area -= left;
            self.offset = 0.0;
            let next = self.curve.segment_at(end);
            self.segment = next.between(end, next.end);
        }
        None
    }
}
