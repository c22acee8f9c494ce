//! Checks pools: names, machines, prices.

use super::Checker;
use crate::cluster::{NodePool, ResolvedPool};
use crate::pool_size::PoolSize;
use manifest::FieldPath;
use units::{HourlyPrice, Quantity};

/// Longest allowed pool name: a node name is a DNS subdomain, and gets a number appended.
const NAME_LENGTH: usize = 200;

impl Checker<'_> {
    /// Checks `cluster`.
    pub(super) fn cluster(&mut self) {
        let cluster = FieldPath::ROOT.field("cluster");
        let pools_path = cluster.field("nodePools");
        let pools = &self.text.scenario.cluster.node_pools;
        let nodes: usize = pools.iter().map(|pool| pool.count.most() as usize).sum();
        if nodes == 0 && self.ever.nodes.is_empty() && !self.has_node_pools() {
            self.error(
                &pools_path,
                "the cluster has no node",
                "add a pool such as {name: general, instanceType: aws/m5.large, count: 3}",
            );
        }
        for (index, pool) in pools.iter().enumerate() {
            let path = pools_path.item(index);
            let is_known = pools[..index].iter().any(|other| other.name == pool.name);
            if is_known {
                let message = format!("an earlier pool is also named {}", pool.name);
                self.error(&path.field("name"), message, "give each pool a unique name");
            }
            self.pool_name(&path, pool);
            if let Some(name) = pool.node_names().find(|name| self.ever.nodes.contains_key(&**name))
            {
                let message = format!("the manifests also have a Node {name}");
                self.error(&path.field("name"), message, "give the pool another name");
            }
            self.pool(&path, pool);
            self.region(&path, pool);
        }
        self.one_cloud(&pools_path);
    }

    fn pool_name(&mut self, path: &FieldPath, pool: &NodePool) {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_right = !pool.name.is_empty()
            && pool.name.len() <= NAME_LENGTH
            && pool.name.bytes().all(allowed)
            && !pool.name.starts_with('-');
        if !is_right {
            let message =
                format!("{:?} is not a valid pool name: nodes are named after the pool", pool.name);
            self.error(&path.field("name"), message, "use lower-case letters, digits and -");
        }
    }

    fn pool(&mut self, path: &FieldPath, pool: &NodePool) {
        if pool.serverless.is_some() {
            self.serverless(path, pool);
        } else if pool.instance_type.is_none() && pool.capacity.is_none() {
            self.error(
                path,
                format!("the size of a node of the pool {} is not set", pool.name),
                "add `instanceType`, such as aws/m5.large, or `capacity`, such as {cpu: 4, memory: 16Gi}",
            );
            return;
        }
        self.price(path, pool);
        match pool.resolve() {
            Err(error) => self.error(
                &path.field("instanceType"),
                error.to_string(),
                "`wavetank catalog` lists the types; or set `capacity` and `pricePerHour`",
            ),
            Ok(resolved) => self.amounts(path, pool, &resolved),
        }
    }

    /// A serverless pool is billed by its pods and has no settings of machines.
    fn serverless(&mut self, path: &FieldPath, pool: &NodePool) {
        let given = [
            ("instanceType", pool.instance_type.is_some()),
            ("pricePerHour", pool.price_per_hour.is_some()),
            ("spot", pool.spot),
            ("gpus", pool.gpus.is_some()),
        ];
        for (field, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
            let message = format!(
                "the serverless pool {} is billed by its pods, so its nodes have no machine",
                pool.name
            );
            self.error(&path.field(field), message, format!("remove `{field}` or `serverless`"));
        }
        if pool.count.bounds().is_some() || pool.count == PoolSize::Karpenter {
            let message = "a serverless pool has room for all pods and is not scaled";
            self.error(&path.field("count"), message, "write `count: 1`, or one for each zone");
        }
    }

    fn price(&mut self, path: &FieldPath, pool: &NodePool) {
        if pool.price_per_hour.is_some_and(|price| price < HourlyPrice::default()) {
            let path = path.field("pricePerHour");
            self.error(
                &path,
                "a price cannot be negative",
                "write US dollars per hour, such as 0.096",
            );
        }
    }

    fn amounts(&mut self, path: &FieldPath, pool: &NodePool, resolved: &ResolvedPool<'_>) {
        if resolved.lacks_spot_price() {
            self.error(
                &path.field("spot"),
                "the catalog has no spot price for this instance type",
                "give it as `pricePerHour`",
            );
        }
        let capacity = resolved.capacity();
        for resource in ["cpu", "memory"] {
            if capacity.get(resource).is_none_or(|amount| amount <= Quantity::default()) {
                let message = format!("a node without {resource} cannot run pods");
                let help = format!("add {resource} to `capacity`");
                self.error(&path.field("capacity"), message, help);
            }
        }
        let capacity_path = path.field("capacity");
        for (resource, amount) in pool.capacity.iter().flatten() {
            if amount.is_negative() {
                let message = format!("{amount} of {resource} is negative");
                self.error(&capacity_path.key(resource), message, "write 0 or more");
            }
        }
        let allocatable_path = path.field("allocatable");
        for (resource, amount) in &pool.allocatable {
            let path = allocatable_path.key(resource);
            if amount.is_negative() {
                self.error(&path, format!("{amount} of {resource} is negative"), "write 0 or more");
            } else if capacity.get(resource).is_none_or(|has| has.nanos() < amount.nanos()) {
                let message = format!(
                    "{amount} of {resource} allocatable to pods is more than the node's capacity"
                );
                self.error(&path, message, "lower it, or raise the capacity");
            }
        }
    }
}
