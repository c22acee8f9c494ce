//! What holds of the scheduler on any cluster: the quick way decides as the full cycle does, nothing is
//! given out twice, and every hard constraint holds when a pod is placed.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wavetank::cluster::action::{PodDeletion, PodDraft, PodName, PodSource};
use wavetank::cluster::node::{HOSTNAME_LABEL, Node, NodeId, Taint, ZONE_LABEL};
use wavetank::cluster::pod::PodId;
use wavetank::cluster::pod_resources::pod_requests;
use wavetank::cluster::pod_template::{
    Affinity, Container, ContainerPort, NodeInclusionPolicy, NodeSelectorTerm, PodAffinityTerm,
    PodSpec, PodTemplate, TaintEffect, Toleration, TolerationOperator, TopologySpreadConstraint,
    WhenUnsatisfiable,
};
use wavetank::cluster::selector::{Operator, Requirement, Selector};
use wavetank::cluster::service::ServiceSpec;
use wavetank::cluster::{Action, Labels, Name, ObjectId, ObjectMeta};
use wavetank::engine::random::index_below;
use wavetank::engine::{SimDuration, SimTime, Stream, Streams};
use wavetank::pack::placer::Placer;
use wavetank::scheduler::gpu::{GPU_COUNT, GPU_MODEL, GpuRequest};
use wavetank::scheduler::plugins::gpu_share;
use wavetank::scheduler::profile::{PluginSet, SchedulerConfiguration};
use wavetank::scheduler::{Scheduler, TieBreaker};
use wavetank::units::Quantity;

struct Draw(Stream);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        index_below(&mut self.0, n)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn amount(&mut self, choices: &[i64]) -> i64 {
        choices[self.below(choices.len())]
    }
}

fn node(draw: &mut Draw, number: usize) -> Node {
    let name = format!("node-{number}");
    let mut labels: Vec<(Name, Name)> = vec![(HOSTNAME_LABEL.into(), name.as_str().into())];
    if !draw.one_in(8) {
        labels.push((ZONE_LABEL.into(), format!("zone-{}", draw.below(3)).into()));
    }
    if draw.one_in(3) {
        labels.push(("disk".into(), "ssd".into()));
    }
    labels.push((GPU_MODEL.into(), ["T4", "A100"][draw.below(2)].into()));
    let mut taints = Vec::new();
    if draw.one_in(6) {
        let effect = [TaintEffect::NoSchedule, TaintEffect::PreferNoSchedule][draw.below(2)];
        taints.push(Taint { key: "team".into(), value: "a".into(), effect, time_added: None });
    }
    let allocatable: wavetank::cluster::pod_template::ResourceList = [
        ("cpu", Quantity::from_milli(draw.amount(&[2000, 4000, 8000]))),
        ("memory", Quantity::from_bytes(draw.amount(&[4, 8, 16]) << 30)),
        ("pods", Quantity::from_units(draw.amount(&[3, 8, 110]))),
        ("example.com/device", Quantity::from_units(draw.amount(&[0, 2]))),
        (GPU_COUNT, Quantity::from_units(draw.amount(&[0, 2, 4]))),
    ]
    .into_iter()
    .collect();
    let meta = ObjectMeta { labels: labels.into_iter().collect(), ..ObjectMeta::new("", name) };
    Node { unschedulable: draw.one_in(20), taints, ..Node::new(meta, allocatable) }
}

fn selector(app: &str) -> Selector {
    Selector::from_labels(&[("app", app)].into_iter().collect())
}

fn affinity_term(app: &str, topology_key: &str) -> PodAffinityTerm {
    PodAffinityTerm {
        selector: Some(selector(app)),
        match_label_keys: Vec::new(),
        mismatch_label_keys: Vec::new(),
        namespaces: Vec::new(),
        namespace_selector: None,
        topology_key: topology_key.into(),
    }
}

fn spread(
    draw: &mut Draw,
    app: &str,
    when_unsatisfiable: WhenUnsatisfiable,
) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1 + i32::from(draw.one_in(2)),
        topology_key: [ZONE_LABEL, HOSTNAME_LABEL][draw.below(2)].into(),
        when_unsatisfiable,
        selector: Some(selector(app)),
        match_label_keys: Vec::new(),
        min_domains: None,
        node_affinity_policy: NodeInclusionPolicy::Honor,
        node_taints_policy: [NodeInclusionPolicy::Ignore, NodeInclusionPolicy::Honor]
            [draw.below(2)],
    }
}

