//! Basic shapes of patterns, each given as the linear segment around a point in time.

use super::pattern::{Pattern, Phase, RatePoint};
use super::rate::Segment;
use engine::{SimDuration, SimTime};

/// Linear interpolation between points: nothing before the first, the last rate from there on.
pub(super) fn line_through(points: &[RatePoint], at: SimTime) -> Segment {
    let when = |point: &RatePoint| SimTime::ZERO + point.at;
    let passed = points.partition_point(|point| when(point) <= at);
    match (passed.checked_sub(1).map(|last| points[last]), points.get(passed)) {
        (None, None) => Segment::forever(SimTime::ZERO, 0.0),
        (None, Some(next)) => Segment::level(SimTime::ZERO, when(next), 0.0),
        (Some(last), None) => Segment::forever(when(&last), last.rps),
        (Some(last), Some(next)) => {
            Segment { start: when(&last), end: when(next), start_rps: last.rps, end_rps: next.rps }
        }
    }
}

/// A rate that jumps at each step: `before` until the first, the last one's from there on.
pub(super) fn steps(before: f64, steps: &[RatePoint], at: SimTime) -> Segment {
    let when = |point: &RatePoint| SimTime::ZERO + point.at;
    let passed = steps.partition_point(|step| when(step) <= at);
    let end = steps.get(passed).map_or(SimTime::MAX, when);
    match passed.checked_sub(1).map(|last| steps[last]) {
        None => Segment::level(SimTime::ZERO, end, before),
        Some(last) => Segment::level(when(&last), end, last.rps),
    }
}

/// Linear pieces per period of a wave. The chords of a sine deviate from it by at most (2 pi /
/// 1024)^2 / 8 = 5e-6 of the amplitude, and not at all in the mean over a period.
const CHORDS: i128 = 1024;

/// A wave around `mean_rps` with peaks at `peak_at` and every `period` before and after.
pub(super) fn wave(
    mean_rps: f64,
    amplitude_rps: f64,
    period: SimDuration,
    peak_at: SimDuration,
    at: SimTime,
) -> Segment {
    let (period_nanos, at_nanos) = (i128::from(period.as_nanos()), i128::from(at.as_nanos()));
    let cycle = at_nanos / period_nanos * period_nanos;
    let corner = |chord: i128| cycle + period_nanos * chord / CHORDS;
    let mut chord = (at_nanos - cycle) * CHORDS / period_nanos;
    if corner(chord + 1) <= at_nanos {
        // The corner is less than a nanosecond after its rounded position.
        chord += 1;
    }
    let instant = |nanos: i128| SimTime::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX));
    let rate = |at: SimTime| {
        let turns = (at - (SimTime::ZERO + peak_at)).as_secs_f64() / period.as_secs_f64();
        (mean_rps + amplitude_rps * libm::cos(std::f64::consts::TAU * turns)).max(0.0)
    };
    let (start, end) = (instant(corner(chord)), instant(corner(chord + 1)));
    Segment { start, end, start_rps: rate(start), end_rps: rate(end) }
}

const HOUR: SimDuration = SimDuration::from_secs(3600);
const HOURS_OF_A_WEEK: i64 = 168;

/// The rate of each hour of the week, `hours` of a day times `days` of a week, linear between the
/// starts of the hours, scaled to this mean over the week.
pub(super) fn week(
    mean_rps: f64,
    hours: &[f64],
    days: &[f64],
    begin: SimDuration,
    at: SimTime,
) -> Segment {
    let weight = |hour: usize| hours[hour % 24] * days[hour / 24 % 7];
    // The mean of a periodic piecewise linear function is that of its corners.
    let all: f64 = hours.iter().sum::<f64>() * days.iter().sum::<f64>();
    let scale = mean_rps * HOURS_OF_A_WEEK as f64 / all;
    let passed = (at - SimTime::ZERO) + begin;
    let number = passed.as_nanos() / HOUR.as_nanos();
    let start = SimTime::ZERO + HOUR * number - begin;
    let hour = usize::try_from(number % HOURS_OF_A_WEEK).unwrap_or_default();
    let [start_rps, end_rps] = [hour, hour + 1].map(|hour| weight(hour) * scale);
    let segment = Segment { start, end: start + HOUR, start_rps, end_rps };
    // The run may begin within an hour.
    segment.between(start.max(SimTime::ZERO), segment.end)
}

