//! Instance types of Karpenter's clouds: those of EC2 from the built-in catalog, and those of KWOK.

use std::sync::Arc;

use super::KarpenterSettings;
use capacity::catalog::node_types;
use capacity::node_type::{ARCHITECTURE_LABEL, NodeType, OPERATING_SYSTEM_LABEL};
use capacity::reserved::{Architecture, Provider};
use cluster::Name;
use karpenter::labels::{CAPACITY_TYPE, INSTANCE_TYPE, ON_DEMAND, SPOT, ZONE};
use karpenter::requirement::{NodeOperator, Requirement};
use karpenter::{Amounts, InstanceType, Offering, Requirements};
use units::Quantity;

const REGION: &str = "topology.kubernetes.io/region";
/// Labels of the AWS provider.
const EC2_LABELS: [&str; 11] = [
    "karpenter.k8s.aws/instance-category",
    "karpenter.k8s.aws/instance-family",
    "karpenter.k8s.aws/instance-generation",
    "karpenter.k8s.aws/instance-size",
    "karpenter.k8s.aws/instance-cpu",
    "karpenter.k8s.aws/instance-cpu-manufacturer",
    "karpenter.k8s.aws/instance-memory",
    "karpenter.k8s.aws/instance-gpu-name",
    "karpenter.k8s.aws/instance-gpu-manufacturer",
    "karpenter.k8s.aws/instance-gpu-count",
    "karpenter.k8s.aws/instance-gpu-memory",
];
/// Labels of the KWOK provider.
const KWOK_LABELS: [&str; 4] = [
    "karpenter.kwok.sh/instance-size",
    "karpenter.kwok.sh/instance-family",
    "karpenter.kwok.sh/instance-cpu",
    "karpenter.kwok.sh/instance-memory",
];

/// The label keys that nodes of these clouds have even if their pool does not name them.
pub(super) fn known_labels() -> impl Iterator<Item = Name> {
    EC2_LABELS.into_iter().chain(KWOK_LABELS).map(Name::from)
}

