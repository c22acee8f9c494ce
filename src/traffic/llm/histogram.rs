//! Measured token counts: histograms in the format of ServeGen's token files, and their quantiles.

use std::io::BufRead;

use csv::StringRecord;

use crate::trace::TraceError;

/// Tolerance by which the probabilities of one field may deviate from 1: published files are rounded.
const SUM_TOLERANCE: f64 = 0.01;

/// Maximum number of bins.
const BINS_MAX: usize = 1_000_000;

/// Histograms of requests' tokens, read from a file: columns `field,bin_lo,bin_hi,probability` and optionally
/// `mean_in_bin`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenHistograms {
    /// Prompt tokens, from the rows `input_tokens`.
    pub prompt: Option<TokenHistogram>,
    /// Output tokens, from the rows `output_tokens`.
    pub output: Option<TokenHistogram>,
}

/// Probability of each token count, by bins.
///
/// A bin consists of two uniform runs of whole numbers, those up to its mean and those above it, weighted so that
/// the bin has its mean. The distribution's mean is thus that of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenHistogram {
    /// In ascending order.
    runs: Vec<Run>,
}

/// A uniform run of token counts.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    /// Cumulative share of requests with at most `last` tokens, from 0 to 1.
    share: f64,
    first: u32,
    last: u32,
}

/// One row of a file.
#[derive(Clone, Copy, Debug)]
struct Bin {
    low: u32,
    high: u32,
    probability: f64,
    /// Defaults to the middle of the bin.
    mean: Option<f64>,
}

/// Positions of the columns.
#[derive(Clone, Copy, Debug)]
struct Columns {
    field: usize,
    low: usize,
    high: usize,
    probability: usize,
    mean: Option<usize>,
}

impl TokenHistograms {
    /// Reads a file in the format of ServeGen's token files.
    pub fn read(input: impl BufRead) -> Result<Self, TraceError> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .trim(csv::Trim::All)
            .comment(Some(b'#'))
            .from_reader(input);
        let whole = |message: String| TraceError { line: None, message };
        let mut columns: Option<Columns> = None;
        let (mut prompt, mut output) = (Vec::new(), Vec::new());
        let mut record = StringRecord::new();
        while reader.read_record(&mut record).map_err(|error| csv_error(&error))? {
            let line = record.position().map(csv::Position::line);
            let wrong = |message: String| TraceError { line, message };
            let Some(columns) = &columns else {
                columns = Some(Columns::of(&record).map_err(wrong)?);
                continue;
            };
            let bins = match text(&record, columns.field) {
                "input_tokens" => &mut prompt,
                "output_tokens" => &mut output,
                // Share of reasoning tokens in the answer; already part of `output_tokens`.
                "reason_ratio" => continue,
                other => {
                    return Err(wrong(format!(
                        "`{other}` is not one of `input_tokens`, `output_tokens`, `reason_ratio`"
                    )));
                }
            };
            bins.push(columns.bin(&record, bins.last()).map_err(wrong)?);
            if bins.len() > BINS_MAX {
                return Err(wrong(format!("a histogram has at most {BINS_MAX} bins")));
            }
        }
        if columns.is_none() {
            return Err(whole("the file is empty; a histogram has a row per bin".into()));
        }
        let prompt = TokenHistogram::of("input_tokens", &prompt).map_err(whole)?;
        let output = TokenHistogram::of("output_tokens", &output).map_err(whole)?;
        if prompt.is_none() && output.is_none() {
            return Err(whole("no row of `input_tokens` or `output_tokens`".into()));
        }
        Ok(Self { prompt, output })
    }

    /// Whether these are the column names of such a file.
    pub(crate) fn has_columns<'n>(names: impl IntoIterator<Item = &'n str>) -> bool {
        let names: Vec<&str> = names.into_iter().collect();
        ["bin_lo", "bin_hi", "probability"].iter().all(|name| names.contains(name))
    }
}

impl Columns {
    fn of(header: &StringRecord) -> Result<Self, String> {
        let position = |wanted: &str| header.iter().position(|name| name == wanted);
        let needed = |wanted: &str| {
            position(wanted).ok_or_else(|| {
                format!(
                    "no column `{wanted}` among `{}`; a histogram of tokens has \
                     `field,bin_lo,bin_hi,probability,mean_in_bin`, as ServeGen's token files do (a trace \
                     goes under `load: {{trace: FILE}}`)",
                    header.iter().collect::<Vec<_>>().join(",")
                )
            })
        };
        Ok(Self {
            field: needed("field")?,
            low: needed("bin_lo")?,
            high: needed("bin_hi")?,
            probability: needed("probability")?,
            mean: position("mean_in_bin"),
        })
    }

