//! The JSON Schema of scenarios, used by editors for completion and documentation.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform as _};
use serde_json::Value;

use super::document::Scenario;
use super::read::drop_empty_fields;

/// Identifies the schema; it is not a URL to fetch.
const ID: &str = "urn:wavetank:schema:scenario:v1";

/// The JSON Schema in draft 7, which all editors support.
pub fn json_schema() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<Scenario>();
    schema.insert("$id".to_owned(), ID.into());
    RecursiveTransform(tidy).transform(&mut schema);
    schema.insert("title".to_owned(), "wavetank scenario".into());
    schema.to_value()
}

/// Joins the lines of descriptions, which follow those of the source comments, and removes null defaults.
fn tidy(schema: &mut Schema) {
    let Some(fields) = schema.as_object_mut() else { return };
    match fields.get_mut("default") {
        Some(Value::Null) => _ = fields.shift_remove("default"),
        Some(default) => drop_empty_fields(default),
        None => {}
    }
    let joined = match schema.get("description") {
        Some(Value::String(text)) => {
            text.replace("\n\n", "\0").replace('\n', " ").replace('\0', "\n\n")
        }
        _ => return,
    };
    schema.insert("description".to_owned(), joined.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_explained() {
        fn unexplained(schema: &Value, path: &str, found: &mut Vec<String>) {
            match schema {
                Value::Object(fields) => {
                    let properties = fields.get("properties").and_then(Value::as_object);
                    for (name, property) in properties.into_iter().flatten() {
                        // The name of a variant is documented with the variant.
                        let is_tag = property.get("const").is_some();
                        if property.get("description").is_none() && !is_tag {
                            found.push(format!("{path}.{name}"));
                        }
                    }
                    for (name, below) in fields {
                        unexplained(below, &format!("{path}.{name}"), found);
                    }
                }
                Value::Array(items) => items.iter().for_each(|item| unexplained(item, path, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        unexplained(&json_schema(), "", &mut found);
        assert_eq!(found, [""; 0]);
    }
}
