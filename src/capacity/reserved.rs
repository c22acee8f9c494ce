//! Resources that managed Kubernetes reserves on a machine: from the machine to `status.capacity` and
//! `status.allocatable`. Contains the formulas of EKS, GKE and AKS; no instance types and no prices.

use units::{Bytes, MilliCpu};

const KIB: i64 = 1 << 10;
const MIB: i64 = 1 << 20;
const GIB: i64 = 1 << 30;

/// The cloud whose managed Kubernetes runs the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// Amazon EKS.
    Aws,
    /// Azure AKS.
    Azure,
    /// Google GKE.
    Gcp,
}

/// Processor architecture, as in the label `kubernetes.io/arch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Architecture {
    /// x86-64.
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

impl Provider {
    /// All providers.
    pub const ALL: [Self; 3] = [Self::Aws, Self::Azure, Self::Gcp];

    /// Prefix in the name of an instance type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Gcp => "gcp",
        }
    }
}

impl Architecture {
    /// All architectures.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// Value of the label `kubernetes.io/arch`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// A machine as the cloud sells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The cloud that sells it.
    pub provider: Provider,
    /// Instruction set of its processors.
    pub architecture: Architecture,
    /// Virtual CPUs by the price list, before any reservation.
    pub cpu: MilliCpu,
    /// Memory in the price list, before the shares of hypervisor and kernel.
    pub memory: Bytes,
    /// The kubelet's `maxPods`.
    pub max_pods: i64,
    /// Whether it is a shared-core type (GKE's e2-micro, e2-small, e2-medium).
    pub is_shared_core: bool,
}

/// The resources of a node that do not depend on devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeResources {
    /// CPU in thousandths of a core.
    pub cpu: MilliCpu,
    /// Memory in bytes.
    pub memory: Bytes,
    /// The file system of the kubelet (`ephemeral-storage`).
    pub ephemeral_storage: Bytes,
    /// Maximum number of pods (`maxPods`).
    pub pods: i64,
}

/// `status.capacity`: the machine's resources as seen by the kubelet.
///
/// For EKS and AKS this is Karpenter's estimate, 7.5 % below the price list (`VM_MEMORY_OVERHEAD_PERCENT`);
/// real nodes show one to five per cent more. For GKE it is the Cluster Autoscaler's kernel formula.
pub fn capacity(machine: &Machine) -> NodeResources {
    let memory = match machine.provider {
        Provider::Aws if machine.architecture == Architecture::Arm64 => {
            // Graviton machines reserve 64 MiB of contiguous memory for devices.
            without_vm_overhead(machine.memory.0 - 64 * MIB)
        }
        Provider::Aws | Provider::Azure => without_vm_overhead(machine.memory.0),
        Provider::Gcp => machine.memory.0 - gke_kernel_memory(machine.memory.0),
    };
    // The root file system of each service's default disk: 20 GiB, 128 GiB and 100 GiB.
    let ephemeral_storage_kib = match machine.provider {
        Provider::Aws => 20_959_212,
        Provider::Azure => 129_886_128,
        Provider::Gcp => 98_831_908,
    };
    NodeResources {
        cpu: machine.cpu,
        memory: Bytes(memory.max(0)),
        ephemeral_storage: Bytes(ephemeral_storage_kib * KIB),
        pods: machine.max_pods,
    }
}

/// `status.allocatable`: capacity less kube-reserved less the hard eviction threshold, never below 0
/// (kubelet `container_manager_linux.go`, `GetNodeAllocatableReservation`).
pub fn allocatable(machine: &Machine) -> NodeResources {
    let capacity = capacity(machine);
    let (cpu, memory) = match machine.provider {
        Provider::Aws => (stepped_cpu_reserved(machine.cpu), eks_memory_reserved(machine.max_pods)),
        Provider::Gcp if machine.is_shared_core => {
            (MilliCpu(1_060), gke_memory_reserved(machine.memory))
        }
        Provider::Gcp => (stepped_cpu_reserved(machine.cpu), gke_memory_reserved(machine.memory)),
        Provider::Azure => {
            (aks_cpu_reserved(machine.cpu), aks_memory_reserved(machine.memory, machine.max_pods))
        }
    };
    let disk = capacity.ephemeral_storage;
    let disk_reserved = match machine.provider {
        Provider::Aws => Bytes(GIB),
        Provider::Azure => Bytes(0),
        Provider::Gcp => gke_disk_reserved(Bytes(100 * GIB)),
    };
    let memory_eviction = Bytes(100 * MIB);
    NodeResources {
        cpu: (capacity.cpu - cpu).max(MilliCpu(0)),
        memory: (capacity.memory - memory - memory_eviction).max(Bytes(0)),
        ephemeral_storage: (disk - disk_reserved - ten_percent(disk)).max(Bytes(0)),
        pods: capacity.pods,
    }
}

