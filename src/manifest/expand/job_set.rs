//! Converts a JobSet to Jobs like its controller (`constructJob`, `labelAndAnnotateObject`, jobset
//! v0.10).

use serde_json::{Map, Value, json};

use super::{Expansion, ExpansionInput, Mistake, keep_to_one_domain, labels, marked};
use cluster::starts_after::{HELD, JOB_SET_POLICIES, STARTS_AFTER, awaited};

/// Prefix of the labels that identify Jobs and pods.
const GROUP: &str = "jobset.sigs.k8s.io";
/// Annotation with the topology domain that each Job has exclusively.
const EXCLUSIVE: &str = "alpha.jobset.sigs.k8s.io/exclusive-topology";

pub(super) fn make(given: &ExpansionInput<'_>) -> Expansion {
    let sets = given.list("/spec/replicatedJobs");
    if sets.is_empty() {
        return Err(Mistake {
            field: "spec.replicatedJobs",
            message: "Required value: the Jobs of the set".to_owned(),
            help: "a replicated Job needs a name, replicas, and a Job template",
        });
    }
    let in_order = given.text("/spec/startupPolicy/startupPolicyOrder") == Some("InOrder");
    let has_names = given.value("/spec/network/enableDNSHostnames") != Some(&Value::Bool(false));
    let subdomain = given.text("/spec/network/subdomain").unwrap_or(given.name());
    let mut made = Vec::new();
    if has_names {
        let selector = json!({format!("{GROUP}/jobset-name"): given.name()});
        made.push(given.service(subdomain, &selector, &Value::Null, true));
    }
    let mut global_index = 0;
    for (position, set) in sets.iter().enumerate() {
        let mut after: Vec<String> = Vec::new();
        if let Some(earlier) = position.checked_sub(1).filter(|_| in_order) {
            after.extend(awaited_jobs(given, &sets[earlier], "Ready"));
        }
        let asked = set.get("dependsOn").and_then(Value::as_array);
        for one in asked.into_iter().flatten() {
            let state = one.get("status").and_then(Value::as_str).unwrap_or("Ready");
            let other = sets.iter().find(|other| other.get("name") == one.get("name"));
            after.extend(other.into_iter().flat_map(|other| awaited_jobs(given, other, state)));
        }
        for index in 0..replicas(set) {
            let subdomain = has_names.then_some(subdomain);
            made.push(job(given, set, (index, global_index), subdomain, &after));
            global_index += 1;
        }
    }
    Ok(made)
}

fn name_of(set: &Value) -> &str {
    set.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn replicas(set: &Value) -> i64 {
    set.get("replicas").and_then(Value::as_i64).unwrap_or(1).clamp(0, 10_000)
}

fn awaited_jobs(given: &ExpansionInput<'_>, set: &Value, state: &str) -> Vec<String> {
    let namespace = &given.manifest.reference.id.namespace;
    let name = |index| format!("{}-{}-{index}", given.name(), name_of(set));
    (0..replicas(set)).map(|index| awaited("Job", namespace, &name(index), state)).collect()
}

fn job(
    given: &ExpansionInput<'_>,
    set: &Value,
    (index, global_index): (i64, i64),
    subdomain: Option<&str>,
    after: &[String],
) -> Value {
    let template = set.get("template").cloned().unwrap_or_else(|| json!({}));
    let name = format!("{}-{}-{index}", given.name(), name_of(set));
    let key = format!("{}-{name}", given.manifest.reference.id.namespace);
    let own = labels([
        (&format!("{GROUP}/jobset-name"), given.name()),
        (&format!("{GROUP}/replicatedjob-name"), name_of(set)),
        (&format!("{GROUP}/replicatedjob-replicas"), &replicas(set).to_string()),
        (&format!("{GROUP}/job-index"), &index.to_string()),
        (&format!("{GROUP}/job-global-index"), &global_index.to_string()),
        (&format!("{GROUP}/job-key"), &key),
        (&format!("{GROUP}/restart-attempt"), "0"),
    ]);
    let mut spec =
        template.get("spec").cloned().filter(Value::is_object).unwrap_or_else(|| json!({}));
    let mut pods = marked(&spec["template"], &own, &Map::new());
    if let Some(subdomain) = subdomain {
        pods["spec"]["subdomain"] = subdomain.into();
    }
    if pods["spec"]["restartPolicy"].is_null() {
        pods["spec"]["restartPolicy"] = "OnFailure".into();
    }
    let of_job =
        template.pointer("/metadata/annotations").and_then(|all| all.get(EXCLUSIVE)?.as_str());
    if let Some(topology) = given.annotation(EXCLUSIVE).or(of_job) {
        keep_to_one_domain(&mut pods, &format!("{GROUP}/job-key"), &key, topology);
    }
    spec["template"] = pods;
    if spec["completionMode"].is_null() {
        spec["completionMode"] = "Indexed".into();
    }
    let is_suspended = given.value("/spec/suspend") == Some(&Value::Bool(true));
    spec["suspend"] = (is_suspended || !after.is_empty()).into();
    let mut job_labels = own;
    if let Some(Value::Object(written)) = template.pointer("/metadata/labels") {
        job_labels.extend(written.clone());
    }
    for key in ["kueue.x-k8s.io/queue-name", "kueue.x-k8s.io/priority-class"] {
        if let Some(queue) = given.value("/metadata/labels").and_then(|all| all.get(key)) {
            job_labels.insert(key.to_owned(), queue.clone());
        }
    }
    let mut metadata = given.metadata(&name, &job_labels);
    let policies: Map<String, Value> = ["failurePolicy", "successPolicy"]
        .into_iter()
        .filter_map(|field| {
            Some((field.to_owned(), given.value(&format!("/spec/{field}"))?.clone()))
        })
        .collect();
    metadata["annotations"] = json!({JOB_SET_POLICIES: Value::Object(policies).to_string()});
    if !after.is_empty() && !is_suspended {
        metadata["annotations"][STARTS_AFTER] = after.join(",").into();
        if job_labels.contains_key("kueue.x-k8s.io/queue-name") {
            metadata["annotations"][HELD] = "".into();
        }
    }
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec})
}