/// Linear pieces per half-life. The chords of 2^-x deviate from it by at most (ln 2 / 16)^2 / 8 =
/// 2.3e-4 of the remainder.
const CHORDS_OF_A_HALF_LIFE: i64 = 16;
/// Number of half-lives after which the remainder, less than a millionth, is dropped.
const HALF_LIVES: i64 = 20;

/// Decay from `peak_rps` at `from` to `base_rps`, half of the remaining difference per `half_life`.
pub(super) fn decay(
    base_rps: f64,
    peak_rps: f64,
    from: SimTime,
    half_life: SimDuration,
    at: SimTime,
) -> Segment {
    let corner = |chord: i64| {
        let nanos = i128::from(half_life.as_nanos()) * i128::from(chord);
        let nanos = nanos / i128::from(CHORDS_OF_A_HALF_LIFE);
        from + SimDuration::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    };
    let rate = |chord: i64| {
        let half_lives = chord as f64 / CHORDS_OF_A_HALF_LIFE as f64;
        base_rps + (peak_rps - base_rps) * libm::exp2(-half_lives)
    };
    let last = HALF_LIVES * CHORDS_OF_A_HALF_LIFE;
    if at >= corner(last) {
        return Segment::forever(corner(last), base_rps);
    }
    let passed = i128::from((at - from).as_nanos()) * i128::from(CHORDS_OF_A_HALF_LIFE);
    let chord = passed / i128::from(half_life.as_nanos());
    let mut chord = i64::try_from(chord).unwrap_or(last - 1);
    if corner(chord + 1) <= at {
        // The corner is less than a nanosecond after its rounded position.
        chord += 1;
    }
    Segment {
        start: corner(chord),
        end: corner(chord + 1),
        start_rps: rate(chord),
        end_rps: rate(chord + 1),
    }
}

/// A piecewise linear shape that starts at `first` and repeats with period `every`; its first rate
/// before that.
pub(super) fn repeated(
    shape: &[RatePoint],
    first: SimTime,
    every: Option<SimDuration>,
    at: SimTime,
) -> Segment {
    if at < first {
        return Segment::level(SimTime::ZERO, first, shape[0].rps);
    }
    let begin = match every {
        Some(every) => first + every * ((at - first).as_nanos() / every.as_nanos()),
        None => first,
    };
    let end = every.map_or(SimTime::MAX, |every| begin + every);
    let offset = begin - SimTime::ZERO;
    up_to(line_through(shape, at - offset).later(offset), end)
}

/// One pattern after the other, each from its own start; no requests after the last unless they
/// `repeat`.
pub(super) fn one_after_the_other(phases: &[Phase], repeat: bool, at: SimTime) -> Segment {
    let length = phases.iter().map(|phase| phase.lasting).fold(SimDuration::ZERO, |a, b| a + b);
    let rounds = if repeat { at.as_nanos() / length.as_nanos() } else { 0 };
    let mut begin = SimTime::ZERO + length * rounds;
    for phase in phases {
        let end = begin + phase.lasting;
        if at < end {
            let offset = begin - SimTime::ZERO;
            return up_to(phase.load.segment_at(at - offset).later(offset), end);
        }
        begin = end;
    }
    Segment::forever(begin, 0.0)
}

/// Sum of several patterns.
pub(super) fn sum(parts: &[Pattern], at: SimTime) -> Segment {
    let mut sum = Segment::forever(at, 0.0);
    for part in parts {
        let segment = part.segment_at(at);
        let end = sum.end.min(segment.end);
        let (a, b) = (sum.between(at, end), segment.between(at, end));
        sum = Segment { start_rps: a.start_rps + b.start_rps, end_rps: a.end_rps + b.end_rps, ..a };
    }
    sum
}

/// The part of a segment before `end`.
fn up_to(segment: Segment, end: SimTime) -> Segment {
    if segment.end > end { segment.between(segment.start, end) } else { segment }
}
