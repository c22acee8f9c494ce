//! A whole timeline: Karpenter's operator with a simulated provider, kube-scheduler and termination that follow the
//! recording.

mod recorded;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::case::{Case, Sequence, SequenceAction};
use super::world::{not_ready, pod, type_labels};
use cluster::{Labels, Name};
use engine::{SimDuration, SimTime};
use karpenter::Snapshot;
use karpenter::labels::{CAPACITY_TYPE, HOSTNAME, ZONE};
use karpenter::node_pods::NodePods;
use karpenter::operator::{
    ClaimNames, ClaimState, ClusterAccess, Launched, NodeWithPods, Operator, Output,
};
use karpenter::pod::{Pod, PodOwner, disrupted_taint, untolerated};
use karpenter::requirements::Requirements;
use karpenter::state::{NodeObject, StateNode};
pub(super) use recorded::by_time_and_kind;

/// A scheduled event.
#[derive(Clone, Debug)]
enum Event {
    Act(usize),
    Launch(Name),
    Register(Name),
    Initialize(Name),
    Bind,
    Terminated(Name),
}

struct Timeline<'a> {
    sequence: &'a Sequence,
    start: SimTime,
    now: SimTime,
    operator: Operator,
    /// The constant part of the cluster, without nodes and pods.
    base: Snapshot,
    /// Nodes with their pods, by name.
    nodes: BTreeMap<Name, NodeWithPods>,
    /// Pods without a node.
    waiting: Vec<Arc<Pod>>,
    events: BTreeMap<(SimTime, u64), Event>,
    last_event: u64,
    decisions: Vec<Value>,
}

/// The events of a timeline.
pub(super) fn outcome(
    case: &Case,
    sequence: &Sequence,
    mut base: Snapshot,
) -> Result<Value, String> {
    let start = base.now;
    let latency = SimDuration::from_secs_f64(sequence.requeue_latency_s);
    let first_round = start + SimDuration::from_secs_f64(sequence.disruption_start_s);
    let first_round = sequence.disruption.then_some(first_round);
    let names = ClaimNames::Numbered(0);
    let operator = Operator::new(base.options.clone(), latency, names, start, first_round);
    let (states, waiting) = (std::mem::take(&mut base.nodes), std::mem::take(&mut base.waiting));
    let mut timeline = Timeline {
        sequence,
        start,
        now: start,
        operator,
        base,
        nodes: BTreeMap::new(),
        waiting,
        events: BTreeMap::new(),
        last_event: 0,
        decisions: Vec::new(),
    };
    timeline.begin(states);
    timeline.run(&case.id)?;
    let mut decisions = timeline.decisions;
    decisions.sort_by(by_time_and_kind);
    Ok(json!({ "timeline": decisions }))
}

