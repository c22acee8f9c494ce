//! Rules of Ingresses and HTTPRoutes that do not route requests as they appear to: to a missing Service or port, hidden
//! by another rule for the same host and path, or to a canary without requests. Each is valid by itself;
//! [`super::route_problems`] finds the invalid ones.

use std::collections::BTreeSet;

use super::canary::CanaryOutcome;
use super::{Backend, Class, Routing, Rule, shown};
use cluster::{NamespacedName, ObjectReference};
use manifest::{Diagnostic, Manifest, Severity, pool_service};
use traffic::IngressRouteSpec;

/// Maximum number of hosts and paths named in a message.
const NAMED_MAX: usize = 3;

/// A problem of a rule: severity, code, field, message and help.
type Finding = (Severity, &'static str, String, String, String);

/// Problems between the rules of several objects; errors if requests of an ingress route are lost.
pub fn target_problems<'m>(
    routing: &Routing,
    ingress_routes: &[IngressRouteSpec],
    manifest: impl Fn(&ObjectReference) -> Option<&'m Manifest>,
) -> Vec<Diagnostic> {
    let reached = ingress_routes.iter().filter_map(|one| routing.find(&one.host, &one.path));
    let reached: Vec<&Rule> = reached.collect();
    let findings = routing.rules.iter().flat_map(|rule| {
        let lacking = rule.backends.iter().filter(|one| routing.lacks_port(rule, one));
        let lacking = lacking.map(|one| routing.without_port(rule, one, &reached));
        let is_canary = routing.is_canary(rule);
        let other = if is_canary { routing.idle(rule) } else { routing.hidden(rule) };
        lacking.chain(other).map(|finding| (rule, finding)).collect::<Vec<_>>()
    });
    diagnostics(findings, manifest)
}

/// Warns of backends whose Service does not exist.
pub fn missing_services<'m>(
    routing: &Routing,
    is_there: impl Fn(&NamespacedName) -> bool,
    manifest: impl Fn(&ObjectReference) -> Option<&'m Manifest>,
) -> Vec<Diagnostic> {
    let backends =
        routing.rules.iter().flat_map(|rule| rule.backends.iter().map(move |one| (rule, one)));
    let missing = backends
        .filter(|(_, backend)| backend.foreign_kind.is_some() || !is_there(&backend.service));
    let findings = missing.map(|(rule, Backend { service, holder, foreign_kind, .. })| {
        if let Some(kind) = foreign_kind {
            let message = format!(
                "a backend of kind {kind} is not simulated: its share of the requests fails"
            );
            let help = "to simulate it, name a Service with pods in its place".to_owned();
            let field = format!("{holder}.kind");
            return (rule, (Severity::Warning, "foreign-backend", field, message, help));
        }
        let consequence = routing.without_endpoint(rule);
        let pool =
            service.name.strip_suffix(&*pool_service("")).filter(|_| rule.class == Class::Gateway);
        let message = format!("the Service {service} does not exist, {consequence}");
        let help = match pool {
            Some(pool) => {
                format!("add the Service or the InferencePool {pool}, or name an existing one")
            }
            None => "add the Service, or name an existing one".to_owned(),
        };
        let field = format!("{holder}.name");
        (rule, (Severity::Warning, "missing-reference", field, message, help))
    });
    diagnostics(findings, manifest)
}

/// Warns of backends whose Service has no such port.
pub fn missing_ports<'m>(
    routing: &Routing,
    manifest: impl Fn(&ObjectReference) -> Option<&'m Manifest>,
) -> Vec<Diagnostic> {
    let findings = routing.rules.iter().flat_map(|rule| {
        let lacking = rule.backends.iter().filter(|one| routing.lacks_port(rule, one));
        lacking.map(move |one| (rule, routing.without_port(rule, one, &[])))
    });
    diagnostics(findings, manifest)
}

