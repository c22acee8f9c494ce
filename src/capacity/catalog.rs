//! The built-in catalog of instance types: lookup by name, and selection by size, GPUs and price. `data/README.md`
//! documents the sources. No cloud is queried: prices are those of the data.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use super::node_type::{Gpus, NodeType};
use super::reserved::{Architecture, Machine, Provider};
use units::{Bytes, HourlyPrice, MilliCpu};

const MIB: i64 = 1 << 20;

/// A GPU that can be attached to any of GCP's n1 machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuAddOn {
    /// Its model: `nvidia-tesla-t4`.
    pub model: &'static str,
    /// Memory of one GPU, bytes.
    pub memory: Bytes,
    /// On-demand price of one GPU, added to the machine's.
    pub on_demand: HourlyPrice,
    /// Price of one GPU on a spot machine.
    pub spot: HourlyPrice,
}

/// Requirements on an instance type; the default accepts every type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this cloud.
    pub provider: Option<Provider>,
    /// Only this architecture.
    pub architecture: Option<Architecture>,
    /// At least this much CPU on the machine.
    pub min_cpu: MilliCpu,
    /// At least this much memory on the machine.
    pub min_memory: Bytes,
    /// Minimum number of GPUs.
    pub min_gpus: i64,
    /// Substring of the GPU's model name, case-insensitive.
    pub gpu_model: Option<String>,
    /// At most this on-demand price.
    pub max_price: Option<HourlyPrice>,
}

/// The reason why a lookup failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindError {
    /// No type has this name.
    Unknown {
        /// The requested name.
        name: String,
        /// Similar names, most similar first.
        nearest: Vec<String>,
    },
    /// The sources have a price of this type but not its size.
    SizeUnknown {
        /// The requested name.
        name: String,
    },
    /// A combination of GPUs that GCP does not sell.
    AddOn {
        /// The requested name.
        name: String,
    },
}

/// All types with a known size, by cloud and name.
pub fn node_types() -> &'static [NodeType] {
    &CATALOG.node_types
}

/// The GPUs that can be attached to GCP's n1 machines.
pub fn gpu_add_ons() -> &'static [GpuAddOn] {
    &CATALOG.gpu_add_ons
}

/// The type with a name such as `m5.large`, `aws/m5.large`, or, with GPUs attached,
/// `gcp/n1-standard-8+2xnvidia-tesla-t4`. Case-insensitive.
pub fn find(name: &str) -> Result<NodeType, FindError> {
    match name.split_once('+') {
        None => find_plain(name).cloned(),
        Some((base, add_on)) => {
            let base = find_plain(base)?;
            with_gpus(base, add_on).ok_or_else(|| FindError::AddOn { name: name.to_owned() })
        }
    }
}

/// The types whose name contains `part`, case-insensitive, by cloud and name.
pub fn named_like(part: &str) -> Vec<&'static NodeType> {
    node_types().iter().filter(|node_type| contains(&node_type.name, part)).collect()
}

impl Filter {
    /// Whether a type meets the requirements.
    pub fn accepts(&self, node_type: &NodeType) -> bool {
        let machine = &node_type.machine;
        let gpus = node_type.gpus.as_ref();
        self.provider.is_none_or(|provider| provider == machine.provider)
            && self.architecture.is_none_or(|wanted| wanted == machine.architecture)
            && machine.cpu >= self.min_cpu
            && machine.memory >= self.min_memory
            && gpus.map_or(0, |gpus| gpus.count) >= self.min_gpus
            && self.max_price.is_none_or(|limit| node_type.on_demand <= limit)
            && self
                .gpu_model
                .as_ref()
                .is_none_or(|model| gpus.is_some_and(|gpus| contains(&gpus.model, model)))
    }
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, nearest } => {
                write!(f, "unknown instance type {name:?}; the most similar are ")?;
                write!(f, "{}", nearest.join(", "))
            }
            Self::SizeUnknown { name } => write!(
                f,
                "the catalog has a price for {name:?}, but not its size; set capacity and price"
            ),
            Self::AddOn { name } => {
                let models: Vec<_> = gpu_add_ons().iter().map(|add_on| add_on.model).collect();
                write!(
                    f,
                    "{name:?} is not available; a gcp/n1 machine can have 1, 2, 4 or 8 GPUs, written as \
                     n1-standard-8+2xnvidia-tesla-t4; the models are {}",
                    models.join(", ")
                )
            }
        }
    }
}

impl std::error::Error for FindError {}