impl Timeline<'_> {
    fn after(&mut self, seconds: f64, event: Event) {
        self.at(self.now + SimDuration::from_secs_f64(seconds), event);
    }

    fn at(&mut self, time: SimTime, event: Event) {
        self.last_event += 1;
        self.events.insert((time, self.last_event), event);
    }

    fn begin(&mut self, states: Vec<StateNode>) {
        let _ = self.operator.set_pools(self.base.pools.clone(), self.now);
        for state in states {
            let name = state.name().clone();
            if let Some(claim) = state.claim {
                let mut adopted = ClaimState::new(claim, None);
                adopted.is_marked = state.is_marked;
                adopted.nominated_until = state.nominated_until;
                adopted.is_registered = state.node.is_some();
                self.operator.adopt(&name, adopted, self.now);
            }
            if let Some(node) = state.node {
                self.nodes.insert(name, (node, state.pods));
            }
        }
        for (place, action) in self.sequence.actions.iter().enumerate() {
            self.at(self.start + SimDuration::from_secs_f64(action.at_s), Event::Act(place));
        }
        let waiting = self.waiting.iter().filter(|pod| pod.is_provisionable());
        for pod in waiting {
            self.operator.pod_waits(&pod.id, &pod.uid, self.now);
        }
    }

    fn run(&mut self, id: &str) -> Result<(), String> {
        /// Maximum number of operator steps at one instant.
        const MOST: usize = 10_000;
        let end = self.start + SimDuration::from_secs_f64(self.sequence.until_s);
        let mut steps = 0;
        loop {
            let event = self.events.first_key_value().map(|((time, _), _)| *time);
            let wakes = self.operator.wakes_at();
            let Some(time) = event.into_iter().chain(wakes).min().filter(|time| *time <= end)
            else {
                return Ok(());
            };
            steps = if time > self.now { 0 } else { steps + 1 };
            if steps > MOST {
                return Err(format!("{id} does not go on"));
            }
            self.now = self.now.max(time);
            if event == Some(time)
                && let Some((_, event)) = self.events.pop_first()
            {
                self.handle(event)?;
                continue;
            }
            let Self { operator, base, nodes, waiting, now, .. } = self;
            let mut look = ClusterAccess {
                cluster: &mut |claims| Snapshot {
                    now: *now,
                    nodes: claims.join(nodes.values().cloned()),
                    waiting: waiting.clone(),
                    ..base.clone()
                },
                types: &|pool| base.types_of(pool).into(),
            };
            let outputs = operator.step(*now, &mut look);
            self.carry_out(outputs);
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Act(place) => {
                let sequence = self.sequence;
                self.act(&sequence.actions[place], place)?;
            }
            Event::Launch(name) => self.launch(&name),
            Event::Register(name) => self.register(&name),
            Event::Initialize(name) => self.initialize(&name),
            Event::Bind => self.bind(),
            Event::Terminated(name) => {
                self.nodes.remove(&name);
                self.operator.gone(&name, self.now);
                self.tell("terminated", json!({ "node": &*name }));
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            self.tell_of(&output);
            match output {
                Output::Launch(name) => self.after(self.sequence.launch_s, Event::Launch(name)),
                Output::Taint { node, is_disrupted } => self.taint(&node, is_disrupted),
                Output::Delete { claim, .. } => self.terminate(&claim),
                _ => {}
            }
        }
    }

    fn change_node(&mut self, name: &str, change: impl FnOnce(&mut NodeObject)) {
        if let Some((node, _)) = self.nodes.get_mut(name) {
            change(Arc::make_mut(node));
        }
    }

    fn taint(&mut self, node: &Name, is_disrupted: bool) {
        let taint = disrupted_taint();
        self.change_node(node, |node| {
            node.taints.retain(|one| one.key != taint.key);
            node.taints.extend(is_disrupted.then_some(taint));
        });
        self.tell(if is_disrupted { "tainted" } else { "untainted" }, json!({ "node": &**node }));
    }

    // External events.

    fn act(&mut self, action: &SequenceAction, place: usize) -> Result<(), String> {
        for (number, given) in action.add_pods.iter().enumerate() {
            let at = format!("sequence.actions[{place}].add_pods[{number}]");
            let mut pod = pod(given, self.now, &at)?;
            pod.created = self.now.floor_to_second();
            self.add_pod(pod);
        }
        for name in &action.delete_pods {
            self.delete_pod(name);
        }
        self.bind();
        Ok(())
    }

    fn add_pod(&mut self, mut pod: Pod) {
        pod.is_unschedulable = false;
        pod.node = None;
        self.waiting.push(Arc::new(pod));
    }

    /// Deletes a pod, even if it has been recreated under another name.
    fn delete_pod(&mut self, name: &str) {
        let is_it = |pod: &Arc<Pod>| {
            pod.id.name.strip_prefix(name).is_some_and(|rest| rest.bytes().all(|one| one == b'x'))
        };
        if let Some(place) = self.waiting.iter().position(is_it) {
            let pod = self.waiting.remove(place);
            self.operator.pod_settled(&pod.id);
            self.operator.mark_changed(self.now);
            self.tell("pod_deleted", json!({ "node": "", "pod": &*pod.id.name }));
            return;
        }
        let found = self.nodes.iter_mut().find_map(|(name, (_, pods))| {
            let place = pods.iter().position(is_it)?;
            Some((pods.remove(place)?, name.clone()))
        });
        let Some((pod, node)) = found else { return };
        self.tell("pod_deleted", json!({ "node": &*node, "pod": &*pod.id.name }));
        self.note_pod_event(&pod, &node);
    }

    /// Reports that a pod was bound to a node or left it.
    fn note_pod_event(&mut self, pod: &Pod, node: &Name) {
        if pod.owner == PodOwner::DaemonSet {
            self.operator.mark_changed(self.now);
            return;
        }
        let output = self.operator.pod_set_changed(node, self.now);
        self.carry_out(output.into_iter().collect());
    }

    // The kube-scheduler.

    fn bind(&mut self) {
        let hold = self.sequence.bind_hold_until_s.unwrap_or(0.0);
        let is_held = self.now < self.start + SimDuration::from_secs_f64(hold);
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_by(|one, other| {
            one.created.cmp(&other.created).then_with(|| one.id.name.cmp(&other.id.name))
        });
        for pod in waiting {
            let all = self.operator.claims().join(self.nodes.values().cloned());
            let place = all.iter().find(|state| !is_held && takes(state, &pod));
            match place.map(|state| state.name().clone()) {
                Some(node) => self.put(&pod, &node),
                None => self.leave(&pod),
            }
        }
    }

    fn put(&mut self, pod: &Pod, node: &Name) {
        let mut bound = pod.clone();
        bound.node = Some(node.clone());
        bound.is_unschedulable = false;
        bound.started = Some(self.now.floor_to_second());
        if let Some((_, pods)) = self.nodes.get_mut(node) {
            pods.push(Arc::new(bound));
        }
        self.operator.pod_settled(&pod.id);
        self.tell("pod_bound", json!({ "node": &**node, "pod": &*pod.id.name }));
        self.note_pod_event(pod, node);
    }

    fn leave(&mut self, pod: &Pod) {
        let is_new = !pod.is_unschedulable;
        let mut left = pod.clone();
        left.is_unschedulable = true;
        let is_provisionable = left.is_provisionable();
        self.waiting.push(Arc::new(left));
        if is_new {
            self.tell("pod_unschedulable", json!({ "pod": &*pod.id.name }));
            if is_provisionable {
                self.operator.pod_waits(&pod.id, &pod.uid, self.now);
            }
        }
    }

    // The provider.

    fn launch(&mut self, name: &Name) {
        let Some(one) = self.operator.claims().get(name) else { return };
        let claim = Arc::clone(&one.claim);
        let launch = one.made.as_ref().and_then(|made| made.launch(self.operator.options()));
        let Some(launch) = launch else { return };
        let zone = launch.zones.iter().min().cloned().unwrap_or_else(|| "".into());
        let own = claim.labels.iter().map(|(key, value)| (key.clone(), value.clone()));
        let labels: Labels = own
            .chain(type_labels(&launch.instance_type))
            .chain([
                (ZONE.into(), zone.clone()),
                (CAPACITY_TYPE.into(), launch.capacity_type.clone()),
                (HOSTNAME.into(), name.clone()),
            ])
            .collect();
        let launched = Launched {
            labels,
            capacity: launch.instance_type.capacity.clone(),
            allocatable: launch.instance_type.allocatable.clone(),
        };
        self.operator.launched(name, launched, self.now);
        let decisions = json!({
            "node": &**name, "instance_type": &*launch.instance_type.name, "zone": &*zone,
            "capacity_type": &*launch.capacity_type, "price": launch.price,
        });
        self.tell("launched", decisions);
        self.after(self.sequence.register_s, Event::Register(name.clone()));
    }

    fn register(&mut self, name: &Name) {
        let claim = self.operator.claims().get(name).map(|one| Arc::clone(&one.claim));
        let Some(claim) = claim.filter(|claim| !claim.is_terminating) else { return };
        let mut taints = claim.taints.clone();
        taints.push(not_ready());
        taints.extend(claim.startup_taints.iter().cloned());
        let node = NodeObject {
            attach_limit: None,
            name: name.clone(),
            labels: claim.labels.clone(),
            annotations: claim.annotations.clone(),
            taints,
            capacity: claim.capacity.clone(),
            allocatable: claim.allocatable.clone(),
            is_ready: false,
            is_registered: true,
            is_initialized: false,
        };
        self.nodes.insert(name.clone(), (Arc::new(node), NodePods::default()));
        self.operator.registered(name);
        self.tell("registered", json!({ "node": &**name }));
        self.after(self.sequence.initialize_s, Event::Initialize(name.clone()));
    }

    fn initialize(&mut self, name: &Name) {
        let claim = self.operator.claims().get(name).map(|one| Arc::clone(&one.claim));
        let Some(claim) = claim.filter(|claim| !claim.is_terminating) else { return };
        self.change_node(name, |node| {
            node.taints.clone_from(&claim.taints);
            node.is_ready = true;
            node.is_initialized = true;
        });
        self.tell("initialized", json!({ "node": &**name }));
        let output = self.operator.initialized(name, self.now);
        self.carry_out(output.into_iter().collect());
        self.after(0.001, Event::Bind);
    }

    /// Terminates a claim: its pods are recreated under other names, and its instance is deleted.
    fn terminate(&mut self, name: &Name) {
        self.tell("terminating", json!({ "node": &**name }));
        let pods = self.nodes.get_mut(name).map(|(_, pods)| std::mem::take(pods));
        for pod in &pods.unwrap_or_default() {
            let mut again = Pod::clone(pod);
            again.id.name = format!("{}x", pod.id.name).into();
            again.uid = format!("{}x", pod.uid).into();
            again.created = self.now.floor_to_second();
            let decisions = json!({ "pod": &*again.id.name, "was": &*pod.id.name });
            self.tell("pod_recreated", decisions);
            self.operator.mark_changed(self.now);
            self.add_pod(again);
        }
        self.bind();
        self.after(self.sequence.terminate_s, Event::Terminated(name.clone()));
    }
}

/// True if the kube-scheduler may bind a pod to a node.
fn takes(state: &StateNode, pod: &Pod) -> bool {
    let spec = &pod.template.spec;
    let Some(node) = &state.node else { return false };
    let left = state.allocatable().minus(state.pods.requests());
    let strict = Requirements::of_pod(&spec.node_selector, &spec.affinity, true);
    node.is_ready
        && state.is_initialized()
        && !state.claim.as_ref().is_some_and(|claim| claim.is_terminating)
        && untolerated(&node.taints, &spec.tolerations).is_none()
        && pod.requests.fits(&left)
        && Requirements::of_labels(&node.labels).is_compatible(&strict, None)
}
