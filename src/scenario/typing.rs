//! Converts untyped documents to typed settings and reports every mistake at its line. Serde does the
//! validation; its errors are reworded and located here. Independent of the meaning of the settings.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use super::bounds::{OutOfBounds, out_of_bounds};
use manifest::schema::QUOTES_HELP;
use manifest::yaml::Document;
use manifest::{Diagnostic, Diagnostics, FieldPath, Location};
use traffic::arrivals::nested_error;

/// Maximum number of mistakes reported per document.
const MISTAKES_MAX: usize = 200;

/// A step down in a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Field(String),
    Item(usize),
}

/// An untyped value to be converted to settings.
pub(super) struct UntypedValue<'a> {
    /// The source text.
    pub(super) document: &'a Document,
    /// The value as written by the user: the document's value with the overrides of the command line.
    pub(super) written: &'a Value,
    /// The written value with shared settings copied to every place where they apply.
    pub(super) filled: Value,
    /// A valid value for each required top-level field.
    pub(super) stand_ins: Map<String, Value>,
}

impl UntypedValue<'_> {
    /// Converts the value. All mistakes are reported, not only the first: each invalid value is reported and
    /// removed, and the rest is tried again.
    pub(super) fn typed<T: DeserializeOwned + JsonSchema>(self) -> Result<T, Diagnostics> {
        match self.read() {
            (Some(typed), problems) if problems.is_empty() => Ok(typed),
            (_, problems) => Err(problems),
        }
    }

    /// Like `typed`, but also returns the valid parts if there are mistakes.
    pub(super) fn read<T: DeserializeOwned + JsonSchema>(mut self) -> (Option<T>, Diagnostics) {
        let mut problems = Problems::default();
        // Serde would accept a list as the fields in order.
        if !self.filled.is_object() {
            let message = "invalid type: no fields, expected `name: value` lines";
            problems.report(&self, &[], message.to_owned());
            return (None, problems.list);
        }
        let mut rest = Rest { value: self.filled.take(), kept_items: BTreeMap::new() };
        let mut taken_out: Vec<Vec<Step>> = Vec::new();
        loop {
            let error = match serde_path_to_error::deserialize::<_, T>(&rest.value) {
                Ok(typed) => {
                    let is_within = self.check_bounds::<T>(&taken_out, &mut problems);
                    return (Some(typed).filter(|_| is_within), problems.list);
                }
                // Each mistake takes another pass.
                Err(_) if problems.list.len() >= MISTAKES_MAX => return (None, problems.list),
                Err(error) => error,
            };
            let message = error.inner().to_string();
            let place = rest.steps(error.path().iter());
            if let Some((inside, message)) = nested_error(&message) {
                let path = place.original.iter().cloned().chain(steps_of(inside));
                problems.report(&self, &path.collect::<Vec<_>>(), message.to_owned());
                if !rest.take_out(&place) {
                    return (None, problems.list);
                }
                taken_out.push(place.original);
                continue;
            }
            let lacking = missing_field(&message).map(|field| {
                let field = Step::Field(field.to_owned());
                place.original.iter().cloned().chain([field]).collect::<Vec<_>>()
            });
            let stand_in = missing_field(&message)
                .filter(|_| place.current.is_empty())
                .and_then(|field| self.stand_ins.remove_entry(field));
            if lacking.is_none_or(|path| !taken_out.contains(&path)) {
                problems.report(&self, &place.original, message);
            }
            if let Some((field, value)) = stand_in {
                rest.value[field] = value;
            } else if rest.take_out(&place) {
                taken_out.push(place.original);
            } else {
                return (None, problems.list);
            }
        }
    }

    /// Checks the bounds, except of values that are invalid anyway. Values out of bounds are unfit for further
    /// checks, which might not terminate.
    fn check_bounds<T: JsonSchema>(&self, wrong: &[Vec<Step>], problems: &mut Problems) -> bool {
        let schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<T>();
        let mut found = out_of_bounds(&schema.to_value(), self.written);
        found.retain(|one| !wrong.iter().any(|wrong| one.steps.starts_with(wrong)));
        for OutOfBounds { steps, message } in &found {
            problems.report(self, steps, message.clone());
        }
        found.is_empty()
    }
}

/// The steps of a path such as `add[0].users`.
fn steps_of(path: &str) -> Vec<Step> {
    let parts = path.split('.').flat_map(|part| part.split(['[', ']']));
    let step = |part: &str| match part.parse() {
        Ok(index) => Step::Item(index),
        Err(_) => Step::Field(part.to_owned()),
    };
    parts.filter(|part| !part.is_empty()).map(step).collect()
}

