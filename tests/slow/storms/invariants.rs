//! What holds after every event of every world, and what holds once a storm is over.

use std::collections::{BTreeMap, BTreeSet};

use wavetank::cluster::pod::{Owner, Pod};
use wavetank::cluster::{ClusterView, Name, ObjectId, Store};
use wavetank::engine::SimTime;
use wavetank::report::Report;
use wavetank::sim::Simulation;
use wavetank::traffic::ServiceId;
use wavetank::units::{Money, Quantity};

/// What was seen last, against which the next look is held.
#[derive(Default)]
pub struct Watcher {
    now: SimTime,
    /// What the namespace's quotas counted, by quota and resource.
    used: BTreeMap<(Name, Name), Quantity>,
}

impl Watcher {
    /// Looks at a world after an event.
    pub fn look(&mut self, simulation: &mut Simulation) {
        let now = simulation.now();
        assert!(now >= self.now, "the clock went back from {} to {now}", self.now);
        self.now = now;
        let view = simulation.view();
        assert_pods_are_in_one_place(view);
        assert_no_node_is_over_committed(view);
        self.assert_quotas_hold(view.store());
        assert_requests_are_conserved(simulation);
    }

    /// What a quota counts does not grow beyond its limit; it may be beyond it where the limit was lowered.
    fn assert_quotas_hold(&mut self, store: &Store) {
        for quota in store.quotas().values() {
            for counted in store.quota_used(quota) {
                let key = (quota.meta.name().clone(), counted.resource);
                let before = self.used.insert(key, counted.used);
                let before = before.unwrap_or(counted.used);
                assert!(
                    counted.used <= counted.hard || counted.used <= before,
                    "at {}: {} counts {} of {}",
                    self.now,
                    quota.meta.name(),
                    counted.used,
                    counted.hard
                );
            }
        }
    }
}

fn assert_pods_are_in_one_place(view: ClusterView<'_>) {
    let mut seen = BTreeSet::new();
    for (node, _) in view.nodes().iter() {
        for (pod, object) in view.pods_on(node) {
            assert_eq!(object.node, Some(node), "{}", object.id);
            assert!(seen.insert(pod), "{} is on two nodes", object.id);
        }
    }
    // Pods of a node that is gone stay until pod garbage collection finds them.
    let is_there = |pod: &&Pod| pod.node.is_some_and(|node| view.nodes().get(node).is_some());
    let bound = view.store().pods().values().filter(is_there);
    assert_eq!(bound.count(), seen.len(), "a pod is missing in the list of its node");
}

/// What kubelets have given to the pods of a node is at most what the node has.
fn assert_no_node_is_over_committed(view: ClusterView<'_>) {
    for (id, node) in view.nodes().iter() {
        let pods = || view.pods_on(id).filter(|(_, pod)| !pod.phase.is_terminal());
        for resource in ["cpu", "memory"] {
            let given: i64 = pods()
                .map(|(_, pod)| {
                    let template = &view.store().templates()[pod.allocated()];
                    template.spec.running_request(resource, Quantity::milli_value)
                })
                .sum();
            let allocatable = node.allocatable.get(resource).map_or(0, Quantity::milli_value);
            assert!(given <= allocatable, "{resource} of {}: {given}", node.meta.name());
        }
        let most = node.allocatable.get("pods").map_or(0, Quantity::value);
        assert!(
            i64::try_from(pods().count()).expect("few") <= most,
            "pods of {}",
            node.meta.name()
        );
    }
}

fn assert_requests_are_conserved(simulation: &mut Simulation) {
    let now = simulation.now();
    let services = u32::try_from(simulation.traffic_services().count()).expect("few services");
    for service in 0..services {
        let figures = simulation.traffic_mut().figures(now, ServiceId(service));
        let ended = figures.outcomes.answered + figures.outcomes.failed_in_all();
        assert_eq!(figures.outcomes.arrived, ended + figures.in_flight, "at {now}");
    }
}

/// What does not fit the pods as they are, once everything had time to settle; nothing if all is well.
pub fn unsettled(view: ClusterView<'_>) -> Vec<String> {
    let store = view.store();
    let mut wrong = Vec::new();
    for pod in store.pods().values() {
        if pod.is_terminating() {
            wrong.push(format!("{} terminates", pod.id));
        }
        if pod.node.is_some_and(|node| view.nodes().get(node).is_none()) {
            wrong.push(format!("the node of {} is gone", pod.id));
        }
        if let Some(owner) = pod.owner
            && store.meta_of(ObjectId::from(owner)).is_none()
        {
            wrong.push(format!("the owner of {} is gone", pod.id));
        }
    }
    let counts = |owner: Owner| {
        let pods: Vec<&Pod> = store.pods_of(owner).map(|(_, pod)| pod).collect();
        let counted = pods.iter().filter(|pod| !pod.phase.is_terminal() && !pod.is_terminating());
        let ready = counted.clone().filter(|pod| pod.is_ready()).count();
        (i32::try_from(counted.count()).unwrap_or(0), i32::try_from(ready).unwrap_or(0))
    };
    for (id, deployment) in store.deployments().iter() {
        let sets = store.replica_sets_of(id).map(|(set, _)| counts(Owner::ReplicaSet(set)));
        let (pods, ready) = sets.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let status = (deployment.status.replicas, deployment.status.ready_replicas);
        if status != (pods, ready) {
            wrong.push(format!(
                "{}: {status:?} for {pods} pods, {ready} ready",
                deployment.meta.name()
            ));
        }
    }
    for (id, set) in store.stateful_sets().iter() {
        let (pods, ready) = counts(Owner::StatefulSet(id));
        let status = (set.status.replicas, set.status.ready_replicas);
        if status != (pods, ready) {
            wrong.push(format!("{}: {status:?} for {pods} pods, {ready} ready", set.meta.name()));
        }
    }
    for (id, set) in store.daemon_sets().iter() {
        let (pods, ready) = counts(Owner::DaemonSet(id));
        let status = (set.status.current_number_scheduled, set.status.number_ready);
        if status != (pods, ready) {
            wrong.push(format!("{}: {status:?} for {pods} pods, {ready} ready", set.meta.name()));
        }
    }
    wrong
}

/// The bill adds up, to the last digit, however it is split.
pub fn assert_money_adds_up(report: &Report) {
    let cost = &report.cost;
    let workloads: Money = cost.workloads.iter().map(|one| one.usd).sum();
    let pools: Money = cost.pools.iter().map(|one| one.usd).sum();
    let machines: Money = cost.machines.iter().map(|one| one.usd).sum();
    let charges: Money = cost.charges.iter().map(|one| one.usd).sum();
    assert_eq!(cost.total_usd, cost.nodes_usd + charges, "nodes and what is beside them");
    assert_eq!(cost.nodes_usd, workloads + cost.idle_usd, "by workload");
    assert_eq!(cost.nodes_usd, pools, "by pool");
    assert_eq!(cost.nodes_usd, machines, "by machine");
}
