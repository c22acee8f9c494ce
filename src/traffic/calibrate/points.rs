//! Tables of measured points: one line per load with its latencies, identified by column names.

use csv::StringRecord;

use crate::trace::TraceError;

/// A fitted latency figure, one per column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// Latency of whole requests.
    Latency(Statistic),
    /// Time to first token (TTFT).
    FirstToken(Statistic),
    /// Time per output token after the first (TPOT).
    PerToken(Statistic),
}

/// A statistic of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Statistic {
    /// Arithmetic mean.
    Mean,
    /// Median.
    P50,
    /// 90th percentile.
    P90,
    /// 95th percentile.
    P95,
    /// 99th percentile.
    P99,
}

/// A measured point.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// Its line in the file.
    pub line: u64,
    /// Requests sent per second; absent in a closed loop.
    pub rps: Option<f64>,
    /// Concurrent requests of a closed loop.
    pub concurrency: Option<u32>,
    /// Pods that shared the load.
    pub pods: Option<u32>,
    /// Cores used by all pods together.
    pub cpu_cores: Option<f64>,
    /// Prompt tokens per request.
    pub prompt_tokens: Option<f64>,
    /// Output tokens per request.
    pub output_tokens: Option<f64>,
    /// Measured values (s).
    pub measured: Vec<(Measure, f64)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Column {
    Rps,
    Concurrency,
    Pods,
    /// With the factor to cores.
    Cpu(f64),
    PromptTokens,
    OutputTokens,
    /// With the factor to seconds.
    Measured(Measure, f64),
}

/// Reads a table of points. Also returns the names of unknown columns.
pub fn read_points(text: &str) -> Result<(Vec<Point>, Vec<String>), TraceError> {
    let wrong = |line, message: String| TraceError { line, message };
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| wrong(Some(1), error.to_string()))?.clone();
    let columns: Vec<Option<Column>> = header.iter().map(column).collect();
    let unknown = header.iter().zip(&columns).filter(|(_, column)| column.is_none());
    let unknown: Vec<String> = unknown.map(|(name, _)| name.to_owned()).collect();
    let has = |wanted: fn(&Column) -> bool| columns.iter().flatten().any(wanted);
    if !has(|column| matches!(column, Column::Rps | Column::Concurrency)) {
        let message = "no load column; name one `rps` (or `concurrency` for a closed loop)";
        return Err(wrong(Some(1), message.into()));
    }
    if !has(|column| matches!(column, Column::Measured(..))) {
        let message = "no latency column; name them `mean_ms`, `p50_ms`, `p95_ms`, `p99_ms`, or for language \
                       models `ttft_p50_ms`, `tpot_p50_ms`, `e2e_p50_ms`";
        return Err(wrong(Some(1), message.into()));
    }
    let mut points = Vec::new();
    for record in reader.into_records() {
        let record = record
            .map_err(|error| wrong(error.position().map(csv::Position::line), error.to_string()))?;
        let line = record.position().map_or(0, csv::Position::line);
        points.push(point(line, &columns, &record).map_err(|message| wrong(Some(line), message))?);
    }
    if points.is_empty() {
        return Err(wrong(None, "the file has a header line but no rows".into()));
    }
    Ok((points, unknown))
}

fn point(line: u64, columns: &[Option<Column>], record: &StringRecord) -> Result<Point, String> {
    let mut point = Point { line, ..Point::default() };
    for (column, text) in columns.iter().zip(record) {
        let Some(column) = column else { continue };
        if text.is_empty() {
            continue;
        }
        let number: f64 = text.parse().map_err(|_| format!("{text:?} is not a number"))?;
        if !number.is_finite() || number <= 0.0 {
            return Err(format!(
                "{text} must be a number above 0; leave the field empty if unknown"
            ));
        }
        match column {
            Column::Rps => point.rps = Some(number),
            Column::Concurrency => point.concurrency = Some(whole(text, number)?),
            Column::Pods => point.pods = Some(whole(text, number)?),
            Column::Cpu(factor) => point.cpu_cores = Some(number * factor),
            Column::PromptTokens => point.prompt_tokens = Some(number),
            Column::OutputTokens => point.output_tokens = Some(number),
            Column::Measured(measure, factor) => point.measured.push((*measure, number * factor)),
        }
    }
    if point.rps.is_none() && point.concurrency.is_none() {
        return Err("the row has no load: `rps` and `concurrency` are empty".into());
    }
    if point.measured.is_empty() {
        return Err("the row has no latency".into());
    }
    if let Some((lower, higher)) = falling_quantiles(&point.measured) {
        return Err(format!(
            "the {} is above the {}, which is impossible; check the names of the columns",
            lower.label(),
            higher.label()
        ));
    }
    Ok(point)
}

/// Two quantiles of one latency where the higher quantile has the smaller value.
fn falling_quantiles(measured: &[(Measure, f64)]) -> Option<(Measure, Measure)> {
    let kind = |measure: &Measure| std::mem::discriminant(measure);
    let is_mean = |measure: &Measure| {
        let (Measure::Latency(of) | Measure::FirstToken(of) | Measure::PerToken(of)) = measure;
        *of == Statistic::Mean
    };
    let mut quantiles: Vec<&(Measure, f64)> =
        measured.iter().filter(|(measure, _)| !is_mean(measure)).collect();
    quantiles.sort_by_key(|(measure, _)| *measure);
    let falls = quantiles.windows(2).find(|pair| {
        let [(lower, before), (higher, after)] = pair else { return false };
        kind(lower) == kind(higher) && before > after
    });
    falls.map(|pair| (pair[0].0, pair[1].0))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked before"
)]
fn whole(text: &str, number: f64) -> Result<u32, String> {
    if number.fract() != 0.0 || number > 1e6 {
        return Err(format!("{text} must be a whole number from 1 to 1000000"));
    }
    Ok(number as u32)
}

