//! `wavetank calibrate`: fits a request model to measurements, and evaluates the fit.

use std::io::{BufRead, Read, Write};

use clap::{Args, ValueEnum};
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Table};
use serde_json::json;

use super::exit::{Exit, Failure};
use super::output::{self, OutputOptions};
use engine::SimDuration;
use engine::parse_duration;
use files::{STANDARD_INPUT, open_unpacked};
use manifest::yaml::to_yaml;
use scenario::read::drop_empty_fields;
use traffic::Balancer;
use traffic::calibrate::{
    Calibration, Conditions, LlmHardware, NotIdentifiable, TimedRequests, calibrate_llm,
    calibrate_log, calibrate_points, read_points,
};
use traffic::import::{Format, ImportOptions, import};

/// Version of the JSON output: the minor version grows with added fields, the major version with changed ones.
const FORMAT_VERSION: &str = "1.0";

/// Options of `wavetank calibrate`.
#[derive(Debug, Args)]
#[command(after_help = "\
FILE is a CSV table with a row per measured load and the columns `rps` (or `concurrency` for a closed
loop), any of `mean_ms`, `p50_ms`, `p90_ms`, `p95_ms`, `p99_ms`, and if known `pods` and `cpu_cores`
(of all pods together); or an access log with the duration of each request. For a language
model's server (--llm) the columns are `concurrency` or `rps`, `prompt_tokens`, `output_tokens`, and
any of `ttft_p50_ms`, `tpot_p50_ms`, `e2e_p50_ms` (or mean, p90, p95, p99). Every second row is held
out of the fit to validate it.")]
pub struct Arguments {
    /// The measured points, or an access log; plain or compressed with gzip or zstd; - for standard input
    #[arg(value_name = "FILE")]
    file: String,

    /// Number of pods measured, for rows that do not give it
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pods: u32,

    /// Cores that a pod can use at once [default: one per concurrent request]
    #[arg(long, value_name = "CORES", value_parser = parse_cores)]
    cores: Option<f64>,

    /// CPU limit of a pod in cores, which the kernel enforces as a quota
    #[arg(long, value_name = "CORES", value_parser = parse_cores)]
    cpu_limit: Option<f64>,

    /// Duration of the measurement of each point
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    duration: SimDuration,

    /// Requests were evenly spaced, as from vegeta or k6 at a constant rate
    #[arg(long)]
    even: bool,

    /// Rule by which requests were balanced over pods
    #[arg(long, value_enum, value_name = "RULE", default_value_t)]
    balancer: BalancerRule,

    /// Candidate models to try for each number of workers
    #[arg(long, value_name = "COUNT", default_value_t = 150)]
    #[arg(value_parser = clap::value_parser!(u32).range(10..=100_000))]
    evaluations: u32,

    /// The pods are inference servers of a language model
    #[arg(long)]
    llm: bool,

    /// The language model by name, such as Llama-3.1-8B
    #[arg(long, value_name = "NAME", requires = "llm")]
    model: Option<String>,

    /// The GPU by name, such as A100-80GB
    #[arg(long, value_name = "NAME", requires = "llm")]
    gpu: Option<String>,

    /// Tensor parallelism: GPUs of a pod that each layer is split over
    #[arg(long, value_name = "COUNT", requires = "llm", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=64))]
    tensor_parallel_size: u32,

    /// Capacity of the KV cache in tokens, if --model and --gpu do not determine it
    #[arg(long, value_name = "TOKENS", requires = "llm")]
    kv_cache_tokens: Option<u64>,

    /// Maximum number of tokens per iteration
    #[arg(long, value_name = "TOKENS", requires = "llm")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    max_num_batched_tokens: Option<u32>,

    /// Maximum number of sequences in a batch [default: 256]
    #[arg(long, value_name = "COUNT", requires = "llm")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    max_num_seqs: Option<u32>,

