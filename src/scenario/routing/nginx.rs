//! The annotations of ingress-nginx, as read by its `internal/ingress/annotations/proxy/main.go`, `canary/main.go` and
//! `ratelimit/main.go`, with the defaults of its ConfigMap, and nginx's `proxy_next_upstream`.

use std::collections::BTreeMap;

use super::RouteFindings;
use super::canary::CanaryWeight;
use super::limits::{RouteLimits, RouteRetry};
use super::nginx_annotations::{ANNOTATIONS, Role};
use cluster::{NamespacedName, ObjectReference};
use engine::SimDuration;
use manifest::FieldPath;
use traffic::{Causes, ClientLimits, DEFAULT_CLIENTS, FailureCause, RateLimit};

/// Prefix of the annotations.
pub(super) const PREFIX: &str = "nginx.ingress.kubernetes.io/";
/// `spec.controller` of ingress-nginx's IngressClass.
pub(super) const CONTROLLER: &str = "k8s.io/ingress-nginx";
/// Multiple of a limit on the rate that a client may send at once, where the Ingress does not say.
const BURST_MULTIPLIER: u32 = 5;
/// Default name of its IngressClass.
pub(super) const CLASS: &str = "nginx";

/// Annotations that select a canary's requests.
const CANARY_RULES: [&str; 6] = [
    "canary-weight",
    "canary-weight-total",
    "canary-by-header",
    "canary-by-header-value",
    "canary-by-header-pattern",
    "canary-by-cookie",
];

/// The conditions of `proxy_next_upstream` with the failures that each covers: before a request was sent, and after.
const CONDITIONS: [(&str, &[FailureCause], &[FailureCause]); 12] = [
    ("error", &[FailureCause::Refused], &[FailureCause::Killed]),
    ("timeout", &[FailureCause::Unreachable, FailureCause::Blocked], &[FailureCause::Timeout]),
    ("invalid_header", &[], &[]),
    ("http_500", &[], &[FailureCause::Dependency, FailureCause::ApplicationError]),
    ("http_502", &[], &[]),
    ("http_503", &[], &[FailureCause::QueueFull, FailureCause::Shed]),
    ("http_504", &[], &[]),
    ("http_403", &[], &[]),
    ("http_404", &[], &[]),
    ("http_429", &[], &[]),
    ("non_idempotent", &[], &[]),
    ("off", &[], &[]),
];

/// The settings of an Ingress for ingress-nginx.
pub(super) struct Annotations {
    /// Its share of the requests as a canary; `None` if it is not one.
    pub canary: Option<CanaryWeight>,
    /// Timeouts of its requests, and the retries on further pods.
    pub limits: RouteLimits,
    /// The Service that gets all requests a second time.
    pub mirrors: Vec<(NamespacedName, f64)>,
}

impl Annotations {
    /// Reads the annotations of an Ingress. Warns of values that ingress-nginx rejects and of ignored annotations.
    pub fn read(
        object: &ObjectReference,
        given: &BTreeMap<String, String>,
        findings: &mut RouteFindings,
    ) -> Self {
        let mut reader = Reader { given, findings };
        for (name, role) in ANNOTATIONS {
            if let (Role::Ignored(instead), Some(_)) = (role, reader.text(name)) {
                reader.warn(name, &format!("ignored: {instead}"));
            }
        }
        for name in given.keys().filter_map(|key| key.strip_prefix(PREFIX)) {
            if !ANNOTATIONS.iter().any(|(known, _)| *known == name) {
                reader
                    .warn(name, "ingress-nginx 1.15 has no annotation of this name and ignores it");
            }
        }
        let mut seconds = |name, default| {
            SimDuration::from_secs(i64::from(reader.number(name, 1).unwrap_or(default)))
        };
        let [read, connect] = [("proxy-read-timeout", 60), ("proxy-connect-timeout", 5)]
            .map(|(name, default)| seconds(name, default));
        let limits = RouteLimits {
            request: Some(SimDuration::ZERO),
            one_try: Some(read),
            connect: Some(connect),
            retry: reader.retry(),
            of_clients: reader.client_limits(object),
        };
        Self { canary: reader.canary(), limits, mirrors: reader.mirror().into_iter().collect() }
    }
}

struct Reader<'a> {
    given: &'a BTreeMap<String, String>,
    findings: &'a mut RouteFindings,
}

