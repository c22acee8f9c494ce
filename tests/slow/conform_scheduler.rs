//! Every recorded scheduling cycle of the real kube-scheduler is reproduced, field by field.

use std::fs::File;
use std::io::BufReader;

use wavetank::conform::{ConformReport, scheduler};

#[expect(clippy::disallowed_methods, reason = "a test reads its golden files")]
fn replay(name: &str) -> ConformReport {
    let path = format!("{}/tests/golden/scheduler/{name}", env!("CARGO_MANIFEST_DIR"));
    let file = File::open(&path).expect("the golden file is part of the repository");
    let cases = scheduler::replay(BufReader::new(file)).expect("the golden file is well-formed");
    ConformReport::new(cases)
}

#[test]
fn the_recorded_cycles_are_reproduced() {
    let report = replay("cases.jsonl.gz");
    assert!(report.is_agreement(), "{report}");
    assert_eq!(report.cases().len(), 168);
}

#[test]
fn the_varied_cycles_are_reproduced() {
    let report = replay("varied.jsonl.gz");
    assert!(report.is_agreement(), "{report}");
    assert_eq!(report.cases().len(), 120);
}
