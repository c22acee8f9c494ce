//! Access logs: Common and Combined, with the request time at the end of the line, as written by
//! nginx (`$request_time`, seconds with a decimal point) and Apache (`%D`, whole microseconds).

use super::instant::Instant;
use super::{LineContext, Row, RowContent};

/// Whether a line is from an access log.
pub(super) fn is_line(line: &str) -> bool {
    parts(line).is_some_and(|(date, _, _)| Instant::parse_log_date(date).is_some())
}

/// The request of a line. It began its duration before the time of the line.
pub(super) fn row(line: &str, context: &LineContext<'_>) -> Result<Option<Row>, String> {
    let Some((date, request, rest)) = parts(line) else {
        return Err("no `[date] \"request\"` as in access logs".into());
    };
    let at = Instant::parse_log_date(date)
        .ok_or_else(|| format!("{date:?} is not a date such as 10/Oct/2000:13:55:36 -0700"))?;
    // Anything but a request line, such as the bytes of a port scan, has no path.
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if !context.wants(method, path) {
        return Ok(None);
    }
    Ok(Some(Row::ended(at, RowContent::Request(None), nanos_taken(rest))))
}

/// The date, the request line, and the rest of the line.
fn parts(line: &str) -> Option<(&str, &str, &str)> {
    let (_, dated) = line.split_once('[')?;
    let (date, rest) = dated.split_once(']')?;
    let rest = rest.trim_start().strip_prefix('"')?;
    let end = end_of_quoted(rest)?;
    Some((date, &rest[..end], &rest[end + 1..]))
}

/// Position of the closing quote; an embedded quote is written `\"`.
fn end_of_quoted(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    })
}

/// The first number after the status, the size, the referrer and the agent: with a decimal point in
/// seconds, otherwise in microseconds. Absent if the log does not record it.
#[expect(clippy::cast_possible_truncation, reason = "a request takes less than a century")]
fn nanos_taken(rest: &str) -> Option<i128> {
    let mut fields = Vec::new();
    let mut rest = rest.trim_start();
    while !rest.is_empty() {
        let (field, is_quoted, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let end = end_of_quoted(quoted).unwrap_or(quoted.len());
            (&quoted[..end], true, quoted.get(end + 1..).unwrap_or_default())
        } else {
            let (field, after) = rest.split_once(' ').unwrap_or((rest, ""));
            (field, false, after)
        };
        fields.push((field, is_quoted));
        rest = after.trim_start();
    }
    // Status and size come first in all variants.
    let mut further = fields.into_iter().skip(2).filter(|(_, is_quoted)| !is_quoted);
    let number = further.find(|(field, _)| field.parse::<f64>().is_ok_and(f64::is_finite))?.0;
    if number.contains('.') {
        let seconds: f64 = number.parse().ok()?;
        return (0.0..1e9).contains(&seconds).then(|| (seconds * 1e9).round() as i128);
    }
    let micros: i64 = number.parse().ok().filter(|micros| *micros >= 0)?;
    Some(i128::from(micros) * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(line: &str) -> i128 {
        let row = row(line, &LineContext::default()).expect("a row").expect("wanted");
        let Ok(noon) = Instant::parse("2023-11-16T12:00:00Z") else { panic!("a date") };
        row.at.nanos - noon.nanos
    }

    const COMMON: &str =
        r#"10.0.0.1 - bob [16/Nov/2023:14:00:05 +0200] "GET /a?b=\"c\" HTTP/1.1" 200 512"#;

    #[test]
    fn a_request_began_as_long_before_its_line_as_it_took() {
        assert_eq!(nanos(COMMON), 5_000_000_000);
        let combined = format!(r#"{COMMON} "-" "Mozilla/5.0 (X11; 10.5)""#);
        assert_eq!(nanos(&combined), 5_000_000_000);
        assert_eq!(nanos(&format!("{combined} 0.250")), 4_750_000_000, "nginx's $request_time");
        assert_eq!(nanos(&format!("{combined} 250000")), 4_750_000_000, "Apache's %D");
        assert_eq!(nanos(&format!("{COMMON} 250000")), 4_750_000_000);
        assert_eq!(nanos(&format!(r#"{combined} "-" 0.250 0.249 ."#)), 4_750_000_000);
    }

    #[test]
    fn requests_are_chosen_by_their_path() {
        let wants = |path| {
            row(COMMON, &LineContext { path: Some(path), ..LineContext::default() })
                .map(|row| row.is_some())
        };
        assert_eq!((wants("/a"), wants("/b")), (Ok(true), Ok(false)));
    }

    #[test]
    fn what_is_no_line_of_a_log_is_refused() {
        for line in ["", "hello", "[x] \"GET /\" 200 1", "[16/Nov/2023:14:00:05 +0200] GET"] {
            assert!(!is_line(line), "{line}");
            assert!(row(line, &LineContext::default()).is_err(), "{line}");
        }
    }
}
