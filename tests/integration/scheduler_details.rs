//! Corners of kube-scheduler 1.36 that recorded cycles do not reach.

use wavetank::cluster::Kind;
use wavetank::cluster::action::{PodDraft, PodName, PodSource};
use wavetank::cluster::claim::{AccessMode, ClaimContent, ClaimSpec};
use wavetank::cluster::deployment::IntOrPercent;
use wavetank::cluster::namespace::NamespaceSpec;
use wavetank::cluster::node::{HOSTNAME_LABEL, Node, NodeId, ZONE_LABEL};
use wavetank::cluster::pod::PodId;
use wavetank::cluster::pod_template::{
    Container, ContainerPort, NodeSelectorTerm, PodAffinityTerm, PodSpec, PodTemplate,
    PreemptionPolicy, Reference, ResourceList,
};
use wavetank::cluster::policy::{Budget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus};
use wavetank::cluster::selection::Selecting;
use wavetank::cluster::selector::{Operator, Requirement, Selector};
use wavetank::cluster::service::ServiceSpec;
use wavetank::cluster::{Action, Change, ClusterView, Labels, ObjectMeta, Store, apply};
use wavetank::engine::{SimDuration, SimTime, Streams};
use wavetank::scheduler::decision::Verdict;
use wavetank::scheduler::plugins::ExtensionPoint;
use wavetank::scheduler::preemption::PostFilter;
use wavetank::scheduler::profile::{PluginSet, SchedulerConfiguration};
use wavetank::scheduler::{Attempt, Scheduler, TieBreaker};
use wavetank::units::Quantity;

use crate::in_memory::Run;

/// The API server's store and a scheduler that hears of every change.
struct Cluster {
    store: Store,
    scheduler: Scheduler,
    now: SimTime,
}

impl Cluster {
    fn new(configuration: &SchedulerConfiguration) -> Self {
        Self {
            store: Store::new(Streams::new(1)),
            scheduler: Scheduler::new(configuration, TieBreaker::FirstByName)
                .expect("a profile that makes sense"),
            now: SimTime::from_secs(1000),
        }
    }

    fn act(&mut self, action: Action) -> Vec<Change> {
        let mut changes = Vec::new();
        apply(&mut self.store, self.now, action, &mut changes).expect("nothing forbids it");
        for change in &changes {
            self.scheduler.on_change(ClusterView::new(&self.store, self.now), change);
        }
        changes
    }

    fn add_node(
        &mut self,
        name: &str,
        milli_cpu: i64,
        labels: &[(&'static str, &'static str)],
    ) -> NodeId {
        let host = [(HOSTNAME_LABEL, name)];
        let allocatable: ResourceList =
            [("cpu", Quantity::from_milli(milli_cpu)), ("pods", Quantity::from_units(110))]
                .into_iter()
                .collect();
        let meta = ObjectMeta {
            labels: host.into_iter().chain(labels.iter().copied()).collect(),
            ..ObjectMeta::new("", name)
        };
        self.act(Action::add_node(Node::new(meta, allocatable)));
        self.store.node_named(name).expect("it was added")
    }

    fn create(&mut self, name: &str, template: PodTemplate) -> PodId {
        let changes = self.act(Action::CreatePod(Box::new(PodDraft {
            name: PodName::Exact(name.into()),
            namespace: "default".into(),
            template: PodSource::New(Box::new(template)),
            owner: None,
        })));
        let created = changes.iter().find_map(|change| match change {
            Change::PodAdded(pod) => Some(*pod),
            _ => None,
        });
        created.expect("it was created")
    }

    fn create_on(&mut self, name: &str, template: PodTemplate, node: NodeId) -> PodId {
        let pod = self.create(name, template);
        self.act(Action::BindPod(pod, node));
        pod
    }

    /// The next attempt, whose binding is carried out.
    fn next(&mut self) -> Option<Attempt> {
        let mut actions = Vec::new();
        let attempt = self.scheduler.next(ClusterView::new(&self.store, self.now), &mut actions);
        for action in actions {
            if matches!(action, Action::BindPod(..)) {
                self.act(action);
            }
        }
        attempt
    }
}

