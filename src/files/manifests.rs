//! The manifests at a path: files, folders, glob patterns, and rendered kustomizations.
#![expect(clippy::disallowed_methods, reason = "this is the place that the rule sends them to")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, glob_with};

use super::disk::{STANDARD_INPUT, in_words, read, read_source};
use manifest::yaml::to_yaml;
use manifest::{Source, kustomize};

/// Extensions of manifest files.
const MANIFEST_ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Maximum depth of nested manifest folders; deeper nesting is taken for a loop of links.
const FOLDER_DEPTH: usize = 32;

/// Name of the JSON Schema that `wavetank init` writes for editors. It is never a manifest, in any folder.
pub const SCHEMA_FILE: &str = "wavetank.schema.json";

/// Reads the manifests at a path: a file, all manifests in a folder and its subfolders in the order of their names,
/// or those that match a pattern such as `k8s/*.yaml`.
pub fn read_manifests(path: &str) -> Result<Vec<Source>, String> {
    if path == STANDARD_INPUT {
        return read_source(path).map(|source| vec![source]);
    }
    let mut files = Vec::new();
    if Path::new(path).exists() {
        if let Some(rendered) = kustomized(path)? {
            return Ok(rendered);
        }
        collect(Path::new(path), 0, &mut files)?;
        if files.is_empty() {
            return Err(format!(
                "there are no files ending in {} here",
                MANIFEST_ENDINGS.join(", ")
            ));
        }
    } else if path.contains(['*', '?', '[']) {
        // As in a shell, `*` does not match hidden files.
        let options = MatchOptions { require_literal_leading_dot: true, ..MatchOptions::default() };
        let matches =
            glob_with(path, options).map_err(|error| format!("not a pattern: {}", error.msg))?;
        for found in matches {
            let found = found.map_err(|error| in_words(error.error()))?;
            collect(&found, 0, &mut files)?;
        }
        if files.is_empty() {
            return Err("no file matches this pattern".to_owned());
        }
    } else {
        return Err(in_words(&io::ErrorKind::NotFound.into()));
    }
    files.iter().map(|file| read_source(&file.to_string_lossy())).collect()
}

fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), String> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    if depth == FOLDER_DEPTH {
        return Err(format!("folders nest deeper than {FOLDER_DEPTH} levels here"));
    }
    let entries = fs::read_dir(path).map_err(|error| in_words(&error))?;
    let mut entries = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| in_words(&error))?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() || is_manifest(&entry) {
            collect(&entry, depth + 1, files)?;
        }
    }
    Ok(())
}

/// File access for kustomizations.
struct OnDisk;

impl kustomize::Files for OnDisk {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        read(Path::new(path))
    }

    fn is_folder(&self, path: &str) -> bool {
        Path::new(path).is_dir()
    }
}

/// The manifests of a folder with kustomizations: the rendered ones, and the files beside them; `None` if the
/// folder has no kustomization. If several kustomizations build on the same files, one must be named.
fn kustomized(path: &str) -> Result<Option<Vec<Source>>, String> {
    let given = Path::new(path);
    let is_kustomization = |name: &str| kustomize::FILE_NAMES.contains(&name);
    if given.is_file() {
        let name = given.file_name().map(|name| name.to_string_lossy().into_owned());
        let folder = given.parent().map_or(".", |folder| folder.to_str().unwrap_or("."));
        let folder = if folder.is_empty() { "." } else { folder };
        return match name.filter(|name| is_kustomization(name)) {
            Some(_) => Ok(Some(vec![rendered(folder)?])),
            None => Ok(None),
        };
    }
    let mut folders = Vec::new();
    kustomized_folders(given, 0, &mut folders)?;
    let own = kustomize::join(path, ".");
    if folders.contains(&own) {
        return Ok(Some(vec![rendered(&own)?]));
    }
    let includes: Vec<(&String, Vec<String>)> =
        folders.iter().map(|one| (one, kustomize::included_folders(one, &OnDisk))).collect();
    let is_included = |one: &String| includes.iter().any(|(_, parts)| parts.contains(one));
    let roots: Vec<&String> = folders.iter().filter(|one| !is_included(one)).collect();
    let parts = |root: &String| {
        let mut parts = vec![root.clone()];
        let mut at = 0;
        while at < parts.len() {
            let found = includes.iter().find(|(one, _)| **one == parts[at]);
            let more: Vec<String> =
                found.into_iter().flat_map(|(_, parts)| parts).cloned().collect();
            parts.extend(more.into_iter().filter(|one| !parts.contains(one)).collect::<Vec<_>>());
            at += 1;
        }
        parts
    };
    for (index, root) in roots.iter().enumerate() {
        let own = parts(root);
        let mut alike: Vec<&str> = vec![root.as_str()];
        let others = roots[index + 1..].iter();
        alike.extend(
            others
                .filter(|other| parts(other).iter().any(|part| own.contains(part)))
                .map(|one| one.as_str()),
        );
        if alike.len() > 1 {
            return Err(format!(
                "these are variants of one system; give one of {}",
                alike.join(", ")
            ));
        }
    }
    if roots.is_empty() {
        return Ok(None);
    }
    let mut files = Vec::new();
    collect(given, 0, &mut files)?;
    files.retain(|file| !folders.iter().any(|folder| file.starts_with(folder)));
    let mut sources = Vec::new();
    for file in files {
        sources.push(read_source(&file.to_string_lossy())?);
    }
    for root in roots {
        sources.push(rendered(root)?);
    }
    Ok(Some(sources))
}

fn kustomized_folders(path: &Path, depth: usize, found: &mut Vec<String>) -> Result<(), String> {
    if depth == FOLDER_DEPTH {
        return Err(format!("folders nest deeper than {FOLDER_DEPTH} levels here"));
    }
    if kustomize::FILE_NAMES.iter().any(|name| path.join(name).is_file()) {
        found.push(kustomize::join(&path.to_string_lossy(), "."));
    }
    let entries = fs::read_dir(path).map_err(|error| in_words(&error))?;
    let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for entry in entries.into_iter().filter(|entry| entry.is_dir()) {
        kustomized_folders(&entry, depth + 1, found)?;
    }
    Ok(())
}

/// The rendered kustomization of a folder, as one text.
fn rendered(folder: &str) -> Result<Source, String> {
    let objects = kustomize::render(folder, &OnDisk).map_err(|problem| problem.to_string())?;
    let texts: Vec<String> = objects.iter().map(to_yaml).collect();
    let name = format!("{} (rendered)", kustomize::join(folder, "kustomization.yaml"));
    Ok(Source::new(&name, texts.join("---\n")))
}

fn is_manifest(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy());
    let is_hidden = name.is_some_and(|name| name.starts_with('.') || name == SCHEMA_FILE);
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    !is_hidden && ending.is_some_and(|ending| MANIFEST_ENDINGS.contains(&ending.as_str()))
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
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, text).expect("written");
        }
        folder
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
        assert_eq!(texts(&missing), Err("there is no such file".to_owned()));
        let nothing = folder.path().join("*.toml");
        assert_eq!(texts(&nothing), Err("no file matches this pattern".to_owned()));
        let empty = tempfile::tempdir().expect("a temporary folder");
        assert!(texts(empty.path()).expect_err("nothing there").starts_with("there are no files"));
        let of_folder = read_source(&folder.path().to_string_lossy());
        assert_eq!(of_folder, Err("this is a folder, a file is needed".to_owned()));
        fs::write(&missing, [0xff, 0xfe]).expect("written");
        assert_eq!(texts(&missing), Err("this is not a text in UTF-8".to_owned()));
    }
}
