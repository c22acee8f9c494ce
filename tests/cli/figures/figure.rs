//! Figures as they stand in a text: their kind, their value, and how exactly they are told.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What a figure counts; figures of different kinds are never the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A number without a unit.
    Count,
    /// A share.
    Percent,
    /// An amount of money.
    Dollars,
    /// How long something took, in seconds.
    Span,
    /// When something happened, in seconds from the beginning.
    Clock,
}

/// A figure in a text.
#[derive(Debug, Clone)]
pub struct Figure {
    /// As it is written.
    pub text: String,
    /// Where it stands in the text, in bytes.
    pub at: usize,
    /// What it counts.
    pub kind: Kind,
    /// In the unit of its kind.
    pub value: f64,
    /// Half of its last digit: how far the exact value may lie from it.
    pub exact_to: f64,
}

impl Figure {
    /// Whether `other` says the same, perhaps with more digits.
    pub fn is_told_by(&self, other: &Figure) -> bool {
        self.kind == other.kind && self.is_near(other)
    }

    /// Whether the number is the same, where `input` (of a manifest or a scenario) may leave its unit to the field's name.
    pub fn is_set_by(&self, input: &Figure) -> bool {
        let is_time = |kind| matches!(kind, Kind::Span | Kind::Clock);
        let is_alike = self.kind == input.kind || is_time(self.kind) && is_time(input.kind);
        (is_alike || input.kind == Kind::Count) && self.is_near(input)
    }

    /// Whether chance would hardly have another figure look the same: small whole numbers are everywhere.
    pub fn is_telling(&self) -> bool {
        self.kind != Kind::Count || self.value >= 100.0 || self.text.contains('.')
    }

    /// The same figure with the value of `other`, in the unit and with the digits of this text. `None` if that is no number
    /// of the kind, such as an unknown number of zeros.
    pub fn restated(&self, other: &Figure) -> Option<String> {
        if self.kind == Kind::Clock {
            let seconds: u64 = format!("{:.0}", other.value.floor()).parse().ok()?;
            let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
            let has_hours = self.text.matches(':').count() == 2;
            return Some(match (has_hours, self.text.starts_with('0')) {
                (true, true) => format!("{hours:02}:{minutes:02}:{:02}", seconds % 60),
                (true, false) => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
                (false, _) => format!("{:02}:{:02}", seconds / 60, seconds % 60),
            });
        }
        let parts: Vec<(String, f64)> = PART
            .captures_iter(&self.text)
            .map(|part| (part[2].to_owned(), seconds_of_unit(&part[2])))
            .collect();
        if self.kind == Kind::Span && parts.len() > 1 {
            let last = parts.last()?.1;
            let mut rest = (other.value / last).round() * last;
            let amounts = parts.iter().map(|(unit, seconds)| {
                let amount = (rest / seconds + 1e-9).floor();
                rest -= amount * seconds;
                format!("{amount} {unit}")
            });
            return Some(amounts.collect::<Vec<_>>().join(" "));
        }
        let written = NUMBER_ALONE.find(&self.text)?;
        let (value, half) = number(written.as_str());
        let unit = if value == 0.0 { half / self.exact_to } else { self.value / value };
        let decimals = written.as_str().split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let told = with_commas(&format!("{:.decimals$}", other.value / unit.abs()));
        Some(self.text.replacen(written.as_str(), &told, 1))
    }

    fn is_near(&self, other: &Figure) -> bool {
        (self.value - other.value).abs() <= self.exact_to * (1.0 + 1e-9)
    }
}

const NUMBER: &str = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?";

/// A clock, money, a span of one or two units, a share, or a number.
static FIGURE: LazyLock<Regex> = LazyLock::new(|| {
    let unit = r"(?:milliseconds?|seconds?|minutes?|hours?|ms|min|s|m|h)\b";
    let spans = format!(r"\d+ ?(?:d|h|min|m)(?: ?\d+ ?(?:h|min|m|s|ms))+\b|{NUMBER} ?{unit}");
    let pattern = format!(
        r"(?P<clock>\d+:\d\d(?::\d\d)?)|\$(?P<money>{NUMBER})|(?P<span>{spans})|(?P<share>{NUMBER}) ?%|(?P<count>{NUMBER})(?: (?:to|and) {NUMBER} ?(?P<next>%|{unit}))?"
    );
    Regex::new(&pattern).expect("a regular expression")
});

static PART: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!("({NUMBER}) ?([a-z]+)")).expect("a regular expression"));

static NUMBER_ALONE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(NUMBER).expect("a regular expression"));

/// `1234.5` is `1,234.5`.
fn with_commas(plain: &str) -> String {
    let whole = plain.find('.').unwrap_or(plain.len());
    let mut text = plain.to_owned();
    for place in (1..whole).rev().filter(|place| (whole - place).is_multiple_of(3)) {
        text.insert(place, ',');
    }
    text
}

/// All figures of a text, whose white space may be broken anywhere.
pub fn figures(text: &str) -> Vec<Figure> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(captures) = FIGURE.captures_at(text, from) {
        let whole = captures.get(0).expect("the whole match");
        let part_of_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
        let is_part = text[..whole.start()].chars().next_back().is_some_and(part_of_word);
        let figure = figure(&captures);
        from = figure.at + figure.text.len();
        let mut rest = text[from..].chars();
        let next = rest.next();
        let goes_on = next.is_some_and(|c| c.is_alphanumeric() || c == '_')
            || next == Some('.') && rest.next().is_some_and(|c| c.is_ascii_digit());
        if is_part || goes_on {
            // The rest of a name or of a version: nothing in it is a figure.
            let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
            from += text[from..].find(|c| !word(c)).unwrap_or(text.len() - from);
        } else {
            found.push(figure);
        }
    }
    found
}

