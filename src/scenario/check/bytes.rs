//! Amounts of memory that are hardly meant: `memory: 256m` is a quarter of a byte.

use super::Checker;
use manifest::Diagnostic;
use manifest::byte_check::{byte_doubt, each_field};

/// Settings of bytes. Few bytes for each request or hour may be meant; thousandths of one never are.
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
    /// Amounts of bytes anywhere in the scenario, as they are written.
    pub(super) fn bytes(&mut self) {
        let mut doubts = Vec::new();
        each_field(&self.text.document.value, "", &mut |name, path, below| {
            let text = below.as_str().filter(|text| BYTES.contains(&name) && text.ends_with('m'));
            doubts.extend(text.and_then(byte_doubt).map(|doubt| (path.to_owned(), doubt)));
        });
        for (field, doubt) in doubts {
            let document = &self.text.document;
            let place = document.positions.place_of(&document.source, &field);
            let problem = Diagnostic::warning("doubtful-scenario", doubt.message).at(place);
            self.problems.push(Diagnostic { field, ..problem.help(doubt.help) });
        }
    }
}
