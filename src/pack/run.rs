//! Placing the pods of a list under one policy.

use std::collections::BTreeMap;

use super::figures::{ResourceUse, SHARED_GPU, WeightedClass, resource_use};
use super::list::{ListedPod, PodKind, PodList};
use super::placer::Placer;
use super::policy::Policy;
use cluster::action::{Action, PodDraft, PodName, PodSource};
use cluster::node::{Node, NodeId};
use cluster::pod::{Owner, PodId};
use cluster::{Name, ObjectId};
use engine::Streams;
use scheduler::gpu::{DeviceSet, GpuRequest};
use scheduler::plugins::gpu_fragmentation::{Fragmentation, TypicalPod, typical_pods};
use scheduler::profile::ProfileError;
use scheduler::{Scheduler, TieBreaker};
use units::HourlyPrice;

/// Maximum number of points of a curve.
const CURVE_POINTS: usize = 200;

/// Nodes, pods and seed of a packing.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Price of a node, by pool; nodes of other pools have no known price.
    pub prices: BTreeMap<Name, HourlyPrice>,
    /// The pods.
    pub pods: PodList,
    /// Seed of all that is drawn.
    pub seed: u64,
    /// Whether ties between nodes are resolved by the smallest name instead of at random.
    pub ties_by_name: bool,
    /// Number of pods, from the first on, that the typical ones are counted from; absent = all.
    pub typical_of: Option<usize>,
    /// Share of those that the typical ones make up, percent.
    pub typical_percent: u32,
}

/// Where a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodPlacement {
    /// Name of the node.
    pub node: Name,
    /// The GPUs that it shares.
    pub devices: DeviceSet,
}

/// A point of the curve: the amounts requested and placed so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CurvePoint {
    /// Requested by all pods that arrived, including those that were not placed.
    pub arrived: i64,
    /// Requested by the pods that are placed.
    pub placed: i64,
}

/// Result of a policy.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The policy's name.
    pub policy: String,
    /// Final place of each pod of the list; absent = not placed.
    pub places: Vec<Option<PodPlacement>>,
    /// Number of preemptions; a preempted pod is queued again behind the others.
    pub preemptions: usize,
    /// Nodes with at least one pod.
    pub nodes_used: usize,
    /// GPUs of which any part is taken.
    pub gpus_touched: usize,
    /// Price of those nodes.
    pub price_of_used: HourlyPrice,
    /// All resources by name.
    pub resources: BTreeMap<Name, ResourceUse>,
    /// The scarce resource over the arrivals.
    pub curve: Vec<CurvePoint>,
}

impl Outcome {
    /// Number of pods that have a node.
    pub fn placed(&self) -> usize {
        self.places.iter().flatten().count()
    }
}

impl Plan {
    /// The typical pods of its list.
    pub fn typical(&self) -> Vec<TypicalPod> {
        let classes: Vec<_> = self.pods.kinds.iter().map(PodKind::class).collect();
        let counted = self.typical_of.unwrap_or(self.pods.pods.len());
        let pods = self.pods.pods.iter().take(counted).map(|pod| &classes[pod.kind]);
        typical_pods(
            pods.map(|one| (one.requests.milli_cpu, one.gpu.clone())),
            self.typical_percent,
        )
    }

    /// The plan with the pods of its DaemonSets on its nodes.
    #[must_use]
    pub fn with_daemon_pods(&self) -> Self {
        Self { pods: self.pods.for_nodes(&self.nodes), ..self.clone() }
    }

    /// Places all pods under a policy; those of DaemonSets where they come among the others.
    pub fn run(&self, policy: &Policy) -> Result<Outcome, ProfileError> {
        if !self.pods.daemon_sets.is_empty() {
            return self.with_daemon_pods().run(policy);
        }
        let typical = self.typical();
        let mut policy = policy.clone();
        policy.configuration.expect_typical(&typical);
        // Nothing leaves, so that a pod that does not fit never will.
        policy.configuration.retries_waiting_pods = false;
        let ties = if self.ties_by_name {
            TieBreaker::FirstByName
        } else {
            TieBreaker::drawn(Streams::new(self.seed).stream("scheduler ties", 0))
        };
        let scheduler = Scheduler::new(&policy.configuration, ties)?;
        let mut run = Run::new(self, Placer::new(scheduler, self.seed));
        run.place_all();
        Ok(run.finish(policy.name, &Fragmentation { typical: typical.into() }))
    }

    /// Every kind of pod with its share of all.
    fn weighted_kinds(&self) -> Vec<WeightedClass> {
        let mut counts = vec![0_u32; self.pods.kinds.len()];
        for pod in &self.pods.pods {
            counts[pod.kind] += 1;
        }
        let all = self.pods.pods.len().max(1) as f64;
        let kinds = self.pods.kinds.iter().zip(counts);
        let weighted = |(kind, count): (&PodKind, u32)| WeightedClass {
            class: kind.class(),
            share: f64::from(count) / all,
        };
        kinds.map(weighted).collect()
    }

    /// The resource of the curve, with the request of each kind of pod: shares of GPUs if any
    /// pod requests them, else whole GPUs, else CPU.
    pub(crate) fn scarce_resource(&self) -> (Name, Vec<i64>) {
        let classes: Vec<_> = self.pods.kinds.iter().map(PodKind::class).collect();
        if classes.iter().any(|class| class.gpu.is_some()) {
            let asked =
                classes.iter().map(|one| one.gpu.as_ref().map_or(0, GpuRequest::total_milli));
            return (SHARED_GPU.into(), asked.collect());
        }
        let device = classes.iter().flat_map(|class| &class.requests.scalars).next();
        let name = device.map_or_else(|| Name::from("cpu"), |(name, _)| name.clone());
        let asked = classes.iter().map(|class| class.requests.get(&name)).collect();
        (name, asked)
    }
}

