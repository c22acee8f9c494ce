//! Reading as kubectl reads, with positions, and safely.

use super::*;
use crate::Severity;
use proptest::prelude::*;
use serde_json::json;

fn read(text: &str) -> (Vec<Document>, Diagnostics) {
    let mut diagnostics = Diagnostics::default();
    let documents = read_documents(&Source::new("test.yaml", text), &mut diagnostics);
    (documents, diagnostics)
}

fn value(text: &str) -> Value {
    let (mut documents, diagnostics) = read(text);
    assert!(diagnostics.is_empty(), "{diagnostics}");
    assert_eq!(documents.len(), 1, "{text}");
    documents.remove(0).value
}

/// The only diagnostic of a text, as shown.
fn problem(text: &str) -> String {
    let (_, diagnostics) = read(text);
    assert_eq!(diagnostics.len(), 1, "{diagnostics}");
    diagnostics.to_string()
}

#[test]
fn documents_are_read_one_by_one_and_empty_ones_are_left_out() {
    let (documents, diagnostics) =
        read("# first\na: 1\n---\n---\n# nothing\n--- # second\nb: 2\n...\n");
    assert!(diagnostics.is_empty());
    let values: Vec<&Value> = documents.iter().map(|document| &document.value).collect();
    assert_eq!(values, [&json!({"a": 1}), &json!({"b": 2})]);
    assert_eq!(documents[1].positions.line(), 7);
    assert!(read("").0.is_empty());
}

#[test]
fn json_is_yaml_with_tabs_and_surrogate_pairs() {
    assert_eq!(
        value("{\n\t\"a\":\t[1, \"x\\/\\ud83d\\ude00\"],\"b\":null}"),
        json!({"a": [1, "x/😀"], "b": null})
    );
}

#[test]
fn byte_order_marks_are_dropped_at_the_start_of_every_line() {
    let (documents, diagnostics) = read("\u{feff}a: 1\n---\n\u{feff}b: 2\n");
    assert!(diagnostics.is_empty(), "{diagnostics}");
    assert_eq!(documents.len(), 2);
}

#[test]
fn merge_keys_are_applied_and_own_keys_win() {
    let text = "
base: &base {image: nginx, tag: 1}
other: &other {tag: 2, port: 80}
web:
  <<: [*base, *other]
  image: httpd
quoted: {'<<': text}
";
    let merged = value(text);
    assert_eq!(merged["web"], json!({"image": "httpd", "tag": 1, "port": 80}));
    assert_eq!(merged["quoted"], json!({"<<": "text"}));
    assert!(problem("a:\n  <<: text\n").contains("test.yaml:2: `<<` needs a map"));
}

#[test]
fn every_field_has_its_line_and_a_missing_one_has_that_of_its_surroundings() {
    let (documents, _) = read("\nspec:\n  list:\n  - a: 1\n    b:\n      x\n  - c: 3\n");
    let positions = &documents[0].positions;
    let root = FieldPath::ROOT;
    let (spec, missing) = (root.field("spec"), root.field("missing"));
    let list = spec.field("list");
    let (first, second, third) = (list.item(0), list.item(1), list.item(2));
    let line = |path: &FieldPath| positions.locate(path).line();
    assert_eq!(line(&root), 2);
    assert_eq!(line(&missing.field("deeper")), 2);
    assert_eq!(line(&list), 3);
    assert_eq!(line(&first.field("b")), 5);
    assert_eq!(line(&second), 7);
    assert_eq!(line(&second.field("zzz")), 7);
    assert_eq!(line(&third.field("c")), 3);
    assert_eq!(positions.locate(&second.field("c")).column(), 5);
    let line_of = |path| documents[0].positions.place_of(&documents[0].source, path).line;
    assert_eq!(line_of(""), 2);
    assert_eq!(line_of("spec.list[0].b"), 5);
    assert_eq!(line_of("spec.list[1].zzz[a.b/c]"), 7);
    assert_eq!(line_of("spec.list[9]"), 3);
}

#[test]
fn quoted_scalars_and_keys_stay_text() {
    assert_eq!(
        value("a: 'yes'\nb: \"0644\"\nc: yes\nd: 0644\ne: !!str 12\nf: !!int '12'\n80: x\non: y\n"),
        json!({"a": "yes", "b": "0644", "c": true, "d": 420, "e": "12", "f": 12, "80": "x", "on": true})
    );
}

#[test]
fn quoted_lines_may_be_indented_less_than_their_key_as_kubectl_takes_them() {
    let text = "metadata:\n  annotations:\n    init: '[\n  {\n    \"a\": 1\n  }\n]'\n    next: 1\n";
    let (documents, diagnostics) = read(text);
    assert!(diagnostics.is_empty(), "{diagnostics}");
    let annotations = &documents[0].value["metadata"]["annotations"];
    assert_eq!(annotations, &json!({"init": "[ { \"a\": 1 } ]", "next": 1}));
    let metadata = FieldPath::ROOT.field("metadata");
    let annotations = metadata.field("annotations");
    assert_eq!(documents[0].place(&annotations.key("next")).line, 8);
}

