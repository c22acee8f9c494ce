//! What Ingresses and HTTPRoutes say about how long their requests may take and which are tried again.
//!
//! HTTPRoute: `timeouts` and `retry` of a rule, as `apis/v1/httproute_types.go` of Gateway API (GEP-1742
//! and GEP-1731) has them; what it leaves to the gateway is as Envoy does it, the data plane of most.
//! Ingress: the annotations of ingress-nginx, read as its `internal/ingress/annotations/proxy/main.go`
//! does, with the defaults of its ConfigMap, and nginx' `proxy_next_upstream`.
//!
//! Not responsible for what is wrong with them: that is told by [`super::route_problems`].

use serde_json::Value;

use engine::SimDuration;
use traffic::{Causes, DEFAULT_TIMEOUT, EntranceSpec, FailureCause};
use traffic::{Retries, RetrySpec, RoutePolicy};

/// The annotations of ingress-nginx begin so.
pub const NGINX_PREFIX: &str = "nginx.ingress.kubernetes.io/";
/// `spec.controller` of an IngressClass of ingress-nginx.
pub const NGINX_CONTROLLER: &str = "k8s.io/ingress-nginx";
/// The name that its class has by default.
pub const NGINX_CLASS: &str = "nginx";

/// Envoy's `connect_timeout` of a cluster.
const ENVOY_CONNECT_TIMEOUT: SimDuration = SimDuration::from_secs(5);
/// Envoy waits at most this often its base interval before it tries again.
const ENVOY_MAX_BACKOFF_FACTOR: i64 = 10;

/// How long requests may take and which are tried again, as a route has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteLimits {
    /// Of a request with all its tries: zero = no limit; absent = the route does not say.
    request: Option<SimDuration>,
    /// Of one try.
    one_try: Option<SimDuration>,
    /// Of a try whose pod's node does not answer.
    connect: Option<SimDuration>,
    retry: Option<RouteRetry>,
}

/// Which requests a route has tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RouteRetry {
    /// Further tries at most; absent = each endpoint is tried once.
    attempts: Option<u32>,
    backoff: SimDuration,
    causes: Causes,
    /// Those of them after which requests that must not be made twice are tried again too.
    causes_unless_idempotent: Causes,
    window: Option<SimDuration>,
}

impl RouteLimits {
    /// Those of a rule of an HTTPRoute.
    pub fn of_http_rule(rule: &Value) -> Self {
        let time =
            |pointer| rule.pointer(pointer).and_then(Value::as_str).and_then(gateway_duration);
        let retry = rule.get("retry").and_then(http_retry);
        Self {
            request: time("/timeouts/request"),
            one_try: time("/timeouts/backendRequest").filter(|time| *time > SimDuration::ZERO),
            connect: retry.map(|_| ENVOY_CONNECT_TIMEOUT),
            retry,
        }
    }

    /// Those of an Ingress of ingress-nginx.
    pub fn of_nginx(ingress: &Value) -> Self {
        let annotation = |name: &str| nginx_annotation(ingress, name);
        let seconds = |name: &str, default: i64| {
            let given = annotation(name).and_then(|text| nginx_number(text, 1));
            SimDuration::from_secs(given.map_or(default, i64::from))
        };
        let read = seconds("proxy-read-timeout", 60);
        let connect = seconds("proxy-connect-timeout", 5);
        let none = Some(SimDuration::ZERO);
        Self {
            request: none,
            one_try: Some(read),
            connect: Some(connect),
            retry: nginx_retry(ingress),
        }
    }

    /// How the requests of an entrance are treated: the scenario's settings beside those of the route.
    pub fn policy(&self, entrance: &EntranceSpec) -> RoutePolicy {
        let of_route = self.request.filter(|time| *time > SimDuration::ZERO);
        let of_clients = entrance.timeout.or(self.request.is_none().then_some(DEFAULT_TIMEOUT));
        let retries = self.retry.map(|retry| retry.retries(entrance.idempotent));
        RoutePolicy {
            timeout: [of_route, of_clients].into_iter().flatten().min(),
            try_timeout: entrance.retries.and_then(|own| own.per_try_timeout).or(self.one_try),
            connect_timeout: self.connect,
            retries: entrance.retries.map(Retries::from).or(retries),
        }
    }
}

