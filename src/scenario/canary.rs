//! Canaries of ingress-nginx: Ingresses with `nginx.ingress.kubernetes.io/canary: "true"`, whose rules take a
//! share of the requests to the rules of others.
//!
//! As `mergeAlternativeBackends` (`internal/ingress/controller/controller.go`) and
//! `route_to_alternative_balancer` (`rootfs/etc/nginx/lua/balancer.lua`) of ingress-nginx 1.12 have it: a
//! canary belongs to the *Service and port* of the rule for its host and path, so all rules with that
//! backend share it; one for each, the first; its other annotations count for nothing.

use serde_json::Value;

use super::route_limits::{nginx_annotation, nginx_number};
use super::routing::{Routing, Rule};

/// The total of which a share is a part, at least.
const TOTAL_MIN: u64 = 100;

/// The share of requests that a canary takes: `weight` of `total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CanaryWeight {
    pub weight: u64,
    pub total: u64,
}

/// What becomes of a canary's rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CanaryFate<'r> {
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
    /// What an Ingress is to take as a canary; `None` if it is none. One without a weight, such as one by
    /// header, takes nothing.
    pub fn of(ingress: &Value) -> Option<Self> {
        let number = |name| nginx_annotation(ingress, name).and_then(|text| nginx_number(text, 0));
        is_true(nginx_annotation(ingress, "canary")?).then(|| Self {
            weight: number("canary-weight").unwrap_or(0).into(),
            total: u64::from(number("canary-weight-total").unwrap_or(0)).max(TOTAL_MIN),
        })
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

/// As `strconv.ParseBool` has it.
pub(super) fn is_true(text: &str) -> bool {
    ["1", "t", "T", "TRUE", "true", "True"].contains(&text)
}

/// The same of the opposite.
pub(super) fn is_false(text: &str) -> bool {
    ["0", "f", "F", "FALSE", "false", "False"].contains(&text)
}

impl Routing {
    /// Whether a rule is that of a canary.
    pub(super) fn is_canary(&self, rule: &Rule) -> bool {
        rule.canary.is_some() && self.is_of_nginx(rule)
    }

    /// The rule whose canary takes a share of this rule's requests, with the share.
    pub(super) fn canary_beside<'r>(&'r self, main: &Rule) -> Option<(&'r Rule, CanaryWeight)> {
        let canary = self.canaries_of(main).next()?;
        let takes = self.fate(canary) == CanaryFate::Takes;
        Some((canary, canary.canary.filter(|_| takes)?))
    }

    /// The canaries of a rule, in the order of the manifests; the first one counts.
    pub(super) fn canaries_of<'r>(&'r self, main: &Rule) -> impl Iterator<Item = &'r Rule> {
        let all = self.rules.iter().filter(|rule| !self.is_canary(main) && self.is_canary(rule));
        all.filter(|canary| self.mains_of(canary).any(|one| is_same_backend(one, main)))
    }

    /// What becomes of a canary.
    pub(super) fn fate<'r>(&'r self, canary: &Rule) -> CanaryFate<'r> {
        let is_main = |rule: &&Rule| self.is_main(rule, canary) && is_same_backend(rule, canary);
        if let Some(main) = self.rules.iter().find(is_main) {
            return CanaryFate::IsMain(main);
        }
        let Some(main) = self.mains_of(canary).next() else { return CanaryFate::WithoutMain };
        let first = self.canaries_of(main).next();
        if let Some(first) = first.filter(|first| !is_same_backend(first, canary)) {
            return CanaryFate::Second(first);
        }
        let is_lost = |rule: &&Rule| {
            // A host that no other Ingress has is passed over.
            let has_host = |main: &Rule| self.is_main(main, rule) && main.host == rule.host;
            self.is_canary(rule)
                && is_same_backend(rule, canary)
                && self.mains_of(rule).next().is_none()
                && self.rules.iter().any(has_host)
        };
        self.rules.iter().find(is_lost).map_or(CanaryFate::Takes, CanaryFate::Forgotten)
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
        let is_of_nginx = self.is_of_nginx(rule) || rule.has_default_class_like(canary);
        is_of_nginx && !self.is_canary(rule)
    }
}

