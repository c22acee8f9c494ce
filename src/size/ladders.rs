//! Values that are worth a try, the leanest first.

use serde_json::Value;

use capacity::catalog;
use capacity::node_type::NodeType;
use units::Quantity;

/// More values of one setting than this make a search long and no better.
const LEVELS: usize = 24;

/// Multiples of the CPU that a container asks for now.
const OF_CPU: [f64; 8] = [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0];

/// Memory beyond what an application uses, as a share of it: what recommenders commonly leave.
const MEMORY_MARGIN: f64 = 0.15;

/// Node types of a family that are tried: one size smaller and one or two larger.
const SIZES_UP: usize = 2;

/// Whole numbers from `least` to `most`: all of them while they are few, and then in steps of about a tenth.
pub fn counts(least: u64, most: u64) -> Vec<u64> {
    let mut all = Vec::new();
    let mut next = least;
    while next <= most && all.len() < LEVELS {
        all.push(next);
        next += (next / 10).max(1);
    }
    if all.last().is_some_and(|last| *last < most) {
        all.push(most);
    }
    all
}

/// The values with `now` among them, in their order.
pub fn with(mut values: Vec<u64>, now: u64, is_falling: bool) -> Vec<u64> {
    values.push(now);
    values.sort_unstable();
    values.dedup();
    if is_falling {
        values.reverse();
    }
    values
}

/// Multiples of a number of pods, each at least one.
pub fn multiples(now: u64, factors: &[f64]) -> Vec<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small multiples of a number of pods"
    )]
    let times = |factor: &f64| ((now as f64 * factor).round() as u64).max(1);
    with(factors.iter().map(times).collect(), now, false)
}

/// Multiples of an amount of CPU, and the place of the amount itself.
pub fn cores(now: &Value) -> Option<(Vec<String>, usize)> {
    let written = match now {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let milli = written.parse::<Quantity>().ok()?.milli_value();
    if milli <= 0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "thousandths of cores")]
    let times = |factor: &f64| ((milli as f64 * factor / 10.0).round() as i64 * 10).max(10);
    let mut all: Vec<i64> = OF_CPU.iter().map(times).chain([milli]).collect();
    all.sort_unstable();
    all.dedup();
    let place = all.iter().position(|one| *one == milli)?;
    Some((all.iter().map(|one| format!("{one}m")).collect(), place))
}

/// The memory that an application uses with a margin, and what its container requests now, in bytes as mebibytes; with
/// the place of the latter.
pub fn memory(workload: &Value, requested: &Value) -> Option<(Vec<String>, usize)> {
    const MEBIBYTE: f64 = 1_048_576.0;
    let bytes = |value: &Value| {
        let amount = value.as_str()?.parse::<Quantity>().ok()?;
        Some(amount.milli_value() as f64 / 1000.0)
    };
    let app = &workload["app"];
    let by_request = bytes(&app["memoryPerRequest"]).unwrap_or_default();
    let at_once = workload["requests"]["concurrency"].as_f64().unwrap_or(1.0);
    let used = bytes(&app["memory"])? + by_request * at_once;
    let mebibytes = format!("{}Mi", (used * (1.0 + MEMORY_MARGIN) / MEBIBYTE).ceil());
    let enough = bytes(&Value::String(mebibytes.clone()))?;
    let (now, written) = (bytes(requested)?, requested.as_str()?.to_owned());
    if enough < now {
        Some((vec![mebibytes, written], 1))
    } else if enough > now {
        Some((vec![written, mebibytes], 0))
    } else {
        None
    }
}

/// The next value beyond the most generous one: twice as much where values rise, half where they fall, or the next size
/// of a node.
pub fn beyond(values: &[String]) -> Option<String> {
    let (first, last) = (values.first()?, values.last()?);
    let amount = |text: &str| -> Option<(f64, String)> {
        let unit = text.trim_start_matches(|one: char| one.is_ascii_digit() || one == '.');
        Some((text[..text.len() - unit.len()].parse().ok()?, unit.to_owned()))
    };
    let Some((number, unit)) = amount(last) else {
        let (sizes, place) = family(last)?;
        return sizes.get(place + 1).cloned();
    };
    let parsed = |text: &str| text.parse::<Quantity>().map(Quantity::milli_value);
    let is_falling = parsed(last).ok()? < parsed(first).ok()?;
    let next = if is_falling { (number / 2.0).floor() } else { number * 2.0 };
    (next > 0.0).then(|| format!("{next}{unit}"))
}

