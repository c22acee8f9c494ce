//! `wavetank catalog`: the instance types as a table, as JSON, or as CSV.

use std::cmp::Reverse;
use std::io::Write;

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};
use serde::Serialize;

use super::catalog_failures;
use super::catalog_prices::{self, Row};
use super::exit::{Exit, Failure};
use capacity::catalog::{self, Filter, FindError};
use capacity::node_type::NodeType;
use capacity::reserved::{Architecture, Provider, allocatable};
use units::{Bytes, HourlyPrice, MilliCpu, Quantity};

/// Version of the JSON output: the minor version grows with added fields, the major version with changed ones.
const FORMAT_VERSION: &str = "1.0";

/// Default limit of rows in a table.
const TABLE_ROWS: usize = 25;

/// Options of `wavetank catalog`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Names of instance types, such as m5.large or gcp/e2-standard-4, or parts of names; GPUs are added to n1 types
    /// as in n1-standard-8+2xnvidia-tesla-t4
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// List cloud prices other than those of machines, with source and date of each; names then select items by name
    /// or part of a name
    #[arg(long, conflicts_with_all = ["min_cpu", "min_memory", "gpu", "gpu_model", "arch", "max_price", "sort", "limit"])]
    prices: bool,

    /// List the default failure rates and repair times of machines, zones and pods, with the source of each;
    /// the same as the name `failures`
    #[arg(long, conflicts_with_all = ["prices", "names", "provider", "min_cpu", "min_memory", "gpu", "gpu_model", "arch", "max_price", "sort", "limit"])]
    failures: bool,

    /// Only types of this cloud
    #[arg(long, value_parser = provider_parser())]
    provider: Option<Provider>,

    /// At least this much CPU, such as 4 or 500m
    #[arg(long, value_name = "QUANTITY")]
    min_cpu: Option<Quantity>,

    /// At least this much memory, such as 16Gi
    #[arg(long, value_name = "QUANTITY")]
    min_memory: Option<Quantity>,

    /// At least this many GPUs (1 if no number is given)
    #[arg(
        long,
        value_name = "COUNT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1",
        value_parser = clap::value_parser!(i64).range(1..)
    )]
    gpu: Option<i64>,

    /// Only types whose GPU model contains this text, such as a100
    #[arg(long, value_name = "TEXT")]
    gpu_model: Option<String>,

    /// Only this processor architecture
    #[arg(long, value_parser = architecture_parser())]
    arch: Option<Architecture>,

    /// At most this on-demand price, in US dollars per hour
    #[arg(long, value_name = "USD", value_parser = parse_price)]
    max_price: Option<HourlyPrice>,

    /// Sort by lowest price, most CPU, most memory, or name
    #[arg(long, value_enum, value_name = "BY", default_value_t)]
    sort: SortBy,

    /// At most this many types, 0 for all [default: 25 in a table, otherwise all]
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,

    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum SortBy {
    #[default]
    Price,
    Cpu,
    Memory,
    Name,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
    Csv,
}

/// Writes the types that match the options.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Exit, Failure> {
    if arguments.prices {
        return write_prices(arguments, out);
    }
    if arguments.failures || arguments.names == ["failures"] {
        catalog_failures::write(arguments.output == Format::Json, out)?;
        return Ok(Exit::Fine);
    }
    let found = select(arguments).map_err(Failure::input)?;
    let limit = match (arguments.limit, arguments.output) {
        (Some(0), _) | (None, Format::Json | Format::Csv) => usize::MAX,
        (Some(limit), _) => limit,
        (None, Format::Table) => TABLE_ROWS,
    };
    let shown = &found[..limit.min(found.len())];
    match arguments.output {
        Format::Table => {
            write_table(shown, found.len(), out)?;
            write_gpu_add_ons(arguments, out)?;
        }
        Format::Json => write_json(shown, out)?,
        Format::Csv => write_csv(shown, out)?,
    }
    Ok(Exit::Fine)
}

fn write_prices(arguments: &Arguments, out: &mut impl Write) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Document<'a> {
        format_version: &'static str,
        prices: &'a [Row],
    }
    let rows = catalog_prices::rows(arguments.provider, &arguments.names);
    match arguments.output {
        Format::Table => catalog_prices::write_table(&rows, out)?,
        Format::Json => {
            let document = Document { format_version: FORMAT_VERSION, prices: &rows };
            serde_json::to_writer_pretty(&mut *out, &document).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(out);
            for row in &rows {
                writer.serialize(row).map_err(std::io::Error::from)?;
            }
            writer.flush()?;
        }
    }
    Ok(Exit::Fine)
}