/// Whether two rules have the same Service and port, which is one backend to ingress-nginx.
fn is_same_backend(one: &Rule, other: &Rule) -> bool {
    let backend =
        |rule: &Rule| rule.backends.first().map(|one| (one.service.clone(), one.port.clone()));
    backend(one) == backend(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route_limits::NGINX_PREFIX;
    use cluster::ObjectReference;
    use serde_json::json;

    const CANARY: [(&str, &str); 2] = [("canary", "true"), ("canary-weight", "10")];

    struct Manifests(Routing);

    impl Manifests {
        fn new() -> Self {
            Self(Routing::default())
        }

        /// Adds an Ingress of ingress-nginx with rules for these paths, each with its Service.
        fn with(self, name: &str, rules: &[(&str, &str)], annotations: &[(&str, &str)]) -> Self {
            self.with_class("nginx", name, rules, annotations)
        }

        fn with_class(
            mut self,
            class: &str,
            name: &str,
            rules: &[(&str, &str)],
            annotations: &[(&str, &str)],
        ) -> Self {
            let annotations: serde_json::Map<String, Value> = annotations
                .iter()
                .map(|(key, value)| (format!("{NGINX_PREFIX}{key}"), json!(value)))
                .collect();
            let rules = rules.iter().map(|(place, service)| {
                let (host, path) = place.split_at(place.find('/').expect("a path"));
                let backend = json!({"service": {"name": service, "port": {"number": 80}}});
                json!({"host": host, "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": backend}]}})
            });
            let spec = json!({"ingressClassName": class, "rules": rules.collect::<Vec<_>>()});
            let name: ObjectReference =
                format!("Ingress/shop/{name}").parse().expect("a reference");
            self.0.add(&name, &json!({"metadata": {"annotations": annotations}, "spec": spec}));
            self
        }

        /// Services with their weights for requests to a host and path.
        fn shares(&self, host: &str, path: &str) -> Vec<(String, u64)> {
            let rule = self.0.find(host, path).expect("a rule");
            let all = self.0.destinations(rule).into_iter();
            all.map(|(one, weight)| (one.service.name.to_string(), weight)).collect()
        }
    }

    fn two(old: u64, new: u64) -> Vec<(String, u64)> {
        vec![("old".to_owned(), old), ("new".to_owned(), new)]
    }

    fn all(service: &str) -> Vec<(String, u64)> {
        vec![(service.to_owned(), 1)]
    }

    #[test]
    fn a_canary_takes_its_weight_of_a_total_that_is_100_at_least() {
        let shares = |annotations: &[(&str, &str)]| {
            let main = |all: Manifests| all.with("main", &[("a/", "old")], &[]);
            let canary = |all: Manifests| {
                let marked = [&[("canary", "true")], annotations].concat();
                all.with("canary", &[("a/", "new")], &marked)
            };
            let shares = main(canary(Manifests::new())).shares("a", "/");
            assert_eq!(shares, canary(main(Manifests::new())).shares("a", "/"), "in any order");
            shares
        };
        assert_eq!(shares(&[("canary-weight", "10")]), two(90, 10));
        assert_eq!(shares(&[("canary-weight", "0")]), two(100, 0));
        assert_eq!(shares(&[("canary-weight", "100")]), two(0, 100));
        assert_eq!(shares(&[("canary-weight", "200")]), two(0, 100));
        assert_eq!(
            shares(&[("canary-weight", "10"), ("canary-weight-total", "1000")]),
            two(990, 10)
        );
        assert_eq!(shares(&[("canary-weight", "5"), ("canary-weight-total", "10")]), two(95, 5));
        assert_eq!(shares(&[("canary-by-header", "X-Canary")]), two(100, 0));
        assert_eq!(shares(&[("canary-weight", "ten")]), two(100, 0));
    }

    #[test]
    fn a_canary_of_another_controller_or_that_is_not_marked_is_a_rule_like_any_other() {
        let manifests = Manifests::new()
            .with_class("haproxy", "main", &[("a/", "old")], &[])
            .with_class("haproxy", "canary", &[("a/", "new")], &CANARY);
        assert_eq!(manifests.shares("a", "/"), all("old"));
        let unmarked = [("canary", "false"), ("canary-weight", "10")];
        let manifests = Manifests::new().with("canary", &[("a/", "new")], &unmarked).with(
            "main",
            &[("a/", "old")],
            &[],
        );
        assert_eq!(manifests.shares("a", "/"), all("new"));
    }

    #[test]
    fn a_canary_takes_from_all_rules_with_the_backend_of_the_one_beside_it() {
        let main = [("a/", "old"), ("a/api", "old"), ("a/cart", "cart"), ("b/", "old")];
        let manifests =
            Manifests::new().with("main", &main, &[]).with("canary", &[("a/api", "new")], &CANARY);
        for (host, path) in [("a", "/api"), ("a", "/"), ("b", "/")] {
            assert_eq!(manifests.shares(host, path), two(90, 10), "{host}{path}");
        }
        assert_eq!(manifests.shares("a", "/cart"), all("cart"));
    }

    #[test]
    fn what_takes_nothing_is_known_with_its_reason() {
        let fate = |canary: &[(&str, &str)], later: &[(&str, &str)]| {
            let manifests = Manifests::new()
                .with("main", &[("a/", "old"), ("a/shop", "shop")], &[])
                .with("one", canary, &CANARY)
                .with("two", later, &CANARY);
            let last = manifests.0.rules.last().expect("a rule");
            let fate = format!("{:?}", manifests.0.fate(last));
            (fate.split('(').next().unwrap_or_default().to_owned(), manifests.shares("a", "/"))
        };
        assert_eq!(fate(&[], &[("a/", "new")]), ("Takes".into(), two(90, 10)));
        assert_eq!(fate(&[], &[("b/", "new")]), ("WithoutMain".into(), all("old")));
        assert_eq!(fate(&[], &[("a/", "shop")]), ("IsMain".into(), all("old")));
        let second = fate(&[("a/", "new")], &[("a/", "newer")]);
        assert_eq!(second, ("Second".into(), two(90, 10)));
        // One rule that fits nothing takes the Service from the other.
        assert_eq!(fate(&[("a/none", "new")], &[("a/", "new")]), ("Forgotten".into(), all("old")));
        assert_eq!(fate(&[("b/none", "new")], &[("a/", "new")]), ("Takes".into(), two(90, 10)));
    }

    #[test]
    fn a_canary_without_its_port_or_whose_main_lacks_its_own_takes_nothing() {
        let manifests = |ports: [u16; 2]| {
            let mut manifests = Manifests::new().with("main", &[("a/", "old")], &[]).with(
                "canary",
                &[("a/", "new")],
                &CANARY,
            );
            for (name, port) in ["old", "new"].into_iter().zip(ports) {
                let name = format!("Service/shop/{name}").parse().expect("a reference");
                manifests.0.add(&name, &json!({"spec": {"ports": [{"port": port}]}}));
            }
            manifests
        };
        assert_eq!(manifests([80, 80]).shares("a", "/"), two(90, 10));
        assert_eq!(manifests([80, 81]).shares("a", "/"), all("old"));
        let without = manifests([81, 80]);
        assert_eq!(without.shares("a", "/"), all("old"));
        let rule = without.0.find("a", "/").expect("a rule");
        assert!(!without.0.destinations(rule)[0].0.has_port);
    }
}