    /// The bin of a row, which must follow the bin `before`.
    fn bin(&self, record: &StringRecord, before: Option<&Bin>) -> Result<Bin, String> {
        let tokens = |column: &str, at: usize| {
            let text = text(record, at);
            text.parse::<u32>().map_err(|_| {
                format!("{column}: {text:?} is not a number of tokens; write a whole number")
            })
        };
        let number = |column: &str, at: usize| {
            let text = text(record, at);
            match text.parse::<f64>() {
                Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
                _ => Err(format!("{column}: {text:?} is not a number of at least 0")),
            }
        };
        let (low, high) = (tokens("bin_lo", self.low)?, tokens("bin_hi", self.high)?);
        if high < low {
            return Err(format!("bin_hi: {high} is below bin_lo {low}"));
        }
        if let Some(before) = before.filter(|before| low <= before.high) {
            return Err(format!(
                "bin_lo: {low} must be above {}, the end of the previous bin; sort the bins",
                before.high
            ));
        }
        let probability = number("probability", self.probability)?;
        if probability > 1.0 {
            return Err(format!("probability: {probability} must be a share from 0 to 1"));
        }
        let mean = self.mean.map(|at| number("mean_in_bin", at)).transpose()?;
        if let Some(mean) = mean.filter(|mean| *mean < f64::from(low) || *mean > f64::from(high)) {
            return Err(format!("mean_in_bin: {mean} is not in the bin from {low} to {high}"));
        }
        Ok(Bin { low, high, probability, mean })
    }
}

impl Bin {
    /// The lower and the upper run, each with its share of the bin.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the mean was checked: it lies between two counts of tokens"
    )]
    fn runs(&self) -> [(f64, u32, u32); 2] {
        let Self { low, high, .. } = *self;
        let middle = |first: u32, last: u32| f64::midpoint(f64::from(first), f64::from(last));
        if low == high {
            return [(1.0, low, high), (0.0, high, high)];
        }
        let mean = self.mean.unwrap_or_else(|| middle(low, high));
        // A mean at the upper end leaves nothing for the lower run.
        let split = (mean as u32).min(high - 1);
        let (lower, upper) = (middle(low, split), middle(split + 1, high));
        let share = (upper - mean) / (upper - lower);
        [(share, low, split), (1.0 - share, split + 1, high)]
    }
}

impl TokenHistogram {
    /// The distribution of these bins; absent if there are none.
    fn of(field: &str, bins: &[Bin]) -> Result<Option<Self>, String> {
        if bins.is_empty() {
            return Ok(None);
        }
        let sum: f64 = bins.iter().map(|bin| bin.probability).sum();
        if (sum - 1.0).abs() > SUM_TOLERANCE {
            return Err(format!("probability: the sum over `{field}` is {sum:.4} instead of 1"));
        }
        let (mut runs, mut passed) = (Vec::new(), 0.0);
        for bin in bins {
            for (share, first, last) in bin.runs() {
                let probability = share * bin.probability / sum;
                if probability > 0.0 {
                    passed += probability;
                    runs.push(Run { share: passed, first, last });
                }
            }
        }
        Ok(Some(Self { runs }))
    }

    /// The quantile of the token count at `u` (between 0 and 1, both excluded).
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "float to int casts saturate, and the run bounds what comes"
    )]
    pub fn at(&self, u: f64) -> u32 {
        let position = self.runs.partition_point(|run| run.share <= u);
        // The rounding remainder above the last run's share belongs to that run.
        let Some(run) = self.runs.get(position).or(self.runs.last()) else { return 0 };
        let below = position.checked_sub(1).map_or(0.0, |before| self.runs[before].share);
        let within = (u - below) / (run.share - below);
        let width = f64::from(run.last) - f64::from(run.first) + 1.0;
        run.first.saturating_add((within * width) as u32).min(run.last)
    }
}

fn text(record: &StringRecord, position: usize) -> &str {
    record.get(position).unwrap_or_default()
}

