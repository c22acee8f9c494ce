//! A README with figures: the commands that it names, and the figures that it tells of them.

use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::figure::{Figure, figures};

/// A command of the program, by what stands after its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// As after a shell's reading.
    pub arguments: Vec<String>,
    /// The lines of its output that stand below it.
    pub excerpt: Vec<String>,
}

impl Command {
    /// Whether this is the scenario of that file, as it is.
    pub fn shows(&self, file: &str) -> bool {
        let is_of = |argument: &String| argument.ends_with(&format!("/{file}"));
        self.arguments.iter().any(is_of) && !self.arguments.iter().any(|one| one == "--set")
    }
}

/// A figure, where it stands, and whose it is.
#[derive(Debug)]
pub struct Told {
    /// Of the file, from 1.
    pub line: usize,
    /// As it is written.
    pub figure: Figure,
    /// The file of the scenario at the head of its column.
    pub column: Option<String>,
}

/// What a README says.
#[derive(Debug)]
pub struct Readme {
    /// In order.
    pub commands: Vec<Command>,
    /// In order.
    pub told: Vec<Told>,
    /// Figures that come from elsewhere, by its own words: `<!-- not of a run: 15:30, 22.5 -->`.
    pub from_elsewhere: Vec<String>,
}

static FENCED: LazyLock<Regex> = LazyLock::new(|| regex(r"(?ms)^```[a-z]*\n(.*?)^```$"));
static INDENTED: LazyLock<Regex> = LazyLock::new(|| regex(r"(?m)^    (wavetank .*)$"));
static INLINE: LazyLock<Regex> = LazyLock::new(|| regex(r"`([^`]*)`"));
static LINK: LazyLock<Regex> = LazyLock::new(|| regex(r"!\[[^\]]*\]\([^)]*\)|\]\([^)]*\)"));
static ELSEWHERE: LazyLock<Regex> = LazyLock::new(|| regex(r"(?s)<!-- not of a run: (.*?) -->"));
static FILE: LazyLock<Regex> = LazyLock::new(|| regex(r"`([a-z-]+\.yaml)`"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a regular expression")
}

impl Readme {
    /// Reads the text of the README in `folder`, which is relative to the root of the repository.
    pub fn of(text: &str, folder: &Path) -> Readme {
        // Where the data come from is for the data's own page.
        let end = text.find("\n## Data\n").unwrap_or(text.len());
        let data = text[end..].find("\n## ").map_or(text.len(), |_| next_heading(text, end + 2));
        let elsewhere = ELSEWHERE.captures(text).map(|found| found[1].to_owned());
        let from_elsewhere = figures(&elsewhere.unwrap_or_default());
        let mut prose = blanked(text, std::iter::once(end..data));
        let files = columns(&prose);
        for pattern in [&ELSEWHERE, &FENCED, &INDENTED, &INLINE, &LINK] {
            prose = blanked(&prose, pattern.find_iter(&prose.clone()).map(|found| found.range()));
        }
        let line_of = |at: usize| text[..at].matches('\n').count();
        let told = figures(&prose).into_iter().map(|figure| Told {
            line: line_of(figure.at) + 1,
            column: column(&files[line_of(figure.at)], &prose, figure.at),
            figure,
        });
        Readme {
            commands: commands(text, folder),
            told: told.collect(),
            from_elsewhere: from_elsewhere.into_iter().map(|one| one.text).collect(),
        }
    }
}

fn next_heading(text: &str, from: usize) -> usize {
    text[from..].find("\n## ").map_or(text.len(), |at| from + at)
}

/// The text with spaces in place of these ranges, so that all else stays where it is.
fn blanked(text: &str, ranges: impl Iterator<Item = Range<usize>>) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for byte in ranges.flatten() {
        if bytes[byte] != b'\n' {
            bytes[byte] = b' ';
        }
    }
    String::from_utf8(bytes).expect("whole characters were replaced")
}

