//! Results as JSON, with the keys in the order of the fields.

use serde::Serialize;

/// A report, or another result of a command, as indented JSON with a trailing newline. Missing figures are
/// `null`.
pub fn render(result: &impl Serialize) -> String {
    let json = serde_json::to_string_pretty(result);
    json.expect("it holds strings, numbers and lists, which JSON can always express") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn an_hour_keeps_its_keys_and_their_order() {
        insta::assert_snapshot!(render(&fixture::hour(600.0)));
    }

    #[test]
    fn what_is_not_a_number_is_null() {
        let mut report = fixture::hour(600.0);
        report.services[0].series.arrived_rps[0] = f64::NAN;
        report.workloads[0].replicas.mean = f64::INFINITY;
        let parsed: serde_json::Value = serde_json::from_str(&render(&report)).unwrap();
        assert!(parsed["services"][0]["series"]["arrived_rps"][0].is_null());
        assert!(parsed["workloads"][0]["replicas"]["mean"].is_null());
    }
}
