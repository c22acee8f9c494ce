//! How the GPUs of a pool are offered to pods: whole, as MIG slices, several times over, or in shares.
//! Resources and labels are those of NVIDIA's device plugin and GPU feature discovery.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use cluster::Name;
use cluster::pod_template::ResourceList;
use scheduler::gpu::{GPU_COUNT, GPU_MODEL};
use units::Quantity;

/// The resource of whole NVIDIA GPUs.
const WHOLE_GPU: &str = "nvidia.com/gpu";
/// The same where every GPU is offered several times over under a name of its own.
const SHARED_GPU: &str = "nvidia.com/gpu.shared";

/// The GPUs of a pool's nodes, and how they are offered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PoolGpus {
    /// The model, such as NVIDIA-A10G: becomes the label nvidia.com/gpu.product. Default: none is set.
    pub model: Option<Name>,
    /// GPUs of a node. Default: as many as the instance type, or `capacity`, has under nvidia.com/gpu.
    #[schemars(range(max = 32))]
    pub count: Option<u32>,
    /// Time-slicing or MPS: every GPU is offered so many times. Nothing keeps the pods on one GPU apart in
    /// the simulation. Default 1.
    #[schemars(range(min = 1, max = 64))]
    pub replicas: Option<u32>,
    /// With `replicas`: offer them as nvidia.com/gpu.shared in place of nvidia.com/gpu
    /// (renameByDefault). Default false.
    pub rename: bool,
    /// MIG: slices of every GPU by profile, such as {1g.5gb: 7}: offered as nvidia.com/mig-1g.5gb, in place
    /// of the whole GPU (strategy mixed).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub mig: BTreeMap<Name, u32>,
    /// Shares in thousandths, for pods with the annotation alibabacloud.com/gpu-milli and the scheduler
    /// plugin Open-Gpu-Share, in place of whole GPUs. Default false.
    pub shares: bool,
}

impl PoolGpus {
    /// GPUs of a node of which `list` is the capacity.
    fn number(&self, list: &ResourceList) -> i64 {
        let of_list = || list.get(WHOLE_GPU).map_or(0, Quantity::value);
        self.count.map_or_else(of_list, i64::from)
    }

    /// Offers the GPUs among a node's resources in the way that is asked for.
    pub fn offer(&self, list: &mut ResourceList) {
        let gpus = self.number(list);
        let mut set = |resource: &str, amount: i64| {
            list.set(Name::from(resource), Quantity::from_units(amount));
        };
        if self.shares {
            set(WHOLE_GPU, 0);
            set(GPU_COUNT, gpus);
        } else if !self.mig.is_empty() {
            set(WHOLE_GPU, 0);
            for (profile, slices) in &self.mig {
                set(&format!("nvidia.com/mig-{profile}"), gpus * i64::from(*slices));
            }
        } else {
            let replicas = gpus * i64::from(self.replicas.unwrap_or(1));
            if self.rename {
                set(WHOLE_GPU, 0);
                set(SHARED_GPU, replicas);
            } else {
                set(WHOLE_GPU, replicas);
            }
        }
    }

    /// The labels that GPU feature discovery sets; `capacity` is the node's before [`Self::offer`].
    pub fn labels(&self, capacity: &ResourceList) -> Vec<(Name, Name)> {
        let mut labels = vec![(
            Name::from("nvidia.com/gpu.count"),
            Name::from(self.number(capacity).to_string()),
        )];
        let replicas = self.replicas.unwrap_or(1);
        let is_shared = replicas > 1 && self.mig.is_empty() && !self.shares;
        if let Some(model) = &self.model {
            let suffix = if is_shared && !self.rename { "-SHARED" } else { "" };
            labels.push(("nvidia.com/gpu.product".into(), format!("{model}{suffix}").into()));
            if self.shares {
                labels.push((GPU_MODEL.into(), model.clone()));
            }
        }
        labels.push(("nvidia.com/gpu.replicas".into(), replicas.to_string().into()));
        if !self.mig.is_empty() {
            labels.push(("nvidia.com/mig.strategy".into(), "mixed".into()));
        }
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(gpus: &PoolGpus) -> Vec<(String, i64)> {
        let mut list: ResourceList = [(WHOLE_GPU, Quantity::from_units(4))].into_iter().collect();
        gpus.offer(&mut list);
        list.iter().map(|(name, amount)| (name.to_string(), amount.value())).collect()
    }

    #[test]
    fn a_gpu_is_offered_whole_in_slices_several_times_or_in_shares() {
        let plain = PoolGpus::default();
        assert_eq!(offered(&plain), [("nvidia.com/gpu".to_owned(), 4)]);
        let sliced = PoolGpus { mig: [("1g.5gb".into(), 7)].into(), ..PoolGpus::default() };
        assert_eq!(
            offered(&sliced),
            [("nvidia.com/gpu".to_owned(), 0), ("nvidia.com/mig-1g.5gb".to_owned(), 28)]
        );
        let timed = PoolGpus { replicas: Some(3), ..PoolGpus::default() };
        assert_eq!(offered(&timed), [("nvidia.com/gpu".to_owned(), 12)]);
        let shares = PoolGpus { shares: true, ..PoolGpus::default() };
        assert_eq!(offered(&shares)[0], (GPU_COUNT.to_owned(), 4));
    }

    #[test]
    fn gpus_that_are_offered_several_times_say_so_in_their_product() {
        let gpus = PoolGpus {
            model: Some("NVIDIA-A10G".into()),
            replicas: Some(4),
            ..PoolGpus::default()
        };
        let labels = gpus.labels(&ResourceList::default());
        assert!(labels.contains(&("nvidia.com/gpu.product".into(), "NVIDIA-A10G-SHARED".into())));
        assert!(labels.contains(&("nvidia.com/gpu.replicas".into(), "4".into())));
    }
}
