//! The tables by type: searching their rows for each field of each object would take most of the time of reading manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::{MEANINGS, NEUTRAL, Part, simulated};

/// The treatment of the fields of a type.
#[derive(Default)]
struct Treatment {
    /// None of them has an effect.
    is_neutral: bool,
    neutral: BTreeSet<&'static str>,
    listed: BTreeSet<&'static str>,
    /// The simulated ones, if not all are.
    modelled: Option<BTreeSet<&'static str>>,
}

static TREATMENTS: LazyLock<BTreeMap<&str, Treatment>> = LazyLock::new(|| {
    let mut treatments: BTreeMap<&str, Treatment> = BTreeMap::new();
    for (types, fields) in simulated() {
        for name in types.split_ascii_whitespace() {
            treatments.entry(name).or_insert_with(|| Treatment {
                modelled: (*fields != "*").then(|| fields.split_ascii_whitespace().collect()),
                ..Treatment::default()
            });
        }
    }
    for (name, fields, _) in &NEUTRAL {
        let treatment = treatments.entry(name).or_default();
        treatment.is_neutral |= fields.is_empty();
        treatment.neutral.extend(fields.split_ascii_whitespace());
    }
    for (name, fields, _) in &MEANINGS {
        let listed = &mut treatments.entry(name).or_default().listed;
        listed.extend(fields.split_ascii_whitespace());
    }
    treatments
});

/// The treatment of a field.
pub(crate) fn part(type_name: &str, field: &str) -> Part {
    let Some(treatment) = TREATMENTS.get(type_name) else { return Part::Modelled };
    let is_modelled =
        || treatment.modelled.as_ref().is_none_or(|modelled| modelled.contains(field));
    if treatment.is_neutral || treatment.neutral.contains(field) {
        Part::Neutral
    } else if treatment.listed.contains(field) || !is_modelled() {
        Part::Listed
    } else {
        Part::Modelled
    }
}
