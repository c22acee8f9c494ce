//! What the controller refuses in a Rollout or AnalysisTemplate, with the field that it names.

use crate::{Source, load};

const HEAD: &str = "{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: web}, spec: {selector: {matchLabels: {app: web}}, \
    template: {metadata: {labels: {app: web}}, spec: {containers: [{name: a, image: a, resources: {requests: {cpu: 1}}}]}}, ";

fn said(text: &str) -> String {
    load(&[Source::new("web.yaml", text)]).diagnostics.to_string()
}

fn said_of_canary(canary: &str) -> String {
    said(&format!("{HEAD}strategy: {{canary: {{{canary}}}}}}}}}\n"))
}

#[test]
fn a_canary_that_the_controller_refuses_is_refused_at_its_field() {
    let of_routing = |rest: &str| {
        format!(
            "stableService: a, canaryService: b, trafficRouting: {{nginx: {{stableIngress: i}}}}, {rest}"
        )
    };
    for (canary, field) in [
        ("maxSurge: 0, maxUnavailable: 0%".to_owned(), "canary.maxSurge"),
        ("maxSurge: few".to_owned(), "canary.maxSurge"),
        ("stableService: a, canaryService: a".to_owned(), "canary.stableService"),
        ("trafficRouting: {nginx: {stableIngress: i}}".to_owned(), "canary.stableService"),
        ("stableService: a, trafficRouting: {alb: {ingress: i, servicePort: 80}}".to_owned(), "canary.canaryService"),
        ("scaleDownDelaySeconds: 10".to_owned(), "canary.scaleDownDelaySeconds"),
        ("dynamicStableScale: true".to_owned(), "canary.dynamicStableScale"),
        (of_routing("dynamicStableScale: true, scaleDownDelaySeconds: 1"), "canary.dynamicStableScale"),
        ("steps: [{setWeight: 101}]".to_owned(), "canary.steps[0].setWeight"),
        ("steps: [{setWeight: -1}]".to_owned(), "canary.steps[0].setWeight"),
        ("steps: [{pause: {duration: soon}}]".to_owned(), "canary.steps[0].pause.duration"),
        ("steps: [{setWeight: 1, pause: {}}]".to_owned(), "canary.steps[0]"),
        ("steps: [{}]".to_owned(), "canary.steps[0]"),
        ("steps: [{setCanaryScale: {replicas: 1}}]".to_owned(), "canary.trafficRouting"),
        ("maxSurge: 1000001".to_owned(), "canary.maxSurge"),
        (of_routing("minPodsPerReplicaSet: -1"), "canary.minPodsPerReplicaSet"),
        (of_routing("steps: [{setCanaryScale: {replicas: -1}}]"), "canary.steps[0].setCanaryScale.replicas"),
        (of_routing("steps: [{setCanaryScale: {replicas: 1000001}}]"), "canary.steps[0].setCanaryScale.replicas"),
        (of_routing("steps: [{setCanaryScale: {weight: -1}}]"), "canary.steps[0].setCanaryScale.weight"),
        (of_routing("steps: [{setCanaryScale: {weight: 1001}}]"), "canary.steps[0].setCanaryScale.weight"),
        ("stableService: a, canaryService: b, trafficRouting: {nginx: {}}".to_owned(), "canary.trafficRouting.nginx"),
        (
            "stableService: a, canaryService: b, trafficRouting: {nginx: {stableIngress: i, stableIngresses: [j]}}".to_owned(),
            "canary.trafficRouting.nginx",
        ),
        ("antiAffinity: {}".to_owned(), "canary.antiAffinity"),
        (
            "stableService: a, canaryService: b, trafficRouting: {istio: {virtualService: {name: v}}, maxTrafficWeight: 1000}".to_owned(),
            "canary.trafficRouting.maxTrafficWeight",
        ),
        (
            "stableService: a, canaryService: b, trafficRouting: {nginx: {stableIngress: i}, maxTrafficWeight: 1000001}".to_owned(),
            "canary.trafficRouting.maxTrafficWeight",
        ),
    ] {
        let said = said_of_canary(&canary);
        assert!(said.contains("error:") && said.contains(&format!("spec.strategy.{field}: ")), "{canary}: {said}");
    }
    let valid = of_routing(
        "steps: [{setWeight: 5}, {pause: {duration: 90}}, {pause: {duration: 1h30m}}, {setCanaryScale: {weight: 3}}]",
    );
    let said = said_of_canary(&valid);
    assert!(!said.contains("error:"), "{said}");
}