/// A run on its way.
struct Run<'a> {
    plan: &'a Plan,
    placer: Placer,
    owners: Vec<Option<Owner>>,
    /// The pod object of each pod of the list.
    objects: Vec<Option<PodId>>,
    asked: Vec<i64>,
    at: CurvePoint,
    curve: Vec<CurvePoint>,
    preemptions: usize,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, mut placer: Placer) -> Self {
        for node in &plan.nodes {
            // Two nodes of one name are one node, as in a cluster.
            let _ = placer.act(Action::add_node(node.clone()));
        }
        for object in &plan.pods.objects {
            // Objects refused by admission are not visible to the scheduler either.
            let _ = placer.act(object.clone());
        }
        let store = placer.store();
        let owner = |kind: &PodKind| {
            let owner = kind.owner.as_ref()?;
            match store.object_named(owner.kind, &owner.id)? {
                ObjectId::StatefulSet(id) => Some(Owner::StatefulSet(id)),
                ObjectId::ReplicaSet(id) => Some(Owner::ReplicaSet(id)),
                _ => None,
            }
        };
        let owners = plan.pods.kinds.iter().map(owner).collect();
        Self {
            plan,
            placer,
            owners,
            objects: vec![None; plan.pods.pods.len()],
            asked: plan.scarce_resource().1,
            at: CurvePoint::default(),
            curve: vec![CurvePoint::default()],
            preemptions: 0,
        }
    }

    fn place_all(&mut self) {
        let pods = &self.plan.pods.pods;
        let step = pods.len().div_ceil(CURVE_POINTS).max(1);
        let mut waiting: Vec<usize> = Vec::new();
        for (position, pod) in pods.iter().enumerate() {
            self.at.arrived += self.asked[pod.kind];
            waiting.extend(self.place(position, pod));
            if (position + 1) % step == 0 || position + 1 == pods.len() {
                self.curve.push(self.at);
            }
        }
        // Those that had to go come again. Each time the pods that are placed matter more, so that this
        // ends; the bound is for configurations in which that is not so.
        let mut left = pods.len().saturating_mul(4);
        while let Some(position) = waiting.pop()
            && left > 0
        {
            left -= 1;
            waiting.extend(self.place(position, &pods[position]));
        }
    }

    /// Places a pod, and returns the positions of those that had to go for it.
    fn place(&mut self, position: usize, pod: &ListedPod) -> Vec<usize> {
        let kind = &self.plan.pods.kinds[pod.kind];
        let name = if pod.is_prefix || self.objects[position].is_some() {
            PodName::Generate(format!("{}-", pod.name).into())
        } else {
            PodName::Exact(pod.name.clone())
        };
        let owner = self.owners[pod.kind];
        let mut draft = PodDraft {
            name,
            namespace: kind.namespace.clone(),
            template: PodSource::New(Box::new(kind.template.clone())),
            owner,
        };
        let mut created = self.placer.create(draft.clone());
        if created.is_err() {
            // A count above one makes several pods of one name.
            draft.name = PodName::Generate(format!("{}-", pod.name).into());
            created = self.placer.create(draft);
        }
        let Ok(object) = created else { return Vec::new() };
        self.objects[position] = Some(object);
        while self.placer.place().is_some() {}
        self.preempted(object, pod)
    }

    fn preempted(&mut self, object: PodId, pod: &ListedPod) -> Vec<usize> {
        let gone = self.placer.take_preempted();
        self.preemptions += gone.len();
        let mut positions = Vec::new();
        for victim in gone {
            if let Some(position) = self.objects.iter().position(|one| *one == Some(victim)) {
                self.at.placed -= self.asked[self.plan.pods.pods[position].kind];
                positions.push(position);
            }
        }
        let is_placed = self.node_of(object).is_some();
        if is_placed {
            self.at.placed += self.asked[pod.kind];
        } else {
            // It would stay pending forever.
            let _ = self.placer.act(Action::RemovePod(object));
        }
        positions
    }

    fn node_of(&self, object: PodId) -> Option<NodeId> {
        self.placer.store().pods().get(object)?.node
    }

    fn finish(self, policy: String, fragmentation: &Fragmentation) -> Outcome {
        let store = self.placer.store();
        let scheduler = self.placer.scheduler();
        let place = |object: &Option<PodId>| {
            let node = store.nodes().get(store.pods().get((*object)?)?.node?)?;
            Some(PodPlacement {
                node: node.meta.name().clone(),
                devices: scheduler.devices_of((*object)?),
            })
        };
        let used: Vec<&Node> = store
            .nodes()
            .iter()
            .filter(|(id, _)| store.pods_on(*id).next().is_some())
            .map(|(_, node)| node)
            .collect();
        let price = |node: &&Node| self.plan.prices.get(&node.pool).copied().unwrap_or_default();
        let price_of_used =
            used.iter().map(price).fold(HourlyPrice::default(), |sum, one| sum + one);
        let gpus = scheduler.cache().nodes().filter_map(|node| node.gpus.as_ref());
        Outcome {
            policy,
            places: self.objects.iter().map(place).collect(),
            preemptions: self.preemptions,
            nodes_used: used.len(),
            gpus_touched: gpus.map(|gpus| gpus.free.len() - gpus.idle()).sum(),
            price_of_used,
            resources: resource_use(scheduler.cache(), &self.plan.weighted_kinds(), fragmentation),
            curve: self.curve,
        }
    }
}
