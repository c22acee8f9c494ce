//! Removes objects from a text and keeps all other lines in place.

use std::collections::BTreeSet;

use super::diagnostic::{Diagnostic, Diagnostics, Severity};
use super::kinds::kind_of;
use super::object::{Manifest, objects_of};
use super::yaml::{Source, read_manifest_documents};
use cluster::ObjectReference;

/// The name of an object in a scenario's `leaveOut`, with the kind as written: `Deployment/shop/web`.
pub fn omission(manifest: &Manifest) -> String {
    format!("{}/{}", manifest.kind, manifest.reference.id)
}

/// Blanks the documents that hold the omitted objects and adds those objects to `met`. Other documents keep their line
/// numbers. A `List` is removed only if all its items are omitted.
pub fn without(source: &Source, omitted: &[String], met: &mut BTreeSet<String>) -> Source {
    let mentions =
        |one: &String| one.rsplit('/').next().is_some_and(|name| source.text.contains(name));
    if !omitted.iter().any(mentions) {
        return source.clone();
    }
    let mut kept = String::with_capacity(source.text.len());
    for document in documents(&source.text) {
        let alone = Source { text: document.clone(), ..source.clone() };
        let mut unread = Diagnostics::default();
        let objects = objects_of(read_manifest_documents(&alone, &mut unread), &mut unread);
        let mut names: Vec<String> = objects.iter().map(omission).collect();
        if names.is_empty() {
            names.extend(written_name(&document));
        }
        if names.is_empty() || !names.iter().all(|name| omitted.contains(name)) {
            kept.push_str(&document);
            continue;
        }
        met.extend(names);
        let first = document.split_inclusive('\n').next();
        kept.push_str(first.filter(|line| is_separator(line)).unwrap_or("\n"));
        kept.extend(document.split_inclusive('\n').skip(1).map(|_| '\n'));
    }
    let is_emptied = source.is_emptied || kept != source.text;
    Source { text: kept, is_emptied, ..source.clone() }
}

/// The documents of a text that are not valid YAML, but whose lines name an object, which can be left out: each with that
/// name and the problem.
pub fn unreadable(source: &Source) -> Vec<(String, Diagnostic)> {
    let mut all = Diagnostics::default();
    read_manifest_documents(source, &mut all);
    if !all.has_errors() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut lines_before = 0;
    for document in documents(&source.text) {
        let text = "\n".repeat(lines_before) + &document;
        lines_before += document.matches('\n').count();
        let mut problems = Diagnostics::default();
        let read = read_manifest_documents(&Source { text, ..source.clone() }, &mut problems);
        let error = problems.iter().find(|one| one.severity == Severity::Error);
        if let (true, Some(error), Some(name)) = (read.is_empty(), error, written_name(&document)) {
            found.push((name, error.clone()));
        }
    }
    found
}

/// The name of the object in a document that is not valid YAML, by its lines in block style.
fn written_name(document: &str) -> Option<String> {
    let value = |line: &str, key: &str| {
        let value = line.trim_start().strip_prefix(key)?.strip_prefix(':')?;
        let value = value.split(" #").next()?.trim().trim_matches(['"', '\'']);
        let is_plain = |one: char| one.is_ascii_alphanumeric() || "-./".contains(one);
        (!value.is_empty() && value.chars().all(is_plain)).then(|| value.to_owned())
    };
    let top = |key: &str| {
        let mut lines = document.lines().filter(|line| !line.starts_with(' '));
        lines.find_map(|line| value(line, key))
    };
    let metadata = document.lines().skip_while(|line| line.trim_end() != "metadata:").skip(1);
    let metadata: Vec<&str> = metadata.take_while(|line| line.starts_with(' ')).collect();
    let indentation = |line: &&str| line.len() - line.trim_start().len();
    let own = metadata.first().map(indentation)?;
    let field = |key: &str| {
        let mut lines = metadata.iter().filter(|line| indentation(line) == own);
        lines.find_map(|line| value(line, key))
    };
    let kind = top("kind")?;
    let known = kind_of(&top("apiVersion")?, &kind);
    let namespace = field("namespace").unwrap_or_else(|| "default".to_owned());
    let reference = ObjectReference::new(known, &*namespace, &*field("name")?);
    Some(format!("{kind}/{}", reference.id))
}

