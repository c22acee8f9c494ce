//! The manifests at a path: files, folders, glob patterns, rendered kustomizations and Helm charts.
#![expect(clippy::disallowed_methods, reason = "this is the place that the rule sends them to")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, glob_with};

use super::disk::{STANDARD_INPUT, in_words, read_source};
use super::helm::{HelmCharts, is_chart};
use super::kustomized::{Kustomizations, own_kustomization, rendered};
use manifest::Source;

/// Endings of files that may hold manifests.
const MANIFEST_ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Maximum depth of nested folders of manifests; deeper ones are taken for a loop of links.
const FOLDER_DEPTH: usize = 32;

/// Name of the JSON Schema that `wavetank init` writes for editors. It is no manifest, whatever its folder.
pub const SCHEMA_FILE: &str = "wavetank.schema.json";

/// Reads the manifests at a path: a file, all manifests in a folder and its subfolders in the order of their names, or
/// those that match a pattern such as `k8s/*.yaml`. Charts and kustomizations are rendered.
pub fn read_manifests(path: &str) -> Result<Vec<Source>, String> {
    read_manifests_with(path, &HelmCharts::default())
}

/// The same, with rendering options for charts.
pub fn read_manifests_with(path: &str, charts: &HelmCharts) -> Result<Vec<Source>, String> {
    let (sources, unread) = read_what_can_be(path, charts)?;
    match unread.into_iter().next() {
        Some(why) => Err(why),
        None => Ok(sources),
    }
}

/// The same, and the reasons why charts, kustomizations or files in the folder cannot be read beside the others.
pub fn read_what_can_be(
    path: &str,
    charts: &HelmCharts,
) -> Result<(Vec<Source>, Vec<String>), String> {
    if path == STANDARD_INPUT {
        return read_source(path).map(|source| (vec![source], Vec::new()));
    }
    if !Path::new(path).exists() {
        return matching(path).map(|sources| (sources, Vec::new()));
    }
    if let Some(rendered) = own_kustomization(path)? {
        return Ok((vec![rendered], Vec::new()));
    }
    let parts = Parts::of(path)?;
    if parts.files.is_empty() && parts.charts.is_empty() && parts.kustomizations.is_empty() {
        let endings = MANIFEST_ENDINGS.join(", ");
        return Err(format!("no files ending in {endings} here"));
    }
    let files = parts.files.iter().map(|file| read_found(file, Path::new(path) != file));
    let charts = parts.charts.iter().map(|chart| charts.render(chart));
    let mut read: Vec<Result<Source, String>> = files.chain(charts).collect();
    match parts.kustomizations.check_variants() {
        Ok(()) => read.extend(parts.kustomizations.roots().map(|root| rendered(root))),
        Err(why) => read.push(Err(why)),
    }
    let (sources, unread): (Vec<_>, Vec<_>) = read.into_iter().partition(Result::is_ok);
    let unread = unread.into_iter().filter_map(Result::err).collect();
    Ok((sources.into_iter().flatten().collect(), unread))
}

/// The files that match a pattern.
fn matching(pattern: &str) -> Result<Vec<Source>, String> {
    if !pattern.contains(['*', '?', '[']) {
        return Err(in_words(&io::ErrorKind::NotFound.into()));
    }
    // As in a shell, `*` does not match hidden files.
    let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::default() };
    let matches =
        glob_with(pattern, options).map_err(|error| format!("not a pattern: {}", error.msg))?;
    let mut sources = Vec::new();
    for found in matches {
        let found = found.map_err(|error| in_words(error.error()))?;
        for file in Parts::of(&found.to_string_lossy())?.files {
            sources.push(read_found(&file, true)?);
        }
    }
    if sources.is_empty() {
        return Err("no file matches this pattern".to_owned());
    }
    Ok(sources)
}

