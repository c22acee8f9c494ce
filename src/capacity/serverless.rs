//! Billing of serverless pods, which are billed instead of their nodes: the sizes to which AWS Fargate and GKE Autopilot
//! round them up, and the billed time. Pure.

use cluster::node::Serverless;
use engine::SimDuration;
use units::{Bytes, MilliCpu};

const MIB: i64 = 1 << 20;
const GIB: i64 = 1 << 30;
const SECOND: i64 = 1_000_000_000;

/// The amounts for which a pod is billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodSize {
    /// CPU.
    pub cpu: MilliCpu,
    /// Memory.
    pub memory: Bytes,
    /// Billed ephemeral storage; Fargate's 20 GiB are free.
    pub storage: Bytes,
}

/// CPU in millicores, then the minimum, maximum and step of its memory in GiB: the combinations of the EKS User Guide,
/// "Fargate Pod configuration". A quarter of a CPU has 0.5, 1 or 2 GiB.
const FARGATE: [(i64, i64, i64, i64); 6] = [
    (500, 1, 4, 1),
    (1_000, 2, 8, 1),
    (2_000, 4, 16, 1),
    (4_000, 8, 30, 1),
    (8_000, 16, 60, 4),
    (16_000, 32, 120, 8),
];

/// Memory that Fargate adds for kubelet, kube-proxy and containerd.
const FARGATE_OVERHEAD: Bytes = Bytes(256 * MIB);

/// Autopilot's minimum for a pod of the general-purpose class on clusters that support bursting, in millicores and bytes.
const AUTOPILOT_CPU: i64 = 50;
const AUTOPILOT_MEMORY: i64 = 52 * MIB;
/// Autopilot's requests for a container without any.
const AUTOPILOT_DEFAULT: PodSize =
    PodSize { cpu: MilliCpu(500), memory: Bytes(2 * GIB), storage: Bytes(GIB) };

/// The billed size of a pod with these requests; `None` if it exceeds the largest size. A request of zero counts as absent.
///
/// ```
/// # use wavetank::capacity::serverless::{PodSize, billed_size};
/// # use wavetank::cluster::node::Serverless;
/// # use wavetank::units::{Bytes, MilliCpu};
/// let requested =
///     PodSize { cpu: MilliCpu(1_000), memory: Bytes(8 << 30), ..PodSize::default() };
/// // With the 256 MiB that Fargate adds there is no combination of one CPU that holds it.
/// let billed = billed_size(Serverless::Fargate, requested).unwrap();
/// assert_eq!((billed.cpu, billed.memory), (MilliCpu(2_000), Bytes(9 << 30)));
/// ```
pub fn billed_size(kind: Serverless, requested: PodSize) -> Option<PodSize> {
    match kind {
        Serverless::Fargate => fargate(requested),
        Serverless::Autopilot => Some(autopilot(requested)),
    }
}

/// The billed time of a pod that existed for `span`: whole seconds, on Fargate at least a minute.
pub fn billed_time(kind: Serverless, span: SimDuration) -> SimDuration {
    let seconds = (span.as_nanos() + SECOND - 1) / SECOND;
    SimDuration::from_secs(match kind {
        Serverless::Fargate => seconds.max(60),
        Serverless::Autopilot => seconds,
    })
}

fn fargate(requested: PodSize) -> Option<PodSize> {
    let memory = requested.memory + FARGATE_OVERHEAD;
    if requested.cpu.0 <= 250
        && let Some(memory) = [GIB / 2, GIB, 2 * GIB].into_iter().find(|size| memory.0 <= *size)
    {
        return Some(PodSize { cpu: MilliCpu(250), memory: Bytes(memory), storage: Bytes(0) });
    }
    let holds = FARGATE
        .iter()
        .filter(|(cpu, _, most, _)| requested.cpu.0 <= *cpu && memory.0 <= most * GIB);
    let (cpu, least, _, step) = *holds.min_by_key(|(cpu, ..)| *cpu)?;
    let gib = (memory.0 + GIB - 1) / GIB;
    let steps = ((gib - least).max(0) + step - 1) / step;
    let memory = Bytes((least + steps * step) * GIB);
    Some(PodSize { cpu: MilliCpu(cpu), memory, storage: Bytes(0) })
}

