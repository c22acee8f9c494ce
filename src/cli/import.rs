//! `wavetank import`: converts recorded traffic in any supported format into wavetank's compact trace format.

use std::io::{self, BufRead, Write};
use std::path::Path;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::output;
use engine::{SimDuration, SimTime, format_duration, parse_duration};
use files::{PendingFile, STANDARD_INPUT, open_unpacked};
use traffic::import::{
    ColumnChoice, Compact, Format, ImportOptions, MalformedRows, NOT_WRITTEN, Summary, import,
};

/// Options of `wavetank import`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Recorded traffic, plain or compressed with gzip or zstd; - for standard input
    #[arg(value_name = "FILE")]
    file: String,

    /// The file to write, compressed if it ends in .gz; - for standard output
    #[arg(short, long, value_name = "FILE", default_value = STANDARD_INPUT)]
    output: String,

    /// Format of the input [default: detected from its beginning]
    #[arg(short, long, value_name = "FORMAT", value_parser = parse_format)]
    #[arg(help = format_help())]
    format: Option<Format>,

    /// Count requests per interval, such as 1s or 1m, instead of writing a line for each
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    every: Option<SimDuration>,

    /// Only requests whose path starts with this, if the rows contain a path
    #[arg(long, value_name = "PREFIX")]
    path: Option<String>,

    /// Write the class of each request, method and path with `*` for identifiers, if the rows contain a path; the
    /// classes of a scenario's request models are matched by name or path
    #[arg(long)]
    classes: bool,

    /// Meaning of a CSV column whose name does not reveal it, such as time=ts or prompt=in_tokens; meanings are time,
    /// end, duration (seconds), count and rate (of an interval), prompt and output (tokens), session, class, series
    #[arg(long, value_name = "MEANING=COLUMN")]
    column: Vec<ColumnChoice>,

    /// Time by which rows may be out of order [default: 10m for logs and load generators, otherwise 0s]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    disorder: Option<SimDuration>,

    /// Reject the file if more than this percentage of its rows is broken
    #[arg(long, value_name = "PERCENT", default_value = "1", value_parser = parse_percent)]
    max_broken: f64,

    /// Format of the summary, which is written to standard error
    #[arg(long, value_enum, value_name = "FORM", default_value_t)]
    summary: SummaryForm,
}

/// Format of the summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum SummaryForm {
    /// Plain text.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// No summary.
    None,
}

fn format_help() -> String {
    let names = Format::all().map(Format::name).join(", ");
    format!("Format of the file: {names} [default: detected from its first lines]")
}

fn parse_format(text: &str) -> Result<Format, String> {
    let names = || Format::all().map(Format::name).join(", ");
    let found = Format::all().into_iter().find(|format| format.name() == text);
    found.ok_or_else(|| format!("the formats are {}", names()))
}

fn parse_percent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent),
        _ => Err("give a number from 0 to 100".into()),
    }
}

/// Reads the file and writes the compact format.
pub fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Exit, Failure> {
    let name = if arguments.file == STANDARD_INPUT { "standard input" } else { &arguments.file };
    let wrong = |message: String| Failure::Input(format!("{name}: {message}"));
    if arguments.every == Some(SimDuration::ZERO) {
        return Err(Failure::Input("--every must be longer than 0s".into()));
    }
    let mut input = open_unpacked(&arguments.file).map_err(wrong)?;
    let beginning = input.fill_buf().map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let format = arguments.format.or_else(|| Format::detect(beginning));
    // Only CSV files have columns with custom names.
    let format = format.or_else(|| (!arguments.column.is_empty()).then_some(Format::Csv));
    let format = format.ok_or_else(|| wrong(Format::doubt(beginning)))?;
    if arguments.path.is_some() && !format.has_paths() {
        return Err(wrong(format!("--path: rows of {format} have no path; remove the option")));
    }
    if arguments.classes && !format.has_paths() {
        return Err(wrong(format!("--classes: rows of {format} have no path; remove the option")));
    }
    if arguments.classes && arguments.every.is_some() {
        return Err(wrong(
            "--classes: --every counts requests of all classes; remove one of the two".into(),
        ));
    }
    if !arguments.column.is_empty() && format != Format::Csv {
        return Err(wrong(format!(
            "--column: only comma-separated values have named columns, but this is {format}; remove the option"
        )));
    }
    let mut unused = arguments.column.iter().filter(|choice| choice.is_of_single_requests());
    if let (Some(_), Some(choice)) = (arguments.every, unused.next()) {
        return Err(wrong(format!(
            "--column {choice}: --every counts requests, and counts have neither tokens nor sessions; remove one of the two"
        )));
    }
    let options = ImportOptions {
        format,
        disorder: arguments.disorder.unwrap_or(format.default_reorder_window()),
        max_broken: arguments.max_broken / 100.0,
        path: arguments.path.clone(),
        columns: arguments.column.clone(),
        classes: arguments.classes,
    };
    let base = Path::new(name).file_name().map_or(name.into(), |file| file.to_string_lossy());
    let origin = format!("{base} ({format})");
    let (broken, summary) = if arguments.output == STANDARD_INPUT {
        let mut listened = ErrorKeepingWriter { out, refused: None };
        let compact = Compact::new(&mut listened, &origin, arguments.every);
        let written = write_compact(input, &options, compact).map(|(facts, _)| facts);
        match (written, listened.refused) {
            (Err(_), Some(kind)) => return Err(Failure::Output(kind.into())),
            (written, _) => written.map_err(wrong)?,
        }
    } else {
        // Written to a temporary file and renamed, so that a rejected input leaves no partial output.
        let draft = PendingFile::create(Path::new(&arguments.output)).map_err(Failure::Input)?;
        let compact = Compact::new(draft, &origin, arguments.every);
        let written = write_compact(input, &options, compact);
        let (facts, draft) = written.map_err(|error| match error.strip_prefix(NOT_WRITTEN) {
            Some(why) => Failure::Input(format!("cannot write {}{why}", arguments.output)),
            None => wrong(error),
        })?;
        draft.keep().map_err(Failure::Input)?;
        facts
    };
    match arguments.summary {
        SummaryForm::Text => {
            output::print_message(&in_words(name, format, &summary, &broken));
            if arguments.output != STANDARD_INPUT {
                output::print_message(&next_step(&arguments.output, &summary));
            }
        }
        SummaryForm::Json => {
            output::print_message(&as_json(name, format, &summary, &broken).to_string());
        }
        SummaryForm::None => {}
    }
    Ok(Exit::Fine)
}

