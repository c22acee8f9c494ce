//! Settings that a sweep tries: `PATH=A,B,C`, several of them as a grid.

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

    /// Values are separated by commas; those within brackets, braces or quotes belong to a value.
    fn from_str(text: &str) -> Result<Self, VaryError> {
        let example = "write PATH=A,B,C, such as cluster.nodePools[general].count=3,4,5";
        let (path, values) = text.split_once('=').ok_or_else(|| VaryError(example.to_owned()))?;
        let values = split_values(values);
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
    fn a_grid_has_every_combination_in_order() {
        let varied: Vec<Vary> =
            ["a=1,2", "b=x,y"].iter().map(|text| text.parse().expect("well-formed")).collect();
        assert_eq!(grid(&varied), [["1", "x"], ["1", "y"], ["2", "x"], ["2", "y"]]);
        assert_eq!(grid_size(&varied), 4);
        assert_eq!(grid(&[]), [Vec::<String>::new()]);
    }
}
