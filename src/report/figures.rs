//! Formats figures: the only place that formats latencies, shares and instants. An absent or unmeasurable figure is
//! `-`, never a made-up number.

use super::model::{Downtime, ServiceReport};

/// Maximum number of messages about ignored input at the top of a report; more are listed separately, so that the
/// figures stay prominent.
pub(crate) const IGNORED_AT_THE_TOP: usize = 3;

/// Appended to figures of the warm-up.
const WARM_UP_NOTE: &str = " (during warm-up, not counted)";

/// Note on the part of a downtime that is not counted because of the warm-up; empty if all of it counts.
pub(crate) fn not_counted(downtime: &Downtime) -> String {
    let Downtime { seconds, counted_seconds, .. } = downtime;
    match seconds - counted_seconds {
        _ if *counted_seconds <= 0.0 => WARM_UP_NOTE.to_owned(),
        warm_up if warm_up > 0.0 => {
            format!(" (of which {} count, after the warm-up)", span(*counted_seconds))
        }
        _ => String::new(),
    }
}

/// The share for a percentage: the float nearest to it, so that a quotient of counts that equals it is not below it.
pub(crate) fn share_of_percent(percent: f64) -> f64 {
    libm::round(percent * 1e10) / 1e12
}

/// Shown in place of a figure that does not exist.
pub const ABSENT: &str = "-";

/// Failure causes of a service's requests with their counts: `98 timeout, 9 no ready endpoint`.
pub fn causes(service: &ServiceReport) -> String {
    let causes = service.failed_by_cause.iter();
    let causes = causes.map(|(cause, requests)| {
        let more = match cause.as_str() {
            DEPENDENCY => called_in_vain(service),
            BLOCKED if !service.blocked_by.is_empty() => {
                format!(" (NetworkPolicy {})", service.blocked_by.join(", "))
            }
            _ => String::new(),
        };
        format!("{} {cause}{more}", count(*requests))
    });
    causes.collect::<Vec<String>>().join(", ")
}

/// Formats causes with their counts.
pub(crate) fn causes_of(failed_by_cause: &[(String, u64)]) -> String {
    let causes =
        failed_by_cause.iter().map(|(cause, requests)| format!("{} {cause}", count(*requests)));
    causes.collect::<Vec<String>>().join(", ")
}

/// The label of [`traffic::FailureCause`].
pub(crate) const DEPENDENCY: &str = traffic::FailureCause::Dependency.label();

/// The label for requests blocked by a policy.
const BLOCKED: &str = traffic::FailureCause::Blocked.label();

/// The services whose failed calls caused most of a service's failures: ` (shop/db)`; empty if there are none.
fn called_in_vain(service: &ServiceReport) -> String {
    let names: Vec<&str> = service.failed_calls.iter().map(|(name, _)| name.as_str()).collect();
    match &names[..] {
        [] => String::new(),
        [one] => format!(" ({one})"),
        [one, more @ ..] => format!(" (most of all {one}; {} more)", more.len()),
    }
}

/// The first names of a list; the rest is counted.
pub(crate) fn listed(names: &[&str]) -> String {
    const MOST: usize = 4;
    if names.len() <= MOST {
        return names.join(", ");
    }
    format!("{} and {} more", names[..MOST - 1].join(", "), names.len() - (MOST - 1))
}

const SECONDS_PER_MINUTE: u64 = 60;
const SECONDS_PER_HOUR: u64 = 3_600;
const SECONDS_PER_DAY: u64 = 86_400;

/// A latency: `0.85 ms`, `412 ms`, `1.24 s`, `180 s`.
pub fn latency(ms: f64) -> String {
    match ms {
        ms if !ms.is_finite() => ABSENT.to_owned(),
        // Larger values would round up to a thousand milliseconds.
        ms if ms.abs() >= 999.5 => format!("{} s", three_digits(ms / 1e3)),
        ms => format!("{} ms", three_digits(ms)),
    }
}