fn template(milli_cpu: i64, priority: i32) -> PodTemplate {
    let requests = [("cpu", Quantity::from_milli(milli_cpu))].into_iter().collect();
    PodTemplate {
        spec: PodSpec {
            containers: vec![Container { requests, ..Container::default() }],
            scheduler_name: "default-scheduler".into(),
            priority: Some(priority),
            ..PodSpec::default()
        },
        labels: [("app", "web")].into_iter().collect::<Labels>(),
        ..PodTemplate::default()
    }
}

fn with_host_port(mut template: PodTemplate, port: u16) -> PodTemplate {
    template.spec.containers[0].ports.push(ContainerPort {
        name: "".into(),
        container_port: port,
        host_port: port,
        host_ip: "".into(),
        protocol: "TCP".into(),
    });
    template
}

fn service() -> Action {
    let selector = Some(Selector::from_labels(&[("app", "web")].into_iter().collect()));
    let spec = ServiceSpec { selector, ..ServiceSpec::default() };
    Action::create(ObjectMeta::new("default", "web"), spec)
}

#[test]
fn a_profile_without_post_filter_plugins_says_no_more_than_why_no_node_does() {
    let mut configuration = SchedulerConfiguration::default();
    let none = PluginSet { enabled: Vec::new(), disabled: vec!["*".into()] };
    configuration.profiles[0].points = vec![(ExtensionPoint::PostFilter, none)];
    let mut cluster = Cluster::new(&configuration);
    let node = cluster.add_node("a", 1000, &[]);
    cluster.create_on("victim", template(800, 0), node);
    cluster.create("preemptor", template(500, 10));
    let Some(Attempt { decision, .. }) = cluster.next() else { panic!("it is tried") };
    let Verdict::Waits { post_filter, chosen, message } = decision.verdict else {
        panic!("there is no room")
    };
    assert_eq!((post_filter, chosen), (None, None));
    assert_eq!(message, "0/1 nodes are available: 1 Insufficient cpu.");
}

#[test]
fn a_pod_that_finds_no_node_loses_its_nomination_if_nothing_runs_at_post_filter() {
    let mut configuration = SchedulerConfiguration::default();
    let none = PluginSet { enabled: Vec::new(), disabled: vec!["*".into()] };
    for (set, loses) in [(PluginSet::default(), false), (none, true)] {
        configuration.profiles[0].points = vec![(ExtensionPoint::PostFilter, set)];
        let mut cluster = Cluster::new(&configuration);
        let node = cluster.add_node("a", 1000, &[]);
        // Without preemption the default plugins keep the nomination as well.
        let mut big = template(2000, 0);
        big.spec.preemption_policy = PreemptionPolicy::Never;
        let pod = cluster.create("big", big);
        cluster.act(Action::NominatePod(pod, Some(node)));
        let mut actions = Vec::new();
        let view = ClusterView::new(&cluster.store, cluster.now);
        cluster.scheduler.next(view, &mut actions).expect("it is tried");
        let lost =
            |action: &Action| matches!(action, Action::NominatePod(one, None) if *one == pod);
        assert_eq!(actions.iter().any(lost), loses);
    }
}

#[test]
fn gates_hold_no_pod_back_whose_profile_does_without_the_plugin() {
    let mut configuration = SchedulerConfiguration::default();
    let none = PluginSet { enabled: Vec::new(), disabled: vec!["SchedulingGates".into()] };
    let gated = || {
        let mut template = template(100, 0);
        template.spec.scheduling_gates.push("wait".into());
        template
    };
    for (multi_point, is_gated) in [(PluginSet::default(), true), (none, false)] {
        configuration.profiles[0].multi_point = multi_point;
        let mut cluster = Cluster::new(&configuration);
        cluster.add_node("a", 1000, &[]);
        let pod = cluster.create("gated", gated());
        assert_eq!(cluster.scheduler.is_gated(pod), is_gated);
        assert_eq!(cluster.next().is_none(), is_gated);
    }
}

