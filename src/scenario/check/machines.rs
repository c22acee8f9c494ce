//! Checks dynamic machines: bounds of pools, flags of the node autoscaler, steps of a machine's life
//! cycle.

use super::Checker;
use crate::cluster::NodePool;
use crate::karpenter::problem;
use crate::machines::{MachineSettings, StepTime};
use crate::pool_size::PoolSize;
use cluster_autoscaler::expander::ExpanderKind;
use manifest::FieldPath;
use units::HourlyPrice;

impl Checker<'_> {
    /// Checks the node autoscaler and its pools.
    pub(super) fn machines(&mut self) {
        let cluster_path = FieldPath::ROOT.field("cluster");
        let cluster = &self.text.scenario.cluster;
        let pools_path = cluster_path.field("nodePools");
        for (index, pool) in cluster.node_pools.iter().enumerate() {
            self.bounds(&pools_path.item(index), pool);
        }
        self.autoscaler(&cluster_path.field("autoscaler"));
        self.machine_settings(&cluster_path.field("machines"), &cluster.machines);
    }

    fn bounds(&mut self, path: &FieldPath, pool: &NodePool) {
        let of_karpenter = pool.count == PoolSize::Karpenter;
        if let Some((message, help)) = of_karpenter.then(|| problem(pool)).flatten() {
            self.error(&path.field("count"), message, help);
        }
        let per_zone = path.field("groupPerZone");
        let Some(bounds) = pool.count.bounds() else {
            if pool.group_per_zone {
                let message = "a pool with a fixed number of nodes is not a node group";
                self.warn(&per_zone, message, "give `count` bounds, such as {min: 1, max: 10}");
            }
            return;
        };
        if pool.group_per_zone && pool.zones.is_empty() {
            let message = format!("the pool {} has no zones", pool.name);
            self.error(&per_zone, message, "add `zones`, such as [us-east-1a, us-east-1b]");
        }
        let path = path.field("count");
        let (min, max) = (bounds.min, bounds.max);
        if min > max {
            let message =
                format!("the pool {} has at least {min} nodes and at most {max}", pool.name);
            self.error(
                &path.field("min"),
                message,
                format!("lower `min` to {max}, or raise `max`"),
            );
        } else if let Some(start) = bounds.start.filter(|start| !(min..=max).contains(start)) {
            let message = format!("{start} nodes at the start are not between {min} and {max}");
            self.error(
                &path.field("start"),
                message,
                format!("write a number from {min} to {max}"),
            );
        } else if max == 0 {
            let message = format!("the pool {} can have no nodes", pool.name);
            self.warn(&path.field("max"), message, "raise `max`, or remove the pool");
        }
    }

    fn autoscaler(&mut self, path: &FieldPath) {
        let cluster = &self.text.scenario.cluster;
        let has_bounds = |pool: &&NodePool| pool.count.bounds().is_some();
        let Some(settings) = cluster.autoscaler.as_ref() else { return };
        let Some(settings) = &settings.cluster_autoscaler else {
            if settings.karpenter.is_some() {
                return;
            }
            if let Some(pool) = cluster.node_pools.iter().find(has_bounds) {
                let message = format!("no autoscaler resizes the pool {}", pool.name);
                let help = "add clusterAutoscaler, such as {clusterAutoscaler: {flags: {}}}";
                self.warn(path, message, help);
            }
            return;
        };
        let path = path.field("clusterAutoscaler");
        let (options, problems) = settings.read(cluster.preset);
        for (flag, item, problem) in problems {
            if flag.is_empty() {
                let help = "write patterns by priority, such as {50: [\".*spot.*\"], 10: [\".*\"]}";
                self.error(&path.field("priorities"), problem, help);
                continue;
            }
            let flags = path.field("flags");
            let place = flags.key(&flag);
            let help = "the flags are those of the Cluster Autoscaler for Kubernetes 1.36; see \
                        docs/node-autoscalers.md";
            let message = format!("--{flag} {problem}");
            match item {
                Some(item) => self.error(&place.item(item), message, help),
                None => self.error(&place, message, help),
            }
        }
        let pools: Vec<&NodePool> = cluster.node_pools.iter().filter(has_bounds).collect();
        if pools.is_empty() {
            let message = "the autoscaler has no pool to scale";
            let help = "set the `count` of a pool to bounds, such as {min: 1, max: 10}";
            self.warn(&path, message, help);
        }
        if options.expander.0.contains(&ExpanderKind::Price) {
            self.prices();
        }
        let uses_priorities = options.expander.0.contains(&ExpanderKind::Priority);
        if uses_priorities && settings.priorities.is_empty() {
            let message = "the expander priority has no priorities and so adds no node";
            let help = "write patterns by priority, such as {50: [\".*spot.*\"], 10: [\".*\"]}";
            self.warn(&path.field("priorities"), message, help);
        }
    }

    /// The expander `price` ignores node groups without a price.
    fn prices(&mut self) {
        let cluster_path = FieldPath::ROOT.field("cluster");
        let pools_path = cluster_path.field("nodePools");
        for (index, pool) in self.text.scenario.cluster.node_pools.iter().enumerate() {
            let price = pool.resolve().map(|resolved| resolved.price());
            if pool.count.bounds().is_some() && price == Ok(HourlyPrice::default()) {
                let message = format!(
                    "the pool {} has no price, so the expander price never chooses it",
                    pool.name
                );
                let help = "give it `pricePerHour`, in US dollars for one node";
                self.warn(&pools_path.item(index), message, help);
            }
        }
    }

    fn machine_settings(&mut self, path: &FieldPath, machines: &MachineSettings) {
        let steps = [
            ("request", machines.request),
            ("boot", machines.boot),
            ("network", machines.network),
            ("devicePlugin", machines.device_plugin),
            ("removal", machines.removal),
        ];
        for (name, step) in steps {
            if let Some(StepTime::Drawn(quantiles)) = step
                && let Some((smaller, than)) = quantiles.disorder()
            {
                let message = format!("{smaller} is below {than}");
                let help = format!("raise {smaller}, or lower {than}");
                self.error(&path.field(name).field(smaller), message, help);
            }
        }
        if !(0.0..=1.0).contains(&machines.boot_failures) {
            let message = format!("{} is not a share of the machines", machines.boot_failures);
            self.error(&path.field("bootFailures"), message, "write a number from 0 to 1");
        }
        for (resource, most) in &machines.quota {
            if most.is_negative() {
                let message = format!("{most} of {resource} is negative");
                let quota = path.field("quota");
                self.error(&quota.key(resource), message, "write 0 or more");
            }
        }
    }
}
