//! Rules of Ingresses and HTTPRoutes that do not lead where they seem to: to a port that the Service lacks,
//! behind another rule for the same host and path, or to a canary that takes nothing. Each is right by
//! itself, which is for [`super::route_problems`] to say.

use std::collections::BTreeSet;

use super::backend_port::ServicePorts;
use super::canary::CanaryFate;
use super::routing::{Backend, Routing, Rule};
use cluster::ObjectReference;
use manifest::{Diagnostic, Manifest, Severity};
use traffic::EntranceSpec;

/// How many hosts and paths a message names.
const NAMED_MAX: usize = 3;

/// What is to be said of the rules of some manifests together. It is an error if requests of an entrance are
/// lost by it.
pub fn target_problems<'m>(
    routing: &Routing,
    entrances: &[EntranceSpec],
    manifest: impl Fn(&ObjectReference) -> Option<&'m Manifest>,
) -> Vec<Diagnostic> {
    let reached = entrances.iter().filter_map(|one| routing.find(&one.host, &one.path));
    let reached: Vec<&Rule> = reached.collect();
    let findings = Findings { routing, reached };
    let mut told = BTreeSet::new();
    let mut list = Vec::new();
    for rule in &routing.rules {
        for (severity, field, message, help) in findings.of(rule) {
            let Some(manifest) = manifest(&rule.object) else { continue };
            // A rule of an HTTPRoute counts once for each of its hosts and paths.
            if !told.insert((&rule.object, field.clone(), message.clone())) {
                continue;
            }
            let place = manifest.origin.place_of(&field);
            let problem = Diagnostic::new(severity, "route-target", message).at(place);
            let problem = problem.of(manifest.label()).help(help);
            list.push(Diagnostic { field, ..problem });
        }
    }
    list
}

impl Routing {
    /// What becomes of requests that a rule sends where nobody is.
    pub(super) fn without_endpoint(&self, rule: &Rule) -> &'static str {
        if self.is_canary(rule) {
            "so that this canary takes nothing"
        } else if *rule.object.kind == *"HTTPRoute" {
            "for which a gateway answers 500"
        } else if self.is_of_nginx(rule) {
            "for which ingress-nginx answers 503"
        } else {
            "so that requests find no endpoint"
        }
    }
}

/// Severity, field, message and help.
type Finding = (Severity, String, String, String);

struct Findings<'r> {
    routing: &'r Routing,
    /// The rules by which requests come.
    reached: Vec<&'r Rule>,
}

