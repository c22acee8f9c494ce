//! Every golden timeline of the controllers, replayed. What they are: the README beside them.

use std::io::Read;

use wavetank::conform::controllers::check;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Replays a file, fails with all that differs, and returns the number of cases.
fn replay(class: &str, bytes: &[u8]) -> usize {
    let mut text = String::new();
    let read = if bytes.starts_with(&GZIP_MAGIC) {
        flate2::read::GzDecoder::new(bytes).read_to_string(&mut text)
    } else {
        { bytes }.read_to_string(&mut text)
    };
    read.expect("golden files are text");
    let mut wrong = Vec::new();
    for line in text.lines() {
        let outcome = check(line).expect("every golden case can be replayed");
        if !outcome.differences.is_empty() {
            wrong.push(format!("{}:\n{}", outcome.id, outcome.differences.join("\n")));
        }
    }
    assert!(wrong.is_empty(), "{class}: {} cases differ\n{}", wrong.len(), wrong.join("\n"));
    text.lines().count()
}

macro_rules! class {
    ($name:ident, $file:literal, $cases:literal) => {
        #[test]
        fn $name() {
            let bytes = include_bytes!(concat!("../golden/controllers/", $file));
            assert_eq!(replay(stringify!($name), bytes), $cases);
        }
    };
}

class!(deployment, "deployment.jsonl.gz", 111);
class!(deployment_varied, "deployment-varied.jsonl.gz", 24);
class!(victims, "victims.jsonl", 81);
class!(slowstart, "slowstart.jsonl", 5);
class!(node, "node.jsonl", 22);
class!(pdb, "pdb.jsonl", 14);
class!(pdb_varied, "pdb-varied.jsonl.gz", 17);
class!(stateful_set, "statefulset.jsonl", 13);
class!(stateful_set_varied, "statefulset-varied.jsonl.gz", 14);
class!(daemon_set, "daemonset.jsonl", 9);
class!(daemon_set_varied, "daemonset-varied.jsonl.gz", 5);
class!(job, "job.jsonl", 15);
class!(job_varied, "job-varied.jsonl.gz", 28);
class!(cron_job, "cronjob.jsonl", 7);
class!(cron_job_varied, "cronjob-varied.jsonl.gz", 15);
