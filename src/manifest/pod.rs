//! Converts pods and pod templates of the API to `cluster::PodTemplate`, in the form of newly
//! created pods. Admission (priority classes, default tolerations, RuntimeClass overhead) is not
//! applied here.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::constraints::{affinity, toleration, topology_spread};
use super::container::container;
use super::defaults::created_pod;
use super::field::{FieldErrors, FieldPath};
use super::references::references;
use super::resources::{requests_and_limits, resource_list};
use cluster::pod_template::{
    Affinity, Container, PodSpec, PodTemplate, PreemptionPolicy, RestartPolicy,
};
use cluster::{Labels, Name, TemplateDocument};
use engine::SimDuration;

/// The template of a Pod object or of a workload's `spec.template`. `path` is that of the object
/// with `metadata` and `spec`.
pub fn pod_template(
    metadata: Option<&ObjectMeta>,
    spec: &core::PodSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> PodTemplate {
    let mut spec = spec.clone();
    created_pod(&mut spec);
    let labels = metadata.and_then(|metadata| metadata.labels.as_ref());
    let annotations = metadata.and_then(|metadata| metadata.annotations.as_ref());
    PodTemplate {
        labels: pairs(labels),
        annotations: pairs(annotations),
        spec: pod_spec(&spec, &path.field("spec"), errors),
        document: TemplateDocument::default(),
    }
}

/// Converts labels, annotations and other string maps.
pub(super) fn pairs(map: Option<&std::collections::BTreeMap<String, String>>) -> Labels {
    map.into_iter().flatten().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

fn pod_spec(spec: &core::PodSpec, path: &FieldPath<'_>, errors: &mut FieldErrors) -> PodSpec {
    let host_network = spec.host_network.unwrap_or_default();
    if spec.containers.is_empty() {
        errors.required(&path.field("containers"), "at least one container");
    }
    let (containers, init_containers) = all_containers(spec, host_network, path, errors);
    let at = path.field("resources");
    let (pod_requests, pod_limits) = requests_and_limits(spec.resources.as_ref(), &at, errors);
    let priorities = [
        ("PreemptLowerPriority", PreemptionPolicy::PreemptLowerPriority),
        ("Never", PreemptionPolicy::Never),
    ];
    let policies = [
        ("Always", RestartPolicy::Always),
        ("OnFailure", RestartPolicy::OnFailure),
        ("Never", RestartPolicy::Never),
    ];
    let name = |given: &Option<String>| Name::from(given.as_deref().unwrap_or_default());
    let at = path.field("restartPolicy");
    PodSpec {
        containers,
        init_containers,
        pod_requests,
        pod_limits,
        overhead: resource_list(spec.overhead.as_ref(), &path.field("overhead"), errors),
        restart_policy: errors.choose(spec.restart_policy.as_deref(), &policies, &at),
        termination_grace_period: grace_period(spec, path, errors),
        active_deadline: spec.active_deadline_seconds.map(SimDuration::from_secs),
        node_name: spec.node_name.as_deref().filter(|name| !name.is_empty()).map(Name::from),
        node_selector: pairs(spec.node_selector.as_ref()),
        affinity: spec.affinity.as_ref().map_or_else(Affinity::default, |given| {
            affinity(given, &path.field("affinity"), errors)
        }),
        tolerations: list(spec.tolerations.as_deref(), "tolerations", path, errors, toleration),
        topology_spread: list(
            spec.topology_spread_constraints.as_deref(),
            "topologySpreadConstraints",
            path,
            errors,
            topology_spread,
        ),
        priority: spec.priority,
        priority_class_name: name(&spec.priority_class_name),
        preemption_policy: errors.choose(
            spec.preemption_policy.as_deref(),
            &priorities,
            &path.field("preemptionPolicy"),
        ),
        scheduler_name: name(&spec.scheduler_name),
        scheduling_gates: spec
            .scheduling_gates
            .iter()
            .flatten()
            .map(|gate| Name::from(gate.name.as_str()))
            .collect(),
        readiness_gates: spec
            .readiness_gates
            .iter()
            .flatten()
            .map(|gate| Name::from(gate.condition_type.as_str()))
            .collect(),
        host_network,
        references: references(spec),
        service_account_name: name(&spec.service_account_name),
    }
}

fn all_containers(
    spec: &core::PodSpec,
    host_network: bool,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> (Vec<Container>, Vec<Container>) {
    let mut lower = |given: &[core::Container], field| {
        list(Some(given), field, path, errors, |one, path, errors| {
            container(one, host_network, path, errors)
        })
    };
    let containers: Vec<Container> = lower(&spec.containers, "containers");
    let mut init = lower(spec.init_containers.as_deref().unwrap_or_default(), "initContainers");
    for one in &mut init {
        let policy = one.restart.as_ref().map(|own| own.policy);
        one.is_sidecar = policy == Some(RestartPolicy::Always);
    }
    (containers, init)
}

fn list<A, B>(
    given: Option<&[A]>,
    field: &str,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
    lower: impl Fn(&A, &FieldPath<'_>, &mut FieldErrors) -> B,
) -> Vec<B> {
    let path = path.field(field);
    let given = given.unwrap_or_default().iter().enumerate();
    given.map(|(position, one)| lower(one, &path.item(position), errors)).collect()
}

fn grace_period(
    spec: &core::PodSpec,
    path: &FieldPath<'_>,
    errors: &mut FieldErrors,
) -> SimDuration {
    let seconds = spec.termination_grace_period_seconds.unwrap_or_default();
    if seconds < 0 {
        let at = path.field("terminationGracePeriodSeconds");
        errors.not_negative(&at, seconds);
    }
    SimDuration::from_secs(seconds.max(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::Kind;
    use cluster::pod_resources::pod_requests;
    use cluster::pod_template::NodeInclusionPolicy;

    fn lower(json: &str) -> (PodSpec, Vec<String>) {
        let mut errors = FieldErrors::default();
        let pod: core::Pod = serde_json::from_str(json).unwrap();
        let spec = pod.spec.unwrap();
        let template = pod_template(Some(&pod.metadata), &spec, &FieldPath::ROOT, &mut errors);
        (template.spec, errors.into_vec().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_not_written_has_the_api_servers_defaults() {
        let (spec, errors) = lower(
            r#"{"spec":{"containers":[{"name":"a"}],"topologySpreadConstraints":[
                {"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule"}]}}"#,
        );
        assert_eq!(errors, [""; 0]);
        assert_eq!(spec.termination_grace_period, SimDuration::from_secs(30));
        assert_eq!(spec.scheduler_name.as_ref(), "default-scheduler");
        assert_eq!(spec.topology_spread[0].node_affinity_policy, NodeInclusionPolicy::Honor);
        assert_eq!(spec.topology_spread[0].node_taints_policy, NodeInclusionPolicy::Ignore);
    }

    #[test]
    fn pod_level_requests_default_from_the_containers_then_from_the_pod_level_limits() {
        let (spec, _) = lower(
            r#"{"spec":{"resources":{"limits":{"cpu":"2","memory":"1Gi"}},"containers":[
                {"name":"a","resources":{"requests":{"cpu":"300m"}}},
                {"name":"b","resources":{"requests":{"cpu":"200m","nvidia.com/gpu":"1"},
                                         "limits":{"nvidia.com/gpu":"1"}}}]}}"#,
        );
        let text = |name: &str| pod_requests(&spec).get(name).map(|amount| amount.to_string());
        assert_eq!(text("cpu").as_deref(), Some("500m"));
        assert_eq!(text("memory").as_deref(), Some("1Gi"));
        assert_eq!(text("nvidia.com/gpu").as_deref(), Some("1"));
        assert!(spec.pod_requests.get("nvidia.com/gpu").is_none());
    }

    #[test]
    fn pod_level_requests_do_not_default_without_pod_level_limits() {
        let (spec, _) = lower(
            r#"{"spec":{"resources":{"requests":{"cpu":"2"}},"containers":[
                {"name":"a","resources":{"requests":{"memory":"1Gi"}}}]}}"#,
        );
        assert!(spec.pod_requests.get("memory").is_none());
        assert_eq!(pod_requests(&spec).get("memory").unwrap().to_string(), "1Gi");
    }

    #[test]
    fn container_ports_are_host_ports_on_the_host_network() {
        let (spec, errors) = lower(
            r#"{"spec":{"hostNetwork":true,"containers":[
                {"name":"a","ports":[{"containerPort":8080}]}]}}"#,
        );
        assert_eq!(errors, [""; 0]);
        assert_eq!(spec.containers[0].ports[0].host_port, 8080);
    }

    #[test]
    fn objects_that_may_be_missing_are_no_references() {
        let (spec, _) = lower(
            r#"{"spec":{"volumes":[{"name":"v","configMap":{"name":"c","optional":true}},
                                   {"name":"w","persistentVolumeClaim":{"claimName":"p"}}],
                "containers":[{"name":"a","env":[{"name":"K","valueFrom":
                    {"secretKeyRef":{"name":"s","key":"k"}}}]}]}}"#,
        );
        let kinds: Vec<_> = spec.references.iter().map(|reference| reference.kind).collect();
        assert_eq!(kinds, [Kind::Secret, Kind::PersistentVolumeClaim]);
        assert_eq!(spec.references[0].key.as_deref(), Some("k"));
    }

    #[test]
    fn all_errors_come_at_once_with_their_paths() {
        let (_, errors) = lower(
            r#"{"spec":{"restartPolicy":"Sometimes","tolerations":[{"key":"a","effect":"No"}],
                "containers":[{"name":"a","resources":{"requests":{"cpu":"1.5.2"}}},
                              {"name":"b","ports":[{"containerPort":70000}]}]}}"#,
        );
        let paths: Vec<_> = errors.iter().map(|error| error.split(": ").next().unwrap()).collect();
        assert_eq!(
            paths,
            [
                "spec.containers[0].resources.requests[cpu]",
                "spec.containers[1].ports[0].containerPort",
                "spec.restartPolicy",
                "spec.tolerations[0].effect",
            ]
        );
    }
}
