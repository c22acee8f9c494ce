//! A page of `kubectl describe`: lines with tabs, which are aligned when the page is complete (`PrefixWriter` and
//! `tabbedString` in kubectl's `pkg/describe`).

use std::fmt::{self, Write as _};

use super::columns::NONE;
use super::tabs::{OF_PAGES, align};
use cluster::Labels;

/// A page that grows line by line.
#[derive(Default)]
pub(super) struct Page {
    /// Aligned lines.
    done: String,
    /// Lines that still have their tabs.
    text: String,
}

/// Annotations that are not shown.
const SKIPPED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Longest annotation printed on the line of its key, in characters.
const ANNOTATION_MAX: usize = 140;

/// Writes a line: its indentation level, at two blanks each, and its text, in which tabs separate columns.
macro_rules! line {
    ($page:expr, $level:expr, $($text:tt)*) => {
        $page.line($level, format_args!($($text)*))
    };
}
pub(super) use line;

impl Page {
    pub(super) fn line(&mut self, level: usize, text: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{}{text}", "  ".repeat(level));
    }

    /// Aligns the lines written so far, separately from those that follow.
    pub(super) fn flush(&mut self) {
        self.done.push_str(&align(&self.text, OF_PAGES));
        self.text.clear();
    }

    /// The complete page, aligned.
    pub(super) fn finish(mut self) -> String {
        self.flush();
        self.done
    }

    /// The page with its tabs, as `kubectl rollout history --revision` prints a template.
    pub(super) fn unaligned(self) -> String {
        self.text
    }

    /// A title and items, each on a line of its own.
    pub(super) fn list(&mut self, title: &str, items: impl IntoIterator<Item = String>) {
        let mut items = items.into_iter();
        let first = items.next().unwrap_or_else(|| NONE.to_owned());
        line!(self, 0, "{title}:\t{first}");
        for item in items {
            line!(self, 0, "\t{item}");
        }
    }

    /// `printLabelsMultiline`.
    pub(super) fn labels(&mut self, title: &str, labels: &Labels) {
        self.list(title, labels.iter().map(|(key, value)| format!("{key}={value}")));
    }

    /// `printAnnotationsMultiline`.
    pub(super) fn annotations(&mut self, title: &str, annotations: &Labels) {
        let shown = annotations.iter().filter(|(key, _)| ***key != *SKIPPED);
        self.list(
            title,
            shown.map(|(key, value)| {
                let value = value.trim_end_matches('\n');
                if value.len() + key.len() + 2 <= ANNOTATION_MAX && !value.contains('\n') {
                    return format!("{key}: {value}");
                }
                let lines = value.lines().map(|line| {
                    let short: String = line.chars().take(ANNOTATION_MAX - 2).collect();
                    let dots = if short.len() < line.len() { "..." } else { "" };
                    format!("\n\t  {short}{dots}")
                });
                format!("{key}:{}", lines.collect::<String>())
            }),
        );
    }
}
