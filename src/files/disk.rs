//! Reading and writing of single files and folders, with error messages in plain language.
#![expect(clippy::disallowed_methods, reason = "this is the place that the rule sends them to")]

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use manifest::Source;

/// Path that means standard input.
pub const STANDARD_INPUT: &str = "-";

/// The largest file that is read whole [bytes].
const LARGEST_IN_MEMORY: u64 = 1 << 30;

/// All files of a folder and its subfolders, by their relative path with `/` as separator.
pub fn read_folder(folder: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut files = Vec::new();
    let mut folders = vec![(Path::new(folder).to_path_buf(), String::new())];
    while let Some((path, prefix)) = folders.pop() {
        let entries = fs::read_dir(&path);
        let entries = entries.map_err(|error| format!("{}: {error}", path.display()))?;
        for entry in entries {
            let entry = entry.map_err(|error| format!("{}: {error}", path.display()))?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                folders.push((entry.path(), format!("{name}/")));
            } else {
                files.push((name, read(&entry.path())?));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a text file; `-` is standard input.
pub fn read_source(path: &str) -> Result<Source, String> {
    let name = if path == STANDARD_INPUT { "standard input" } else { path };
    match String::from_utf8(read_bytes(path)?) {
        Ok(text) => Ok(Source::new(name, text)),
        Err(_) => Err("the file is not UTF-8 text".to_owned()),
    }
}

/// Reads a file of any content; `-` is standard input.
pub fn read_bytes(path: &str) -> Result<Vec<u8>, String> {
    if path != STANDARD_INPUT {
        return read(Path::new(path));
    }
    read_all(io::stdin().lock(), LARGEST_IN_MEMORY)
}

/// Reads a file, decompressing gzip and zstd.
pub fn read_unpacked(path: &str) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    open_unpacked(path)?
        .read_to_end(&mut unpacked)
        .map_err(|error| format!("cannot be decompressed: {error}"))?;
    Ok(unpacked)
}

/// Opens a file, decompressing gzip and zstd while it is read; `-` is standard input.
pub fn open_unpacked(path: &str) -> Result<Box<dyn BufRead>, String> {
    const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
    const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let file: Box<dyn Read> = if path == STANDARD_INPUT {
        Box::new(io::stdin())
    } else {
        let file = File::open(path).map_err(|error| in_words(&error))?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(in_words(&io::ErrorKind::IsADirectory.into()));
        }
        Box::new(file)
    };
    let mut file = BufReader::with_capacity(1 << 16, file);
    let beginning = file.fill_buf().map_err(|error| in_words(&error))?;
    if beginning.starts_with(&GZIP_MAGIC) {
        return Ok(Box::new(BufReader::new(MultiGzDecoder::new(file))));
    }
    if beginning.starts_with(&ZSTD_MAGIC) {
        let decoder = ruzstd::decoding::StreamingDecoder::new(file)
            .map_err(|error| format!("cannot be decompressed: {error}"))?;
        return Ok(Box::new(BufReader::new(decoder)));
    }
    Ok(Box::new(file))
}

/// A file being written, which replaces its target only when complete. A target that is not a regular file, such as
/// `/dev/null` or a named pipe, is written to directly, as replacing it would destroy it.
pub struct PendingFile {
    writer: DraftWriter,
    path: PathBuf,
    /// The temporary file; `None` if the target is not a regular file.
    unfinished: Option<PathBuf>,
}

enum DraftWriter {
    Plain(BufWriter<File>),
    Packed(Box<GzEncoder<BufWriter<File>>>),
    Kept,
}

impl PendingFile {
    /// Begins a file, creating its parent folders; compressed with gzip if its name ends in `.gz`.
    pub fn create(path: &Path) -> Result<Self, String> {
        let in_words = |error: io::Error| format!("cannot write {}: {error}", path.display());
        create_folder_of(path)?;
        let is_ordinary = !path.exists() || path.is_file() || path.is_dir();
        let unfinished = is_ordinary.then(|| {
            // Another process may be writing the same file.
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{}.draft", std::process::id()));
            PathBuf::from(name)
        });
        let file =
            BufWriter::new(File::create(unfinished.as_deref().unwrap_or(path)).map_err(in_words)?);
        let is_packed = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz"));
        let writer = if is_packed {
            DraftWriter::Packed(Box::new(GzEncoder::new(file, Compression::best())))
        } else {
            DraftWriter::Plain(file)
        };
        Ok(Self { writer, path: path.to_owned(), unfinished })
    }

    /// Completes the file and moves it to its target.
    pub fn keep(mut self) -> Result<(), String> {
        let writer = match std::mem::replace(&mut self.writer, DraftWriter::Kept) {
            DraftWriter::Plain(file) => Ok(Some(file)),
            DraftWriter::Packed(packer) => packer.finish().map(Some),
            DraftWriter::Kept => Ok(None),
        };
        let file = writer.and_then(|file| file.map(whole_file).transpose());
        let kept = file.and_then(|file| match (&self.unfinished, file) {
            (Some(unfinished), Some(file)) => {
                // A full disk behind a network may only show now.
                file.sync_all()?;
                fs::rename(unfinished, &self.path)
            }
            _ => Ok(()),
        });
        kept.map_err(|error| format!("cannot write {}: {error}", self.path.display()))
    }
}

/// The file behind a writer, with everything in it that was written.
fn whole_file(writer: BufWriter<File>) -> io::Result<File> {
    writer.into_inner().map_err(io::IntoInnerError::into_error)
}

impl Write for PendingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.writer {
            DraftWriter::Plain(file) => file.write(bytes),
            DraftWriter::Packed(packer) => packer.write(bytes),
            DraftWriter::Kept => Ok(0),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.writer {
            DraftWriter::Plain(file) => file.flush(),
            DraftWriter::Packed(packer) => packer.flush(),
            DraftWriter::Kept => Ok(()),
        }
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        // Errors do not matter: an abandoned draft is of no use, and a completed one has been moved.
        if let Some(unfinished) = &self.unfinished {
            let _ = fs::remove_file(unfinished);
        }
    }
}

