//! Recorded decisions of the vertical-pod-autoscaler: loops of its recommender and of its updater, and pods
//! admitted by its webhook. The schema is described in `docs/conform-vpa.md`.

mod admission;
mod recommender;
mod updater;

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::objects;
use super::recording::{Mapped, RecordingError, parse, replay_lines};
use super::{CaseOutcome, Difference};
use cluster::limit_range::{LimitRangeItem, LimitType};
use cluster::objects::AnySpec;
use cluster::pod_template::ResourceList;
use cluster::vpa::{Amounts, ContainerRecommendation, VpaSpec};
use cluster::vpa_capping::NamespaceLimits;
use units::Quantity;

/// Replays every case of a recording, with any mix of case types, plain or compressed.
pub fn replay(input: impl BufRead) -> Result<Vec<CaseOutcome>, RecordingError> {
    replay_lines(input, replay_line)
}

fn replay_line(line: &str) -> Result<CaseOutcome, String> {
    let case: Map<String, Value> = parse(line)?;
    let id = super::case_id(&case)?;
    let replay: fn(&str) -> Result<Option<Difference>, String> =
        match (case.contains_key("loops"), case.contains_key("vpa"), case.contains_key("vpas")) {
            (true, true, _) => recommender::replay,
            (true, false, _) => updater::replay,
            (false, _, true) => admission::replay,
            (false, _, false) => {
                let problem = "has neither loops (recommender with vpa, updater without) nor vpas \
                               (admission)";
                return Err(format!("case {id}: {problem}"));
            }
        };
    let difference = replay(line).map_err(|problem| format!("case {id}: {problem}"))?;
    Ok(CaseOutcome::new(id, difference))
}

/// The spec of a VPA, parsed like those in manifests.
fn spec(written: &Value, at: &str) -> Result<VpaSpec, String> {
    if !written.is_object() {
        return Err(format!("{at}: must be an object, the spec of a VerticalPodAutoscaler"));
    }
    let kind = ("autoscaling.k8s.io/v1", "VerticalPodAutoscaler");
    let object = json!({ "metadata": { "name": "vpa" }, "spec": written });
    // In the case only the spec is written, so that paths do not contain `spec`.
    let in_place = |problem: String| problem.replace(&format!("{at}.spec"), at);
    match objects::object_of(kind, object, at).map_err(in_place)?.spec {
        AnySpec::VerticalPodAutoscaler(spec) => Ok(*spec),
        _ => Err(format!("{at}: makes no VerticalPodAutoscaler")),
    }
}

/// CPU [millicores] and memory [bytes]; null if a list does not have the resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
struct Pair(Option<i64>, Option<i64>);

impl Pair {
    fn amounts(self) -> Amounts {
        Amounts { cpu: self.0.map(Quantity::from_milli), memory: self.1.map(Quantity::from_bytes) }
    }

    fn list(self) -> ResourceList {
        self.amounts().to_list()
    }
}

/// Our amounts in the same form.
fn pair(amounts: Amounts) -> Value {
    json!([amounts.cpu.map(Quantity::milli_value), amounts.memory.map(Quantity::value)])
}

/// The recommendation for a container.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recommended {
    name: String,
    target: Pair,
    lower_bound: Option<Pair>,
    upper_bound: Option<Pair>,
    uncapped_target: Option<Pair>,
}

impl Recommended {
    /// Missing values default to the target.
    fn lower(&self) -> ContainerRecommendation {
        let or_target = |pair: Option<Pair>| pair.unwrap_or(self.target).amounts();
        ContainerRecommendation {
            container: self.name.as_str().into(),
            target: self.target.amounts(),
            lower_bound: or_target(self.lower_bound),
            upper_bound: or_target(self.upper_bound),
            uncapped_target: or_target(self.uncapped_target),
        }
    }
}

/// An item of a LimitRange, without the API server's defaults.
#[derive(Clone, Debug, Deserialize)]
struct LimitItem {
    r#type: String,
    #[serde(default)]
    max: BTreeMap<String, Quantity>,
    #[serde(default)]
    min: BTreeMap<String, Quantity>,
    #[serde(default)]
    default: BTreeMap<String, Quantity>,
}

fn namespace_limits(items: &[Mapped<LimitItem>]) -> NamespaceLimits {
    let list = |amounts: &BTreeMap<String, Quantity>| -> ResourceList {
        amounts.iter().map(|(name, amount)| (name.as_str(), *amount)).collect()
    };
    let items = items.iter().map(|item| LimitRangeItem {
        limit_type: match item.r#type.as_str() {
            "Pod" => LimitType::Pod,
            "Container" => LimitType::Container,
            _ => LimitType::PersistentVolumeClaim,
        },
        max: list(&item.max),
        min: list(&item.min),
        default_limits: list(&item.default),
        ..LimitRangeItem::default()
    });
    let items: Vec<LimitRangeItem> = items.collect();
    NamespaceLimits::of(&items.iter().collect::<Vec<_>>())
}
