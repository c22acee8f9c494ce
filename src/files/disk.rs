//! Reading and writing single files and folders, with the reason in plain words when that fails.
#![expect(clippy::disallowed_methods, reason = "this is the place that the rule sends them to")]

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use glob::{MatchOptions, glob_with};

use manifest::yaml::to_yaml;
use manifest::{Source, kustomize};

/// What stands for standard input in place of a path.
pub const STANDARD_INPUT: &str = "-";

/// Endings of files that may hold manifests.
const MANIFEST_ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// How deep folders of manifests may nest; deeper is a loop of links.
const FOLDER_DEPTH: usize = 32;

/// All files of a folder and of those in it, by their path from there with `/` between its parts.
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

/// Reads a text; `-` is standard input.
pub fn read_source(path: &str) -> Result<Source, String> {
    let name = if path == STANDARD_INPUT { "standard input" } else { path };
    match String::from_utf8(read_bytes(path)?) {
        Ok(text) => Ok(Source::new(name, text)),
        Err(_) => Err("this is not a text in UTF-8".to_owned()),
    }
}

/// Reads whatever it is; `-` is standard input.
pub fn read_bytes(path: &str) -> Result<Vec<u8>, String> {
    if path != STANDARD_INPUT {
        return read(Path::new(path));
    }
    let mut bytes = Vec::new();
    let read = io::stdin().lock().read_to_end(&mut bytes);
    read.map(|_| bytes).map_err(|error| in_words(&error))
}

/// Name of the JSON Schema that `wavetank init` writes for editors. It is no manifest, whatever its folder.
pub const SCHEMA_FILE: &str = "wavetank.schema.json";

/// Reads the manifests that a path stands for: a file, all manifests in a folder and its subfolders in
/// the order of their names, or those that match a pattern such as `k8s/*.yaml`.
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
        // As in a shell, a `*` does not stand for hidden files.
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

/// Reads a file as it is, unpacked if it is packed by gzip or zstd.
pub fn read_unpacked(path: &str) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    open_unpacked(path)?
        .read_to_end(&mut unpacked)
        .map_err(|error| format!("cannot be unpacked: {error}"))?;
    Ok(unpacked)
}

/// Opens a file, unpacked while it is read if it is packed by gzip or zstd; `-` is standard input.
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
            .map_err(|error| format!("cannot be unpacked: {error}"))?;
        return Ok(Box::new(BufReader::new(decoder)));
    }
    Ok(Box::new(file))
}

/// A file that is being written: it takes its place only when it is whole. What is no ordinary file,
/// such as `/dev/null` or a named pipe, is written to as it is: replacing it would destroy it.
pub struct Draft {
    writer: DraftWriter,
    path: PathBuf,
    /// Where the file is until it is whole; nowhere else if what it is written to is no ordinary file.
    unfinished: Option<PathBuf>,
}

enum DraftWriter {
    Plain(BufWriter<File>),
    Packed(Box<GzEncoder<BufWriter<File>>>),
    Kept,
}

impl Draft {
    /// Begins a file, and the folders that it is in; packed by gzip if its name ends in `.gz`.
    pub fn create(path: &Path) -> Result<Self, String> {
        let in_words = |error: io::Error| format!("{} cannot be written: {error}", path.display());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(in_words)?;
        }
        let is_ordinary = !path.exists() || path.is_file() || path.is_dir();
        let unfinished = is_ordinary.then(|| {
            let mut name = path.as_os_str().to_owned();
            name.push(".draft");
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

    /// Puts the whole file in its place.
    pub fn keep(mut self) -> Result<(), String> {
        let written = match std::mem::replace(&mut self.writer, DraftWriter::Kept) {
            DraftWriter::Plain(mut file) => file.flush(),
            DraftWriter::Packed(packer) => packer.finish().and_then(|mut file| file.flush()),
            DraftWriter::Kept => Ok(()),
        };
        let kept = written.and_then(|()| match &self.unfinished {
            Some(unfinished) => fs::rename(unfinished, &self.path),
            None => Ok(()),
        });
        kept.map_err(|error| format!("{} cannot be written: {error}", self.path.display()))
    }
}

impl Write for Draft {
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

impl Drop for Draft {
    fn drop(&mut self) {
        // A draft that was not kept is of no use; one that was is not there any more.
        if let Some(unfinished) = &self.unfinished {
            let _ = fs::remove_file(unfinished);
        }
    }
}

/// A file's path as it is from a folder: relative to it, whether or not the folder is there yet.
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

/// Writes a file, and the folders that it is in: all of it, or nothing if it does not fit.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let mut draft = Draft::create(path)?;
    let written = draft.write_all(bytes);
    written.map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    draft.keep()
}

/// A path that a file names, seen from where the program runs.
pub fn beside(file: &str, path: &str) -> String {
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    folder.join(path).to_string_lossy().into_owned()
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

/// Files as kustomizations find them.
struct OnDisk;

impl kustomize::Files for OnDisk {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        read(Path::new(path))
    }

    fn is_folder(&self, path: &str) -> bool {
        Path::new(path).is_dir()
    }
}

/// The manifests of a folder that has kustomizations: what these render, and the files beside them; `None` if it has
/// none. Of several that are made of the same, one must be named.
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
                "these are variants of the same, of which a cluster has one: give one of {}",
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

/// What the kustomization of a folder renders, as one text.
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

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| in_words(&error))
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::IsADirectory => "this is a folder, a file is needed".to_owned(),
        io::ErrorKind::PermissionDenied => "this file may not be read by you".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
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

    #[test]
    fn packed_files_are_unpacked() {
        let folder = folder();
        let path = folder.path().join("trace.csv.gz");
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(b"t_s\n1\n").expect("packed");
        let packed = packer.finish().expect("packed");
        fs::write(&path, &packed).expect("written");
        assert_eq!(read_unpacked(&path.to_string_lossy()).as_deref(), Ok(&b"t_s\n1\n"[..]));
        fs::write(&path, &packed[..packed.len() - 6]).expect("written");
        let error = read_unpacked(&path.to_string_lossy()).expect_err("it is cut short");
        assert!(error.starts_with("cannot be unpacked"), "{error}");
        // `printf 't_s\n1\n' | zstd`
        let zstd = [40, 181, 47, 253, 4, 88, 49, 0, 0, 116, 95, 115, 10, 49, 10, 183, 232, 16, 34];
        fs::write(&path, zstd).expect("written");
        assert_eq!(read_unpacked(&path.to_string_lossy()).as_deref(), Ok(&b"t_s\n1\n"[..]));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_written_to_and_not_replaced() {
        use std::os::unix::fs::FileTypeExt;
        let folder = folder();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
        assert!(made.success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe)
        });
        let mut draft = Draft::create(&pipe).expect("opened");
        draft.write_all(b"whole").expect("written");
        draft.keep().expect("kept");
        assert_eq!(reader.join().expect("no panic").expect("read"), "whole");
        assert!(fs::metadata(&pipe).expect("still there").file_type().is_fifo());
    }

    #[test]
    fn a_draft_that_is_not_kept_leaves_nothing() {
        let folder = folder();
        let path = folder.path().join("new/trace.csv");
        let mut draft = Draft::create(&path).expect("created");
        draft.write_all(b"half").expect("written");
        drop(draft);
        assert_eq!(fs::read_dir(folder.path().join("new")).expect("a folder").count(), 0);
        let mut draft = Draft::create(&path).expect("created");
        draft.write_all(b"whole").expect("written");
        draft.keep().expect("kept");
        assert_eq!(fs::read(&path).expect("there"), b"whole");
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
