//! Arrival rates over time as linear segments, and their inversion by area. Independent of patterns
//! and randomness.

use engine::{SimDuration, SimTime};

/// A time span over which the rate changes linearly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    /// First instant.
    pub start: SimTime,
    /// First instant after it; [`SimTime::MAX`] for a rate that never changes again.
    pub end: SimTime,
    /// Rate at `start` [requests/s].
    pub start_rps: f64,
    /// Rate towards `end` [requests/s]; the next segment may start at another one.
    pub end_rps: f64,
}

impl Segment {
    /// A rate that does not change from `start` to `end`.
    pub const fn level(start: SimTime, end: SimTime, rps: f64) -> Self {
        Self { start, end, start_rps: rps, end_rps: rps }
    }

    /// A rate that stays from `start` on.
    pub const fn forever(start: SimTime, rps: f64) -> Self {
        Self::level(start, SimTime::MAX, rps)
    }

    /// The rate at an instant of the segment, or towards its end [requests/s].
    #[expect(clippy::float_cmp, reason = "only an exact level has the same rate at both ends")]
    pub(crate) fn rate_at(&self, at: SimTime) -> f64 {
        if self.start_rps == self.end_rps {
            return self.start_rps;
        }
        let part = (at - self.start).as_secs_f64() / self.seconds();
        self.start_rps + (self.end_rps - self.start_rps) * part
    }

    /// The part of the segment between two instants that lie in it.
    pub fn between(&self, start: SimTime, end: SimTime) -> Self {
        Self { start, end, start_rps: self.rate_at(start), end_rps: self.rate_at(end) }
    }

    /// The same rates, shifted by `by`.
    pub fn later(&self, by: SimDuration) -> Self {
        Self { start: self.start + by, end: self.end + by, ..*self }
    }

    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        (self.end - self.start).as_secs_f64()
    }

    /// Change of the rate [requests/s per s].
    pub(crate) fn slope(&self) -> f64 {
        (self.end_rps - self.start_rps) / self.seconds()
    }
}

/// A segment with the values needed per arrival precomputed.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateSegment {
    pub segment: Segment,
    seconds: f64,
    slope: f64,
}

impl RateSegment {
    pub(super) fn new(segment: Segment) -> Self {
        Self { segment, seconds: segment.seconds(), slope: segment.slope() }
    }

    /// The time `offset` seconds after the start, capped at the end.
    #[inline]
    pub(super) fn instant(&self, offset: f64) -> SimTime {
        (self.segment.start + SimDuration::from_secs_f64(offset)).min(self.segment.end)
    }

    /// Requests expected from `offset` seconds after the start until the end.
    #[inline]
    pub(super) fn area_from(&self, offset: f64) -> f64 {
        let left = self.seconds - offset;
        let here = self.segment.start_rps + self.slope * offset;
        if left > 0.0 { 0.5 * (here + self.segment.end_rps) * left } else { 0.0 }
    }

    /// Number of seconds after `offset` (seconds after the start) until the rate has accumulated
    /// `area` requests; meaningful if [`Self::area_from`] is at least that.
    ///
    /// This solves `rate * t + slope * t^2 / 2 = area` in a form that is numerically stable for
    /// small slopes.
    #[inline]
    pub(super) fn seconds_to_cover(&self, offset: f64, area: f64) -> f64 {
        let slope = self.slope;
        if slope == 0.0 {
            return area / self.segment.start_rps;
        }
        let here = self.segment.start_rps + slope * offset;
        let discriminant = here * here + 2.0 * slope * area;
        let end = if discriminant > 0.0 { discriminant.sqrt() } else { 0.0 };
        2.0 * area / (here + end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> Segment {
        Segment {
            start: SimTime::from_secs(10),
            end: SimTime::from_secs(30),
            start_rps: 2.0,
            end_rps: 6.0,
        }
    }

    #[test]
    fn area_is_the_integral_of_the_rate() {
        // A trapezoid of 20 s between 2 and 6 requests/s; its second half lies between 4 and 6.
        assert!((RateSegment::new(ramp()).area_from(0.0) - 80.0).abs() < 1e-12);
        assert!((RateSegment::new(ramp()).area_from(10.0) - 50.0).abs() < 1e-12);
        assert!((ramp().rate_at(SimTime::from_secs(15)) - 3.0).abs() < 1e-12);
    }

    #[test]
    fn covering_an_area_takes_as_long_as_its_integral_says() {
        let covered = |segment: RateSegment, seconds: f64| {
            segment.area_from(0.0) - segment.area_from(seconds)
        };
        let falling = Segment { start_rps: 6.0, end_rps: 0.0, ..ramp() };
        for segment in [ramp(), falling, Segment { end_rps: 2.0 + 1e-12, ..ramp() }] {
            let segment = RateSegment::new(segment);
            for area in [0.001, 1.0, 30.0] {
                let seconds = segment.seconds_to_cover(0.0, area);
                assert!((covered(segment, seconds) - area).abs() < 1e-9, "{segment:?} {area}");
            }
        }
    }

    #[test]
    fn an_unchanging_rate_is_never_used_up() {
        let forever = RateSegment::new(Segment::forever(SimTime::ZERO, 5.0));
        assert!((forever.seconds_to_cover(7.0, 10.0) - 2.0).abs() < 1e-12);
        assert!(forever.area_from(7.0) > 1e9);
    }
}
