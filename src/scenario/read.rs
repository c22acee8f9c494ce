//! Parses the text of a scenario into a typed one.

use serde_json::{Map, Value, json};

use super::document::Scenario;
use super::overrides::Override;
use super::typing::UntypedValue;
use super::workloads::fill_images;
use manifest::yaml::{Document, Source, read_documents};
use manifest::{Diagnostic, Diagnostics, FieldPath, Location};

/// The `apiVersion` of scenarios.
pub const API_VERSION: &str = "wavetank/v1";

/// A scenario with its source text, so that problems found later can be shown at their line.
#[derive(Clone, Debug)]
pub struct ScenarioText {
    /// The typed scenario, with overrides applied.
    pub scenario: Scenario,
    /// The values of the text, without overrides, and their positions.
    pub document: Document,
    /// The values of the text, with overrides applied.
    pub(super) written: Value,
}

impl ScenarioText {
    /// Parses a scenario and applies the overrides that do not concern a manifest. Reports all mistakes
    /// at once.
    pub fn parse(source: &Source, settings: &[Override]) -> Result<Self, Diagnostics> {
        match Self::read(source, settings) {
            (Some(text), problems) if problems.is_empty() => Ok(text),
            (_, problems) => Err(problems),
        }
    }

    /// Like `parse`, but also returns the valid parts of a scenario with mistakes, for further checks.
    pub fn read(source: &Source, settings: &[Override]) -> (Option<Self>, Diagnostics) {
        let document = match only_document(source) {
            Ok(document) => document,
            Err(problems) => return (None, problems),
        };
        let mut problems = Diagnostics::default();
        let mut written = document.value.clone();
        for setting in settings.iter().filter(|setting| setting.object().is_none()) {
            if let Err(error) = setting.apply(&mut written) {
                problems.push(Diagnostic::error("setting", error.to_string()));
            }
        }
        let mut filled = written.clone();
        fill_images(&mut filled);
        drop_empty_fields(&mut filled);
        let draft =
            UntypedValue { document: &document, written: &written, filled, stand_ins: stand_ins() };
        let (scenario, mistakes) = draft.read();
        problems.append(mistakes);
        (scenario.map(|scenario| Self { scenario, document, written }), problems)
    }
}

/// True if a document declares itself a scenario.
pub fn is_scenario(document: &Document) -> bool {
    document.value.get("apiVersion").and_then(Value::as_str) == Some(API_VERSION)
}

fn only_document(source: &Source) -> Result<Document, Diagnostics> {
    let mut problems = Diagnostics::default();
    let mut documents = read_documents(source, &mut problems).into_iter();
    match (documents.next(), documents.next()) {
        _ if problems.has_errors() => {}
        (Some(document), _) if other_kind(&document).is_some() => {
            problems.push(not_a_scenario(&document));
        }
        (Some(document), None) => return Ok(document),
        (None, _) => problems.push(
            Diagnostic::error("empty", "the file contains no scenario")
                .at(Location::whole(&source.name))
                .help("`wavetank init` writes a starter scenario"),
        ),
        (Some(_), Some(second)) => problems.push(
            Diagnostic::error("several-scenarios", "the file contains several scenarios")
                .at(second.place(&FieldPath::ROOT))
                .help("put each scenario into its own file"),
        ),
    }
    Err(problems)
}

/// The kind that a document declares, if it is not a scenario.
fn other_kind(document: &Document) -> Option<&str> {
    let kind = document.value.get("kind").and_then(Value::as_str)?;
    let is_packing = is_scenario(document) && kind == "Packing";
    let is_object = document.value.get("metadata").is_some_and(Value::is_object);
    (is_packing || is_object).then_some(kind)
}

fn not_a_scenario(document: &Document) -> Diagnostic {
    let kind = other_kind(document).unwrap_or_default();
    let help = match kind {
        "Packing" => "`wavetank pack` runs it",
        _ => "`wavetank init MANIFESTS` writes a scenario for manifests",
    };
    Diagnostic::error("no-scenario", format!("this is a {kind}, not a scenario"))
        .at(document.place(&FieldPath::ROOT))
        .help(help)
}

/// Removes fields without a value, which count as absent. Settings left out in this way take their
/// defaults. In the merge patch of a timeline they stay: they remove fields of its object.
pub fn drop_empty_fields(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            // In a merge patch they remove the object's field.
            let others = fields.iter_mut().filter(|(name, _)| *name != "patch");
            others.for_each(|(_, field)| drop_empty_fields(field));
        }
        Value::Array(items) => items.iter_mut().for_each(drop_empty_fields),
        _ => {}
    }
}

/// Valid values for the required fields, so that one invalid field does not hide other mistakes.
fn stand_ins() -> Map<String, Value> {
    let fields = json!({
        "apiVersion": API_VERSION, "kind": "Scenario", "name": "unnamed", "duration": "1h",
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &str = "apiVersion: wavetank/v1\nkind: Scenario\nname: small\nduration: 1h\n";

    fn parse(text: &str, settings: &[&str]) -> Result<ScenarioText, String> {
        let settings: Vec<Override> =
            settings.iter().map(|text| text.parse().expect("well-formed")).collect();
        let source = Source::new("scenario.yaml", text);
        ScenarioText::parse(&source, &settings).map_err(|problems| problems.to_string())
    }

    #[test]
    fn the_smallest_scenario_has_a_name_and_a_duration() {
        let scenario = parse(SMALLEST, &[]).expect("valid").scenario;
        assert_eq!((scenario.name.as_str(), scenario.seed), ("small", 1));
        let empty = parse(&format!("{SMALLEST}timeline:\n  # nothing yet\n"), &[]).expect("valid");
        assert_eq!(empty.scenario, scenario);
    }

    #[test]
    fn settings_are_held_to_the_rules_of_the_file() {
        let scenario =
            parse(SMALLEST, &["seed=7", "cluster.nodePools=[]"]).expect("valid").scenario;
        assert_eq!(scenario.seed, 7);
        let error = parse(SMALLEST, &["seed=-7", "timing.wtach=1s", "name.first=a"]);
        insta::assert_snapshot!(error.expect_err("no setting is right"));
    }

    #[test]
    fn a_mistake_that_holds_for_all_images_is_reported_once() {
        let text = format!(
            "{SMALLEST}workloads:\n  - workload: Deployment/shop/web\n    app: {{wramUp: 3s}}\n    \
             images: {{'web:v2': {{app: {{start: 3 s}}}}}}\n"
        );
        insta::assert_snapshot!(parse(&text, &[]).expect_err("two mistakes"));
    }

    #[test]
    fn a_file_holds_one_scenario() {
        for (text, says) in [
            ("", "scenario.yaml: the file contains no scenario"),
            ("# nothing\n", "contains no scenario"),
            (
                &format!("{SMALLEST}---\n{SMALLEST}"),
                "scenario.yaml:6: the file contains several scenarios",
            ),
            ("a: [", "not valid YAML"),
        ] {
            let error = parse(text, &[]).expect_err(text);
            assert!(error.contains(says), "{error}");
        }
    }
}
