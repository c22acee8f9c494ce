//! Evaluates a `podFailurePolicy` for a failed pod (`pod_failure_policy.go`, 1.36).

use cluster::Name;
use cluster::container_status::{ContainerState, ContainerStatus};
use cluster::job::{PodFailureAction, PodFailurePattern, PodFailureRule};
use cluster::node::ConditionStatus;
use cluster::pod::{Pod, PodCondition};
use cluster::pod_template::{Container, PodTemplate};

/// The condition of a pod that was evicted, preempted or otherwise disrupted.
const DISRUPTION_TARGET: &str = "DisruptionTarget";

/// Verdict of the first rule that matches a failed pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Its action; absent if none matches.
    pub action: Option<PodFailureAction>,
    /// With `FailJob`: why, in the controller's words.
    pub message: Option<String>,
}

impl Judgement {
    /// Whether the failure counts towards the back-off limit.
    pub fn is_counted(&self) -> bool {
        self.action != Some(PodFailureAction::Ignore)
    }
}

/// Judges a failed pod (`matchPodFailurePolicy`). `FailIndex` means something only with a limit of
/// failures per index.
pub fn judge(
    rules: Option<&[PodFailureRule]>,
    pod: &Pod,
    template: &PodTemplate,
    has_limit_per_index: bool,
) -> Judgement {
    for (position, rule) in rules.into_iter().flatten().enumerate() {
        if rule.action == PodFailureAction::FailIndex && !has_limit_per_index {
            continue;
        }
        let Some(cause) = cause(&rule.pattern, pod, template) else { continue };
        let message = (rule.action == PodFailureAction::FailJob).then(|| {
            let id = &pod.id;
            let (who, how) = match cause {
                Cause::ExitCode(container, code) => (
                    format!("Container {container} for pod {}/{}", id.namespace, id.name),
                    format!("failed with exit code {code}"),
                ),
                Cause::Condition(kind) => {
                    (format!("Pod {}/{}", id.namespace, id.name), format!("has condition {kind}"))
                }
            };
            format!("{who} {how} matching FailJob rule at index {position}")
        });
        return Judgement { action: Some(rule.action), message };
    }
    Judgement { action: None, message: None }
}

/// The exit codes of the containers that have ended, the regular ones first.
fn exit_codes<'a>(
    pod: &'a Pod,
    template: &'a PodTemplate,
) -> impl Iterator<Item = (&'a Name, i32)> {
    let spec = &template.spec;
    let (init, regular) = pod.containers.split(spec);
    let of = |(container, status): (&'a Container, &ContainerStatus)| match status.state {
        ContainerState::Terminated(end) => Some((&container.name, end.exit_code)),
        ContainerState::Waiting(_) | ContainerState::Running { .. } => None,
    };
    let regular = spec.containers.iter().zip(regular).filter_map(of);
    regular.chain(spec.init_containers.iter().zip(init).filter_map(of))
}

enum Cause<'a> {
    ExitCode(&'a Name, i32),
    Condition(&'a Name),
}

fn cause<'a>(
    pattern: &'a PodFailurePattern,
    pod: &'a Pod,
    template: &'a PodTemplate,
) -> Option<Cause<'a>> {
    match pattern {
        PodFailurePattern::ExitCodes { container, is_negated, values } => {
            let is_match = |(name, code): &(&Name, i32)| {
                *code != 0
                    && container.as_ref().is_none_or(|container| container == *name)
                    && values.contains(code) != *is_negated
            };
            let found = exit_codes(pod, template).find(is_match);
            found.map(|(name, code)| Cause::ExitCode(name, code))
        }
        PodFailurePattern::Conditions(patterns) => {
            let is_met = |kind: &Name, status: ConditionStatus| match &**kind {
                DISRUPTION_TARGET => {
                    pod.disruption_target.is_some() && status == ConditionStatus::True
                }
                "Ready" => holds(pod.ready, status),
                "PodScheduled" => holds(pod.conditions.scheduled, status),
                "PodReadyToStartContainers" => {
                    holds(pod.conditions.ready_to_start_containers, status)
                }
                "Initialized" => holds(pod.conditions.initialized, status),
                "ContainersReady" => holds(pod.conditions.containers_ready, status),
                _ => false,
            };
            let met = patterns.iter().find(|(kind, status)| is_met(kind, *status));
            met.map(|(kind, _)| Cause::Condition(kind))
        }
    }
}

fn holds(condition: Option<PodCondition>, status: ConditionStatus) -> bool {
    condition.is_some_and(|condition| condition.status == status)
}