/// Splits a text into documents; each but the first begins with its `---` line.
fn documents(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in text.split_inclusive('\n') {
        if is_separator(line) {
            documents.push(String::new());
        }
        if let Some(last) = documents.last_mut() {
            last.push_str(line);
        }
    }
    documents
}

fn is_separator(line: &str) -> bool {
    let rest = line.strip_prefix("---");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_manifests;

    fn object(kind: &str, name: &str) -> String {
        format!("apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}}}\n")
    }

    #[test]
    fn an_object_goes_and_the_others_keep_their_lines() {
        let text = [object("Pod", "a"), object("Pod", "b"), object("Service", "b")].join("---\n");
        let mut met = BTreeSet::new();
        let omitted = ["Pod/default/b".to_owned(), "Pod/default/c".to_owned()];
        let left = without(&Source::new("a.yaml", &*text), &omitted, &mut met);
        let objects = read_manifests(std::slice::from_ref(&left), &mut Diagnostics::default());
        let lines: Vec<(String, u32)> =
            objects.iter().map(|one| (omission(one), one.origin.place().line)).collect();
        let expected = [("Pod/default/a".to_owned(), 1), ("Service/default/b".to_owned(), 9)];
        assert_eq!(lines, expected, "{}", left.text);
        assert_eq!(met, BTreeSet::from(["Pod/default/b".to_owned()]));
    }

    #[test]
    fn the_first_document_and_one_of_a_kind_that_is_not_known_go_too() {
        let text = format!("{}---\n{}", object("Gadget", "a"), object("Pod", "b"));
        let mut met = BTreeSet::new();
        let omitted = ["Gadget/default/a".to_owned()];
        let left = without(&Source::new("a.yaml", &*text), &omitted, &mut met);
        assert!(!left.text.contains("Gadget") && left.text.contains("name: b"), "{}", left.text);
        assert_eq!(left.text.lines().count(), text.lines().count());
    }

    #[test]
    fn a_document_that_is_no_yaml_is_named_by_its_lines_and_can_go() {
        let text = format!(
            "{}---\napiVersion: v1\nkind: Secret\nmetadata:\n  labels:\n    name: no\n  name: token\n  namespace: ai\ndata:\n  a: {{{{TOKEN}}}}\n",
            object("Pod", "a")
        );
        let source = Source::new("a.yaml", &*text);
        let found = unreadable(&source);
        let [(name, problem)] = &found[..] else { panic!("{found:?}") };
        assert_eq!(name, "Secret/ai/token");
        let line = problem.place.as_ref().map(|place| place.line);
        assert_eq!(line, Some(13), "{problem}");
        let mut met = BTreeSet::new();
        let rest = without(&source, std::slice::from_ref(name), &mut met);
        let mut problems = Diagnostics::default();
        let objects = read_manifests(&[rest], &mut problems);
        assert_eq!((objects.len(), problems.len(), met.len()), (1, 0, 1));
        let nameless = text.replace("  name: token\n", "  name: {{NAME}}\n");
        assert!(unreadable(&Source::new("a.yaml", nameless)).is_empty());
    }

    #[test]
    fn a_file_of_which_nothing_is_left_is_passed_over_without_a_word() {
        let source = Source { is_found: true, ..Source::new("a.yaml", object("Pod", "a")) };
        let left = without(&source, &["Pod/default/a".to_owned()], &mut BTreeSet::new());
        let mut problems = Diagnostics::default();
        assert!(read_manifests(&[left], &mut problems).is_empty());
        assert_eq!(problems.to_string(), "");
    }

    #[test]
    fn of_a_list_nothing_goes_unless_all_does() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n\
                    - {apiVersion: v1, kind: Pod, metadata: {name: b}}\n";
        let mut met = BTreeSet::new();
        let source = Source::new("a.yaml", text);
        assert_eq!(without(&source, &["Pod/default/a".to_owned()], &mut met), source);
        assert!(met.is_empty());
        let both = ["Pod/default/a".to_owned(), "Pod/default/b".to_owned()];
        assert_eq!(without(&source, &both, &mut met).text.trim(), "");
    }
}