fn requirements(labels: impl IntoIterator<Item = (&'static str, Vec<Name>)>) -> Requirements {
    let mut made = Requirements::default();
    for (key, values) in labels {
        let operator =
            if values.is_empty() { NodeOperator::DoesNotExist } else { NodeOperator::In };
        made.add(Requirement::new(&key.into(), operator, values, None).into());
    }
    made
}

/// The instance types of EC2 in us-east-1, by name. `max_pods` overrides the pod capacity of all of
/// them.
pub(super) fn ec2_types(
    settings: &KarpenterSettings,
    max_pods: Option<i64>,
) -> Arc<[Arc<InstanceType>]> {
    let of_aws = node_types().iter().filter(|one| one.machine.provider == Provider::Aws);
    of_aws.map(|one| Arc::new(ec2_type(one, settings, max_pods))).collect()
}

fn ec2_type(one: &NodeType, settings: &KarpenterSettings, max_pods: Option<i64>) -> InstanceType {
    let listed = settings.on_demand_prices.get(&*one.name).copied();
    let on_demand = listed.unwrap_or(one.on_demand).as_usd();
    let own = settings.spot_prices.get(&*one.name).map(|price| price.as_usd());
    let spot = own.or_else(|| settings.spot_share.map(|share| on_demand * share));
    let prices = [(ON_DEMAND, Some(on_demand)), (SPOT, spot)];
    let priced = prices.iter().filter_map(|(kind, price)| Some((*kind, (*price)?)));
    let offerings: Vec<Offering> = priced
        .flat_map(|(kind, price)| {
            settings.zones.iter().map(move |zone| Offering {
                zone: zone.clone(),
                capacity_type: kind.into(),
                price,
                is_available: true,
            })
        })
        .collect();
    let machine = &one.machine;
    let (family, size) = one.name.split_once('.').unwrap_or((&one.name, ""));
    let letters = family.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(family.len());
    let category = &family[..letters];
    let rest = family[letters..].rsplit('-').next().unwrap_or_default();
    let rest = rest.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    let manufacturer = match machine.architecture {
        Architecture::Arm64 => "aws",
        Architecture::Amd64 if rest[digits..].contains('a') => "amd",
        Architecture::Amd64 => "intel",
    };
    let gpus = one.gpus.as_ref();
    let gpu = |text: Option<String>| text.map(Name::from).into_iter().collect::<Vec<_>>();
    let gpu_name = gpus
        .map(|gpus| gpus.model.split_once('-').map_or(&*gpus.model, |(_, name)| name).to_owned());
    let maker = gpus.and_then(|gpus| gpus.model.split('-').next().map(str::to_owned));
    let gpu_memory =
        gpus.and_then(|gpus| gpus.memory_each).map(|memory| (memory.0 >> 20).to_string());
    let text = |text: &str| vec![Name::from(text)];
    let labels = [
        (INSTANCE_TYPE, text(&one.name)),
        (ARCHITECTURE_LABEL, text(machine.architecture.as_str())),
        (OPERATING_SYSTEM_LABEL, text("linux")),
        (REGION, text(one.region())),
        (ZONE, settings.zones.clone()),
        (CAPACITY_TYPE, offerings_kinds(&offerings)),
        (EC2_LABELS[0], text(category)),
        (EC2_LABELS[1], text(family)),
        (EC2_LABELS[2], text(&rest[..digits])),
        (EC2_LABELS[3], text(size)),
        (EC2_LABELS[4], text(&(machine.cpu.0 / 1000).to_string())),
        (EC2_LABELS[5], text(manufacturer)),
        (EC2_LABELS[6], text(&(machine.memory.0 >> 20).to_string())),
        (EC2_LABELS[7], gpu(gpu_name)),
        (EC2_LABELS[8], gpu(maker)),
        (EC2_LABELS[9], gpu(gpus.map(|gpus| gpus.count.to_string()))),
        (EC2_LABELS[10], gpu(gpu_memory)),
    ];
    let pods = max_pods.unwrap_or(machine.max_pods);
    let with_pods = |list| {
        let mut amounts = Amounts::of(&list);
        amounts.set(&"pods".into(), Quantity::from_units(pods).nanos());
        amounts
    };
    let sized = NodeType {
        machine: capacity::reserved::Machine { max_pods: pods, ..*machine },
        ..one.clone()
    };
    InstanceType {
        name: (&*one.name).into(),
        requirements: requirements(labels),
        offerings,
        capacity: with_pods(sized.capacity()),
        allocatable: with_pods(sized.allocatable()),
    }
}

fn offerings_kinds(offerings: &[Offering]) -> Vec<Name> {
    let mut kinds: Vec<Name> = offerings.iter().map(|one| one.capacity_type.clone()).collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

/// The instance types built into the KWOK provider (`kwok/tools/gen_instance_types.go`).
pub(super) fn kwok_types() -> Arc<[Arc<InstanceType>]> {
    let mut types = Vec::new();
    for cpu in [1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256] {
        for (factor, family) in [(2, "c"), (4, "s"), (8, "m")] {
            for system in ["linux", "windows"] {
                for architecture in ["amd64", "arm64"] {
                    types.push(Arc::new(kwok_type(
                        (cpu, cpu * factor),
                        family,
                        system,
                        architecture,
                    )));
                }
            }
        }
    }
    types.into()
}

fn kwok_type(
    (cpu, gib): (i64, i64),
    family: &str,
    system: &str,
    architecture: &str,
) -> InstanceType {
    const ZONES: [&str; 4] = ["test-zone-a", "test-zone-b", "test-zone-c", "test-zone-d"];
    let name = format!("{family}-{cpu}x-{architecture}-{system}");
    let bytes = gib << 30;
    let price = 0.025 * cpu as f64 + 0.001 * bytes as f64 / 1e9;
    let offering = |zone: &str, kind: &str, price| Offering {
        zone: zone.into(),
        capacity_type: kind.into(),
        price,
        is_available: true,
    };
    let offerings = ZONES
        .into_iter()
        .flat_map(|zone| [offering(zone, SPOT, price * 0.7), offering(zone, ON_DEMAND, price)]);
    let text = |text: &str| vec![Name::from(text)];
    let labels = [
        (INSTANCE_TYPE, text(&name)),
        (ARCHITECTURE_LABEL, text(architecture)),
        (OPERATING_SYSTEM_LABEL, text(system)),
        (ZONE, ZONES.map(Name::from).to_vec()),
        (CAPACITY_TYPE, [SPOT, ON_DEMAND].map(Name::from).to_vec()),
        (KWOK_LABELS[0], text(&format!("{cpu}x"))),
        (KWOK_LABELS[1], text(family)),
        (KWOK_LABELS[2], text(&cpu.to_string())),
        (KWOK_LABELS[3], text(&(bytes >> 20).to_string())),
    ];
    let amounts = [
        ("cpu", Quantity::from_units(cpu)),
        ("memory", Quantity::from_bytes(bytes)),
        ("pods", Quantity::from_units((cpu * 16).min(1024))),
        ("ephemeral-storage", Quantity::from_bytes(20 << 30)),
    ];
    let capacity: Amounts =
        amounts.into_iter().map(|(name, amount)| (name, amount.nanos())).collect();
    InstanceType {
        name: name.into(),
        requirements: requirements(labels),
        offerings: offerings.collect(),
        allocatable: capacity.clone(),
        capacity,
    }
}