impl RouteRetry {
    fn retries(&self, is_idempotent: bool) -> Retries {
        let unless = if is_idempotent { Causes::ALL } else { self.causes_unless_idempotent };
        Retries {
            spec: RetrySpec {
                attempts: self.attempts.unwrap_or(u32::MAX),
                per_try_timeout: None,
                backoff: self.backoff,
                max_backoff: self.backoff * ENVOY_MAX_BACKOFF_FACTOR,
                budget: None,
            },
            causes: self.causes.within(unless),
            window: self.window,
            is_once_per_endpoint: self.attempts.is_none(),
        }
    }
}

/// `retry` of a rule. A try is made again if no connection came about or its time is over, which the API
/// asks for, and after the answers that it names; absent if there are no further tries.
fn http_retry(retry: &Value) -> Option<RouteRetry> {
    let defaults = RetrySpec::default();
    let attempts = retry.get("attempts").and_then(Value::as_i64);
    let attempts =
        attempts.map_or(defaults.attempts, |count| u32::try_from(count.max(0)).unwrap_or(u32::MAX));
    let backoff = retry.get("backoff").and_then(Value::as_str).and_then(gateway_duration);
    let codes = retry.get("codes").and_then(Value::as_array).into_iter().flatten();
    let named: Vec<u64> = codes.filter_map(Value::as_u64).collect();
    let always = [FailureCause::Refused, FailureCause::Unreachable, FailureCause::Timeout];
    let answered = |cause: &FailureCause| status(*cause).is_some_and(|code| named.contains(&code));
    let causes =
        Causes::of(always.into_iter().chain(FailureCause::ALL.into_iter().filter(answered)));
    (attempts > 0).then_some(RouteRetry {
        attempts: Some(attempts),
        backoff: backoff.unwrap_or(defaults.backoff),
        causes,
        // The API makes no difference between methods.
        causes_unless_idempotent: causes,
        window: None,
    })
}

/// The status with which a gateway answers a request that failed in or on its way to a pod. A circuit
/// breaker, and a service without endpoints, keep requests from being sent at all: such are not tried again.
const fn status(cause: FailureCause) -> Option<u64> {
    match cause {
        FailureCause::TooLong => Some(400),
        FailureCause::Dependency => Some(500),
        // The connection broke off.
        FailureCause::Killed => Some(502),
        FailureCause::QueueFull | FailureCause::Shed => Some(503),
        FailureCause::Timeout | FailureCause::Unreachable => Some(504),
        FailureCause::Refused | FailureCause::NoEndpoint | FailureCause::CircuitOpen => None,
    }
}

/// The conditions of `proxy_next_upstream`.
const NGINX_CONDITIONS: [&str; 12] = [
    "error",
    "timeout",
    "invalid_header",
    "http_500",
    "http_502",
    "http_503",
    "http_504",
    "http_403",
    "http_404",
    "http_429",
    "non_idempotent",
    "off",
];

/// `proxy-next-upstream` and what belongs to it; absent if no request is passed on to a further pod.
fn nginx_retry(ingress: &Value) -> Option<RouteRetry> {
    // Its one upstream is the Service then, so there is no next one.
    if nginx_annotation(ingress, "service-upstream") == Some("true") {
        return None;
    }
    let number =
        |name, least| nginx_annotation(ingress, name).and_then(|text| nginx_number(text, least));
    let conditions = nginx_annotation(ingress, "proxy-next-upstream").and_then(nginx_conditions);
    let conditions = conditions.unwrap_or_else(|| vec!["error", "timeout"]);
    let tries = number("proxy-next-upstream-tries", 0).unwrap_or(3);
    let window = number("proxy-next-upstream-timeout", 0).unwrap_or(0);
    if conditions.contains(&"off") || tries == 1 {
        return None;
    }
    let mut unsent = Causes::default();
    let mut causes = Causes::default();
    for condition in &conditions {
        let [of_unsent, of_sent] = of_condition(condition).map(Causes::of);
        unsent = unsent.and(of_unsent);
        causes = causes.and(of_unsent).and(of_sent);
    }
    let repeats_all = conditions.contains(&"non_idempotent");
    Some(RouteRetry {
        attempts: tries.checked_sub(1),
        backoff: SimDuration::ZERO,
        causes,
        causes_unless_idempotent: if repeats_all { causes } else { unsent },
        window: (window > 0).then(|| SimDuration::from_secs(i64::from(window))),
    })
}

/// The failures that a condition of nginx means: those of requests that were not sent yet, and of others.
fn of_condition(condition: &str) -> [Vec<FailureCause>; 2] {
    match condition {
        "error" => [vec![FailureCause::Refused], vec![FailureCause::Killed]],
        "timeout" => [vec![FailureCause::Unreachable], vec![FailureCause::Timeout]],
        "http_500" => [Vec::new(), vec![FailureCause::Dependency]],
        "http_503" => [Vec::new(), vec![FailureCause::QueueFull, FailureCause::Shed]],
        _ => [Vec::new(), Vec::new()],
    }
}

