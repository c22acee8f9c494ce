//! Storage for trace rows that do not fit into memory: unnamed files in the folder for temporary files, which
//! disappear when the program ends, however it ends.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

use traffic::Spool;

#[derive(Debug)]
struct TemporaryFile(Mutex<File>);

/// A spool in the folder for temporary files (`TMPDIR`).
pub(crate) fn temporary_spool() -> io::Result<Box<dyn Spool>> {
    let file = tempfile::tempfile().map_err(|error| in_folder(&error))?;
    Ok(Box::new(TemporaryFile(Mutex::new(file))))
}

/// The error with the folder's name and advice.
fn in_folder(error: &io::Error) -> io::Error {
    let folder = std::env::temp_dir();
    let message = format!(
        "{error} in {}, the folder for temporary files; set TMPDIR to use another",
        folder.display()
    );
    io::Error::new(error.kind(), message)
}

impl Spool for TemporaryFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let written = file.seek(SeekFrom::End(0)).and_then(|_| file.write_all(bytes));
        written.map_err(|error| in_folder(&error))
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        // Concurrent runs share one file; each seeks to its own position.
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_appended_is_read_at_any_place() {
        let mut spool = temporary_spool().expect("a temporary file");
        spool.append(b"hello ").expect("written");
        let mut bytes = [0; 2];
        spool.read_at(1, &mut bytes).expect("there");
        assert_eq!(&bytes, b"el");
        spool.append(b"world").expect("written behind, wherever it was read");
        let mut bytes = [0; 7];
        spool.read_at(4, &mut bytes).expect("there");
        assert_eq!(&bytes, b"o world");
        assert!(spool.read_at(9, &mut bytes).is_err(), "it ends before");
    }
}
