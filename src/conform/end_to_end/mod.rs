//! Compares whole runs of the real controllers and scheduler under load with runs of the simulation. Schema and
//! rules of comparison: `docs/conform-end-to-end.md`.

pub mod case;
mod compare;
mod expected;
mod run;
mod sums;
mod world;

use std::fmt;

use serde::Serialize;

pub use case::CaseFiles;
use compare::first_difference;
use expected::{Band, Expected, Repro};
pub use run::{RunEvent, RunResults};
use world::Prepared;

use super::{Difference, Outcome, Report};

/// Sums are rounded to tenths, means to thousandths; both sides are rounded.
const ROUNDING: f64 = 0.11;
/// Relative tolerance outside of the band for figures on which equal runs of the real components differ.
const IRREPRODUCIBLE_SLACK: f64 = 0.005;

/// Result of a case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndToEndOutcome {
    /// Name of the case.
    pub case: String,
    /// True if the base run matches the recording, and all figures are within the band.
    pub agreed: bool,
    /// Number of compared samples of the base run.
    pub samples: usize,
    /// Number of compared events of the base run.
    pub events: usize,
    /// Number of rescales among them.
    pub rescales: usize,
    /// The first difference of the base run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
    /// The comparison of the sums at each offset.
    pub offsets: Vec<OffsetOutcome>,
}

/// Result of the comparison of the sums at one offset.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OffsetOutcome {
    /// Phase of the HPA controller (s).
    pub hpa_s: f64,
    /// Phase of the scrapes (s).
    pub scrape_s: f64,
    /// Number of compared figures.
    pub figures: usize,
    /// Number of figures equal to those of the run recorded at the same offsets.
    pub as_recorded: usize,
    /// Figures outside of the band.
    pub outside: Vec<Outside>,
}

/// A figure outside of its band.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outside {
    /// Its path in `summary.json`.
    pub path: String,
    /// Minimum of the recorded runs.
    pub least: f64,
    /// Maximum of the recorded runs.
    pub greatest: f64,
    /// Our value; absent if there is none.
    pub got: Option<f64>,
}

/// Results of all cases.
pub type EndToEndReport = Report<EndToEndOutcome>;

/// Runs a case at its base offsets, whether it was recorded or not.
pub fn run_base(files: &CaseFiles) -> Result<RunResults, String> {
    let prepared = Prepared::new(files)?;
    let base = prepared.parameters.offsets.first().ok_or("params.yaml has no offsets")?;
    Ok(run::run(prepared.world(*base)))
}

/// Runs a case at all offsets and compares it with its recording.
pub fn check(files: &CaseFiles) -> Result<EndToEndOutcome, String> {
    let expected = Expected::new(files)?;
    let prepared = Prepared::new(files)?;
    let mut offsets = Vec::new();
    let (mut compared, mut difference) = (compare::Compared::default(), None);
    for (position, offset) in prepared.parameters.offsets.iter().enumerate() {
        let shown = run::run(prepared.world(*offset));
        if position == 0 {
            (compared, difference) = first_difference(&shown, &expected);
        }
        let mut outcome = OffsetOutcome {
            hpa_s: offset.hpa_s,
            scrape_s: offset.scrape_s,
            figures: expected.band.summary.len(),
            as_recorded: 0,
            outside: Vec::new(),
        };
        for (path, (least, greatest)) in &expected.band.summary {
            let got = figure(&shown.summary, path);
            if got.is_some_and(|got| is_as_recorded(&expected.band, path, position, got)) {
                outcome.as_recorded += 1;
            }
            let slack = slack(&expected.repro, path, *greatest);
            let inside = |got: f64| got >= least - slack && got <= greatest + slack;
            if !got.is_some_and(inside) {
                let (path, least, greatest) = (path.clone(), *least, *greatest);
                outcome.outside.push(Outside { path, least, greatest, got });
            }
        }
        offsets.push(outcome);
    }
    Ok(EndToEndOutcome {
        agreed: difference.is_none() && offsets.iter().all(|one| one.outside.is_empty()),
        case: prepared.parameters.case,
        samples: compared.samples,
        events: compared.events,
        rescales: compared.rescales,
        difference,
        offsets,
    })
}

/// A figure; counts of events that never occurred are 0.
fn figure(summary: &std::collections::BTreeMap<String, f64>, path: &str) -> Option<f64> {
    let counts = ["disruptions/", "rescales/"];
    let absent = counts.iter().any(|prefix| path.starts_with(prefix)).then_some(0.0);
    summary.get(path).copied().or(absent)
}

fn is_as_recorded(band: &Band, path: &str, offset: usize, got: f64) -> bool {
    let close = |value: f64| (value - got).abs() <= ROUNDING;
    let values = band.of_offset(path, offset);
    if values.is_empty() {
        band.summary.get(path).is_some_and(|(least, _)| close(*least))
    } else {
        values.into_iter().any(close)
    }
}

/// Permitted distance of a figure from the band.
fn slack(repro: &Repro, path: &str, greatest: f64) -> f64 {
    let is_reproducible =
        repro.services.identical && repro.deployments.identical && repro.pod_event_counts_identical;
    let is_count = path.starts_with("rescale") || path.contains("maxReplicas");
    let wide = !is_reproducible && !is_count;
    ROUNDING + if wide { IRREPRODUCIBLE_SLACK * greatest.abs() } else { 0.0 }
}

impl Outcome for EndToEndOutcome {
    fn is_agreement(&self) -> bool {
        self.agreed
    }
}

impl fmt::Display for EndToEndOutcome {
    /// One line, with the first difference and the figures outside of the band.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.agreed { "agreed    " } else { "disagreed " };
        let sum = |of: fn(&OffsetOutcome) -> usize| self.offsets.iter().map(of).sum::<usize>();
        let (figures, outside) = (sum(|one| one.figures), sum(|one| one.outside.len()));
        writeln!(
            f,
            "{word} {}: base run {} samples, {} events, {} rescales; {} of {figures} figures \
             in the band at {} offsets, {} as recorded",
            self.case,
            self.samples,
            self.events,
            self.rescales,
            figures - outside,
            self.offsets.len(),
            sum(|one| one.as_recorded),
        )?;
        self.difference.iter().try_for_each(|difference| difference.fmt(f))?;
        for OffsetOutcome { hpa_s, scrape_s, outside, .. } in &self.offsets {
            for Outside { path, least, greatest, got } in outside {
                let got = got.map_or_else(|| "nothing".to_owned(), |got| got.to_string());
                let at = format!("at offsets {hpa_s} / {scrape_s}");
                writeln!(f, "    {path} {at}: {got}, band {least} to {greatest}")?;
            }
        }
        Ok(())
    }
}