/// The types that match the filters; with names, those among them whose name equals or contains one of the names.
fn select(arguments: &Arguments) -> Result<Vec<NodeType>, FindError> {
    let filter = Filter {
        provider: arguments.provider,
        architecture: arguments.arch,
        min_cpu: arguments.min_cpu.map(MilliCpu::from).unwrap_or_default(),
        min_memory: arguments.min_memory.map(Bytes::from).unwrap_or_default(),
        min_gpus: arguments.gpu.unwrap_or(0),
        gpu_model: arguments.gpu_model.clone(),
        max_price: arguments.max_price,
    };
    let mut candidates = Vec::new();
    for name in &arguments.names {
        match catalog::find(name) {
            Ok(found) => candidates.push(found),
            Err(error) => {
                let alike = catalog::named_like(name);
                if alike.is_empty() {
                    return Err(error);
                }
                candidates.extend(alike.into_iter().cloned());
            }
        }
    }
    if arguments.names.is_empty() {
        candidates.extend_from_slice(catalog::node_types());
    }
    candidates.retain(|node_type| filter.accepts(node_type));
    arguments.sort.apply(&mut candidates);
    candidates.dedup();
    Ok(candidates)
}

impl SortBy {
    /// Sorts types; ties are ordered by cloud and name.
    fn apply(self, node_types: &mut [NodeType]) {
        node_types
            .sort_by(|a, b| (a.machine.provider, &a.name).cmp(&(b.machine.provider, &b.name)));
        match self {
            Self::Price => node_types.sort_by_key(|node_type| node_type.on_demand),
            Self::Cpu => node_types.sort_by_key(|node_type| Reverse(node_type.machine.cpu)),
            Self::Memory => node_types.sort_by_key(|node_type| Reverse(node_type.machine.memory)),
            Self::Name => {}
        }
    }
}

fn write_table(shown: &[NodeType], found: usize, out: &mut impl Write) -> Result<(), Failure> {
    if shown.is_empty() {
        writeln!(out, "No instance type meets all of these conditions.")?;
        return Ok(());
    }
    let mut columns = columns();
    columns.retain(|column| shown.iter().any(|node_type| (column.text)(node_type) != column.usual));
    let mut table = Table::new();
    // One line per type, even with long GPU names: a wrapped name cannot be searched for.
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|column| column.title));
    for node_type in shown {
        table.add_row(columns.iter().map(|column| Cell::new((column.text)(node_type))));
    }
    for (index, column) in columns.iter().enumerate() {
        if let Some(cells) = table.column_mut(index) {
            cells.set_padding((0, 2)).set_cell_alignment(column.alignment);
        }
    }
    writeln!(out, "{}", table.trim_fmt())?;
    if shown.len() < found {
        writeln!(out, "\n{} of {found} types; --limit 0 shows all of them.", shown.len())?;
    }
    Ok(())
}

/// GPUs that can be attached to other types are not types themselves, so a search for GPUs mentions them.
fn write_gpu_add_ons(arguments: &Arguments, out: &mut impl Write) -> Result<(), Failure> {
    let is_asked_for = arguments.gpu.is_some() || arguments.gpu_model.is_some();
    let is_excluded = arguments.provider.is_some_and(|provider| provider != Provider::Gcp)
        || arguments.arch.is_some_and(|architecture| architecture != Architecture::Amd64);
    if !is_asked_for || is_excluded {
        return Ok(());
    }
    let model = arguments.gpu_model.as_deref().unwrap_or_default().to_ascii_lowercase();
    let mut add_ons = catalog::gpu_add_ons().iter().filter(|gpu| gpu.model.contains(&model));
    if let Some(first) = add_ons.next() {
        let all = std::iter::once(first).chain(add_ons);
        let prices: Vec<_> =
            all.map(|gpu| format!("  {:<18} {}", gpu.model, gpu.on_demand)).collect();
        writeln!(out, "\nThe gcp/n1 types can have 1, 2, 4 or 8 GPUs, each for")?;
        writeln!(out, "{}", prices.join("\n"))?;
        writeln!(out, "written as n1-standard-8+2x{}.", first.model)?;
    }
    Ok(())
}

struct Column {
    title: &'static str,
    alignment: CellAlignment,
    text: fn(&NodeType) -> String,
    /// The column is left out if all types have this value.
    usual: &'static str,
}