/// Reads a file; one found in a folder counts as empty if it is not UTF-8.
fn read_found(file: &Path, is_found: bool) -> Result<Source, String> {
    let name = file.to_string_lossy();
    match read_source(&name) {
        // macOS resource forks (`._web.yaml`) have the extension of a manifest.
        Err(_) if is_found && file.is_file() => Ok(Source { is_found, ..Source::new(&name, "") }),
        read => read.map(|source| Source { is_found, ..source }),
    }
}

/// The contents of a path.
#[derive(Debug, Default)]
struct Parts {
    /// Possible manifests outside of charts and kustomizations.
    files: Vec<PathBuf>,
    /// Chart folders.
    charts: Vec<String>,
    kustomizations: Kustomizations,
}

impl Parts {
    fn of(path: &str) -> Result<Self, String> {
        let mut parts = Self::default();
        let mut kustomized = Vec::new();
        parts.collect(Path::new(path), 0, &mut kustomized)?;
        let is_kustomized =
            |file: &&PathBuf| kustomized.iter().any(|folder| file.starts_with(folder));
        parts.files.retain(|file| !is_kustomized(&file));
        parts.kustomizations = Kustomizations::of(kustomized);
        Ok(parts)
    }

    fn collect(
        &mut self,
        path: &Path,
        depth: usize,
        kustomized: &mut Vec<String>,
    ) -> Result<(), String> {
        if !path.is_dir() {
            self.files.push(path.to_owned());
            return Ok(());
        }
        if is_chart(path) {
            self.charts.push(path.to_string_lossy().into_owned());
            return Ok(());
        }
        if depth == FOLDER_DEPTH {
            return Err(format!("folders are nested more than {FOLDER_DEPTH} levels deep"));
        }
        if super::kustomized::is_kustomized(path) {
            kustomized.push(manifest::kustomize::join(&path.to_string_lossy(), "."));
        }
        let of_folder = |error: io::Error| {
            let why = in_words(&error);
            if depth == 0 { why } else { format!("{}: {why}", path.display()) }
        };
        let entries = fs::read_dir(path).map_err(of_folder)?;
        let mut entries = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(of_folder)?;
        entries.sort();
        for entry in entries {
            if !is_hidden(&entry) && (entry.is_dir() || is_manifest(&entry)) {
                self.collect(&entry, depth + 1, kustomized)?;
            }
        }
        Ok(())
    }
}

/// A part of a folder that can be applied by itself.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The file, or the folder of a chart or kustomization.
    pub path: String,
    /// True for a single file.
    pub is_file: bool,
    /// All kustomization folders that it includes, except components.
    pub made_of: Vec<String>,
    /// Its contents, or why they cannot be had.
    pub sources: Result<Vec<Source>, String>,
}

/// The parts of a folder, to choose from: a repository often holds several variants of one system.
pub fn units(path: &str, charts: &HelmCharts) -> Result<Vec<Unit>, String> {
    let Parts { files, charts: folders, kustomizations } = Parts::of(path)?;
    let mut units = Vec::new();
    for file in files {
        let sources = read_found(&file, Path::new(path) != file).map(|source| vec![source]);
        let path = file.to_string_lossy().into_owned();
        units.push(Unit { path, is_file: true, made_of: Vec::new(), sources });
    }
    for path in folders {
        let sources = charts.render(&path).map(|source| vec![source]);
        units.push(Unit { path, is_file: false, made_of: Vec::new(), sources });
    }
    for root in kustomizations.roots() {
        let sources = rendered(root).map(|source| vec![source]);
        let made_of = kustomizations.bases(root);
        units.push(Unit { path: root.clone(), is_file: false, made_of, sources });
    }
    Ok(units)
}