#[test]
fn a_broken_document_does_not_hide_the_next_one() {
    let (documents, diagnostics) = read("a: [1, 2\n---\nb: 2\n---\nc: : 3\n");
    assert_eq!(documents.len(), 1);
    assert_eq!(documents[0].value, json!({"b": 2}));
    let lines: Vec<u32> =
        diagnostics.iter().map(|d| d.place.as_ref().map_or(0, |p| p.line)).collect();
    assert_eq!(lines, [1, 5], "{diagnostics}");
    assert_eq!(diagnostics.count(Severity::Error), 2);
}

#[test]
fn the_last_value_of_a_duplicate_key_counts_and_in_manifests_it_is_a_warning() {
    let source = Source::new("test.yaml", "a: {b: 1}\nc: 2\na: {d: 3}\n");
    let mut diagnostics = Diagnostics::default();
    let documents = read_manifest_documents(&source, &mut diagnostics);
    assert_eq!(documents[0].value, json!({"a": {"d": 3}, "c": 2}));
    let field = FieldPath::ROOT.field("a");
    assert_eq!(documents[0].place(&field.field("d")).line, 3);
    let expected_warning = "warning: test.yaml:3: duplicate key `a`\n  test.yaml:1: first written here\n  \
                help: kubectl takes the last value; keep one of them\n";
    assert_eq!(diagnostics.to_string(), expected_warning);
    let mut diagnostics = Diagnostics::default();
    read_documents(&source, &mut diagnostics);
    assert!(diagnostics.has_errors(), "elsewhere it is an error");
}

#[test]
fn what_is_no_yaml_is_an_error_with_line_and_help() {
    assert_eq!(
        problem("a: 1\na: 2\n"),
        "error: test.yaml:2: duplicate key `a`\n  test.yaml:1: first written here\n  help: keep one of them\n"
    );
    assert!(problem("a:\n\tb: 1\n").contains("test.yaml:2: not valid YAML: tabs"));
    assert!(problem("a:\n\tb: 1\n").contains("help: indent with spaces"));
    assert!(problem("a: b\n\tc: 1\n").contains("help: indent with spaces"));
    assert!(
        problem("a: !!binary aGk=\n").contains("1: `!!binary` is not supported\n  help: write")
    );
    assert!(problem("a: {{ .Values.x }}\n").contains("helm template"));
    assert!(problem("{{- if .x }}\na: 1\n").contains("test.yaml:1: not valid YAML"));
    assert!(problem("{{- if .x }}\na: 1\n").contains("helm template"));
    assert!(problem("a: \"x\nb: 1\n").contains("close the quotes"));
    assert!(problem("? ? a\n").contains("test.yaml:1: a key must be plain text"));
    assert!(problem("a: .inf\n").contains("test.yaml:1: `.inf` is not a finite number"));
    assert!(problem("a: *nothing\n").contains("test.yaml:1: not valid YAML"));
    assert!(problem("a: &a [*a]\n").contains("contains it"));
    assert!(problem("\u{1}\u{2}").contains("not valid YAML"));
}

#[test]
fn an_alias_bomb_is_refused_before_it_goes_off() {
    let mut laughs = vec![String::from("l0: &l0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n")];
    laughs.extend((1..30).map(|level| {
        let below = level - 1;
        format!("l{level}: &l{level} [{}*l{below}]\n", format!("*l{below}, ").repeat(8))
    }));
    assert!(problem(&laughs.concat()).contains("aliases expand to more than 16 MiB"));
    // The same through merge keys, and with one long text instead of many values.
    let long = format!("long: &long {}\nlist: [{}]\n", "x".repeat(1 << 20), "*long, ".repeat(1000));
    assert!(problem(&long).contains("aliases expand to more than 16 MiB"));
}

#[test]
fn deep_nesting_is_refused_in_every_style() {
    let chain: Vec<String> = (1..300).map(|n| format!("a{n}: &a{n} [*a{}]\n", n - 1)).collect();
    let chain = chain.concat();
    for text in [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        (0..1000).map(|depth| " ".repeat(depth) + "a:\n").collect(),
        format!("a0: &a0 x\n{chain}"),
    ] {
        let problem = problem(&text);
        assert!(problem.contains("values nest deeper than 128 levels"), "{problem}");
    }
}

#[test]
fn a_text_of_ten_megabytes_is_read() {
    let lines: Vec<String> =
        (0..300_000).map(|n| format!("key{n}: the value of key {n}\n")).collect();
    let text = lines.concat();
    assert!(text.len() > 10_000_000);
    let (documents, diagnostics) = read(&text);
    assert!(diagnostics.is_empty());
    assert_eq!(documents[0].value.as_object().map(serde_json::Map::len), Some(300_000));
    let (_, diagnostics) = read(&text.repeat(2));
    assert_eq!(diagnostics.len(), 20, "the first duplicates tell enough");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}") {
        read(&text);
    }

    #[test]
    fn no_yaml_like_text_makes_the_reader_panic(
        text in r#"([-?:,\[\]{}#&*!|>'"%@`~<= \n\t\\]|a|1|---|<<|: |- |&a |\*a |\n  |!!int |é){0,60}"#
    ) {
        read(&text);
    }

    #[test]
    fn any_map_of_texts_reads_back(map in prop::collection::btree_map("[a-z<=]{1,4}", "[ -~é😀\n\t]{0,20}", 0..5)) {
        let original = json!({"map": map});
        let (documents, diagnostics) = read(&serde_json::to_string(&original).unwrap());
        prop_assert!(diagnostics.is_empty(), "{}", diagnostics);
        prop_assert_eq!(&documents[0].value, &original);
    }
}
