//! The initial cluster of a case, as Karpenter's input.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::case::{Case, CaseBudget, CaseNode, CaseOptions, CasePod, NodeStage, Resources};
use super::catalog::Catalog;
use super::pools::{HASH, labels, node_pool, taints};
use crate::objects::object_of;
use cluster::node::Taint;
use cluster::pod_template::{PodTemplate, TaintEffect};
use cluster::selector::Selector;
use cluster::{AnySpec, Labels, Name, NamespacedName};
use engine::{SimDuration, SimTime};
use karpenter::InstanceType;
use karpenter::labels::{CAPACITY_TYPE, HOSTNAME, NODE_POOL, ZONE};
use karpenter::node_pods::NodePods;
use karpenter::node_pool::NodePool;
use karpenter::pdb::{Budgets, PodBudget};
use karpenter::pod::{Pod, PodOwner};
use karpenter::state::{
    DriftReason, MinValuesPolicy, NodeClaim, NodeObject, Options, PreferencePolicy, Snapshot,
    StateNode,
};
use karpenter::ties::Ties;

/// Calendar time at which all recordings begin.
const EPOCH: &str = "2000-01-01T00:00:00Z";

/// Simulated time at which a case starts.
pub(super) fn start(case: &Case) -> SimTime {
    SimTime::from_secs_f64(case.start_offset_s)
}

/// The cluster at the start of a case.
pub(super) fn snapshot(case: &Case, catalog: &Catalog) -> Result<Snapshot, String> {
    let now = start(case);
    let pools = case.nodepools.iter().enumerate();
    let pools: Vec<Arc<NodePool>> = pools
        .map(|(place, one)| Ok(Arc::new(node_pool(one, &format!("nodepools[{place}]"))?)))
        .collect::<Result<_, String>>()?;
    let types: Arc<[Arc<InstanceType>]> =
        catalog.of_case(case.instance_types.as_deref(), &case.unavailable_offerings)?.into();
    let mut nodes = BTreeMap::new();
    for (place, one) in case.nodes.iter().enumerate() {
        let node = state_node(one, &pools, catalog, now, &format!("nodes[{place}]"))?;
        nodes.insert(one.name.clone(), node);
    }
    let mut waiting = Vec::new();
    for (place, one) in case.pods.iter().enumerate() {
        let pod = Arc::new(pod(one, now, &format!("pods[{place}]"))?);
        match &one.node {
            None => waiting.push(pod),
            Some(node) => {
                let unknown = || format!("pods[{place}].node: there is no node {node:?}");
                nodes.get_mut(node).ok_or_else(unknown)?.pods.push(pod);
            }
        }
    }
    let daemons = case.daemonsets.iter().enumerate().map(|(place, one)| {
        let at = format!("daemonsets[{place}]");
        let given = json!({ "name": one.name, "namespace": "kube-system" });
        let template = template(&given, &one.requests, &one.host_ports, &one.spec, &at)?;
        let id = NamespacedName::new("kube-system", one.name.as_str());
        let mut daemon = Pod::pending(id, one.name.as_str().into(), Arc::new(template));
        daemon.owner = PodOwner::DaemonSet;
        Ok(Arc::new(daemon))
    });
    Ok(Snapshot {
        now,
        epoch: EPOCH.parse().expect("it is a date"),
        nodes: nodes.into_values().collect(),
        waiting,
        instance_types: pools.iter().map(|pool| (pool.name.clone(), Arc::clone(&types))).collect(),
        pools,
        daemons: daemons.collect::<Result<_, String>>()?,
        budgets: Budgets(case.pdbs.iter().map(pod_budget).collect::<Result<_, _>>()?),
        namespaces: namespaces(case),
        well_known: Arc::clone(&catalog.well_known),
        options: options(&case.options)?,
        ties: Ties::default(),
    })
}

fn options(given: &CaseOptions) -> Result<Options, String> {
    let mut options = Options::default();
    match given.preference_policy.as_deref() {
        None | Some("" | "Respect") => {}
        Some("Ignore") => options.preference_policy = PreferencePolicy::Ignore,
        Some(other) => return Err(format!("options.preference_policy: {other:?} is unknown")),
    }
    match given.min_values_policy.as_deref() {
        None | Some("" | "Strict") => {}
        Some("BestEffort") => options.min_values_policy = MinValuesPolicy::BestEffort,
        Some(other) => return Err(format!("options.min_values_policy: {other:?} is unknown")),
    }
    options.spot_to_spot_consolidation = given.spot_to_spot_consolidation;
    if let Some(most) = given.max_instance_types {
        options.max_instance_types = most;
    }
    Ok(options)
}

