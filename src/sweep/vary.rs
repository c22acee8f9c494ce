//! Settings that a sweep tries: `PATH=A,B,C` or `PATH=1..9/2`, several of them as a grid, or a table of settings.

use std::fmt;
use std::str::FromStr;

use scenario::Override;

/// One setting and the values that it takes in turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Vary {
    /// The setting's path.
    pub path: String,
    /// Its values, as they were written.
    pub values: Vec<String>,
}

/// The mistake in an option `--vary`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaryError(String);

impl fmt::Display for VaryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for VaryError {}

impl FromStr for Vary {
    type Err = VaryError;

    /// Values are separated by commas; those within brackets, braces or quotes belong to a value. `1..9/2` are the
    /// numbers from 1 to 9 in steps of 2; both ends may have one unit, as in `100m..1000m/100m`.
    fn from_str(text: &str) -> Result<Self, VaryError> {
        let example = "write PATH=A,B,C or PATH=FROM..TO/STEP, such as cluster.nodePools[general].count=3..9/2";
        let (path, values) = text.split_once('=').ok_or_else(|| VaryError(example.to_owned()))?;
        let mut all = Vec::new();
        for value in split_values(values) {
            match range(&value)? {
                Some(range) => all.extend(range),
                None => all.push(value),
            }
        }
        let values = all;
        if values.iter().any(String::is_empty) {
            return Err(VaryError(format!("a value is empty; {example}")));
        }
        for value in &values {
            let setting = format!("{path}={value}");
            setting.parse::<Override>().map_err(|error| VaryError(error.to_string()))?;
        }
        Ok(Self { path: path.to_owned(), values })
    }
}

fn split_values(text: &str) -> Vec<String> {
    let mut values = vec![String::new()];
    let (mut depth, mut quoted, mut escaped) = (0_u32, false, false);
    for character in text.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth = depth.saturating_sub(1),
            ',' if depth == 0 && !quoted => {
                values.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(value) = values.last_mut() {
            value.push(character);
        }
    }
    values
}

/// Values that a range may have.
const RANGE_MAX: u64 = 10_000;

/// The values of `FROM..TO` or `FROM..TO/STEP`; nothing if a text is none.
fn range(text: &str) -> Result<Option<Vec<String>>, VaryError> {
    let Some((from, rest)) = text.split_once("..") else { return Ok(None) };
    let (to, step) = match rest.split_once('/') {
        Some((to, step)) => (to, Some(step)),
        None => (rest, None),
    };
    let (Some(first), Some(last)) = (Amount::parse(from), Amount::parse(to)) else {
        return Ok(None);
    };
    let wrong =
        |why: &str| Err(VaryError(format!("{text}: {why}, as in 1..9/2 or 100m..1000m/100m")));
    let step = match step {
        None if first.decimals == 0 && last.decimals == 0 => Amount { value: 1, ..first.clone() },
        None => return wrong("name the step between fractions"),
        Some(step) => match Amount::parse(step) {
            Some(step) => step,
            None => return wrong("the step is no number"),
        },
    };
    if first.unit != last.unit || first.unit != step.unit {
        return wrong("both ends and the step have one unit");
    }
    let decimals = first.decimals.max(last.decimals).max(step.decimals);
    let [from, to, by] = [&first, &last, &step].map(|one| one.with(decimals));
    let (Some(from), Some(to), Some(by)) = (from, to, by) else { return wrong("too many digits") };
    if by <= 0 || to < from || to.abs_diff(from) / by.unsigned_abs() >= RANGE_MAX {
        return wrong("a range goes up in at most 10,000 steps");
    }
    let mut values = Vec::new();
    let mut next = Some(from);
    while let Some(value) = next.filter(|value| *value <= to) {
        values.push(Amount { value, decimals, unit: first.unit.clone() }.to_string());
        next = value.checked_add(by);
    }
    Ok(Some(values))
}

/// A decimal number with a unit, exact.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Amount {
    /// The digits without a point.
    value: i64,
    /// How many of them follow the point.
    decimals: u32,
    unit: String,
}

impl Amount {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let unit = text[digits.len()..].to_owned();
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |part: &str| part.chars().all(|digit| digit.is_ascii_digit());
        let sign_less = whole.strip_prefix('-').unwrap_or(whole);
        if sign_less.is_empty() || !is_number(sign_less) || !is_number(fraction) {
            return None;
        }
        let value = format!("{whole}{fraction}").parse().ok()?;
        Some(Self { value, decimals: u32::try_from(fraction.len()).ok()?, unit })
    }

    /// The digits with so many after the point.
    fn with(&self, decimals: u32) -> Option<i64> {
        let power = 10_i64.checked_pow(decimals.checked_sub(self.decimals)?)?;
        self.value.checked_mul(power)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, digits) = (if self.value < 0 { "-" } else { "" }, self.value.unsigned_abs());
        let unit = 10_u64.saturating_pow(self.decimals);
        let (whole, fraction) = (digits / unit, digits % unit);
        if fraction == 0 {
            return write!(f, "{sign}{whole}{}", self.unit);
        }
        let width = self.decimals as usize;
        let fraction = format!("{fraction:0width$}");
        write!(f, "{sign}{whole}.{}{}", fraction.trim_end_matches('0'), self.unit)
    }
}

