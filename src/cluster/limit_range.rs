//! LimitRanges: defaults and bounds for the resources of a namespace's pods (`plugin/pkg/admission/limitranger`,
//! 1.36), and bounds for the size of its claims.

use super::action::Refused;
use super::claim::ClaimSpec;
use super::meta::{Name, NamespacedName, ObjectMeta};
use super::object::plain_object;
use super::pod_resources::{container_limits, container_requests};
use super::pod_template::{Container, PodSpec, PodTemplate, ResourceList, TemplateId};
use super::store::Store;
use units::Quantity;

/// A LimitRange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitRange {
    /// Object metadata.
    pub meta: ObjectMeta,
    /// Its limits.
    pub spec: LimitRangeSpec,
}

/// `spec` of a LimitRange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitRangeSpec {
    /// `limits`, defaulted.
    pub limits: Vec<LimitRangeItem>,
}

plain_object!(LimitRange, LimitRangeSpec);

/// Scope of a LimitRange item (`LimitType`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitType {
    /// Individual containers.
    #[default]
    Container,
    /// Pods, by the sum over their containers.
    Pod,
    /// PersistentVolumeClaims.
    PersistentVolumeClaim,
}

/// Bounds and defaults for containers, pods or claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitRangeItem {
    /// The scope of this item.
    pub limit_type: LimitType,
    /// Maximum of each resource, for requests and limits.
    pub max: ResourceList,
    /// Minimum of each resource.
    pub min: ResourceList,
    /// Limits for containers without any.
    pub default_limits: ResourceList,
    /// Requests for containers without any.
    pub default_requests: ResourceList,
    /// Maximum ratio of limit to request.
    pub max_limit_request_ratio: ResourceList,
}

impl Store {
    /// The pod template with the defaults of its namespace's LimitRanges.
    pub(super) fn default_by_limit_ranges(
        &mut self,
        namespace: &Name,
        template: TemplateId,
    ) -> TemplateId {
        let old = &self.templates[template];
        match self.defaulted_by_limit_ranges(namespace, &old.spec) {
            Some(spec) if spec != old.spec => {
                let changed = PodTemplate { spec, ..old.clone() };
                self.intern(changed)
            }
            _ => template,
        }
    }

    /// A pod spec with the defaults of its namespace's LimitRanges; `None` if the namespace has none for containers.
    pub fn defaulted_by_limit_ranges(&self, namespace: &Name, spec: &PodSpec) -> Option<PodSpec> {
        // Most namespaces have none, and cloning a spec for each pod is expensive.
        let is_of_containers = |item: &&LimitRangeItem| item.limit_type == LimitType::Container;
        let mut items = self.limits_of(namespace).filter(is_of_containers).peekable();
        items.peek()?;
        let mut changed = spec.clone();
        for item in items {
            let containers = &mut changed.containers;
            for container in changed.init_containers.iter_mut().chain(containers) {
                fill(&mut container.limits, &item.default_limits);
                fill(&mut container.requests, &item.default_requests);
            }
        }
        Some(changed)
    }

    fn limits_of(&self, namespace: &Name) -> impl Iterator<Item = &LimitRangeItem> {
        let own = self.limit_ranges().values().filter(move |one| one.meta.namespace() == namespace);
        own.flat_map(|range| &range.spec.limits)
    }
}

fn fill(amounts: &mut ResourceList, defaults: &ResourceList) {
    for (name, amount) in defaults.iter() {
        if amounts.get(name).is_none() {
            amounts.set(name.clone(), amount);
        }
    }
}

/// Refuses a pod outside the bounds of its namespace (`PodValidateLimitFunc`).
pub(super) fn admit_pod(
    store: &Store,
    namespace: &Name,
    pod: &str,
    spec: &PodSpec,
) -> Result<(), Refused> {
    let mut problems = Vec::new();
    for item in store.limits_of(namespace) {
        match item.limit_type {
            LimitType::Pod => {
                let requests = container_requests(spec, &ResourceList::default());
                check(item, &requests, &container_limits(spec), "Pod", &mut problems);
            }
            LimitType::Container => {
                for Container { requests, limits, .. } in
                    spec.containers.iter().chain(&spec.init_containers)
                {
                    check(item, requests, limits, "Container", &mut problems);
                }
            }
            LimitType::PersistentVolumeClaim => {}
        }
    }
    forbid("pods", pod, problems)
}

/// Refuses a claim outside the bounds of its namespace (`PersistentVolumeClaimValidateLimitFunc`).
pub(super) fn admit_claim(
    store: &Store,
    id: &NamespacedName,
    spec: &ClaimSpec,
) -> Result<(), Refused> {
    let mut problems = Vec::new();
    let items = store.limits_of(&id.namespace);
    for item in items.filter(|item| item.limit_type == LimitType::PersistentVolumeClaim) {
        check_claim(item, &spec.requests, &mut problems);
    }
    forbid("persistentvolumeclaims", &id.name, problems)
}

