//! Defaults of each type of cluster: the resources it reserves on a machine described in place, its labels, its
//! system DaemonSets, and the flags of its Cluster Autoscaler.

use super::machines::Preset;
use capacity::node_type::Gpus;
use capacity::reserved::{Architecture, Machine, Provider, allocatable, capacity};
use cluster::Name;
use cluster::node::CapacityType;
use cluster::pod_template::ResourceList;
use manifest::Source;
use units::{Bytes, MilliCpu, Quantity};

/// The kubelet's default threshold `memory.available<100Mi`, which applies without any other reservation.
const HARD_EVICTION: i64 = 100 << 20;

impl Preset {
    /// The name in scenario files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eks => "eks",
            Self::Gke => "gke",
            Self::Aks => "aks",
            Self::Kind => "kind",
            Self::Bare => "bare",
        }
    }

    /// The cloud that hosts it.
    const fn provider(self) -> Option<Provider> {
        match self {
            Self::Eks => Some(Provider::Aws),
            Self::Gke => Some(Provider::Gcp),
            Self::Aks => Some(Provider::Azure),
            Self::Kind | Self::Bare => None,
        }
    }

    /// Pod capacity of a node described in place: the kubelet's default, on AKS that of the Azure CNI overlay.
    pub(super) const fn max_pods(self) -> i64 {
        match self {
            Self::Aks => 250,
            Self::Eks | Self::Gke | Self::Kind | Self::Bare => 110,
        }
    }

    /// Subtracts the kubelet's and system's reservations from a machine's capacity.
    pub(super) fn subtract_reserved(self, list: &mut ResourceList) {
        let of = |resource: &str| list.get(resource).unwrap_or_default();
        let cpu = MilliCpu(of("cpu").milli_value());
        let memory = Bytes(of("memory").value());
        let (kept_cpu, kept_memory) = match self.provider() {
            Some(provider) => {
                let machine = Machine {
                    provider,
                    architecture: Architecture::Amd64,
                    cpu,
                    memory,
                    max_pods: of("pods").value(),
                    is_shared_core: false,
                };
                let (has, offers) = (capacity(&machine), allocatable(&machine));
                (has.cpu - offers.cpu, has.memory - offers.memory)
            }
            None => (MilliCpu(0), Bytes(HARD_EVICTION)),
        };
        let left = (cpu - kept_cpu).max(MilliCpu(0));
        list.set("cpu", Quantity::from_milli(left.0));
        list.set("memory", Quantity::from_bytes((memory - kept_memory).max(Bytes(0)).0));
    }

    /// The node label for the machine's capacity type.
    pub(super) const fn capacity_label(
        self,
        capacity_type: CapacityType,
    ) -> Option<(&'static str, &'static str)> {
        match (self, capacity_type) {
            (Self::Eks, CapacityType::OnDemand) => {
                Some(("eks.amazonaws.com/capacityType", "ON_DEMAND"))
            }
            (Self::Eks, CapacityType::Spot) => Some(("eks.amazonaws.com/capacityType", "SPOT")),
            (Self::Gke, CapacityType::Spot) => Some(("cloud.google.com/gke-spot", "true")),
            (Self::Aks, CapacityType::Spot) => {
                Some(("kubernetes.azure.com/scalesetpriority", "spot"))
            }
            _ => None,
        }
    }

    /// The label that the cloud sets on nodes expected to have GPUs; EKS sets none.
    pub(super) fn accelerator_label(self, gpus: &Gpus) -> Option<(&'static str, Name)> {
        match self {
            Self::Gke => Some((self.gpu_label(), gpus.model.as_ref().into())),
            Self::Aks => Some((self.gpu_label(), "nvidia".into())),
            Self::Eks | Self::Kind | Self::Bare => None,
        }
    }

    /// The manifests of its system DaemonSets.
    pub fn system(self) -> Source {
        let text = match self {
            Self::Eks => include_str!("presets/eks.yaml"),
            Self::Gke => include_str!("presets/gke.yaml"),
            Self::Aks => include_str!("presets/aks.yaml"),
            Self::Kind => include_str!("presets/kind.yaml"),
            Self::Bare => include_str!("presets/bare.yaml"),
        };
        Source::new(&format!("preset {}", self.as_str()), text)
    }

    /// The images of the system DaemonSets, which are preloaded on its machines.
    pub(super) fn images(self) -> Vec<(Name, Bytes)> {
        let source = self.system();
        let images = source.text.lines().filter_map(|line| line.split("image: \"").nth(1));
        let names = images.filter_map(|rest| rest.split('"').next());
        names.map(|name| (name.into(), Bytes(0))).collect()
    }

    /// Cluster Autoscaler flags that differ from the defaults: on AKS its default profile, on GKE its location
    /// policy.
    pub(crate) const fn cluster_autoscaler_flags(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Aks => &[
                ("expander", "random"),
                ("scale-down-delay-after-delete", "10s"),
                ("skip-nodes-with-local-storage", "false"),
            ],
            Self::Gke => &[("balance-similar-node-groups", "true")],
            Self::Eks | Self::Kind | Self::Bare => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster_autoscaler::Options;
    use manifest::{Diagnostics, read_manifests};

    const ALL: [Preset; 5] = [Preset::Eks, Preset::Gke, Preset::Aks, Preset::Kind, Preset::Bare];

    #[test]
    fn every_preset_brings_manifests_flags_and_images_that_are_right() {
        for preset in ALL {
            let mut problems = Diagnostics::default();
            let manifests = read_manifests(&[preset.system()], &mut problems);
            let loaded = manifest::admit(manifests);
            assert!(!problems.has_errors() && !loaded.diagnostics.has_errors(), "{preset:?}");
            let containers = preset.system().text.matches("image:").count();
            assert_eq!(preset.images().len(), containers, "{preset:?}");
            let mut options = Options::default();
            for (flag, value) in preset.cluster_autoscaler_flags() {
                options.set(flag, value).expect("a flag with its value");
            }
        }
    }

    #[test]
    fn a_machine_described_in_place_keeps_what_its_cloud_reserves() {
        let of = |preset: Preset| {
            let mut list: ResourceList = [
                ("cpu", Quantity::from_units(4)),
                ("memory", Quantity::from_bytes(16 << 30)),
                ("pods", Quantity::from_units(110)),
            ]
            .into_iter()
            .collect();
            preset.subtract_reserved(&mut list);
            let get = |name| list.get(name).expect("set before");
            (get("cpu").milli_value(), get("memory").value() >> 20)
        };
        // 60 + 10 + 5 + 5 m; 255 + 11 x 110 + 100 MiB.
        assert_eq!(of(Preset::Eks), (3_920, 16_384 - 1_565));
        // 25 % of 4 GiB, 20 % of 4, 10 % of 8, and 100 MiB: 1024 + 819.2 + 819.2 + 100 MiB.
        assert_eq!(of(Preset::Gke), (3_920, 16_384 - 2_763));
        // 60 + 40 + 20 + 20 m; 20 x 110 + 50 + 100 MiB.
        assert_eq!(of(Preset::Aks), (3_860, 16_384 - 2_350));
        assert_eq!(of(Preset::Bare), (4_000, 16_384 - 100));
    }
}
