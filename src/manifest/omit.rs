//! Removes objects from a text and keeps all other lines in place.

use std::collections::BTreeSet;

use super::diagnostic::Diagnostics;
use super::object::{Manifest, objects_of};
use super::yaml::{Source, read_manifest_documents};

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
        let names: Vec<String> = objects.iter().map(omission).collect();
        if names.is_empty() || !names.iter().all(|name| omitted.contains(name)) {
            kept.push_str(&document);
            continue;
        }
        met.extend(names);
        let first = document.split_inclusive('\n').next();
        kept.push_str(first.filter(|line| is_separator(line)).unwrap_or("\n"));
        kept.extend(document.split_inclusive('\n').skip(1).map(|_| '\n'));
    }
    Source { text: kept, ..source.clone() }
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
