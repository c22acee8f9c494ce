//! Wrong values in right places: changes of a document that keep most of its form.

use serde_json::{Map, Number, Value, json};

use crate::random::Random;

/// Texts that are numbers, durations, quantities and dates at their limits, or none at all.
pub const TEXTS: &[&str] = &[
    "",
    " ",
    "0",
    "-1",
    "1",
    "0s",
    "-5s",
    "1ns",
    "106751d",
    "9223372036s",
    "292y",
    "1e3",
    "1e308",
    "1e-308",
    "1e400",
    "-1e400",
    "NaN",
    "inf",
    "-inf",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "100%",
    "-3%",
    "101%",
    "1000000000000%",
    "8Ei",
    "9Ei",
    "-1Gi",
    "0.1n",
    "1m",
    "-100m",
    "10000000000E",
    "1970-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "-9999-01-01T00:00:00Z",
    "2024-02-30T00:00:00Z",
    "true",
    "null",
    "~",
    "*",
    "a/b",
    "/",
    "..",
    "../../x",
    "a.b[0]",
    "[]",
    "{}",
    "* * * * *",
    "0 0 31 2 *",
    "*/0 * * * *",
    "60 24 32 13 8",
    "TZ=Nowhere/City * * * * *",
    "Deployment/web",
    "default/web",
    "kubernetes.io/hostname",
    "\u{0}",
    "\u{feff}",
    "ä",
    "\u{1f980}",
    "a\nb",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

/// Numbers at the limits of what they are kept in.
const WHOLE: &[i64] = &[
    0,
    1,
    -1,
    2,
    3,
    7,
    100,
    101,
    -100,
    127,
    128,
    255,
    256,
    32_767,
    65_536,
    999_999,
    1 << 31,
    -(1 << 31),
    (1 << 31) - 1,
    1 << 32,
    1 << 53,
    1_000_000_000,
    1_000_000_000_000,
    9_223_372_036,
    9_223_372_037,
    i64::MAX,
    i64::MIN,
    i64::MAX - 1,
];
const FLOAT: &[f64] = &[
    -0.0,
    0.1,
    0.5,
    -0.5,
    1.5,
    1e-9,
    1e-300,
    5e-324,
    1e9,
    1e15,
    1e18,
    1e19,
    1e38,
    1e300,
    -1e300,
    1.797_693_134_862_315_7e308,
    0.999_999_999_999,
];

/// Changes a document in one to four places.
pub fn mutate(document: &mut Value, random: &mut Random) {
    let donor = document.clone();
    for _ in 0..=random.below(4) {
        let size = size(document);
        let target = random.below(size);
        change(document, target, &donor, random);
    }
}

/// Number of values in a document, itself among them.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(fields) => fields.values().map(size).sum(),
        _ => 0,
    }
}

/// The value with this number, counted from the top down.
fn nth(value: &Value, number: usize) -> &Value {
    let mut left = number;
    if left == 0 {
        return value;
    }
    left -= 1;
    let below: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    };
    for one in below {
        let size = size(one);
        if left < size {
            return nth(one, left);
        }
        left -= size;
    }
    value
}

fn change(value: &mut Value, number: usize, donor: &Value, random: &mut Random) {
    if number == 0 {
        return replace(value, donor, random);
    }
    let mut left = number - 1;
    let below: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(fields) => fields.values_mut().collect(),
        _ => Vec::new(),
    };
    for one in below {
        let size = size(one);
        if left < size {
            return change(one, left, donor, random);
        }
        left -= size;
    }
}

fn replace(value: &mut Value, donor: &Value, random: &mut Random) {
    match random.below(12) {
        0 => *value = Value::Null,
        1 => *value = json!(random.of(WHOLE)),
        2 => *value = number(*random.of(FLOAT)),
        3 => *value = json!(random.of(TEXTS)),
        4 => {
            *value = random
                .of(&[json!([]), json!({}), json!(true), json!(u64::MAX), json!([[]])])
                .clone();
        }
        5 => *value = nth(donor, random.below(size(donor))).clone(),
        6 => *value = json!([value.take()]),
        7 => *value = json!({ "a": value.take() }),
        _ => in_kind(value, donor, random),
    }
}

fn number(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

/// Another value of the same type.
fn in_kind(value: &mut Value, donor: &Value, random: &mut Random) {
    match value {
        Value::Null => *value = json!(random.of(WHOLE)),
        Value::Bool(is_so) => *value = json!(!*is_so),
        Value::Number(old) => {
            let old = old.as_f64().unwrap_or_default();
            let new = match random.below(6) {
                0 => -old,
                1 => old * 1e6,
                2 => old / 1e3,
                3 => old + 1.0,
                4 => old - 1.0,
                _ => return *value = json!(random.of(WHOLE)),
            };
            // A whole number stays one: most fields take no other.
            let is_whole = new.fract() == 0.0 && new.abs() < 9e15;
            #[expect(clippy::cast_possible_truncation, reason = "it is whole and small")]
            let whole = new as i64;
            *value = if is_whole { json!(whole) } else { number(new) };
        }
        Value::String(text) => *text = altered(text, random),
        Value::Array(items) => in_list(items, random),
        Value::Object(fields) => in_object(fields, donor, random),
    }
}

fn altered(text: &str, random: &mut Random) -> String {
    let digits = |with: &str| {
        let start = text.find(|letter: char| letter.is_ascii_digit()).unwrap_or(0);
        let rest = text[start..]
            .trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
        format!("{}{with}{rest}", &text[..start])
    };
    match random.below(5) {
        0 => (*random.of(TEXTS)).to_owned(),
        1 => digits(random.of::<&str>(&[
            "0",
            "-1",
            "9223372036854775807",
            "1e9",
            "99999999999",
            "0.0000001",
        ])),
        2 => format!("{text}{}", random.of(TEXTS)),
        3 => text.chars().skip(1).collect(),
        _ => text.repeat(2),
    }
}

fn in_list(items: &mut Vec<Value>, random: &mut Random) {
    if items.is_empty() {
        return items.push(json!(random.of(WHOLE)));
    }
    let place = random.below(items.len());
    match random.below(5) {
        0 => drop(items.remove(place)),
        1 => items.clear(),
        2 => items.reverse(),
        3 => items.swap(0, place),
        _ => {
            let copy = items[place].clone();
            items.insert(place, copy);
        }
    }
}

fn in_object(fields: &mut Map<String, Value>, donor: &Value, random: &mut Random) {
    let names: Vec<String> = fields.keys().cloned().collect();
    if names.is_empty() {
        return drop(fields.insert("a".to_owned(), json!(1)));
    }
    let name = random.of(&names);
    match random.below(4) {
        0 | 1 => drop(fields.shift_remove(name)),
        2 => {
            // The field of another object, as it stands there.
            if let Value::Object(others) = nth(donor, random.below(size(donor))) {
                let others: Vec<_> = others.iter().collect();
                if let [_, ..] = others[..] {
                    let (name, value) = random.of(&others);
                    fields.insert((*name).clone(), (*value).clone());
                }
            }
        }
        _ => {
            let value = fields.shift_remove(name).unwrap_or_default();
            fields.insert(format!("{name}x"), value);
        }
    }
}
