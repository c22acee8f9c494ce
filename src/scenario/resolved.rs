//! A scenario with all files that it names: everything that a run depends on, as plain data. Reads no
//! files: the crate `files` loads those that [`ScenarioText::paths`] lists.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

use serde_json::Value;

use super::document::Scenario;
use super::helm_chart::HelmChart;
use super::overrides::Override;
use super::read::{ScenarioText, drop_empty_fields};
use engine::Digest;
use faults::TimelineAction;
use manifest::{Diagnostic, Diagnostics, FieldPath, Location, Source};
use traffic::arrivals::TraceLoad;
use traffic::import::MalformedRows;
use traffic::llm::TokenHistograms;
use traffic::{Load, NewSpool, RequestModelSpec, Trace, TraceError};

/// The files that a scenario names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScenarioPaths {
    /// Files, folders and patterns of manifests, in the order written.
    pub manifests: Vec<NamedPath>,
    /// Objects of the manifests that are left out.
    pub left_out: Vec<NamedPath>,
    /// Rendering options of charts among the manifests.
    pub helm_charts: Vec<HelmChart>,
    /// Files and folders that the timeline applies.
    pub applies: Vec<NamedPath>,
    /// Trace files, without duplicates.
    pub traces: Vec<NamedTrace>,
    /// Token histogram files, without duplicates.
    pub histograms: Vec<NamedPath>,
    /// The scheduler's configuration.
    pub scheduler_config: Option<NamedPath>,
    /// The user's own prices of machines.
    pub price_list: Option<NamedPath>,
    /// OpenSLO files.
    pub open_slo: Vec<NamedPath>,
}

/// A path in a scenario, relative to the scenario's file, or an object of the manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedPath {
    /// The path as written.
    pub path: String,
    /// The field that names it.
    field: String,
    /// Position of the field.
    place: Location,
}

/// A trace file that a scenario names.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTrace {
    /// The file, at its first mention.
    pub file: NamedPath,
    /// Fraction of broken rows above which the trace is refused, 0 to 1: the smallest of all users of the
    /// file.
    pub max_broken: f64,
}

/// The contents of those files.
#[derive(Clone, Debug, Default)]
pub struct ScenarioFiles {
    /// The manifests, in the order in which they are applied.
    pub manifests: Vec<Source>,
    /// Manifests applied by the timeline, by their path in the scenario.
    pub applies: BTreeMap<String, Vec<Source>>,
    /// The traces, by their path in the scenario.
    pub traces: BTreeMap<String, TraceFile>,
    /// The token histograms, by their path in the scenario.
    pub histograms: BTreeMap<String, HistogramFile>,
    /// The scheduler's configuration.
    pub scheduler_config: Option<Source>,
    /// The user's own prices of machines.
    pub price_list: Option<Source>,
    /// OpenSLO files, in their order.
    pub open_slo: Vec<Source>,
}

/// A trace file that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceFile {
    /// The recorded requests.
    pub trace: Trace,
    /// The rows that were skipped.
    pub broken: MalformedRows,
    /// Hash of its bytes.
    fingerprint: u64,
}

/// A token histogram file that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramFile {
    /// The histograms.
    pub histograms: Arc<TokenHistograms>,
    /// Hash of its bytes.
    fingerprint: u64,
}

/// A scenario with the contents of its files.
#[derive(Clone, Debug)]
pub struct ResolvedScenario {
    /// The scenario and the positions of its fields.
    pub text: ScenarioText,
    /// The contents of the files that it names.
    pub files: Arc<ScenarioFiles>,
    /// Overrides to be applied to the manifests.
    pub manifest_settings: Vec<Override>,
}

