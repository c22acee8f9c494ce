//! Every golden timeline of the real controllers, replayed.

use std::io::Read;

use wavetank::conform::controllers::check;

/// Replays a file and reports all that differs; returns the number of cases.
fn replay(class: &str, bytes: &[u8]) -> usize {
    let mut text = String::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    } else {
        text = String::from_utf8(bytes.to_vec()).unwrap();
    }
    let mut wrong = 0;
    for line in text.lines() {
        match check(line) {
            Ok(outcome) if outcome.differences.is_empty() => {}
            Ok(outcome) => {
                wrong += 1;
                println!("{}:\n{}", outcome.id, outcome.differences.join("\n"));
            }
            Err(error) => panic!("{class}: {error}: {line:.100}"),
        }
    }
    let cases = text.lines().count();
    assert_eq!(wrong, 0, "{class}: {wrong} of {cases} cases differ");
    cases
}

macro_rules! class {
    ($name:ident, $file:literal, $cases:literal) => {
        #[test]
        fn $name() {
            let bytes = include_bytes!(concat!("golden/controllers/", $file));
            assert_eq!(replay(stringify!($name), bytes), $cases);
        }
    };
}

class!(deployment, "deployment.jsonl.gz", 111);
class!(victims, "victims.jsonl", 81);
class!(slowstart, "slowstart.jsonl", 5);
