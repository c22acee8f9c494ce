//! Amounts of memory that are hardly meant: `memory: 256m` is a quarter of a byte.

use serde_json::Value;

use super::Checker;
use crate::manifest::Diagnostic;
use crate::manifest::byte_check::byte_doubt;

/// Settings of bytes. Few bytes for each request or hour may be meant; thousandths of one never are.
const BYTES: [&str; 8] = [
    "ephemeral-storage",
    "evictionHardMemoryAvailable",
    "imagePullBandwidth",
    "imageSize",
    "memory",
    "memoryLeakPerHour",
    "memoryPerRequest",
    "oomMinBumpUp",
];

impl Checker<'_> {
    /// Amounts of bytes anywhere in the scenario, as they are written.
    pub(super) fn bytes(&mut self) {
        let mut doubts = Vec::new();
        walk(&self.text.document.value, "", &mut |field, text| {
            let doubt = byte_doubt(text).filter(|_| text.ends_with('m'));
            doubts.extend(doubt.map(|doubt| (field, doubt)));
        });
        for (field, doubt) in doubts {
            let document = &self.text.document;
            let place = document.positions.place_of(&document.source, &field);
            let problem = Diagnostic::warning("doubtful-scenario", doubt.message).at(place);
            self.problems.push(Diagnostic { field, ..problem.help(doubt.help) });
        }
    }
}

/// Shows all settings of bytes with their paths.
fn walk(value: &Value, path: &str, show: &mut impl FnMut(String, &str)) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{path}[{index}]"), show);
            }
        }
        Value::Object(fields) => {
            for (name, below) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match below {
                    Value::String(text) if BYTES.contains(&name.as_str()) => show(path, text),
                    _ => walk(below, &path, show),
                }
            }
        }
        _ => {}
    }
}
