//! Ages in kubectl's format.

use engine::{SimDuration, SimTime};

/// `17s`, `2m5s`, `3h12m`, `5d` (`HumanDuration` in apimachinery's `pkg/util/duration`).
pub(super) fn human(span: SimDuration) -> String {
    let seconds = span.as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{small_unit}"),
    };
    match seconds {
        ..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

/// The age of an object created at `created`.
pub(super) fn age(now: SimTime, created: SimTime) -> String {
    human(now - created)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_as_kubectl_prints_them() {
        let printed =
            [0, 119, 120, 125, 599, 600, 10_799, 10_800, 11_500, 28_800, 180_000, 700_000]
                .map(|seconds| human(SimDuration::from_secs(seconds)));
        let expected =
            ["0s", "119s", "2m", "2m5s", "9m59s", "10m", "179m", "3h", "3h11m", "8h", "2d2h", "8d"];
        assert_eq!(printed, expected);
    }
}
