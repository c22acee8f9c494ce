//! Comparison of a recorded loop with ours.

use serde_json::{Map, Value, json};

use super::case::{RecordedLoop, WorldEvent};
use super::names::sorted;
use crate::json::first_gap;

/// Recorded numbers have nine decimal places.
const SLACK: f64 = 1e-9;
/// Events of the world that the autoscaler causes.
const DONE_BY_AUTOSCALER: [&str; 7] = [
    "increase",
    "increase_failed",
    "decrease_target",
    "decrease_target_refused",
    "delete_node_call",
    "evicted",
    "evict_refused_pdb",
];
/// The compared fields, in the order in which they are decided.
const FIELDS: [&str; 11] = [
    "did",
    "pending",
    "pending_after_filters",
    "upcoming",
    "registered_upcoming",
    "expander",
    "scale_up",
    "scale_down",
    "scale_up_min_size",
    "st",
    "t",
];

/// A difference: path of the field, recorded value, our value.
pub(super) type Gap = (String, Value, Value);

/// True if the autoscaler causes the event.
pub(super) fn is_done_by_autoscaler(event: &WorldEvent) -> bool {
    DONE_BY_AUTOSCALER.contains(&event.ev.as_str())
}

/// The recorded decisions of a loop, with name lists expanded and lists keyed by the names of their items.
pub(super) fn recorded(recorded: &RecordedLoop, state: &Map<String, Value>) -> Map<String, Value> {
    let mut decisions: Map<String, Value> = Map::new();
    for (field, value) in recorded.decided.iter().filter(|(field, _)| *field != "st") {
        let value = match field.as_str() {
            "pending" | "pending_after_filters" | "registered_upcoming" => json!(sorted(value)),
            "expander" => expander(value),
            "scale_up" | "scale_up_min_size" => scale_up(value),
            "scale_down" => scale_down(value),
            _ => value.clone(),
        };
        decisions.insert(field.clone(), value);
    }
    let done = recorded.world.iter().filter(|event| is_done_by_autoscaler(event));
    let done = done.map(|event| {
        let mut decisions = json!({ "ev": event.ev, "t": event.t });
        if let Some(node) = &event.node {
            decisions["node"] = json!(node);
        }
        for field in ["group", "delta", "pod", "grace_s"] {
            if let Some(value) = event.others.get(field) {
                decisions[field] = value.clone();
            }
        }
        decisions
    });
    decisions.insert("did".into(), in_order(done.collect()));
    decisions.insert("st".into(), Value::Object(state.clone()));
    decisions.insert("t".into(), json!(recorded.t));
    decisions
}

/// The autoscaler's actions in canonical order.
pub(super) fn in_order(mut events: Vec<Value>) -> Value {
    let key = |event: &Value| {
        let text = |field: &str| event[field].to_string();
        let at = event["t"].as_f64().unwrap_or(0.0);
        (at.to_bits(), text("ev"), text("group"), text("node"), text("pod"))
    };
    events.sort_by_key(key);
    Value::Array(events)
}

/// Applies the recorded changes of the state.
pub(super) fn update_state(state: &mut Map<String, Value>, recorded: &RecordedLoop) {
    let changed = recorded.decided.get("st").and_then(Value::as_object);
    for (field, value) in changed.into_iter().flatten() {
        let value = match field.as_str() {
            "unneeded" | "unremovable" => by_name(value, "node", &["move"]),
            "deleting" if value.is_object() => {
                json!({ "empty": sorted(&value["empty"]), "drain": sorted(&value["drain"]) })
            }
            _ => value.clone(),
        };
        state.insert(field.clone(), value);
    }
}

/// The first difference, except for random choices.
pub(super) fn gap(
    recorded: &Map<String, Value>,
    ours: &Map<String, Value>,
    unstable: &[String],
) -> Option<Gap> {
    let (mut recorded, mut ours) = (recorded.clone(), ours.clone());
    settle_tie(&mut recorded, &ours);
    for field in unstable {
        let path: Vec<&str> = field.split('.').collect();
        for side in [&mut recorded, &mut ours] {
            remove(side, &path);
        }
    }
    let known = FIELDS.iter().copied();
    let others = recorded.keys().map(String::as_str).filter(|field| !FIELDS.contains(field));
    known.chain(others).find_map(|field| {
        let null = Value::Null;
        let (one, other) = (recorded.get(field).unwrap_or(&null), ours.get(field).unwrap_or(&null));
        first_gap(field, one, other, &|_| SLACK)
    })
}