fn columns() -> Vec<Column> {
    let left = |title, text, usual| Column { title, alignment: CellAlignment::Left, text, usual };
    let right = |title, text| Column { title, alignment: CellAlignment::Right, text, usual: "" };
    vec![
        left("TYPE", ToString::to_string, ""),
        right("CPU", |t| t.machine.cpu.to_string()),
        right("MEMORY", |t| gibibytes(t.machine.memory)),
        left("ARCH", |t| t.machine.architecture.as_str().to_owned(), "amd64"),
        right("PODS", |t| t.machine.max_pods.to_string()),
        right("POD CPU", |t| allocatable(&t.machine).cpu.to_string()),
        right("POD MEM", |t| gibibytes(allocatable(&t.machine).memory)),
        right("USD/H", |t| format!("{:.4}", t.on_demand.as_usd())),
        right("SPOT", |t| t.spot.map(|spot| format!("{:.4}", spot.as_usd())).unwrap_or_default()),
        // The only values of unbounded length.
        left("GPUS", |t| t.gpus.as_ref().map(ToString::to_string).unwrap_or_default(), ""),
    ]
}

/// `15.2Gi`, truncated: a table is easier to compare in one unit.
fn gibibytes(memory: Bytes) -> String {
    let tenths = (memory.0 * 10) >> 30;
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole}Gi"),
        (whole, part) => format!("{whole}.{part}Gi"),
    }
}

/// A type in the JSON and CSV output.
#[derive(Serialize)]
struct Entry<'a> {
    provider: &'static str,
    region: &'static str,
    name: &'a str,
    arch: &'static str,
    cpu_milli: i64,
    memory_bytes: i64,
    gpu_count: i64,
    gpu_model: Option<&'a str>,
    gpu_memory_bytes: Option<i64>,
    max_pods: i64,
    allocatable_cpu_milli: i64,
    allocatable_memory_bytes: i64,
    allocatable_ephemeral_storage_bytes: i64,
    on_demand_usd_per_hour: HourlyPrice,
    spot_usd_per_hour: Option<HourlyPrice>,
}

impl<'a> Entry<'a> {
    fn of(node_type: &'a NodeType) -> Self {
        let machine = &node_type.machine;
        let gpus = node_type.gpus.as_ref();
        let allocatable = allocatable(machine);
        Self {
            provider: machine.provider.as_str(),
            region: node_type.region(),
            name: &node_type.name,
            arch: machine.architecture.as_str(),
            cpu_milli: machine.cpu.0,
            memory_bytes: machine.memory.0,
            gpu_count: gpus.map_or(0, |gpus| gpus.count),
            gpu_model: gpus.map(|gpus| gpus.model.as_ref()),
            gpu_memory_bytes: gpus.and_then(|gpus| gpus.memory_each).map(|memory| memory.0),
            max_pods: machine.max_pods,
            allocatable_cpu_milli: allocatable.cpu.0,
            allocatable_memory_bytes: allocatable.memory.0,
            allocatable_ephemeral_storage_bytes: allocatable.ephemeral_storage.0,
            on_demand_usd_per_hour: node_type.on_demand,
            spot_usd_per_hour: node_type.spot,
        }
    }
}

fn write_json(shown: &[NodeType], out: &mut impl Write) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Document<'a> {
        format_version: &'static str,
        node_types: Vec<Entry<'a>>,
    }
    let node_types = shown.iter().map(Entry::of).collect();
    let document = Document { format_version: FORMAT_VERSION, node_types };
    serde_json::to_writer_pretty(&mut *out, &document).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

fn write_csv(shown: &[NodeType], out: &mut impl Write) -> Result<(), Failure> {
    let mut writer = csv::Writer::from_writer(out);
    for node_type in shown {
        writer.serialize(Entry::of(node_type)).map_err(std::io::Error::from)?;
    }
    writer.flush()?;
    Ok(())
}

fn provider_parser() -> impl TypedValueParser<Value = Provider> {
    PossibleValuesParser::new(Provider::ALL.map(Provider::as_str)).map(|text| {
        let mut all = Provider::ALL.into_iter();
        all.find(|provider| provider.as_str() == text).expect("the parser takes only these names")
    })
}

fn architecture_parser() -> impl TypedValueParser<Value = Architecture> {
    PossibleValuesParser::new(Architecture::ALL.map(Architecture::as_str)).map(|text| {
        let mut all = Architecture::ALL.into_iter();
        all.find(|arch| arch.as_str() == text).expect("the parser takes only these names")
    })
}

fn parse_price(text: &str) -> Result<HourlyPrice, String> {
    let number = text.strip_prefix('$').unwrap_or(text).parse::<f64>();
    match number {
        Ok(usd) if (0.0..1e9).contains(&usd) => Ok(HourlyPrice::from_usd(usd)),
        _ => Err("a price is a number of dollars an hour, such as 0.25".to_owned()),
    }
}
