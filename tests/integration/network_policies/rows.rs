//! The table of what NetworkPolicies let through.

/// One row: policies as `NAMESPACE SPEC`, who calls whom, and whether that gets through, or which side drops it.
pub(super) type Row = (&'static [&'static str], &'static str, &'static str, &'static str);

const WEB: &str = "Pod/shop/web";
const DB: &str = "Pod/shop/db:5432";
const DB_SERVICE: &str = "Service/shop/db";
const PROBE: &str = "Pod/ops/probe";

const DENY: &str = "shop {podSelector: {}, policyTypes: [Ingress]}";
const DENY_EGRESS: &str = "shop {podSelector: {}, policyTypes: [Egress]}";
const DNS: &str = "shop {podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{protocol: UDP, port: 53}]}]}";

pub(super) const INGRESS: &[Row] = &[
    (&[], WEB, DB, "allowed"),
    (&[DENY], WEB, DB, "ingress"),
    (&[DENY], PROBE, DB, "ingress"),
    // A pod that no policy selects takes part in everything.
    (&[DENY], WEB, "Pod/ops/probe:80", "allowed"),
    (&["shop {podSelector: {matchLabels: {app: web}}}"], WEB, DB, "allowed"),
    (&["ops {podSelector: {}}"], WEB, DB, "allowed"),
    // policyTypes without a word: Ingress.
    (&["shop {podSelector: {}}"], WEB, DB, "ingress"),
    (&["shop {podSelector: {}, ingress: [{}]}"], PROBE, DB, "allowed"),
    (&["shop {podSelector: {}, ingress: []}"], WEB, DB, "ingress"),
    (&["shop {podSelector: {}, ingress: [{from: []}]}"], PROBE, DB, "allowed"),
    // Pods of the policy's own namespace.
    (&["shop {podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}"], WEB, DB, "allowed"),
    (&["shop {podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}"], PROBE, DB, "ingress"),
    (
        &["shop {podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}"],
        WEB,
        DB,
        "allowed",
    ),
    (
        &["shop {podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}"],
        "Pod/bare/stray",
        DB,
        "ingress",
    ),
    // Namespaces by label; one that is not written has the label of its name.
    (
        &[
            "shop {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}}]}]}",
        ],
        PROBE,
        DB,
        "allowed",
    ),
    (
        &[
            "shop {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}}]}]}",
        ],
        WEB,
        DB,
        "ingress",
    ),
    (
        &["shop {podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}"],
        "Pod/bare/stray",
        DB,
        "allowed",
    ),
    (
        &[
            "shop {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: bare}}}]}]}",
        ],
        "Pod/bare/stray",
        DB,
        "allowed",
    ),
    (
        &[
            "shop {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: team, operator: DoesNotExist}]}}]}]}",
        ],
        PROBE,
        DB,
        "ingress",
    ),
    // Both in one peer are a conjunction, two peers are not.
    (
        &[
            "shop {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}, podSelector: {matchLabels: {app: web}}}]}]}",
        ],
        PROBE,
        DB,
        "ingress",
    ),
    (
        &[
            "shop {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}, podSelector: {matchLabels: {tier: front}}}]}]}",
        ],
        PROBE,
        DB,
        "allowed",
    ),
    (
        &[
            "shop {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}}, {podSelector: {matchLabels: {app: web}}}]}]}",
        ],
        WEB,
        DB,
        "allowed",
    ),
    // Ports.
    (&["shop {podSelector: {}, ingress: [{ports: [{port: 5432}]}]}"], WEB, DB, "allowed"),
    (&["shop {podSelector: {}, ingress: [{ports: [{port: 5433}]}]}"], WEB, DB, "ingress"),
    (
        &["shop {podSelector: {}, ingress: [{ports: [{port: 5432, protocol: UDP}]}]}"],
        WEB,
        DB,
        "ingress",
    ),
    (&["shop {podSelector: {}, ingress: [{ports: [{protocol: TCP}]}]}"], WEB, DB, "allowed"),
    (&["shop {podSelector: {}, ingress: [{ports: [{protocol: UDP}]}]}"], WEB, DB, "ingress"),
    (
        &["shop {podSelector: {}, ingress: [{ports: [{port: 5000, endPort: 5432}]}]}"],
        WEB,
        DB,
        "allowed",
    ),
    (
        &["shop {podSelector: {}, ingress: [{ports: [{port: 5000, endPort: 5431}]}]}"],
        WEB,
        DB,
        "ingress",
    ),
    (&["shop {podSelector: {}, ingress: [{ports: [{port: sql}]}]}"], WEB, DB, "allowed"),
    (&["shop {podSelector: {}, ingress: [{ports: [{port: metrics}]}]}"], WEB, DB, "ingress"),
    (
        &["shop {podSelector: {}, ingress: [{ports: [{port: gossip}]}]}"],
        WEB,
        "Pod/shop/db:7946",
        "ingress",
    ),
    // Peer and port must hold in one rule.
    (
        &[
            "shop {podSelector: {}, ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}, {from: [{namespaceSelector: {matchLabels: {team: b}}}], ports: [{port: 5432}]}]}",
        ],
        WEB,
        DB,
        "ingress",
    ),
    // Policies add up.
    (
        &[
            DENY,
            "shop {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}",
        ],
        WEB,
        DB,
        "allowed",
    ),
    (&[DENY, "shop {podSelector: {matchLabels: {app: web}}, ingress: [{}]}"], WEB, DB, "ingress"),
    // Addresses.
    (
        &["shop {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}]}"],
        "203.0.113.9",
        DB,
        "allowed",
    ),
    (
        &[
            "shop {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.8/29]}}]}]}",
        ],
        "203.0.113.9",
        DB,
        "ingress",
    ),
    (
        &["shop {podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}"],
        "203.0.113.9",
        DB,
        "ingress",
    ),
    (
        &["shop {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.244.0.0/14}}]}]}"],
        WEB,
        DB,
        "allowed",
    ),
    // A pod on its node's network has that node's address, and no policy isolates it.
    (
        &["shop {podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}"],
        "Pod/ops/host",
        DB,
        "ingress",
    ),
    (
        &["shop {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/14}}]}]}"],
        "Pod/ops/host",
        DB,
        "allowed",
    ),
    (&["ops {podSelector: {}}"], WEB, "Pod/ops/host:5432", "allowed"),
    // Clients of whom nothing is known are among those who are let in.
    (&[DENY], "clients", DB_SERVICE, "ingress"),
    (
        &[
            "shop {podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: gateway}}}]}]}",
        ],
        "clients",
        DB_SERVICE,
        "allowed",
    ),
    (
        &["shop {podSelector: {}, ingress: [{ports: [{port: 80}]}]}"],
        "clients",
        DB_SERVICE,
        "ingress",
    ),
    (&[DENY_EGRESS], "clients", DB_SERVICE, "allowed"),
    // A Service leads to its target port, and a call to whichever port gets through.
    (&["shop {podSelector: {}, ingress: [{ports: [{port: 15432}]}]}"], WEB, DB_SERVICE, "ingress"),
    (
        &["shop {podSelector: {}, ingress: [{ports: [{port: 9187}]}]}"],
        WEB,
        "Service/shop/both",
        "allowed",
    ),
    (
        &["shop {podSelector: {}, ingress: [{ports: [{port: 9187}]}]}"],
        WEB,
        "Service/shop/both:15432",
        "ingress",
    ),
];

