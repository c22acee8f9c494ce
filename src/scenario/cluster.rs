//! The nodes of a scenario: pools of identical machines, from the catalog or described in place.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gpus::PoolGpus;
use super::karpenter::KarpenterSettings;
use super::karpenter::manifests_of;
use super::machines::{MachineSettings, Preset};
use super::node_autoscaler::{ClusterAutoscalerSettings, NodeAutoscaler};
use super::pool_size::{PoolSize, SizeBounds};
use capacity::catalog::{self, FindError};
use capacity::machine_prices::MachinePrices;
use capacity::node_type::{
    ARCHITECTURE_LABEL, Gpus, INSTANCE_TYPE_LABEL, NodeType, OPERATING_SYSTEM_LABEL,
};
use cluster::node::{
    CapacityType, HOSTNAME_LABEL, Machine, Node, REGION_LABEL, Serverless, Taint as NodeTaint,
    ZONE_LABEL,
};
use cluster::pod_template::{ResourceList, TaintEffect};
use cluster::{Labels, Name, ObjectMeta};
use manifest::Source;
use units::{HourlyPrice, Quantity};

/// Deprecated label names from before 1.17 that kubelets and clouds still set, for manifests that select by them.
const OLD_LABELS: [(&str, &str); 5] = [
    (ARCHITECTURE_LABEL, "beta.kubernetes.io/arch"),
    (OPERATING_SYSTEM_LABEL, "beta.kubernetes.io/os"),
    (INSTANCE_TYPE_LABEL, "beta.kubernetes.io/instance-type"),
    (REGION_LABEL, "failure-domain.beta.kubernetes.io/region"),
    (ZONE_LABEL, "failure-domain.beta.kubernetes.io/zone"),
];

/// Default capacity of a serverless pool's nodes, so large that no pod waits for room.
const ROOM: [(&str, i64); 4] = [
    ("cpu", 10_000),
    ("memory", 10_000 << 32),
    ("ephemeral-storage", 10_000 << 30),
    ("pods", 10_000),
];

/// The cluster that the manifests are deployed to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Cluster {
    /// The type of cluster: eks, gke, aks, kind or bare. It determines the resources reserved on each node, the system
    /// DaemonSets and the start-up time of machines. Default: none; machines then start and stop as in the cloud of
    /// their instance type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// The autoscaler for pools whose `count` has bounds. Default: the Cluster Autoscaler with its default flags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaler: Option<NodeAutoscaler>,
    /// Creation and deletion of machines.
    #[serde(skip_serializing_if = "is_default")]
    pub machines: MachineSettings,
    /// The prices of the file that `bill.priceList` names.
    #[serde(skip)]
    pub own_prices: MachinePrices,
    /// Pools of equal nodes. Node objects among the manifests are nodes too, and cost nothing.
    pub node_pools: Vec<NodePool>,
}

/// A pool of identical nodes, named NAME-1, NAME-2, ...
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodePool {
    /// Name of the pool, used as the prefix of its nodes' names.
    pub name: Name,
    /// Number of nodes: a number; bounds such as {min: 1, max: 10} for the Cluster Autoscaler; or karpenter, which
    /// creates nodes of the pool's instance type, zones, labels and taints when pods need them.
    pub count: PoolSize,
    /// An instance type of the built-in catalog, such as aws/m5.large; `wavetank catalog` lists them. It determines
    /// capacity, price and well-known labels. Either this or `capacity` is required.
    pub instance_type: Option<String>,
    /// Capacity of one machine by resource, such as {cpu: 16, memory: 64Gi, nvidia.com/gpu: 4}; `pods` defaults to 110.
    pub capacity: Option<BTreeMap<Name, Quantity>>,
    /// Resources available to pods. Default: with an instance type, the amounts that its cloud leaves after its
    /// reservations; otherwise all of `capacity`. Resources not named here keep that default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub allocatable: BTreeMap<Name, Quantity>,
    /// Price of one node in US dollars per hour. Default: with an instance type, the catalog price in one region of its
    /// cloud (us-east-1, eastus, us-central1); otherwise 0.
    pub price_per_hour: Option<HourlyPrice>,
    /// Use the catalog's spot price instead of the on-demand price. Default false.
    #[serde(default)]
    pub spot: bool,
    /// The cloud's service if it bills pods instead of nodes: fargate or autopilot. The nodes then have no price and as much
    /// room as pods need, which `capacity` can limit. Default: the nodes are billed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serverless: Option<Serverless>,
    /// Number of disks that can be attached to a node, as `allocatable.count` in its CSINode. Default: with an instance
    /// type, the number that the CSI driver of its cloud reports for it; otherwise any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach_limit: Option<u32>,
    /// Sharing of a node's GPUs among pods: whole GPUs (the default), MIG slices, time-slicing, or fractional
    /// shares.
    pub gpus: Option<PoolGpus>,
    /// Zones over which the nodes are spread round-robin, such as [us-east-1a, us-east-1b].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<Name>,
    /// For pools with bounds and zones: if true, each zone is a node group of its own with these bounds, as on GKE, and
    /// as needed on other clouds to balance nodes over zones; if false, the cloud adds each new node to the zone with
    /// the fewest. Default false.
    #[serde(default, skip_serializing_if = "is_default")]
    pub group_per_zone: bool,
    /// Labels of the nodes, in addition to those that the cloud sets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<Name, Name>,
    /// Taints of the nodes: only pods that tolerate them are scheduled there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A taint, as in `spec.taints` of a Node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Taint {
    /// Key, such as nvidia.com/gpu.
    pub key: Name,
    /// Value. Default: none.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub value: Name,
    /// Effect on pods that do not tolerate the taint.
    pub effect: TaintEffect,
}