/// The mistakes so far, and serde's messages for them.
#[derive(Default)]
struct Problems {
    list: Diagnostics,
    messages: Vec<String>,
}

impl Problems {
    fn report(&mut self, draft: &UntypedValue<'_>, steps: &[Step], message: String) {
        let written = value_at(draft.written, steps);
        // In a copy it is the same mistake.
        if written.is_none() && self.messages.contains(&message) {
            return;
        }
        let problem = with_path(&FieldPath::ROOT, steps, &mut |path| {
            let problem = worded(&message).field(path);
            // Values from overrides have no line in the text.
            let in_text = value_at(&draft.document.value, steps);
            if written.is_some() && written != in_text {
                problem.at(Location::whole(&"--set".into()))
            } else {
                problem.at(draft.document.place(path))
            }
        });
        self.list.push(problem);
        self.messages.push(message);
    }
}

/// The parts of a document that have not been removed yet.
struct Rest {
    value: Value,
    /// For lists with removed items: the original indexes of the remaining ones.
    kept_items: BTreeMap<Vec<Step>, Vec<usize>>,
}

/// A path in the rest of the document, and in the document itself.
struct Steps {
    current: Vec<Step>,
    original: Vec<Step>,
}

impl Rest {
    fn steps<'a>(&self, segments: impl Iterator<Item = &'a Segment>) -> Steps {
        let mut steps = Steps { current: Vec::new(), original: Vec::new() };
        for segment in segments {
            match segment {
                Segment::Seq { index } => {
                    let kept = self.kept_items.get(&steps.original);
                    let original = kept.and_then(|kept| kept.get(*index)).unwrap_or(index);
                    steps.original.push(Step::Item(*original));
                    steps.current.push(Step::Item(*index));
                }
                Segment::Map { key: name } | Segment::Enum { variant: name } => {
                    steps.original.push(Step::Field(name.clone()));
                    steps.current.push(Step::Field(name.clone()));
                }
                Segment::Unknown => break,
            }
        }
        steps
    }

    /// Removes the value at a path; false if it is the whole document or absent.
    fn take_out(&mut self, place: &Steps) -> bool {
        let Some((last, parents)) = place.current.split_last() else { return false };
        let parent = parents.iter().try_fold(&mut self.value, |value, step| match step {
            Step::Field(name) => value.get_mut(name),
            Step::Item(index) => value.get_mut(index),
        });
        match (parent, last) {
            (Some(Value::Object(fields)), Step::Field(name)) => fields.shift_remove(name).is_some(),
            (Some(Value::Array(items)), Step::Item(index)) if *index < items.len() => {
                let list = place.original[..place.original.len() - 1].to_vec();
                let kept =
                    self.kept_items.entry(list).or_insert_with(|| (0..items.len()).collect());
                kept.remove(*index);
                items.remove(*index);
                true
            }
            _ => false,
        }
    }
}

fn value_at<'a>(value: &'a Value, steps: &[Step]) -> Option<&'a Value> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Field(name) => value.get(name),
        Step::Item(index) => value.get(index),
    })
}

/// Calls `then` with the steps as a path.
fn with_path<R>(base: &FieldPath, steps: &[Step], then: &mut dyn FnMut(&FieldPath) -> R) -> R {
    match steps {
        [] => then(base),
        [Step::Field(name), rest @ ..] => with_path(&base.field(name), rest, then),
        [Step::Item(index), rest @ ..] => with_path(&base.item(*index), rest, then),
    }
}

fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// Rewords an error of serde for users who know YAML but not Rust.
fn worded(message: &str) -> Diagnostic {
    if let Some(rest) = message.strip_prefix("unknown field `") {
        return unknown("unknown-field", "field", rest);
    }
    if let Some(rest) = message.strip_prefix("unknown variant `") {
        return unknown("unknown-value", "value", rest);
    }
    if let Some(field) = missing_field(message) {
        return Diagnostic::error("missing-field", format!("the field `{field}` is missing"))
            .help(format!("add `{field}:`"));
    }
    let typed = ["invalid type: ", "invalid value: "]
        .into_iter()
        .find_map(|prefix| message.strip_prefix(prefix)?.split_once(", expected "));
    match typed {
        Some((found, expected)) => {
            let words = expected_words(found, expected);
            let message = format!("found {}, expected {words}", found_words(found));
            let problem = Diagnostic::error("wrong-type", message);
            let is_text_lost = words == "a text" && found.starts_with("boolean ");
            if is_text_lost { problem.help(QUOTES_HELP) } else { problem }
        }
        None => Diagnostic::error("invalid-value", message),
    }
}

