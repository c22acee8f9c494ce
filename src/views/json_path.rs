//! JSONPath templates in kubectl's dialect (`k8s.io/client-go/util/jsonpath`, 1.36): text with paths in braces,
//! `range` and `end`. This is not RFC 9535: dots in names are escaped, a path yields text, and a missing field
//! yields nothing.

mod parse;

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Number, Value};

/// A template.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    parts: Vec<Part>,
}

/// Literal text, or the content of a pair of braces.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Path(Vec<Step>),
    /// `{range PATH}` to its `{end}`: the inner parts, repeated for each result of the path.
    Range(Vec<Step>, Vec<Self>),
}

/// One step of a path, applied to each value of the previous step.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// A constant, independent of the previous values.
    Literal(Value),
    Field(String),
    /// `*`
    Wildcard,
    /// `..`
    Recursive,
    /// `[start:end:step]`
    Slice(Slice),
    /// `[?(@.a == "b")]`
    Filter(Filter),
    /// `[0,2]`, `['a','b']`
    Union(Vec<Vec<Self>>),
    /// An unknown word, which yields nothing.
    Unknown(String),
}

/// Elements of a list; negative numbers count from its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slice {
    start: i64,
    end: End,
    step: Option<i64>,
}

/// The end of a slice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    /// The end of the list.
    #[default]
    Last,
    /// After a single element: `[2]`.
    One,
    /// Before this position.
    Before(i64),
}

/// The elements of a list for which a comparison holds or a path yields a result.
#[derive(Clone, Debug, PartialEq)]
struct Filter {
    left: Vec<Step>,
    /// The operator and the right-hand side.
    comparison: Option<(String, Vec<Step>)>,
}

/// A value of the object, or a constant of the template.
type Found<'v> = Cow<'v, Value>;

impl JsonPath {
    /// Parses a template; errors are worded as in kubectl.
    pub fn template(text: &str) -> Result<Self, String> {
        parse::template(text).map(|parts| Self { parts })
    }

    /// Parses a single path, with or without braces and leading dot, as in `--sort-by` and `custom-columns`.
    pub fn relaxed(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
        let path = inner.strip_prefix('.').unwrap_or(inner);
        if path.is_empty() || path.contains(['{', '}']) {
            return Err("unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or \
                        '{.name1.name2}'"
                .to_owned());
        }
        Self::template(&format!("{{.{path}}}"))
    }

    /// The output of the template for an object.
    pub fn text(&self, object: &Value) -> Result<String, String> {
        let mut text = String::new();
        for results in self.results(object)? {
            let results: Vec<String> = results.iter().map(|one| shown(one)).collect();
            text.push_str(&results.join(" "));
        }
        Ok(text)
    }

    /// The results of each part of the template, in order.
    pub fn results<'v>(&self, object: &'v Value) -> Result<Vec<Vec<Found<'v>>>, String> {
        let mut all = Vec::new();
        run(&self.parts, &Cow::Borrowed(object), &mut all)?;
        Ok(all)
    }

    /// The first value that a path yields.
    pub fn first<'v>(&self, object: &'v Value) -> Option<Found<'v>> {
        self.results(object).ok()?.into_iter().flatten().next()
    }
}

fn run<'v>(parts: &[Part], from: &Found<'v>, into: &mut Vec<Vec<Found<'v>>>) -> Result<(), String> {
    for part in parts {
        match part {
            Part::Text(text) => into.push(vec![Cow::Owned(text.as_str().into())]),
            Part::Path(steps) => into.push(walk(steps, vec![from.clone()])?),
            Part::Range(steps, inner) => {
                for one in walk(steps, vec![from.clone()])? {
                    run(inner, &one, into)?;
                }
            }
        }
    }
    Ok(())
}

fn walk<'v>(steps: &[Step], from: Vec<Found<'v>>) -> Result<Vec<Found<'v>>, String> {
    steps.iter().try_fold(from, |values, step| take(step, &values))
}

fn take<'v>(step: &Step, from: &[Found<'v>]) -> Result<Vec<Found<'v>>, String> {
    Ok(match step {
        // Once per previous value, except for text.
        Step::Literal(value @ Value::String(_)) => vec![Cow::Owned(value.clone())],
        Step::Literal(value) => from.iter().map(|_| Cow::Owned(value.clone())).collect(),
        Step::Field(name) => from.iter().filter_map(|value| field(value, name)).collect(),
        Step::Wildcard => from.iter().flat_map(children).collect(),
        Step::Recursive => {
            let mut all = Vec::new();
            for value in from {
                descend(value, &mut all);
            }
            all
        }
        Step::Slice(slice) => {
            let mut all = Vec::new();
            for value in from.iter().filter(|value| !value.is_null()) {
                let list = list(value).ok_or_else(|| not_a_list(value))?;
                match slice.of(&list)? {
                    Some(elements) => all.extend(elements),
                    None => break,
                }
            }
            all
        }
        Step::Filter(filter) => {
            let mut all = Vec::new();
            for value in from {
                let list = list(value)
                    .ok_or_else(|| format!("{} and cannot be filtered", not_a_list(value)))?;
                for element in list {
                    if filter.takes(&element)? {
                        all.push(element);
                    }
                }
            }
            all
        }
        Step::Union(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(walk(part, from.to_vec())?);
            }
            all
        }
        Step::Unknown(word) if word == "end" => {
            return Err("not in range, nothing to end".to_owned());
        }
        Step::Unknown(word) => return Err(format!("unrecognized identifier {word}")),
    })
}