/// A pool with its data from the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedPool<'a> {
    pool: &'a NodePool,
    node_type: Option<NodeType>,
    /// The type of cluster that it belongs to, if set.
    preset: Option<Preset>,
}

impl Cluster {
    /// The cluster type whose machine times apply to a pool.
    pub fn preset_of(&self, pool: &ResolvedPool<'_>) -> Preset {
        let of_type = || pool.node_type.as_ref().map(|one| Preset::of(one.machine.provider));
        self.preset.or_else(of_type).unwrap_or(Preset::Eks)
    }

    /// A pool of this cluster with its data from the catalog and the cluster's preset.
    pub fn resolve<'a>(&self, pool: &'a NodePool) -> Result<ResolvedPool<'a>, FindError> {
        let preset = self.preset;
        pool.resolve().map(|resolved| ResolvedPool { preset, ..resolved })
    }

    /// The Cluster Autoscaler, if there is one.
    pub fn cluster_autoscaler(&self) -> Option<ClusterAutoscalerSettings> {
        let given = self.autoscaler.as_ref().map(|one| one.cluster_autoscaler.clone());
        let has_bounds = self.node_pools.iter().any(|pool| pool.count.bounds().is_some());
        let of_bounds = || has_bounds.then(ClusterAutoscalerSettings::default);
        match self.autoscaler {
            // Karpenter's settings do not concern pools with bounds.
            Some(NodeAutoscaler { karpenter: Some(_), .. }) => given.flatten().or_else(of_bounds),
            _ => given.unwrap_or_else(of_bounds),
        }
    }

    /// Manifests of the NodePools for pools whose nodes Karpenter creates.
    pub fn node_pools_of_karpenter(&self) -> Vec<Source> {
        let own = |pool: &&NodePool| pool.count == PoolSize::Karpenter;
        self.node_pools.iter().filter(own).map(manifests_of).collect()
    }

    /// The Karpenter settings; Karpenter runs if there is a NodePool.
    pub fn karpenter_settings(&self) -> KarpenterSettings {
        let given = self.autoscaler.as_ref().and_then(|one| one.karpenter.clone());
        let mut settings = given.unwrap_or_default();
        settings.take_prices(&self.own_prices);
        settings
    }
}

/// Machines of a pool that are scaled as one node group.
#[derive(Clone, Debug)]
pub struct PoolGroup {
    /// Name of the group, used as the prefix of its nodes' names.
    pub name: Name,
    /// A template node for each of its zones, named after the group.
    pub templates: Vec<Node>,
    /// Minimum, maximum and initial number of nodes.
    pub bounds: SizeBounds,
}

impl PoolGroup {
    /// Node number `number` of the group, counted from 1; zones are assigned round-robin.
    pub fn node(&self, number: u32) -> Node {
        let at = usize::try_from(number.saturating_sub(1)).unwrap_or_default();
        named(&self.templates[at % self.templates.len()], &format!("{}-{number}", self.name))
    }
}

