//! Canaries of ingress-nginx: Ingresses with `nginx.ingress.kubernetes.io/canary: "true"`, whose rules get a
//! share of the requests to the rules of other Ingresses.
//!
//! Follows `mergeAlternativeBackends` (`internal/ingress/controller/controller.go`) and
//! `route_to_alternative_balancer` (`rootfs/etc/nginx/lua/balancer.lua`) of ingress-nginx 1.12: a
//! canary belongs to the *Service and port* of the rule for its host and path, so it applies to all rules with that
//! backend. Each backend has one canary, the first; the canary's other annotations are ignored.

use super::{Class, Routing, Rule};

/// Minimum of `canary-weight-total`.
const TOTAL_MIN: u64 = 100;

/// A canary's share of the requests: `weight` of `total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CanaryWeight {
    pub weight: u64,
    pub total: u64,
}

/// The effect of a canary's rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum CanaryOutcome<'r> {
    /// It gets its share.
    Active,
    /// No other Ingress has a rule for its host and path.
    WithoutMain,
    /// Another one came first.
    Second(&'r Rule),
    /// Its backend is the same as that of this rule, which is not a canary's.
    IsMain(&'r Rule),
    /// Its backend is dropped because this rule of a canary has the same one and no main rule.
    Dropped(&'r Rule),
}

impl CanaryWeight {
    /// A share of a total of at least 100.
    pub fn new(weight: u32, total: u32) -> Self {
        Self { weight: weight.into(), total: u64::from(total).max(TOTAL_MIN) }
    }

    /// The canary's part of the total.
    pub fn taken(self) -> u64 {
        self.weight.min(self.total)
    }

    /// The main rule's part of the total.
    pub fn left(self) -> u64 {
        self.total - self.taken()
    }
}

impl Routing {
    /// Whether a rule is that of a canary.
    pub(super) fn is_canary(&self, rule: &Rule) -> bool {
        rule.canary.is_some() && self.is_of_nginx(rule)
    }

    /// The canary's rule that gets a share of this rule's requests, with the share.
    pub(super) fn canary_for<'r>(&'r self, main: &Rule) -> Option<(&'r Rule, CanaryWeight)> {
        let canary = self.canaries_of(main).next()?;
        let is_active = self.outcome(canary) == CanaryOutcome::Active;
        Some((canary, canary.canary.filter(|_| is_active)?))
    }

    /// The canaries of a rule, in the order of the manifests; the first one counts.
    pub(super) fn canaries_of<'r>(&'r self, main: &Rule) -> impl Iterator<Item = &'r Rule> {
        let all = self.rules.iter().filter(|rule| !self.is_canary(main) && self.is_canary(rule));
        all.filter(|canary| self.mains_of(canary).any(|one| is_same_backend(one, main)))
    }

    /// The effect of a canary's rule.
    pub(super) fn outcome<'r>(&'r self, canary: &Rule) -> CanaryOutcome<'r> {
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
            // A host of no other Ingress is skipped.
            let has_host = |main: &Rule| self.is_main(main, rule) && main.host == rule.host;
            self.is_canary(rule)
                && is_same_backend(rule, canary)
                && self.mains_of(rule).next().is_none()
                && self.rules.iter().any(has_host)
        };
        self.rules.iter().find(is_lost).map_or(CanaryOutcome::Active, CanaryOutcome::Dropped)
    }

    /// The rules for the host and path of a canary.
    fn mains_of<'r>(&'r self, canary: &Rule) -> impl Iterator<Item = &'r Rule> {
        let beside = self.rules.iter().filter(|rule| rule.is_beside(canary));
        beside.filter(|rule| self.is_main(rule, canary) && !is_same_backend(rule, canary))
    }

    /// Whether ingress-nginx serves the rule along with that of a canary, and it is not a canary's itself.
    fn is_main(&self, rule: &Rule, canary: &Rule) -> bool {
        // Without a class, an Ingress counts as one of ingress-nginx by its annotations; those of the
        // canary suffice.
        let are_default =
            [rule, canary].iter().all(|one| matches!(one.class, Class::Default { .. }));
        (self.is_of_nginx(rule) || are_default) && !self.is_canary(rule)
    }
}

/// Whether two rules have the same Service and port, and so the same backend in ingress-nginx.
fn is_same_backend(one: &Rule, other: &Rule) -> bool {
    let backend =
        |rule: &Rule| rule.backends.first().map(|one| (one.service.clone(), one.port.clone()));
    backend(one) == backend(other)
}
