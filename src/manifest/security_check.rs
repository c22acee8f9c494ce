//! Checks pods against the Pod Security standards of their namespace: the API server warns on writing a workload whose
//! pods violate one, and rejects these pods if the standard is enforced.

use super::cross_check::{pod_path, warning};
use super::diagnostic::Diagnostics;
use super::load::Object;
use super::relations::Relations;
use cluster::Kind;
use cluster::pod_security::{Mode, standard, violations};
use cluster::pod_template::PodTemplate;

/// Warns of pods that violate a standard of their namespace.
pub(super) fn check(
    object: &Object,
    template: &PodTemplate,
    relations: &Relations<'_>,
) -> Diagnostics {
    let mut problems = Diagnostics::default();
    let Some(namespace) = relations.namespace(object.meta.namespace()) else { return problems };
    let Some(written) = template.document.get() else { return problems };
    for mode in [Mode::Enforce, Mode::Warn, Mode::Audit] {
        let asked = standard(&namespace.meta.labels, mode);
        let Some(broken) = violations(written, asked) else { continue };
        let name = object.meta.namespace();
        let (verb, consequence) = match (mode, object.manifest.reference.kind) {
            (Mode::Enforce, Kind::Pod) => ("violates", "the API server refuses it"),
            (Mode::Enforce, _) => ("would violate", "the API server refuses its pods"),
            (Mode::Warn, _) => ("would violate", "the API server warns the client"),
            (Mode::Audit, _) => ("would violate", "recorded in the audit log"),
        };
        let message = format!("{verb} PodSecurity \"{asked}\": {broken}; {consequence}");
        let field = pod_path(object.manifest.reference.kind, "securityContext");
        let place = namespace.manifest.origin.place();
        let labels = format!("required by namespace {name} ({})", mode.name());
        let problem = warning("pod-security", message, object, field);
        problems.push(problem.related(place, labels).help(
            "set the securityContext that the standard requires, or lower the namespace's standard",
        ));
        // A violation of an enforced standard is reported once.
        break;
    }
    problems
}