/// A span of time: `31.2 s`, `5 min 10 s`, `1 h 2 min`, `2 d 3 h`.
pub fn span(seconds: f64) -> String {
    if !seconds.is_finite() {
        return ABSENT.to_owned();
    }
    if seconds < 99.95 {
        return format!("{} s", number(seconds));
    }
    let unit = match seconds {
        days if days >= SECONDS_PER_DAY as f64 => SECONDS_PER_HOUR,
        hours if hours >= SECONDS_PER_HOUR as f64 => SECONDS_PER_MINUTE,
        _ => 1,
    };
    let whole = whole_part(seconds / unit as f64 + 0.5) * unit;
    let (large, small, units) = if whole >= SECONDS_PER_DAY {
        (whole / SECONDS_PER_DAY, whole % SECONDS_PER_DAY / SECONDS_PER_HOUR, ("d", "h"))
    } else if whole >= SECONDS_PER_HOUR {
        (whole / SECONDS_PER_HOUR, whole % SECONDS_PER_HOUR / SECONDS_PER_MINUTE, ("h", "min"))
    } else {
        (whole / SECONDS_PER_MINUTE, whole % SECONDS_PER_MINUTE, ("min", "s"))
    };
    if small == 0 {
        format!("{large} {}", units.0)
    } else {
        format!("{large} {} {small} {}", units.0, units.1)
    }
}

/// An instant as time since the start of the run: `00:30:01`, `2d 03:00:00`.
pub fn clock(seconds: f64) -> String {
    if !seconds.is_finite() {
        return ABSENT.to_owned();
    }
    let (sign, whole) = if seconds < 0.0 { ("-", -seconds) } else { ("", seconds) };
    let whole = whole_part(whole);
    let days = match whole / SECONDS_PER_DAY {
        0 => String::new(),
        days => format!("{days}d "),
    };
    let hours = whole % SECONDS_PER_DAY / SECONDS_PER_HOUR;
    let minutes = whole % SECONDS_PER_HOUR / SECONDS_PER_MINUTE;
    format!("{sign}{days}{hours:02}:{minutes:02}:{:02}", whole % SECONDS_PER_MINUTE)
}

/// An integer with thousands separators: `12,345`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 pod`, `2 pods`.
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// A fraction in percent. Close to one it keeps all nines and never rounds up to 100, close to zero it never rounds
/// down to zero: `0.023 %`, `42.1 %`, `99.9971 %`, `100 %`.
pub fn percent(share: f64) -> String {
    if !share.is_finite() {
        return ABSENT.to_owned();
    }
    if share.abs() < 0.01 {
        let decimals = digits_after_point(share * 100.0, 2);
        return format!("{} %", trimmed(format!("{:.decimals$}", share * 100.0)));
    }
    let missing = 1.0 - share;
    if !(1e-9..0.01).contains(&missing) {
        return format!("{} %", trimmed(format!("{:.1}", share * 100.0)));
    }
    let decimals = digits_after_point(missing * 100.0, 2);
    let shift = libm::pow(10.0, decimals as f64);
    let cut = libm::floor(share * 100.0 * shift + 1e-6) / shift;
    format!("{} %", trimmed(format!("{cut:.decimals$}")))
}

/// See [`percent`].
pub(crate) fn percent_or_absent(share: Option<f64>) -> String {
    share.map_or_else(|| ABSENT.to_owned(), percent)
}

/// A number with three significant digits without trailing zeros: `3`, `3.42`, `12,300`.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return ABSENT.to_owned();
    }
    if value.abs() >= 999.5 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", count(whole_part(value.abs() + 0.5)));
    }
    trimmed(three_digits(value))
}

/// External text on one line: control characters could move the cursor or color the terminal, and XML forbids them,
/// as well as the last two characters of Unicode's basic plane.
pub fn plain(text: &str) -> String {
    let is_printable =
        |character: char| !character.is_control() && !matches!(character, '\u{fffe}' | '\u{ffff}');
    text.chars().map(|character| if is_printable(character) { character } else { ' ' }).collect()
}