/// Parses the rest of serde's message: ``name`, expected one of `a`, `b``, or `expected `a``, or a statement
/// that there are no alternatives.
fn unknown(code: &'static str, what: &str, rest: &str) -> Diagnostic {
    let (name, expected) = rest.split_once('`').unwrap_or((rest, ""));
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let nearest = known.iter().min_by_key(|known| distance(name, known));
    let close = nearest.filter(|known| distance(name, known) <= 1 + name.len() / 4);
    let all = known.join(", ");
    Diagnostic::error(code, format!("unknown {what} `{name}`")).help(match close {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if known.is_empty() => format!("no {what} is allowed here"),
        None => format!("the known {what}s are {all}"),
    })
}

/// Edit distance, ignoring case.
fn distance(a: &str, b: &str) -> usize {
    strsim::osa_distance(&a.to_ascii_lowercase(), &b.to_ascii_lowercase())
}

fn found_words(found: &str) -> String {
    match found {
        "map" => "fields".to_owned(),
        "sequence" => "a list".to_owned(),
        "unit value" | "null" => "nothing".to_owned(),
        found => found
            .replace("integer ", "the number ")
            .replace("floating point ", "the number ")
            .replace("string ", "the text ")
            .replace("boolean ", ""),
    }
}

/// True if serde found an integer, written as `integer `5``, above the limit.
fn is_integer_above(found: &str, limit: i128) -> bool {
    let digits = found.strip_prefix("integer `").and_then(|rest| rest.strip_suffix('`'));
    digits.and_then(|digits| digits.parse::<i128>().ok()).is_some_and(|number| number > limit)
}

fn expected_words(found: &str, expected: &str) -> String {
    match expected {
        "u32" if is_integer_above(found, u32::MAX.into()) => {
            format!("a whole number of at most {}", u32::MAX)
        }
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number of at least 0".to_owned(),
        "i8" | "i16" | "i32" | "i64" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a string" | "a borrowed string" => "a text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "fields".to_owned(),
        expected if expected.starts_with("struct ") => "fields".to_owned(),
        expected => expected.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::SimDuration;
    use manifest::yaml::{Source, read_documents};
    use serde::Deserialize;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Outer {
        duration: SimDuration,
        #[serde(default)]
        node_pools: Vec<Inner>,
        #[serde(default)]
        kind: Kind,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Inner {
        name: String,
        count: u32,
    }

    #[derive(Debug, Default, Deserialize, JsonSchema)]
    enum Kind {
        #[default]
        Random,
        RoundRobin,
    }

    fn read(text: &str) -> Result<Outer, String> {
        let mut problems = Diagnostics::default();
        let documents = read_documents(&Source::new("a.yaml", text), &mut problems);
        assert!(problems.is_empty(), "{problems}");
        let draft = UntypedValue {
            document: &documents[0],
            written: &documents[0].value,
            filled: documents[0].value.clone(),
            stand_ins: [("duration".to_owned(), Value::from("1h"))].into_iter().collect(),
        };
        draft.typed().map_err(|problems| problems.to_string())
    }

    #[test]
    fn all_mistakes_are_found_at_their_lines() {
        let text = "\
duration: 1 hour
nodePools:
  - name: a
    count: -1
  - name: b
    cout: 3
  - {count: 2.5}
  - name: c
    count: three
knid: RoundRobin
kind: RoundRobbin
";
        insta::assert_snapshot!(read(text).expect_err("the text is full of mistakes"));
    }

    #[test]
    fn a_number_that_is_too_large_is_told_the_largest() {
        let text = "duration: 30m\nnodePools: [{name: a, count: 5000000000}]\nkind: RoundRobin\n";
        let error = read(text).expect_err("no pool has so many nodes");
        assert!(error.contains("expected a whole number of at most 4294967295"), "{error}");
    }

    #[test]
    fn a_right_document_is_typed() {
        let outer = read("duration: 30m\nnodePools: [{name: a, count: 2}]\nkind: RoundRobin\n")
            .expect("the text is right");
        assert_eq!(outer.duration, SimDuration::from_secs(1800));
        assert_eq!((outer.node_pools[0].name.as_str(), outer.node_pools[0].count), ("a", 2));
        assert!(matches!(outer.kind, Kind::RoundRobin));
    }

    #[test]
    fn a_document_of_the_wrong_shape_is_one_mistake() {
        let error = read("- a\n- b\n").expect_err("a list is no map");
        assert_eq!(error, "error: a.yaml:1: found no fields, expected `name: value` lines\n");
    }
}