/// Meaning of a column by its lower-case name.
fn column(name: &str) -> Option<Column> {
    let name = name.to_ascii_lowercase().replace([' ', '-', '.'], "_");
    let plain = match name.as_str() {
        "rps" | "qps" | "rate" | "target_qps" | "target_rps" | "requests_per_second" => Column::Rps,
        "concurrency" | "users" | "max_concurrency" | "clients" => Column::Concurrency,
        "pods" | "replicas" | "instances" => Column::Pods,
        "cpu" | "cpu_cores" | "cores" => Column::Cpu(1.0),
        "cpu_milli" | "cpu_millicores" => Column::Cpu(1e-3),
        "prompt_tokens" | "input_tokens" | "mean_prompt_tokens" | "input_len" => {
            Column::PromptTokens
        }
        "output_tokens" | "mean_output_tokens" | "output_len" => Column::OutputTokens,
        _ => return measured(&name),
    };
    Some(plain)
}

/// Parses names such as `p95_ms`, `ttft_mean_s`, `mean_tpot_ms`.
fn measured(name: &str) -> Option<Column> {
    let (mut statistic, mut factor, mut of) = (None, None, None);
    for word in name.split('_') {
        match word {
            "mean" | "avg" | "average" => statistic = Some(Statistic::Mean),
            "p50" | "median" => statistic = Some(Statistic::P50),
            "p90" => statistic = Some(Statistic::P90),
            "p95" => statistic = Some(Statistic::P95),
            "p99" => statistic = Some(Statistic::P99),
            "s" => factor = Some(1.0),
            "ms" => factor = Some(1e-3),
            "us" => factor = Some(1e-6),
            "latency" | "duration" | "e2e" | "e2el" | "total" | "time" | "response" => {
                of = Some(Measure::Latency as fn(Statistic) -> Measure);
            }
            "ttft" => of = Some(Measure::FirstToken),
            "tpot" | "itl" => of = Some(Measure::PerToken),
            _ => return None,
        }
    }
    let of = of.unwrap_or(Measure::Latency);
    Some(Column::Measured(of(statistic?), factor?))
}

impl Measure {
    /// Name used in tables.
    pub fn label(self) -> String {
        let (of, statistic) = match self {
            Self::Latency(statistic) => ("", statistic),
            Self::FirstToken(statistic) => ("TTFT ", statistic),
            Self::PerToken(statistic) => ("TPOT ", statistic),
        };
        format!("{of}{}", statistic.label())
    }

    /// Of which distribution.
    pub(super) const fn statistic(self) -> Statistic {
        match self {
            Self::Latency(statistic) | Self::FirstToken(statistic) | Self::PerToken(statistic) => {
                statistic
            }
        }
    }
}

impl Statistic {
    const fn label(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_that_fall_are_refused() {
        let text = "rps,p50_ms,p99_ms,ttft_p50_ms,ttft_p99_ms\n1,5,9,2,2\n2,5,9,3,2\n";
        let error = read_points(text).expect_err("the second row");
        assert_eq!(error.line, Some(3));
        assert!(error.message.starts_with("the TTFT p50 is above the TTFT p99"), "{error:?}");
    }

    #[test]
    fn columns_are_told_by_their_names_and_units() {
        let text = "setup,qps,replicas,mean_ms,p95_ms,TTFT p50 s,cpu_milli\n\
                    a,50,5,12.5,40,0.2,2500\nb,100,5,14,,,\n";
        let (points, unknown) = read_points(text).expect("a table");
        assert_eq!(unknown, ["setup"]);
        let first = &points[0];
        assert_eq!((first.rps, first.pods, first.cpu_cores), (Some(50.0), Some(5), Some(2.5)));
        assert_eq!(
            first.measured,
            [
                (Measure::Latency(Statistic::Mean), 0.0125),
                (Measure::Latency(Statistic::P95), 0.04),
                (Measure::FirstToken(Statistic::P50), 0.2),
            ]
        );
        assert_eq!((points[1].line, points[1].measured.len()), (3, 1));
    }

    #[test]
    fn what_is_wrong_with_a_table_is_said_with_its_line() {
        for (text, says) in [
            ("a,b\n1,2\n", "line 1: no load column"),
            ("rps,mean\n1,2\n", "line 1: no latency column"),
            ("rps,mean_ms\n", "the file has a header line but no rows"),
            ("rps,mean_ms\n1,2\n5,x\n", "line 3: \"x\" is not a number"),
            ("rps,mean_ms\n1,-2\n", "line 2: -2 must be a number above 0"),
            ("rps,mean_ms\n,2\n", "line 2: the row has no load"),
            ("rps,mean_ms\n1,\n", "line 2: the row has no latency"),
            ("rps,mean_ms,pods\n1,2,1.5\n", "line 2: 1.5 must be a whole number"),
            ("rps,mean_ms\n1,2,3\n", "line 2: CSV error"),
        ] {
            let error = read_points(text).expect_err(text).to_string();
            assert!(error.starts_with(says), "{text:?}: {error}");
        }
    }
}
