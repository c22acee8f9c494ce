//! The cloud: machines are requested, boot, join the cluster as nodes, and are removed again.

mod instance;
mod machine;
pub mod plan;
mod provider;
mod supply;

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

pub(crate) use self::instance::InstanceEvent;
use self::machine::{Machine, MachineDraws, Phase, has_devices};
use self::plan::CloudPlan;
use self::supply::Shortage;
use self::supply::Supply;
use super::data_plane::DataPlane;
use super::environment::{Environment, node_reference};
use super::event::Event;
use cluster::node::{ConditionStatus, Node};
use cluster::{Action, Kind, Name, NamespacedName, ObjectId, ObjectReference};
use cluster_autoscaler::{GroupOptions, NodeGroup};
use engine::{SimTime, Streams};
use faults::StockOut;
use record::NodeTrack;
use scenario::cluster::named;
use units::HourlyPrice;

/// Name of the actor that logs about machines.
const ACTOR: &str = "cloud";
/// Controller that deletes the Node objects of removed machines.
const NODE_CONTROLLER: &str = "cloud-node-lifecycle-controller";

/// All machines that are added or removed during a run.
#[derive(Clone, Debug)]
pub(super) struct Cloud {
    plan: Arc<CloudPlan>,
    streams: Streams,
    /// The groups as an autoscaler sees them.
    groups: Vec<NodeGroup>,
    /// The machines of each group.
    fleets: Vec<Fleet>,
    /// All machines of the run, by number.
    machines: Vec<Machine>,
    /// The numbers of the existing machines. Only ever looked up, never iterated.
    by_name: FxHashMap<Name, usize>,
    /// Number of machines that no longer exist.
    removals: u64,
    supply: Supply,
    /// Steps that have not been added to the event queue yet.
    new_steps: Vec<(SimTime, usize)>,
}

/// The life of a machine.
#[derive(Clone, Debug)]
pub(super) struct MachineLife {
    /// Its group.
    pub(super) group: Name,
    /// The template of its node.
    pub(super) template: Node,
    /// Its steps so far.
    pub(super) steps: Vec<(&'static str, SimTime)>,
}

/// The machines of a group.
#[derive(Clone, Debug, Default)]
struct Fleet {
    /// The existing ones, by name.
    machines: BTreeMap<Name, usize>,
    /// Number of the last machine.
    last: u32,
}

impl Cloud {
    /// The cloud at the start, with the initial machines of each group in service.
    pub(super) fn new(plan: &Arc<CloudPlan>, seed: u64) -> Self {
        let mut cloud = Self {
            plan: Arc::clone(plan),
            streams: Streams::new(seed),
            groups: Vec::new(),
            fleets: Vec::new(),
            machines: Vec::new(),
            by_name: FxHashMap::default(),
            removals: 0,
            supply: Supply::default(),
            new_steps: Vec::new(),
        };
        for (at, group) in plan.groups.iter().enumerate() {
            cloud.groups.push(NodeGroup {
                id: group.name.clone(),
                min_size: group.min.into(),
                max_size: group.max.into(),
                target_size: group.start.into(),
                template: group.templates[0].clone(),
                options: GroupOptions::default(),
            });
            cloud.fleets.push(Fleet::default());
            for _ in 0..group.start {
                let number = cloud.add_machine(at);
                cloud.supply.take(&plan.groups[at].templates[cloud.machines[number].zone]);
                cloud.machines[number].phase = Phase::InService;
            }
        }
        cloud
    }

    /// The nodes at the start.
    pub(super) fn nodes(&self) -> impl Iterator<Item = Node> + '_ {
        self.machines.iter().map(|machine| named(self.template(machine), &machine.name))
    }

    /// Number of machines requested so far.
    pub(super) fn count(&self) -> usize {
        self.machines.len()
    }

    /// The names of machines from this number on.
    pub(super) fn names_from(&self, number: usize) -> impl Iterator<Item = &Name> {
        self.machines.iter().skip(number).map(|machine| &machine.name)
    }

    /// Hourly price of a node of a group.
    pub(super) fn price_of(&self, group: &str) -> Option<HourlyPrice> {
        self.groups.iter().find(|one| *one.id == *group)?.template.machine.price
    }

    /// The life of the machine with this name, if there ever was one.
    pub(super) fn life_of(&self, name: &str) -> Option<MachineLife> {
        let known = self.number_of(name);
        let gone = || self.machines.iter().rposition(|machine| *machine.name == *name);
        let machine = &self.machines[known.or_else(gone)?];
        Some(MachineLife {
            group: match machine.group {
                Some(group) => self.plan.groups[group].name.clone(),
                None => self.template(machine).pool.clone(),
            },
            template: self.template(machine).clone(),
            steps: machine.steps.clone(),
        })
    }

    /// The machine of a node that belongs to a group.
    fn number_of(&self, node: &str) -> Option<usize> {
        self.by_name.get(node).copied()
    }