/// `minConstraint` and `maxRequestConstraint`: claims have requests only.
fn check_claim(item: &LimitRangeItem, requests: &ResourceList, problems: &mut Vec<String>) {
    let bounds = [("minimum", &item.min), ("maximum", &item.max)];
    for (what, bounds) in bounds {
        for (name, bound) in bounds.iter() {
            let message_of = |why: String| {
                format!("{what} {name} usage per PersistentVolumeClaim is {bound}{why}")
            };
            match requests.get(name) {
                None => problems.push(message_of(".  No request is specified".to_owned())),
                Some(request)
                    if (what == "minimum" && request < bound)
                        || (what == "maximum" && request > bound) =>
                {
                    problems.push(message_of(format!(", but request is {request}")));
                }
                Some(_) => {}
            }
        }
    }
}

fn forbid(resource: &str, name: &str, mut problems: Vec<String>) -> Result<(), Refused> {
    let why = match problems.len() {
        0 => return Ok(()),
        1 => problems.remove(0),
        _ => format!("[{}]", problems.join(", ")),
    };
    Err(Refused::Forbidden(format!("{resource} \"{name}\" is forbidden: {why}")))
}

/// `minConstraint`, `maxConstraint` and `limitRequestRatioConstraint`, with their messages.
fn check(
    item: &LimitRangeItem,
    requests: &ResourceList,
    limits: &ResourceList,
    what: &str,
    problems: &mut Vec<String>,
) {
    for (name, least) in item.min.iter() {
        let message_of = |why: String| format!("minimum {name} usage per {what} is {least}{why}");
        match (requests.get(name), limits.get(name)) {
            (None, _) => problems.push(message_of(".  No request is specified".to_owned())),
            (Some(request), _) if request < least => {
                problems.push(message_of(format!(", but request is {request}")));
            }
            (_, Some(limit)) if limit < least => {
                problems.push(message_of(format!(", but limit is {limit}")));
            }
            _ => {}
        }
    }
    for (name, most) in item.max.iter() {
        let message_of = |why: String| format!("maximum {name} usage per {what} is {most}{why}");
        match (requests.get(name), limits.get(name)) {
            (_, None) => problems.push(message_of(".  No limit is specified".to_owned())),
            (_, Some(limit)) if limit > most => {
                problems.push(message_of(format!(", but limit is {limit}")));
            }
            (Some(request), _) if request > most => {
                problems.push(message_of(format!(", but request is {request}")));
            }
            _ => {}
        }
    }
    for (name, ratio) in item.max_limit_request_ratio.iter() {
        let message_of = |why: &str| {
            format!("{name} max limit to request ratio per {what} is {ratio}, but {why}")
        };
        let given = |amount: Option<Quantity>| {
            amount.map(|amount| amount.nanos() as f64).filter(|amount| *amount > 0.0)
        };
        match (given(requests.get(name)), given(limits.get(name))) {
            (None, _) => {
                problems.push(message_of("no request is specified or request is 0"));
            }
            (_, None) => problems.push(message_of("no limit is specified or limit is 0")),
            (Some(request), Some(limit)) => {
                let observed = limit / request;
                if observed > ratio.nanos() as f64 / 1e9 {
                    problems.push(message_of(&format!("provided ratio is {observed:.6}")));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(cpu: &str) -> ResourceList {
        [("cpu", cpu.parse::<Quantity>().expect("a quantity"))].into_iter().collect()
    }

    fn problems(item: &LimitRangeItem, request: &str, limit: Option<&str>) -> Vec<String> {
        let mut problems = Vec::new();
        let limits = limit.map(list).unwrap_or_default();
        check(item, &list(request), &limits, "Container", &mut problems);
        problems
    }

    #[test]
    fn bounds_hold_for_requests_and_limits_in_the_api_servers_words() {
        let item = LimitRangeItem { min: list("100m"), max: list("1"), ..Default::default() };
        assert!(problems(&item, "200m", Some("1")).is_empty());
        assert_eq!(
            problems(&item, "50m", Some("2")),
            [
                "minimum cpu usage per Container is 100m, but request is 50m",
                "maximum cpu usage per Container is 1, but limit is 2",
            ]
        );
        assert_eq!(
            problems(&item, "200m", None),
            ["maximum cpu usage per Container is 1.  No limit is specified"]
        );
    }

    #[test]
    fn a_limit_may_be_only_so_many_times_its_request() {
        let item = LimitRangeItem { max_limit_request_ratio: list("2"), ..Default::default() };
        assert!(problems(&item, "500m", Some("1")).is_empty());
        assert_eq!(
            problems(&item, "250m", Some("1")),
            ["cpu max limit to request ratio per Container is 2, but provided ratio is 4.000000"]
        );
    }
}