/// A writer that remembers its error: the trace reader passes errors on as text only, and a closed pipe such as
/// `head`'s is no error.
struct ErrorKeepingWriter<'a, W> {
    out: &'a mut W,
    refused: Option<io::ErrorKind>,
}

impl<W: Write> Write for ErrorKeepingWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes).inspect_err(|error| self.refused = Some(error.kind()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().inspect_err(|error| self.refused = Some(error.kind()))
    }
}

type ImportSummary = (MalformedRows, Summary);

fn write_compact<W: Write>(
    input: impl BufRead,
    options: &ImportOptions,
    mut compact: Compact<W>,
) -> Result<(ImportSummary, W), String> {
    let broken = import(input, options, &mut compact).map_err(|error| error.to_string())?;
    let finished = compact.finish().map_err(|error| format!("{NOT_WRITTEN}: {error}"));
    let (output, summary) = finished?;
    Ok(((broken, summary), output))
}

/// How a scenario replays the trace.
fn next_step(output: &str, summary: &Summary) -> String {
    let seconds = (summary.end - SimTime::ZERO).as_secs_f64().ceil();
    let duration = format_duration(SimDuration::from_secs_f64(seconds));
    format!(
        "next: in the scenario, under `traffic`, write `load: {{trace: {output}}}`; `duration: {duration}` replays all of it"
    )
}

/// Maximum number of classes in the summary.
const CLASSES_SHOWN: usize = 12;

fn in_words(name: &str, format: Format, summary: &Summary, broken: &MalformedRows) -> String {
    let number = |count: f64, noun: &str| {
        let count = count.to_string();
        let plural = if count == "1" { "" } else { "s" };
        format!("{count} {noun}{plural}")
    };
    let mut facts = vec![format!("{name}: {format}, {}", number(broken.good as f64, "row"))];
    facts.extend(summary.requests.map(|requests| format!(", {}", number(requests, "request"))));
    facts.push(format!(" over {}", summary.end));
    facts.push(match (summary.start, summary.end_date()) {
        (Some(start), Some(end)) => format!(", from {start} to {end}"),
        _ => "; no calendar dates".into(),
    });
    let (prompt, output) = (summary.prompt_tokens, summary.output_tokens);
    if prompt + output > 0 {
        facts.push(format!("; {prompt} tokens in prompts, {output} in answers"));
    }
    facts.push(format!("; {} written", number(summary.lines as f64, "line")));
    for (class, requests) in summary.classes.iter().take(CLASSES_SHOWN) {
        let share = *requests as f64 / summary.requests.unwrap_or(1.0);
        facts.push(format!("\n  {:5.1} % {class}", share * 100.0));
    }
    if let Some(more) = summary.classes.len().checked_sub(CLASSES_SHOWN).filter(|more| *more > 0) {
        facts.push(format!("\n  and {more} classes with fewer requests"));
    }
    if broken.count > 0 {
        facts.push(format!("\n{}; the first:", broken.left_out()));
        let first = broken.first.iter();
        facts.extend(first.map(|row| format!("\n  line {}: {}", row.line, row.message)));
    }
    facts.concat()
}

fn as_json(name: &str, format: Format, summary: &Summary, broken: &MalformedRows) -> Value {
    let first = broken.first.iter().map(|row| json!({"line": row.line, "message": row.message}));
    let classes = summary.classes.iter();
    let classes = classes.map(|(class, requests)| json!({"class": class, "requests": requests}));
    json!({
        "schema": "wavetank.import/v1",
        "file": name,
        "format": format.name(),
        "rows": broken.good,
        "brokenRows": broken.count,
        "firstBroken": first.collect::<Vec<_>>(),
        "requests": summary.requests,
        "lines": summary.lines,
        "start": summary.start.map(|start| start.to_string()),
        "last_s": summary.last.as_secs_f64(),
        "end_s": summary.end.as_secs_f64(),
        "promptTokens": summary.prompt_tokens,
        "outputTokens": summary.output_tokens,
        "classes": classes.collect::<Vec<_>>(),
    })
}