fn figure(captures: &Captures) -> Figure {
    let group = |name| captures.name(name);
    let (kind, found, (value, exact_to)) = if let Some(clock) = group("clock") {
        (Kind::Clock, captures.get(0).expect("the match"), (seconds_of_clock(clock.as_str()), 0.5))
    } else if let Some(money) = group("money") {
        (Kind::Dollars, captures.get(0).expect("the match"), number(money.as_str()))
    } else if let Some(span) = group("span") {
        (Kind::Span, span, seconds_of_span(span.as_str()))
    } else if let Some(share) = group("share") {
        (Kind::Percent, captures.get(0).expect("the match"), number(share.as_str()))
    } else {
        let count = group("count").expect("the last of the alternatives");
        let (value, exact_to) = number(count.as_str());
        // `71 to 73 ms`: the unit stands once.
        match group("next").map(|unit| unit.as_str()) {
            Some("%") => (Kind::Percent, count, (value, exact_to)),
            Some(unit) => {
                let unit = seconds_of_unit(unit);
                (Kind::Span, count, (value * unit, exact_to * unit))
            }
            None => (Kind::Count, count, (value, exact_to)),
        }
    };
    Figure { text: found.as_str().to_owned(), at: found.start(), kind, value, exact_to }
}

/// The value, and half of its last digit.
fn number(text: &str) -> (f64, f64) {
    let plain = text.replace(',', "");
    let decimals = plain.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let half = 0.5 / 10_f64.powi(i32::try_from(decimals).expect("few digits"));
    (plain.parse().expect("digits"), half)
}

/// `5 min 6 s` and `1h30m`; as exact as the last part.
fn seconds_of_span(text: &str) -> (f64, f64) {
    PART.captures_iter(text).fold((0.0, 0.0), |(sum, _), part| {
        let (value, half) = number(&part[1]);
        let unit = seconds_of_unit(&part[2]);
        (sum + value * unit, half * unit)
    })
}

fn seconds_of_unit(unit: &str) -> f64 {
    match unit {
        "ms" | "millisecond" | "milliseconds" => 0.001,
        "d" => 86_400.0,
        "min" | "m" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3_600.0,
        _ => 1.0,
    }
}

/// `31:37` is minutes and seconds, `1:12:57` has hours before them.
fn seconds_of_clock(text: &str) -> f64 {
    text.split(':').fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().expect("digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, Kind, f64)> {
        figures(text).into_iter().map(|one| (one.text, one.kind, one.value)).collect()
    }

    #[test]
    fn figures_are_read_with_their_unit() {
        let text = "1,572 (0.7 %), $3.48, 89 ms, 5 min 6 s, 1h30m, 31:37, 00:31:37 and 40 to 55 s";
        let read = read(text);
        let read: Vec<(&str, Kind, f64)> =
            read.iter().map(|(text, kind, value)| (text.as_str(), *kind, *value)).collect();
        assert_eq!(
            read,
            [
                ("1,572", Kind::Count, 1_572.0),
                ("0.7 %", Kind::Percent, 0.7),
                ("$3.48", Kind::Dollars, 3.48),
                ("89 ms", Kind::Span, 0.089),
                ("5 min 6 s", Kind::Span, 306.0),
                ("1h30m", Kind::Span, 5_400.0),
                ("31:37", Kind::Clock, 1_897.0),
                ("00:31:37", Kind::Clock, 1_897.0),
                ("40", Kind::Span, 40.0),
                ("55 s", Kind::Span, 55.0),
            ]
        );
    }

    #[test]
    fn a_figure_takes_another_value_in_its_own_unit_and_digits() {
        let restated = |figure: &str, output: &str| {
            figures(figure)[0].restated(&figures(output)[0]).expect("it can be told")
        };
        assert_eq!(restated("24,810", "24,904"), "24,904");
        assert_eq!(restated("999", "1,204"), "1,204");
        assert_eq!(restated("27.6 %", "31.448 %"), "31.4 %");
        assert_eq!(restated("$3.48", "$3.514"), "$3.51");
        assert_eq!(restated("0 %", "3.2 %"), "3 %");
        assert_eq!(restated("89 ms", "0.09 s"), "90 ms");
        assert_eq!(restated("5 min 6 s", "301.6 s"), "5 min 2 s");
        assert_eq!(restated("31:37", "00:31:40"), "31:40");
        assert_eq!(restated("1:12:57", "01:13:02"), "1:13:02");
        assert_eq!(restated("00:31:37", "00:31:40"), "00:31:40");
    }

    #[test]
    fn what_is_part_of_a_name_is_no_figure() {
        assert_eq!(read("us-east-1b, p95, m5.large, Llama-3.1-8B, 10.0.0.7, 100Mi, v2.13"), []);
    }

    #[test]
    fn a_figure_may_be_told_with_more_digits_but_not_with_others() {
        let told = |figure: &str, output: &str| figures(figure)[0].is_told_by(&figures(output)[0]);
        assert!(told("27.6 %", "27.585 %") && told("88 %", "87.9 %"));
        assert!(!told("27.6 %", "27.51 %") && !told("27.60 %", "27.585 %"));
        assert!(told("31:37", "00:31:37") && told("16 min", "16 min 12 s"));
        assert!(!told("134,178", "134,179") && !told("28 %", "28 ms"));
        assert!(figures("60 %")[0].is_set_by(&figures("averageUtilization: 60")[0]));
    }
}