/// Types of the same cloud and family around this one, by size, and the place of the type itself.
pub fn family(now: &str) -> Option<(Vec<String>, usize)> {
    let own = catalog::find(now).ok()?;
    let stem = |name: &str| name.rsplit_once('.').map(|(stem, _)| format!("{stem}."));
    let name = format!("{}", own.name);
    let stem = stem(&name)?;
    let mut all: Vec<&NodeType> = catalog::named_like(&stem)
        .into_iter()
        .filter(|one| one.name.starts_with(&*stem) && !one.name.ends_with("metal"))
        .collect();
    all.sort_by_key(|one| one.on_demand);
    let place = all.iter().position(|one| one.name == own.name)?;
    let near = place.saturating_sub(1)..(place + 1 + SIZES_UP).min(all.len());
    // As the scenario writes it, with its cloud or without.
    let cloud = now.rsplit_once('/').map(|(cloud, _)| format!("{cloud}/")).unwrap_or_default();
    let bare = |one: &NodeType| one.name.rsplit('/').next().unwrap_or_default().to_owned();
    let values = all[near.clone()].iter().map(|one| format!("{cloud}{}", bare(one))).collect();
    Some((values, place - near.start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_grow_by_one_and_then_by_a_tenth() {
        assert_eq!(counts(1, 5), [1, 2, 3, 4, 5]);
        let many = counts(1, 500);
        assert!(many.len() <= LEVELS + 1 && many.last() == Some(&500), "{many:?}");
        assert_eq!(with(vec![90, 60], 75, true), [90, 75, 60]);
        assert_eq!(multiples(1, &[0.5, 1.0, 2.0]), [1, 2]);
    }

    #[test]
    fn cpu_is_tried_around_what_it_is() {
        let (values, place) = cores(&json!("500m")).expect("an amount");
        assert_eq!((values[place].as_str(), values[0].as_str()), ("500m", "130m"));
        let (values, place) = cores(&json!(1)).expect("an amount");
        assert_eq!(values[place], "1000m");
        assert_eq!(cores(&json!(null)), None);
    }

    #[test]
    fn memory_is_what_is_used_and_a_margin() {
        let workload = json!({
            "app": {"memory": "100Mi", "memoryPerRequest": "5Mi"},
            "requests": {"concurrency": 4},
        });
        // 120 Mi used, 138 with the margin.
        let (values, now) = memory(&workload, &json!("1Gi")).expect("a use");
        assert_eq!((values, now), (vec!["138Mi".to_owned(), "1Gi".to_owned()], 1));
        let (values, now) = memory(&workload, &json!("64Mi")).expect("a use");
        assert_eq!((values, now), (vec!["64Mi".to_owned(), "138Mi".to_owned()], 0));
        assert_eq!(memory(&json!({"requests": {}}), &json!("1Gi")), None);
    }

    #[test]
    fn beyond_the_end_of_a_ladder_is_the_next_step_in_its_direction() {
        let beyond =
            |values: &[&str]| beyond(&values.iter().map(ToString::to_string).collect::<Vec<_>>());
        let text = |value: &str| Some(value.to_owned());
        assert_eq!(beyond(&["1", "2", "3"]), text("6"));
        assert_eq!(beyond(&["90", "60", "30"]), text("15"));
        assert_eq!(beyond(&["500m", "1500m"]), text("3000m"));
        assert_eq!(beyond(&["64Mi", "1Gi"]), text("2Gi"));
        assert_eq!(beyond(&["1", "0"]), None);
        assert_eq!(beyond(&["aws/m5.large", "aws/m5.xlarge"]), text("aws/m5.2xlarge"));
        assert_eq!(beyond(&["RollingUpdate", "Recreate"]), None);
    }

    #[test]
    fn sizes_of_a_family_are_near_each_other() {
        let (values, place) = family("aws/m5.xlarge").expect("in the catalog");
        assert_eq!(values, ["aws/m5.large", "aws/m5.xlarge", "aws/m5.2xlarge", "aws/m5.4xlarge"]);
        assert_eq!(place, 1);
        assert_eq!(family("aws/nothing.large"), None);
    }
}