/// A table of settings: a path for each column, and a value of each path in every row.
pub fn table(csv: &[u8]) -> Result<(Vec<String>, Vec<Vec<String>>), VaryError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(csv);
    let wrong = |error: csv::Error| VaryError(format!("{error}"));
    let varied: Vec<String> = reader.headers().map_err(wrong)?.iter().map(str::to_owned).collect();
    let mut cells = Vec::new();
    for (number, record) in (1..).zip(reader.records()) {
        let cell: Vec<String> = record.map_err(wrong)?.iter().map(str::to_owned).collect();
        for (path, value) in varied.iter().zip(&cell) {
            let setting = format!("{path}={value}");
            let parsed = setting.parse::<Override>();
            parsed.map_err(|error| VaryError(format!("row {number}: {error}")))?;
        }
        cells.push(cell);
    }
    if cells.is_empty() {
        return Err(VaryError("it has no row of settings below its paths".to_owned()));
    }
    Ok((varied, cells))
}

/// Number of combinations in a grid.
pub fn grid_size(varied: &[Vary]) -> usize {
    varied.iter().fold(1, |size: usize, one| size.saturating_mul(one.values.len()))
}

/// All combinations, each with a value for every path in their order; the last path varies fastest.
pub fn grid(varied: &[Vary]) -> Vec<Vec<String>> {
    varied.iter().fold(vec![Vec::new()], |cells, one| {
        let with =
            |cell: &Vec<String>, value: &String| [&cell[..], std::slice::from_ref(value)].concat();
        cells
            .iter()
            .flat_map(|cell| one.values.iter().map(move |value| with(cell, value)))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Result<Vec<String>, String> {
        text.parse::<Vary>().map(|vary| vary.values).map_err(|error| error.to_string())
    }

    #[test]
    fn commas_separate_values_but_not_within_them() {
        for (text, expected) in [
            ("seed=1,2,3", &["1", "2", "3"][..]),
            ("a.b=[1,2],[3]", &["[1,2]", "[3]"]),
            ("a={\"x\":1,\"y\":2},{}", &["{\"x\":1,\"y\":2}", "{}"]),
            ("a=\"x,\\\"y\",z", &["\"x,\\\"y\"", "z"]),
            ("a=b=c,d", &["b=c", "d"]),
        ] {
            assert_eq!(values(text).expect(text), expected, "{text}");
        }
        for wrong in ["seed", "seed=1,,2", "seed=", "a..b=1"] {
            assert!(values(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ranges_include_both_ends_and_keep_their_unit() {
        for (text, expected) in [
            ("a=1..4", &["1", "2", "3", "4"][..]),
            ("a=1..9/3", &["1", "4", "7"]),
            ("a=1,5..6,9", &["1", "5", "6", "9"]),
            ("a=100m..300m/100m", &["100m", "200m", "300m"]),
            ("a=0.5..1/0.25", &["0.5", "0.75", "1"]),
            ("a=-1..1", &["-1", "0", "1"]),
            ("a=../b.csv", &["../b.csv"]),
            (
                "a=9223372036854775806..9223372036854775807",
                &["9223372036854775806", "9223372036854775807"],
            ),
        ] {
            assert_eq!(values(text).expect(text), expected, "{text}");
        }
        for wrong in [
            "a=0.5..2",
            "a=1m..2",
            "a=2..1",
            "a=1..2/0",
            "a=1..9/x",
            "a=1..99999999",
            "a=-9223372036854775807..9223372036854775807",
        ] {
            assert!(values(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_table_has_a_path_in_each_column() {
        let (varied, cells) = table(b"seed,a.b\n1, x\n2,y\n").expect("well-formed");
        assert_eq!(
            (varied, cells),
            (
                vec!["seed".to_owned(), "a.b".to_owned()],
                vec![vec!["1".to_owned(), "x".to_owned()], vec!["2".to_owned(), "y".to_owned()]]
            )
        );
        assert!(table(b"seed\n").is_err() && table(b"seed,b\n1\n").is_err());
        assert!(table(b"a..b\n1\n").expect_err("no path").to_string().contains("row 1"));
    }

    #[test]
    fn a_grid_has_every_combination_in_order() {
        let varied: Vec<Vary> =
            ["a=1,2", "b=x,y"].iter().map(|text| text.parse().expect("well-formed")).collect();
        assert_eq!(grid(&varied), [["1", "x"], ["1", "y"], ["2", "x"], ["2", "y"]]);
        assert_eq!(grid_size(&varied), 4);
        assert_eq!(grid(&[]), [Vec::<String>::new()]);
    }
}