#[test]
fn what_a_filter_said_of_the_nominated_node_is_told_though_pre_filter_names_others() {
    let mut cluster = Cluster::new(&SchedulerConfiguration::default());
    cluster.add_node("a", 1000, &[]);
    let nominated = cluster.add_node("b", 1000, &[]);
    cluster.add_node("c", 1000, &[]);
    let mut wants_a = template(2000, 0);
    wants_a.spec.affinity.required_node = Some(vec![NodeSelectorTerm {
        match_expressions: Vec::new(),
        match_fields: vec![Requirement {
            key: "metadata.name".into(),
            operator: Operator::In,
            values: vec!["a".into()],
        }],
    }]);
    let pod = cluster.create("pod", wants_a);
    cluster.act(Action::NominatePod(pod, Some(nominated)));
    let attempt = cluster.next().unwrap();
    let rejected: Vec<(usize, &str)> = attempt
        .decision
        .feasibility
        .diagnosis
        .rejected
        .iter()
        .map(|one| (one.node, one.plugin))
        .collect();
    assert_eq!(rejected, [(0, "NodeResourcesFit"), (nominated.index(), "NodeAffinity")]);
    let Verdict::Waits { message, .. } = &attempt.decision.verdict else {
        panic!("it fits nowhere")
    };
    assert!(
        message.starts_with(
            "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node \
             affinity/selector, 1 node(s) didn't satisfy plugin(s) [NodeAffinity]."
        ),
        "{message}"
    );
}

#[test]
fn the_plugin_that_rejected_the_nominated_node_is_named_among_those_that_narrowed_the_nodes() {
    let mut cluster = Cluster::new(&SchedulerConfiguration::default());
    for (name, milli_cpu) in [("a", 1000), ("b", 4000), ("c", 4000)] {
        cluster.add_node(name, milli_cpu, &[]);
    }
    let mut wants_a = template(2000, 0);
    wants_a.spec.affinity.required_node = Some(vec![NodeSelectorTerm {
        match_expressions: Vec::new(),
        match_fields: vec![Requirement {
            key: "metadata.name".into(),
            operator: Operator::In,
            values: vec!["a".into()],
        }],
    }]);
    let pod = cluster.create("pod", wants_a);
    cluster.act(Action::NominatePod(pod, cluster.store.node_named("a")));
    let Verdict::Waits { message, .. } = cluster.next().unwrap().decision.verdict else {
        panic!("it fits nowhere")
    };
    let says = "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) \
                [NodeAffinity NodeResourcesFit].";
    assert!(message.starts_with(says), "{message}");
}

#[test]
fn a_namespace_selector_that_no_labels_satisfy_as_well_selects_pods_of_every_namespace() {
    let requirement = |operator, values: &[&str]| Requirement {
        key: "env".into(),
        operator,
        values: values.iter().map(|value| (*value).into()).collect(),
    };
    let of = |requirement| Some(Selector { requirements: vec![requirement] });
    for (namespace_selector, selects) in [
        (of(requirement(Operator::NotIn, &["test"])), true),
        (of(requirement(Operator::DoesNotExist, &[])), true),
        (of(requirement(Operator::In, &["prod"])), false),
        (of(requirement(Operator::Exists, &[])), true),
        (None, false),
    ] {
        let mut cluster = Cluster::new(&SchedulerConfiguration::default());
        let node = cluster.add_node("a", 4000, &[]);
        let labels = [("env", "test")].into_iter().collect();
        cluster.act(Action::create(
            ObjectMeta { labels, ..ObjectMeta::new("", "default") },
            NamespaceSpec,
        ));
        cluster.create_on("other", template(100, 0), node);
        let mut shy = template(100, 0);
        shy.spec.affinity.required_anti.push(PodAffinityTerm {
            selector: Some(Selector::default()),
            match_label_keys: Vec::new(),
            mismatch_label_keys: Vec::new(),
            namespaces: vec!["elsewhere".into()],
            namespace_selector: namespace_selector.clone(),
            topology_key: HOSTNAME_LABEL.into(),
        });
        cluster.create("shy", shy);
        let verdict = cluster.next().unwrap().decision.verdict;
        let waits = matches!(verdict, Verdict::Waits { .. });
        assert_eq!(waits, selects, "{namespace_selector:?}");
    }
}

#[test]
fn a_host_port_that_two_pods_have_is_free_when_one_of_them_goes() {
    // `UsedPorts` is a set: it does not count how many pods have a port.
    let mut cluster = Cluster::new(&SchedulerConfiguration::default());
    let node = cluster.add_node("a", 1000, &[]);
    cluster.create_on("important", with_host_port(template(0, 10), 80), node);
    let lesser = cluster.create_on("lesser", with_host_port(template(0, 0), 80), node);
    cluster.create("pod", with_host_port(template(0, 5), 80));
    let attempt = cluster.next().unwrap();
    let Verdict::Waits { chosen: Some(chosen), .. } = &attempt.decision.verdict else {
        panic!("{:?}", attempt.decision.verdict)
    };
    let victims: Vec<Option<PodId>> = chosen.victims.iter().map(|victim| victim.pod.id).collect();
    assert_eq!(victims, [Some(lesser)]);
}

