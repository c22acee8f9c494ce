//! NodePools in their API form (`karpenter.sh/v1`).

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::amounts::Amounts;
use super::go_duration::parse_go_duration;
use super::node_pool::{
    Budget, BudgetNodes, ConsolidationPolicy, Disruption, DisruptionReason, NodePool, NodeTemplate,
};
use super::requirement::{NodeOperator, WrittenRequirement};
use cluster::cron_schedule::Schedule;
use cluster::node::Taint;
use cluster::pod_template::TaintEffect;
use cluster::{Labels, Name};
use engine::{Digest, SimDuration};
use manifest::karpenter::{NodePoolBudget, NodePoolRequirement, NodePoolSpec, NodePoolTaint};
use units::Quantity;

/// A validation error of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The field, such as `spec.limits.cpu`.
    pub field: String,
    /// The problem and the expected value.
    pub message: String,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

fn error(field: impl Into<String>, message: impl Into<String>) -> ApiError {
    ApiError { field: field.into(), message: message.into() }
}

/// Applies the defaults of the CRD.
pub fn set_defaults(spec: &mut NodePoolSpec) {
    spec.template.spec.expire_after.get_or_insert_with(|| "720h".to_owned());
    spec.disruption.consolidate_after.get_or_insert_with(|| "0s".to_owned());
    let tenth = || vec![NodePoolBudget { nodes: "10%".to_owned(), ..NodePoolBudget::default() }];
    spec.disruption.budgets.get_or_insert_with(tenth);
}

/// The label with which nodes name their node class (`NodeClassLabelKey`).
pub fn node_class_label(group: &str, kind: &str) -> Name {
    format!("{group}/{}", kind.to_ascii_lowercase()).into()
}

/// Builds a NodePool from its name and spec. `node_class` is the label that names its node class, with the value;
/// `class` is a fingerprint of the class's content. An error names the field.
pub fn node_pool(
    name: &str,
    spec: &NodePoolSpec,
    node_class: (Name, Name),
    class: &str,
) -> Result<NodePool, ApiError> {
    let of_nodes = &spec.template.spec;
    let at_nodes = "spec.template.spec";
    let period =
        |text: Option<&String>, field: &str| text.map_or(Ok(None), |text| nillable(text, field));
    let requirements = of_nodes.requirements.iter().enumerate();
    let budgets = spec.disruption.budgets.iter().flatten().enumerate();
    let template = NodeTemplate {
        labels: spec.template.metadata.labels.iter().map(pair).collect(),
        annotations: spec.template.metadata.annotations.iter().map(pair).collect(),
        requirements: requirements
            .map(|(place, one)| requirement(one, &format!("{at_nodes}.requirements[{place}]")))
            .collect::<Result<_, _>>()?,
        taints: taints(&of_nodes.taints, &format!("{at_nodes}.taints"))?,
        startup_taints: taints(&of_nodes.startup_taints, &format!("{at_nodes}.startupTaints"))?,
        node_class: Some(node_class),
        expire_after: period(of_nodes.expire_after.as_ref(), &format!("{at_nodes}.expireAfter"))?,
        termination_grace_period: period(
            of_nodes.termination_grace_period.as_ref(),
            &format!("{at_nodes}.terminationGracePeriod"),
        )?,
    };
    let disruption = Disruption {
        policy: match spec.disruption.consolidation_policy.as_deref() {
            None | Some("WhenEmptyOrUnderutilized") => {
                ConsolidationPolicy::WhenEmptyOrUnderutilized
            }
            Some("WhenEmpty") => ConsolidationPolicy::WhenEmpty,
            Some(other) => {
                let message =
                    format!("{other:?} is neither WhenEmpty nor WhenEmptyOrUnderutilized");
                return Err(error("spec.disruption.consolidationPolicy", message));
            }
        },
        consolidate_after: period(
            spec.disruption.consolidate_after.as_ref(),
            "spec.disruption.consolidateAfter",
        )?,
        budgets: budgets
            .map(|(place, one)| budget(one, &format!("spec.disruption.budgets[{place}]")))
            .collect::<Result<_, _>>()?,
    };
    Ok(NodePool {
        name: name.into(),
        limits: limits(&spec.limits)?,
        weight: spec.weight,
        disruption,
        hash: hash(&template, class),
        template,
        is_ready: true,
    })
}

fn pair((key, value): (&String, &String)) -> (Name, Name) {
    (key.as_str().into(), value.as_str().into())
}

/// A duration, or `Never`.
fn nillable(text: &str, field: &str) -> Result<Option<SimDuration>, ApiError> {
    if text == "Never" {
        return Ok(None);
    }
    let problem =
        || error(field, format!("{text:?} is not a duration such as 720h, and not Never"));
    parse_go_duration(text).map(Some).ok_or_else(problem)
}