pub(super) const EGRESS: &[Row] = &[
    (&[DENY_EGRESS], WEB, DB, "egress"),
    (&[DENY_EGRESS], PROBE, DB, "allowed"),
    (&[DENY_EGRESS], WEB, "203.0.113.9:443", "egress"),
    // An egress rule without policyTypes: both.
    (&["shop {podSelector: {matchLabels: {app: web}}, egress: [{}]}"], WEB, DB, "allowed"),
    (
        &["shop {podSelector: {matchLabels: {app: web}}, egress: [{}]}"],
        PROBE,
        "Pod/shop/web:80",
        "ingress",
    ),
    (&["shop {podSelector: {matchLabels: {app: web}}, egress: []}"], WEB, DB, "allowed"),
    (
        &["shop {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: []}"],
        WEB,
        DB,
        "egress",
    ),
    (
        &["shop {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}"],
        PROBE,
        "Pod/shop/web:80",
        "allowed",
    ),
    (
        &[
            "shop {podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: db}}}]}]}",
        ],
        WEB,
        DB,
        "allowed",
    ),
    (
        &[
            "shop {podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: db}}}]}]}",
        ],
        WEB,
        "Pod/ops/probe:80",
        "egress",
    ),
    (
        &[
            "shop {podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {team: b}}}]}]}",
        ],
        WEB,
        "Pod/ops/probe:80",
        "allowed",
    ),
    (
        &["shop {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: sql}]}]}"],
        WEB,
        DB,
        "allowed",
    ),
    (
        &["shop {podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 443}]}]}"],
        WEB,
        DB,
        "egress",
    ),
    (
        &[
            "shop {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}]}",
        ],
        WEB,
        "203.0.113.9:443",
        "allowed",
    ),
    (
        &[
            "shop {podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}]}",
        ],
        WEB,
        DB,
        "egress",
    ),
    // Both ends must agree.
    (
        &[
            DENY,
            "shop {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{}]}",
        ],
        WEB,
        DB,
        "ingress",
    ),
    // A Service is asked for by its name.
    (
        &[
            "shop {podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: db}}}]}]}",
        ],
        WEB,
        DB_SERVICE,
        "dns",
    ),
    (&[DNS], WEB, DB_SERVICE, "egress"),
    (
        &[
            DNS,
            "shop {podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: db}}}]}]}",
        ],
        WEB,
        DB_SERVICE,
        "allowed",
    ),
    (
        &[
            "shop {podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}, {ports: [{protocol: TCP, port: 53}]}]}",
        ],
        WEB,
        DB_SERVICE,
        "dns",
    ),
    (
        &[
            "shop {podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}, {ports: [{protocol: UDP, port: 53}]}]}",
        ],
        WEB,
        DB_SERVICE,
        "allowed",
    ),
    (&["kube-system {podSelector: {}}"], WEB, DB_SERVICE, "dns"),
];