/// kube-reserved CPU on EKS and GKE: 6 % of the first core, 1 % of the second, 0.5 % of the third and
/// fourth, 0.25 % of all others (amazon-eks-ami `nodeadm/internal/kubelet/config.go`, the GKE page on
/// node sizes). 8 cores: 60 + 10 + 5 + 5 + 4 x 2.5 = 90 m.
pub(crate) fn stepped_cpu_reserved(cpu: MilliCpu) -> MilliCpu {
    MilliCpu(stepped(cpu.0, 1_000, &[(1, 600), (1, 100), (2, 50)], 25) / 10_000)
}

/// kube-reserved memory on EKS: 255 MiB plus 11 MiB per pod (nodeadm `getMemoryMebibytesToReserve`). 29
/// pods: 574 MiB.
pub(crate) fn eks_memory_reserved(max_pods: i64) -> Bytes {
    Bytes((255 + 11 * max_pods) * MIB)
}

/// kube-reserved memory on GKE: 255 MiB below 1 GiB; else 25 % of the first 4 GiB, 20 % of the next 4,
/// 10 % of the next 8, 6 % of the next 112, 2 % above (the GKE page on node sizes).
/// 150 GiB: 1 + 0.8 + 0.8 + 6.72 + 0.44 = 9.76 GiB.
pub(crate) fn gke_memory_reserved(memory: Bytes) -> Bytes {
    if memory.0 < GIB {
        return Bytes(255 * MIB);
    }
    Bytes(stepped(memory.0, GIB, &[(4, 25), (4, 20), (8, 10), (112, 6)], 2) / 100)
}

/// System reservation of the boot disk on GKE: the least of half the disk, 6 GiB and 35 % of the disk,
/// and 100 GiB. 100 GiB: 41 GiB.
pub(crate) fn gke_disk_reserved(boot_disk: Bytes) -> Bytes {
    let disk = boot_disk.0;
    Bytes((disk / 2).min(6 * GIB + disk / 100 * 35 + disk % 100 * 35 / 100).min(100 * GIB))
}

/// kube-reserved CPU on AKS: 6 % of the first core, 4 % of the second, 2 % of the third and fourth, 1 %
/// of all others (karpenter-provider-azure `pkg/providers/instancetype/instancetype.go`). 8 cores: 180 m.
pub(crate) fn aks_cpu_reserved(cpu: MilliCpu) -> MilliCpu {
    MilliCpu(stepped(cpu.0, 1_000, &[(1, 6), (1, 4), (2, 2)], 1) / 100)
}

/// kube-reserved memory on AKS since 1.29: 20 MiB per pod plus 50 MiB, at most a quarter of the memory (the
/// AKS page on node resource reservations). 8 GiB and 30 pods: 650 MiB.
pub(crate) fn aks_memory_reserved(memory: Bytes, max_pods: i64) -> Bytes {
    Bytes(((20 * max_pods + 50) * MIB).min(memory.0 / 4))
}

/// Sum of `amount` over steps of `(units, rate)`, with `last_rate` for the remainder.
fn stepped(amount: i64, unit: i64, steps: &[(i64, i64)], last_rate: i64) -> i64 {
    let mut rest = amount;
    let mut sum = 0;
    for (units, rate) in steps {
        let part = rest.min(units * unit);
        sum += part * rate;
        rest -= part;
    }
    sum + rest * last_rate
}

/// Memory less Karpenter's 7.5 %, rounded up to whole MiB (karpenter-provider-aws
/// `pkg/providers/instancetype/types.go`, `memory`).
fn without_vm_overhead(memory: i64) -> i64 {
    let overhead_mib = (memory * 75 + 1_000 * MIB - 1) / (1_000 * MIB);
    memory - overhead_mib * MIB
}

/// Memory missing from `/proc/meminfo` on Container-Optimized OS for x86-64 (cluster-autoscaler
/// `cloudprovider/gce/gce_reserved.go`, `CalculateKernelReserved`). 4 GiB: 64 + 16 + 64 + 8 + 7.2 MiB.
fn gke_kernel_memory(physical: i64) -> i64 {
    let mut reserved = physical / 64 + 16 * MIB;
    if physical > 3 * GIB {
        reserved += 64 * MIB;
    }
    if physical <= 8 * GIB {
        reserved += 8 * MIB;
    }
    reserved + (physical / 100_000 * 175).min(248 * MIB)
}

