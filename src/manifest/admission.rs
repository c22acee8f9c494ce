//! What admission plugins of the API server do to the template of a pod before it is stored. Applied
//! to the templates of workloads at once, which gives their pods the same.

use std::collections::BTreeMap;

use super::field::{FieldErrors, FieldPath};
use super::priority_class::system_class;
use crate::cluster::Name;
use crate::cluster::node::{NOT_READY_TAINT, UNREACHABLE_TAINT};
use crate::cluster::pod_template::{
    PodTemplate, PreemptionPolicy, TaintEffect, Toleration, TolerationOperator,
};
use crate::cluster::policy::PriorityClass;

/// How long a pod stays on a node that is not heard of, unless it says so itself.
const DEFAULT_TOLERATION_SECONDS: i64 = 300;

/// Tolerations of the taints of a lost node, for those pods that have none of their own
/// (`plugin/pkg/admission/defaulttolerationseconds`).
pub fn default_toleration_seconds(template: &mut PodTemplate) {
    let tolerations = &mut template.spec.tolerations;
    let is_own = |toleration: &Toleration, taint: &str| {
        let fits_effect = toleration.effect.is_none_or(|effect| effect == TaintEffect::NoExecute);
        fits_effect && (toleration.key.is_empty() || toleration.key.as_ref() == taint)
    };
    let missing = [NOT_READY_TAINT, UNREACHABLE_TAINT]
        .map(|taint| (taint, !tolerations.iter().any(|toleration| is_own(toleration, taint))));
    for (taint, _) in missing.into_iter().filter(|(_, is_missing)| *is_missing) {
        tolerations.push(Toleration {
            key: taint.into(),
            operator: TolerationOperator::Exists,
            value: Name::default(),
            effect: Some(TaintEffect::NoExecute),
            toleration_seconds: Some(DEFAULT_TOLERATION_SECONDS),
        });
    }
}

/// Priority and preemption policy from the pod's class, or from the default class
/// (`plugin/pkg/admission/priority`). `path` leads to the object that holds `spec`.
pub fn priority(
    template: &mut PodTemplate,
    classes: &BTreeMap<Name, PriorityClass>,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) {
    let spec = &mut template.spec;
    let path = path.field("spec");
    let class = if spec.priority_class_name.is_empty() {
        // Several defaults are a race; the lowest wins.
        let defaults = classes.values().filter(|class| class.global_default);
        defaults.min_by_key(|class| class.value).cloned()
    } else {
        let name = &spec.priority_class_name;
        let class = classes.get(name).cloned().or_else(|| system_class(name));
        if class.is_none() {
            let problem = format!("no PriorityClass with name {name} was found");
            errors.push(&path.field("priorityClassName"), problem);
        }
        class
    };
    let (value, never_preempts) =
        class.as_ref().map_or((0, false), |class| (class.value, class.never_preempts));
    if let Some(given) = spec.priority.filter(|given| *given != value) {
        let problem =
            format!("{given} must not be provided in pod spec; the PriorityClass makes it {value}");
        errors.push(&path.field("priority"), problem);
    }
    if spec.preemption_policy == PreemptionPolicy::Never && !never_preempts {
        let problem = "Never must not be provided in pod spec; it is a matter of the PriorityClass";
        errors.push(&path.field("preemptionPolicy"), problem);
    }
    spec.priority_class_name = class.map_or_else(Name::default, |class| class.name);
    spec.priority = Some(value);
    spec.preemption_policy =
        if never_preempts { PreemptionPolicy::Never } else { PreemptionPolicy::default() };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, value: i32, global_default: bool, never_preempts: bool) -> PriorityClass {
        PriorityClass { name: name.into(), value, global_default, never_preempts }
    }

    /// Priority, class and policy of a pod that asks for `name`; and what was wrong.
    fn admitted(
        name: &str,
        classes: &[PriorityClass],
    ) -> (Option<i32>, Name, PreemptionPolicy, Vec<String>) {
        let classes = classes.iter().map(|class| (class.name.clone(), class.clone())).collect();
        let mut template = PodTemplate::default();
        template.spec.priority_class_name = name.into();
        let mut errors = FieldErrors::default();
        priority(&mut template, &classes, &FieldPath::ROOT, &mut errors);
        let spec = template.spec;
        let errors = errors.into_vec().iter().map(ToString::to_string).collect();
        (spec.priority, spec.priority_class_name, spec.preemption_policy, errors)
    }

    #[test]
    fn pods_stay_300_seconds_on_a_lost_node_unless_they_say_otherwise() {
        let mut template = PodTemplate::default();
        default_toleration_seconds(&mut template);
        let keys: Vec<&str> =
            template.spec.tolerations.iter().map(|toleration| &*toleration.key).collect();
        assert_eq!(keys, [NOT_READY_TAINT, UNREACHABLE_TAINT]);
        let before = template.clone();
        default_toleration_seconds(&mut template);
        assert_eq!(template, before);

        let own = Toleration {
            key: UNREACHABLE_TAINT.into(),
            operator: TolerationOperator::Exists,
            value: Name::default(),
            effect: None,
            toleration_seconds: Some(10),
        };
        let mut template = PodTemplate::default();
        template.spec.tolerations = vec![own.clone()];
        default_toleration_seconds(&mut template);
        assert_eq!(template.spec.tolerations.len(), 2);
        assert_eq!(template.spec.tolerations[0], own);

        let mut template = PodTemplate::default();
        template.spec.tolerations = vec![Toleration { key: Name::default(), ..own }];
        default_toleration_seconds(&mut template);
        assert_eq!(template.spec.tolerations.len(), 1);
    }

    #[test]
    fn the_class_gives_priority_and_preemption_policy() {
        let classes = [class("gold", 9, false, true), class("base", 3, true, false)];
        let never = PreemptionPolicy::Never;
        let preempts = PreemptionPolicy::PreemptLowerPriority;
        assert_eq!(admitted("gold", &classes), (Some(9), "gold".into(), never, vec![]));
        assert_eq!(admitted("", &classes), (Some(3), "base".into(), preempts, vec![]));
        assert_eq!(admitted("", &[]), (Some(0), "".into(), preempts, vec![]));
        let critical = "system-node-critical";
        let expected = (Some(2_000_001_000), critical.into(), preempts, vec![]);
        assert_eq!(admitted(critical, &classes), expected);
    }

    #[test]
    fn an_unknown_class_or_a_priority_of_its_own_is_an_error() {
        let (.., errors) = admitted("silver", &[]);
        assert_eq!(errors, ["spec.priorityClassName: no PriorityClass with name silver was found"]);
        let mut template = PodTemplate::default();
        template.spec.priority = Some(7);
        template.spec.preemption_policy = PreemptionPolicy::Never;
        let mut errors = FieldErrors::default();
        priority(&mut template, &BTreeMap::new(), &FieldPath::ROOT, &mut errors);
        let errors: Vec<String> = errors.into_vec().iter().map(ToString::to_string).collect();
        assert_eq!(
            errors,
            [
                "spec.priority: 7 must not be provided in pod spec; the PriorityClass makes it 0",
                "spec.preemptionPolicy: Never must not be provided in pod spec; it is a matter of \
                 the PriorityClass",
            ]
        );
    }
}