impl ScenarioText {
    /// The files that the scenario names.
    pub fn paths(&self) -> ScenarioPaths {
        let root = FieldPath::ROOT;
        let scenario = &self.scenario;
        let manifests = root.field("manifests");
        let timeline = root.field("timeline");
        let scheduler = root.field("scheduler");
        let applies =
            scenario.timeline.iter().enumerate().filter_map(|(index, entry)| match &entry.action {
                TimelineAction::Apply(path) => {
                    Some(self.named(path, &timeline.item(index).field("apply")))
                }
                _ => None,
            });
        let traffic = root.field("traffic");
        let ingress = root.field("ingress");
        let mut traces = Vec::new();
        for (index, spec) in scenario.traffic.iter().enumerate() {
            self.traces_of(&spec.load, &traffic.item(index).field("load"), &mut traces);
        }
        for (index, spec) in scenario.ingress.iter().enumerate() {
            self.traces_of(&spec.load, &ingress.item(index).field("load"), &mut traces);
        }
        let workloads = root.field("workloads");
        let mut histograms = Vec::new();
        for (index, workload) in scenario.workloads.iter().enumerate() {
            let place = workloads.item(index);
            self.histograms_of(workload.requests.as_ref(), &place, &mut histograms);
            let images = place.field("images");
            for (image, behavior) in &workload.images {
                let requests = behavior.requests.as_ref();
                self.histograms_of(requests, &images.key(image), &mut histograms);
            }
        }
        let left_out = root.field("leaveOut");
        ScenarioPaths {
            left_out: scenario
                .leave_out
                .iter()
                .enumerate()
                .map(|(index, object)| self.named(object, &left_out.item(index)))
                .collect(),
            helm_charts: scenario.helm_charts.clone(),
            manifests: scenario
                .manifests
                .iter()
                .enumerate()
                .map(|(index, path)| self.named(path, &manifests.item(index)))
                .collect(),
            applies: applies.collect(),
            traces,
            histograms,
            scheduler_config: scenario
                .scheduler
                .config
                .as_ref()
                .map(|path| self.named(path, &scheduler.field("config"))),
            open_slo: scenario
                .open_slo
                .iter()
                .enumerate()
                .map(|(index, path)| self.named(path, &root.field("openSlo").item(index)))
                .collect(),
            price_list: scenario
                .bill
                .price_list
                .as_ref()
                .map(|path| self.named(path, &root.field("bill").field("priceList"))),
        }
    }

    fn traces_of(&self, load: &Load, field: &FieldPath, traces: &mut Vec<NamedTrace>) {
        match load {
            Load::Trace(load) => self.named_trace(load, field, traces),
            Load::Pattern(_) | Load::Users(_) => {}
            Load::Splice(load) => {
                let list = field.field("splice");
                for (index, piece) in load.splice.iter().enumerate() {
                    self.traces_of(&piece.load, &list.item(index).field("load"), traces);
                }
            }
            Load::Add(load) => {
                let list = field.field("add");
                for (index, part) in load.add.iter().enumerate() {
                    self.traces_of(part, &list.item(index), traces);
                }
            }
        }
    }

    fn named_trace(&self, load: &TraceLoad, field: &FieldPath, traces: &mut Vec<NamedTrace>) {
        let max_broken = load.max_broken;
        if let Some(named) = traces.iter_mut().find(|named| named.file.path == load.trace) {
            named.max_broken = named.max_broken.min(max_broken);
        } else {
            let file = self.named(&load.trace, &field.field("trace"));
            traces.push(NamedTrace { file, max_broken });
        }
    }

    /// Collects the histogram files of the request models at `place`.
    fn histograms_of(
        &self,
        requests: Option<&RequestModelSpec>,
        place: &FieldPath,
        histograms: &mut Vec<NamedPath>,
    ) {
        let Some(llm) = requests.and_then(|requests| requests.llm.as_ref()) else { return };
        let requests = place.field("requests");
        let settings = requests.field("llm");
        for (law, file) in llm.histogram_files() {
            if histograms.iter().all(|named| named.path != file) {
                histograms.push(self.named(file, &settings.field(law).field("histogram")));
            }
        }
    }

    fn named(&self, path: &str, field: &FieldPath) -> NamedPath {
        NamedPath {
            path: path.to_owned(),
            field: field.to_string(),
            place: self.document.place(field),
        }
    }
}

impl NamedPath {
    /// A diagnostic at the field that names the file, which cannot be read.
    pub fn problem(&self, message: &str) -> Diagnostic {
        let problem = Diagnostic::error("file", format!("{}: {message}", self.path));
        Diagnostic { field: self.field.clone(), ..problem.at(self.place.clone()) }
    }
}

impl TraceFile {
    /// Reads a trace from the decompressed content of the named file, as [`Trace::read_with`] does.
    pub fn read(
        name: &str,
        content: impl Read,
        max_broken: f64,
        new_spool: Option<NewSpool>,
    ) -> Result<Self, Box<Diagnostic>> {
        let read =
            fingerprinted(content, |content| Trace::read_with(content, max_broken, new_spool));
        let ((trace, broken), fingerprint) =
            read.map_err(|error| Box::new(in_file("trace", name, error)))?;
        Ok(Self { trace, broken, fingerprint })
    }
}

impl HistogramFile {
    /// Reads histograms from the decompressed content of the named file, as [`TokenHistograms::read`] does.
    pub fn read(name: &str, content: impl Read) -> Result<Self, Box<Diagnostic>> {
        let (histograms, fingerprint) =
            fingerprinted(content, |content| TokenHistograms::read(content))
                .map_err(|error| Box::new(in_file("histogram", name, error)))?;
        Ok(Self { histograms: Arc::new(histograms), fingerprint })
    }
}

