//! The NodePools of a case.

use karpenter::node_pool::{
    Budget, BudgetNodes, ConsolidationPolicy, Disruption, DisruptionReason, NodePool, NodeTemplate,
};
use karpenter::parse_go_duration;
use karpenter::requirement::{NodeOperator, WrittenRequirement};

use super::case::{CaseTaint, Pool, PoolBudget, PoolRequirement};
use super::catalog::amounts;
use cluster::cron_schedule::Schedule;
use cluster::node::Taint;
use cluster::pod_template::TaintEffect;
use cluster::{Labels, Name};
use engine::SimDuration;

/// The label that names the node class of all pools of a recording.
pub(super) const CLASS_LABEL: &str = "karpenter.kwok.sh/kwoknodeclass";
/// The hash of a pool that has not changed.
pub(super) const HASH: &str = "current";

/// A NodePool; `at` is where it stands in the case.
pub(super) fn node_pool(pool: &Pool, at: &str) -> Result<NodePool, String> {
    let spec = &pool.spec;
    let of_nodes = &spec.template.spec;
    let at_nodes = format!("{at}.spec.template.spec");
    let period =
        |text: Option<&String>, field: &str| text.map_or(Ok(None), |text| nillable(text, field));
    let requirements = of_nodes.requirements.iter().enumerate();
    let budgets = spec.disruption.budgets.iter().enumerate();
    let template = NodeTemplate {
        labels: spec.template.metadata.labels.iter().map(pair).collect(),
        annotations: spec.template.metadata.annotations.iter().map(pair).collect(),
        requirements: requirements
            .map(|(place, one)| requirement(one, &format!("{at_nodes}.requirements[{place}]")))
            .collect::<Result<_, _>>()?,
        taints: taints(&of_nodes.taints, &format!("{at_nodes}.taints"))?,
        startup_taints: taints(&of_nodes.startup_taints, &format!("{at_nodes}.startupTaints"))?,
        node_class: Some((CLASS_LABEL.into(), "default".into())),
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
                return Err(format!(
                    "{at}.spec.disruption.consolidationPolicy: {other:?} is neither WhenEmpty nor WhenEmptyOrUnderutilized"
                ));
            }
        },
        consolidate_after: period(
            spec.disruption.consolidate_after.as_ref(),
            &format!("{at}.spec.disruption.consolidateAfter"),
        )?,
        budgets: budgets
            .map(|(place, one)| budget(one, &format!("{at}.spec.disruption.budgets[{place}]")))
            .collect::<Result<_, _>>()?,
    };
    Ok(NodePool {
        name: pool.name.as_str().into(),
        template,
        limits: amounts(&spec.limits).map_err(|error| format!("{at}.spec.limits.{error}"))?,
        weight: spec.weight,
        disruption,
        hash: HASH.into(),
        is_ready: true,
    })
}

fn pair((key, value): (&String, &String)) -> (Name, Name) {
    (key.as_str().into(), value.as_str().into())
}

/// Labels or annotations.
pub(super) fn labels<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> Labels {
    pairs.into_iter().map(pair).collect()
}

/// A duration, or `Never`.
fn nillable(text: &str, field: &str) -> Result<Option<SimDuration>, String> {
    if text == "Never" {
        return Ok(None);
    }
    let problem = || format!("{field}: {text:?} is no duration such as 720h, and not Never");
    parse_go_duration(text).map(Some).ok_or_else(problem)
}

fn requirement(one: &PoolRequirement, at: &str) -> Result<WrittenRequirement, String> {
    let known = NodeOperator::ALL.into_iter().find(|known| known.as_str() == one.operator);
    let operator = known.ok_or_else(|| format!("{at}.operator: {:?} is unknown", one.operator))?;
    Ok(WrittenRequirement {
        key: one.key.as_str().into(),
        operator,
        values: one.values.iter().map(|value| value.as_str().into()).collect(),
        min_values: one.min_values,
    })
}

/// Taints; `at` is where they stand in the case.
pub(super) fn taints(taints: &[CaseTaint], at: &str) -> Result<Vec<Taint>, String> {
    let taint = |(place, one): (usize, &CaseTaint)| {
        let effect = match one.effect.as_str() {
            "NoSchedule" => TaintEffect::NoSchedule,
            "PreferNoSchedule" => TaintEffect::PreferNoSchedule,
            "NoExecute" => TaintEffect::NoExecute,
            other => return Err(format!("{at}[{place}].effect: {other:?} is unknown")),
        };
        let (key, value) = (one.key.as_str().into(), one.value.as_str().into());
        Ok(Taint { key, value, effect, time_added: None })
    };
    taints.iter().enumerate().map(taint).collect()
}

fn budget(one: &PoolBudget, at: &str) -> Result<Budget, String> {
    let reason = |text: &String| match text.as_str() {
        "Underutilized" => Ok(DisruptionReason::Underutilized),
        "Empty" => Ok(DisruptionReason::Empty),
        "Drifted" => Ok(DisruptionReason::Drifted),
        other => Err(format!("{at}.reasons: {other:?} is unknown")),
    };
    let nodes = BudgetNodes::parse(&one.nodes);
    let window = match (&one.schedule, &one.duration) {
        (None, None) => None,
        (Some(schedule), Some(duration)) => {
            let schedule = Schedule::parse(schedule)
                .map_err(|error| format!("{at}.schedule: {schedule:?}: {error}"))?;
            let period = parse_go_duration(duration)
                .ok_or_else(|| format!("{at}.duration: {duration:?} is no duration"))?;
            Some((schedule, period))
        }
        _ => return Err(format!("{at}: schedule and duration go together")),
    };
    Ok(Budget {
        reasons: one.reasons.iter().map(reason).collect::<Result<_, _>>()?,
        nodes: nodes.ok_or_else(|| format!("{at}.nodes: {:?} is no number of nodes", one.nodes))?,
        window,
    })
}