fn affinity(draw: &mut Draw, app: &str) -> Affinity {
    let mut affinity = Affinity::default();
    let other = format!("app-{}", draw.below(4));
    let key = [ZONE_LABEL, HOSTNAME_LABEL][draw.below(2)];
    match draw.below(10) {
        0 => affinity.required_anti.push(affinity_term(app, HOSTNAME_LABEL)),
        1 => affinity.required_anti.push(affinity_term(&other, key)),
        2 => affinity.required_pod.push(affinity_term(app, key)),
        3 => affinity.preferred_pod.push((7, affinity_term(&other, key))),
        4 => affinity.preferred_anti.push((3, affinity_term(app, key))),
        _ => {}
    }
    if draw.one_in(6) {
        let requirement =
            Requirement { key: "disk".into(), operator: Operator::In, values: vec!["ssd".into()] };
        let term =
            NodeSelectorTerm { match_expressions: vec![requirement], match_fields: Vec::new() };
        if draw.one_in(2) {
            affinity.required_node = Some(vec![term]);
        } else {
            affinity.preferred_node.push((5, term));
        }
    }
    affinity
}

fn service(app: &str) -> Action {
    let spec = ServiceSpec { selector: Some(selector(app)), ..ServiceSpec::default() };
    Action::create(ObjectMeta::new("default", app), spec)
}

fn template(draw: &mut Draw) -> PodTemplate {
    let app = format!("app-{}", draw.below(4));
    let mut requests: wavetank::cluster::pod_template::ResourceList = [
        ("cpu", Quantity::from_milli(draw.amount(&[0, 100, 500, 1500]))),
        ("memory", Quantity::from_bytes(draw.amount(&[0, 256, 1024, 3000]) << 20)),
    ]
    .into_iter()
    .collect();
    if draw.one_in(5) {
        requests.set("example.com/device", Quantity::from_units(1));
    }
    let port = ContainerPort {
        name: Name::default(),
        container_port: 80,
        host_port: 8080,
        host_ip: ["", "10.0.0.1"][draw.below(2)].into(),
        protocol: "TCP".into(),
    };
    let ports = if draw.one_in(6) { vec![port] } else { Vec::new() };
    let toleration = Toleration {
        key: "team".into(),
        operator: TolerationOperator::Exists,
        value: Name::default(),
        effect: None,
        toleration_seconds: None,
    };
    let mut topology_spread = Vec::new();
    if draw.one_in(4) {
        topology_spread.push(spread(draw, &app, WhenUnsatisfiable::DoNotSchedule));
    }
    if draw.one_in(4) {
        topology_spread.push(spread(draw, &app, WhenUnsatisfiable::ScheduleAnyway));
    }
    let gpu = draw.one_in(4).then(|| {
        let (count, milli_each) = [(1, 300), (1, 600), (1, 1000), (2, 1000)][draw.below(4)];
        GpuRequest { count, milli_each, models: ["", "T4", "T4|A100"][draw.below(3)].into() }
    });
    PodTemplate {
        labels: [("app", app.as_str())].into_iter().collect(),
        annotations: gpu.as_ref().map_or_else(Labels::default, GpuRequest::annotations),
        spec: PodSpec {
            containers: vec![Container { requests, ports, ..Container::default() }],
            affinity: affinity(draw, &app),
            tolerations: if draw.one_in(3) { vec![toleration] } else { Vec::new() },
            topology_spread,
            priority: draw.one_in(5).then_some(10),
            scheduler_name: "default-scheduler".into(),
            ..PodSpec::default()
        },
        ..PodTemplate::default()
    }
}

/// The same cluster twice: one scheduler takes the quick way, the other always the full cycle.
struct Twins {
    quick: Placer,
    full: Placer,
    pods: Vec<PodId>,
}

