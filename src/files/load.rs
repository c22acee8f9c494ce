//! A scenario with all its files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::disk::{beside, open_unpacked, read_source};
use super::helm::HelmCharts;
use super::manifests::read_manifests_with;
use super::spool::temporary_spool;
use manifest::{Diagnostic, Diagnostics, Location, Source, read_documents, without};
use scenario::read::{API_VERSION, is_scenario};
use scenario::resolved::{
    HistogramFile, NamedPath, ResolvedScenario, ScenarioFiles, ScenarioPaths, TraceFile,
};
use scenario::{HelmChart, Override, ScenarioText};

/// Reads scenarios; files that several of them name are read only once. A clone has what was read so far.
#[derive(Clone, Debug, Default)]
pub struct Loader {
    sources: BTreeMap<String, Source>,
    files: Vec<(String, ScenarioPaths, Arc<ScenarioFiles>)>,
}

impl Loader {
    /// Reads a scenario with these settings, from a file or, for `-`, from standard input.
    pub fn load(
        &mut self,
        path: &str,
        settings: &[Override],
    ) -> Result<ResolvedScenario, Diagnostics> {
        if !self.sources.contains_key(path) {
            let read = read_source(path).map_err(|message| {
                let place = Location::whole(&path.into());
                Diagnostics::from(Diagnostic::error("file", message).at(place))
            })?;
            self.sources.insert(path.to_owned(), read);
        }
        let source = self.sources[path].clone();
        self.load_source(&source, settings)
    }

    fn load_source(
        &mut self,
        source: &Source,
        settings: &[Override],
    ) -> Result<ResolvedScenario, Diagnostics> {
        let (text, mut problems) = ScenarioText::read(source, settings);
        let Some(mut text) = text else { return Err(problems) };
        let paths = text.paths();
        let known =
            self.files.iter().find(|(name, others, _)| *name == *source.name && *others == paths);
        let (files, unread) = if let Some((_, _, files)) = known {
            (Arc::clone(files), Diagnostics::default())
        } else {
            let (files, unread) = load_files(&source.name, &paths);
            let files = Arc::new(files);
            if unread.is_empty() {
                self.files.push((source.name.to_string(), paths, Arc::clone(&files)));
            }
            (files, unread)
        };
        let of_pools = text.scenario.cluster.node_pools_of_karpenter();
        problems.append(text.take_slos(&files.open_slo));
        if let Some(list) = &files.price_list {
            problems.append(text.take_prices(list));
        }
        let files = if of_pools.is_empty() {
            files
        } else {
            let mut all = ScenarioFiles::clone(&files);
            all.manifests.extend(of_pools);
            Arc::new(all)
        };
        let manifest_settings =
            settings.iter().filter(|setting| setting.object().is_some()).cloned().collect();
        let resolved = ResolvedScenario { text, files, manifest_settings };
        if problems.is_empty() && unread.is_empty() {
            return Ok(resolved);
        }
        let others = resolved.problems_beside(&problems, &unread);
        problems.append(unread);
        problems.append(others);
        problems.sort();
        Err(problems)
    }
}

/// Reads the files that a scenario names, after applying the settings to it. Reports all mistakes at once.
pub fn load_scenario(
    source: &Source,
    settings: &[Override],
) -> Result<ResolvedScenario, Diagnostics> {
    Loader::default().load_source(source, settings)
}

/// The files that could be read, and diagnostics for the others.
fn load_files(scenario: &str, paths: &ScenarioPaths) -> (ScenarioFiles, Diagnostics) {
    let mut files = ScenarioFiles::default();
    let mut problems = Diagnostics::default();
    let charts = HelmCharts::new(paths.helm_charts.iter().map(|chart| HelmChart {
        path: beside(scenario, &chart.path),
        values_files: chart.values_files.iter().map(|file| beside(scenario, file)).collect(),
        release_name: Some(chart.release_name()),
        ..chart.clone()
    }));
    for named in &paths.manifests {
        let read = manifests_of(&beside(scenario, &named.path), &charts);
        files.manifests.extend(or_report(read, named, &mut problems));
    }
    leave_out(paths, &mut files.manifests, &mut problems);
    for named in &paths.applies {
        let read = manifests_of(&beside(scenario, &named.path), &charts);
        files.applies.insert(named.path.clone(), or_report(read, named, &mut problems));
    }
    for named in &paths.traces {
        let path = beside(scenario, &named.file.path);
        let read = open_unpacked(&path).map(|content| {
            TraceFile::read(&path, content, named.max_broken, Some(temporary_spool))
        });
        match read {
            Ok(Ok(trace)) => drop(files.traces.insert(named.file.path.clone(), trace)),
            Ok(Err(problem)) => problems.push(*problem),
            Err(message) => problems.push(named.file.problem(&message)),
        }
    }
    for named in &paths.histograms {
        let path = beside(scenario, &named.path);
        let read = open_unpacked(&path).map(|content| HistogramFile::read(&path, content));
        match read {
            Ok(Ok(file)) => drop(files.histograms.insert(named.path.clone(), file)),
            Ok(Err(problem)) => problems.push(*problem),
            Err(message) => problems.push(named.problem(&message)),
        }
    }
    if let Some(named) = &paths.scheduler_config {
        let read = read_source(&beside(scenario, &named.path)).map(Some);
        files.scheduler_config = or_report(read, named, &mut problems);
    }
    for named in &paths.open_slo {
        let read = read_source(&beside(scenario, &named.path)).map(Some);
        files.open_slo.extend(or_report(read, named, &mut problems));
    }
    if let Some(named) = &paths.price_list {
        let read = read_source(&beside(scenario, &named.path)).map(Some);
        files.price_list = or_report(read, named, &mut problems);
    }
    (files, problems)
}

/// Takes the objects out of the manifests that the scenario leaves out; each of them must be there.
fn leave_out(paths: &ScenarioPaths, manifests: &mut [Source], problems: &mut Diagnostics) {
    let omitted: Vec<String> = paths.left_out.iter().map(|named| named.path.clone()).collect();
    let mut met = BTreeSet::new();
    for source in manifests.iter_mut() {
        *source = without(source, &omitted, &mut met);
    }
    for named in paths.left_out.iter().filter(|named| !met.contains(&named.path)) {
        problems.push(named.problem("no manifest defines this object"));
    }
}

/// The manifests at a path. A scenario in the same folder is skipped; one given by its own path is reported as a
/// mistake.
fn manifests_of(path: &str, charts: &HelmCharts) -> Result<Vec<Source>, String> {
    let mut sources = read_manifests_with(path, charts)?;
    if !Path::new(path).is_file() {
        sources.retain(|source| !is_own_file(source));
    }
    Ok(sources)
}

/// True if a file contains only scenarios and other files of this project.
fn is_own_file(source: &Source) -> bool {
    // For most files this is clear without parsing the YAML.
    if !source.text.contains(API_VERSION) {
        return false;
    }
    let documents = read_documents(source, &mut Diagnostics::default());
    !documents.is_empty() && documents.iter().all(is_scenario)
}

/// The value that was read; on an error reports the problem and returns the default.
fn or_report<T: Default>(
    read: Result<T, String>,
    named: &NamedPath,
    problems: &mut Diagnostics,
) -> T {
    read.unwrap_or_else(|message| {
        problems.push(named.problem(&message));
        T::default()
    })
}
