//! Checks that the pods behind a Service have its target ports.

use std::collections::BTreeSet;

use serde_json::Value;

use super::cross_check::{pod_path, warning};
use super::diagnostic::{Diagnostic, Diagnostics};
use super::load::Object;
use super::relations::Relations;
use cluster::pod_template::{ContainerPort, PodTemplate};
use cluster::service::{ServicePort, ServiceSpec};

/// Warns of target ports that no pod has: names always, as the endpoints then lack the port (`FindPort` of
/// `k8s.io/endpointslice`); numbers only if all pods declare ports (which is optional) and the Service targets none of
/// them.
pub(super) fn check(
    object: &Object,
    service: &ServiceSpec,
    relations: &Relations<'_>,
) -> Diagnostics {
    let mut problems = Diagnostics::default();
    let Some(selector) = &service.selector else { return problems };
    let namespace = object.meta.namespace();
    let selected = relations.owners(selector).iter().filter_map(|other| {
        let template = other.spec.pod_template()?;
        let is_selected = other.meta.namespace() == namespace && selector.matches(&template.labels);
        is_selected.then_some((*other, template))
    });
    let selected: Vec<(&Object, &PodTemplate)> = selected.collect();
    let Some((owner, _)) = selected.first() else { return problems };
    let declared: BTreeSet<u16> =
        selected.iter().flat_map(|(_, pods)| ports(pods)).map(|port| port.container_port).collect();
    let has_number = |port: &ServicePort, number: u16| {
        port.target_port.parse().is_ok_and(|target: u16| target == number)
    };
    let has_name = |port: &ServicePort, one: &ContainerPort| port.target_port == one.name;
    // Clients of a headless Service choose the port themselves. And pods with one declared and targeted port often have
    // other, undeclared ones.
    let all_declare = selected.iter().all(|(_, pods)| ports(pods).next().is_some());
    let is_reached = service.ports.iter().any(|port| {
        let mut declared = selected.iter().flat_map(|(_, pods)| ports(pods));
        declared.any(|one| has_number(port, one.container_port) || has_name(port, one))
    });
    let may_be_wrong = all_declare && !is_reached && !service.is_headless;
    for (index, port) in service.ports.iter().enumerate() {
        let target = &port.target_port;
        let field = format!("spec.ports[{index}].targetPort");
        if let Ok(number) = target.parse::<u16>() {
            if !may_be_wrong {
                continue;
            }
            let known: Vec<String> = declared.iter().map(ToString::to_string).collect();
            let message = format!(
                "no container of the selected pods declares port {number}; they declare {}: if nothing listens \
                 there, requests are refused in a cluster, but arrive in the run",
                known.join(", ")
            );
            let help = match known.as_slice() {
                [only] => {
                    format!("write targetPort: {only}, or declare {number} as a containerPort")
                }
                _ => format!("write one of these, or declare {number} as a containerPort"),
            };
            let place = owner.manifest.origin.place();
            let problem = warning("undeclared-port", message, object, field);
            problems.push(problem.related(place, "the pods").help(help));
        } else if !selected.iter().any(|(_, pods)| ports(pods).any(|one| has_name(port, one))) {
            let leads_nowhere = !selected.iter().any(|(_, pods)| service.leads_to(&pods.spec));
            let then = if service.is_headless || !leads_nowhere {
                "in a cluster, requests to this port find no endpoint; in the run, they go to another port"
            } else {
                "requests find no endpoint and fail"
            };
            let message =
                format!("no container of the selected pods has a port named {target:?}: {then}");
            let help = "name a container port like this, or write its number";
            problems.push(warning("missing-port", message, object, field).help(help));
        }
    }
    problems
}

