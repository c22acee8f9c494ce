//! Pods against the levels of Pod Security, check by check.

use super::*;
use serde_json::json;

/// A namespace's labels: level and version of a mode.
fn labels(pairs: &[(&str, &str)]) -> Labels {
    let pairs = pairs
        .iter()
        .map(|(key, value)| (format!("pod-security.kubernetes.io/{key}"), (*value).to_owned()));
    let pairs: Vec<(String, String)> = pairs.collect();
    pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

#[test]
fn labels_name_a_standard_for_each_mode() {
    for (pairs, mode, asked) in [
        (&[][..], Mode::Enforce, "privileged:latest"),
        (&[("enforce", "baseline")], Mode::Enforce, "baseline:latest"),
        (
            &[("enforce", "restricted"), ("enforce-version", "v1.25")],
            Mode::Enforce,
            "restricted:v1.25",
        ),
        (
            &[("enforce", "restricted"), ("enforce-version", "latest")],
            Mode::Enforce,
            "restricted:latest",
        ),
        (
            &[("enforce", "restricted"), ("enforce-version", "1.25")],
            Mode::Enforce,
            "restricted:latest",
        ),
        (
            &[("enforce", "restricted"), ("enforce-version", "v1.025")],
            Mode::Enforce,
            "restricted:latest",
        ),
        (&[("enforce", "strict")], Mode::Enforce, "restricted:latest"),
        (&[("audit", "strict")], Mode::Audit, "privileged:latest"),
        (&[("warn", "strict")], Mode::Warn, "privileged:latest"),
        (&[("enforce", "baseline")], Mode::Audit, "privileged:latest"),
        (&[("enforce", "baseline"), ("enforce-version", "v1.20")], Mode::Warn, "baseline:v1.20"),
        (&[("enforce", "baseline"), ("warn-version", "v1.21")], Mode::Warn, "baseline:v1.21"),
        (&[("enforce", "baseline"), ("warn", "privileged")], Mode::Warn, "privileged:latest"),
        (&[("enforce", "strict")], Mode::Warn, "privileged:latest"),
        (&[("warn", "restricted")], Mode::Warn, "restricted:latest"),
        (&[("warn", "restricted")], Mode::Enforce, "privileged:latest"),
    ] {
        assert_eq!(standard(&labels(pairs), mode).to_string(), asked, "{pairs:?} {mode:?}");
    }
}

/// Adds the settings that `restricted` requires of containers and pods.
fn confined(mut spec: Value) -> Value {
    let context = &mut spec["securityContext"];
    if context["runAsNonRoot"].is_null() {
        context["runAsNonRoot"] = json!(true);
    }
    if context["seccompProfile"].is_null() {
        context["seccompProfile"] = json!({"type": "RuntimeDefault"});
    }
    for container in spec["containers"].as_array_mut().into_iter().flatten() {
        let context = &mut container["securityContext"];
        if context["allowPrivilegeEscalation"].is_null() {
            context["allowPrivilegeEscalation"] = json!(false);
        }
        if context["capabilities"]["drop"].is_null() {
            context["capabilities"]["drop"] = json!(["ALL"]);
        }
    }
    spec
}

/// The lines of the table: `level[:v1.x] | fields of the spec | violations, empty = none`. A container `a` is
/// added unless the fields have containers. `restricted` starts from a compliant pod, `bare` from one without security
/// settings.
const TABLE: &str = include_str!("cases.txt");

#[test]
fn pods_break_standards_as_the_api_server_tells() {
    let mut count = 0;
    for line in TABLE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut cells = line.splitn(3, '|').map(str::trim);
        let (level, fields) = (cells.next().unwrap(), cells.next().unwrap());
        let broken = cells.next().unwrap_or_default();
        let (level, minor) = match level.split_once(":v1.") {
            Some((level, minor)) => (level, Some(minor.parse().unwrap())),
            None => (level, None),
        };
        let mut pod: Value = serde_json::from_str(&format!("{{{fields}}}"))
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        let metadata = pod.as_object_mut().unwrap().shift_remove("metadata").unwrap_or_default();
        if pod["containers"].is_null() {
            pod["containers"] = json!([{"name": "a"}]);
        }
        let (level, spec) = match level {
            "baseline" => (Level::Baseline, pod),
            "restricted" => (Level::Restricted, confined(pod)),
            "bare" => (Level::Restricted, pod),
            other => panic!("{other} is no level"),
        };
        let pod = json!({"metadata": metadata, "spec": spec});
        let found = violations(&pod, Standard { level, minor }).unwrap_or_default();
        assert_eq!(found, broken, "{line}");
        assert_eq!(violations(&pod, Standard { level: Level::Privileged, minor }), None);
        count += 1;
    }
    assert!(count >= 70, "{count} rows");
}
