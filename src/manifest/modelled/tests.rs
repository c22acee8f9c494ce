//! Every field of every simulated kind is modelled, neutral with a reason, or listed with its consequence.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::definitions::DEFINITIONS;
use crate::kinds::simulated_types;
use crate::{Source, load, schema};

/// Every field named in the tables, with its type.
fn named() -> impl Iterator<Item = (&'static str, &'static str)> {
    let modelled =
        MODELLED.iter().chain(&MODELLED_OF_CUSTOM_KINDS).chain(&OBJECTS[..OBJECTS.len() - 1]);
    let modelled =
        modelled.flat_map(|(types, fields)| types.split_ascii_whitespace().map(|of| (of, *fields)));
    let others = NEUTRAL.iter().chain(&MEANINGS).map(|(of, fields, _)| (*of, *fields));
    modelled
        .chain(others)
        .flat_map(|(of, fields)| fields.split_ascii_whitespace().map(move |field| (of, field)))
        .filter(|(_, field)| *field != "*")
}

#[test]
fn the_tables_name_only_fields_that_exist_and_each_once() {
    let mut seen = BTreeSet::new();
    for (type_name, field) in named() {
        assert!(schema::has_field(type_name, field), "{type_name} has no {field}");
        assert!(seen.insert((type_name, field)), "{type_name}.{field} is named twice");
    }
}

/// The definitions that a schema refers to.
fn references<'a>(schema: &'a Value, found: &mut Vec<&'a str>) {
    match schema {
        Value::Object(keywords) => {
            let reference = keywords.get("$ref").and_then(Value::as_str);
            found.extend(reference.and_then(|name| name.rsplit('/').next()));
            keywords.values().for_each(|one| references(one, found));
        }
        Value::Array(all) => all.iter().for_each(|one| references(one, found)),
        _ => {}
    }
}

/// Walks all types reachable from a type through simulated fields, and collects fields that are in no table.
fn walk<'a>(name: &'a str, is_top: bool, seen: &mut BTreeSet<&'a str>, missing: &mut Vec<String>) {
    let Some(definition) = DEFINITIONS.get(name) else { return };
    let Some(properties) = definition.get("properties").and_then(Value::as_object) else { return };
    if !seen.insert(name) {
        return;
    }
    let short = name.rsplit('.').next().unwrap_or(name);
    let tables =
        MODELLED.iter().chain(&MODELLED_OF_CUSTOM_KINDS).chain(&OBJECTS[..OBJECTS.len() - 1]);
    let is_known = tables.into_iter().any(|(of, _)| lists(of, short));
    for (field, schema) in properties {
        let is_object_field = is_top && lists(OBJECTS[OBJECTS.len() - 1].1, field);
        let played = part(short, field);
        let is_explained = played != Part::Listed || meaning(short, field) != meaning("", "");
        let is_in_a_table = is_known || played == Part::Neutral || is_object_field;
        if !is_in_a_table || !is_explained && !is_object_field {
            missing.push(format!("{short}.{field}"));
        }
        // Observed state is left out, except for the size of a node.
        let is_observed = is_object_field && field == "status" && short != "Node";
        if played == Part::Modelled && !is_observed {
            let mut found = Vec::new();
            references(schema, &mut found);
            for name in found {
                walk(name, false, seen, missing);
            }
        }
    }
}

#[test]
fn every_field_of_every_kind_that_is_simulated_is_in_a_table() {
    let (mut seen, mut missing) = (BTreeSet::new(), Vec::new());
    for name in simulated_types() {
        walk(name, true, &mut seen, &mut missing);
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(seen.len() > 80, "the walk finds the types: {}", seen.len());
}

#[test]
fn every_field_that_is_neutral_has_its_reason() {
    assert!(NEUTRAL.iter().all(|(.., reason)| !reason.is_empty()));
    assert!(MARKS.iter().all(|(.., meaning)| !meaning.is_empty()));
}

#[test]
fn annotations_and_labels_that_would_act_are_told_once_each() {
    let pod = |name: &str| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{istio-injection: enabled}}, annotations: \
             {{cluster-autoscaler.kubernetes.io/safe-to-evict: 'false', prometheus.io/scrape: 'true'}}}}, \
             spec: {{containers: [{{name: a, image: a}}]}}}}\n"
        )
    };
    let text = format!("{}---\n{}", pod("a"), pod("b"));
    let diagnostics_text = load(&[Source::new("pods.yaml", &text)]).diagnostics.to_string();
    assert!(
        diagnostics_text
            .contains("`cluster-autoscaler.kubernetes.io/*` is ignored (2 times): only"),
        "{diagnostics_text}"
    );
    assert!(
        diagnostics_text.contains("`istio-injection` is ignored (2 times): no sidecar"),
        "{diagnostics_text}"
    );
    assert!(!diagnostics_text.contains("prometheus.io"), "{diagnostics_text}");
}

#[test]
fn what_routes_say_beside_host_and_path_is_told_by_name() {
    let text = "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}, spec: {tls: [{hosts: [a.b]}], \
         defaultBackend: {service: {name: s, port: {number: 80}}}}}\n---\n\
         {apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a}, spec: {parentRefs: [{name: g}, \
         {name: g, sectionName: https}], rules: [{backendRefs: [{name: s, port: 80}]}]}}\n";
    let diagnostics_text = load(&[Source::new("routes.yaml", text)]).diagnostics.to_string();
    assert!(
        diagnostics_text.contains("spec.tls: `tls` is ignored: TLS adds neither"),
        "{diagnostics_text}"
    );
    assert!(
        diagnostics_text.contains("spec.parentRefs[1].sectionName: `sectionName` is ignored"),
        "{diagnostics_text}"
    );
}

/// A field that a new version of Kubernetes adds to one of these types counts as simulated until somebody has judged it:
/// it changes this list.
#[test]
fn types_that_are_simulated_as_a_whole_have_these_fields() {
    let mut lines = Vec::new();
    for (types, fields) in MODELLED.iter().chain(&MODELLED_OF_CUSTOM_KINDS) {
        for of in types.split_ascii_whitespace().filter(|_| *fields == "*") {
            let is_it = |name: &str| name.rsplit('.').next() == Some(of);
            let found = DEFINITIONS.iter().filter(|(name, _)| is_it(name));
            let fields = found.filter_map(|(_, schema)| schema["properties"].as_object()).flatten();
            let fields: BTreeSet<&str> = fields
                .map(|(field, _)| field.as_str())
                .filter(|field| part(of, field) == Part::Modelled)
                .collect();
            assert!(!fields.is_empty(), "{of}");
            lines.push(format!("{of}: {}", fields.into_iter().collect::<Vec<_>>().join(" ")));
        }
    }
    lines.sort();
    insta::assert_snapshot!(lines.join("\n"));
}
