//! The node template of each pool (`nodeclaimtemplate.go`), with the DaemonSet pods that its nodes get.

use std::sync::Arc;

use super::claim::{Filtered, filter_types};
use super::preferences::PodConstraints;
use crate::amounts::Amounts;
use crate::instance_type::InstanceType;
use crate::node_pool::NodePool;
use crate::pod::{Pod, untolerated};
use crate::requirements::Requirements;
use crate::state::{MinValuesPolicy, PreferencePolicy, Snapshot};
use scheduler::pod_class::HostPort;

/// A pool that can create nodes.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) pool: Arc<NodePool>,
    pub(super) requirements: Requirements,
    pub(super) options: Vec<Arc<InstanceType>>,
    /// Total requests of the DaemonSet pods on each node.
    pub(super) overhead: Amounts,
    /// Their host ports.
    pub(super) ports: Vec<HostPort>,
}

impl Template {
    /// The pool's template; `None` if no instance type meets its requirements.
    pub(super) fn new(pool: &Arc<NodePool>, snapshot: &Snapshot) -> Option<Self> {
        let requirements = pool.requirements();
        let relaxes = snapshot.options.min_values_policy == MinValuesPolicy::BestEffort;
        let nothing = Amounts::default();
        let types = snapshot.types_of(&pool.name);
        let Filtered { options, .. } =
            filter_types(types, &requirements, &nothing, relaxes).ok()?;
        let daemons = snapshot.daemons.iter();
        let own: Vec<&Arc<Pod>> =
            daemons.filter(|one| gets_daemon(pool, &requirements, one, snapshot)).collect();
        let mut overhead = Amounts::default();
        for daemon in &own {
            overhead.add(&daemon.requests);
        }
        let ports = own.iter().flat_map(|daemon| daemon.host_ports.iter().cloned()).collect();
        let overhead = overhead.with_pods(own.len());
        Some(Self { pool: Arc::clone(pool), requirements, options, overhead, ports })
    }
}

/// True if nodes of a pool may get the pod of a DaemonSet (`isDaemonPodCompatible`): one matching term is enough,
/// and `PreferNoSchedule` taints do not count.
fn gets_daemon(
    pool: &NodePool,
    requirements: &Requirements,
    daemon: &Arc<Pod>,
    snapshot: &Snapshot,
) -> bool {
    let mut constraints = PodConstraints::new(0, daemon, PreferencePolicy::Ignore);
    constraints.tolerate_soft_taints();
    if untolerated(&pool.template.taints, &constraints.tolerations).is_some() {
        return false;
    }
    loop {
        if requirements.is_compatible(&constraints.strict, Some(&snapshot.well_known)) {
            return true;
        }
        if constraints.drop_required_term().is_none() {
            return false;
        }
        constraints.require(PreferencePolicy::Ignore);
    }
}
