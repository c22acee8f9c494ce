//! What triggers say: their values, and whether they are active.

use std::fmt;

use crate::cluster::hpa::MetricTarget;
use crate::cluster::scaled_object::{ScaledObject, Trigger, TriggerSource};
use crate::cluster::{ClusterView, Name};

/// The triggers of a ScaledObject at an instant.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    triggers: Vec<Seen>,
    /// Only CPU and memory: these never put anything to sleep.
    only_resources: bool,
}

#[derive(Clone, Debug)]
struct Seen {
    kind: Name,
    metric_name: Name,
    value_milli: i64,
    target: MetricTarget,
    activation_milli: i64,
}

impl Activity {
    /// Looks at all triggers.
    pub fn of(view: ClusterView<'_>, object: &ScaledObject) -> Self {
        let triggers = object.spec.triggers.iter();
        let seen = triggers.clone().filter_map(|trigger| {
            let TriggerSource::Measured { target, activation_milli, .. } = trigger.source else {
                return None;
            };
            Some(Seen {
                kind: trigger.kind.clone(),
                metric_name: trigger.metric_name.clone(),
                value_milli: trigger_value(view, trigger)?,
                target,
                activation_milli,
            })
        });
        let mut simulated = triggers.filter(|one| one.source != TriggerSource::Unknown);
        Self {
            triggers: seen.collect(),
            only_resources: simulated
                .all(|one| matches!(one.source, TriggerSource::Resource { .. })),
        }
    }

    /// Whether any of them is active.
    pub fn is_active(&self) -> bool {
        self.only_resources || self.triggers.iter().any(Seen::is_active)
    }

    /// The scalers that are, as KEDA's events name them.
    pub(super) fn active_names(&self) -> String {
        let active = self.triggers.iter().filter(|one| one.is_active());
        active.map(|one| format!("{}Scaler", one.kind)).collect::<Vec<_>>().join(", ")
    }
}

impl Seen {
    const fn is_active(&self) -> bool {
        self.value_milli > self.activation_milli
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Seen { kind, metric_name, value_milli, target, activation_milli } in &self.triggers {
            let is_active = if value_milli > activation_milli { "active" } else { "not active" };
            let number = |milli: i64| milli as f64 / 1000.0;
            let (value, activation) = (number(*value_milli), number(*activation_milli));
            write!(f, "trigger {kind} ({metric_name}): {value}, {is_active} above {activation}, ")?;
            match target {
                MetricTarget::AverageValueMilli(milli) => {
                    writeln!(f, "target {} per pod", number(*milli))?;
                }
                MetricTarget::ValueMilli(milli) => writeln!(f, "target {} in all", number(*milli))?,
                MetricTarget::Utilization(percent) => writeln!(f, "target {percent}%")?,
            }
        }
        if self.only_resources {
            writeln!(f, "triggers on CPU and memory alone always count as active")?;
        }
        Ok(())
    }
}

/// The value of a trigger's metric in the external metrics API, thousandths of a unit: KEDA's metrics
/// server asks the trigger each time it is asked itself. `None` for a metric that is no trigger's.
pub fn external_value(
    view: ClusterView<'_>,
    namespace: &str,
    scaled_object: &str,
    metric_name: &str,
) -> Option<i64> {
    let is_it = |object: &&ScaledObject| {
        *object.meta.id.name == *scaled_object && **object.meta.namespace() == *namespace
    };
    let object = view.store().scaled_objects().values().find(is_it)?;
    let trigger = object.spec.triggers.iter().find(|one| *one.metric_name == *metric_name)?;
    trigger_value(view, trigger)
}

fn trigger_value(view: ClusterView<'_>, trigger: &Trigger) -> Option<i64> {
    let TriggerSource::Measured { query, .. } = &trigger.source else { return None };
    let custom = view.store().custom_metrics();
    let rule = rule_of(query, custom.series.keys())?;
    let series = custom.series.get(rule)?;
    // A query without a result counts as 0 (`ignoreNullValues`).
    Some(series.iter().find_map(|one| one.external).unwrap_or(0))
}

/// The metric of the scenario that a query or a queue's name stands for: the one of that very name, or
/// else the longest name that stands in the query.
pub fn rule_of<'a>(query: &str, names: impl Iterator<Item = &'a Name>) -> Option<&'a Name> {
    names.filter(|name| query.contains(&***name)).max_by_key(|name| name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_stands_for_the_longest_metric_named_in_it() {
        let names: [Name; 3] =
            ["http_requests".into(), "http_requests_total".into(), "jobs".into()];
        let rule = |query| rule_of(query, names.iter()).map(|name| String::from(&**name));
        assert_eq!(
            rule("sum(rate(http_requests_total[2m]))").as_deref(),
            Some("http_requests_total")
        );
        assert_eq!(rule("jobs").as_deref(), Some("jobs"));
        assert_eq!(rule("up"), None);
    }
}
