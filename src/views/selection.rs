//! `--field-selector` and `--sort-by`: selects and orders listed objects by their fields.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::iter::Peekable;
use std::str::Chars;

use serde_json::Value;

use super::get::{Scope, Snapshot};
use super::json_path::{JsonPath, scalar_text};
use super::object::objects;
use cluster::{Kind, NamespacedName};
use units::Quantity;

/// Fields with the values that they must or must not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    text: String,
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    field: String,
    value: String,
    is_equal: bool,
}

/// The selection and order of listed objects.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// The fields that objects must match.
    pub fields: FieldSelector,
    /// The sort path.
    pub sort_by: Option<JsonPath>,
    /// The sort path as written.
    pub sort_text: String,
}

impl FieldSelector {
    /// Parses `status.phase=Running,spec.nodeName!=a`.
    pub fn new(text: &str) -> Result<Self, String> {
        let terms = text.split(',').filter(|term| !term.is_empty()).map(|term| {
            let (field, is_equal, value) = match term.split_once("!=") {
                Some((field, value)) => (field, false, value),
                None => match term.split_once("==").or_else(|| term.split_once('=')) {
                    Some((field, value)) => (field, true, value),
                    None => {
                        return Err(format!(
                            "invalid selector: '{text}'; can't understand '{term}'"
                        ));
                    }
                },
            };
            Ok(Term { field: field.to_owned(), value: value.to_owned(), is_equal })
        });
        Ok(Self { text: text.to_owned(), terms: terms.collect::<Result<_, _>>()? })
    }

    /// Checks that the API server supports these fields for objects of a kind; otherwise returns its error.
    fn check(&self, kind: Kind, labels: &str) -> Result<(), String> {
        let wrong = self.terms.iter().find(|term| pointer(kind, &term.field).is_none());
        let Some(Term { field, .. }) = wrong else { return Ok(()) };
        let row = kind.info();
        let why = match kind {
            Kind::Job => format!("field label {field:?} not supported for Job"),
            Kind::StatefulSet => {
                format!("field label not supported for appsv1.StatefulSet: {field}")
            }
            _ if own_fields(kind).is_empty() => {
                format!(
                    "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                )
            }
            _ => format!("field label not supported: {field}"),
        };
        Err(format!(
            "Error from server (BadRequest): Unable to find \"{}/{}, Resource={}\" that match label selector \
             {labels:?}, field selector {:?}: {why}",
            row.group, row.version, row.plural, self.text
        ))
    }

    fn matches(&self, kind: Kind, object: &Value) -> bool {
        self.terms.iter().all(|term| {
            let found = pointer(kind, &term.field).and_then(|pointer| object.pointer(&pointer));
            // A missing field is empty, an omitted number is zero.
            let text = found.map(scalar_text).unwrap_or_default();
            let is_it = text == term.value
                || (text.is_empty() && matches!(term.value.as_str(), "0" | "false"));
            is_it == term.is_equal
        })
    }
}

/// The fields by which the API server can select objects of a kind, in addition to name and namespace: those of
/// `AddFieldLabelConversionFunc` in `pkg/apis/*/v1/conversion.go`, 1.36.
const fn own_fields(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Pod => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        Kind::Node => &["spec.unschedulable"],
        Kind::Namespace => &["status.phase"],
        Kind::Secret => &["type"],
        Kind::Service => &["spec.clusterIP", "spec.type"],
        Kind::ReplicaSet => &["status.replicas"],
        Kind::StatefulSet | Kind::Job => &["status.successful"],
        Kind::Event => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        _ => &[],
    }
}

/// JSON pointer to the value of such a field; `None` if the API server does not support it.
fn pointer(kind: Kind, field: &str) -> Option<String> {
    let is_known = matches!(field, "metadata.name" | "metadata.namespace")
        || own_fields(kind).contains(&field);
    match field {
        _ if !is_known => None,
        "source" => Some("/source/component".to_owned()),
        "status.successful" => Some("/status/succeeded".to_owned()),
        _ => Some(format!("/{}", field.replace('.', "/"))),
    }
}

impl Selection {
    /// True if all objects are listed in the usual order.
    pub(crate) fn is_all(&self) -> bool {
        self.fields.terms.is_empty() && self.sort_by.is_none()
    }

    /// Narrows a scope to the selected objects, in their order.
    pub fn among(&self, snapshot: Snapshot<'_>, kind: Kind, scope: Scope) -> Result<Scope, String> {
        self.check(kind, &scope)?;
        if self.is_all() {
            return Ok(scope);
        }
        let all = objects(snapshot.view, kind, &scope);
        let picked = self.picked(kind, all.into_iter().map(|object| (id_of(&object), object)))?;
        let places = picked.into_iter().enumerate().map(|(place, id)| (id, place));
        Ok(Scope { places: Some(places.collect()), ..scope })
    }

    /// The API server's error if it cannot select by these fields.
    pub(super) fn check(&self, kind: Kind, scope: &Scope) -> Result<(), String> {
        let labels = scope.selector.as_ref().map(ToString::to_string).unwrap_or_default();
        self.fields.check(kind, &labels)
    }

