//! The results of a pass.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::preferences::Relaxation;
use crate::amounts::Amounts;
use crate::instance_type::{InstanceType, order_by_price, satisfies_min_values};
use crate::labels::{CAPACITY_TYPE, INSTANCE_TYPE, WellKnownLabels};
use crate::node_pool::NodePool;
use crate::pod::Pod;
use crate::requirement::{NodeOperator, Requirement, WrittenRequirement};
use crate::requirements::Requirements;
use crate::state::{MinValuesPolicy, Options};
use crate::ties::Ties;
use cluster::{Labels, Name, NamespacedName};

/// The results of a pass.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// The nodes to be created, in the order of the last sort.
    pub claims: Vec<NewClaim>,
    /// The nodes that were considered, or only those that get pods, in the order in which they are tried.
    pub existing: Vec<ExistingPlacement>,
    /// The pods that could not be scheduled, and why.
    pub errors: BTreeMap<NamespacedName, PodFailure>,
    /// The relaxation steps, in order.
    pub relaxations: Vec<(NamespacedName, Relaxation)>,
}

/// A pod that could not be scheduled.
#[derive(Clone, Debug)]
pub struct PodFailure {
    /// The reason.
    pub message: String,
    /// True if it is pending anyway; others are on nodes to be removed.
    pub is_pending: bool,
}

/// The pods assigned to an existing node.
#[derive(Clone, Debug)]
pub struct ExistingPlacement {
    /// Name of the node, or of the claim before that.
    pub node: Name,
    /// Its provider ID.
    pub provider_id: Option<Name>,
    /// Its claim, if it is one of Karpenter's.
    pub claim: Option<Name>,
    /// True if it is initialized.
    pub is_initialized: bool,
    /// The pods, in the order in which they were added.
    pub pods: Vec<Arc<Pod>>,
}

/// A node to be created.
#[derive(Clone, Debug)]
pub struct NewClaim {
    /// Its pool.
    pub pool: Arc<NodePool>,
    /// The pods that it is created for, in the order in which they were added.
    pub pods: Vec<Arc<Pod>>,
    /// Total requests of these and the DaemonSet pods.
    pub requests: Amounts,
    /// Requirements on the node.
    pub requirements: Requirements,
    /// All possible instance types.
    pub options: Vec<Arc<InstanceType>>,
    /// True if `minValues` was relaxed for any key.
    pub min_values_relaxed: bool,
}

/// The offering that the cloud chooses for a claim.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The instance type.
    pub instance_type: Arc<InstanceType>,
    /// The zones with the lowest price.
    pub zones: Vec<Name>,
    /// `spot` or `on-demand`.
    pub capacity_type: Name,
    /// Hourly price in dollars.
    pub price: f64,
}

impl Results {
    /// Limits each claim to its cheapest instance types; a claim left with too few distinct values is dropped, and
    /// its pods are not scheduled (`TruncateInstanceTypes`).
    pub fn truncate(&mut self, options: &Options) {
        let mut kept = Vec::new();
        for mut claim in self.claims.drain(..) {
            order_by_price(&mut claim.options, &claim.requirements);
            let mut cheapest = claim.options.clone();
            cheapest.truncate(options.max_instance_types);
            let is_strict = options.min_values_policy == MinValuesPolicy::Strict;
            match satisfies_min_values(&cheapest, &claim.requirements) {
                Err(short) if is_strict => {
                    let keys: Vec<&str> = short.keys().map(AsRef::as_ref).collect();
                    let message = format!(
                        "pod didn't schedule because NodePool couldn't meet minValues requirements (label(s)=[{}], NodePool={})",
                        keys.join(" "),
                        claim.pool.name
                    );
                    for pod in &claim.pods {
                        let is_pending = pod.is_provisionable();
                        let failure = PodFailure { message: message.clone(), is_pending };
                        self.errors.insert(pod.id.clone(), failure);
                    }
                }
                _ => {
                    claim.options = cheapest;
                    kept.push(claim);
                }
            }
        }
        self.claims = kept;
    }

    /// True if all pods other than pending ones are scheduled (`AllNonPendingPodsScheduled`).
    pub(crate) fn all_non_pending_scheduled(&self) -> bool {
        self.errors.values().all(|failure| failure.is_pending)
    }
}

impl NewClaim {
    /// The NodeClaim's requirements, including instance types by name and the available capacity types
    /// (`ToNodeClaim`).
    pub fn claim_requirements(&self, options: &Options) -> Requirements {
        let mut types = self.options.clone();
        order_by_price(&mut types, &self.requirements);
        types.truncate(options.max_instance_types);
        let mut all = self.requirements.clone();
        let key = Name::from(INSTANCE_TYPE);
        let min_values = all.get(&key).and_then(|one| one.min_values);
        let names = types.iter().map(|one| one.name.clone());
        all.add(Requirement::new(&key, NodeOperator::In, names, min_values).into());
        let capacity_types: Vec<Name> = types
            .iter()
            .flat_map(|one| one.launchable(&all).map(|offering| offering.capacity_type.clone()))
            .collect();
        if !capacity_types.is_empty() {
            let narrowed = WrittenRequirement::one_of(CAPACITY_TYPE, capacity_types);
            all.add_all(&Requirements::of_written(&[narrowed]));
        }
        all
    }

    /// The NodeClaim's labels: those of its pool, and a value for each custom label that it requires.
    pub fn claim_labels(&self, well_known: &WellKnownLabels, ties: &Ties) -> Labels {
        let own = self.pool.node_labels();
        let custom = self.requirements.iter().filter(|one| {
            !well_known.contains(&one.key) && one.key.as_ref() != crate::labels::HOSTNAME
        });
        let resolved = custom.filter_map(|one| Some((one.key.clone(), any_value(one, ties)?)));
        own.iter().map(|(key, value)| (key.clone(), value.clone())).chain(resolved).collect()
    }

    /// The cloud's choice: the cheapest offering of all options.
    pub fn launch(&self, options: &Options) -> Option<Launch> {
        cheapest_launch(&self.options, &self.claim_requirements(options))
    }
}

/// The cheapest offering that meets the requirements; of equally priced types the first by name.
fn cheapest_launch(types: &[Arc<InstanceType>], requirements: &Requirements) -> Option<Launch> {
    let mut types: Vec<&Arc<InstanceType>> = types.iter().collect();
    types.sort_by(|one, other| one.name.cmp(&other.name));
    let mut best: Option<Launch> = None;
    for one in types {
        let Some(price) = one.cheapest(requirements) else { continue };
        if best.as_ref().is_some_and(|best| best.price <= price) {
            continue;
        }
        let at_price = || one.launchable(requirements).filter(|offering| offering.price <= price);
        let Some(first) = at_price().next() else { continue };
        let capacity_type = first.capacity_type.clone();
        let zones = at_price().map(|offering| offering.zone.clone()).collect();
        best = Some(Launch { instance_type: Arc::clone(one), zones, capacity_type, price });
    }
    best
}

/// Any value that a requirement allows (`Any`).
fn any_value(requirement: &Requirement, ties: &Ties) -> Option<Name> {
    match requirement.operator() {
        NodeOperator::In => {
            ties.pick(requirement.values().iter().map(AsRef::as_ref)).map(Name::from)
        }
        NodeOperator::NotIn | NodeOperator::Exists => {
            Some(requirement.bounds().0.to_string().into())
        }
        _ => None,
    }
}