/// Accepts any of several equally good options.
fn settle_tie(recorded: &mut Map<String, Value>, ours: &Map<String, Value>) {
    let Some(best) = recorded.get_mut("expander").and_then(|one| one.get_mut("best")) else {
        return;
    };
    let own = ours.get("expander").map(|one| &one["best"]);
    if let (Some(many), Some(own)) = (best["any_of"].as_array(), own)
        && many.contains(own)
    {
        *best = own.clone();
    }
}

fn remove(side: &mut Map<String, Value>, path: &[&str]) {
    match path {
        [] => {}
        [field] => {
            side.remove(*field);
        }
        [field, rest @ ..] => {
            if let Some(inner) = side.get_mut(*field).and_then(Value::as_object_mut) {
                remove(inner, rest);
            }
        }
    }
}

fn expander(value: &Value) -> Value {
    json!({ "options": with_lists(by_name_kept(&value["options"], "group"), &["pods", "similar"]), "best": value["best"] })
}

fn scale_up(value: &Value) -> Value {
    let mut decisions = value.clone();
    if value.get("infos").is_some() {
        decisions["infos"] = by_name_kept(&value["infos"], "group");
    }
    for field in ["triggered", "awaiting"] {
        if value.get(field).is_some() {
            decisions[field] = json!(sorted(&value[field]));
        }
    }
    if let Some(remain) = value["remain"].as_array() {
        let mut by_pod = Map::new();
        for group in remain {
            let mut reasons = group.clone();
            if let Some(reasons) = reasons.as_object_mut() {
                reasons.shift_remove("pods");
            }
            for pod in sorted(&group["pods"]) {
                by_pod.insert(pod, reasons.clone());
            }
        }
        decisions["remain"] = Value::Object(by_pod);
    }
    decisions
}

fn scale_down(value: &Value) -> Value {
    let mut decisions = value.clone();
    if value.get("nodes").is_some() {
        decisions["nodes"] = with_lists(by_name_kept(&value["nodes"], "node"), &["evict"]);
    }
    decisions
}

/// The items of a list keyed by one of their fields, which is removed from them.
fn by_name(list: &Value, field: &str, lists: &[&str]) -> Value {
    if list.is_null() {
        return Value::Null;
    }
    let mut named = with_lists(by_name_kept(list, field), lists);
    for one in named.as_object_mut().into_iter().flat_map(Map::values_mut) {
        if let Some(one) = one.as_object_mut() {
            one.shift_remove(field);
        }
    }
    named
}

fn by_name_kept(list: &Value, field: &str) -> Value {
    let members = list.as_array().into_iter().flatten();
    let named =
        members.map(|one| (one[field].as_str().unwrap_or_default().to_owned(), one.clone()));
    Value::Object(named.collect())
}

fn with_lists(mut named: Value, lists: &[&str]) -> Value {
    for one in named.as_object_mut().into_iter().flat_map(Map::values_mut) {
        for list in lists {
            if one.get(*list).is_some() {
                one[*list] = json!(sorted(&one[*list]));
            }
        }
    }
    named
}

/// Our random choice in the last loop of a recording, in the form of its alternatives.
pub(super) fn choice(ours: &Map<String, Value>, alternative: &Value) -> Value {
    let mut decisions = json!({});
    let null = Value::Null;
    let of = |field: &str| ours.get(field).unwrap_or(&null);
    if alternative.get("best").is_some() {
        decisions["best"] = of("expander")["best"].clone();
    }
    if alternative.get("scale_up").is_some() {
        decisions["scale_up"] = of("scale_up")["infos"].clone();
    }
    if alternative.get("scale_down").is_some() {
        let nodes = of("scale_down")["nodes"].as_object();
        let names: Vec<&String> = nodes.into_iter().flat_map(Map::keys).collect();
        decisions["scale_down"] = json!(names);
    }
    decisions
}

/// A recorded alternative in the same form.
pub(super) fn alternative(alternative: &Value) -> Value {
    let mut decisions = alternative.clone();
    if alternative["scale_up"].is_array() {
        decisions["scale_up"] = by_name_kept(&alternative["scale_up"], "group");
    }
    if alternative["scale_down"].is_array() {
        decisions["scale_down"] = json!(sorted(&alternative["scale_down"]));
    }
    decisions
}
