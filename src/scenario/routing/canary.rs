//! Canaries of ingress-nginx: Ingresses with `nginx.ingress.kubernetes.io/canary: "true"`, whose rules take a
//! share of the requests to the rules of others.
//!
//! As `mergeAlternativeBackends` (`internal/ingress/controller/controller.go`) and
//! `route_to_alternative_balancer` (`rootfs/etc/nginx/lua/balancer.lua`) of ingress-nginx 1.12 have it: a
//! canary belongs to the *Service and port* of the rule for its host and path, so all rules with that
//! backend share it; one for each, the first; its other annotations count for nothing.

use super::{Class, Routing, Rule};

/// The total of which a share is a part, at least.
const TOTAL_MIN: u64 = 100;

/// The share of requests that a canary takes: `weight` of `total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CanaryWeight {
    pub weight: u64,
    pub total: u64,
}

/// What becomes of a canary's rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum CanaryOutcome<'r> {
    /// It takes its share.
    Takes,
    /// No other Ingress has a rule for its host and path.
    WithoutMain,
    /// Another one came first.
    Second(&'r Rule),
    /// Its backend is that of this rule, which is no canary's.
    IsMain(&'r Rule),
    /// Its backend is forgotten, because this rule, of a canary too, has it and is without a main one.
    Forgotten(&'r Rule),
}

impl CanaryWeight {
    /// Of a total of at least 100.
    pub fn new(weight: u32, total: u32) -> Self {
        Self { weight: weight.into(), total: u64::from(total).max(TOTAL_MIN) }
    }

    /// The canary's part of the total.
    pub fn taken(self) -> u64 {
        self.weight.min(self.total)
    }

    /// What is left of the total.
    pub fn left(self) -> u64 {
        self.total - self.taken()
    }
}

impl Routing {
    /// Whether a rule is that of a canary.
    pub(super) fn is_canary(&self, rule: &Rule) -> bool {
        rule.canary.is_some() && self.is_of_nginx(rule)
    }

    /// The rule whose canary takes a share of this rule's requests, with the share.
    pub(super) fn canary_for<'r>(&'r self, main: &Rule) -> Option<(&'r Rule, CanaryWeight)> {
        let canary = self.canaries_of(main).next()?;
        let takes = self.fate(canary) == CanaryOutcome::Takes;
        Some((canary, canary.canary.filter(|_| takes)?))
    }

    /// The canaries of a rule, in the order of the manifests; the first one counts.
    pub(super) fn canaries_of<'r>(&'r self, main: &Rule) -> impl Iterator<Item = &'r Rule> {
        let all = self.rules.iter().filter(|rule| !self.is_canary(main) && self.is_canary(rule));
        all.filter(|canary| self.mains_of(canary).any(|one| is_same_backend(one, main)))
    }

    /// What becomes of a canary.
    pub(super) fn fate<'r>(&'r self, canary: &Rule) -> CanaryOutcome<'r> {
        let is_main = |rule: &&Rule| self.is_main(rule, canary) && is_same_backend(rule, canary);
        if let Some(main) = self.rules.iter().find(is_main) {
            return CanaryOutcome::IsMain(main);
        }
        let Some(main) = self.mains_of(canary).next() else { return CanaryOutcome::WithoutMain };
        let first = self.canaries_of(main).next();
        if let Some(first) = first.filter(|first| !is_same_backend(first, canary)) {
            return CanaryOutcome::Second(first);
        }
        let is_lost = |rule: &&Rule| {
            // A host that no other Ingress has is passed over.
            let has_host = |main: &Rule| self.is_main(main, rule) && main.host == rule.host;
            self.is_canary(rule)
                && is_same_backend(rule, canary)
                && self.mains_of(rule).next().is_none()
                && self.rules.iter().any(has_host)
        };
        self.rules.iter().find(is_lost).map_or(CanaryOutcome::Takes, CanaryOutcome::Forgotten)
    }

    /// The rules for the host and path of a canary.
    fn mains_of<'r>(&'r self, canary: &Rule) -> impl Iterator<Item = &'r Rule> {
        let beside = self.rules.iter().filter(|rule| rule.is_beside(canary));
        beside.filter(|rule| self.is_main(rule, canary) && !is_same_backend(rule, canary))
    }

    /// Whether ingress-nginx has the rule, beside that of a canary, and it is no canary's.
    fn is_main(&self, rule: &Rule, canary: &Rule) -> bool {
        // Without a class an Ingress is taken for one of ingress-nginx by its annotations: those of the
        // canary will do.
        let are_default =
            [rule, canary].iter().all(|one| matches!(one.class, Class::Default { .. }));
        (self.is_of_nginx(rule) || are_default) && !self.is_canary(rule)
    }
}

/// Whether two rules have the same Service and port, which is one backend to ingress-nginx.
fn is_same_backend(one: &Rule, other: &Rule) -> bool {
    let backend =
        |rule: &Rule| rule.backends.first().map(|one| (one.service.clone(), one.port.clone()));
    backend(one) == backend(other)
}