/// The value of a field. Constants of the template are not objects.
fn field<'v>(value: &Found<'v>, name: &str) -> Option<Found<'v>> {
    match value {
        Cow::Borrowed(value) => value.as_object()?.get(name).map(Cow::Borrowed),
        Cow::Owned(_) => None,
    }
}

/// The elements of a list.
fn list<'v>(value: &Found<'v>) -> Option<Vec<Found<'v>>> {
    match value {
        Cow::Borrowed(Value::Array(list)) => Some(list.iter().map(Cow::Borrowed).collect()),
        _ => None,
    }
}

/// The elements of a list, or the values of an object.
fn children<'v>(value: &Found<'v>) -> Vec<Found<'v>> {
    match value {
        Cow::Borrowed(Value::Object(fields)) => fields.values().map(Cow::Borrowed).collect(),
        _ => list(value).unwrap_or_default(),
    }
}

/// Collects a value that has children, and all such values below it.
fn descend<'v>(value: &Found<'v>, into: &mut Vec<Found<'v>>) {
    let children = children(value);
    if !children.is_empty() {
        into.push(value.clone());
        for child in &children {
            descend(child, into);
        }
    }
}

impl Slice {
    /// The selected elements; `None` if the range is empty.
    fn of<'v>(self, list: &[Found<'v>]) -> Result<Option<Vec<Found<'v>>>, String> {
        let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
        let from_end = |index: i64| if index < 0 { index.saturating_add(length) } else { index };
        let start = from_end(self.start);
        let end = match self.end {
            End::Last => length,
            End::One => start.saturating_add(1),
            End::Before(index) => from_end(index),
        };
        if start == end {
            return Ok(None);
        }
        let outside =
            |index| Err(format!("array index out of bounds: index {index}, length {length}"));
        if !(0..length).contains(&start) {
            return outside(start);
        }
        if !(0..=length).contains(&end) {
            return outside(end.saturating_sub(1));
        }
        if start > end {
            return Err(format!("starting index {start} is greater than ending index {end}"));
        }
        let step = usize::try_from(self.step.unwrap_or(1)).ok().filter(|step| *step > 0);
        let step = step.ok_or("step must be > 0")?;
        let [start, end] = [start, end].map(|index| usize::try_from(index).unwrap_or(0));
        Ok(Some(list[start..end].iter().step_by(step).cloned().collect()))
    }
}

impl Filter {
    fn takes(&self, element: &Found<'_>) -> Result<bool, String> {
        let lefts = walk(&self.left, vec![element.clone()]);
        let Some((operator, right)) = &self.comparison else {
            return Ok(lefts.is_ok_and(|lefts| !lefts.is_empty()));
        };
        let only = |values: Vec<Found<'_>>| match values.as_slice() {
            [] => Ok(None),
            [only] => Ok(Some((**only).clone())),
            _ => Err("can only compare one element at a time".to_owned()),
        };
        let Some(left) = only(lefts?)? else { return Ok(false) };
        let Some(right) = only(walk(right, vec![element.clone()])?)? else { return Ok(false) };
        let holds: fn(Ordering) -> bool = match operator.as_str() {
            "<" => Ordering::is_lt,
            ">" => Ordering::is_gt,
            "==" => Ordering::is_eq,
            "!=" => Ordering::is_ne,
            "<=" => Ordering::is_le,
            ">=" => Ordering::is_ge,
            _ => return Err(format!("unrecognized filter operator {operator}")),
        };
        let is_equality = matches!(operator.as_str(), "==" | "!=");
        compared(&left, &right, is_equality).map(holds)
    }
}

/// Compares two values: both text, both integers, both fractions, or both booleans, which can only be equal or not.
fn compared(left: &Value, right: &Value, is_equality: bool) -> Result<Ordering, String> {
    let incompatible = || "incompatible types for comparison".to_owned();
    match (left, right) {
        (Value::String(left), Value::String(right)) => Ok(left.cmp(right)),
        (Value::Number(left), Value::Number(right)) => {
            numbers_compared(left, right).ok_or_else(incompatible)
        }
        (Value::Bool(left), Value::Bool(right)) if is_equality => Ok(left.cmp(right)),
        (Value::Array(_) | Value::Object(_) | Value::Bool(_), _) => {
            Err("invalid type for comparison".to_owned())
        }
        _ => Err(incompatible()),
    }
}

/// Compares two numbers, of which both or neither have a fraction.
fn numbers_compared(left: &Number, right: &Number) -> Option<Ordering> {
    match (left.as_i64(), right.as_i64()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        (None, None) => left.as_f64()?.partial_cmp(&right.as_f64()?),
        _ => None,
    }
}

