//! The provenance of a scenario's figures, and the variants of a scenario in which guesses are halved and doubled.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::overrides::{Override, place_of, steps_of};
use super::read::ScenarioText;
use engine::{SimDuration, format_duration, parse_duration};
use units::Quantity;

/// Settings that describe the shape of a figure or a point in time, and so are no amounts.
const SHAPES: [&str; 12] = [
    "at",
    "budget",
    "cv",
    "every",
    "exitCode",
    "from",
    "gapCv",
    "hold",
    "maxBroken",
    "period",
    "seed",
    "weight",
];
/// Settings that are amounts of resources although their text could also be read as a duration.
const AMOUNTS: [&str; 6] =
    ["cpu", "imagePullBandwidth", "imageSize", "memory", "memoryLeakPerHour", "memoryPerRequest"];
/// The step that matches every element of a list.
const EACH: &str = "*";

/// The provenance of the scenario's figures. Settings in neither list count as stated: their author vouches for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Provenance {
    /// Settings that were measured in the real system, in the path syntax of `--set`, such as
    /// workloads[Deployment/shop/web].requests.cpuTime. They are not guesses, even if an enclosing setting is listed in
    /// `assumed`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub measured: Vec<String>,
    /// Settings that are guesses, with `[*]` for all elements of a list, such as `workloads[*].requests.cpuTime`.
    /// Reports name them, and `wavetank run --doubts` halves and doubles each entry and reports the effect on the
    /// results.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assumed: Vec<String>,
}

impl Provenance {
    /// True if neither list has an entry.
    pub const fn is_empty(&self) -> bool {
        self.measured.is_empty() && self.assumed.is_empty()
    }
}

/// An entry of `assumed` whose settings exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Assumption {
    /// The entry as written.
    pub setting: String,
    /// The distinct amounts in it, as in the scenario; if there are none, the names in it, such as instance types.
    pub values: Vec<String>,
    /// The overrides that halve all amounts; empty if there are none.
    pub halved: Vec<Override>,
    /// The overrides that double all amounts.
    pub doubled: Vec<Override>,
}

impl ScenarioText {
    /// The settings marked as guesses, as far as they exist.
    pub fn assumptions(&self) -> Vec<Assumption> {
        let Provenance { measured, assumed } = &self.scenario.provenance;
        let known: Vec<Steps> = measured.iter().flat_map(|path| self.found(path)).collect();
        assumed.iter().filter_map(|setting| self.assumption(setting, &known)).collect()
    }

    fn assumption(&self, setting: &str, known: &[Steps]) -> Option<Assumption> {
        let (mut amounts, mut choices) = (Vec::new(), Vec::new());
        for steps in self.found(setting) {
            let value = steps.iter().try_fold(&self.written, |value, step| below(value, step))?;
            collect(value, &steps, known, &mut amounts);
            if value.is_string() && !known.contains(&steps) {
                choices.push((steps, value.clone()));
            }
        }
        let mut seen = BTreeSet::new();
        // A choice, such as a type of machine, has no half.
        let shown_values = if amounts.is_empty() { &choices } else { &amounts };
        let values = shown_values.iter().map(|(_, value)| shown(value));
        let values: Vec<String> = values.filter(|value| seen.insert(value.clone())).collect();
        let by = |factor: f64| -> Vec<Override> {
            let scaled = amounts.iter().filter_map(|(steps, value)| {
                let name = steps.last().map_or("", String::as_str);
                Some(Override::in_scenario(steps.clone(), scaled(name, value, factor)?))
            });
            scaled.collect()
        };
        let is_left = !shown_values.is_empty() || known.is_empty();
        is_left.then(|| Assumption {
            setting: setting.to_owned(),
            values,
            halved: by(0.5),
            doubled: by(2.0),
        })
    }

    /// True if a path of `provenance` matches a setting; `None` if it is malformed.
    pub(super) fn is_there(&self, path: &str) -> Option<bool> {
        steps_of(path)?;
        Some(!self.found(path).is_empty())
    }

    /// All settings that a path with `*` matches.
    fn found(&self, path: &str) -> Vec<Steps> {
        let mut found = Vec::new();
        if let Some(steps) = steps_of(path) {
            expand(&self.written, &steps, &mut Vec::new(), &mut found);
        }
        found
    }
}

type Steps = Vec<String>;

fn expand(value: &Value, rest: &[String], before: &mut Steps, found: &mut Vec<Steps>) {
    let Some((step, rest)) = rest.split_first() else {
        found.push(before.clone());
        return;
    };
    let steps = match value {
        Value::Array(elements) if step == EACH => {
            (0..elements.len()).map(|at| at.to_string()).collect()
        }
        Value::Array(elements) => {
            place_of(elements, step).map(|at| at.to_string()).into_iter().collect()
        }
        _ => vec![step.clone()],
    };
    for step in steps {
        if let Some(value) = below(value, &step) {
            before.push(step);
            expand(value, rest, before, found);
            before.pop();
        }
    }
}

fn below<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => fields.get(step),
        Value::Array(elements) => elements.get(step.parse::<usize>().ok()?),
        _ => None,
    }
}

