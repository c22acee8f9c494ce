//! The nodes of a scenario: pools of equal machines, from the catalog or described in place.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gpus::PoolGpus;
use capacity::catalog::{self, FindError};
use capacity::node_type::{
    ARCHITECTURE_LABEL, Gpus, INSTANCE_TYPE_LABEL, NodeType, OPERATING_SYSTEM_LABEL,
};
use cluster::node::{
    CapacityType, ConditionStatus, HOSTNAME_LABEL, Machine, Node, NodeHealth, NodeReady,
    REGION_LABEL, Taint as NodeTaint, ZONE_LABEL,
};
use cluster::pod_template::{ResourceList, TaintEffect};
use cluster::{Labels, Name, ObjectMeta};
use engine::SimTime;
use units::{HourlyPrice, Quantity};

/// Labels that kubelets and clouds still set under their names of before 1.17, for manifests that select by these.
const OLD_LABELS: [(&str, &str); 5] = [
    (ARCHITECTURE_LABEL, "beta.kubernetes.io/arch"),
    (OPERATING_SYSTEM_LABEL, "beta.kubernetes.io/os"),
    (INSTANCE_TYPE_LABEL, "beta.kubernetes.io/instance-type"),
    (REGION_LABEL, "failure-domain.beta.kubernetes.io/region"),
    (ZONE_LABEL, "failure-domain.beta.kubernetes.io/zone"),
];

/// The cluster that the manifests are deployed to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Cluster {
    /// Pools of equal nodes. Node objects among the manifests are nodes too, and cost nothing.
    pub node_pools: Vec<NodePool>,
}

/// Nodes that are alike. They are called NAME-1, NAME-2, ...
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodePool {
    /// Name of the pool, the first part of its nodes' names.
    pub name: Name,
    /// How many nodes there are at the start.
    #[schemars(range(max = 100_000))]
    pub count: u32,
    /// An instance type of the built-in catalog, such as aws/m5.large; `wavetank catalog` lists them.
    /// It brings capacity, price and well-known labels. Either this or `capacity` must be given.
    pub instance_type: Option<String>,
    /// What one machine has, by resource, such as {cpu: 16, memory: 64Gi, nvidia.com/gpu: 4}; `pods`
    /// is 110 if not named.
    pub capacity: Option<BTreeMap<Name, Quantity>>,
    /// What pods may use of it. Default: with an instance type, what its cloud leaves of it; else all
    /// of `capacity`. Resources that are not named here keep that default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub allocatable: BTreeMap<Name, Quantity>,
    /// Price of one node in US dollars per hour. Default: with an instance type, the catalog's, which is that of one
    /// region of each cloud (us-east-1, eastus, us-central1); else 0.
    pub price_per_hour: Option<HourlyPrice>,
    /// Whether the catalog's spot price is taken in place of the on-demand price. Default false.
    #[serde(default)]
    pub spot: bool,
    /// How its GPUs are offered to pods: whole (the default), as MIG slices, several times over, in shares.
    pub gpus: Option<PoolGpus>,
    /// Zones over which the nodes are spread in turn, such as [us-east-1a, us-east-1b].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<Name>,
    /// Labels of the nodes, beside those that the cloud sets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<Name, Name>,
    /// Taints of the nodes: only pods that tolerate them are placed there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
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
    /// What happens to pods that do not tolerate it.
    pub effect: TaintEffect,
}

/// A pool with all that the catalog says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedPool<'a> {
    pool: &'a NodePool,
    node_type: Option<NodeType>,
}

impl NodePool {
    /// Looks the instance type up in the catalog.
    pub fn resolve(&self) -> Result<ResolvedPool<'_>, FindError> {
        let node_type = self.instance_type.as_deref().map(catalog::find).transpose()?;
        Ok(ResolvedPool { pool: self, node_type })
    }

    /// The names of its nodes at the start: `general-1`, `general-2`, ...
    pub fn node_names(&self) -> impl Iterator<Item = String> + '_ {
        (1..=self.count).map(|number| format!("{}-{number}", self.name))
    }
}

impl ResolvedPool<'_> {
    /// The GPUs of one machine, where the catalog tells.
    pub fn gpus(&self) -> Option<&Gpus> {
        self.node_type.as_ref()?.gpus.as_ref()
    }

    /// The instance type, if it has one.
    pub const fn node_type(&self) -> Option<&NodeType> {
        self.node_type.as_ref()
    }

    /// Price of one node.
    pub fn price(&self) -> HourlyPrice {
        let from_catalog = self.node_type.as_ref().map(|node_type| match node_type.spot {
            Some(spot) if self.pool.spot => spot,
            _ => node_type.on_demand,
        });
        self.pool.price_per_hour.or(from_catalog).unwrap_or_default()
    }

    /// Whether a spot price was asked for that neither the catalog nor the pool gives.
    pub fn lacks_spot_price(&self) -> bool {
        let in_catalog = self.node_type.as_ref().and_then(|node_type| node_type.spot);
        self.pool.spot && self.pool.price_per_hour.or(in_catalog).is_none()
    }

    /// What one machine has.
    pub fn capacity(&self) -> ResourceList {
        self.with_gpus(self.machine())
    }

    /// The same before its GPUs are offered in another way than whole.
    fn machine(&self) -> ResourceList {
        let mut capacity = match &self.node_type {
            Some(node_type) => node_type.capacity(),
            None => [("pods", Quantity::from_units(110))].into_iter().collect(),
        };
        override_amounts(&mut capacity, self.pool.capacity.iter().flatten());
        capacity
    }

    /// What pods may use of one machine.
    pub fn allocatable(&self) -> ResourceList {
        let mut allocatable = match &self.node_type {
            Some(node_type) => node_type.allocatable(),
            None => self.machine(),
        };
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
        let name = format!("{}-{number}", self.pool.name);
        let cloud = self.node_type.as_ref().map_or_else(plain_labels, NodeType::labels);
        let own = self.pool.labels.iter();
        let gpus = self.pool.gpus.as_ref().map(|gpus| gpus.labels(&self.machine()));
        let labels: Labels = cloud
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .chain([(HOSTNAME_LABEL.into(), name.as_str().into())])
            .chain(gpus.into_iter().flatten())
            .chain(self.zone(number).map(|zone| (ZONE_LABEL.into(), zone.clone())))
            .chain(own.map(|(key, value)| (key.clone(), value.clone())))
            .collect();
        let old = OLD_LABELS
            .iter()
            .filter_map(|(new, old)| Some((Name::from(*old), labels.get(new)?.clone())));
        let given = labels.iter().map(|(key, value)| (key.clone(), value.clone()));
        let labels = old.chain(given).collect();
        Node {
            meta: ObjectMeta { labels, ..ObjectMeta::new("", name) },
            capacity: self.capacity(),
            allocatable: self.allocatable(),
            unschedulable: false,
            taints: self.pool.taints.iter().map(Taint::on_node).collect(),
            ready: NodeReady { status: ConditionStatus::True, since: SimTime::ZERO },
            health: NodeHealth::default(),
            images: Vec::new(),
            pool: self.pool.name.clone(),
            machine: self.machine_under(),
        }
    }

    /// The machine under each of its nodes.
    fn machine_under(&self) -> Machine {
        Machine {
            instance_type: self.pool.instance_type.as_deref().unwrap_or_default().into(),
            capacity_type: if self.pool.spot { CapacityType::Spot } else { CapacityType::OnDemand },
            price: Some(self.price()),
            launched: None,
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

/// The labels that every kubelet sets; a machine that is described in place counts as x86-64.
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