/// The conditions of a `proxy-next-upstream`, if they are right.
pub(super) fn nginx_conditions(text: &str) -> Option<Vec<&str>> {
    let conditions: Vec<&str> = text.split_whitespace().collect();
    let is_right = conditions.iter().all(|one| NGINX_CONDITIONS.contains(one));
    (is_right && !conditions.is_empty()).then_some(conditions)
}

/// A whole number that an annotation gives.
pub(super) fn nginx_number(text: &str, least: u32) -> Option<u32> {
    text.trim().parse().ok().filter(|number| *number >= least)
}

/// An annotation of ingress-nginx.
pub(super) fn nginx_annotation<'v>(ingress: &'v Value, name: &str) -> Option<&'v str> {
    let annotations = ingress.pointer("/metadata/annotations")?.as_object()?;
    annotations.get(&format!("{NGINX_PREFIX}{name}"))?.as_str()
}

/// A duration of Gateway API (GEP-2257): up to four times digits, at most five, and h, m, s or ms.
pub(super) fn gateway_duration(text: &str) -> Option<SimDuration> {
    let mut rest = text;
    let mut sum = SimDuration::ZERO;
    for _ in 0..4 {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, tail) = tail.split_at(letters);
        let millis = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return None,
        };
        if !(1..=5).contains(&digits) {
            return None;
        }
        sum += SimDuration::from_millis(number.parse::<i64>().ok()? * millis);
        rest = tail;
        if rest.is_empty() {
            return Some(sum);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entrance(more: &Value) -> EntranceSpec {
        let mut spec = json!({"host": "a.test", "load": {"pattern": "constant", "rps": 1}});
        for (field, value) in more.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        serde_json::from_value(spec).expect("settings")
    }

    fn of_rule(rule: &Value, more: &Value) -> RoutePolicy {
        RouteLimits::of_http_rule(rule).policy(&entrance(more))
    }

    fn of_ingress(annotations: &[(&str, &str)], more: &Value) -> RoutePolicy {
        let annotations =
            annotations.iter().map(|(name, value)| (format!("{NGINX_PREFIX}{name}"), json!(value)));
        let annotations: serde_json::Map<String, Value> = annotations.collect();
        let ingress = json!({"metadata": {"annotations": annotations}});
        RouteLimits::of_nginx(&ingress).policy(&entrance(more))
    }

    #[expect(clippy::unnecessary_wraps, reason = "what it is compared with may be absent")]
    fn seconds(count: i64) -> Option<SimDuration> {
        Some(SimDuration::from_secs(count))
    }

    #[test]
    fn a_duration_of_gateway_api_is_digits_and_units() {
        for (text, millis) in [
            ("0s", Some(0)),
            ("1m30s", Some(90_000)),
            ("1h2m3s4ms", Some(3_723_004)),
            ("99999ms", Some(99_999)),
            ("30s1m", Some(90_000)),
            ("", None),
            ("10", None),
            ("1.5s", None),
            ("-1s", None),
            ("100000s", None),
            ("1s1s1s1s1s", None),
            ("1d", None),
            ("5us", None),
        ] {
            assert_eq!(gateway_duration(text), millis.map(SimDuration::from_millis), "{text}");
        }
    }

    #[test]
    fn a_rule_that_says_nothing_leaves_clients_their_patience() {
        let none = json!({});
        let policy = of_rule(&none, &none);
        assert_eq!(policy, RoutePolicy { timeout: seconds(60), ..RoutePolicy::default() });
        assert_eq!(policy.patience(), seconds(60));
        assert_eq!(of_rule(&none, &json!({"timeout": "3s"})).patience(), seconds(3));
    }

    #[test]
    fn the_shorter_of_the_rules_and_the_clients_time_counts() {
        let rule = json!({"timeouts": {"request": "10s", "backendRequest": "2s"}});
        let timeout = |more: Value| of_rule(&rule, &more).timeout;
        assert_eq!(timeout(json!({})), seconds(10));
        assert_eq!(timeout(json!({"timeout": "3s"})), seconds(3));
        assert_eq!(timeout(json!({"timeout": "100s"})), seconds(10));
        assert_eq!(of_rule(&rule, &json!({})).try_timeout, seconds(2));
        let unlimited = json!({"timeouts": {"request": "0s", "backendRequest": "0s"}});
        assert_eq!(of_rule(&unlimited, &json!({})), RoutePolicy::default());
        assert_eq!(of_rule(&unlimited, &json!({"timeout": "3s"})).timeout, seconds(3));
    }

    #[test]
    fn a_rule_tries_again_what_was_not_sent_what_took_too_long_and_the_answers_that_it_names() {
        let retried = |retry: Value| {
            let policy = of_rule(&json!({"retry": retry}), &json!({}));
            let retries = policy.retries.expect("retries");
            let causes = FailureCause::ALL.into_iter().filter(|one| retries.causes.contains(*one));
            (retries.spec.attempts, causes.collect::<Vec<_>>())
        };
        let always = [FailureCause::Refused, FailureCause::Timeout, FailureCause::Unreachable];
        assert_eq!(retried(json!({})), (1, always.to_vec()));
        let (attempts, causes) = retried(json!({"attempts": 3, "codes": [500, 503]}));
        assert_eq!(attempts, 3);
        let further = [FailureCause::QueueFull, FailureCause::Shed, FailureCause::Dependency];
        assert!(always.iter().chain(&further).all(|one| causes.contains(one)), "{causes:?}");
        assert_eq!(causes.len(), 6, "{causes:?}");
        assert!(of_rule(&json!({"retry": {"attempts": 0}}), &json!({})).retries.is_none());
    }

    #[test]
    fn the_scenario_says_how_requests_are_tried_again_if_it_says_it() {
        let rule = json!({"timeouts": {"backendRequest": "2s"}, "retry": {"attempts": 3}});
        let own = json!({"retries": {"attempts": 2, "budget": 0.2}});
        let policy = of_rule(&rule, &own);
        let retries = policy.retries.expect("retries");
        assert_eq!((retries.spec.attempts, retries.spec.budget), (2, Some(0.2)));
        assert_eq!(retries.causes, Causes::ALL);
        assert_eq!(policy.try_timeout, seconds(2));
        let own = json!({"retries": {"perTryTimeout": "1s"}});
        assert_eq!(of_rule(&rule, &own).try_timeout, seconds(1));
    }

    #[test]
    fn nginx_tries_three_pods_where_it_is_told_nothing() {
        let policy = of_ingress(&[], &json!({}));
        assert_eq!(policy.timeout, None);
        assert_eq!((policy.try_timeout, policy.connect_timeout), (seconds(60), seconds(5)));
        let retries = policy.retries.expect("retries");
        assert_eq!((retries.spec.attempts, retries.window), (2, None));
        assert_eq!(retries.spec.backoff, SimDuration::ZERO);
        let expected = [
            FailureCause::Refused,
            FailureCause::Killed,
            FailureCause::Unreachable,
            FailureCause::Timeout,
        ];
        assert_eq!(retries.causes, Causes::of(expected));
    }

    #[test]
    fn nginx_repeats_a_post_only_if_no_pod_has_it_or_it_is_told_to() {
        let causes = |annotations: &[(&str, &str)]| {
            let policy = of_ingress(annotations, &json!({"idempotent": false}));
            policy.retries.expect("retries").causes
        };
        let unsent = Causes::of([FailureCause::Refused, FailureCause::Unreachable]);
        assert_eq!(causes(&[]), unsent);
        assert_eq!(causes(&[("proxy-next-upstream", "error timeout http_503")]), unsent);
        let all = causes(&[("proxy-next-upstream", "error non_idempotent")]);
        assert_eq!(all, Causes::of([FailureCause::Refused, FailureCause::Killed]));
    }

    #[test]
    fn annotations_of_nginx_say_how_long_and_how_often() {
        let policy = of_ingress(
            &[
                ("proxy-read-timeout", "7"),
                ("proxy-connect-timeout", "2"),
                ("proxy-next-upstream-tries", "0"),
                ("proxy-next-upstream-timeout", "9"),
            ],
            &json!({"timeout": "20s"}),
        );
        assert_eq!(policy.timeout, seconds(20));
        assert_eq!((policy.try_timeout, policy.connect_timeout), (seconds(7), seconds(2)));
        let retries = policy.retries.expect("retries");
        assert!(retries.is_once_per_endpoint);
        assert_eq!(retries.window, seconds(9));
        for annotation in [
            ("proxy-next-upstream", "off"),
            ("proxy-next-upstream-tries", "1"),
            ("service-upstream", "true"),
        ] {
            assert!(of_ingress(&[annotation], &json!({})).retries.is_none(), "{annotation:?}");
        }
    }
}
