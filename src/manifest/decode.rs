//! Objects as the types of their kinds have them, for those who look at kinds that [`super::load()`] leaves aside, or at
//! objects before it has.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::definitions::Defined;
use super::diagnostic::Diagnostic;
use super::schema::{Mistake, check};

/// An object as its type has it, but for what is wrong in it; and its mistakes with their fields, to which the caller
/// adds place and object.
pub fn decode<K: Defined + DeserializeOwned + Default>(value: &Value) -> (K, Vec<Diagnostic>) {
    let mut value = value.clone();
    let mistakes = check(K::TYPE_NAME, &mut value).mistakes.into_iter();
    let said = mistakes.map(|Mistake { code, path, message, help }| Diagnostic {
        field: path,
        help,
        ..Diagnostic::error(code, message)
    });
    let said = said.collect();
    (serde_json::from_value(value).unwrap_or_default(), said)
}

/// The same, where its mistakes are told by others.
pub fn decode_silently<K: Defined + DeserializeOwned + Default>(value: &Value) -> K {
    K::deserialize(value).unwrap_or_else(|_| decode(value).0)
}