/// Folders such as `.github` hold what tools read, not what a cluster does.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn is_manifest(path: &Path) -> bool {
    let is_schema = path.file_name().is_some_and(|name| name == SCHEMA_FILE);
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    !is_schema && ending.is_some_and(|ending| MANIFEST_ENDINGS.contains(&ending.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (path, text) in [
            ("b.yaml", "b"),
            ("a.json", "a"),
            ("sub/c.yml", "c"),
            ("notes.txt", "n"),
            (".d.yaml", "d"),
            (".github/e.yaml", "e"),
        ] {
            write(&folder, path, text);
        }
        folder
    }

    fn write(folder: &tempfile::TempDir, path: &str, text: &str) {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(path, text).expect("written");
    }

    #[test]
    fn what_lies_beside_manifests_is_known_as_found_and_need_be_no_text() {
        let folder = folder();
        fs::write(folder.path().join("sub/z.yaml"), [0xff, 0xfe]).expect("written");
        let sources = read_manifests(&folder.path().to_string_lossy()).expect("read");
        assert!(sources.iter().all(|source| source.is_found && source.is_skipped()));
        assert_eq!(sources.len(), 4);
        let named = read_manifests(&folder.path().join("b.yaml").to_string_lossy());
        assert!(named.expect("read").iter().all(|source| !source.is_skipped()));
    }

    #[test]
    fn a_folder_falls_into_files_charts_and_kustomizations_that_nothing_includes() {
        let folder = folder();
        for (path, text) in [
            ("chart/Chart.yaml", "name: c"),
            ("chart/templates/a.yaml", "{{ x }}"),
            ("k/base/kustomization.yaml", "resources: [a.yaml]"),
            ("k/base/a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n"),
            ("k/dev/kustomization.yaml", "resources: [../base]"),
            ("k/prod/kustomization.yaml", "resources: [../base]\nnamespace: p"),
        ] {
            write(&folder, path, text);
        }
        let root = folder.path().to_string_lossy().into_owned();
        let units = units(&root, &HelmCharts::default()).expect("read");
        let summaries: Vec<(&str, bool, usize)> = units
            .iter()
            .map(|unit| (&unit.path[root.len() + 1..], unit.is_file, unit.made_of.len()))
            .collect();
        let expected = [
            ("a.json", true, 0),
            ("b.yaml", true, 0),
            ("sub/c.yml", true, 0),
            ("chart", false, 0),
            ("k/dev", false, 2),
            ("k/prod", false, 2),
        ];
        assert_eq!(summaries, expected);
        let variants = read_manifests(&format!("{root}/k")).expect_err("which of them is meant?");
        assert!(variants.starts_with("these are variants of one system"), "{variants}");
    }

    fn texts(path: &Path) -> Result<String, String> {
        let sources = read_manifests(&path.to_string_lossy())?;
        Ok(sources.iter().map(|source| source.text.as_str()).collect())
    }

    #[test]
    fn a_path_stands_for_a_file_a_folder_or_what_matches() {
        let folder = folder();
        assert_eq!(texts(folder.path()), Ok("abc".to_owned()));
        assert_eq!(texts(&folder.path().join("notes.txt")), Ok("n".to_owned()));
        assert_eq!(texts(&folder.path().join("*.yaml")), Ok("b".to_owned()));
        assert_eq!(texts(&folder.path().join("*/*.yml")), Ok("c".to_owned()));
    }

    #[test]
    fn what_cannot_be_read_is_said_in_words() {
        let folder = folder();
        let missing = folder.path().join("missing.yaml");
        assert_eq!(texts(&missing), Err("no such file".to_owned()));
        let nothing = folder.path().join("*.toml");
        assert_eq!(texts(&nothing), Err("no file matches this pattern".to_owned()));
        let empty = tempfile::tempdir().expect("a temporary folder");
        assert!(texts(empty.path()).expect_err("nothing there").starts_with("no files"));
        let of_folder = read_source(&folder.path().to_string_lossy());
        assert_eq!(of_folder, Err("this is a folder, but a file is needed".to_owned()));
        fs::write(&missing, [0xff, 0xfe]).expect("written");
        assert_eq!(texts(&missing), Err("the file is not UTF-8 text".to_owned()));
    }
}
