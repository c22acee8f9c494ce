//! Decodes objects into the types of their kinds, for kinds that [`super::load()`] does not simulate, or before
//! loading.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::definitions::Defined;
use super::diagnostic::Diagnostic;
use super::schema::{Mistake, check};

/// Decodes an object, skipping invalid parts, and returns the mistakes with their fields; the caller adds place and
/// object.
pub fn decode<K: Defined + DeserializeOwned + Default>(value: &Value) -> (K, Vec<Diagnostic>) {
    let mut value = value.clone();
    let mistakes = check(K::TYPE_NAME, &mut value).mistakes.into_iter();
    let diagnostics = mistakes.map(|Mistake { code, path, message, help }| Diagnostic {
        field: path,
        help,
        ..Diagnostic::error(code, message)
    });
    let diagnostics = diagnostics.collect();
    (serde_json::from_value(value).unwrap_or_default(), diagnostics)
}

/// The same, without the mistakes, for use where they are reported elsewhere.
pub fn decode_without_diagnostics<K: Defined + DeserializeOwned + Default>(value: &Value) -> K {
    K::deserialize(value).unwrap_or_else(|_| decode(value).0)
}
