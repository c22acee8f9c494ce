//! The cloud of a case, in memory.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::case::{Case, Group, Mode, TaintOrToleration};
use cluster::node::{HOSTNAME_LABEL, Node, Taint};
use cluster::pod_template::{ResourceList, TaintEffect};
use cluster::{Labels, Name, ObjectMeta};
use cluster_autoscaler::{
    CloudError, CloudProvider, GroupOptions, InstanceError, InstanceState, NodeGroup,
};
use engine::SimTime;
use units::Quantity;

/// Node label with the name of the group.
pub(super) const GROUP_LABEL: &str = "zz.example/group";
/// Node label with the GPU type.
const GPU_LABEL: &str = "zz.example/accelerator";
const GPU_RESOURCE: &str = "nvidia.com/gpu";
/// Hourly prices of a core, a GiB and a GPU.
const POD_PRICES: [(&str, f64); 3] = [("cpu", 0.033), ("memory", 0.0044), (GPU_RESOURCE, 0.7)];
const MIB: i64 = 1 << 20;

/// All groups with their instances.
pub(super) struct Cloud {
    groups: Vec<NodeGroup>,
    behaviour: Vec<Behaviour>,
    /// Number of instances that are gone.
    removals: u64,
    /// The requests that it received, in the form of recordings.
    pub(super) log: Vec<Value>,
}

struct Behaviour {
    mode: Mode,
    price: Option<f64>,
    has_late_gpus: bool,
    annotations: Labels,
    instances: BTreeMap<Name, InstanceState>,
    /// Number of the last instance.
    last: i64,
}

impl Cloud {
    /// The cloud in its initial state.
    pub(super) fn new(case: &Case) -> Result<Self, String> {
        let mut groups = Vec::new();
        let mut behaviour = Vec::new();
        for (at, group) in case.input.groups.iter().enumerate() {
            let mut options = GroupOptions::default();
            for (flag, value) in &group.options {
                let place = format!("input.groups[{at}].group_options");
                options.set(flag, value).map_err(|error| format!("{place}.{error}"))?;
            }
            groups.push(NodeGroup {
                id: group.id.as_str().into(),
                min_size: group.min,
                max_size: group.max,
                target_size: group.size,
                template: template(group, &format!("input.groups[{at}].template"))?,
                options,
            });
            let names = (1..=group.size)
                .map(|number| (instance(&group.id, number), InstanceState::Running));
            behaviour.push(Behaviour {
                mode: group.mode,
                price: group.price_hour,
                has_late_gpus: group.gpu_s > 0.0,
                annotations: group.node_annotations.iter().map(pair).collect(),
                instances: names.collect(),
                last: group.size,
            });
        }
        Ok(Self { groups, behaviour, removals: 0, log: Vec::new() })
    }

    /// A node of the group that has this instance; without GPUs if the node is new and they appear later in this
    /// group.
    pub(super) fn node(&self, name: &str, is_new: bool) -> Option<Node> {
        let at = self.behaviour.iter().position(|one| one.instances.contains_key(name))?;
        let mut node = self.groups[at].template.clone();
        node.meta = ObjectMeta::new("", name);
        node.meta.labels = self.groups[at].template.meta.labels.with(HOSTNAME_LABEL, name);
        node.meta.annotations = self.behaviour[at].annotations.clone();
        if is_new && self.behaviour[at].has_late_gpus {
            let without = |list: &ResourceList| -> ResourceList {
                let others = list.iter().filter(|(name, _)| ***name != *GPU_RESOURCE);
                others.map(|(name, amount)| (name.clone(), amount)).collect()
            };
            node.allocatable = without(&node.allocatable);
            node.capacity = without(&node.capacity);
        }
        Some(node)
    }

    /// Capacity and allocatable resources of a node with its GPUs.
    pub(super) fn full_resources(&self, name: &str) -> Option<(ResourceList, ResourceList)> {
        let node = self.node(name, false)?;
        Some((node.capacity, node.allocatable))
    }

    /// The names of all instances.
    pub(super) fn instance_names(&self) -> Vec<Name> {
        self.behaviour.iter().flat_map(|one| one.instances.keys().cloned()).collect()
    }

    /// An instance has started.
    pub(super) fn runs(&mut self, name: &str) {
        for one in &mut self.behaviour {
            if let Some(state) = one.instances.get_mut(name)
                && matches!(state, InstanceState::Creating(None))
            {
                *state = InstanceState::Running;
            }
        }
    }

    /// An instance is gone; the target stays unchanged.
    pub(super) fn gone(&mut self, name: &str) {
        for one in &mut self.behaviour {
            one.instances.remove(name);
        }
        self.removals += 1;
    }

    /// Changes a group's behaviour.
    pub(super) fn set_mode(&mut self, group: &str, mode: Mode) {
        if let Some(at) = self.place(group) {
            self.behaviour[at].mode = mode;
        }
    }

    /// Changes the maximum size of a group.
    pub(super) fn set_max(&mut self, group: &str, max: i64) {
        if let Some(at) = self.place(group) {
            self.groups[at].max_size = max;
        }
    }

    fn place(&self, group: &str) -> Option<usize> {
        self.groups.iter().position(|one| *one.id == *group)
    }

    fn known(&self, group: &str) -> Result<usize, CloudError> {
        self.place(group).ok_or_else(|| CloudError(format!("there is no group {group}")))
    }

    fn tell(&mut self, ev: &str, group: &str, delta: i64, now: SimTime) {
        self.log.push(json!({ "ev": ev, "group": group, "delta": delta, "t": second(now) }));
    }
}

impl CloudProvider for Cloud {
    fn node_groups(&self) -> &[NodeGroup] {
        &self.groups
    }

