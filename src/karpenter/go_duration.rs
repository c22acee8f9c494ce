//! Durations in Go syntax (`time.ParseDuration`): a number needs a unit, and there are no days.

use engine::SimDuration;

const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Parses a duration such as `1h30m`; `None` if invalid.
pub fn parse_go_duration(text: &str) -> Option<SimDuration> {
    let (is_negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(SimDuration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let number = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (digits, after) = rest.split_at(number);
        let unit = after.chars().take_while(|one| *one != '.' && !one.is_ascii_digit());
        let (unit, left) = after.split_at(unit.map(char::len_utf8).sum());
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        nanos = nanos.checked_add(scaled(digits, *scale)?)?;
        rest = left;
    }
    let nanos = i64::try_from(nanos).ok()?;
    Some(SimDuration::from_nanos(if is_negative { -nanos } else { nanos }))
}

fn scaled(digits: &str, scale: i128) -> Option<i128> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let number =
        |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<i128>().ok() };
    let fraction = &fraction[..fraction.len().min(18)];
    let divisor = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let whole = number(whole)?.checked_mul(scale)?;
    whole.checked_add(number(fraction)?.checked_mul(scale)? / divisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_bare_numbers_are_no_durations() {
        let seconds = |text| parse_go_duration(text).map(SimDuration::as_secs_f64);
        assert_eq!(seconds("1h30m"), Some(5400.0));
        assert_eq!(seconds("1.5s"), Some(1.5));
        assert_eq!(seconds("-2m"), Some(-120.0));
        assert_eq!(seconds("0"), Some(0.0));
        for wrong in ["", "90", "2d", "h", "1..2s", "-", "1h30"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}
