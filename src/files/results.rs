//! Results of several machines in one folder: one file per result, complete or absent.
#![expect(
    clippy::disallowed_methods,
    reason = "this crate is the place that the rule sends them to"
)]

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Extension of result files.
const ENDING: &str = "json";

/// A folder of results, on a local disk or a mount that several machines share.
#[derive(Clone, Debug)]
pub struct ResultFolder {
    folder: PathBuf,
}

/// Outcome of storing a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOutcome {
    /// It was written.
    Written,
    /// An identical result was already there.
    Known,
}

impl ResultFolder {
    /// Opens the folder, creating it if needed.
    pub fn open(folder: &Path) -> Result<Self, String> {
        fs::create_dir_all(folder)
            .map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The file of a result.
    pub fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.{ENDING}"))
    }

    /// The result under a key, if any.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, String> {
        let path = self.path(key);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        }
    }

    /// Stores a result under its key, by way of a temporary file that is deleted if it cannot be written
    /// completely. An existing result must be identical.
    pub fn put(&self, key: &str, bytes: &[u8]) -> Result<StoreOutcome, String> {
        let path = self.path(key);
        let unfinished = self.folder.join(format!(".{key}.{}.tmp", std::process::id()));
        let written = write_whole(&unfinished, bytes);
        let kept = written.map_err(|error| format!("cannot write {}: {error}", path.display()));
        let kept = kept.and_then(|()| match self.get(key)? {
            Some(known) if known == bytes => Ok(StoreOutcome::Known),
            Some(_) => Err(format!(
                "{} contains a different result of the same run: two machines disagree, or another program wrote it",
                path.display()
            )),
            None => fs::rename(&unfinished, &path)
                .map(|()| StoreOutcome::Written)
                .map_err(|error| format!("cannot write {}: {error}", path.display())),
        });
        if kept != Ok(StoreOutcome::Written) {
            let _ = fs::remove_file(&unfinished);
        }
        kept
    }

    /// Deletes the result under a key.
    pub fn drop_result(&self, key: &str) -> Result<(), String> {
        let path = self.path(key);
        fs::remove_file(&path).map_err(|error| format!("cannot remove {}: {error}", path.display()))
    }

    /// The keys of all results, in order.
    pub fn keys(&self) -> Result<Vec<String>, String> {
        let in_words = |error: io::Error| format!("{}: {error}", self.folder.display());
        let mut keys = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(in_words)? {
            let name = entry.map_err(in_words)?.file_name();
            let name = name.to_string_lossy();
            if let Some((key, ENDING)) = name.rsplit_once('.')
                && !key.starts_with('.')
            {
                keys.push(key.to_owned());
            }
        }
        keys.sort();
        Ok(keys)
    }
}

/// Writes a file completely and syncs it to disk.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_results_are_one_and_others_are_an_error() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let results = ResultFolder::open(&folder.path().join("results")).expect("made");
        assert_eq!(results.get("a"), Ok(None));
        assert_eq!(results.put("a", b"one"), Ok(StoreOutcome::Written));
        assert_eq!(results.put("a", b"one"), Ok(StoreOutcome::Known));
        let error = results.put("a", b"two").expect_err("another result");
        assert!(error.contains("two machines disagree"), "{error}");
        assert_eq!(results.get("a"), Ok(Some(b"one".to_vec())));
        // Leftover temporary files of others are not results.
        fs::write(folder.path().join("results/.b.7.tmp"), "half").expect("written");
        assert_eq!(results.keys(), Ok(vec!["a".to_owned()]));
    }
}