fn requirement(one: &NodePoolRequirement, at: &str) -> Result<WrittenRequirement, ApiError> {
    let known = NodeOperator::ALL.into_iter().find(|known| known.as_str() == one.operator);
    let operator = known.ok_or_else(|| {
        let all: Vec<&str> = NodeOperator::ALL.iter().map(|one| one.as_str()).collect();
        let message = format!("{:?} is none of {}", one.operator, all.join(", "));
        error(format!("{at}.operator"), message)
    })?;
    Ok(WrittenRequirement {
        key: one.key.as_str().into(),
        operator,
        values: one.values.iter().map(|value| value.as_str().into()).collect(),
        min_values: one.min_values,
    })
}

/// Taints; `at` is the path of their list.
pub fn taints(taints: &[NodePoolTaint], at: &str) -> Result<Vec<Taint>, ApiError> {
    let taint = |(place, one): (usize, &NodePoolTaint)| {
        let effect = match one.effect.as_str() {
            "NoSchedule" => TaintEffect::NoSchedule,
            "PreferNoSchedule" => TaintEffect::PreferNoSchedule,
            "NoExecute" => TaintEffect::NoExecute,
            other => {
                let message =
                    format!("{other:?} is none of NoSchedule, PreferNoSchedule, NoExecute");
                return Err(error(format!("{at}[{place}].effect"), message));
            }
        };
        let (key, value) = (one.key.as_str().into(), one.value.as_str().into());
        Ok(Taint { key, value, effect, time_added: None })
    };
    taints.iter().enumerate().map(taint).collect()
}

fn budget(one: &NodePoolBudget, at: &str) -> Result<Budget, ApiError> {
    let reason = |text: &String| match text.as_str() {
        "Underutilized" => Ok(DisruptionReason::Underutilized),
        "Empty" => Ok(DisruptionReason::Empty),
        "Drifted" => Ok(DisruptionReason::Drifted),
        other => {
            let message = format!("{other:?} is none of Underutilized, Empty, Drifted");
            Err(error(format!("{at}.reasons"), message))
        }
    };
    let nodes = BudgetNodes::parse(&one.nodes);
    let window = match (&one.schedule, &one.duration) {
        (None, None) => None,
        (Some(schedule), Some(duration)) => {
            let schedule = Schedule::parse(schedule).map_err(|problem| {
                error(format!("{at}.schedule"), format!("{schedule:?}: {problem}"))
            })?;
            let period = parse_go_duration(duration).ok_or_else(|| {
                let message = format!("{duration:?} is not a duration such as 8h");
                error(format!("{at}.duration"), message)
            })?;
            Some((schedule, period))
        }
        _ => return Err(error(at, "schedule and duration go together")),
    };
    Ok(Budget {
        reasons: one.reasons.iter().map(reason).collect::<Result<_, _>>()?,
        nodes: nodes.ok_or_else(|| {
            let message = format!("{:?} is not a number of nodes, such as 3 or 10%", one.nodes);
            error(format!("{at}.nodes"), message)
        })?,
        window,
    })
}

fn limits(written: &BTreeMap<String, Value>) -> Result<Amounts, ApiError> {
    written
        .iter()
        .map(|(resource, amount)| {
            let text = match amount {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let field = || format!("spec.limits.{resource}");
            let amount: Quantity =
                text.parse().map_err(|problem| error(field(), format!("{problem}")))?;
            Ok((resource.as_str(), amount.nanos()))
        })
        .collect()
}

/// Hash of the template fields whose change makes a node drift. Requirements are left out: they are compared with
/// the node's labels directly.
fn hash(template: &NodeTemplate, class: &str) -> Name {
    let NodeTemplate { labels, annotations, taints, startup_taints, .. } = template;
    let mut digest = Digest::default();
    let pairs = |labels: &Labels| {
        let pairs = labels.iter().map(|(key, value)| format!("{key}={value}"));
        pairs.collect::<Vec<_>>().join(",")
    };
    let keys = |taints: &[Taint]| {
        let texts = taints.iter().map(|one| format!("{}={}:{:?}", one.key, one.value, one.effect));
        texts.collect::<Vec<_>>().join(",")
    };
    let text = [
        pairs(labels),
        pairs(annotations),
        keys(taints),
        keys(startup_taints),
        format!("{:?}", template.expire_after),
        format!("{:?}", template.termination_grace_period),
        format!("{:?}", template.node_class),
        class.to_owned(),
    ];
    digest.bytes(text.join("\n").as_bytes());
    format!("{:016x}", digest.value()).into()
}