    /// The keys of the selected objects, in their order.
    pub(super) fn picked<K>(
        &self,
        kind: Kind,
        all: impl Iterator<Item = (K, Value)>,
    ) -> Result<Vec<K>, String> {
        let mut meant: Vec<(K, Value)> =
            all.filter(|(_, object)| self.fields.matches(kind, object)).collect();
        if let Some(path) = &self.sort_by {
            let mut sorted: Vec<(Option<Value>, K)> = meant
                .drain(..)
                .map(|(key, object)| (path.first(&object).map(Cow::into_owned), key))
                .collect();
            if !sorted.is_empty() && sorted.iter().all(|(value, _)| value.is_none()) {
                let path = &self.sort_text;
                return Err(format!(
                    "error: couldn't find any field with path {path:?} in the list of objects"
                ));
            }
            sorted.sort_by(|(one, _), (other, _)| order(one.as_ref(), other.as_ref()));
            return Ok(sorted.into_iter().map(|(_, key)| key).collect());
        }
        Ok(meant.into_iter().map(|(key, _)| key).collect())
    }
}

pub(super) fn id_of(object: &Value) -> NamespacedName {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    NamespacedName::new(text("namespace"), text("name"))
}

/// The order of two values (`isLess` of kubectl's `sorter.go`): quantities by amount, other text in natural order,
/// and missing values first.
fn order(one: Option<&Value>, other: Option<&Value>) -> Ordering {
    match (one, other) {
        (Some(Value::String(one)), Some(Value::String(other))) => {
            match (one.parse::<Quantity>(), other.parse::<Quantity>()) {
                (Ok(one), Ok(other)) => one.cmp(&other),
                _ => natural(one, other),
            }
        }
        (Some(Value::Number(one)), Some(Value::Number(other))) => {
            let [one, other] = [one, other].map(|number| number.as_f64().unwrap_or(0.0));
            one.total_cmp(&other)
        }
        (Some(Value::Bool(one)), Some(Value::Bool(other))) => one.cmp(other),
        (one, other) => one.is_some().cmp(&other.is_some()),
    }
}

/// Natural order: numbers within text compare by value, so that `web-2` comes before `web-10`.
fn natural(one: &str, other: &str) -> Ordering {
    let (mut ones, mut others) = (one.chars().peekable(), other.chars().peekable());
    loop {
        let by_letter = match (ones.peek(), others.peek()) {
            (Some(one), Some(other)) if one.is_ascii_digit() && other.is_ascii_digit() => {
                number(&mut ones).cmp(&number(&mut others))
            }
            (None, None) => return one.cmp(other),
            _ => ones.next().cmp(&others.next()),
        };
        if by_letter.is_ne() {
            return by_letter;
        }
    }
}

/// The next run of digits, in a form that compares by value.
fn number(letters: &mut Peekable<Chars<'_>>) -> (usize, String) {
    let digits: String = std::iter::from_fn(|| letters.next_if(char::is_ascii_digit))
        .skip_while(|digit| *digit == '0')
        .collect();
    (digits.len(), digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_equal_or_not() {
        let pod =
            json!({ "metadata": { "name": "a" }, "status": { "phase": "Running" }, "spec": {} });
        let matches = |text: &str| {
            FieldSelector::new(text).is_ok_and(|selector| selector.matches(Kind::Pod, &pod))
        };
        assert!(matches("status.phase=Running"));
        assert!(matches("status.phase==Running,metadata.name!=b"));
        assert!(matches("spec.nodeName="), "a pod without a node");
        assert!(matches("spec.hostNetwork=false"));
        assert!(!matches("status.phase!=Running"));
        assert!(FieldSelector::new("status.phase").is_err());
    }

    #[test]
    fn a_field_that_the_api_server_does_not_select_by_is_refused_in_its_words() {
        let refused = |kind, text: &str| {
            FieldSelector::new(text)
                .and_then(|selector| selector.check(kind, ""))
                .expect_err("a field")
        };
        assert_eq!(
            refused(Kind::Pod, "spec.foo=1"),
            "Error from server (BadRequest): Unable to find \"/v1, Resource=pods\" that match label selector \
             \"\", field selector \"spec.foo=1\": field label not supported: spec.foo"
        );
        assert_eq!(
            refused(Kind::Deployment, "spec.replicas=1"),
            "Error from server (BadRequest): Unable to find \"apps/v1, Resource=deployments\" that match label \
             selector \"\", field selector \"spec.replicas=1\": \"spec.replicas\" is not a known field selector: \
             only \"metadata.name\", \"metadata.namespace\""
        );
    }

    #[test]
    fn numbers_in_text_count_as_numbers_and_quantities_as_amounts() {
        let sorted = |mut texts: Vec<&str>| {
            let value = |text: &str| Some(Value::from(text));
            texts.sort_by(|one, other| order(value(one).as_ref(), value(other).as_ref()));
            texts.join(" ")
        };
        assert_eq!(sorted(vec!["web-10", "web-2", "db-0"]), "db-0 web-2 web-10");
        assert_eq!(sorted(vec!["1Gi", "200Mi", "1500m"]), "1500m 200Mi 1Gi");
        assert_eq!(order(None, Some(&json!(1))), Ordering::Less);
    }
}