impl Findings<'_> {
    fn of(&self, rule: &Rule) -> Vec<Finding> {
        let lacking = rule.backends.iter().filter(|one| !self.routing.has_port(rule, one));
        let mut list: Vec<Finding> = lacking.filter_map(|one| self.port(rule, one)).collect();
        list.extend(match rule.canary {
            Some(_) if self.routing.is_canary(rule) => self.canary(rule),
            _ => self.hidden(rule),
        });
        list
    }

    /// A port that the Service lacks.
    fn port(&self, rule: &Rule, backend: &Backend) -> Option<Finding> {
        let Backend { service, weight, port, field } = backend;
        let port = port.as_ref()?;
        let is_canary = self.routing.is_canary(rule);
        let consequence = self.routing.without_endpoint(rule);
        let known: Vec<String> =
            self.routing.ports.get(service).into_iter().flat_map(ServicePorts::known).collect();
        let help = match &known[..] {
            [] => "it has no ports: add one to its spec.ports".to_owned(),
            [only] => format!("its port is {only}"),
            all => format!("its ports are {}", all.join(", ")),
        };
        // The same rule stands once for each of its hosts and paths.
        let is_same = |one: &&Rule| (&one.object, &one.field) == (&rule.object, &rule.field);
        let is_reached = self.reached.iter().any(is_same);
        let loses = !is_canary && *weight > 0 && is_reached;
        let severity = if loses { Severity::Error } else { Severity::Warning };
        let message = format!("the Service {service} has no port {port}, {consequence}");
        Some((severity, field.clone(), message, help))
    }

    /// A canary that takes nothing, or more than it says.
    fn canary(&self, rule: &Rule) -> Option<Finding> {
        let (message, help) = match self.routing.fate(rule) {
            CanaryFate::Takes => return self.wide_canary(rule),
            CanaryFate::WithoutMain => (
                format!(
                    "no other Ingress of ingress-nginx has a rule for {}, so this canary takes nothing",
                    rule.place()
                ),
                "give it host, path and pathType of the rule from which it is to take".to_owned(),
            ),
            CanaryFate::Second(first) => (
                format!("the canary {} comes first, and there is one for each rule", first.object),
                "remove one of the two".to_owned(),
            ),
            CanaryFate::IsMain(main) => (
                format!(
                    "{} sends requests to this very Service and port, so this canary takes nothing: \
                     ingress-nginx has one backend for both",
                    main.object
                ),
                "give the canary a Service, or a port of it, of its own".to_owned(),
            ),
            CanaryFate::Forgotten(other) => (
                format!(
                    "this canary takes nothing: ingress-nginx forgets its backend, because {} has it for {} \
                     as well, where no other Ingress has a rule",
                    other.object,
                    other.place()
                ),
                "remove that rule".to_owned(),
            ),
        };
        Some((Severity::Warning, rule.field.clone(), message, help))
    }

    /// A canary that takes from rules that are not for its host and path.
    fn wide_canary(&self, canary: &Rule) -> Option<Finding> {
        let routing = self.routing;
        let takes = |rule: &&Rule| {
            !rule.is_beside(canary)
                && routing.canary_beside(rule).is_some_and(|(one, _)| one.is_beside(canary))
        };
        let others: BTreeSet<String> =
            routing.rules.iter().filter(takes).map(Rule::place).collect();
        if others.is_empty() {
            return None;
        }
        let named: Vec<String> = others.iter().take(NAMED_MAX).cloned().collect();
        let more = match others.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        let message = format!(
            "this canary takes its share of {}{more} too, which have the same Service and port as the rule for {}",
            named.join(", "),
            canary.place()
        );
        let help = "ingress-nginx has one canary for a backend: give the rules Services of their own, if that \
                    is not meant";
        Some((Severity::Warning, canary.field.clone(), message, help.to_owned()))
    }

    /// A rule of an Ingress behind one of another Ingress.
    fn hidden(&self, rule: &Rule) -> Option<Finding> {
        let is_ingress = |rule: &Rule| *rule.object.kind == *"Ingress";
        let earlier = self.routing.rules.iter().take_while(|one| !std::ptr::eq(*one, rule));
        let mut earlier = earlier.filter(|one| {
            is_ingress(one) && one.object != rule.object && !self.routing.is_canary(one)
        });
        let first = earlier.find(|one| is_ingress(rule) && one.is_for_place_of(rule))?;
        let message = format!(
            "{} has a rule for {} too, and comes first: this one gets no requests",
            first.object,
            rule.place()
        );
        let help = "remove one of the two; to share requests out with ingress-nginx, mark one with \
                    nginx.ingress.kubernetes.io/canary: \"true\"";
        Some((Severity::Warning, rule.field.clone(), message, help.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use manifest::{Diagnostics, Source, read_manifests};
    use serde_json::json;

    fn said(text: &str, hosts: &[&str]) -> Vec<String> {
        let mut unread = Diagnostics::default();
        let manifests = read_manifests(&[Source::new("routes.yaml", text)], &mut unread);
        assert!(unread.is_empty(), "{unread}");
        let mut routing = Routing::default();
        for manifest in &manifests {
            routing.add(&manifest.reference, &manifest.value);
        }
        let entrance = |host: &&str| {
            let spec = json!({"host": host, "load": {"pattern": "constant", "rps": 1}});
            serde_json::from_value(spec).expect("settings")
        };
        let entrances: Vec<EntranceSpec> = hosts.iter().map(entrance).collect();
        let by_name = |name: &ObjectReference| manifests.iter().find(|one| one.reference == *name);
        target_problems(&routing, &entrances, by_name).iter().map(ToString::to_string).collect()
    }

    const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{name: http, port: 80, targetPort: 8080}, {name: admin, port: 81}]}
";

    fn ingress(name: &str, class: &str, annotations: &str, rule: &str, backend: &str) -> String {
        let (host, path) = rule.split_at(rule.find('/').expect("a path"));
        format!(
            "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: {name}\n  \
             annotations: {{{annotations}}}\nspec:\n  ingressClassName: {class}\n  rules:\n  - host: {host}\n    \
             http:\n      paths:\n      - path: {path}\n        pathType: Prefix\n        backend:\n          \
             service:\n            name: {backend}\n"
        )
    }

    #[test]
    fn a_port_that_the_service_lacks_is_an_error_where_requests_come_by_it() {
        let nginx = ingress("front", "nginx", "", "a/", "web\n            port: {number: 9}");
        let route = "\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: api}
spec:
  hostnames: [b, c]
  rules:
  - backendRefs:
    - {name: web, port: 80}
    - {name: web, port: 8080}
";
        let help = "\n  help: its ports are 80 (http), 81 (admin)";
        let text = format!("{SERVICE}{nginx}{route}");
        let expected = [
            format!(
                "routes.yaml:22: Ingress default/front: spec.rules[0].http.paths[0].backend.service.port.\
                 number: the Service default/web has no port 9, for which ingress-nginx answers 503{help}"
            ),
            format!(
                "routes.yaml:32: HTTPRoute default/api: spec.rules[0].backendRefs[1].port: the Service \
                 default/web has no port 8080, for which a gateway answers 500{help}"
            ),
        ];
        for (hosts, [first, second]) in [
            (&[][..], ["warning", "warning"]),
            (&["a"], ["error", "warning"]),
            (&["c", "a"], ["error", "error"]),
        ] {
            let expected =
                [format!("{first}: {}", expected[0]), format!("{second}: {}", expected[1])];
            assert_eq!(said(&text, hosts), expected);
        }
    }

    #[test]
    fn rules_that_others_hide_and_canaries_that_do_not_take_what_they_seem_to_are_told() {
        let canary = "nginx.ingress.kubernetes.io/canary: 'true', nginx.ingress.kubernetes.io/canary-weight: '5'";
        let text = [
            SERVICE.to_owned(),
            ingress("one", "nginx", "", "a/", "web"),
            ingress("two", "nginx", "", "a/", "other"),
            ingress("other", "nginx", "", "b/", "web"),
            ingress("canary", "nginx", canary, "a/", "new"),
            ingress("late", "nginx", canary, "b/", "newer"),
            ingress("alone", "nginx", canary, "a/none", "newest"),
        ]
        .concat();
        let said = said(&text, &["a"]);
        let expected = [
            "Ingress default/two: spec.rules[0].http.paths[0]: Ingress/default/one has a rule for a/ too, and \
             comes first",
            "Ingress default/canary: spec.rules[0].http.paths[0]: this canary takes its share of b/ too, which",
            "Ingress default/late: spec.rules[0].http.paths[0]: the canary Ingress/default/canary comes first",
            "Ingress default/alone: spec.rules[0].http.paths[0]: no other Ingress of ingress-nginx has a rule \
             for a/none, so",
        ];
        assert_eq!(said.len(), expected.len(), "{said:#?}");
        for (said, expected) in said.iter().zip(expected) {
            assert!(said.starts_with("warning: routes.yaml:") && said.contains(expected), "{said}");
        }
    }
}
