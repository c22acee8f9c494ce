//! Every golden run of all the real controllers together, beside ours. What they are: the README beside
//! them.
#![expect(clippy::disallowed_methods, reason = "a test reads its golden files")]

use std::fs;
use std::path::Path;

use wavetank::conform::end_to_end::{CaseFiles, EndToEndReport, check};

fn files_of(folder: &Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        let name = path.file_name().expect("entries have names").to_string_lossy();
        let name = format!("{prefix}{name}");
        if path.is_dir() {
            files_of(&path, &format!("{name}/"), files);
        } else {
            files.push((name, fs::read(&path).expect("the file can be read")));
        }
    }
}

fn assert_agrees(case: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/end-to-end").join(case);
    let mut files = Vec::new();
    files_of(&folder, "", &mut files);
    let files = CaseFiles::new(files).expect("the case is text");
    let outcome = check(&files).expect("the case can be run");
    assert!(outcome.samples > 0 && outcome.events > 0, "something was compared");
    let report = EndToEndReport::new(vec![outcome]);
    assert!(report.is_agreement(), "{report}");
}

macro_rules! case {
    ($name:ident, $folder:literal) => {
        #[test]
        fn $name() {
            assert_agrees($folder);
        }
    };
}

case!(a_ramp_with_an_autoscalers_defaults, "01-ramp-defaults");
case!(a_spike_on_an_application_that_starts_slowly, "07-slow-start-spike");
case!(a_rollout_in_the_middle_of_a_ramp, "09-rollout-mid-ramp");
case!(a_node_that_dies_under_load_and_comes_back, "14-node-failure-300s");
case!(pods_that_wait_for_nodes, "17-pending-then-nodes");
