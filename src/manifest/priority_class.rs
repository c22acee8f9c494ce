//! PriorityClasses of the API to those of `cluster` (`pkg/apis/scheduling`, 1.36).

use k8s_openapi::api::scheduling::v1 as scheduling;

use super::field::{FieldErrors, FieldPath};
use super::object_meta::required_name;
use crate::cluster::policy::PriorityClass;

/// The highest priority that a class of a user can have.
const HIGHEST_USER_DEFINABLE: i32 = 1_000_000_000;

/// Names that begin like this are kept for the classes of every cluster.
const SYSTEM_PREFIX: &str = "system-";

/// The classes that every cluster has.
const SYSTEM_CLASSES: [(&str, i32); 2] = [
    ("system-cluster-critical", 2 * HIGHEST_USER_DEFINABLE),
    ("system-node-critical", 2 * HIGHEST_USER_DEFINABLE + 1000),
];

/// A PriorityClass.
pub fn priority_class(
    class: &scheduling::PriorityClass,
    errors: &mut FieldErrors,
) -> PriorityClass {
    let name = required_name(&class.metadata, errors);
    let value = class.value.unwrap_or(0);
    let path = FieldPath::ROOT;
    if name.starts_with(SYSTEM_PREFIX) {
        if !SYSTEM_CLASSES.contains(&(name, value)) {
            let problem = "priority class names with 'system-' prefix are reserved for system use \
                           only";
            errors.push(&path.field("metadata").field("name"), problem);
        }
    } else if value > HIGHEST_USER_DEFINABLE {
        let problem = format!(
            "maximum allowed value of a user defined priority is {HIGHEST_USER_DEFINABLE}, not \
             {value}"
        );
        errors.push(&path.field("value"), problem);
    }
    let choices = [("PreemptLowerPriority", false), ("Never", true)];
    let policy = class.preemption_policy.as_deref();
    PriorityClass {
        name: name.into(),
        value,
        global_default: class.global_default.unwrap_or(false),
        never_preempts: errors.choose(policy, &choices, false, &path.field("preemptionPolicy")),
    }
}

/// The class of a name that every cluster has.
pub(super) fn system_class(name: &str) -> Option<PriorityClass> {
    let (name, value) = SYSTEM_CLASSES.iter().find(|(known, _)| *known == name)?;
    Some(PriorityClass {
        name: (*name).into(),
        value: *value,
        global_default: false,
        never_preempts: false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn lower(object: Value) -> (PriorityClass, Vec<String>) {
        let mut errors = FieldErrors::default();
        let typed: scheduling::PriorityClass = serde_json::from_value(object).unwrap();
        let class = priority_class(&typed, &mut errors);
        (class, errors.into_vec().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_class_preempts_unless_it_says_never() {
        let (class, errors) = lower(json!({"metadata": {"name": "gold"}, "value": 1_000_000_000}));
        assert_eq!(errors, [""; 0]);
        assert_eq!(
            (class.value, class.global_default, class.never_preempts),
            (1_000_000_000, false, false)
        );
        let (class, _) = lower(json!({"metadata": {"name": "gold"}, "preemptionPolicy": "Never"}));
        assert_eq!((class.value, class.never_preempts), (0, true));
    }

    #[test]
    fn what_is_kept_for_the_system_is_refused() {
        let (_, errors) = lower(json!({"metadata": {"name": "gold"}, "value": 1_000_000_001}));
        assert_eq!(
            errors,
            [
                "value: maximum allowed value of a user defined priority is 1000000000, not 1000000001"
            ]
        );
        let (_, errors) = lower(json!({"metadata": {"name": "system-gold"}, "value": 1}));
        assert_eq!(
            errors,
            ["metadata.name: priority class names with 'system-' prefix are reserved for system \
              use only"]
        );
        let system = json!({"metadata": {"name": "system-node-critical"}, "value": 2_000_001_000});
        let (class, errors) = lower(system);
        assert_eq!(errors, [""; 0]);
        assert_eq!(system_class("system-node-critical"), Some(class));
    }
}
