//! Checks random faults and the containers that the scenario describes against the objects that
//! exist.

use super::{Checker, listed};
use cluster::Name;
use engine::SimDuration;
use manifest::FieldPath;

impl Checker<'_> {
    /// Checks that random faults have a target and a valid mean time between occurrences.
    pub(super) fn faults(&mut self) {
        let list = FieldPath::ROOT.field("faults");
        let faults = self.text.scenario.faults.iter().enumerate();
        for (index, fault) in faults {
            let path = list.item(index);
            let kind = fault.fault.as_str();
            match (&fault.workload, &fault.pool) {
                (Some(workload), None) if fault.fault.is_of_pods() => {
                    self.workload_exists(&path.field("workload"), workload);
                }
                (None, Some(pool)) if !fault.fault.is_of_pods() => {
                    self.pool_exists(&path.field("pool"), pool);
                }
                (None, None) => {}
                _ if fault.fault.is_of_pods() => self.error(
                    &path,
                    format!("{kind} is a fault of pods"),
                    "set `workload`, such as Deployment/shop/web, or neither for all pods; remove `pool`".to_owned(),
                ),
                _ => self.error(
                    &path,
                    format!("{kind} is a fault of nodes"),
                    "set `pool`, or neither for all nodes; remove `workload`".to_owned(),
                ),
            }
            if !(0.0..=20.0).contains(&fault.repair_cv) {
                let path = path.field("repairCv");
                let help = "0 means always the mean, 1 an exponential distribution".to_owned();
                self.error(&path, format!("{} must be from 0 to 20", fault.repair_cv), help);
            }
            if fault.mean_time_between <= SimDuration::ZERO {
                let path = path.field("meanTimeBetween");
                let help = "set the mean time between two faults, such as 6h".to_owned();
                self.error(&path, "faults would never end".to_owned(), help);
            }
        }
    }

    pub(super) fn pool_exists(&mut self, path: &FieldPath, pool: &Name) {
        let pools = &self.text.scenario.cluster.node_pools;
        if !pools.iter().any(|known| known.name == *pool) && !self.is_node_pool(pool) {
            let help = listed("pools", pools.iter().map(|known| known.name.to_string()));
            self.error(path, format!("there is no pool {pool}"), help);
        }
    }

    /// Checks that the containers described in the scenario are in their workload's pods.
    pub(super) fn containers(&mut self) {
        let list = FieldPath::ROOT.field("workloads");
        for (index, workload) in self.text.scenario.workloads.iter().enumerate() {
            let Some(shape) = self.ever.workloads.get(&workload.workload) else { continue };
            let known: Vec<String> =
                shape.containers.iter().map(|(name, _)| name.clone()).collect();
            let path = list.item(index);
            let described = workload.containers.keys().map(|name| (path.field("containers"), name));
            let main = workload.container.iter().map(|name| (path.field("container"), name));
            let beside = workload.sidecars.keys().map(|name| (path.field("sidecars"), name));
            for (path, name) in main.chain(described).chain(beside) {
                if !known.iter().any(|one| **one == **name) {
                    let help = listed("containers", known.iter().cloned());
                    self.error(&path, format!("the pods have no container {name}"), help);
                }
            }
        }
    }
}