fn three_digits(value: f64) -> String {
    let decimals = digits_after_point(value, 3);
    format!("{value:.decimals$}")
}

/// Decimal places that show `digits` significant digits of `value`, at most six.
fn digits_after_point(value: f64, digits: i32) -> usize {
    if value == 0.0 {
        return 0;
    }
    // Adds half a unit of the last digit: 9.996 is printed as 10.0, which has one more digit before the point.
    let rounded = value.abs() * (1.0 + 0.5 * libm::pow(10.0, -f64::from(digits)));
    let magnitude = libm::floor(libm::log10(rounded));
    #[expect(clippy::cast_possible_truncation, reason = "a logarithm of a float is below 400")]
    let decimals = (digits - 1 - magnitude as i32).clamp(0, 6);
    decimals.unsigned_abs() as usize
}

fn trimmed(number: String) -> String {
    if !number.contains('.') {
        return number;
    }
    number.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates, and callers pass what is not negative"
)]
fn whole_part(seconds: f64) -> u64 {
    seconds as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_equals_the_counts_that_are_exactly_so_many_percent() {
        for hundredths in 1..=10_000_u32 {
            let percent = f64::from(hundredths) / 100.0;
            assert!(f64::from(hundredths) / 10_000.0 >= share_of_percent(percent), "{percent} %");
            assert!(f64::from(hundredths) / 10_001.0 < share_of_percent(percent), "{percent} %");
        }
    }

    #[test]
    fn latencies_have_three_digits_and_the_unit_that_suits() {
        let printed = [0.0, 0.034, 8.5, 412.3, 999.4, 999.6, 1_240.0, 180_000.0].map(latency);
        let expected =
            ["0 ms", "0.0340 ms", "8.50 ms", "412 ms", "999 ms", "1.00 s", "1.24 s", "180 s"];
        assert_eq!(printed, expected);
    }

    #[test]
    fn a_share_below_one_never_reads_as_all() {
        let printed = [0.0, 0.421, 0.9, 0.996_2, 0.999_971, 0.999_999_99, 1.0, 1.25].map(percent);
        let expected =
            ["0 %", "42.1 %", "90 %", "99.62 %", "99.9971 %", "99.999999 %", "100 %", "125 %"];
        assert_eq!(printed, expected);
        assert_eq!([0.000_232, 0.005_44, -0.002].map(percent), ["0.023 %", "0.54 %", "-0.2 %"]);
        assert_eq!(percent(0.995), "99.5 %");
        assert_eq!(percent(0.999), "99.9 %");
        assert_eq!(percent(0.999_994_49), "99.99944 %", "cut, not rounded");
    }

    #[test]
    fn spans_and_instants_read_as_people_say_them() {
        let printed = [31.24, 310.0, 3_600.0, 3_725.0, 183_600.0].map(span);
        assert_eq!(printed, ["31.2 s", "5 min 10 s", "1 h", "1 h 2 min", "2 d 3 h"]);
        let rounded = [165.9, 3_599.7, 7_199.0, 86_390.0].map(span);
        assert_eq!(rounded, ["2 min 46 s", "1 h", "2 h", "1 d"]);
        let printed = [0.0, 1_801.9, 183_600.0, -10.0].map(clock);
        assert_eq!(printed, ["00:00:00", "00:30:01", "2d 03:00:00", "-00:00:10"]);
    }

    #[test]
    fn counts_have_their_thousands_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [3.0, 3.418, 0.05, 12_345.6, -1_500.0].map(number),
            ["3", "3.42", "0.05", "12,346", "-1,500"]
        );
        assert_eq!(counted(1, "pod"), "1 pod");
    }

    #[test]
    fn what_cannot_be_measured_is_a_dash() {
        for figure in [latency, span, clock, percent, number] {
            assert_eq!([f64::NAN, f64::INFINITY].map(figure), ["-", "-"]);
        }
    }
}