/// Raises each amount to its minimum, then CPU or memory until there are 1 to 6.5 GiB per CPU.
fn autopilot(requested: PodSize) -> PodSize {
    let or = |amount: i64, default: i64| if amount > 0 { amount } else { default };
    let cpu = or(requested.cpu.0, AUTOPILOT_DEFAULT.cpu.0).max(AUTOPILOT_CPU);
    let memory = or(requested.memory.0, AUTOPILOT_DEFAULT.memory.0).max(AUTOPILOT_MEMORY);
    let storage = or(requested.storage.0, AUTOPILOT_DEFAULT.storage.0);
    // At least 1 GiB per CPU; at most 6.5 GiB per CPU, 13 GiB for two.
    let least_memory = i128::from(cpu) * i128::from(GIB) / 1_000;
    let of_memory = (i128::from(memory) * 2_000 + i128::from(13 * GIB) - 1) / i128::from(13 * GIB);
    let whole = |amount: i128| i64::try_from(amount).unwrap_or(i64::MAX);
    PodSize {
        cpu: MilliCpu(cpu.max(whole(of_memory))),
        memory: Bytes(memory.max(whole(least_memory))),
        storage: Bytes(storage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price_list::{MONTH, PriceList};
    use crate::reserved::Provider;

    fn size(kind: Serverless, cpu: i64, mib: i64) -> Option<(i64, i64)> {
        let requested = PodSize { cpu: MilliCpu(cpu), memory: Bytes(mib * MIB), storage: Bytes(0) };
        billed_size(kind, requested).map(|billed| (billed.cpu.0, billed.memory.0 / MIB))
    }

    #[test]
    fn fargate_takes_the_smallest_combination_that_holds_the_pod_and_its_overhead() {
        let fargate = |cpu, mib| size(Serverless::Fargate, cpu, mib);
        // "If you do not specify a vCPU and memory combination, the smallest is used (.25 vCPU and 0.5 GB)."
        assert_eq!(fargate(0, 0), Some((250, 512)));
        assert_eq!(fargate(250, 256), Some((250, 512)));
        assert_eq!(fargate(250, 257), Some((250, 1_024)));
        assert_eq!(fargate(100, 2_048), Some((500, 3 * 1_024)));
        assert_eq!(fargate(300, 100), Some((500, 1_024)));
        assert_eq!(fargate(1_000, 8 * 1_024 - 256), Some((1_000, 8 * 1_024)));
        assert_eq!(fargate(8_000, 17 * 1_024), Some((8_000, 20 * 1_024)));
        assert_eq!(fargate(16_000, 119 * 1_024), Some((16_000, 120 * 1_024)));
        assert_eq!(fargate(16_001, 0), None);
        assert_eq!(fargate(0, 120 * 1_024), None);
    }

    #[test]
    fn autopilot_raises_what_is_too_little_for_the_rest() {
        let autopilot = |cpu, mib| size(Serverless::Autopilot, cpu, mib);
        assert_eq!(autopilot(0, 0), Some((500, 2_048)));
        assert_eq!(autopilot(10, 10), Some((50, 52)));
        assert_eq!(autopilot(2_000, 1_024), Some((2_000, 2_048)));
        assert_eq!(autopilot(1_000, 13 * 1_024), Some((2_000, 13 * 1_024)));
        assert_eq!(autopilot(1_000, 6_656), Some((1_000, 6_656)));
    }

    #[test]
    fn fargate_bills_a_minute_at_least_and_autopilot_by_the_second() {
        let time = |kind, nanos| billed_time(kind, SimDuration::from_nanos(nanos));
        assert_eq!(time(Serverless::Fargate, 1), SimDuration::from_secs(60));
        assert_eq!(time(Serverless::Fargate, 60 * SECOND + 1), SimDuration::from_secs(61));
        assert_eq!(time(Serverless::Autopilot, 1), SimDuration::from_secs(1));
        assert_eq!(time(Serverless::Autopilot, 0), SimDuration::ZERO);
    }

    /// aws.amazon.com/fargate/pricing, example 1: 5 pods of 1 vCPU and 2 GB, 10 minutes on each of 30 days: $1.23.
    #[test]
    fn the_example_of_fargates_price_page_comes_to_the_cent_pod_by_pod() {
        let requested = PodSize {
            cpu: MilliCpu(1_000),
            memory: Bytes(2 * GIB) - FARGATE_OVERHEAD,
            storage: Bytes(0),
        };
        let billed = billed_size(Serverless::Fargate, requested).unwrap();
        let time = billed_time(Serverless::Fargate, SimDuration::from_secs(600)).as_nanos();
        let price = |item| PriceList::of(Provider::Aws).find(item).unwrap();
        let pods = 5 * 30;
        let cost = |item, amount: i64| {
            price(item).charge(i128::from(amount) * i128::from(time) * pods, MONTH).usd
        };
        let cpu = cost("fargate-cpu", billed.cpu.0);
        let memory = cost("fargate-memory", billed.memory.0);
        assert_eq!((cpu.cents(), memory.cents()), (101, 22));
    }
}