/// The namespaces that a case names; each has a label `team` with its own name.
fn namespaces(case: &Case) -> Vec<(Name, Labels)> {
    let named = case.pods.iter().filter_map(|pod| pod.namespace.as_deref());
    let all: BTreeSet<&str> = named.chain(["default", "kube-system"]).collect();
    let with_labels = |name: &str| {
        let labels = [("kubernetes.io/metadata.name", name), ("team", name)];
        (Name::from(name), labels.into_iter().collect())
    };
    all.into_iter().map(with_labels).collect()
}

/// A pod; `at` is its path in the case.
pub(super) fn pod(given: &CasePod, now: SimTime, at: &str) -> Result<Pod, String> {
    let namespace = given.namespace.as_deref().unwrap_or("default");
    let metadata = json!({
        "name": given.name, "namespace": namespace,
        "labels": given.labels, "annotations": given.annotations,
    });
    let template = template(&metadata, &given.requests, &given.host_ports, &given.spec, at)?;
    let id = NamespacedName::new(namespace, given.name.as_str());
    let mut pod = Pod::pending(id, given.uid.as_str().into(), Arc::new(template));
    pod.created = (now - SimDuration::from_secs_f64(given.age_s)).floor_to_second();
    pod.owner = match given.owner.as_deref() {
        None | Some("" | "ReplicaSet" | "Job" | "Deployment" | "None") => PodOwner::Other,
        Some("DaemonSet") => PodOwner::DaemonSet,
        Some("StatefulSet") => PodOwner::StatefulSet,
        Some("Node") => PodOwner::Node,
        Some(other) => return Err(format!("{at}.owner: {other:?} is unknown")),
    };
    if let Some(node) = &given.node {
        pod.node = Some(node.as_str().into());
        pod.started = Some(pod.created);
        pod.is_unschedulable = false;
    }
    Ok(pod)
}

/// A pod's template: one container with its requests, unless its spec has containers.
fn template(
    metadata: &Value,
    requests: &Resources,
    ports: &[u16],
    spec: &Value,
    at: &str,
) -> Result<PodTemplate, String> {
    let ports: Vec<Value> =
        ports.iter().map(|port| json!({ "containerPort": port, "hostPort": port })).collect();
    let whole = |name: &&String| name.contains('/');
    let limits: Map<String, Value> =
        requests.keys().filter(whole).map(|name| (name.clone(), json!(requests[name]))).collect();
    let container = json!({
        "name": "c", "image": "x", "ports": ports,
        "resources": { "requests": requests, "limits": limits },
    });
    let mut merged = json!({ "containers": [container] });
    match spec {
        Value::Null => {}
        Value::Object(fields) => {
            for (name, value) in fields {
                merged[name] = value.clone();
            }
        }
        _ => return Err(format!("{at}.spec: must be an object")),
    }
    let given = json!({ "metadata": metadata, "spec": merged });
    let AnySpec::Pod(template) = object_of(("v1", "Pod"), given, at)?.spec else {
        return Err(format!("{at}: is no Pod"));
    };
    Ok(*template)
}

fn pod_budget(given: &CaseBudget) -> Result<PodBudget, String> {
    let is = |value: &Option<Value>, expected: &[Value]| {
        value.as_ref().is_some_and(|value| expected.contains(value))
    };
    let always = match given.unhealthy_pod_eviction_policy.as_deref() {
        None | Some("" | "IfHealthyBudget") => false,
        Some("AlwaysAllow") => true,
        Some(other) => return Err(format!("pdb {}: {other:?} is unknown", given.name)),
    };
    Ok(PodBudget {
        id: NamespacedName::new(
            given.namespace.as_deref().unwrap_or("default"),
            given.name.as_str(),
        ),
        selector: Some(Selector::from_labels(&labels(&given.selector))),
        disruptions_allowed: given.disruptions_allowed,
        is_fully_blocking: is(&given.max_unavailable, &[json!(0), json!("0%")])
            || is(&given.min_available, &[json!("100%")]),
        always_allows_unhealthy: always,
    })
}