impl Twins {
    fn new(seed: u64, nodes: &[Node], percentage: i64) -> Self {
        let mut configuration = SchedulerConfiguration {
            percentage_of_nodes_to_score: percentage,
            retries_waiting_pods: seed.is_multiple_of(2),
            ..SchedulerConfiguration::default()
        };
        let enabled = vec![(Name::from(gpu_share::NAME), 1), ("GpuPackingScore".into(), 1)];
        configuration.profiles[0].multi_point = PluginSet { enabled, disabled: Vec::new() };
        let scheduler = || {
            let ties = TieBreaker::drawn(Streams::new(seed).stream("ties", 0));
            Scheduler::new(&configuration, ties).expect("a profile that makes sense")
        };
        let mut full = scheduler();
        full.always_full();
        let mut twins = Self {
            quick: Placer::new(scheduler(), seed),
            full: Placer::new(full, seed),
            pods: Vec::new(),
        };
        for node in nodes {
            twins.act(&Action::add_node(node.clone()));
        }
        twins
    }

    fn act(&mut self, action: &Action) {
        let quick = self.quick.act(action.clone()).is_ok();
        assert_eq!(self.full.act(action.clone()).is_ok(), quick, "{action:?}");
    }

    fn advance(&mut self, now: SimTime) {
        self.quick.advance(now);
        self.full.advance(now);
    }

    fn create(&mut self, number: usize, template: &PodTemplate) {
        let draft = PodDraft {
            name: PodName::Exact(format!("pod-{number}").into()),
            namespace: "default".into(),
            template: PodSource::New(Box::new(template.clone())),
            owner: None,
        };
        let pod = self.quick.create(draft.clone()).expect("a new name");
        assert_eq!(self.full.create(draft), Ok(pod));
        self.pods.push(pod);
    }

    /// Places what waits, round robin over the pods; both must do the same in the same order. The quick one need not name
    /// each pod that it tries in vain.
    fn place(&mut self) {
        let mut placed = Vec::new();
        for _ in 0..2_000 {
            let Some(pod) = self.quick.place() else { break };
            check_constraints(&self.quick, pod);
            placed.extend(place_of(&self.quick, pod));
        }
        let mut by_full = Vec::new();
        for _ in 0..20_000 {
            let Some(pod) = self.full.place() else { break };
            by_full.extend(place_of(&self.full, pod));
        }
        assert_eq!(placed, by_full);
        self.compare();
        check_nodes(&self.quick);
        self.pods.retain(|pod| self.quick.store().pods().contains(*pod));
    }

    fn compare(&self) {
        for (pod, one) in self.quick.store().pods().iter() {
            let other = self.full.store().pods().get(pod).expect("the same pods are there");
            assert_eq!(
                (one.node, one.nominated_node),
                (other.node, other.nominated_node),
                "{}",
                one.id
            );
            let devices = |placer: &Placer| placer.scheduler().devices_of(pod);
            assert_eq!(devices(&self.quick), devices(&self.full), "{}", one.id);
            let waits = |placer: &Placer| {
                let queued = placer.scheduler().queue().get(pod)?;
                let tries = (queued.attempts, queued.rejections, queued.errors);
                Some((tries, queued.timestamp, queued.rejected_by))
            };
            assert_eq!(waits(&self.quick), waits(&self.full), "{}", one.id);
        }
    }
}

/// The pod and where it is, or is to be.
fn place_of(placer: &Placer, pod: PodId) -> Option<(PodId, Option<NodeId>, Option<NodeId>)> {
    let object = placer.store().pods().get(pod)?;
    let has_place = object.node.is_some() || object.nominated_node.is_some();
    has_place.then_some((pod, object.node, object.nominated_node))
}

/// No node has more pods on it than it has room for, in any resource, and no host port twice.
fn check_nodes(placer: &Placer) {
    let store = placer.store();
    for (id, node) in store.nodes().iter() {
        let mut sums: BTreeMap<Name, i128> = BTreeMap::new();
        let mut ports: Vec<(u16, Name)> = Vec::new();
        let mut devices = [0_i64; 32];
        for (pod, object) in store.pods_on(id) {
            let template = store.template_of(object);
            for (name, amount) in pod_requests(&template.spec).iter() {
                *sums.entry(name.clone()).or_default() += amount.nanos();
            }
            *sums.entry("pods".into()).or_default() += Quantity::from_units(1).nanos();
            for port in template.spec.containers.iter().flat_map(|one| &one.ports) {
                let is_taken = |(number, ip): &(u16, Name)| {
                    *number == port.host_port
                        && (ip.is_empty() || port.host_ip.is_empty() || *ip == port.host_ip)
                };
                assert!(
                    !ports.iter().any(is_taken),
                    "two pods on one host port of {}",
                    node.meta.id
                );
                ports.push((port.host_port, port.host_ip.clone()));
            }
            if let Some(gpu) = GpuRequest::of(template) {
                let given = placer.scheduler().devices_of(pod);
                assert_eq!(given.iter().count(), gpu.count, "{}", object.id);
                for device in given.iter() {
                    devices[device] += gpu.milli_each;
                }
            }
        }
        for (name, sum) in sums {
            let room = node.allocatable.get(&name).map_or(0, Quantity::nanos);
            assert!(sum <= room, "{name} of {}: {sum} of {room}", node.meta.id);
        }
        assert!(
            devices.iter().all(|taken| *taken <= 1000),
            "a GPU of {} is overdrawn",
            node.meta.id
        );
    }
}