    fn each_instance(&self, group: &str, show: &mut dyn FnMut(&Name, InstanceState)) {
        let Some(at) = self.place(group) else { return };
        let instances = self.behaviour[at].instances.iter();
        instances.for_each(|(id, state)| show(id, state.clone()));
    }

    fn group_of(&self, node: &Node) -> Option<usize> {
        self.place(node.meta.labels.get(GROUP_LABEL)?)
    }

    fn has_instance(&self, node: &Node) -> bool {
        self.behaviour.iter().any(|one| one.instances.contains_key(node.meta.name()))
    }

    fn removals(&self) -> u64 {
        self.removals
    }

    fn gpu_label(&self) -> &str {
        GPU_LABEL
    }

    fn increase_size(&mut self, group: &str, delta: i64, now: SimTime) -> Result<(), CloudError> {
        let at = self.known(group)?;
        let one = &mut self.behaviour[at];
        if one.mode == Mode::ApiError {
            self.tell("increase_failed", group, delta, now);
            return Err(CloudError(format!("cloud API error for group {group}")));
        }
        let stockout = InstanceError { is_out_of_resources: true, code: "STOCKOUT".into() };
        let error = (one.mode == Mode::Stockout).then_some(stockout);
        if one.mode != Mode::NoInstances {
            for _ in 0..delta {
                one.last += 1;
                let state = InstanceState::Creating(error.clone());
                one.instances.insert(instance(group, one.last), state);
            }
        }
        self.groups[at].target_size += delta;
        self.tell("increase", group, delta, now);
        Ok(())
    }

    fn decrease_target_size(
        &mut self,
        group: &str,
        delta: i64,
        now: SimTime,
    ) -> Result<(), CloudError> {
        let at = self.known(group)?;
        let live = self.behaviour[at].instances.values();
        let live = live.filter(|state| **state != InstanceState::Deleting).count();
        let target = self.groups[at].target_size - delta;
        if target < i64::try_from(live).unwrap_or(i64::MAX) {
            self.tell("decrease_target_refused", group, -delta, now);
            return Err(CloudError(format!("group {group} has {live} instances")));
        }
        self.groups[at].target_size = target;
        self.tell("decrease_target", group, -delta, now);
        Ok(())
    }

    fn delete_nodes(
        &mut self,
        group: &str,
        nodes: &[Name],
        now: SimTime,
    ) -> Result<(), CloudError> {
        let at = self.known(group)?;
        for node in nodes {
            let Some(state) = self.behaviour[at].instances.get_mut(node) else {
                return Err(CloudError(format!("group {group} has no instance {node}")));
            };
            if *state != InstanceState::Deleting {
                *state = InstanceState::Deleting;
                self.groups[at].target_size -= 1;
            }
            self.log.push(json!({ "ev": "delete_node_call", "node": &**node, "t": second(now) }));
        }
        Ok(())
    }

    fn node_price(&self, group: &str) -> Option<f64> {
        self.behaviour[self.place(group)?].price
    }

    fn pod_price(&self, requests: &ResourceList) -> f64 {
        let amount = |resource: &str| {
            let amount = requests.get(resource).unwrap_or_else(|| Quantity::from_units(0));
            match resource {
                "cpu" => amount.milli_value() as f64 / 1000.0,
                "memory" => amount.value() as f64 / (1024.0 * MIB as f64),
                _ => amount.value() as f64,
            }
        };
        POD_PRICES.iter().map(|(resource, price)| amount(resource) * price).sum()
    }
}

fn instance(group: &str, number: i64) -> Name {
    format!("{group}-{number:03}").into()
}

/// The whole second that contains this instant.
pub(super) fn second(at: SimTime) -> i64 {
    at.floor_to_second().since(SimTime::ZERO).as_secs()
}

pub(super) fn pair((key, value): (&String, &String)) -> (Name, Name) {
    (key.as_str().into(), value.as_str().into())
}

fn template(group: &Group, place: &str) -> Result<Node, String> {
    let given = &group.template;
    let resources = |cpu: i64, memory: i64| -> ResourceList {
        let mut list: ResourceList = [
            ("cpu", Quantity::from_milli(cpu)),
            ("memory", Quantity::from_bytes(memory.saturating_mul(MIB))),
            ("pods", Quantity::from_units(given.pods.unwrap_or(110))),
        ]
        .into_iter()
        .collect();
        if given.gpu > 0 {
            list.set(GPU_RESOURCE, Quantity::from_units(given.gpu));
        }
        list
    };
    let mut meta = ObjectMeta::new("", group.id.as_str());
    let own: Labels = given.labels.iter().map(pair).collect();
    meta.labels = own
        .with(GROUP_LABEL, group.id.as_str())
        .with("kubernetes.io/os", "linux")
        .with("kubernetes.io/arch", "amd64");
    let taints: Result<Vec<Taint>, String> =
        given.taints.iter().map(|one| taint(one, place)).collect();
    let capacity =
        (given.cap_cpu_m.unwrap_or(given.cpu_m), given.cap_mem_mi.unwrap_or(given.mem_mi));
    Ok(Node {
        capacity: resources(capacity.0, capacity.1),
        taints: taints?,
        pool: group.id.as_str().into(),
        ..Node::new(meta, resources(given.cpu_m, given.mem_mi))
    })
}

fn taint(given: &TaintOrToleration, place: &str) -> Result<Taint, String> {
    let effect = match given.effect.as_str() {
        "NoSchedule" => TaintEffect::NoSchedule,
        "PreferNoSchedule" => TaintEffect::PreferNoSchedule,
        "NoExecute" => TaintEffect::NoExecute,
        other => return Err(format!("{place}.taints: {other:?} is no effect of a taint")),
    };
    let (key, value) = (given.key.as_str().into(), given.value.as_str().into());
    Ok(Taint { key, value, effect, time_added: None })
}