#[test]
fn other_rules_name_their_field_too() {
    for (rest, field) in [
        ("strategy: {}", "spec.strategy"),
        ("strategy: {canary: {}, blueGreen: {activeService: a}}", "spec.strategy"),
        (
            "strategy: {blueGreen: {activeService: a, previewService: a}}",
            "spec.strategy.blueGreen.activeService",
        ),
        (
            "strategy: {blueGreen: {activeService: a, previewReplicaCount: -1}}",
            "spec.strategy.blueGreen.previewReplicaCount",
        ),
        (
            "strategy: {blueGreen: {activeService: a, previewReplicaCount: 1000001}}",
            "spec.strategy.blueGreen.previewReplicaCount",
        ),
        (
            "revisionHistoryLimit: 1, strategy: {blueGreen: {activeService: a, scaleDownDelayRevisionLimit: 2}}",
            "spec.strategy.blueGreen.scaleDownDelayRevisionLimit",
        ),
        ("replicas: -1, strategy: {canary: {}}", "spec.replicas"),
        ("minReadySeconds: 600, strategy: {canary: {}}", "spec.progressDeadlineSeconds"),
        ("strategy: {canary: {setWeight: 5}}", "spec.strategy.canary.setWeight"),
    ] {
        let said = said(&format!("{HEAD}{rest}}}}}\n"));
        assert!(said.contains("error:") && said.contains(&format!("{field}: ")), "{rest}: {said}");
    }
}

#[test]
fn what_reaches_no_requests_or_pods_is_told_by_name() {
    let canary = "stableService: a, canaryService: b, trafficRouting: {istio: {virtualService: {name: v}}}, canaryMetadata: {labels: {a: b}}, \
                  steps: [{experiment: {templates: []}}]";
    let said = said_of_canary(canary);
    for field in ["trafficRouting.istio", "canaryMetadata", "steps[0].experiment"] {
        assert!(said.contains(field) && said.contains("is ignored"), "{field}: {said}");
    }
    assert!(!said.contains("error:"), "{said}");
}

#[test]
fn a_template_of_an_analysis_is_checked_as_its_runs_would_be() {
    for (metric, field) in [
        ("name: a, provider: {prometheus: {query: up}}, count: 2", "metrics[0].interval"),
        ("name: a, provider: {prometheus: {query: up}}, interval: often", "metrics[0].interval"),
        ("name: a", "metrics[0].provider"),
        ("name: a, provider: {web: {url: u}, prometheus: {query: up}}", "metrics[0].provider"),
        (
            "name: a, provider: {prometheus: {query: up}}, count: 2, interval: 5m, failureLimit: 3",
            "metrics[0].count",
        ),
    ] {
        let text = format!(
            "{{apiVersion: argoproj.io/v1alpha1, kind: AnalysisTemplate, metadata: {{name: a}}, spec: {{metrics: [{{{metric}}}]}}}}\n"
        );
        let said = said(&text);
        assert!(
            said.contains("error:") && said.contains(&format!("spec.{field}: ")),
            "{metric}: {said}"
        );
    }
    let args = "{apiVersion: argoproj.io/v1alpha1, kind: ClusterAnalysisTemplate, metadata: {name: a}, spec: {args: [{name: every}], metrics: \
                [{name: a, interval: '{{args.every}}', count: '{{args.every}}', provider: {datadog: {query: q}}}]}}\n";
    assert!(!said(args).contains("error:"), "{}", said(args));
}

const SERVICES: &str = "---
{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {selector: {app: web}, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: b}, spec: {selector: {app: web}, ports: [{port: 80}]}}
";

/// A template of an analysis.
fn template(name: &str, spec: &str) -> String {
    format!(
        "---\n{{apiVersion: argoproj.io/v1alpha1, kind: AnalysisTemplate, metadata: {{name: {name}}}, spec: {{{spec}}}}}\n"
    )
}