    fn template<'a>(&'a self, machine: &'a Machine) -> &'a Node {
        match machine.group {
            Some(group) => &self.plan.groups[group].templates[machine.zone],
            None => &machine.choices[machine.zone],
        }
    }

    /// Adds a machine to a group, with only a name and a zone so far.
    fn add_machine(&mut self, group: usize) -> usize {
        let plan = &self.plan.groups[group];
        let fleet = &mut self.fleets[group];
        fleet.last += 1;
        let name: Name = format!("{}-{}", plan.name, fleet.last).into();
        let mut stream =
            self.streams.stream(&format!("machines of {}", plan.name), fleet.last.into());
        let draws = MachineDraws::draw(&plan.times, self.plan.boot_failures, &mut stream);
        let number = self.machines.len();
        let mut taken = vec![0_usize; plan.templates.len()];
        for other in fleet.machines.values() {
            taken[self.machines[*other].zone] += 1;
        }
        let zones = (0..taken.len()).map(|zone| {
            let is_short = self.supply.is_short_of(&plan.templates[zone]);
            (is_short, taken[zone], zone)
        });
        let zone = zones.min().map_or(0, |(_, _, zone)| zone);
        fleet.machines.insert(name.clone(), number);
        self.by_name.insert(name.clone(), number);
        let phase = Phase::Requested;
        self.machines.push(Machine {
            name,
            group: Some(group),
            zone,
            choices: Arc::new([]),
            phase,
            due: None,
            launched: None,
            draws,
            steps: Vec::new(),
        });
        number
    }

    /// Requests one more machine of a group, regardless of its target size.
    fn request(&mut self, group: usize, now: SimTime) {
        let number = self.add_machine(group);
        let after = self.machines[number].draws.request;
        self.machines[number].steps.push(("requested", now));
        self.plan_step(number, now + after);
    }

    fn plan_step(&mut self, number: usize, at: SimTime) {
        self.machines[number].due = Some(at);
        self.new_steps.push((at, number));
    }

    /// Adds the newly planned steps to the event queue.
    pub(super) fn enter_steps(&mut self, env: &mut Environment) {
        for (at, number) in self.new_steps.drain(..) {
            let machine = u32::try_from(number).unwrap_or(u32::MAX);
            env.enter(at, Event::Machine { machine });
        }
    }

    /// Performs the next step of a machine.
    pub(super) fn step(&mut self, env: &mut Environment, data_plane: &mut DataPlane, number: u32) {
        let number = number as usize;
        let Some(machine) = self.machines.get(number) else { return };
        if machine.due != Some(env.now) {
            return;
        }
        self.supply.pass(env.now);
        let next = match machine.phase {
            Phase::Requested => self.provide(env, number),
            Phase::Booting => Some(self.join(env, number)),
            Phase::Joined => self.become_ready(env, number),
            Phase::AwaitsDevices => self.offer_devices(env, number),
            Phase::Deleting => {
                self.end(env, data_plane, number);
                None
            }
            Phase::Refused(_) | Phase::InService | Phase::Gone => None,
        };
        self.machines[number].due = None;
        if let Some(at) = next {
            self.plan_step(number, at);
        }
        self.enter_steps(env);
    }

    /// The cloud launches the machine or refuses it.
    fn provide(&mut self, env: &mut Environment, number: usize) -> Option<SimTime> {
        self.choose(number);
        let machine = &self.machines[number];
        let template = self.template(machine);
        if let Some((error, why)) = self.supply.refusal(template, &self.plan) {
            let message = format!("{}: {why}", error.code);
            env.warn(ACTOR, &node_reference(&machine.name), "MachineRefused", message);
            self.machines[number].phase = Phase::Refused(error);
            self.machines[number].steps.push(("refused", env.now));
            return None;
        }
        let draws = machine.draws;
        let template = self.template(machine).clone();
        self.supply.take(&template);
        let machine = &mut self.machines[number];
        machine.phase = Phase::Booting;
        machine.launched = Some(env.now);
        machine.steps.push(("launched", env.now));
        draws.joins.then(|| env.now + draws.boot)
    }

    /// The kubelet registers the node.
    fn join(&mut self, env: &mut Environment, number: usize) -> SimTime {
        let machine = &self.machines[number];
        let node = machine.fresh_node(self.template(machine), env.now);
        env.act("kubelet", Action::add_node(node));
        let machine = &mut self.machines[number];
        machine.phase = Phase::Joined;
        machine.steps.push(("joined", env.now));
        env.now + machine.draws.network
    }

    /// The network plugin is ready, and with it the node.
    fn become_ready(&mut self, env: &mut Environment, number: usize) -> Option<SimTime> {
        let machine = &self.machines[number];
        let name = machine.name.clone();
        if let Some(node) = env.store().node_named(&name) {
            env.act("kubelet", Action::SetNodeReady(node, ConditionStatus::True));
            let message = format!("Node {name} status is now: NodeReady");
            env.emit_event("kubelet", &node_reference(&name), "NodeReady", message);
        }
        let awaits = has_devices(self.template(machine));
        let machine = &mut self.machines[number];
        machine.steps.push(("Ready", env.now));
        machine.phase = if awaits { Phase::AwaitsDevices } else { Phase::InService };
        awaits.then(|| env.now + machine.draws.device_plugin)
    }