struct Catalog {
    node_types: Vec<NodeType>,
    by_lower_case_name: FxHashMap<String, usize>,
    without_size: Vec<&'static str>,
    gpu_add_ons: Vec<GpuAddOn>,
}

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    let mut node_types = Vec::new();
    let mut without_size = Vec::new();
    for (provider, data) in [
        (Provider::Aws, include_str!("data/aws_us_east_1.csv")),
        (Provider::Azure, include_str!("data/azure_eastus.csv")),
        (Provider::Gcp, include_str!("data/gcp_us_central1.csv")),
    ] {
        for row in rows(data) {
            match node_type(provider, &row) {
                Some(node_type) => node_types.push(node_type),
                None => without_size.push(row.text("name")),
            }
        }
    }
    let by_lower_case_name = node_types
        .iter()
        .enumerate()
        .map(|(index, node_type)| (node_type.name.to_ascii_lowercase(), index))
        .collect();
    let gpu_add_ons = rows(include_str!("data/gcp_gpu_addons.csv")).map(|row| gpu_add_on(&row));
    Catalog { node_types, by_lower_case_name, without_size, gpu_add_ons: gpu_add_ons.collect() }
});

fn find_plain(name: &str) -> Result<&'static NodeType, FindError> {
    let (provider, plain) = name.split_once('/').unwrap_or(("", name));
    let found = CATALOG
        .by_lower_case_name
        .get(&plain.to_ascii_lowercase())
        .map(|index| &CATALOG.node_types[*index])
        .filter(|found| provider.is_empty() || provider == found.machine.provider.as_str());
    match found {
        Some(found) => Ok(found),
        None if CATALOG.without_size.contains(&plain) => {
            Err(FindError::SizeUnknown { name: name.to_owned() })
        }
        None => Err(FindError::Unknown { name: name.to_owned(), nearest: nearest(plain) }),
    }
}

fn with_gpus(base: &NodeType, add_on: &str) -> Option<NodeType> {
    let (count, model) = add_on.split_once('x')?;
    let gpu = gpu_add_ons().iter().find(|gpu| gpu.model == model)?;
    let count: i64 = count.parse().ok().filter(|count| [1, 2, 4, 8].contains(count))?;
    if !base.name.starts_with("n1-") {
        return None;
    }
    Some(NodeType {
        name: Cow::Owned(format!("{}+{add_on}", base.name)),
        gpus: Some(Gpus { count, model: Cow::Borrowed(gpu.model), memory_each: Some(gpu.memory) }),
        on_demand: base.on_demand + gpu.on_demand * count,
        spot: base.spot.map(|spot| spot + gpu.spot * count),
        ..base.clone()
    })
}