    /// Whether outputs are processed while the GPU computes, as in vLLM since 0.6 [default: whichever fits better]
    #[arg(long, value_name = "BOOL", requires = "llm")]
    async_output_processing: Option<bool>,

    /// Output format
    #[arg(short, long, value_enum, value_name = "FORM", default_value_t)]
    output: Form,
}

/// Load-balancing rule of the measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum BalancerRule {
    /// A random pod, as with kube-proxy.
    #[default]
    Random,
    /// Round robin.
    RoundRobin,
    /// The pod with the fewest requests.
    LeastConnections,
    /// The less loaded of two random pods, as with Envoy.
    LeastRequest,
}

impl From<BalancerRule> for Balancer {
    fn from(rule: BalancerRule) -> Self {
        match rule {
            BalancerRule::Random => Self::Random,
            BalancerRule::RoundRobin => Self::RoundRobin,
            BalancerRule::LeastConnections => Self::LeastConnections,
            BalancerRule::LeastRequest => Self::LeastRequest,
        }
    }
}

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A snippet for a scenario, with a table of errors as comments.
    #[default]
    Yaml,
    /// One JSON object.
    Json,
}

fn parse_cores(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(cores) if cores > 0.0 && cores <= 10_000.0 => Ok(cores),
        _ => Err("give a number of cores above 0, such as 0.5 or 2".into()),
    }
}

/// Fits and writes the model.
pub fn run(
    arguments: &Arguments,
    _options: OutputOptions,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let name = if arguments.file == STANDARD_INPUT { "standard input" } else { &arguments.file };
    let wrong = |message: String| Failure::Input(format!("{name}: {message}"));
    if arguments.duration <= SimDuration::ZERO {
        return Err(Failure::Input("--duration must be longer than 0s".into()));
    }
    let conditions = Conditions {
        pods: arguments.pods,
        cores: arguments.cores,
        cpu_limit: arguments.cpu_limit,
        duration: arguments.duration,
        even: arguments.even,
        balancer: arguments.balancer.into(),
        evaluations: arguments.evaluations as usize,
    };
    let mut input = open_unpacked(&arguments.file).map_err(wrong)?;
    let beginning = input.fill_buf().map_err(|error| wrong(format!("cannot be read: {error}")))?;
    if Format::detect(beginning).is_none() && beginning.trim_ascii_start().starts_with(b"{") {
        return Err(wrong(Format::doubt(beginning)));
    }
    let is_log = !matches!(Format::detect(beginning), Some(Format::Csv) | None);
    let calibration = if is_log {
        if arguments.llm {
            return Err(wrong(
                "--llm needs a table of measurements, but this is an access log".into(),
            ));
        }
        let format = Format::detect(beginning).unwrap_or(Format::AccessLog);
        let options = ImportOptions { max_broken: 0.01, ..ImportOptions::strict(format) };
        let mut timed = TimedRequests::default();
        let broken =
            import(input, &options, &mut timed).map_err(|error| wrong(error.to_string()))?;
        if broken.count > 0 {
            output::print_message(&format!("{name}: {}", broken.left_out()));
        }
        calibrate_log(&timed.finish(), &conditions).map_err(wrong)?
    } else {
        let mut bytes = Vec::new();
        input
            .read_to_end(&mut bytes)
            .map_err(|error| wrong(format!("cannot be decompressed: {error}")))?;
        let text =
            String::from_utf8(bytes).map_err(|_| wrong("the file is not UTF-8 text".into()))?;
        let (points, unknown) = read_points(&text).map_err(|error| wrong(error.to_string()))?;
        if !unknown.is_empty() {
            output::print_message(&format!("{name}: ignored columns: {}", unknown.join(", ")));
        }
        if arguments.llm {
            let defaults = LlmHardware::default();
            let hardware = LlmHardware {
                model: arguments.model.clone(),
                gpu: arguments.gpu.clone(),
                tensor_parallel_size: arguments.tensor_parallel_size,
                kv_cache_tokens: arguments.kv_cache_tokens,
                max_num_batched_tokens: arguments
                    .max_num_batched_tokens
                    .unwrap_or(defaults.max_num_batched_tokens),
                max_num_seqs: arguments.max_num_seqs.unwrap_or(defaults.max_num_seqs),
                async_output_processing: arguments.async_output_processing,
            };
            calibrate_llm(&points, &hardware, &conditions).map_err(wrong)?
        } else {
            calibrate_points(&points, &conditions).map_err(wrong)?
        }
    };
    match arguments.output {
        Form::Yaml => write_yaml(out, name, &calibration)?,
        Form::Json => write_json(out, &calibration)?,
    }
    Ok(Exit::Fine)
}

