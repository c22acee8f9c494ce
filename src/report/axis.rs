//! Positions and labels of the ticks of an axis.

/// Candidate steps of a time axis in seconds, natural divisions of clock and calendar.
const TIME_STEPS_SECONDS: [f64; 22] = [
    1.0,
    2.0,
    5.0,
    10.0,
    15.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    900.0,
    1_800.0,
    3_600.0,
    7_200.0,
    10_800.0,
    21_600.0,
    43_200.0,
    86_400.0,
    172_800.0,
    604_800.0,
    1_209_600.0,
    2_592_000.0,
];

/// The step of a time axis with at most `limit` ticks, and its ticks from 0 to the end.
pub(crate) fn time_ticks(duration_seconds: f64, limit: usize) -> (f64, Vec<f64>) {
    let steps = |step: f64| libm::floor(duration_seconds / step);
    let longest = TIME_STEPS_SECONDS[TIME_STEPS_SECONDS.len() - 1];
    let fits = |step: &f64| steps(*step) < limit as f64;
    let step = TIME_STEPS_SECONDS.into_iter().find(fits).unwrap_or_else(|| {
        longest * libm::ceil(duration_seconds / longest / limit.saturating_sub(1).max(1) as f64)
    });
    let mut ticks = Vec::new();
    while (ticks.len() as f64) <= steps(step) {
        ticks.push(ticks.len() as f64 * step);
    }
    (step, ticks)
}

/// The label of a tick in hours and minutes; seconds or days are added only if the step requires
/// them.
pub(crate) fn clock_label(seconds: f64, step_seconds: f64) -> String {
    let clock = super::figures::clock(seconds);
    let (days, time) = clock.split_once(' ').unwrap_or(("", &clock));
    let time = if step_seconds < 60.0 { time } else { time.get(..5).unwrap_or(time) };
    match days {
        "" if step_seconds >= 86_400.0 => "0d".to_owned(),
        "" => time.to_owned(),
        days if step_seconds >= 86_400.0 => days.to_owned(),
        days => format!("{days} {time}"),
    }
}

/// The unit of [`clock_label`].
pub(crate) fn clock_unit(step_seconds: f64) -> &'static str {
    match step_seconds {
        step if step >= 86_400.0 => "days",
        step if step < 60.0 => "h:min:s",
        _ => "h:min",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_has_a_tick_every_ten_minutes() {
        let (step, ticks) = time_ticks(3_600.0, 7);
        let labels: Vec<_> = ticks.iter().map(|&tick| clock_label(tick, step)).collect();
        assert_eq!(labels, ["00:00", "00:10", "00:20", "00:30", "00:40", "00:50", "01:00"]);
    }

    #[test]
    fn seconds_and_days_are_said_where_they_matter() {
        let (step, ticks) = time_ticks(40.0, 5);
        assert_eq!(clock_label(ticks[1], step), "00:00:10");
        let (step, ticks) = time_ticks(3.0 * 86_400.0, 8);
        assert_eq!(
            (clock_label(ticks[1], step), clock_label(ticks[2], step)),
            ("12:00".to_owned(), "1d 00:00".to_owned())
        );
        let (step, ticks) = time_ticks(7.0 * 86_400.0, 8);
        assert_eq!(
            (clock_label(ticks[0], step), clock_label(ticks[7], step)),
            ("0d".to_owned(), "7d".to_owned())
        );
    }

    #[test]
    fn no_duration_has_more_ticks_than_asked_for() {
        for duration_seconds in [0.0, 0.5, 1.0, 59.0, 7_777.0, 1e6, 3e9] {
            let (_, ticks) = time_ticks(duration_seconds, 7);
            assert!((1..=7).contains(&ticks.len()), "{duration_seconds}: {ticks:?}");
        }
    }
}