#[test]
fn no_more_candidates_that_violate_a_budget_are_kept_than_are_wanted() {
    let mut configuration = SchedulerConfiguration::default();
    let preemption = &mut configuration.profiles[0].arguments.preemption;
    preemption.min_candidate_nodes_percentage = 0;
    preemption.min_candidate_nodes_absolute = 2;
    let mut cluster = Cluster::new(&configuration);
    for name in ["a", "b", "c", "d"] {
        let node = cluster.add_node(name, 1000, &[]);
        cluster.create_on(&format!("on-{name}"), template(1000, 0), node);
    }
    let budget = PodDisruptionBudgetSpec {
        selector: Some(Selector::from_labels(&[("app", "web")].into_iter().collect())),
        budget: Budget::MaxUnavailable(IntOrPercent::Int(0)),
        always_allows_unhealthy: false,
    };
    cluster.act(Action::create(ObjectMeta::new("default", "keeps-all"), budget));
    cluster.create("pod", template(1000, 5));
    let attempt = cluster.next().unwrap();
    let Verdict::Waits { post_filter: Some(PostFilter::Candidates(candidates)), .. } =
        &attempt.decision.verdict
    else {
        panic!("{:?}", attempt.decision.verdict)
    };
    let nodes: Vec<usize> = candidates.iter().map(|candidate| candidate.node).collect();
    assert_eq!(nodes, [0, 1]);
    assert!(candidates.iter().all(|candidate| candidate.budget_violations == 1));
}

#[test]
fn as_many_victims_as_a_budget_allows_do_not_violate_it() {
    let violations = |disruptions_allowed| {
        let mut cluster = Cluster::new(&SchedulerConfiguration::default());
        let node = cluster.add_node("a", 1000, &[]);
        cluster.create_on("victim", template(1000, 0), node);
        let budget = PodDisruptionBudgetSpec {
            selector: Some(Selector::from_labels(&[("app", "web")].into_iter().collect())),
            budget: Budget::MaxUnavailable(IntOrPercent::Int(disruptions_allowed)),
            always_allows_unhealthy: false,
        };
        cluster.act(Action::create(ObjectMeta::new("default", "keeps-some"), budget));
        let (id, _) = cluster.store.disruption_budgets().iter().next().expect("it was created");
        let status = PodDisruptionBudgetStatus { disruptions_allowed, ..Default::default() };
        cluster.act(Action::status(id, status));
        cluster.create("pod", template(1000, 5));
        let attempt = cluster.next().unwrap();
        let Verdict::Waits { post_filter: Some(PostFilter::Candidates(candidates)), .. } =
            &attempt.decision.verdict
        else {
            panic!("{:?}", attempt.decision.verdict)
        };
        candidates[0].budget_violations
    };
    assert_eq!([violations(0), violations(1)], [1, 0]);
}

#[test]
fn by_default_nodes_with_an_empty_zone_and_without_one_are_one_domain() {
    let mut cluster = Cluster::new(&SchedulerConfiguration::default());
    let none = cluster.add_node("none", 8000, &[]);
    cluster.add_node("empty", 8000, &[(ZONE_LABEL, "")]);
    cluster.add_node("zone", 8000, &[(ZONE_LABEL, "z")]);
    cluster.act(service());
    for number in 0..4 {
        cluster.create_on(&format!("old-{number}"), template(0, 0), none);
    }
    cluster.create("pod", template(0, 0));
    let attempt = cluster.next().unwrap();
    let Verdict::Placed { scores: Some(scores), .. } = &attempt.decision.verdict else {
        panic!("{:?}", attempt.decision.verdict)
    };
    let (_, spread) = scores.plugins.iter().find(|(name, _)| *name == "PodTopologySpread").unwrap();
    // Hosts weigh ln(3 + 2), zones ln(2 + 2), of which "" is one with 4 pods: none 4 * 1.609 + 2 = 8,
    // empty 2 + 4 * 1.386 + 4 = 12, zone 2 + 4 = 6. Of 12 at most and 6 at least: 116, cut, and so on;
    // times the weight of 2.
    let mut by_node: Vec<(usize, i64)> =
        scores.nodes.iter().copied().zip(spread.iter().copied()).collect();
    by_node.sort_unstable();
    let expected = [2 * (100 * (12 + 6 - 8) / 12), 2 * (100 * 6 / 12), 2 * 100];
    assert_eq!(by_node, [(0, expected[0]), (1, expected[1]), (2, expected[2])]);
}