/// The path of a file relative to a folder, which need not exist.
pub fn from_folder(folder: &Path, file: &str) -> String {
    let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let plain = |path: PathBuf| {
        let mut parts = Vec::new();
        for part in path.components() {
            match part {
                Component::ParentDir => drop(parts.pop()),
                Component::Normal(name) => parts.push(name.to_owned()),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        parts
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let (folder, file) = (plain(whole(folder)), plain(whole(Path::new(file))));
    let common = folder.iter().zip(&file).take_while(|(one, other)| one == other).count();
    let up = folder[common..].iter().map(|_| "..".to_owned());
    let down = file[common..].iter().map(|part| part.to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/")
}

/// Creates the parent folders of a file that will be written.
pub fn create_folder_of(path: &Path) -> Result<(), String> {
    let Some(folder) = path.parent() else { return Ok(()) };
    fs::create_dir_all(folder).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Writes a file, creating its parent folders: either completely or not at all.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let mut draft = PendingFile::create(path)?;
    let written = draft.write_all(bytes);
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    draft.keep()
}

/// Resolves a path in a file relative to that file's folder.
pub fn beside(file: &str, path: &str) -> String {
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    folder.join(path).to_string_lossy().into_owned()
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    read_all(File::open(path).map_err(|error| in_words(&error))?, LARGEST_IN_MEMORY)
}

/// Reads to the end, unless that is beyond `limit` bytes: a device may have none.
fn read_all(input: impl Read, limit: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = input.take(limit + 1).read_to_end(&mut bytes);
    let length = read.map_err(|error| in_words(&error))?;
    if length as u64 > limit {
        return Err("is larger than 1 GiB; only a trace may be".to_owned());
    }
    Ok(bytes)
}

/// The reason why a file could not be read, worded for the user who named it.
pub(super) fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::IsADirectory => "this is a folder, but a file is needed".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_files_are_unpacked() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("trace.csv.gz");
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(b"t_s\n1\n").expect("packed");
        let packed = packer.finish().expect("packed");
        fs::write(&path, &packed).expect("written");
        assert_eq!(read_unpacked(&path.to_string_lossy()).as_deref(), Ok(&b"t_s\n1\n"[..]));
        fs::write(&path, &packed[..packed.len() - 6]).expect("written");
        let error = read_unpacked(&path.to_string_lossy()).expect_err("it is cut short");
        assert!(error.starts_with("cannot be decompressed"), "{error}");
        // `printf 't_s\n1\n' | zstd`
        let zstd = [40, 181, 47, 253, 4, 88, 49, 0, 0, 116, 95, 115, 10, 49, 10, 183, 232, 16, 34];
        fs::write(&path, zstd).expect("written");
        assert_eq!(read_unpacked(&path.to_string_lossy()).as_deref(), Ok(&b"t_s\n1\n"[..]));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_written_to_and_not_replaced() {
        use std::os::unix::fs::FileTypeExt;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
        assert!(made.success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe)
        });
        let mut draft = PendingFile::create(&pipe).expect("opened");
        draft.write_all(b"whole").expect("written");
        draft.keep().expect("kept");
        assert_eq!(reader.join().expect("no panic").expect("read"), "whole");
        assert!(fs::metadata(&pipe).expect("still there").file_type().is_fifo());
    }

    #[test]
    fn a_draft_that_is_not_kept_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("new/trace.csv");
        let mut draft = PendingFile::create(&path).expect("created");
        draft.write_all(b"half").expect("written");
        drop(draft);
        assert_eq!(fs::read_dir(folder.path().join("new")).expect("a folder").count(), 0);
        let mut draft = PendingFile::create(&path).expect("created");
        draft.write_all(b"whole").expect("written");
        draft.keep().expect("kept");
        assert_eq!(fs::read(&path).expect("there"), b"whole");
    }

    #[test]
    fn what_never_ends_is_refused() {
        let error = read_all(io::repeat(0), 5).expect_err("it has no end");
        assert!(error.starts_with("is larger than"), "{error}");
        assert_eq!(read_all(&b"short"[..], 5).as_deref(), Ok(&b"short"[..]));
    }

    #[test]
    fn of_two_that_write_the_same_file_each_replaces_it_by_a_whole_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("report.html");
        // A draft of another process, which may still write to it or have been killed.
        let others = folder.path().join("report.html.1.draft");
        fs::write(&others, "half of another").expect("written");
        write_file(&path, b"whole").expect("written");
        assert_eq!(fs::read(&path).expect("there"), b"whole");
        assert_eq!(fs::read(&others).expect("there"), b"half of another");
    }

    #[test]
    fn paths_in_a_file_are_seen_from_its_folder() {
        assert_eq!(
            beside("scenarios/shop/scenario.yaml", "data/t.csv"),
            "scenarios/shop/data/t.csv"
        );
        assert_eq!(beside("scenario.yaml", "data/t.csv"), "data/t.csv");
        assert_eq!(beside("a/scenario.yaml", "/tmp/t.csv"), "/tmp/t.csv");
    }
}