    /// The device plugin has registered.
    fn offer_devices(&mut self, env: &mut Environment, number: usize) -> Option<SimTime> {
        let machine = &self.machines[number];
        let template = self.template(machine);
        let lists = Box::new((template.capacity.clone(), template.allocatable.clone()));
        if let Some(node) = env.store().node_named(&machine.name) {
            env.act("kubelet", Action::SetNodeResources(node, lists));
        }
        self.machines[number].phase = Phase::InService;
        self.machines[number].steps.push(("devices offered", env.now));
        None
    }

    /// Deletes a machine; the group's target size is left to the caller.
    fn delete(&mut self, number: usize, now: SimTime) {
        let machine = &self.machines[number];
        match machine.phase {
            Phase::Deleting | Phase::Gone => {}
            Phase::Requested | Phase::Refused(_) => self.forget(number),
            _ => {
                let after = machine.draws.removal;
                self.machines[number].phase = Phase::Deleting;
                self.machines[number].steps.push(("deletion requested", now));
                self.plan_step(number, now + after);
            }
        }
    }

    /// Removes a machine together with its Node object.
    fn end(&mut self, env: &mut Environment, data_plane: &mut DataPlane, number: usize) {
        let name = self.machines[number].name.clone();
        match env.store().node_named(&name) {
            Some(id) => {
                data_plane.node_down(env, id);
                let message =
                    format!("Deleting node {name} because it does not exist in the cloud provider");
                env.emit_event(NODE_CONTROLLER, &node_reference(&name), "DeletingNode", message);
                env.act(NODE_CONTROLLER, Action::Delete(ObjectId::Node(id)));
            }
            None => self.bill_without_node(env, number),
        }
        self.machines[number].steps.push(("gone", env.now));
        self.forget(number);
    }

    /// The cloud reclaimed the machine of a node whose Node object is already gone. A group gets a replacement.
    /// Returns whether the node is a machine of this cloud.
    pub(super) fn lost(&mut self, env: &mut Environment, node: &str) -> bool {
        let Some(number) = self.number_of(node) else { return false };
        let is_leaving = self.machines[number].phase == Phase::Deleting;
        let group = self.machines[number].group;
        self.machines[number].steps.push(("taken back", env.now));
        env.observers
            .recorder
            .record_node_removal(&Name::from(node), "reclaimed by the cloud".to_owned());
        self.forget(number);
        if let Some(group) = group.filter(|_| !is_leaving) {
            self.request(group, env.now);
        }
        self.enter_steps(env);
        true
    }

    fn forget(&mut self, number: usize) {
        let started = self.started();
        let machine = &mut self.machines[number];
        machine.due = None;
        machine.phase = Phase::Gone;
        self.by_name.remove(&machine.name);
        self.removals += 1;
        let is_held = machine.launched.is_some() || number < started;
        if let Some(group) = machine.group {
            self.fleets[group].machines.remove(&machine.name);
        }
        if is_held {
            let template = self.template(&self.machines[number]).clone();
            self.supply.give_back(&template);
        }
    }

    /// Number of machines at the start.
    fn started(&self) -> usize {
        self.plan.groups.iter().map(|group| group.start as usize).sum()
    }

    /// Bills a machine up to now whose node never joined.
    fn bill_without_node(&self, env: &mut Environment, number: usize) {
        let machine = &self.machines[number];
        if let Some(launched) = machine.launched {
            let mut node = named(self.template(machine), &machine.name);
            node.machine.launched = Some(launched);
            let now = env.now;
            env.observers.recorder.nodes.push(NodeTrack::never_joined(&node, now));
        }
    }

    /// Bills the machines whose nodes have not joined by the end of the run.
    pub(super) fn finish(&self, env: &mut Environment) {
        for machine in self.by_number() {
            if env.store().node_named(&self.machines[machine].name).is_none() {
                self.bill_without_node(env, machine);
            }
        }
    }

    /// The numbers of the existing machines, ascending.
    fn by_number(&self) -> Vec<usize> {
        let is = |number: &usize| self.machines[*number].phase != Phase::Gone;
        (0..self.machines.len()).filter(is).collect()
    }

    /// A stock-out begins.
    pub(super) fn run_short(&mut self, env: &mut Environment, sold_out: &StockOut) {
        let shortage = Shortage::new(sold_out, env.now);
        let message = format!("the cloud has {shortage} for {}", sold_out.duration);
        let reference = ObjectReference { kind: Kind::File, id: NamespacedName::new("", ACTOR) };
        env.warn(ACTOR, &reference, "StockOut", message);
        self.supply.add(shortage);
    }
}