/// A diagnostic for an error in a file, at its line.
fn in_file(code: &'static str, name: &str, error: TraceError) -> Diagnostic {
    let line = error.line.and_then(|line| u32::try_from(line).ok()).unwrap_or_default();
    Diagnostic::error(code, error.message).at(Location { source: name.into(), line, column: 0 })
}

/// The result of `read` on a content, and the hash of all of the content.
fn fingerprinted<R: Read, T>(
    content: R,
    read: impl FnOnce(&mut BufReader<Fingerprinted<R>>) -> Result<T, TraceError>,
) -> Result<(T, u64), TraceError> {
    let mut content = BufReader::with_capacity(1 << 16, Fingerprinted::new(content));
    let made = read(&mut content)?;
    let fingerprint = content.into_inner().finish().map_err(|error| TraceError {
        line: None,
        message: format!("the file cannot be read: {error}"),
    })?;
    Ok((made, fingerprint))
}

/// Bytes hashed at a time.
const PART: usize = 1 << 22;

/// Hashes everything that is read through it, in parts.
struct Fingerprinted<R> {
    input: R,
    part: Vec<u8>,
    digest: Digest,
    parts: u64,
}

impl<R: Read> Fingerprinted<R> {
    fn new(input: R) -> Self {
        Self { input, part: Vec::new(), digest: Digest::default(), parts: 0 }
    }

    /// Reads and hashes the rest.
    fn finish(mut self) -> io::Result<u64> {
        io::copy(&mut self, &mut io::sink())?;
        if self.parts == 0 || !self.part.is_empty() {
            self.digest.bytes(&self.part);
        }
        Ok(self.digest.value())
    }

    fn take_in(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PART - self.part.len()));
            self.part.extend_from_slice(now);
            bytes = later;
            if self.part.len() == PART {
                self.digest.bytes(&self.part);
                self.part.clear();
                self.parts += 1;
            }
        }
    }
}

impl<R: Read> Read for Fingerprinted<R> {
    /// Fills the buffer unless the input ends: the file format is detected from its beginning, which must
    /// not depend on the size of a pipe's first read.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.input.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.take_in(&buffer[..filled]);
        Ok(filled)
    }
}

impl ScenarioFiles {
    /// The trace at this path in the scenario.
    pub fn trace(&self, path: &str) -> Option<&Trace> {
        self.traces.get(path).map(|file| &file.trace)
    }

    /// The token histograms at this path in the scenario.
    pub fn tokens(&self, path: &str) -> Option<&Arc<TokenHistograms>> {
        self.histograms.get(path).map(|file| &file.histograms)
    }

    /// The error that stopped a trace from being read to its end during the run, if any. The results of
    /// such a run are invalid.
    pub fn failed_trace(&self) -> Result<(), Diagnostics> {
        let mut failures = Diagnostics::default();
        for (path, file) in &self.traces {
            if let Trace::Requests(trace) = &file.trace
                && let Some(why) = trace.rows.failure()
            {
                let place = Location::whole(&path.as_str().into());
                failures.push(Diagnostic::error("trace", why).at(place));
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }
}

impl ResolvedScenario {
    /// The scenario itself.
    pub const fn scenario(&self) -> &Scenario {
        &self.text.scenario
    }

    /// A hash of everything that a run depends on except the seed: equal fingerprints and equal seeds give
    /// equal runs. Comments and layout of the scenario file do not affect it.
    pub fn fingerprint(&self) -> u64 {
        let mut digest = Digest::default();
        let scenario = Scenario { seed: 0, ..self.scenario().clone() };
        let mut value = serde_json::to_value(scenario).unwrap_or(Value::Null);
        drop_empty_fields(&mut value);
        digest.bytes(value.to_string().as_bytes());
        let texts = |digest: &mut Digest, sources: &[Source]| {
            digest.word(sources.len() as u64);
            for source in sources {
                digest.bytes(source.text.as_bytes());
            }
        };
        texts(&mut digest, &self.files.manifests);
        for (path, sources) in &self.files.applies {
            digest.bytes(path.as_bytes());
            texts(&mut digest, sources);
        }
        for (path, file) in &self.files.traces {
            digest.bytes(path.as_bytes());
            digest.word(file.fingerprint);
        }
        for (path, file) in &self.files.histograms {
            digest.bytes(path.as_bytes());
            digest.word(file.fingerprint);
        }
        texts(&mut digest, self.files.scheduler_config.as_slice());
        if !self.files.open_slo.is_empty() {
            texts(&mut digest, &self.files.open_slo);
        }
        if self.files.price_list.is_some() {
            texts(&mut digest, self.files.price_list.as_slice());
        }
        for setting in &self.manifest_settings {
            digest.bytes(setting.to_string().as_bytes());
        }
        digest.value()
    }
}