#[test]
fn without_nodes_a_pod_is_tried_again_after_its_back_off() {
    let mut cluster = Cluster::new(&SchedulerConfiguration::default());
    let pod = cluster.create("pod", template(100, 0));
    let attempt = cluster.next().unwrap();
    let Verdict::Waits { message, .. } = &attempt.decision.verdict else {
        panic!("there is no node")
    };
    assert_eq!(message, "no nodes available to schedule pods");
    assert_eq!(cluster.next().map(|attempt| attempt.pod), None);
    // The node alone does not let it in: no plugin waits for one.
    let node = cluster.add_node("a", 1000, &[]);
    assert_eq!(cluster.next().map(|attempt| attempt.pod), None);
    let wake = cluster.scheduler.wake_time(cluster.now).unwrap();
    assert_eq!(wake.since(cluster.now), SimDuration::from_secs(2));
    cluster.now = wake;
    assert_eq!(cluster.next().map(|attempt| attempt.pod), Some(pod));
    assert_eq!(cluster.store.pods()[pod].node, Some(node));
}

#[test]
fn a_pod_stays_selected_when_its_gates_go_and_is_forgotten_when_it_goes() {
    let mut cluster = Cluster::new(&SchedulerConfiguration::default());
    let mut gated = template(100, 0);
    gated.spec.scheduling_gates.push("wait".into());
    let pod = cluster.create("pod", gated);
    cluster.act(service());
    let selected = |cluster: &Cluster| -> Vec<PodId> {
        let (service, _) = cluster.store.services().iter().next().unwrap();
        cluster.store.selected_by(Selecting::Service(service)).map(|(pod, _)| pod).collect()
    };
    assert_eq!(selected(&cluster), [pod]);
    cluster.act(Action::UngatePod(pod));
    assert_eq!(selected(&cluster), [pod]);
    cluster.act(Action::RemovePod(pod));
    assert_eq!(selected(&cluster), []);
    // Pods of a template that was selected before are listed as they come.
    let next = cluster.create("next", template(100, 0));
    assert_eq!(selected(&cluster), [next]);
}

#[test]
fn a_pod_whose_claim_is_missing_is_tried_again_when_the_claim_comes() {
    let mut cluster = Cluster::new(&SchedulerConfiguration::default());
    cluster.add_node("a", 1000, &[]);
    let kind = Kind::PersistentVolumeClaim;
    let claim = |name: &'static str| {
        Action::create(ObjectMeta::new("default", name), ClaimContent::from(ClaimSpec::default()))
    };
    let mut stateful = template(100, 0);
    stateful.spec.references.push(Reference { kind, name: "data".into(), key: None, volume: None });
    let pod = cluster.create("pod", stateful);
    let attempt = cluster.next().unwrap();
    let Verdict::Waits { message, .. } = &attempt.decision.verdict else { panic!("no claim") };
    assert!(message.contains("persistentvolumeclaim \"data\" not found"), "{message}");
    cluster.act(claim("other"));
    assert_eq!(cluster.next().map(|attempt| attempt.pod), None);
    cluster.act(claim("data"));
    assert_eq!(cluster.next().map(|attempt| attempt.pod), Some(pod));
    assert!(cluster.store.pods()[pod].node.is_some());
}

