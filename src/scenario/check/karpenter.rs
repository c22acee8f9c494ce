//! Checks Karpenter's NodePools: it must be possible to create nodes from them.

use super::Checker;
use crate::karpenter::{KarpenterManifest, PoolProblem, read_pools};
use ::cluster::Kind;
use manifest::{Diagnostic, FieldPath, Severity};

/// Kinds that Karpenter reads.
pub(crate) const KINDS: [Kind; 3] = [Kind::NodePool, Kind::EC2NodeClass, Kind::KWOKNodeClass];

impl Checker<'_> {
    /// Checks the NodePools, their node classes and the Karpenter settings.
    pub(super) fn karpenter(&mut self) {
        let cluster = &self.text.scenario.cluster;
        let settings = cluster.karpenter_settings();
        let cluster_path = FieldPath::ROOT.field("cluster");
        let autoscaler = cluster_path.field("autoscaler");
        let path = autoscaler.field("karpenter");
        if settings.spot_share.is_some_and(|share| !(share > 0.0 && share <= 1.0)) {
            let message = "the spot price is a share of the on-demand price, above 0 and at most 1";
            self.error(&path.field("spotShare"), message, "write a share such as 0.4");
        }
        if settings.zones.is_empty() {
            let help = "name some, such as [us-east-1a, us-east-1b]";
            self.error(&path.field("zones"), "no zone for instances", help);
        }
        for name in settings.spot_prices.keys() {
            if capacity::catalog::find(&format!("aws/{name}")).is_err() {
                let message = format!("AWS has no instance type {name:?}");
                let help = "the types are those of AWS in `wavetank catalog`";
                self.error(&path.field("spotPrices").key(name), message, help);
            }
        }
        let manifests = self.manifests.iter();
        let written = manifests.filter(|one| KINDS.contains(&one.reference.kind));
        let objects: Vec<KarpenterManifest<'_>> =
            written.map(|one| (one.reference.kind, &*one.reference.id.name, &one.value)).collect();
        let (_, problems) = read_pools(&objects, &settings);
        for PoolProblem { pool, field, message, help, is_warning } in problems {
            let is_it = |one: &&manifest::Manifest| {
                one.reference.kind == Kind::NodePool && one.reference.id.name == pool
            };
            let Some(written) = self.manifests.iter().find(is_it) else { continue };
            let severity = if is_warning { Severity::Warning } else { Severity::Error };
            let problem = Diagnostic::new(severity, "invalid-node-pool", message)
                .at(written.origin.place_of(&field))
                .help(help);
            let object = written.reference.to_string();
            self.problems.push(Diagnostic { field, object: Some(object), ..problem });
        }
    }

    /// True if Karpenter provisions nodes.
    pub(super) fn has_node_pools(&self) -> bool {
        self.manifests.iter().any(|one| one.reference.kind == Kind::NodePool)
    }

    /// True if a NodePool has this name.
    pub(super) fn is_node_pool(&self, name: &str) -> bool {
        let mut pools = self.manifests.iter().filter(|one| one.reference.kind == Kind::NodePool);
        pools.any(|one| *one.reference.id.name == *name)
    }
}