impl<'a> Reader<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        self.given.get(&format!("{PREFIX}{name}")).map(String::as_str)
    }

    fn warn(&mut self, name: &str, message: &str) {
        let metadata = FieldPath::ROOT.field("metadata");
        let annotations = metadata.field("annotations");
        self.findings.warn(&annotations.key(&format!("{PREFIX}{name}")), message);
    }

    fn number(&mut self, name: &str, least: u32) -> Option<u32> {
        let text = self.text(name)?;
        let number = whole(text).filter(|number| *number >= least);
        if number.is_none() {
            let rule = format!("must be a whole number of at least {least}; the default applies");
            self.warn(name, &format!("{text:?} {rule}"));
        }
        number
    }

    /// The Service of `mirror-target`, such as `http://shadow.shop.svc.cluster.local$request_uri`.
    fn mirror(&mut self) -> Option<(NamespacedName, f64)> {
        let target = self.text("mirror-target").filter(|text| !text.is_empty())?;
        let host = target.split_once("://").map_or(target, |(_, rest)| rest);
        let end = host.find(['/', ':', '$']).unwrap_or(host.len());
        let mut parts = host[..end].split('.');
        let (name, namespace, third) = (parts.next(), parts.next(), parts.next());
        let is_service = third.is_none_or(|third| third == "svc");
        let (Some(name), Some(namespace), true) = (name, namespace, is_service) else {
            self.warn("mirror-target", "ignored: it names no Service as NAME.NAMESPACE.svc");
            return None;
        };
        Some((NamespacedName::new(namespace, name), 1.0))
    }

    /// The annotations `limit-*`; `None` without a limit.
    fn client_limits(&mut self, object: &ObjectReference) -> Option<ClientLimits> {
        let mut limit = |name| self.number(name, 0).filter(|limit| *limit > 0);
        let [connections, second, minute] =
            ["limit-connections", "limit-rps", "limit-rpm"].map(&mut limit);
        let multiplier = self.number("limit-burst-multiplier", 0).unwrap_or(BURST_MULTIPLIER);
        let rate = |limit: u32, seconds: u64| RateLimit {
            // nginx counts in whole thousandths of a request per second.
            milli_per_second: u64::from(limit) * 1000 / seconds,
            burst: limit.saturating_mul(multiplier),
        };
        let rates = [second.map(|limit| rate(limit, 1)), minute.map(|limit| rate(limit, 60))];
        (connections.is_some() || rates.iter().any(Option::is_some)).then(|| ClientLimits {
            zone: object.id.to_string().into(),
            clients: DEFAULT_CLIENTS,
            rates,
            connections,
        })
    }

    /// The annotations `proxy-next-upstream*`; `None` if no request is retried on a further pod.
    fn retry(&mut self) -> Option<RouteRetry> {
        let tries = self.number("proxy-next-upstream-tries", 0).unwrap_or(3);
        let window = self.number("proxy-next-upstream-timeout", 0).unwrap_or(0);
        let text = self.text("proxy-next-upstream");
        let is_known = |name: &str| CONDITIONS.iter().any(|(known, ..)| *known == name);
        let is_right =
            |text: &&str| !text.trim().is_empty() && text.split_whitespace().all(is_known);
        let conditions = text.filter(is_right);
        if let (Some(text), None) = (text, conditions) {
            let message =
                format!("{text:?} is not a list of nginx conditions; `error timeout` applies");
            self.warn("proxy-next-upstream", &message);
        }
        let conditions = conditions.unwrap_or("error timeout");
        let has = |name: &str| conditions.split_whitespace().any(|one| one == name);
        // With `service-upstream` the Service is the only upstream, so there is no next one.
        if self.text("service-upstream") == Some("true") || has("off") || tries == 1 {
            return None;
        }
        let conditions_set = || CONDITIONS.iter().filter(|(name, ..)| has(name));
        let unsent = Causes::of(conditions_set().flat_map(|(_, unsent, _)| *unsent).copied());
        let causes = unsent.and(Causes::of(conditions_set().flat_map(|(.., sent)| *sent).copied()));
        Some(RouteRetry {
            attempts: tries.checked_sub(1),
            backoff: SimDuration::ZERO,
            causes,
            causes_unless_idempotent: if has("non_idempotent") { causes } else { unsent },
            window: (window > 0).then(|| SimDuration::from_secs(i64::from(window))),
        })
    }

    /// The canary share. A canary without a weight, such as one by header, gets no requests.
    fn canary(&mut self) -> Option<CanaryWeight> {
        // The values of `strconv.ParseBool`.
        let is_canary = match self.text("canary") {
            Some("1" | "t" | "T" | "TRUE" | "true" | "True") => true,
            None | Some("0" | "f" | "F" | "FALSE" | "false" | "False") => false,
            Some(text) => {
                let rule = "must be \"true\" or \"false\"; \"false\" applies";
                self.warn("canary", &format!("{text:?} {rule}"));
                false
            }
        };
        let numbers =
            ["canary-weight", "canary-weight-total"].map(|name| self.text(name).and_then(whole));
        let share = CanaryWeight::new(numbers[0].unwrap_or(0), numbers[1].unwrap_or(0));
        let given = |reader: &Self, name: &str| reader.text(name).filter(|text| !text.is_empty());
        let by_header = given(self, "canary-by-header").is_some();
        let instead = match share.taken() {
            0 => "the canary gets none: add a canary-weight".to_owned(),
            taken => format!("{taken} of {} go to the canary", share.total),
        };
        for name in CANARY_RULES {
            let Some(text) = given(self, name) else { continue };
            let message = match (name, numbers) {
                ("canary-weight", [None, _]) | ("canary-weight-total", [_, None]) => {
                    format!("{text:?} must be a whole number of at least 0; the default applies")
                }
                _ if !is_canary => {
                    "ignored: without canary: \"true\" the Ingress is not a canary".to_owned()
                }
                ("canary-weight-total", [_, Some(..100)]) => {
                    "a total below 100 counts as 100".to_owned()
                }
                ("canary-weight", _) if share.weight > share.total => {
                    "above the total: all requests go to the canary".to_owned()
                }
                ("canary-by-header", _) => {
                    format!("simulated requests have no headers, so {instead}")
                }
                ("canary-by-cookie", _) if !by_header => {
                    format!("simulated requests have no cookies, so {instead}")
                }
                ("canary-by-header-value" | "canary-by-header-pattern", _) if !by_header => {
                    "ignored without canary-by-header".to_owned()
                }
                _ => continue,
            };
            self.warn(name, &message);
        }
        is_canary.then_some(share)
    }
}

/// The whole number in an annotation.
fn whole(text: &str) -> Option<u32> {
    text.trim().parse().ok()
}