/// The number of disks that a machine of this instance type takes; absent if the catalog does not have it.
pub fn attach_limit_of(instance_type: &str) -> Option<u32> {
    catalog::find(instance_type).ok().map(|one| one.max_volumes)
}

/// A copy of the node under another name.
pub fn named(node: &Node, name: &str) -> Node {
    let labels = node.meta.labels.with(HOSTNAME_LABEL, name);
    Node { meta: ObjectMeta { labels, ..ObjectMeta::new("", name) }, ..node.clone() }
}

impl NodePool {
    /// Looks the instance type up in the catalog.
    pub fn resolve(&self) -> Result<ResolvedPool<'_>, FindError> {
        let node_type = self.instance_type.as_deref().map(catalog::find).transpose()?;
        Ok(ResolvedPool { pool: self, node_type, preset: None })
    }

    /// The names of its nodes at the start: `general-1`, `general-2`, ...
    pub(crate) fn node_names(&self) -> impl Iterator<Item = String> + '_ {
        (1..=self.count.at_start()).map(|number| format!("{}-{number}", self.name))
    }
}

impl ResolvedPool<'_> {
    /// The GPUs of one machine, if the catalog lists them.
    pub fn gpus(&self) -> Option<&Gpus> {
        self.node_type.as_ref()?.gpus.as_ref()
    }

    /// The instance type, if it has one.
    pub const fn node_type(&self) -> Option<&NodeType> {
        self.node_type.as_ref()
    }

    /// Price of one node; zero without one.
    pub fn price(&self) -> HourlyPrice {
        self.known_price().unwrap_or_default()
    }

    /// Price of one node, if the pool or the catalog has one. The nodes of a serverless pool cost nothing: its pods do.
    fn known_price(&self) -> Option<HourlyPrice> {
        let from_catalog = self.node_type.as_ref().map(|node_type| match node_type.spot {
            Some(spot) if self.pool.spot => spot,
            _ => node_type.on_demand,
        });
        let free = || self.pool.serverless.map(|_| HourlyPrice::default());
        self.pool.price_per_hour.or(from_catalog).or_else(free)
    }

    /// True if spot pricing was requested but neither the catalog nor the pool has a spot price.
    pub(crate) fn lacks_spot_price(&self) -> bool {
        let in_catalog = self.node_type.as_ref().and_then(|node_type| node_type.spot);
        self.pool.spot && self.pool.price_per_hour.or(in_catalog).is_none()
    }

    /// Capacity of one machine.
    pub fn capacity(&self) -> ResourceList {
        self.with_gpus(self.machine())
    }

    /// Capacity before its GPUs are split or shared.
    fn machine(&self) -> ResourceList {
        let described = || {
            let pods = self.preset.map_or(110, Preset::max_pods);
            [("pods", Quantity::from_units(pods))].into_iter().collect()
        };
        let mut capacity = self.node_type.as_ref().map_or_else(described, NodeType::capacity);
        if self.pool.serverless.is_some() {
            for (resource, amount) in ROOM {
                capacity.set(Name::from(resource), Quantity::from_units(amount));
            }
        }
        override_amounts(&mut capacity, self.pool.capacity.iter().flatten());
        capacity
    }

    /// Resources of one machine that are available to pods.
    pub fn allocatable(&self) -> ResourceList {
        let mut allocatable = match &self.node_type {
            Some(node_type) => node_type.allocatable(),
            None => self.machine(),
        };
        if let (None, Some(preset)) = (&self.node_type, self.preset) {
            preset.subtract_reserved(&mut allocatable);
        }
        allocatable = self.with_gpus(allocatable);
        override_amounts(&mut allocatable, self.pool.allocatable.iter());
        allocatable
    }

    fn with_gpus(&self, mut list: ResourceList) -> ResourceList {
        if let Some(gpus) = &self.pool.gpus {
            gpus.offer(&mut list);
        }
        list
    }

    /// Node number `number` of the pool, counted from 1, Ready.
    pub fn node(&self, number: u32) -> Node {
        self.node_in(format!("{}-{number}", self.pool.name), self.zone(number))
    }

    /// The node groups that an autoscaler scales: the pool, or one per zone.
    pub fn groups(&self) -> Vec<PoolGroup> {
        let Some(bounds) = self.pool.count.bounds() else { return Vec::new() };
        let zones: Vec<Option<&Name>> = match &self.pool.zones[..] {
            [] => vec![None],
            zones => zones.iter().map(Some).collect(),
        };
        let group = |name: String, zones: &[Option<&Name>]| PoolGroup {
            templates: zones.iter().map(|zone| self.node_in(name.clone(), *zone)).collect(),
            name: name.into(),
            bounds,
        };
        if self.pool.group_per_zone {
            let name = |zone: Option<&Name>| match zone {
                Some(zone) => format!("{}-{zone}", self.pool.name),
                None => self.pool.name.to_string(),
            };
            return zones.iter().map(|zone| group(name(*zone), &[*zone])).collect();
        }
        vec![group(self.pool.name.to_string(), &zones)]
    }

    /// A node of this name in a zone, Ready.
    fn node_in(&self, name: String, zone: Option<&Name>) -> Node {
        let cloud = self.node_type.as_ref().map_or_else(plain_labels, NodeType::labels);
        let own = self.pool.labels.iter();
        let gpus = self.pool.gpus.as_ref().map(|gpus| gpus.labels(&self.machine()));
        let labels: Labels = cloud
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .chain([(HOSTNAME_LABEL.into(), name.as_str().into())])
            .chain(gpus.into_iter().flatten())
            .chain(self.preset_labels())
            .chain(zone.map(|zone| (ZONE_LABEL.into(), zone.clone())))
            .chain(own.map(|(key, value)| (key.clone(), value.clone())))
            .collect();
        let old = OLD_LABELS
            .iter()
            .filter_map(|(new, old)| Some((Name::from(*old), labels.get(new)?.clone())));
        let given = labels.iter().map(|(key, value)| (key.clone(), value.clone()));
        let labels = old.chain(given).collect();
        Node {
            capacity: self.capacity(),
            taints: self.pool.taints.iter().map(Taint::on_node).collect(),
            images: self.preset.map_or_else(Vec::new, Preset::images),
            pool: self.pool.name.clone(),
            machine: self.machine_under(),
            ..Node::new(ObjectMeta { labels, ..ObjectMeta::new("", name) }, self.allocatable())
        }
    }

    /// The labels that a managed Kubernetes service sets in addition to those of the cloud.
    fn preset_labels(&self) -> Vec<(Name, Name)> {
        let Some(preset) = self.preset else { return Vec::new() };
        let capacity = preset.capacity_label(self.capacity_type());
        let gpus = self.gpus().and_then(|gpus| preset.accelerator_label(gpus));
        let capacity = capacity.map(|(key, value)| (key.into(), value.into()));
        capacity.into_iter().chain(gpus.map(|(key, value)| (key.into(), value))).collect()
    }

    /// Fargate and Autopilot place each pod on a machine of its own.
    fn attach_limit(&self) -> Option<u32> {
        let of_type = self.node_type.as_ref().filter(|_| self.pool.serverless.is_none());
        self.pool.attach_limit.or_else(|| of_type.map(|one| one.max_volumes))
    }

    const fn capacity_type(&self) -> CapacityType {
        if self.pool.spot { CapacityType::Spot } else { CapacityType::OnDemand }
    }

    /// The machine that each of its nodes runs on.
    fn machine_under(&self) -> Machine {
        Machine {
            instance_type: self.pool.instance_type.as_deref().unwrap_or_default().into(),
            capacity_type: self.capacity_type(),
            price: self.known_price(),
            launched: None,
            serverless: self.pool.serverless,
            attach_limit: self.attach_limit(),
        }
    }

    fn zone(&self, number: u32) -> Option<&Name> {
        let zones = &self.pool.zones;
        let index = usize::try_from(number.saturating_sub(1)).unwrap_or_default();
        if zones.is_empty() { None } else { zones.get(index % zones.len()) }
    }
}

impl Taint {
    fn on_node(&self) -> NodeTaint {
        NodeTaint {
            key: self.key.clone(),
            value: self.value.clone(),
            effect: self.effect,
            time_added: None,
        }
    }
}

/// The labels that every kubelet sets; a machine described in place counts as x86-64.
fn plain_labels() -> Labels {
    [(ARCHITECTURE_LABEL, "amd64"), (OPERATING_SYSTEM_LABEL, "linux")].into_iter().collect()
}

fn override_amounts<'a>(
    list: &mut ResourceList,
    amounts: impl Iterator<Item = (&'a Name, &'a Quantity)>,
) {
    for (resource, amount) in amounts {
        list.set(resource.clone(), *amount);
    }
}
