//! The file format of a recorded case.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// Maximum number of pods in a case.
const MAX_PODS: u64 = 200_000;
/// Maximum size of a group.
const MAX_NODES: i64 = 20_000;

/// One case: a cluster in a cloud, the events, and the decisions of the real autoscaler loop by loop.
#[derive(Debug, Deserialize)]
pub(super) struct Case {
    pub(super) id: String,
    #[serde(default, rename = "family")]
    _family: IgnoredAny,
    pub(super) input: Input,
    pub(super) loops: Vec<RecordedLoop>,
    #[serde(default)]
    pub(super) nondeterministic: Nondeterministic,
}

#[derive(Debug, Deserialize)]
pub(super) struct Input {
    #[serde(default)]
    pub(super) flags: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) gpu_total: Vec<String>,
    pub(super) priority_config: Option<String>,
    pub(super) scan_s: f64,
    pub(super) first_loop_s: f64,
    pub(super) loop_mode: Option<String>,
    pub(super) groups: Vec<Group>,
    #[serde(default)]
    pub(super) pods: Vec<Pods>,
    #[serde(default)]
    pub(super) replicasets: BTreeMap<String, i32>,
    #[serde(default)]
    pub(super) daemonsets: Vec<DaemonSet>,
    #[serde(default)]
    pub(super) pdbs: Vec<Budget>,
    #[serde(default)]
    pub(super) actions: Vec<UserAction>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Group {
    pub(super) id: String,
    #[serde(default)]
    pub(super) min: i64,
    pub(super) max: i64,
    #[serde(default)]
    pub(super) size: i64,
    pub(super) template: Template,
    pub(super) price_hour: Option<f64>,
    #[serde(default)]
    pub(super) mode: Mode,
    #[serde(default)]
    pub(super) gpu_s: f64,
    #[serde(default, rename = "group_options")]
    pub(super) options: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) node_annotations: BTreeMap<String, String>,
}

/// Response of a group to requests for more instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    #[default]
    Ok,
    /// Instances appear at once, with an error.
    Stockout,
    NeverRegister,
    NeverReady,
    /// The call fails.
    ApiError,
    /// The target grows, but no instance appears.
    NoInstances,
}

#[derive(Debug, Deserialize)]
pub(super) struct Template {
    pub(super) cpu_m: i64,
    pub(super) mem_mi: i64,
    pub(super) cap_cpu_m: Option<i64>,
    pub(super) cap_mem_mi: Option<i64>,
    pub(super) pods: Option<i64>,
    #[serde(default)]
    pub(super) gpu: i64,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) taints: Vec<TaintOrToleration>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TaintOrToleration {
    #[serde(default)]
    pub(super) key: String,
    #[serde(default)]
    pub(super) operator: String,
    #[serde(default)]
    pub(super) value: String,
    #[serde(default)]
    pub(super) effect: String,
}

/// A set of equal pods.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Pods {
    pub(super) name: String,
    #[serde(default = "one")]
    pub(super) count: u64,
    pub(super) ns: Option<String>,
    #[serde(default)]
    pub(super) cpu_m: i64,
    #[serde(default)]
    pub(super) mem_mi: i64,
    #[serde(default)]
    pub(super) gpu: i64,
    pub(super) node: Option<String>,
    pub(super) owner: Option<Owner>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) node_selector: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) tolerations: Vec<TaintOrToleration>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) priority: Option<i32>,
    #[serde(default)]
    pub(super) mirror: bool,
    #[serde(default)]
    pub(super) host_anti_affinity: bool,
    pub(super) zone_spread_max_skew: Option<i32>,
    pub(super) volume: Option<String>,
    pub(super) grace_s: Option<i64>,
    pub(super) created_s: Option<f64>,
}

