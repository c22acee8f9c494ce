//! Changes that the API server's admission plugins make to pods before they are stored.

use std::collections::BTreeMap;

use cluster::node::{NOT_READY_TAINT, UNREACHABLE_TAINT};
use cluster::pod_template::{
    PodSpec, PreemptionPolicy, TaintEffect, Toleration, TolerationOperator,
};
use cluster::priority_class::{PriorityClass, PriorityClassSpec};
use cluster::{Name, ObjectMeta};

/// Default time that a pod stays on an unreachable or not-ready node.
const DEFAULT_TOLERATION_SECONDS: i64 = 300;

/// Tolerates a failed node for five minutes by default (`DefaultTolerationSeconds`).
pub(crate) fn add_default_tolerations(spec: &mut PodSpec) {
    for taint in [NOT_READY_TAINT, UNREACHABLE_TAINT] {
        let tolerates = |toleration: &Toleration| {
            let is_of_key = &*toleration.key == taint || toleration.key.is_empty();
            let is_of_effect = matches!(toleration.effect, None | Some(TaintEffect::NoExecute));
            is_of_key && is_of_effect
        };
        if !spec.tolerations.iter().any(tolerates) {
            spec.tolerations.push(Toleration {
                key: taint.into(),
                operator: TolerationOperator::Exists,
                value: "".into(),
                effect: Some(TaintEffect::NoExecute),
                toleration_seconds: Some(DEFAULT_TOLERATION_SECONDS),
            });
        }
    }
}

/// The built-in priority classes of every cluster.
pub(crate) fn system_priority_classes() -> [PriorityClass; 2] {
    [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)].map(
        |(name, value)| PriorityClass {
            meta: ObjectMeta::new("", name),
            spec: PriorityClassSpec { value, global_default: false, never_preempts: false },
        },
    )
}

/// Sets a pod's priority from its class, or from the default class (`Priority`). `Err` is the API
/// server's reason to reject the pod.
pub(crate) fn resolve_priority(
    spec: &mut PodSpec,
    classes: &BTreeMap<Name, PriorityClass>,
) -> Result<(), String> {
    let named = &spec.priority_class_name;
    let class = if named.is_empty() {
        let defaults = classes.values().filter(|class| class.spec.global_default);
        defaults.min_by_key(|class| class.spec.value)
    } else {
        let class = classes.get(named);
        Some(class.ok_or_else(|| format!("no PriorityClass with name {named} was found"))?)
    };
    let value = class.map_or(0, |class| class.spec.value);
    if let Some(written) = spec.priority.filter(|written| *written != value) {
        return Err(format!(
            "the integer value of priority ({written}) must not be provided in pod spec; \
             priority admission controller computed {value} from the given PriorityClass name"
        ));
    }
    let never_preempts = class.is_some_and(|class| class.spec.never_preempts);
    if spec.preemption_policy == PreemptionPolicy::Never && !never_preempts {
        return Err(
            "the string value of PreemptionPolicy (Never) must not be provided in pod spec; \
                    priority admission controller computed PreemptLowerPriority from the given \
                    PriorityClass name"
                .to_owned(),
        );
    }
    spec.priority = Some(value);
    if let Some(class) = class {
        spec.priority_class_name = class.meta.name().clone();
    }
    if never_preempts {
        spec.preemption_policy = PreemptionPolicy::Never;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toleration(key: &str, effect: Option<TaintEffect>) -> Toleration {
        Toleration {
            key: key.into(),
            operator: TolerationOperator::Exists,
            value: "".into(),
            effect,
            toleration_seconds: None,
        }
    }

    #[test]
    fn a_pod_stays_five_minutes_on_a_failed_node_unless_it_says_otherwise() {
        let seconds = |tolerations: Vec<Toleration>| {
            let mut spec = PodSpec { tolerations, ..PodSpec::default() };
            add_default_tolerations(&mut spec);
            spec.tolerations
                .iter()
                .filter_map(|t| Some((t.key.to_string(), t.toleration_seconds?)))
                .collect::<Vec<_>>()
        };
        let both = [(NOT_READY_TAINT.to_owned(), 300), (UNREACHABLE_TAINT.to_owned(), 300)];
        assert_eq!(seconds(vec![]), both);
        assert_eq!(seconds(vec![toleration(NOT_READY_TAINT, None)]), both[1..]);
        assert_eq!(seconds(vec![toleration(NOT_READY_TAINT, Some(TaintEffect::NoSchedule))]), both);
        assert_eq!(seconds(vec![toleration("", None)]), []);
    }

    #[test]
    fn a_pods_priority_is_that_of_its_class_or_of_the_default_class() {
        let class = |name: &str, value, global_default| {
            let class = PriorityClass {
                meta: ObjectMeta::new("", name),
                spec: PriorityClassSpec { value, global_default, never_preempts: global_default },
            };
            (Name::from(name), class)
        };
        let classes = BTreeMap::from([class("low", 5, true), class("high", 100, false)]);
        let resolved = |name: &str, priority| {
            let mut spec =
                PodSpec { priority_class_name: name.into(), priority, ..PodSpec::default() };
            resolve_priority(&mut spec, &classes).map(|()| (spec.priority, spec.preemption_policy))
        };
        assert_eq!(resolved("high", None), Ok((Some(100), PreemptionPolicy::PreemptLowerPriority)));
        assert_eq!(resolved("", None), Ok((Some(5), PreemptionPolicy::Never)));
        assert!(
            resolved("missing", None).unwrap_err().contains("no PriorityClass with name missing")
        );
        assert!(resolved("high", Some(7)).is_err());
        let mut never =
            PodSpec { preemption_policy: PreemptionPolicy::Never, ..PodSpec::default() };
        let problem = resolve_priority(&mut never, &BTreeMap::new()).unwrap_err();
        assert!(problem.contains("PreemptionPolicy (Never) must not be provided"));
        assert_eq!(resolve_priority(&mut never, &classes), Ok(()), "the default class says Never");
        let mut spec = PodSpec::default();
        assert_eq!(resolve_priority(&mut spec, &BTreeMap::new()), Ok(()));
        assert_eq!(spec.priority, Some(0));
    }
}
