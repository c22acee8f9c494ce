//! The annotations of ingress-nginx, read as its `internal/ingress/annotations/proxy/main.go` and `canary/main.go` do,
//! with the defaults of its ConfigMap, and nginx' `proxy_next_upstream`.

use std::collections::BTreeMap;

use super::RouteFindings;
use super::canary::CanaryWeight;
use super::limits::{RouteLimits, RouteRetry};
use engine::SimDuration;
use manifest::FieldPath;
use traffic::{Causes, FailureCause};

/// The annotations begin so.
pub(super) const PREFIX: &str = "nginx.ingress.kubernetes.io/";
/// `spec.controller` of its IngressClass.
pub(super) const CONTROLLER: &str = "k8s.io/ingress-nginx";
/// The name that its class has by default.
pub(super) const CLASS: &str = "nginx";

/// Annotations that change which requests come where, or at all, and what holds instead.
const IGNORED: [(&str, &str); 11] = [
    ("affinity", "`sessionAffinity` of the Service counts"),
    ("custom-http-errors", "answers go on as they came"),
    ("limit-connections", "clients may have any number"),
    ("limit-rpm", "clients may send any number"),
    ("limit-rps", "clients may send any number"),
    ("load-balance", "`balancer` of the service in the scenario counts"),
    ("permanent-redirect", "requests go to the Service"),
    ("proxy-send-timeout", "to send a request takes no time"),
    ("temporal-redirect", "requests go to the Service"),
    ("upstream-hash-by", "`balancer` of the service in the scenario counts"),
    ("use-regex", "paths are taken as prefixes"),
];

/// Annotations by which a canary gets requests.
const CANARY_RULES: [&str; 6] = [
    "canary-weight",
    "canary-weight-total",
    "canary-by-header",
    "canary-by-header-value",
    "canary-by-header-pattern",
    "canary-by-cookie",
];

/// The conditions of `proxy_next_upstream`, with the failures that each means: those of requests that were not sent
/// yet, and of others.
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

/// What an Ingress asks of ingress-nginx.
pub(super) struct Annotations {
    /// The share that it is to take as a canary; absent if it is none.
    pub canary: Option<CanaryWeight>,
    /// How long its requests may take, and which are passed on to a further pod.
    pub limits: RouteLimits,
}

impl Annotations {
    /// Reads those of an Ingress. What ingress-nginx would not take, and what plays no part here, is a warning.
    pub fn read(given: &BTreeMap<String, String>, said: &mut RouteFindings) -> Self {
        let mut reader = Reader { given, said };
        for (name, instead) in IGNORED {
            if reader.text(name).is_some() {
                reader.warn(name, &format!("this is ignored: {instead}"));
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
        };
        Self { canary: reader.canary(), limits }
    }
}

struct Reader<'a> {
    given: &'a BTreeMap<String, String>,
    said: &'a mut RouteFindings,
}

impl<'a> Reader<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        self.given.get(&format!("{PREFIX}{name}")).map(String::as_str)
    }

    fn warn(&mut self, name: &str, message: &str) {
        let metadata = FieldPath::ROOT.field("metadata");
        let annotations = metadata.field("annotations");
        self.said.warn(&annotations.key(&format!("{PREFIX}{name}")), message);
    }

    fn number(&mut self, name: &str, least: u32) -> Option<u32> {
        let text = self.text(name)?;
        let number = whole(text).filter(|number| *number >= least);
        if number.is_none() {
            let rule = format!("must be a whole number of at least {least}; the default counts");
            self.warn(name, &format!("{text:?} {rule}"));
        }
        number
    }

    /// `proxy-next-upstream` and what belongs to it; absent if no request is passed on to a further pod.
    fn retry(&mut self) -> Option<RouteRetry> {
        let tries = self.number("proxy-next-upstream-tries", 0).unwrap_or(3);
        let window = self.number("proxy-next-upstream-timeout", 0).unwrap_or(0);
        let text = self.text("proxy-next-upstream");
        let is_known = |name: &str| CONDITIONS.iter().any(|(known, ..)| *known == name);
        let is_right =
            |text: &&str| !text.trim().is_empty() && text.split_whitespace().all(is_known);
        let conditions = text.filter(is_right);
        if let (Some(text), None) = (text, conditions) {
            let message = format!("{text:?} names no conditions of nginx; `error timeout` counts");
            self.warn("proxy-next-upstream", &message);
        }
        let conditions = conditions.unwrap_or("error timeout");
        let has = |name: &str| conditions.split_whitespace().any(|one| one == name);
        // The one upstream of `service-upstream` is the Service, so there is no next one.
        if self.text("service-upstream") == Some("true") || has("off") || tries == 1 {
            return None;
        }
        let asked = || CONDITIONS.iter().filter(|(name, ..)| has(name));
        let unsent = Causes::of(asked().flat_map(|(_, unsent, _)| *unsent).copied());
        let causes = unsent.and(Causes::of(asked().flat_map(|(.., sent)| *sent).copied()));
        Some(RouteRetry {
            attempts: tries.checked_sub(1),
            backoff: SimDuration::ZERO,
            causes,
            causes_unless_idempotent: if has("non_idempotent") { causes } else { unsent },
            window: (window > 0).then(|| SimDuration::from_secs(i64::from(window))),
        })
    }

    /// One without a weight, such as one by header, takes nothing.
    fn canary(&mut self) -> Option<CanaryWeight> {
        // As `strconv.ParseBool` has it.
        let is_canary = match self.text("canary") {
            Some("1" | "t" | "T" | "TRUE" | "true" | "True") => true,
            None | Some("0" | "f" | "F" | "FALSE" | "false" | "False") => false,
            Some(text) => {
                let rule = "must be \"true\" or \"false\"; the latter counts";
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
            0 => "none goes to the canary: give it a canary-weight".to_owned(),
            taken => format!("{taken} of {} go to the canary", share.total),
        };
        for name in CANARY_RULES {
            let Some(text) = given(self, name) else { continue };
            let message = match (name, numbers) {
                ("canary-weight", [None, _]) | ("canary-weight-total", [_, None]) => {
                    format!("{text:?} must be a whole number from 0 on; the default counts")
                }
                _ if !is_canary => {
                    "this is ignored: the Ingress is no canary without canary: \"true\"".to_owned()
                }
                ("canary-weight-total", [_, Some(..100)]) => {
                    "a total below 100 counts as 100".to_owned()
                }
                ("canary-weight", _) if share.weight > share.total => {
                    "this is more than the total: all requests go to the canary".to_owned()
                }
                ("canary-by-header", _) => format!("no request has a header here, so {instead}"),
                ("canary-by-cookie", _) if !by_header => {
                    format!("no request has a cookie here, so {instead}")
                }
                ("canary-by-header-value" | "canary-by-header-pattern", _) if !by_header => {
                    "this is ignored without canary-by-header".to_owned()
                }
                _ => continue,
            };
            self.warn(name, &message);
        }
        is_canary.then_some(share)
    }
}

/// A whole number that an annotation gives.
fn whole(text: &str) -> Option<u32> {
    text.trim().parse().ok()
}
