//! Scopes of ResourceQuotas: which pods a quota counts (`PodMatchesScopeFunc` of
//! `pkg/quota/v1/evaluator/core/pods.go`, 1.36).

use super::meta::Name;
use super::pod_template::PodSpec;
use super::qos::{QosClass, qos_class};
use super::selector::{Operator, Requirement};

/// A scope of a quota: of several, all must hold for a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotaScope {
    /// Pods with `activeDeadlineSeconds`.
    Terminating,
    /// Pods without it.
    NotTerminating,
    /// Pods without any request or limit.
    BestEffort,
    /// Pods with some request or limit.
    NotBestEffort,
    /// Pods by `priorityClassName`; the requirement's key is [`Self::PRIORITY_CLASS`].
    PriorityClass(Requirement),
    /// Pods with affinity across namespaces: none is known to have such.
    CrossNamespacePodAffinity,
}

impl QuotaScope {
    /// The name of the scope by priority class.
    pub const PRIORITY_CLASS: &'static str = "PriorityClass";

    /// The scope with this name and no operator; the one for priority classes matches all pods that have one.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "Terminating" => Self::Terminating,
            "NotTerminating" => Self::NotTerminating,
            "BestEffort" => Self::BestEffort,
            "NotBestEffort" => Self::NotBestEffort,
            "CrossNamespacePodAffinity" => Self::CrossNamespacePodAffinity,
            Self::PRIORITY_CLASS => Self::of_priority_classes(Operator::Exists, Vec::new()),
            _ => return None,
        })
    }

    /// The scope of certain priority classes.
    pub fn of_priority_classes(operator: Operator, values: Vec<Name>) -> Self {
        Self::PriorityClass(Requirement { key: Self::PRIORITY_CLASS.into(), operator, values })
    }

    /// Whether a pod is in the scope.
    pub fn has(&self, spec: &PodSpec) -> bool {
        match self {
            Self::Terminating => spec.active_deadline.is_some(),
            Self::NotTerminating => spec.active_deadline.is_none(),
            Self::BestEffort => qos_class(spec) == QosClass::BestEffort,
            Self::NotBestEffort => qos_class(spec) != QosClass::BestEffort,
            Self::PriorityClass(requirement) => {
                let class = &spec.priority_class_name;
                let named = (!class.is_empty()).then_some((Self::PRIORITY_CLASS, class.clone()));
                requirement.matches(&named.into_iter().collect())
            }
            Self::CrossNamespacePodAffinity => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod_template::Container;
    use engine::SimDuration;

    #[test]
    fn a_scope_holds_for_its_pods_alone() {
        let plain = PodSpec { containers: vec![Container::default()], ..PodSpec::default() };
        let urgent = PodSpec {
            priority_class_name: "high".into(),
            active_deadline: Some(SimDuration::from_secs(60)),
            ..plain.clone()
        };
        let named = |name| QuotaScope::named(name).expect("a scope");
        assert!(named("BestEffort").has(&plain) && !named("NotBestEffort").has(&plain));
        assert!(named("Terminating").has(&urgent) && named("NotTerminating").has(&plain));
        assert!(named("PriorityClass").has(&urgent) && !named("PriorityClass").has(&plain));
        let of = |operator| QuotaScope::of_priority_classes(operator, vec!["high".into()]);
        assert!(of(Operator::In).has(&urgent) && !of(Operator::In).has(&plain));
        // As with labels, an absent value is not in the list.
        assert!(of(Operator::NotIn).has(&plain) && !of(Operator::NotIn).has(&urgent));
        assert!(QuotaScope::named("Other").is_none());
    }
}
