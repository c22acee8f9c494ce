//! Resources of a pod as a whole: the sum over its containers, with init containers, sidecars, pod-level resources
//! and overhead (component-helpers `resource/helpers.go`, 1.36).

use super::pod_template::{Container, PodSpec, ResourceList};

/// True if a resource can be set at pod level (`IsSupportedPodLevelResource`).
pub fn is_pod_level_resource(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory") || resource.starts_with("hugepages-")
}

/// The requests of the whole pod (`PodRequests`): container requests, overridden by pod-level ones if present, plus
/// the overhead.
pub fn pod_requests(spec: &PodSpec) -> ResourceList {
    let mut requests = container_requests(spec, &ResourceList::default());
    for (name, amount) in spec.pod_requests.iter() {
        if is_pod_level_resource(name) {
            requests.set(name.clone(), amount);
        }
    }
    requests.add_all(&spec.overhead);
    requests
}

/// Requests of all containers together, without pod-level resources and overhead (`AggregateContainerRequests`).
/// `missing` is used for a container without a request.
pub fn container_requests(spec: &PodSpec, missing: &ResourceList) -> ResourceList {
    aggregate(spec, |container| {
        let mut requests = container.requests.clone();
        for (name, amount) in missing.iter() {
            if requests.get(name).is_none() {
                requests.set(name.clone(), amount);
            }
        }
        requests
    })
}

/// The limits of all containers together (`AggregateContainerLimits`).
pub fn container_limits(spec: &PodSpec) -> ResourceList {
    aggregate(spec, |container| container.limits.clone())
}

/// Containers and sidecars run together; an init container runs together with the sidecars listed before it. The pod
/// needs the maximum over these phases.
fn aggregate(spec: &PodSpec, amounts: impl Fn(&Container) -> ResourceList) -> ResourceList {
    let mut running = ResourceList::default();
    for container in &spec.containers {
        running.add_all(&amounts(container));
    }
    let mut sidecars = ResourceList::default();
    let mut initializing = ResourceList::default();
    for container in &spec.init_containers {
        let mut own = amounts(container);
        if container.is_sidecar {
            running.add_all(&own);
            sidecars.add_all(&own);
            initializing.raise_to(&sidecars);
        } else {
            own.add_all(&sidecars);
            initializing.raise_to(&own);
        }
    }
    running.raise_to(&initializing);
    running
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::Quantity;

    fn container(cpu: &str, is_sidecar: bool) -> Container {
        let cpu: Quantity = cpu.parse().unwrap();
        let requests = [("cpu", cpu)].into_iter().collect();
        Container { requests, is_sidecar, ..Container::default() }
    }

    fn cpu(spec: &PodSpec) -> String {
        pod_requests(spec).get("cpu").unwrap().to_string()
    }

    #[test]
    fn an_init_container_counts_the_sidecars_before_it_but_not_those_after() {
        let mut spec = PodSpec {
            containers: vec![container("100m", false)],
            init_containers: vec![container("200m", true), container("500m", false)],
            ..PodSpec::default()
        };
        assert_eq!(cpu(&spec), "700m");
        spec.init_containers.push(container("1", true));
        assert_eq!(cpu(&spec), "1300m");
    }

    #[test]
    fn pod_level_requests_replace_the_sum_and_overhead_comes_on_top() {
        let list = |name: &'static str, amount: &str| {
            [(name, amount.parse::<Quantity>().unwrap())].into_iter().collect::<ResourceList>()
        };
        let spec = PodSpec {
            containers: vec![container("100m", false)],
            pod_requests: list("cpu", "2"),
            overhead: list("cpu", "50m"),
            ..PodSpec::default()
        };
        assert_eq!(cpu(&spec), "2050m");
    }
}