/// The findings without duplicates, which arise because a rule of an HTTPRoute is listed for each host and path.
fn diagnostics<'r, 'm>(
    findings: impl IntoIterator<Item = (&'r Rule, Finding)>,
    manifest: impl Fn(&ObjectReference) -> Option<&'m Manifest>,
) -> Vec<Diagnostic> {
    let mut seen = BTreeSet::new();
    let unique =
        findings.into_iter().filter_map(|(rule, (severity, code, field, message, help))| {
            let manifest = manifest(&rule.object)?;
            seen.insert((&rule.object, field.clone(), message.clone())).then(|| {
                let problem =
                    Diagnostic::new(severity, code, message).of(manifest.label()).help(help);
                Diagnostic { place: Some(manifest.origin.place_of(&field)), field, ..problem }
            })
        });
    unique.collect()
}

fn warning(rule: &Rule, message: String, help: impl Into<String>) -> Finding {
    (Severity::Warning, "route-target", rule.field.clone(), message, help.into())
}

impl Routing {
    /// The consequence for requests that a rule sends to a Service without endpoints.
    fn without_endpoint(&self, rule: &Rule) -> &'static str {
        if self.is_canary(rule) {
            "so this canary gets no requests"
        } else if rule.class == Class::Gateway {
            "so the gateway answers 500"
        } else if self.is_of_nginx(rule) {
            "so ingress-nginx answers 503"
        } else {
            "so requests find no endpoint"
        }
    }

    /// True if the backend is a Service without the port.
    fn lacks_port(&self, rule: &Rule, backend: &Backend) -> bool {
        backend.foreign_kind.is_none() && !self.has_port(rule, backend)
    }

    /// A backend whose Service lacks the port.
    fn without_port(&self, rule: &Rule, backend: &Backend, reached: &[&Rule]) -> Finding {
        let Backend { service, weight, port, holder, port_field, .. } = backend;
        let known = self.ports.get(service).into_iter().flatten();
        let known: Vec<String> = known
            .map(|port| match port.name.as_deref() {
                None | Some("") => port.port.to_string(),
                Some(name) => format!("{} ({name})", port.port),
            })
            .collect();
        let help = match &known[..] {
            [] => "the Service has no ports: add one to its spec.ports".to_owned(),
            [only] => format!("the Service has port {only}"),
            all => format!("the Service has ports {}", all.join(", ")),
        };
        // A rule is listed once for each of its hosts and paths.
        let is_same = |one: &&Rule| (&one.object, &one.field) == (&rule.object, &rule.field);
        let loses = !self.is_canary(rule) && *weight > 0 && reached.iter().any(is_same);
        let severity = if loses { Severity::Error } else { Severity::Warning };
        let port = port.as_ref().map(shown).unwrap_or_default();
        let consequence = self.without_endpoint(rule);
        let message = format!("the Service {service} has no port {port}, {consequence}");
        (severity, "route-target", format!("{holder}.{port_field}"), message, help)
    }

    /// A canary that gets no requests, or more than those for its host and path.
    fn idle(&self, rule: &Rule) -> Option<Finding> {
        let place = rule.place();
        let (message, help) = match self.outcome(rule) {
            CanaryOutcome::Active => return self.wide_canary(rule),
            CanaryOutcome::WithoutMain => (
                format!(
                    "no other Ingress of ingress-nginx has a rule for {place}, so this canary gets no requests"
                ),
                "use host, path and pathType of the rule whose requests it should share",
            ),
            CanaryOutcome::Second(first) => (
                format!(
                    "the canary {} comes first, and only one per rule has an effect",
                    first.object
                ),
                "remove one of the two",
            ),
            CanaryOutcome::IsMain(main) => (
                format!(
                    "{} sends requests to the same Service and port, so this canary gets no requests: \
                     ingress-nginx creates one backend for both",
                    main.object
                ),
                "give the canary its own Service or port",
            ),
            CanaryOutcome::Dropped(other) => (
                format!(
                    "this canary gets no requests: ingress-nginx drops its backend, because {} has it for {} \
                     too, where no other Ingress has a rule",
                    other.object,
                    other.place()
                ),
                "remove that rule",
            ),
        };
        Some(warning(rule, message, help))
    }

    /// A canary that also gets requests to rules for other hosts and paths.
    fn wide_canary(&self, canary: &Rule) -> Option<Finding> {
        let takes = |rule: &&Rule| {
            let taken = || self.canary_for(rule);
            !rule.is_beside(canary) && taken().is_some_and(|(one, _)| one.is_beside(canary))
        };
        let others: BTreeSet<String> = self.rules.iter().filter(takes).map(Rule::place).collect();
        let named: Vec<String> = others.iter().take(NAMED_MAX).cloned().collect();
        let more = match others.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        let message = format!(
            "this canary also gets its share of {}{more}, which have the same Service and port as the rule for {}",
            named.join(", "),
            canary.place()
        );
        let help = "ingress-nginx has one canary per backend: use separate Services for the rules if this is \
                    not intended";
        (!others.is_empty()).then(|| warning(canary, message, help))
    }

    /// A rule of an Ingress hidden by one of another Ingress.
    fn hidden(&self, rule: &Rule) -> Option<Finding> {
        let mut earlier = self.rules.iter().take_while(|one| !std::ptr::eq(*one, rule));
        let first = earlier.find(|one| {
            let are_ingresses = one.class != Class::Gateway && rule.class != Class::Gateway;
            let hides = one.object != rule.object && one.is_for_place_of(rule);
            are_ingresses && hides && !self.is_canary(one)
        })?;
        let message = format!(
            "{} also has a rule for {} and comes first: this one gets no requests",
            first.object,
            rule.place()
        );
        let help = "remove one of the two; to split requests with ingress-nginx, annotate one with \
                    nginx.ingress.kubernetes.io/canary: \"true\"";
        Some(warning(rule, message, help))
    }
}
