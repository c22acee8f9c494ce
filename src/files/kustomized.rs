//! Finds the kustomizations in a folder, and detects variants of the same base.

use std::path::Path;

use super::disk::read;
use manifest::yaml::to_yaml;
use manifest::{Source, kustomize};

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

/// Folders with a kustomization, each with the folders it includes.
#[derive(Debug, Default)]
pub(super) struct Kustomizations(Vec<(String, Vec<String>)>);

impl Kustomizations {
    pub(super) fn of(folders: Vec<String>) -> Self {
        let with_included = |folder: String| {
            let included = kustomize::included_folders(&folder, &OnDisk);
            (folder, included)
        };
        Self(folders.into_iter().map(with_included).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Folders that no other kustomization includes.
    pub(super) fn roots(&self) -> impl Iterator<Item = &String> {
        let is_included = |one: &String| self.0.iter().any(|(_, parts)| parts.contains(one));
        self.0.iter().map(|(folder, _)| folder).filter(move |one| !is_included(one))
    }

    /// A folder and everything that it includes, transitively, except components.
    pub(super) fn bases(&self, root: &str) -> Vec<String> {
        let mut parts = self.parts(root);
        parts.retain(|part| part == root || !kustomize::is_component(part, &OnDisk));
        parts
    }

    /// A folder and everything it includes, transitively.
    fn parts(&self, root: &str) -> Vec<String> {
        let mut parts = vec![root.to_owned()];
        let mut at = 0;
        while at < parts.len() {
            let found = self.0.iter().find(|(one, _)| *one == parts[at]);
            let more: Vec<String> =
                found.into_iter().flat_map(|(_, parts)| parts).cloned().collect();
            parts.extend(more.into_iter().filter(|one| !parts.contains(one)).collect::<Vec<_>>());
            at += 1;
        }
        parts
    }

    /// Fails if two roots share a base: the user has to choose one.
    pub(super) fn check_variants(&self) -> Result<(), String> {
        let roots: Vec<&String> = self.roots().collect();
        for (index, root) in roots.iter().enumerate() {
            let own = self.bases(root);
            let is_variant =
                |other: &&&String| self.bases(other).iter().any(|part| own.contains(part));
            let mut alike: Vec<&str> = vec![root.as_str()];
            let others = roots[index + 1..].iter().filter(is_variant);
            alike.extend(others.map(|one| one.as_str()));
            if alike.len() > 1 {
                return Err(format!(
                    "these are variants of one system; choose one of {}",
                    alike.join(", ")
                ));
            }
        }
        Ok(())
    }
}

/// Whether a folder has a kustomization.
pub(super) fn is_kustomized(folder: &Path) -> bool {
    kustomize::FILE_NAMES.iter().any(|name| folder.join(name).is_file())
}

/// Renders the kustomization at the path: a kustomization file, or a folder with one.
pub(super) fn own_kustomization(path: &str) -> Result<Option<Source>, String> {
    let given = Path::new(path);
    if given.is_file() {
        let name = given.file_name().map(|name| name.to_string_lossy().into_owned());
        let folder = given.parent().map_or(".", |folder| folder.to_str().unwrap_or("."));
        let folder = if folder.is_empty() { "." } else { folder };
        let is_one = name.is_some_and(|name| kustomize::FILE_NAMES.contains(&name.as_str()));
        return is_one.then(|| rendered(folder)).transpose();
    }
    is_kustomized(given).then(|| rendered(&kustomize::join(path, "."))).transpose()
}

/// Renders the kustomization in a folder to one text.
pub(super) fn rendered(folder: &str) -> Result<Source, String> {
    let objects = kustomize::render(folder, &OnDisk).map_err(|problem| {
        let problem = problem.to_string();
        problem.strip_prefix("error: ").unwrap_or(&problem).trim_end().to_owned()
    })?;
    let texts: Vec<String> = objects.iter().map(to_yaml).collect();
    let name = format!("{} (rendered)", kustomize::join(folder, "kustomization.yaml"));
    Ok(Source::new(&name, texts.join("---\n")))
}
