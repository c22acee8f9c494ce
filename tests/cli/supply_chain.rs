//! What a release tells of the crates in it.

use std::process::Command;

use serde_json::Value;

#[test]
fn the_bill_of_materials_lists_what_the_program_is_made_of() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/sbom.py");
    // A release needs Python with `tomllib`; the tests do not.
    let Ok(ran) = Command::new("python3").arg(script).output() else { return };
    let said = String::from_utf8_lossy(&ran.stderr);
    if said.contains("tomllib") {
        return;
    }
    assert!(ran.status.success(), "{said}");
    let bill: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    assert_eq!((&bill["bomFormat"], &bill["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
    let components = bill["components"].as_array().expect("a list");
    let named = |name: &str| components.iter().find(|one| one["name"] == name);
    for one in components {
        assert!(one["licenses"][0]["expression"].is_string(), "the licence of {}", one["name"]);
        let is_ours = one["name"].as_str().is_some_and(|name| name.starts_with("wavetank-"));
        assert!(is_ours || one["hashes"][0]["content"].is_string(), "the hash of {}", one["name"]);
    }
    assert!(named("mimalloc").is_some() && named("wavetank-sim").is_some());
    // Needed by the build of another one, and by tests alone.
    assert!(named("cc").is_some() && named("proptest").is_none());
    let refs = |one: &Value| one["bom-ref"].as_str().map(str::to_owned);
    let known: Vec<_> = components.iter().filter_map(refs).collect();
    let needed = bill["dependencies"].as_array().expect("a list").iter();
    for one in needed.flat_map(|one| one["dependsOn"].as_array().expect("a list")) {
        assert!(one.as_str().is_some_and(|one| known.iter().any(|known| known == one)), "{one}");
    }
}