/// Go's name for the type of a value that should have been a list.
fn not_a_list(value: &Value) -> String {
    let kind = match value {
        Value::Object(_) => "map[string]interface {}",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        _ => "int64",
    };
    format!("{kind} is not array or slice")
}

/// A result as text, with lists and objects as JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => go_json(&value.to_string()),
        scalar => scalar_text(scalar),
    }
}

/// A scalar in the format of Go's `fmt.Print`.
pub(super) fn scalar_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".to_owned(),
        Value::Array(list) => {
            format!("[{}]", list.iter().map(scalar_text).collect::<Vec<_>>().join(" "))
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, one)| format!("{key}:{}", scalar_text(one)));
            format!("map[{}]", fields.collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

/// JSON with Go's HTML escaping.
pub fn go_json(json: &str) -> String {
    json.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(template: &str) -> Result<String, String> {
        let pod = |name: &str, restarts: i64| {
            json!({
                "metadata": { "name": name, "labels": { "example.com/tier": "front" } },
                "status": { "restarts": restarts, "ready": restarts == 0 },
            })
        };
        let list = json!({ "items": [pod("a", 0), pod("b", 3), pod("c", 7)], "kind": "List" });
        JsonPath::template(template)?.text(&list)
    }

    #[test]
    fn a_template_is_text_with_paths_in_braces() {
        let rows = [
            ("{.items[*].metadata.name}", "a b c"),
            ("{.items[0].metadata.labels.example\\.com/tier}", "front"),
            ("{.items[0].metadata.labels['example\\.com/tier']}", "front"),
            ("{.items[-1].metadata.name} of {.kind}", "c of List"),
            ("{.items[0:2].metadata.name}", "a b"),
            ("{.items[::2].metadata.name}", "a c"),
            ("{.items[0,2].metadata.name}", "a c"),
            ("{$.kind}{'\\n'}", "List\n"),
            ("{..restarts}", "0 3 7"),
            ("{.items[1].status}", r#"{"restarts":3,"ready":false}"#),
            ("{.items[0].status['restarts', 'ready']}", "0 true"),
            ("{.nothing.at.all}", ""),
            (".kind", ".kind"),
        ];
        for (template, wanted) in rows {
            assert_eq!(text(template).as_deref(), Ok(wanted), "{template}");
        }
    }

    #[test]
    fn a_filter_compares_one_value_with_another_of_its_type() {
        let rows = [
            ("{.items[?(@.metadata.name==\"b\")].status.restarts}", Ok("3")),
            ("{.items[?(@.metadata.name != 'b')].status.restarts}", Ok("0 7")),
            ("{.items[?(@.status.restarts>=3)].metadata.name}", Ok("b c")),
            ("{.items[?(@.status.ready==true)].metadata.name}", Ok("a")),
            ("{.items[?(@.metadata.labels)].metadata.name}", Ok("a b c")),
            ("{.items[?(@.spec.nodeName)].metadata.name}", Ok("")),
            ("{.items[?(@.metadata.name==3)].kind}", Err("incompatible types for comparison")),
            ("{.items[?(@.metadata.name=~'b')].kind}", Err("unrecognized filter operator =~")),
        ];
        for (template, wanted) in rows {
            assert_eq!(text(template).as_deref().map_err(|error| &**error), wanted, "{template}");
        }
    }

    #[test]
    fn a_range_repeats_what_stands_up_to_its_end() {
        let template = "{range .items[?(@.status.restarts>0)]}{.metadata.name}={.status.restarts}{\"\\n\"}{end}";
        assert_eq!(text(template).as_deref(), Ok("b=3\nc=7\n"));
        let nested = "{range .items[*]}{range .metadata.labels.*}{@},{end};{end}.";
        assert_eq!(text(nested).as_deref(), Ok("front,;front,;front,;."));
        assert_eq!(text("{range .none[*]}x{end}y").as_deref(), Ok("y"));
    }

    #[test]
    fn mistakes_are_told_as_kubectl_tells_them() {
        let rows = [
            ("{.items", "unclosed action"),
            ("{.items[0}", "unterminated array"),
            ("{.items[x]}", "invalid array index x"),
            ("{.items[7].kind}", "array index out of bounds: index 7, length 3"),
            ("{.kind[0]}", "string is not array or slice"),
            ("{name}", "unrecognized identifier name"),
            ("{end}", "not in range, nothing to end"),
            ("{.items[?(@.a]}", "unterminated filter"),
            ("{'a}", "unterminated quoted string"),
            ("{#}", "unrecognized character in action: U+0023 '#'"),
        ];
        for (template, wanted) in rows {
            assert_eq!(text(template), Err(wanted.to_owned()), "{template}");
        }
    }

    #[test]
    fn a_path_may_come_without_braces_and_dot() {
        let paths = [".metadata.name", "metadata.name", "{.metadata.name}", "{metadata.name}"];
        let read: Vec<_> = paths.into_iter().map(JsonPath::relaxed).collect();
        assert!(read.windows(2).all(|two| two[0] == two[1] && two[0].is_ok()), "{read:?}");
        assert!(JsonPath::relaxed("{.a}{.b}").is_err());
    }
}