/// The hard constraints of a pod that was just placed.
fn check_constraints(placer: &Placer, pod: PodId) {
    let store = placer.store();
    let Some(object) = store.pods().get(pod) else { return };
    let Some(node) = object.node else { return };
    let (template, at) = (store.template_of(object), &store.nodes()[node]);
    assert!(!at.unschedulable, "{} is cordoned", at.meta.id);
    for taint in at.taints.iter().filter(|taint| taint.effect == TaintEffect::NoSchedule) {
        assert!(template.spec.tolerations.iter().any(|one| one.tolerates(taint)), "{}", object.id);
    }
    if let Some(terms) = &template.spec.affinity.required_node {
        let matches = |one: &Requirement| one.matches(&at.meta.labels);
        assert!(terms.iter().any(|term| term.match_expressions.iter().all(matches)));
    }
    let in_domain = |key: &Name, of: NodeId| {
        let value = at.meta.labels.get(key);
        value.is_some() && store.nodes()[of].meta.labels.get(key) == value
    };
    let beside = |key: &Name, selector: &Selector| {
        store
            .pods()
            .iter()
            .filter(|(id, other)| {
                *id != pod
                    && other.node.is_some_and(|of| in_domain(key, of))
                    && selector.matches(&store.template_of(other).labels)
            })
            .count()
    };
    for term in &template.spec.affinity.required_anti {
        let selector = term.selector.as_ref().expect("every term has one");
        assert_eq!(
            beside(&term.topology_key, selector),
            0,
            "{} is beside what it shuns",
            object.id
        );
    }
    for (other_id, other) in store.pods().iter().filter(|(id, _)| *id != pod) {
        for term in &store.template_of(other).spec.affinity.required_anti {
            let selects = term.selector.as_ref().is_some_and(|one| one.matches(&template.labels));
            let is_beside = other.node.is_some_and(|of| in_domain(&term.topology_key, of));
            assert!(!(selects && is_beside), "{:?} shuns {}", other_id, object.id);
        }
    }
    for term in &template.spec.affinity.required_pod {
        let selector = term.selector.as_ref().expect("every term has one");
        // kube-scheduler counts by the key's value: a pod on a node without the key is in no domain.
        let is_in_a_domain =
            |of: NodeId| store.nodes()[of].meta.labels.get(&term.topology_key).is_some();
        let is_first = !store.pods().iter().any(|(id, other)| {
            id != pod
                && other.node.is_some_and(is_in_a_domain)
                && selector.matches(&store.template_of(other).labels)
        });
        assert!(is_first || beside(&term.topology_key, selector) > 0, "{} is alone", object.id);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_quick_way_decides_as_the_full_cycle_and_nothing_is_given_out_twice(seed in any::<u64>()) {
        let mut draw = Draw(Streams::new(seed).stream("clusters", 0));
        let count = if draw.one_in(3) { 100 + draw.below(40) } else { 1 + draw.below(25) };
        let nodes: Vec<Node> = (0..count).map(|number| node(&mut draw, number)).collect();
        let percentage = draw.amount(&[0, 0, 40, 100]);
        let mut twins = Twins::new(seed, &nodes, percentage);
        let templates: Vec<PodTemplate> = (0..8).map(|_| template(&mut draw)).collect();
        // Pods that a Service selects and that say nothing themselves are spread by default.
        for app in (0..4).filter(|_| seed.is_multiple_of(3)) {
            twins.act(&service(&format!("app-{app}")));
        }
        for step in 0..60 {
            let ids: Vec<NodeId> = twins.quick.store().nodes().iter().map(|(id, _)| id).collect();
            match draw.below(12) {
                0 if !twins.pods.is_empty() => {
                    let pod = twins.pods[draw.below(twins.pods.len())];
                    twins.act(&Action::RemovePod(pod));
                }
                1 if !ids.is_empty() => {
                    let id = ids[draw.below(ids.len())];
                    let is_cordoned = twins.quick.store().nodes()[id].unschedulable;
                    twins.act(&Action::SetNodeUnschedulable(id, !is_cordoned));
                }
                2 => twins.act(&Action::add_node(node(&mut draw, 1000 + step))),
                3 if !ids.is_empty() => {
                    let id = ids[draw.below(ids.len())];
                    let on_it: Vec<PodId> =
                        twins.quick.store().pods_on(id).map(|(pod, _)| pod).collect();
                    for pod in on_it {
                        twins.act(&Action::RemovePod(pod));
                    }
                    twins.act(&Action::Delete(ObjectId::Node(id)));
                }
                4 if !ids.is_empty() => {
                    let labels = node(&mut draw, 2000 + step).meta.labels;
                    let taints = node(&mut draw, 0).taints;
                    let id = ids[draw.below(ids.len())];
                    if twins.quick.store().pods_on(id).next().is_none() {
                        twins.act(&Action::SetNodeLabels(id, labels));
                    }
                    twins.act(&Action::SetNodeTaints(id, taints));
                }
                5 if !twins.pods.is_empty() => {
                    let pod = twins.pods[draw.below(twins.pods.len())];
                    twins.act(&Action::DeletePod(pod, PodDeletion::default()));
                    twins.pods.retain(|pod| twins.quick.store().pods().contains(*pod));
                }
                _ => {
                    let template = &templates[draw.below(templates.len())];
                    for copy in 0..=draw.below(3) {
                        twins.create(step * 10 + copy, template);
                    }
                }
            }
            let later = twins.quick.scheduler().wake_time(SimTime::ZERO).unwrap_or(SimTime::ZERO);
            twins.advance(later);
            twins.place();
        }
    }

    /// Many pods of few kinds wait for nodes that come, fill up and go.
    #[test]
    fn pods_that_are_alike_wait_together_as_they_would_one_by_one(seed in any::<u64>()) {
        let mut draw = Draw(Streams::new(seed).stream("crowds", 0));
        let mut twins = Twins::new(2 * (seed / 2), &[], 0);
        let kinds = 1 + draw.below(6);
        let templates: Vec<PodTemplate> = (0..kinds)
            .map(|_| {
                let mut template = template(&mut draw);
                if !draw.one_in(4) {
                    template.spec.affinity = Affinity::default();
                    template.spec.topology_spread.clear();
                    template.annotations = Labels::default();
                    template.spec.priority = None;
                }
                template
            })
            .collect();
        let (mut now, mut number) = (SimTime::ZERO, 0);
        for step in 0..80 {
            let ids: Vec<NodeId> = twins.quick.store().nodes().iter().map(|(id, _)| id).collect();
            match draw.below(8) {
                0 => {
                    let template = &templates[draw.below(kinds)];
                    for _ in 0..draw.below(40) {
                        number += 1;
                        twins.create(number, template);
                    }
                }
                1 => {
                    for _ in 0..draw.below(12) {
                        number += 1;
                        twins.create(number, &templates[draw.below(kinds)]);
                    }
                }
                2 | 3 => twins.act(&Action::add_node(node(&mut draw, step))),
                4 if !ids.is_empty() => {
                    let taints = node(&mut draw, 0).taints;
                    twins.act(&Action::SetNodeTaints(ids[draw.below(ids.len())], taints));
                }
                5 if !ids.is_empty() => {
                    let id = ids[draw.below(ids.len())];
                    let on_it: Vec<PodId> =
                        twins.quick.store().pods_on(id).map(|(pod, _)| pod).collect();
                    for pod in on_it {
                        twins.act(&Action::RemovePod(pod));
                    }
                    twins.act(&Action::Delete(ObjectId::Node(id)));
                }
                6 if !twins.pods.is_empty() => {
                    let pod = twins.pods[draw.below(twins.pods.len())];
                    twins.act(&Action::RemovePod(pod));
                }
                _ => {}
            }
            let nanos = draw.amount(&[0, 300_000_000, 1_700_000_000, 4_000_000_000, 40_000_000_000]);
            now += SimDuration::from_nanos(nanos);
            twins.advance(now);
            twins.place();
        }
    }
}