fn csv_error(error: &csv::Error) -> TraceError {
    let line = error.position().map(csv::Position::line);
    let message = match error.kind() {
        csv::ErrorKind::Io(error) => format!("the file cannot be read: {error}"),
        csv::ErrorKind::Utf8 { .. } => "the row is not UTF-8 text".into(),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("the row has {len} fields, but the first line {expected_len}")
        }
        _ => error.to_string(),
    };
    TraceError { line, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "field,bin_lo,bin_hi,probability,mean_in_bin\n";

    /// Bins of every kind: a single number, with its mean at either end, and in between; one with probability
    /// zero.
    const BINS: &str = "input_tokens,4,4,0.1,4.00\ninput_tokens,5,9,0.2,9.00\n\
                        input_tokens,10,14,0.05,10.00\ninput_tokens,16,31,0.4,18.35\n\
                        input_tokens,32,63,0.0,40.00\ninput_tokens,64,127,0.25,70.11\n\
                        output_tokens,8,9,1,8.55\nreason_ratio,0,0,1.0,0.00\n";

    fn read(text: &str) -> Result<TokenHistograms, String> {
        TokenHistograms::read(text.as_bytes()).map_err(|error| error.to_string())
    }

    /// Counts at evenly spread shares of the requests.
    fn drawn(histogram: &TokenHistogram) -> Vec<u32> {
        let n = 400_000;
        (0..n).map(|i| histogram.at((f64::from(i) + 0.5) / f64::from(n))).collect()
    }

    fn mean(counts: &[u32]) -> f64 {
        counts.iter().copied().map(f64::from).sum::<f64>() / counts.len() as f64
    }

    #[test]
    fn shares_and_means_of_all_bins_are_those_of_the_file() {
        let histograms = read(&format!("{HEADER}{BINS}")).expect("right");
        let prompts = drawn(&histograms.prompt.expect("rows of prompts"));
        assert!(prompts.is_sorted());
        for row in BINS.lines().filter_map(|line| line.strip_prefix("input_tokens,")) {
            let row: Vec<f64> =
                row.split(',').map(|text| text.parse().expect("a number")).collect();
            let [low, high, probability, mean_in_bin] = row[..] else { panic!("{row:?}") };
            let is_inside = |count: &u32| (low..=high).contains(&f64::from(*count));
            let inside: Vec<u32> = prompts.iter().copied().filter(is_inside).collect();
            let share = inside.len() as f64 / prompts.len() as f64;
            assert!((share - probability).abs() < 1e-5, "{row:?}: {share}");
            if !inside.is_empty() {
                assert!((mean(&inside) - mean_in_bin).abs() < 2e-3, "{row:?}: {}", mean(&inside));
            }
        }
        // 0.1 x 4 + 0.2 x 9 + 0.05 x 10 + 0.4 x 18.35 + 0.25 x 70.11.
        assert!((mean(&prompts) - 27.5675).abs() < 1e-3, "{}", mean(&prompts));
        let answers = drawn(&histograms.output.expect("rows of answers"));
        assert!((mean(&answers) - 8.55).abs() < 1e-4);
    }

    #[test]
    fn quantiles_stand_at_the_ends_of_bins() {
        let prompt = read(&format!("{HEADER}{BINS}")).expect("right").prompt.expect("prompts");
        let at = [1e-9, 0.0999, 0.1001, 0.2999, 0.3001, 0.3501, 0.7499, 0.7501, 1.0 - 1e-16]
            .map(|u| prompt.at(u));
        assert_eq!(at, [4, 4, 9, 9, 10, 16, 31, 64, 127]);
    }

    #[test]
    fn a_bin_without_a_mean_is_even() {
        let text = "field,bin_lo,bin_hi,probability\noutput_tokens,1,4,0.999\n";
        let histograms = read(text).expect("the mean may be left out, and sums are rounded");
        assert_eq!(histograms.prompt, None);
        let output = histograms.output.expect("answers");
        assert_eq!([0.1, 0.3, 0.6, 0.9].map(|u| output.at(u)), [1, 2, 3, 4]);
    }

    #[test]
    fn the_widest_bin_does_not_overflow() {
        let text = format!("{HEADER}input_tokens,0,4294967295,1,4294967295\n");
        let prompt = read(&text).expect("right").prompt.expect("prompts");
        assert_eq!([0.01, 0.99].map(|u| prompt.at(u)), [u32::MAX; 2]);
    }

    #[test]
    fn broken_files_are_refused_with_line_field_and_reason() {
        for (rows, says) in [
            ("", "no row of `input_tokens` or `output_tokens`"),
            ("prompt,1,2,1,1\n", "line 2: `prompt` is not one of `input_tokens`"),
            ("input_tokens,one,2,1,1\n", "line 2: bin_lo: \"one\" is not a number of tokens"),
            ("input_tokens,1,-2,1,1\n", "line 2: bin_hi: \"-2\" is not a number of tokens"),
            ("input_tokens,3,2,1,2\n", "line 2: bin_hi: 2 is below bin_lo 3"),
            ("input_tokens,1,2,.5,1\ninput_tokens,2,3,.5,2\n", "line 3: bin_lo: 2 must be above 2"),
            ("input_tokens,1,2,NaN,1\n", "line 2: probability: \"NaN\" is not a number"),
            ("input_tokens,1,2,1.5,1\n", "line 2: probability: 1.5 must be a share"),
            ("input_tokens,1,2,0.5,1\n", "probability: the sum over `input_tokens` is 0.5000"),
            ("input_tokens,1,2,1,3\n", "line 2: mean_in_bin: 3 is not in the bin from 1 to 2"),
            ("input_tokens,1,2,1,\n", "line 2: mean_in_bin: \"\" is not a number"),
            ("input_tokens,1,2,1\n", "line 2: the row has 4 fields, but the first line 5"),
        ] {
            let error = read(&format!("{HEADER}{rows}")).expect_err(rows);
            assert!(error.starts_with(says), "{rows:?}: {error}");
        }
        assert!(read("").expect_err("nothing").starts_with("the file is empty"));
        let trace = read("t_s,requests\n0,5\n60,7\n").expect_err("a trace");
        assert!(trace.starts_with("line 1: no column `field` among `t_s,requests`"), "{trace}");
        assert!(trace.contains("`load: {trace: FILE}`"), "{trace}");
    }
}