fn write_yaml(out: &mut impl Write, name: &str, calibration: &Calibration) -> Result<(), Failure> {
    writeln!(out, "# Fitted to {name}.")?;
    for note in &calibration.notes {
        writeln!(out, "# {note}")?;
    }
    for NotIdentifiable { parameter, reason } in &calibration.not_identifiable {
        writeln!(out, "# Not identifiable: {parameter}: {reason}")?;
    }
    for (held_out, what) in [(false, "fitted rows"), (true, "held-out rows")] {
        let medians = calibration.median_errors(held_out);
        if medians.is_empty() {
            continue;
        }
        let each: Vec<String> = medians
            .iter()
            .map(|(figure, median)| {
                let figure = if figure.is_empty() { "all" } else { figure };
                format!("{figure} {}", percent(*median))
            })
            .collect();
        writeln!(out, "# Median error on {what}: {}", each.join(", "))?;
    }
    writeln!(out, "#")?;
    for line in table(calibration).lines() {
        writeln!(out, "# {}", line.trim_end())?;
    }
    let requests = written(calibration)?;
    writeln!(out, "requests:")?;
    for line in to_yaml(&requests).lines() {
        writeln!(out, "  {line}")?;
    }
    Ok(())
}

/// The model as a scenario snippet.
fn written(calibration: &Calibration) -> Result<serde_json::Value, Failure> {
    let mut requests = serde_json::to_value(&calibration.requests).map_err(Failure::input)?;
    drop_empty_fields(&mut requests);
    Ok(requests)
}

fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1} %", share * 100.0) } else { "no answer".to_owned() }
}

fn table(calibration: &Calibration) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["load", "figure", "measured ms", "model ms", "error", ""]);
    for row in &calibration.rows {
        for figure in &row.figures {
            let number =
                |millis: f64| Cell::new(format!("{millis:.3}")).set_alignment(CellAlignment::Right);
            let error = figure
                .relative_error()
                .map_or_else(|| "no answer".to_owned(), |error| format!("{:+.1} %", error * 100.0));
            table.add_row([
                Cell::new(&row.load),
                Cell::new(&figure.name),
                number(figure.measured_ms),
                figure.model_ms.map_or_else(|| Cell::new("-"), number),
                Cell::new(error).set_alignment(CellAlignment::Right),
                Cell::new(if row.held_out { "kept back" } else { "" }),
            ]);
        }
    }
    table
}

fn write_json(out: &mut impl Write, calibration: &Calibration) -> Result<(), Failure> {
    let medians = |held_out| {
        let medians = calibration.median_errors(held_out).into_iter();
        let named = medians.map(|(figure, median)| {
            let figure = if figure.is_empty() { "all".to_owned() } else { figure };
            (figure, json!(median))
        });
        serde_json::Value::Object(named.collect())
    };
    let value = json!({
        "formatVersion": FORMAT_VERSION,
        "requests": written(calibration)?,
        "medianErrorFitted": medians(false),
        "medianErrorKeptBack": medians(true),
        "rows": calibration.rows,
        "notes": calibration.notes,
        "notIdentifiable": calibration.not_identifiable,
    });
    serde_json::to_writer_pretty(&mut *out, &value).map_err(Failure::input)?;
    writeln!(out)?;
    Ok(())
}