/// Warns of probes with a port name that their container lacks: the kubelet cannot resolve it, and every probe fails
/// (`resolveContainerPort`). Port numbers need not be declared.
pub(super) fn probes(object: &Object) -> Diagnostics {
    let mut problems = Diagnostics::default();
    let kind = object.manifest.reference.kind;
    let pods = object.manifest.value.pointer(kind.pod_template_pointer());
    for list in ["containers", "initContainers"] {
        let pointer = format!("/spec/{list}");
        let containers = pods.and_then(|pods| pods.pointer(&pointer)).and_then(Value::as_array);
        for (index, container) in containers.into_iter().flatten().enumerate() {
            let declared = container.get("ports").and_then(Value::as_array).into_iter().flatten();
            let names: Vec<&str> =
                declared.filter_map(|port| port.get("name").and_then(Value::as_str)).collect();
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                for handler in ["httpGet", "tcpSocket"] {
                    let asked = container.pointer(&format!("/{probe}/{handler}/port"));
                    if let Some(number) = asked.and_then(Value::as_u64) {
                        let field =
                            format!("{}[{index}].{probe}.{handler}.port", pod_path(kind, list));
                        let note_text = undeclared(object, pods, number, field);
                        if let Some(note) = note_text {
                            problems.push(note);
                        }
                        continue;
                    }
                    let Some(name) = asked.and_then(Value::as_str) else { continue };
                    if names.contains(&name) || name.parse::<u16>().is_ok() {
                        continue;
                    }
                    let field = format!("{}[{index}].{probe}.{handler}.port", pod_path(kind, list));
                    let message = format!(
                        "the container has no port named {name:?}: in a cluster every probe fails"
                    );
                    let help = "name a container port like this, or write its number";
                    problems.push(warning("missing-port", message, object, field).help(help));
                }
            }
        }
    }
    problems
}

/// A note on a probe of a port number that no container of the pod declares although they declare others: declaring is
/// optional, but if nothing listens there, the probe fails in a cluster and succeeds in the run.
fn undeclared(
    object: &Object,
    pods: Option<&Value>,
    number: u64,
    field: String,
) -> Option<Diagnostic> {
    let lists =
        ["containers", "initContainers"].map(|list| pods?.pointer(&format!("/spec/{list}")));
    let containers = lists.into_iter().flatten().filter_map(Value::as_array).flatten();
    let ports = containers.filter_map(|one| one.get("ports")?.as_array()).flatten();
    let declared: BTreeSet<u64> =
        ports.filter_map(|port| port.get("containerPort")?.as_u64()).collect();
    if declared.is_empty() || declared.contains(&number) {
        return None;
    }
    let known: Vec<String> = declared.iter().map(ToString::to_string).collect();
    let message = format!(
        "no container declares port {number}; they declare {}: in the run the application answers the probe, in a \
         cluster it fails if nothing listens there",
        known.join(", ")
    );
    let manifest = &object.manifest;
    let note = Diagnostic::note("undeclared-port", message);
    let note = note.at(manifest.origin.place_of(&field)).of(manifest.label());
    Some(Diagnostic { field, ..note })
}

fn ports(pods: &PodTemplate) -> impl Iterator<Item = &ContainerPort> {
    let containers = pods.spec.containers.iter().chain(&pods.spec.init_containers);
    containers.flat_map(|container| &container.ports)
}

#[cfg(test)]
mod tests {
    use crate::{Source, load};

    #[test]
    fn a_probe_finds_its_port_by_number_or_by_a_name_of_the_container() {
        for (port, is_found) in
            [("http", true), ("8080", true), ("'8080'", false), ("htp", false), ("9999", false)]
        {
            let text = format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: a}}, spec: {{containers: [{{name: a, image: a, ports: \
                 [{{name: http, containerPort: 8080}}], readinessProbe: {{httpGet: {{port: {port}}}}}}}]}}}}\n"
            );
            let diagnostics_of = load(&[Source::new("a.yaml", &text)]).diagnostics;
            let is_reported = diagnostics_of
                .iter()
                .any(|one| one.field == "spec.containers[0].readinessProbe.httpGet.port");
            assert_eq!(!is_reported, is_found, "{port}: {diagnostics_of}");
        }
    }
}
