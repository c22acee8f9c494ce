//! Fields of VirtualServices and DestinationRules that are effective in a cluster but not simulated, with the
//! consequence.

/// Under `spec` of a VirtualService.
pub(super) const IGNORED_OF_VIRTUAL_SERVICE: [(&str, &str); 3] = [
    ("tcp", "connections go to the Service itself"),
    ("tls", "connections go to the Service itself"),
    ("exportTo", "it holds for all callers with a proxy"),
];

/// Under an entry of `spec.http`.
pub(super) const IGNORED_OF_HTTP: [(&str, &str); 6] = [
    ("headers", "calls have no headers"),
    ("rewrite", "calls have no path"),
    ("corsPolicy", "calls have no headers"),
    ("redirect", "calls are sent to the Service instead"),
    ("directResponse", "calls are sent to the Service instead"),
    (
        "delegate",
        "the routes of the other VirtualService are not read, and calls go to the Service",
    ),
];

/// Under a `trafficPolicy`.
pub(super) const IGNORED_OF_POLICY: [(&str, &str); 18] = [
    ("loadBalancer.consistentHash", "calls have no headers or cookies, so any pod gets them"),
    (
        "loadBalancer.localityLbSetting",
        "calls go to pods in all zones; use `trafficDistribution` of the Service",
    ),
    ("loadBalancer.warmup", "a new pod gets its full share at once"),
    ("loadBalancer.warmupDurationSecs", "a new pod gets its full share at once"),
    ("connectionPool.tcp.maxConnectionDuration", "connections are not closed"),
    ("connectionPool.tcp.idleTimeout", "connections are not closed"),
    (
        "connectionPool.http.maxRetries",
        "retries at once are not limited; set `budget` of `retries`",
    ),
    ("connectionPool.http.maxConcurrentStreams", "connections carry any number of calls"),
    ("connectionPool.http.idleTimeout", "connections are not closed"),
    ("outlierDetection.interval", "a pod is ejected at once, and returns when its ejection ends"),
    ("outlierDetection.consecutiveGatewayErrors", "any failure counts, by `consecutive5xxErrors`"),
    (
        "outlierDetection.consecutiveLocalOriginFailures",
        "any failure counts, by `consecutive5xxErrors`",
    ),
    ("outlierDetection.splitExternalLocalOriginErrors", "any failure counts"),
    ("outlierDetection.minHealthPercent", "pods are ejected however few are healthy"),
    ("tls", "encryption takes no time besides that of the proxy"),
    ("portLevelSettings", "the settings for all ports hold"),
    ("tunnel", "calls go to the pods directly"),
    ("proxyProtocol", "it has no effect on time or load"),
];