fn state_node(
    given: &CaseNode,
    pools: &[Arc<NodePool>],
    catalog: &Catalog,
    now: SimTime,
    at: &str,
) -> Result<StateNode, String> {
    let unknown = || format!("{at}.instance_type: {:?} is not in the catalog", given.instance_type);
    let kind = catalog.get(&given.instance_type).ok_or_else(unknown)?;
    let pool = match &given.nodepool {
        None => None,
        Some(name) => {
            let found = pools.iter().find(|pool| *pool.name == **name);
            Some(found.ok_or_else(|| format!("{at}.nodepool: there is no pool {name:?}"))?)
        }
    };
    let labels = node_labels(given, kind, pool.map(AsRef::as_ref));
    let own_taints = taints(&given.taints, &format!("{at}.taints"))?;
    let mut startup = taints(&given.startup_taints, &format!("{at}.startup_taints"))?;
    startup.extend(pool.iter().flat_map(|pool| pool.template.startup_taints.iter().cloned()));
    let claim = pool.map(|pool| claim(given, (kind, pool), &labels, startup.clone(), now));
    let is_initialized = given.state == NodeStage::Initialized;
    let mut on_node: Vec<Taint> = pool.map(|pool| pool.template.taints.clone()).unwrap_or_default();
    on_node.extend(own_taints);
    if !is_initialized {
        on_node.push(not_ready());
        on_node.extend(startup);
    }
    let node = (given.state != NodeStage::Inflight).then(|| NodeObject {
        attach_limit: None,
        name: given.name.as_str().into(),
        labels,
        annotations: super::pools::labels(&given.annotations),
        taints: on_node,
        capacity: kind.capacity.clone(),
        allocatable: kind.allocatable.clone(),
        is_ready: is_initialized && !given.not_ready,
        is_registered: true,
        is_initialized,
    });
    let nominated_until = if given.nominated {
        now + Options::default().nomination_window()
    } else {
        SimTime::from_nanos(i64::MIN)
    };
    Ok(StateNode {
        claim: claim.map(Arc::new),
        node: node.map(Arc::new),
        pods: NodePods::default(),
        is_marked: given.marked_for_deletion,
        nominated_until,
    })
}

/// Taint of a node whose kubelet is not ready.
pub(super) fn not_ready() -> Taint {
    Taint {
        key: "node.kubernetes.io/not-ready".into(),
        value: "".into(),
        effect: TaintEffect::NoSchedule,
        time_added: None,
    }
}

/// The labels of a node from its type, offering and pool.
fn node_labels(given: &CaseNode, kind: &InstanceType, pool: Option<&NodePool>) -> Labels {
    let offering = [
        (ZONE, given.zone.as_str()),
        (CAPACITY_TYPE, given.capacity_type.as_str()),
        (HOSTNAME, given.name.as_str()),
    ];
    let of_pool = pool.map(|pool| {
        let own = pool.template.labels.iter().map(|(key, value)| (key.clone(), value.clone()));
        own.chain([(Name::from(NODE_POOL), pool.name.clone())]).collect::<Vec<_>>()
    });
    type_labels(kind)
        .chain(offering.map(|(key, value)| (key.into(), value.into())))
        .chain(of_pool.into_iter().flatten())
        .chain(given.labels.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())))
        .collect()
}

/// The labels common to all nodes of a type.
pub(super) fn type_labels(kind: &InstanceType) -> impl Iterator<Item = (Name, Name)> {
    let single = kind.requirements.iter();
    single.filter_map(|one| Some((one.key.clone(), one.only_value()?.clone())))
}

fn claim(
    given: &CaseNode,
    (kind, pool): (&InstanceType, &NodePool),
    labels: &Labels,
    startup_taints: Vec<Taint>,
    now: SimTime,
) -> NodeClaim {
    let ago = |seconds: f64| (now - SimDuration::from_secs_f64(seconds)).floor_to_second();
    let initialized = given.initialized_age_s.unwrap_or(given.age_s);
    NodeClaim {
        name: given.name.as_str().into(),
        labels: labels.clone(),
        annotations: super::pools::labels(&given.annotations),
        taints: pool.template.taints.clone(),
        startup_taints,
        requirements: pool.requirements().written(),
        requests: karpenter::Amounts::default(),
        capacity: kind.capacity.clone(),
        allocatable: kind.allocatable.clone(),
        created: ago(given.age_s),
        expire_after: pool.template.expire_after,
        termination_grace_period: pool.template.termination_grace_period,
        hash: if given.nodepool_hash_mismatch { "another" } else { HASH }.into(),
        provider_id: Some(given.name.as_str().into()),
        initialized: (given.state == NodeStage::Initialized).then(|| ago(initialized)),
        consolidatable: given.consolidatable.filter(|holds| *holds).map(|_| now),
        drifted: given.drifted_age_s.map(|age| (ago(age), DriftReason::NodePoolDrifted)),
        last_pod_event: given.last_pod_event_age_s.map(ago),
        is_terminating: false,
    }
}