fn metric(rest: &str) -> String {
    format!("metrics: [{{name: m, provider: {{prometheus: {{query: up}}}}{rest}}}]")
}

const NGINX: &str =
    "stableService: a, canaryService: b, trafficRouting: {nginx: {stableIngress: i}}";
const ANALYSIS_STEP: &str = "steps: [{analysis: {templates: [{templateName: t}]}}]";

/// An Ingress with a rule for this Service.
fn ingress(service: &str) -> String {
    format!(
        "---\n{{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {{name: i}}, spec: {{rules: [{{http: {{paths: [{{path: /, \
         pathType: Prefix, backend: {{service: {{name: {service}, port: {{number: 80}}}}}}}}]}}}}]}}}}\n"
    )
}

#[test]
fn objects_that_a_rollout_names_must_exist_and_fit() {
    let once = template("t", &metric(""));
    let endless = metric(", interval: 1m");
    let other = SERVICES.replace(
        "name: a",
        "name: a, annotations: {argo-rollouts.argoproj.io/managed-by-rollouts: other}",
    );
    let twice = "steps: [{analysis: {templates: [{templateName: t}, {templateName: u}]}}]";
    for (canary, objects, problem) in [
        ("stableService: c", String::new(), "canary.stableService: service \"c\" not found"),
        (
            "stableService: a",
            SERVICES.replace("app: web", "app: web, track: stable"),
            "canary.stableService: Service \"a\" has unmatch label \"track\" in rollout",
        ),
        ("stableService: a", other, "Service \"a\" is managed by another Rollout"),
        (
            ANALYSIS_STEP,
            String::new(),
            "canary.steps[0].analysis.templates: AnalysisTemplate 't' not found",
        ),
        (
            "analysis: {templates: [{templateName: t, clusterScope: true}]}",
            once.clone(),
            "canary.analysis.templates: ClusterAnalysisTemplate 't' not found",
        ),
        (
            ANALYSIS_STEP,
            template("t", "templates: [{templateName: u}]"),
            "AnalysisTemplate 'u' not found",
        ),
        (
            ANALYSIS_STEP,
            template("t", &format!("args: [{{name: x}}], {}", metric(""))),
            "args.x was not resolved",
        ),
        (
            ANALYSIS_STEP,
            template("t", &endless),
            "AnalysisTemplate t has metric m which runs indefinitely. Invalid value for count: <nil>",
        ),
        (
            twice,
            format!("{once}{}", template("u", &metric(""))),
            "two metrics have the same name 'm'",
        ),
        (
            ANALYSIS_STEP,
            template(
                "t",
                &format!("dryRun: [{{metricName: m}}, {{metricName: m}}], {}", metric("")),
            ),
            "two Dry-Run metric rules have the same name 'm'",
        ),
        (
            NGINX,
            SERVICES.to_owned(),
            "nginx.stableIngress: ingress.networking.k8s.io \"i\" not found",
        ),
        (
            NGINX,
            format!("{SERVICES}{}", ingress("b")),
            "ingress `i` has no rules using service a backend",
        ),
    ] {
        let said = said(&format!("{HEAD}strategy: {{canary: {{{canary}}}}}}}}}\n{objects}"));
        assert!(
            said.contains("calls the Rollout invalid") && said.contains(problem),
            "{canary}: {said}"
        );
    }
}

#[test]
fn objects_that_fit_a_rollout_are_taken() {
    let once = template("t", &metric(""));
    let endless = metric(", interval: 1m");
    let background = "analysis: {templates: [{templateName: t}]}";
    let given =
        "steps: [{analysis: {templates: [{templateName: t}], args: [{name: x, value: '1'}]}}]";
    for (canary, objects) in [
        (NGINX, format!("{SERVICES}{}", ingress("a"))),
        (ANALYSIS_STEP, once),
        (background, template("t", &endless)),
        (
            given,
            template("t", &format!("args: [{{name: x}}], {}", metric(", interval: 1m, count: 2"))),
        ),
    ] {
        let said = said(&format!("{HEAD}strategy: {{canary: {{{canary}}}}}}}}}\n{objects}"));
        assert!(
            !said.contains("calls the Rollout invalid") && !said.contains("error:"),
            "{canary}: {said}"
        );
    }
}
