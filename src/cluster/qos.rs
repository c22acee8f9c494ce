//! The quality of service of a pod (`ComputePodQOS` in `pkg/apis/core/v1/helper/qos`, 1.36).

use super::pod_template::{PodSpec, ResourceList};

/// QoS class of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QosClass {
    /// No request and no limit anywhere.
    BestEffort,
    /// Anything between.
    Burstable,
    /// Every container's requests equal its limits, for CPU and memory.
    Guaranteed,
}

impl QosClass {
    /// The spelling used by the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BestEffort => "BestEffort",
            Self::Burstable => "Burstable",
            Self::Guaranteed => "Guaranteed",
        }
    }
}

/// The QoS class of a pod. Only CPU and memory count; pod-level amounts, if any, replace those of all containers.
pub fn qos_class(spec: &PodSpec) -> QosClass {
    let has_pod_level = !(spec.pod_requests.is_empty() && spec.pod_limits.is_empty());
    let lists: Vec<(&ResourceList, &ResourceList)> = if has_pod_level {
        vec![(&spec.pod_requests, &spec.pod_limits)]
    } else {
        let all = spec.init_containers.iter().chain(&spec.containers);
        all.map(|container| (&container.requests, &container.limits)).collect()
    };
    let amount = |list: &ResourceList, resource| list.get(resource).filter(|one| one.nanos() > 0);
    let is_named = |(requests, limits): &(&ResourceList, &ResourceList)| {
        ["cpu", "memory"].into_iter().any(|resource| {
            amount(requests, resource).or_else(|| amount(limits, resource)).is_some()
        })
    };
    let is_its_own = |(requests, limits): &(&ResourceList, &ResourceList)| {
        ["cpu", "memory"].into_iter().all(|resource| {
            let limit = amount(limits, resource);
            limit.is_some() && requests.get(resource).or(limit) == limit
        })
    };
    if !lists.iter().any(is_named) {
        QosClass::BestEffort
    } else if lists.iter().all(is_its_own) {
        QosClass::Guaranteed
    } else {
        QosClass::Burstable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod_template::Container;
    use units::Quantity;

    fn list(amounts: &[(&'static str, &str)]) -> ResourceList {
        amounts.iter().map(|(name, one)| (*name, one.parse::<Quantity>().unwrap())).collect()
    }

    fn class(requests: &[(&'static str, &str)], limits: &[(&'static str, &str)]) -> QosClass {
        let container =
            Container { requests: list(requests), limits: list(limits), ..Container::default() };
        qos_class(&PodSpec { containers: vec![container], ..PodSpec::default() })
    }

    #[test]
    fn the_class_follows_from_requests_and_limits() {
        let both = [("cpu", "1"), ("memory", "1Gi")];
        assert_eq!(class(&[], &[]), QosClass::BestEffort);
        assert_eq!(class(&[("nvidia.com/gpu", "1")], &[]), QosClass::BestEffort);
        assert_eq!(class(&both, &both), QosClass::Guaranteed);
        assert_eq!(class(&both, &[]), QosClass::Burstable);
        assert_eq!(class(&[("cpu", "500m")], &both), QosClass::Burstable);
    }
}
