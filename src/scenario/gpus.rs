//! Sharing of a pool's GPUs among pods: whole GPUs, MIG slices, time-slicing, MPS, or fractional
//! shares. Resources and labels are those of NVIDIA's device plugin and GPU feature discovery.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use cluster::Name;
use cluster::pod_template::ResourceList;
use scheduler::gpu::{GPU_COUNT, GPU_MODEL};
use units::Quantity;

/// The resource name of whole NVIDIA GPUs.
const WHOLE_GPU: &str = "nvidia.com/gpu";
/// The resource name of GPUs with several replicas if they are renamed.
const SHARED_GPU: &str = "nvidia.com/gpu.shared";

/// The GPUs of a pool's nodes, and their sharing among pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PoolGpus {
    /// The GPU model, such as NVIDIA-A10G, set as the label nvidia.com/gpu.product. Default: no label.
    pub model: Option<Name>,
    /// Number of GPUs per node, at most 32. Default: the number that the instance type or `capacity` has
    /// under nvidia.com/gpu.
    #[schemars(range(max = 32))]
    pub count: Option<u32>,
    /// Time-slicing or MPS: number of replicas of each GPU, 1 to 64. The simulation does not isolate
    /// the pods on one GPU from each other. Default 1.
    #[schemars(range(min = 1, max = 64))]
    pub replicas: Option<u32>,
    /// With `replicas`: offer the GPUs as nvidia.com/gpu.shared instead of nvidia.com/gpu
    /// (renameByDefault). Default false.
    pub rename: bool,
    /// MIG: number of slices per GPU by profile, such as {1g.5gb: 7}, offered as nvidia.com/mig-1g.5gb
    /// instead of the whole GPU (strategy mixed).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub mig: BTreeMap<Name, u32>,
    /// Offer the GPUs in shares of a thousandth instead of whole, for pods with the annotation
    /// alibabacloud.com/gpu-milli and the scheduler plugin Open-Gpu-Share. Default false.
    pub shares: bool,
}

impl PoolGpus {
    /// Number of GPUs of a node with the capacity `list`.
    fn number(&self, list: &ResourceList) -> i64 {
        let of_list = || list.get(WHOLE_GPU).map_or(0, Quantity::value);
        self.count.map_or_else(of_list, i64::from)
    }

    /// Replaces the GPUs among a node's resources by the resources they are offered as.
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

    /// The labels set by GPU feature discovery; `capacity` is that of the node before [`Self::offer`].
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