/// Collects the amounts in a value, except those at the `known` paths.
fn collect(value: &Value, steps: &Steps, known: &[Steps], amounts: &mut Vec<(Steps, Value)>) {
    if known.iter().any(|known| steps.starts_with(known)) {
        return;
    }
    let further = |step: String| [&steps[..], &[step]].concat();
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter().filter(|(name, _)| !SHAPES.contains(&name.as_str()))
            {
                collect(value, &further(name.clone()), known, amounts);
            }
        }
        Value::Array(elements) => {
            for (at, value) in elements.iter().enumerate() {
                collect(value, &further(at.to_string()), known, amounts);
            }
        }
        _ => {
            let name = steps.last().map_or("", String::as_str);
            if scaled(name, value, 2.0).is_some() {
                amounts.push((steps.clone(), value.clone()));
            }
        }
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// True if a setting is a rate or a factor, which may be fractional.
fn is_rate(name: &str) -> bool {
    name == "scale" || name.to_ascii_lowercase().ends_with("rps")
}

/// An amount times a factor; a whole number that is no rate stays one, and is at least 1. `None` for anything but
/// amounts.
#[expect(clippy::cast_possible_truncation, reason = "scenarios hold no amounts beyond 2^63")]
fn scaled(name: &str, value: &Value, factor: f64) -> Option<Value> {
    match value {
        Value::Number(number) => match number.as_i64() {
            Some(whole) if whole != 0 && !is_rate(name) => {
                let scaled = libm::round(whole as f64 * factor) as i64;
                Some(Value::from(if whole > 0 { scaled.max(1) } else { scaled }))
            }
            _ => {
                let scaled = number.as_f64()? * factor;
                Number::from_f64(scaled).map(Value::Number)
            }
        },
        Value::String(text) if AMOUNTS.contains(&name) => {
            let amount: Quantity = text.parse().ok()?;
            let milli = amount.nanos() as f64 / 1e6 * factor;
            let scaled = Quantity::from_milli(libm::round(milli) as i64);
            Some(Value::from(scaled.with_format(amount.format()).to_string()))
        }
        Value::String(text) => {
            let nanos = parse_duration(text).ok()?.as_nanos() as f64 * factor;
            Some(Value::from(format_duration(SimDuration::from_nanos(libm::round(nanos) as i64))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use manifest::Source;

    const SCENARIO: &str = "
apiVersion: wavetank/v1
kind: Scenario
name: a
duration: 1h
cluster: {nodePools: [{name: a, count: 3, capacity: {cpu: 4, memory: 16Gi}}]}
workloads:
  - workload: Deployment/shop/web
    memory: 512Mi
    requests: {concurrency: 1, cpuTime: {distribution: lognormal, mean: 20ms, cv: 1}, waitTime: 30ms}
  - workload: Deployment/shop/db
    requests: {concurrency: 9, cpuTime: 5ms}
traffic: [{service: shop/web, load: {pattern: spike, baseRps: 7, peakRps: 40.5, at: 10m, hold: 5m}}]
provenance:
";

    fn text(provenance: &str) -> ScenarioText {
        let source = Source::new("scenario.yaml", format!("{SCENARIO}{provenance}"));
        ScenarioText::parse(&source, &[]).unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn settings(all: &[Override]) -> Vec<String> {
        all.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_entry_scales_the_amounts_of_all_that_it_names_and_no_shapes() {
        let text = text(
            "  assumed: ['workloads[*].requests', 'traffic[shop/web].load', 'workloads[0].memory']",
        );
        let [requests, load, memory] = &text.assumptions()[..] else { panic!("three entries") };
        assert_eq!(requests.values, ["1", "20ms", "30ms", "9", "5ms"]);
        assert_eq!(
            settings(&requests.halved),
            [
                "workloads.0.requests.concurrency=1",
                "workloads.0.requests.cpuTime.mean=10ms",
                "workloads.0.requests.waitTime=15ms",
                "workloads.1.requests.concurrency=5",
                "workloads.1.requests.cpuTime=2.5ms",
            ]
        );
        assert_eq!(
            settings(&load.doubled),
            ["traffic.0.load.baseRps=14.0", "traffic.0.load.peakRps=81.0"]
        );
        assert_eq!(settings(&memory.halved), ["workloads.0.memory=256Mi"]);
        assert_eq!(settings(&memory.doubled), ["workloads.0.memory=1Gi"]);
    }

    #[test]
    fn what_was_measured_is_no_assumption() {
        let text = text(
            "  assumed: ['workloads[*].requests.cpuTime', 'workloads[Deployment/shop/db].requests']\n  \
             measured: ['workloads[Deployment/shop/db].requests']",
        );
        let assumptions = text.assumptions();
        assert_eq!(assumptions.len(), 1);
        assert_eq!(settings(&assumptions[0].doubled), ["workloads.0.requests.cpuTime.mean=40ms"]);
    }

    #[test]
    fn a_path_names_something_nothing_or_is_malformed() {
        let text = text("  assumed: []");
        assert_eq!(text.is_there("cluster.nodePools[a].count"), Some(true));
        assert_eq!(text.is_there("cluster.nodePools[b].count"), Some(false));
        assert_eq!(text.is_there("ingress[*].load"), Some(false));
        assert_eq!(text.is_there("workloads[.x"), None);
    }
}
