//! The cloud provider interface of the Cluster Autoscaler.

use super::Cloud;
use super::machine::Phase;
use cluster::Name;
use cluster::node::Node;
use cluster::pod_template::ResourceList;
use cluster_autoscaler::{CloudError, CloudProvider, InstanceState, NodeGroup};
use engine::SimTime;

/// Hourly prices of a core, a GiB and a GPU by which the expander `price` values pods
/// (`cloudprovider/gce/gce_price_info.go`).
const POD_PRICES: [(&str, f64); 3] =
    [("cpu", 0.033_174), ("memory", 0.004_446), ("nvidia.com/gpu", 0.7)];
const GIB: f64 = 1_073_741_824.0;

impl Cloud {
    fn place(&self, group: &str) -> Result<usize, CloudError> {
        let found = self.groups.iter().position(|one| *one.id == *group);
        found.ok_or_else(|| CloudError(format!("there is no group {group}")))
    }
}

impl CloudProvider for Cloud {
    fn node_groups(&self) -> &[NodeGroup] {
        &self.groups
    }

    fn each_instance(&self, group: &str, show: &mut dyn FnMut(&Name, InstanceState)) {
        let Ok(at) = self.place(group) else { return };
        for (name, number) in &self.fleets[at].machines {
            show(name, self.machines[*number].state());
        }
    }

    fn group_of(&self, node: &Node) -> Option<usize> {
        self.number_of(node.meta.name()).and_then(|number| self.machines[number].group)
    }

    fn has_instance(&self, node: &Node) -> bool {
        self.number_of(node.meta.name()).is_some()
    }

    fn removals(&self) -> u64 {
        self.removals
    }

    fn gpu_label(&self) -> &str {
        self.plan.gpu_label
    }

    fn increase_size(&mut self, group: &str, delta: i64, now: SimTime) -> Result<(), CloudError> {
        let at = self.place(group)?;
        let size = self.groups[at].target_size + delta;
        if size > self.groups[at].max_size {
            let most = self.groups[at].max_size;
            let message = format!("size increase too large - desired:{size} max:{most}");
            return Err(CloudError(message));
        }
        self.groups[at].target_size = size;
        self.supply.pass(now);
        for _ in 0..delta {
            self.request(at, now);
        }
        Ok(())
    }

    fn decrease_target_size(
        &mut self,
        group: &str,
        delta: i64,
        _: SimTime,
    ) -> Result<(), CloudError> {
        let at = self.place(group)?;
        let size = self.groups[at].target_size - delta;
        let is = self.fleets[at].machines.len();
        if i64::try_from(is).is_ok_and(|is| size < is) {
            let message = format!("attempt to delete existing nodes: {size} of {is} would be left");
            return Err(CloudError(message));
        }
        self.groups[at].target_size = size;
        Ok(())
    }

    fn delete_nodes(
        &mut self,
        group: &str,
        nodes: &[Name],
        now: SimTime,
    ) -> Result<(), CloudError> {
        let at = self.place(group)?;
        for node in nodes {
            let own = self.fleets[at].machines.get(node).copied();
            let Some(number) = own else {
                return Err(CloudError(format!("{node} doesn't belong to {group}")));
            };
            if self.machines[number].phase != Phase::Deleting {
                self.groups[at].target_size -= 1;
                self.delete(number, now);
            }
        }
        Ok(())
    }

    fn node_price(&self, group: &str) -> Option<f64> {
        let at = self.place(group).ok()?;
        let price = self.groups[at].template.machine.price?.as_usd();
        (price > 0.0).then_some(price)
    }

    fn pod_price(&self, requests: &ResourceList) -> f64 {
        let mut price = 0.0;
        for (resource, each) in POD_PRICES {
            let Some(amount) = requests.get(resource) else { continue };
            price += match resource {
                "cpu" => amount.milli_value() as f64 / 1000.0 * each,
                "memory" => amount.value() as f64 / GIB * each,
                _ => amount.value() as f64 * each,
            };
        }
        price
    }
}