const fn one() -> u64 {
    1
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct DaemonSet {
    #[serde(rename = "Name")]
    pub(super) name: String,
    #[serde(default)]
    pub(super) cpu_m: i64,
    #[serde(default)]
    pub(super) mem_mi: i64,
    #[serde(default)]
    pub(super) node_selector: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) tolerations: Vec<TaintOrToleration>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Budget {
    #[serde(rename = "Name")]
    pub(super) name: String,
    pub(super) ns: Option<String>,
    pub(super) app: String,
    pub(super) min_available: Option<i32>,
    pub(super) max_unavailable: Option<i32>,
}

/// An action of a user, a machine or the cloud. Its consequences are recorded in `world`, except for those that
/// concern the cloud and annotations.
#[derive(Debug, Deserialize)]
pub(super) struct UserAction {
    pub(super) t: f64,
    pub(super) op: String,
    #[serde(default)]
    pub(super) pods: Vec<Pods>,
    pub(super) group: Option<String>,
    pub(super) node: Option<String>,
    pub(super) mode: Option<Mode>,
    #[serde(flatten)]
    pub(super) others: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RecordedLoop {
    pub(super) t: f64,
    #[serde(default)]
    pub(super) world: Vec<WorldEvent>,
    /// All decisions.
    #[serde(flatten)]
    pub(super) decided: BTreeMap<String, Value>,
}

/// An event since the previous loop.
#[derive(Debug, Deserialize)]
pub(super) struct WorldEvent {
    pub(super) t: f64,
    pub(super) ev: String,
    #[serde(default)]
    pub(super) pods: Vec<String>,
    #[serde(default)]
    pub(super) on: BTreeMap<String, Vec<String>>,
    pub(super) node: Option<String>,
    #[serde(default)]
    pub(super) ready: bool,
    #[serde(flatten)]
    pub(super) others: BTreeMap<String, Value>,
}

/// Random choices of the real autoscaler.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Nondeterministic {
    #[serde(rename = "tie_loops")]
    _tie_loops: IgnoredAny,
    pub(super) cut_at_loop: Option<usize>,
    pub(super) alternatives: Vec<Value>,
    pub(super) unstable_fields: Vec<String>,
}

impl Case {
    /// Rejects a case that is too large or inconsistent.
    pub(super) fn check(&self) -> Result<(), String> {
        let input = &self.input;
        let in_groups = input.groups.iter().enumerate();
        for (at, group) in in_groups {
            let sizes = [("min", group.min), ("max", group.max), ("size", group.size)];
            for (field, size) in sizes {
                if !(0..=MAX_NODES).contains(&size) {
                    return Err(format!(
                        "input.groups[{at}].{field}: {size} is not in 0..{MAX_NODES}"
                    ));
                }
            }
            let Template { cpu_m, mem_mi, gpu, .. } = &group.template;
            for (field, amount) in [("cpu_m", cpu_m), ("mem_mi", mem_mi), ("gpu", gpu)] {
                check_amount(*amount, &format!("input.groups[{at}].template.{field}"))?;
            }
            for (field, amount) in [
                ("cap_cpu_m", group.template.cap_cpu_m),
                ("cap_mem_mi", group.template.cap_mem_mi),
                ("pods", group.template.pods),
            ] {
                let place = format!("input.groups[{at}].template.{field}");
                check_amount(amount.unwrap_or(0), &place)?;
            }
            if input.groups.iter().take(at).any(|other| other.id == group.id) {
                return Err(format!("input.groups[{at}].id: {:?} comes twice", group.id));
            }
        }
        let by_action = input
            .actions
            .iter()
            .enumerate()
            .map(|(at, action)| (format!("input.actions[{at}].pods"), &action.pods));
        let mut total = 0_u64;
        for (place, pods) in [("input.pods".to_owned(), &input.pods)].into_iter().chain(by_action) {
            for (at, pod) in pods.iter().enumerate() {
                total = total.saturating_add(pod.count);
                for (field, amount) in
                    [("cpu_m", pod.cpu_m), ("mem_mi", pod.mem_mi), ("gpu", pod.gpu)]
                {
                    check_amount(amount, &format!("{place}[{at}].{field}"))?;
                }
            }
        }
        if total > MAX_PODS {
            return Err(format!("input.pods: {total} pods are more than {MAX_PODS}"));
        }
        let mut before = f64::NEG_INFINITY;
        for (at, one) in self.loops.iter().enumerate() {
            super::super::check_length(&format!("loops[{at}].t"), one.t)?;
            if !(one.t >= 0.0 && one.t > before) {
                return Err(format!("loops[{at}].t: {} is not after the loop before", one.t));
            }
            for (event, happened) in one.world.iter().enumerate() {
                if !(happened.t >= before.floor() && happened.t <= one.t) {
                    let place = format!("loops[{at}].world[{event}].t");
                    return Err(format!("{place}: {} is not between the loops", happened.t));
                }
            }
            before = one.t;
        }
        Ok(())
    }
}

fn check_amount(amount: i64, place: &str) -> Result<(), String> {
    if (0..=1_000_000_000_000).contains(&amount) {
        return Ok(());
    }
    Err(format!("{place}: {amount} is no amount of a resource"))
}