#[test]
fn a_nomination_that_goes_helps_who_waits_for_room_and_not_who_shuns_the_pod() {
    let mut cluster = Cluster::new(&SchedulerConfiguration::default());
    let node = cluster.add_node("a", 1000, &[]);
    // The node is full of a pod that matters more, so that the nominated one goes on waiting.
    let mut occupant = template(900, 20);
    occupant.labels = Labels::default();
    cluster.create_on("occupant", occupant, node);
    let mut patient = template(800, 10);
    patient.spec.preemption_policy = PreemptionPolicy::Never;
    let nominated = cluster.create("nominated", patient);
    cluster.act(Action::NominatePod(nominated, Some(node)));
    let mut shuns = template(0, 0);
    shuns.spec.affinity.required_anti.push(PodAffinityTerm {
        selector: Some(Selector::from_labels(&[("app", "web")].into_iter().collect())),
        match_label_keys: Vec::new(),
        mismatch_label_keys: Vec::new(),
        namespaces: Vec::new(),
        namespace_selector: None,
        topology_key: HOSTNAME_LABEL.into(),
    });
    let wide = cluster.create("wide", template(500, 0));
    let shy = cluster.create("shy", shuns);
    let tried: Vec<PodId> = std::iter::from_fn(|| cluster.next().map(|one| one.pod)).collect();
    assert_eq!(tried, [nominated, wide, shy]);
    let waits_for = |cluster: &Cluster, pod: PodId| {
        cluster.scheduler.queue().get(pod).map(|queued| queued.rejected_by.clone())
    };
    assert_eq!(waits_for(&cluster, shy).as_deref(), Some(&["InterPodAffinity"][..]));
    // Only pods that are on a node count for anti-affinity.
    cluster.act(Action::RemovePod(nominated));
    let tried: Vec<PodId> = std::iter::from_fn(|| cluster.next().map(|one| one.pod)).collect();
    assert_eq!(tried, [wide]);
}

#[test]
fn a_claim_of_one_pod_is_free_for_another_when_its_pod_is_gone() {
    let mut cluster = Cluster::new(&SchedulerConfiguration::default());
    cluster.add_node("a", 1000, &[]);
    cluster.add_node("b", 1000, &[]);
    let spec = ClaimSpec { access_modes: vec![AccessMode::ReadWriteOncePod], ..Default::default() };
    cluster.act(Action::create(ObjectMeta::new("default", "data"), ClaimContent::from(spec)));
    let kind = Kind::PersistentVolumeClaim;
    let with_claim = |priority| {
        let mut stateful = template(100, priority);
        stateful.spec.references.push(Reference {
            kind,
            name: "data".into(),
            key: None,
            volume: None,
        });
        stateful
    };
    let first = cluster.create("first", with_claim(0));
    assert_eq!(cluster.next().map(|attempt| attempt.pod), Some(first));
    let second = cluster.create("second", with_claim(0));
    let attempt = cluster.next().expect("a pod that waits");
    let Verdict::Waits { message, .. } = &attempt.decision.verdict else { panic!("in use") };
    let reason = "2 node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod \
                  access mode";
    assert!(message.contains(reason), "{message}");
    // One that matters more takes the claim from whoever has it.
    let third = cluster.create("third", with_claim(10));
    let attempt = cluster.next().expect("a pod that waits");
    assert_eq!(attempt.pod, third);
    let Verdict::Waits { chosen: Some(chosen), .. } = &attempt.decision.verdict else {
        panic!("nobody makes room: {:?}", attempt.decision.verdict)
    };
    let victims: Vec<_> = chosen.victims.iter().map(|victim| victim.pod.id).collect();
    assert_eq!(victims, [Some(first)]);
    cluster.act(Action::RemovePod(first));
    cluster.now += SimDuration::from_secs(60);
    assert_eq!(cluster.next().map(|attempt| attempt.pod), Some(third));
    assert!(cluster.store.pods()[third].node.is_some());
    assert!(cluster.store.pods()[second].node.is_none());
}

#[test]
fn a_pod_whose_binding_fails_is_scheduled_again() {
    let manifests = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 20\n  selector: \
                     {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec: {containers: \
                     [{name: a, image: 'a:1', resources: {requests: {cpu: 100m}}}]}\n";
    // The scheduler decides at once and binds one pod a second; meanwhile a node goes, and with it those to come.
    let scenario = "apiVersion: wavetank/v1\nkind: Scenario\nname: bindings\nduration: 10m\nmanifests: [manifests.yaml]\n\
                    timing: {schedulerClient: {qps: 1, burst: 1}}\ncluster: {nodePools: [{name: general, count: 2, \
                    capacity: {cpu: 4, memory: 8Gi}}]}\nworkloads: [{workload: Deployment/default/web, app: {imagePull: \
                    1s}}]\ntimeline: [{at: 5s, delete: Node/general-1}]\n";
    let mut run = Run::new(scenario, manifests);
    run.until(6);
    assert_eq!(run.0.view().nodes().values().count(), 1);
    run.until(500);
    assert_eq!(run.0.view().pods().values().filter(|pod| pod.is_ready()).count(), 20);
}