/// The threshold `nodefs.available<10%` in bytes. The kubelet stores the ratio as a 32-bit float, which
/// affects the last digits.
#[expect(clippy::cast_possible_truncation, reason = "as the kubelet cuts it")]
fn ten_percent(disk: Bytes) -> Bytes {
    Bytes((disk.0 as f64 * f64::from(0.1_f32)) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(provider: Provider, cores: i64, memory: i64, max_pods: i64) -> Machine {
        Machine {
            provider,
            architecture: Architecture::Amd64,
            cpu: MilliCpu(cores * 1_000),
            memory: Bytes(memory),
            max_pods,
            is_shared_core: false,
        }
    }

    #[test]
    fn eks_m5_large_keeps_what_karpenter_documents() {
        // 8192 - 615 = 7577 MiB; 7577 - (255 + 11 x 29) - 100 = 6903 MiB; 2000 - 60 - 10 = 1930 m.
        let m5_large = machine(Provider::Aws, 2, 8 * GIB, 29);
        assert_eq!(capacity(&m5_large).memory, Bytes(7_577 * MIB));
        let allocatable = allocatable(&m5_large);
        assert_eq!(allocatable.memory, Bytes(6_903 * MIB));
        assert_eq!(allocatable.cpu, MilliCpu(1_930));
        assert_eq!(allocatable.pods, 29);
    }

    #[test]
    fn graviton_machines_keep_memory_for_devices_as_well() {
        // 8192 - 64 = 8128; 7.5 % of that in whole MiB are 610.
        let m6g_large = machine(Provider::Aws, 2, 8 * GIB, 29);
        let m6g_large = Machine { architecture: Architecture::Arm64, ..m6g_large };
        assert_eq!(capacity(&m6g_large).memory, Bytes(7_518 * MIB));
    }

    #[test]
    fn eks_and_gke_reserve_cpu_in_steps() {
        for (cores, reserved) in [(1, 60), (2, 70), (3, 75), (4, 80), (8, 90), (32, 150)] {
            assert_eq!(
                stepped_cpu_reserved(MilliCpu(cores * 1_000)),
                MilliCpu(reserved),
                "{cores}"
            );
        }
    }

    #[test]
    fn gke_reserves_memory_in_steps() {
        // The page on node sizes: 150 GiB -> 9.8577 GiB reserved with the eviction threshold.
        let reserved = gke_memory_reserved(Bytes(150 * GIB)) + Bytes(100 * MIB);
        assert_eq!(reserved.0 * 10_000 / GIB, 98_576);
        assert_eq!(gke_memory_reserved(Bytes(614 * MIB)), Bytes(255 * MIB));
        assert_eq!(gke_memory_reserved(Bytes(GIB)), Bytes(256 * MIB));
        assert_eq!(gke_memory_reserved(Bytes(4 * GIB)), Bytes(GIB));
    }

    #[test]
    fn gke_kernels_keep_memory_by_the_autoscalers_formula() {
        // 1/64, 16 MiB, 64 MiB above 3 GiB, 8 MiB up to 8 GiB, and 0.175 % but at most 248 MiB.
        let kept = |gib: i64| {
            let memory = gib * GIB;
            memory - capacity(&machine(Provider::Gcp, 4, memory, 110)).memory.0
        };
        for (gib, mib, share) in [
            (2, 32 + 16 + 8, 21_474 * 175),
            (3, 48 + 16 + 8, 32_212 * 175),
            (4, 64 + 16 + 64 + 8, 42_949 * 175),
            (8, 128 + 16 + 64 + 8, 85_899 * 175),
            (16, 256 + 16 + 64, 171_798 * 175),
            (256, 4_096 + 16 + 64 + 248, 0),
        ] {
            assert_eq!(kept(gib), mib * MIB + share, "{gib} GiB");
        }
    }

    #[test]
    fn gke_shared_core_types_keep_1060_milli_cpu() {
        let mut e2_medium = machine(Provider::Gcp, 2, 4 * GIB, 110);
        assert_eq!(allocatable(&e2_medium).cpu, MilliCpu(1_930));
        e2_medium.is_shared_core = true;
        assert_eq!(allocatable(&e2_medium).cpu, MilliCpu(940));
    }

    #[test]
    fn aks_reserves_cpu_by_the_published_table() {
        for (cores, reserved) in
            [(1, 60), (2, 100), (4, 140), (8, 180), (16, 260), (32, 420), (64, 740)]
        {
            assert_eq!(aks_cpu_reserved(MilliCpu(cores * 1_000)), MilliCpu(reserved), "{cores}");
        }
    }

    #[test]
    fn aks_reserves_memory_by_pods_up_to_a_quarter() {
        assert_eq!(aks_memory_reserved(Bytes(8 * GIB), 30), Bytes(650 * MIB));
        assert_eq!(aks_memory_reserved(Bytes(8 * GIB), 250), Bytes(2 * GIB));
    }

    #[test]
    fn disks_agree_with_nodes_that_were_looked_at() {
        // `kubectl get node -o yaml` of the GKE page on node sizes, and of AKS issue 3525.
        let of = |provider| allocatable(&machine(provider, 4, 16 * GIB, 110)).ephemeral_storage;
        assert_eq!(of(Provider::Gcp), Bytes(47_060_071_478));
        assert_eq!(of(Provider::Azure), Bytes(119_703_055_367));
        assert_eq!(of(Provider::Aws), Bytes(18_242_267_924));
    }

    #[test]
    fn a_machine_too_small_for_its_reservation_offers_nothing() {
        let tiny = machine(Provider::Aws, 0, 256 * MIB, 110);
        let offered = allocatable(&tiny);
        assert_eq!((offered.cpu, offered.memory), (MilliCpu(0), Bytes(0)));
    }
}
