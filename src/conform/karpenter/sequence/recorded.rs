//! The events of a timeline in the form of the recordings.

use serde_json::{Value, json};

use super::Timeline;
use crate::karpenter::decisions;
use karpenter::disruption::{Command, Method};
use karpenter::operator::{Nomination, Output};

/// Order by time, then kind, then content.
pub(in crate::karpenter) fn by_time_and_kind(one: &Value, other: &Value) -> std::cmp::Ordering {
    let time = |event: &Value| event["t"].as_f64().unwrap_or(0.0);
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let key = |event: &Value| {
        ["event", "node", "pod"].map(|field| text(event, field)).join("\u{1}")
            + &event["candidates"].to_string()
    };
    let (one_time, other_time) = ((time(one) * 1e6).round(), (time(other) * 1e6).round());
    one_time.total_cmp(&other_time).then_with(|| key(one).cmp(&key(other)))
}

impl Timeline<'_> {
    pub(super) fn tell(&mut self, event: &str, mut fields: Value) {
        fields["event"] = json!(event);
        fields["t"] = json!(self.now.since(self.start).as_secs_f64());
        self.decisions.push(fields);
    }

    /// Records an output of the operator that is not a request.
    pub(super) fn tell_of(&mut self, output: &Output) {
        match output {
            Output::Scheduled { pending, deleting, .. } => {
                let counts =
                    json!({ "pending": pending.to_string(), "deleting": deleting.to_string() });
                self.tell("schedule", counts);
            }
            Output::Nominated(nominations) => {
                let mut pods: Vec<String> = nominations.iter().map(nominated).collect();
                pods.sort();
                self.tell("nominated", json!({ "pods": pods }));
            }
            Output::Created(name) => {
                let Some(one) = self.operator.claims().get(name) else { return };
                let Some(made) = one.made.clone() else { return };
                let requirements = made.claim_requirements(self.operator.options());
                let decisions = json!({
                    "node": &**name, "nodepool": &*made.pool.name,
                    "n_instance_types": made.options.len(),
                    "requests": decisions::amounts(&made.requests),
                    "requirements": decisions::requirements(&requirements),
                });
                self.tell("nodeclaim_created", decisions);
            }
            Output::Consolidatable { node, holds } => {
                self.tell("consolidatable", json!({ "node": &**node, "value": holds }));
            }
            Output::Started { round, command } => {
                let mut decisions = started(command);
                decisions["loop_started"] = json!(round.since(self.start).as_secs_f64());
                self.tell("command", decisions);
            }
            // For other methods there is no event: the real program overwrites it.
            Output::Invalidated { round, method: Method::Emptiness, .. } => {
                let message = "abandoning empty node consolidation attempt due to pod churn, command is no longer valid";
                let round = round.since(self.start).as_secs_f64();
                let decisions = json!({ "loop_started": round, "message": message });
                self.tell("validation_failed", decisions);
            }
            Output::NothingLeft { round } => {
                let round = round.since(self.start).as_secs_f64();
                self.tell("validation_without_command", json!({ "loop_started": round }));
            }
            Output::Done { command, has_succeeded } => {
                let decisions = json!({ "candidates": names(command), "succeeded": has_succeeded });
                self.tell("command_done", decisions);
            }
            _ => {}
        }
    }
}

/// `a0: Pod should schedule on: nodeclaim/new01, node/new01`.
fn nominated(one: &Nomination) -> String {
    let of_claim = one.claim.as_ref().map(|claim| format!("nodeclaim/{claim}"));
    let of_node = one.node.as_ref().map(|node| format!("node/{node}"));
    let target: Vec<String> = of_claim.into_iter().chain(of_node).collect();
    format!("{}: Pod should schedule on: {}", one.pod.name, target.join(", "))
}

fn names(command: &Command) -> Vec<&str> {
    command.candidates.iter().map(|one| &*one.node).collect()
}

fn started(command: &Command) -> Value {
    let replacements = command.replacements.iter().map(|claim| {
        let cheapest = claim.options.first().map(|one| one.name.to_string());
        let pods: Vec<&str> = claim.pods.iter().map(|pod| &*pod.id.name).collect();
        json!({ "cheapest": cheapest, "n_instance_types": claim.options.len(), "pods": pods })
    });
    json!({
        "candidates": names(command), "decision": command.decision().as_str(),
        "method": command.method.as_str(), "reason": command.method.reason().as_str(),
        "replacements": replacements.collect::<Vec<_>>(),
    })
}
