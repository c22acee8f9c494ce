//! Every recorded decision of the real HPA controller is reproduced, field by field.

use std::fs::File;
use std::io::BufReader;

use wavetank::conform::{ConformReport, hpa};

#[expect(clippy::disallowed_methods, reason = "a test reads its golden files")]
fn replay(name: &str) -> ConformReport {
    let path = format!("{}/tests/golden/hpa/{name}", env!("CARGO_MANIFEST_DIR"));
    let file = File::open(&path).expect("the golden file is part of the repository");
    ConformReport::new(hpa::replay(BufReader::new(file)).expect("the golden file is well-formed"))
}

#[test]
fn the_recorded_sequences_are_reproduced() {
    let report = replay("sequences.jsonl.gz");
    assert!(report.is_agreement(), "{report}");
    assert_eq!(report.cases().len(), 165);
}

#[test]
fn the_varied_sequences_are_reproduced() {
    let report = replay("varied.jsonl.gz");
    assert!(report.is_agreement(), "{report}");
    assert_eq!(report.cases().len(), 163);
}

#[test]
fn the_recorded_tables_are_reproduced() {
    let report = replay("tables.jsonl");
    assert!(report.is_agreement(), "{report}");
    assert_eq!(report.cases().len(), 169);
}

#[test]
fn the_varied_tables_are_reproduced() {
    let report = replay("tables-varied.jsonl.gz");
    assert!(report.is_agreement(), "{report}");
    assert_eq!(report.cases().len(), 205);
}
