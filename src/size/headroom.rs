//! More of the same traffic: every load of a scenario times a factor.

use serde_json::{Value, json};

use scenario::Override;
use scenario::resolved::ResolvedScenario;

/// Settings that multiply all loads of a scenario. Rates and traces follow the factor exactly, numbers of users to the
/// next whole one.
pub(crate) fn more_traffic(resolved: &ResolvedScenario, factor: f64) -> Vec<Override> {
    let scenario = serde_json::to_value(resolved.scenario()).unwrap_or_default();
    let mut settings = Vec::new();
    for list in ["traffic", "ingress"] {
        let entries = scenario[list].as_array().into_iter().flatten();
        for (place, entry) in entries.enumerate() {
            let mut load = entry["load"].clone();
            scale(&mut load, factor);
            settings.extend(format!("{list}[{place}].load={load}").parse());
        }
    }
    settings
}

fn scale(load: &mut Value, factor: f64) {
    match load {
        Value::Array(items) => items.iter_mut().for_each(|item| scale(item, factor)),
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            if fields.contains_key("trace") {
                let now = fields.get("scale").and_then(Value::as_f64).unwrap_or(1.0);
                fields.insert("scale".to_owned(), json!(now * factor));
            }
            for (name, value) in fields.iter_mut() {
                match value.as_f64() {
                    Some(rate) if name == "rps" || name.ends_with("Rps") => {
                        *value = json!(rate * factor);
                    }
                    Some(users) if name == "users" => {
                        #[expect(
                            clippy::cast_possible_truncation,
                            clippy::cast_sign_loss,
                            reason = "a number of users"
                        )]
                        let whole = (users * factor).ceil() as u32;
                        *value = json!(whole);
                    }
                    Some(_) => {}
                    None => scale(value, factor),
                }
            }
        }
        _ => {}
    }
}

/// The largest factor, to a hundredth of the traffic, at which `holds` does; it does at one. Looks no further than to
/// `most`.
pub fn largest<Error>(
    most: f64,
    mut holds: impl FnMut(f64) -> Result<bool, Error>,
) -> Result<f64, Error> {
    let (mut low, mut high) = (1.0, 1.0);
    while high < most {
        high = (high * 1.5).min(most);
        if !holds(high)? {
            break;
        }
        low = high;
    }
    while high - low > 0.01 * low {
        let middle = f64::midpoint(low, high);
        if holds(middle)? {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn every_rate_follows_the_factor_and_nothing_else_does() {
        let mut load = json!({"add": [
            {"pattern": "spike", "baseRps": 10, "peakRps": 30, "at": "5m", "cv": 2},
            {"trace": "a.csv"},
            {"trace": "b.csv", "scale": 2},
            {"users": 3, "thinkTime": "1s"},
        ]});
        scale(&mut load, 1.5);
        let expected = json!({"add": [
            {"pattern": "spike", "baseRps": 15.0, "peakRps": 45.0, "at": "5m", "cv": 2},
            {"trace": "a.csv", "scale": 1.5},
            {"trace": "b.csv", "scale": 3.0},
            {"users": 5, "thinkTime": "1s"},
        ]});
        assert_eq!(load, expected);
    }

    #[test]
    fn headroom_is_found_to_a_hundredth() {
        for edge in [1.0, 1.234, 2.7, 40.0] {
            let Ok(found) = largest(10.0, |factor| Ok::<_, Infallible>(factor <= edge));
            let expected = f64::min(edge, 10.0);
            assert!(found <= expected && found >= expected * 0.99, "{edge}: {found}");
        }
    }
}
