//! A pod's request for one resource as counted by the HPA. Unlike in the scheduler's sum, every container must have a
//! request, or the whole metric fails.

use cluster::meta::Name;
use cluster::pod_resources::{is_pod_level_resource, pod_requests};
use cluster::pod_template::{Container, PodSpec};
use units::Quantity;

/// Why a pod has no usable request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestProblem {
    /// A container has none.
    MissingInContainer(Name),
    /// Requests are set at pod level, and neither there nor in any container is this one.
    MissingAtPodLevel,
    /// The container that the metric names does not exist.
    NoSuchContainer,
}

/// The request of a pod in thousandths of a unit: of one container, or of all of them with the
/// sidecars; or at pod level where any request is set there (`calculateRequests`).
pub fn pod_request_milli(
    spec: &PodSpec,
    resource: &str,
    container: Option<&str>,
    pod_level_resources: bool,
) -> Result<i64, RequestProblem> {
    if let Some(name) = container {
        let container = running_containers(spec).find(|container| *container.name == *name);
        return container_request_milli(
            container.ok_or(RequestProblem::NoSuchContainer)?,
            resource,
        );
    }
    let is_pod_level = spec.pod_requests.iter().any(|(name, _)| is_pod_level_resource(name));
    if pod_level_resources && is_pod_level {
        let request = pod_requests(spec).get(resource);
        return request.map(Quantity::milli_value).ok_or(RequestProblem::MissingAtPodLevel);
    }
    running_containers(spec).try_fold(0_i64, |sum, container| {
        Ok(sum.wrapping_add(container_request_milli(container, resource)?))
    })
}

/// Containers that run side by side: the regular ones and the sidecars.
fn running_containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    let sidecars = spec.init_containers.iter().filter(|container| container.is_sidecar);
    spec.containers.iter().chain(sidecars)
}

fn container_request_milli(container: &Container, resource: &str) -> Result<i64, RequestProblem> {
    let request = container.requests.get(resource).map(Quantity::milli_value);
    request.ok_or_else(|| RequestProblem::MissingInContainer(container.name.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(name: &str, cpu: &str, is_sidecar: bool) -> Container {
        let amount = (!cpu.is_empty()).then(|| ("cpu", cpu.parse().expect("a quantity")));
        let requests = amount.into_iter().collect();
        Container { name: name.into(), requests, is_sidecar, ..Container::default() }
    }

    fn cpu(spec: &PodSpec, container: Option<&str>) -> Result<i64, RequestProblem> {
        pod_request_milli(spec, "cpu", container, true)
    }

    #[test]
    fn sidecars_count_and_init_containers_do_not() {
        let spec = PodSpec {
            containers: vec![container("app", "200m", false)],
            init_containers: vec![container("init", "4", false), container("proxy", "50m", true)],
            ..PodSpec::default()
        };
        assert_eq!(cpu(&spec, None), Ok(250));
        assert_eq!(cpu(&spec, Some("proxy")), Ok(50));
        assert_eq!(cpu(&spec, Some("init")), Err(RequestProblem::NoSuchContainer));
    }

    #[test]
    fn one_container_without_request_fails_the_pod() {
        let containers = vec![container("app", "200m", false), container("log", "", false)];
        let spec = PodSpec { containers, ..PodSpec::default() };
        assert_eq!(cpu(&spec, None), Err(RequestProblem::MissingInContainer("log".into())));
        assert_eq!(cpu(&spec, Some("app")), Ok(200));
    }

    #[test]
    fn pod_level_requests_replace_the_sum_and_fall_back_to_the_peak() {
        let mut spec = PodSpec {
            containers: vec![container("app", "200m", false), container("log", "", false)],
            init_containers: vec![
                container("proxy", "50m", true),
                container("init", "300m", false),
            ],
            pod_requests: [("cpu", "500m".parse().expect("a quantity"))].into_iter().collect(),
            ..PodSpec::default()
        };
        assert_eq!(cpu(&spec, None), Ok(500));
        assert_eq!(cpu(&spec, Some("app")), Ok(200));
        spec.pod_requests = [("memory", "1Gi".parse().expect("a quantity"))].into_iter().collect();
        assert_eq!(cpu(&spec, None), Ok(350));
        spec.containers.clear();
        spec.init_containers.clear();
        assert_eq!(cpu(&spec, None), Err(RequestProblem::MissingAtPodLevel));
    }
}