/// For each line of a table the files at the head of its columns; nothing for other lines.
fn columns(text: &str) -> Vec<Vec<Option<String>>> {
    let mut head: Vec<Option<String>> = Vec::new();
    let lines = text.split('\n').map(|line| {
        if !line.trim_start().starts_with('|') {
            head.clear();
        } else if head.is_empty() {
            let cells = line.split('|');
            head = cells.map(|cell| FILE.captures(cell).map(|file| file[1].to_owned())).collect();
            return Vec::new();
        }
        head.clone()
    });
    lines.collect()
}

fn column(files: &[Option<String>], text: &str, at: usize) -> Option<String> {
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    files.get(text[start..at].matches('|').count())?.clone()
}

fn commands(text: &str, folder: &Path) -> Vec<Command> {
    let mut commands = Vec::new();
    for block in FENCED.captures_iter(text) {
        let joined = block[1].replace("\\\n", " ");
        for line in joined.lines() {
            let bare = line.strip_prefix("$ ").unwrap_or(line);
            if bare.starts_with("wavetank ") {
                commands.push(Command { arguments: arguments(bare), excerpt: Vec::new() });
            } else if let Some(shown) = commands.last_mut().filter(|_| joined.starts_with("$ ")) {
                shown.excerpt.push(line.trim().to_owned());
            }
        }
    }
    let inline = INDENTED.captures_iter(text).chain(INLINE.captures_iter(text));
    let scenario = folder.join("scenario.yaml");
    for found in inline {
        let line = found[1].replace('\n', " ").replace("SCENARIO", &scenario.to_string_lossy());
        if line.starts_with("wavetank ") && line.contains(".yaml") {
            commands.push(Command { arguments: arguments(&line), excerpt: Vec::new() });
        }
    }
    commands
}

/// The words of a command but the first, as a shell has them.
fn arguments(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None, ' ') => words.push(String::new()),
            _ => words.last_mut().expect("one at least").push(c),
        }
    }
    words.into_iter().filter(|word| !word.is_empty()).skip(1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A\n
```
wavetank run scenarios/a/scenario.yaml \\
  --set 'count={min: 1}'
```
Of `wavetank get sts SCENARIO
--at 3m` see `90 %`, [1.5](b-2.5.md), 3.5 and 15:30.

| | `scenario.yaml` | all |
|---|---|---|
| failed | 4 (1 %) | 77 |

```
$ wavetank explain hpa/a scenarios/a/scenario.yaml
  ratio = 2
```
<!-- not of a run: 15:30 -->

## Data

12.5
";

    #[test]
    fn commands_are_read_as_a_shell_has_them() {
        let readme = Readme::of(TEXT, Path::new("scenarios/a"));
        let file = "scenarios/a/scenario.yaml";
        let arguments: Vec<&[String]> =
            readme.commands.iter().map(|one| one.arguments.as_slice()).collect();
        assert_eq!(arguments[0], ["run", file, "--set", "count={min: 1}"]);
        assert_eq!(arguments[1], ["explain", "hpa/a", file]);
        assert_eq!(arguments[2], ["get", "sts", file, "--at", "3m"]);
        assert_eq!(readme.commands[1].excerpt, ["ratio = 2"]);
        let shows: Vec<bool> =
            readme.commands.iter().map(|one| one.shows("scenario.yaml")).collect();
        assert_eq!(shows, [false, true, true]);
    }

    #[test]
    fn figures_have_a_line_and_a_column() {
        let readme = Readme::of(TEXT, Path::new("scenarios/a"));
        let told: Vec<(usize, &str, Option<&str>)> = readme
            .told
            .iter()
            .map(|one| (one.line, one.figure.text.as_str(), one.column.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                (8, "1.5", None),
                (8, "3.5", None),
                (8, "15:30", None),
                (12, "4", Some("scenario.yaml")),
                (12, "1 %", Some("scenario.yaml")),
                (12, "77", None),
            ]
        );
        assert_eq!(readme.from_elsewhere, ["15:30"]);
    }
}
