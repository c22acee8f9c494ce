//! Finds amounts of memory that are probably typos: `memory: 256m` is a quarter of a byte.

use super::Checker;
use manifest::Diagnostic;
use manifest::byte_check::{each_field, suspicious_quantity};

/// Settings in bytes. A few bytes per request or hour may be intended; fractions of a byte never
/// are.
const BYTES: [&str; 12] = [
    "ephemeral-storage",
    "evictionHardMemoryAvailable",
    "imagePullBandwidth",
    "imageSize",
    "logSize",
    "memory",
    "memoryLeakPerHour",
    "memoryPerRequest",
    "oomMinBumpUp",
    "requestSize",
    "responseSize",
    "rootDisk",
];

impl Checker<'_> {
    /// Checks the byte amounts of the whole scenario, as written.
    pub(super) fn bytes(&mut self) {
        let mut odd_quantities = Vec::new();
        each_field(&self.text.document.value, "", &mut |name, path, below| {
            let text = below.as_str().filter(|text| BYTES.contains(&name) && text.ends_with('m'));
            odd_quantities
                .extend(text.and_then(suspicious_quantity).map(|doubt| (path.to_owned(), doubt)));
        });
        for (field, doubt) in odd_quantities {
            let document = &self.text.document;
            let place = document.positions.place_of(&document.source, &field);
            let problem = Diagnostic::warning("doubtful-scenario", doubt.message).at(place);
            self.problems.push(Diagnostic { field, ..problem.help(doubt.help) });
        }
    }
}