/// The three names most similar to `name`: first those that contain it, then by edit distance.
fn nearest(name: &str) -> Vec<String> {
    let wanted = name.to_ascii_lowercase();
    let mut ranked: Vec<_> = node_types()
        .iter()
        .map(|node_type| {
            let lower = node_type.name.to_ascii_lowercase();
            let distance = strsim::osa_distance(&wanted, &lower);
            ((wanted.is_empty() || !lower.contains(&wanted), distance), node_type)
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.iter().take(3).map(|(_, node_type)| node_type.to_string()).collect()
}

fn contains(name: &str, part: &str) -> bool {
    name.to_ascii_lowercase().contains(&part.to_ascii_lowercase())
}

/// One line of a data file with the names of its columns.
struct Row {
    header: &'static str,
    line: &'static str,
}

fn rows(data: &'static str) -> impl Iterator<Item = Row> {
    let (header, lines) = data.split_once('\n').unwrap_or_default();
    lines.lines().map(move |line| Row { header, line })
}

impl Row {
    /// The cell of a column, empty if the file has no such column.
    fn text(&self, column: &str) -> &'static str {
        let mut cells = self.header.split(',').zip(self.line.split(','));
        cells.find(|(name, _)| *name == column).map_or("", |(_, cell)| cell)
    }

    fn number(&self, column: &str) -> Option<i64> {
        self.text(column).parse().ok()
    }

    fn price(&self, column: &str) -> Option<HourlyPrice> {
        self.text(column).parse().ok().map(HourlyPrice::from_usd)
    }
}

/// The type of a row, or `None` if the row has no size.
fn node_type(provider: Provider, row: &Row) -> Option<NodeType> {
    let name = row.text("name");
    let max_pods = match provider {
        Provider::Aws => row.number("max_pods")?,
        // Defaults of Azure CNI Overlay and of GKE.
        Provider::Azure => 250,
        Provider::Gcp => 110,
    };
    let architecture = match row.text("arch") {
        "arm64" => Architecture::Arm64,
        _ => Architecture::Amd64,
    };
    Some(NodeType {
        name: Cow::Borrowed(name),
        machine: Machine {
            provider,
            architecture,
            cpu: MilliCpu(row.number("vcpu")? * 1_000),
            memory: Bytes(row.number("memory_mib")? * MIB),
            max_pods,
            is_shared_core: matches!(name, "e2-micro" | "e2-small" | "e2-medium"),
        },
        gpus: gpus(row.text("gpus")),
        max_volumes: u32::try_from(row.number("max_volumes")?).ok()?,
        on_demand: row.price("usd_per_hour")?,
        spot: row.price("spot_usd_per_hour"),
    })
}

/// Reads `8xnvidia-a100:40960`: count, model, MiB of each.
fn gpus(cell: &'static str) -> Option<Gpus> {
    let (count, model) = cell.split_once('x')?;
    let (model, memory_mib) = model.split_once(':').unwrap_or((model, ""));
    Some(Gpus {
        count: count.parse().ok()?,
        model: Cow::Borrowed(model),
        memory_each: memory_mib.parse().ok().map(|mib: i64| Bytes(mib * MIB)),
    })
}

fn gpu_add_on(row: &Row) -> GpuAddOn {
    GpuAddOn {
        model: row.text("model"),
        memory: Bytes(row.number("memory_mib").unwrap_or_default() * MIB),
        on_demand: row.price("usd_per_hour").unwrap_or_default(),
        spot: row.price("spot_usd_per_hour").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_data_is_a_type_or_known_to_lack_its_size() {
        assert_eq!(node_types().len() + CATALOG.without_size.len(), 1_367 + 1_293 + 222);
        assert_eq!(CATALOG.without_size.len(), 15);
        assert_eq!(CATALOG.by_lower_case_name.len(), node_types().len(), "names are unique");
        for node_type in node_types() {
            let machine = &node_type.machine;
            assert!(machine.cpu > MilliCpu(0) && machine.memory > Bytes(0), "{node_type}");
            assert!(node_type.on_demand > HourlyPrice::default(), "{node_type}");
            assert!(node_type.spot.is_none_or(|spot| spot < node_type.on_demand), "{node_type}");
        }
        for add_on in gpu_add_ons() {
            assert!(add_on.spot < add_on.on_demand && add_on.memory > Bytes(0), "{add_on:?}");
        }
        assert_eq!(node_types().iter().filter(|t| t.gpus.is_some()).count(), 126);
    }

    #[test]
    fn the_catalog_is_in_the_order_of_cloud_and_name() {
        let key = |t: &NodeType| (t.machine.provider, t.name.clone());
        assert!(node_types().is_sorted_by_key(key));
    }

    #[test]
    fn a_type_is_found_with_or_without_its_cloud_in_any_case() {
        let plain = find("m5.large").expect("in the catalog");
        assert_eq!(plain.to_string(), "aws/m5.large");
        assert_eq!(plain.on_demand, HourlyPrice::from_usd(0.096));
        assert_eq!(plain.machine.cpu, MilliCpu(2_000));
        assert_eq!(plain.machine.memory, Bytes(8 << 30));
        assert_eq!(plain.machine.max_pods, 29);
        assert_eq!(find("aws/m5.large"), Ok(plain));
        assert_eq!(find("standard_d4S_V5").map(|t| t.name), Ok("Standard_D4s_v5".into()));
        assert!(find("gcp/m5.large").is_err());
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let message = |name| find(name).expect_err("is unknown").to_string();
        assert_eq!(
            message("m5.lagre"),
            "unknown instance type \"m5.lagre\"; the most similar are aws/m5.large, aws/c5.large, \
             aws/m1.large"
        );
        assert!(message("D4s_v5").contains("azure/Standard_D4s_v5"), "{}", message("D4s_v5"));
        assert!(message("cr1.8xlarge").contains("not its size"));
        assert!(message("").contains("most similar"));
    }

    #[test]
    fn gpus_are_added_to_n1_machines_only() {
        let with_gpus = find("gcp/n1-standard-8+2xnvidia-tesla-t4").expect("for sale");
        let plain = find("n1-standard-8").expect("in the catalog");
        let extra = with_gpus.on_demand.as_usd() - plain.on_demand.as_usd();
        assert!((extra - 0.70).abs() < 1e-9, "{extra}");
        assert_eq!(with_gpus.gpus.as_ref().map(|gpus| gpus.count), Some(2));
        assert_eq!(with_gpus.machine, plain.machine);
        for name in [
            "e2-standard-4+1xnvidia-tesla-t4",
            "n1-standard-8+3xnvidia-tesla-t4",
            "n1-standard-8+1xnvidia-h100",
            "n1-standard-8+",
        ] {
            assert!(matches!(find(name), Err(FindError::AddOn { .. })), "{name}");
        }
    }

    #[test]
    fn a_filter_takes_what_offers_enough() {
        let filter = Filter {
            provider: Some(Provider::Aws),
            min_cpu: MilliCpu(4_000),
            min_memory: Bytes(16 << 30),
            min_gpus: 1,
            gpu_model: Some("L4".to_owned()),
            max_price: Some(HourlyPrice::from_usd(1.0)),
            ..Filter::default()
        };
        let names: Vec<_> =
            node_types().iter().filter(|t| filter.accepts(t)).map(ToString::to_string).collect();
        assert_eq!(names, ["aws/g6.2xlarge", "aws/g6.xlarge"]);
        let arm = Filter { architecture: Some(Architecture::Arm64), ..Filter::default() };
        assert_eq!(node_types().iter().filter(|t| arm.accepts(t)).count(), 396 + 97);
        assert!(node_types().iter().all(|t| Filter::default().accepts(t)));
    }

    #[test]
    fn a_part_of_a_name_finds_all_that_have_it() {
        assert_eq!(named_like("E2-STANDARD").len(), 5);
    }
}
