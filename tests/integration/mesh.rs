//! Sidecars that a service mesh injects: who gets one, with which resources, and what that means for scheduling, the
//! HPA, latency and Pod Security.

use std::collections::BTreeMap;

use crate::in_memory::{Run, resolved, world};
use wavetank::engine::SimTime;
use wavetank::sim::{Blueprint, Simulation};
use wavetank::traffic::ServiceId;

const SCENARIO: &str = "apiVersion: wavetank/v1
kind: Scenario
name: mesh
duration: 10m
manifests: [manifests.yaml]
cluster: {nodePools: [{name: general, instanceType: aws/m5.large, count: 2}]}
";

fn with_mesh(settings: &str) -> String {
    format!("{SCENARIO}mesh: {{{settings}}}\n")
}

fn namespace(name: &str, labels: &str, annotations: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{{labels}}}, annotations: \
         {{{annotations}}}}}}}\n"
    )
}

/// A pod with 100m; `labels`, `annotations` and `spec` are further fields.
fn pod(namespace: &str, name: &str, labels: &str, annotations: &str, spec: &str) -> String {
    format!(
        "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: {namespace}, labels: {{{labels}}}, \
         annotations: {{{annotations}}}}}, spec: {{{spec} containers: [{{name: app, image: a, resources: {{requests: \
         {{cpu: 100m, memory: 64Mi}}}}}}]}}}}\n"
    )
}

/// A Deployment of one pod with a Service of its name in the namespace `shop`.
fn service(name: &str, resources: &str) -> String {
    format!(
        "---\n{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {name}, namespace: shop}}, spec: {{selector: \
         {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{containers: \
         [{{name: app, image: a, resources: {{{resources}}}}}]}}}}}}}}\n---\n{{apiVersion: v1, kind: Service, metadata: \
         {{name: {name}, namespace: shop}}, spec: {{selector: {{app: {name}}}, ports: [{{port: 80}}]}}}}\n"
    )
}

/// The names of the init containers and of the containers of each pod, by name of the pod.
fn containers(run: &Run) -> BTreeMap<String, (Vec<String>, Vec<String>)> {
    let view = run.0.view();
    let pods = view.pods().values().map(|pod| {
        let spec = &view.template_of(pod).spec;
        let names = |list: &[wavetank::cluster::pod_template::Container]| {
            list.iter().map(|one| one.name.to_string()).collect::<Vec<_>>()
        };
        (pod.name().to_string(), (names(&spec.init_containers), names(&spec.containers)))
    });
    pods.collect()
}

#[test]
fn labels_and_annotations_select_the_pods_that_get_a_proxy() {
    let enabled = namespace("enabled", "istio-injection: enabled", "");
    let cases: [(&str, &str, &str, &str, bool); 12] = [
        ("enabled", "", "", "", true),
        ("enabled", "sidecar.istio.io/inject: 'false'", "", "", false),
        ("enabled", "", "sidecar.istio.io/inject: 'false'", "", false),
        (
            "enabled",
            "sidecar.istio.io/inject: 'true'",
            "sidecar.istio.io/inject: 'false'",
            "",
            true,
        ),
        ("enabled", "", "", "hostNetwork: true,", false),
        ("plain", "", "", "", false),
        ("plain", "sidecar.istio.io/inject: 'true'", "", "", true),
        ("plain", "", "sidecar.istio.io/inject: 'true'", "", false),
        ("plain", "istio.io/rev: canary", "", "", true),
        ("disabled", "sidecar.istio.io/inject: 'true'", "", "", false),
        ("revision", "", "", "", true),
        ("kube-system", "sidecar.istio.io/inject: 'true'", "", "", false),
    ];
    let mut manifests = enabled
        + &namespace("plain", "", "")
        + &namespace("disabled", "istio-injection: disabled", "")
        + &namespace("revision", "istio.io/rev: stable", "");
    for (number, (namespace, labels, annotations, spec, _)) in cases.iter().enumerate() {
        manifests += &pod(namespace, &format!("p{number}"), labels, annotations, spec);
    }
    let mut run = Run::new(&with_mesh("kind: istio"), &manifests);
    run.until(5);
    let found = containers(&run);
    for (number, (namespace, labels, annotations, spec, expected)) in cases.iter().enumerate() {
        let (init, _) = &found[&format!("p{number}")];
        let has_proxy = init.iter().any(|name| name == "istio-proxy");
        assert_eq!(has_proxy, *expected, "{namespace} {{{labels}}} {{{annotations}}} {spec}");
    }
}

#[test]
fn linkerd_asks_annotations_of_pod_and_namespace() {
    let cases: [(&str, &str, bool); 7] = [
        ("enabled", "", true),
        ("enabled", "linkerd.io/inject: disabled", false),
        ("plain", "", false),
        ("plain", "linkerd.io/inject: enabled", true),
        ("plain", "linkerd.io/inject: ingress", true),
        ("disabled", "", false),
        ("disabled", "linkerd.io/inject: enabled", true),
    ];
    let mut manifests = namespace("enabled", "", "linkerd.io/inject: enabled")
        + &namespace("plain", "", "")
        + &namespace("disabled", "", "linkerd.io/inject: disabled");
    for (number, (namespace, annotations, _)) in cases.iter().enumerate() {
        manifests += &pod(namespace, &format!("p{number}"), "", annotations, "");
    }
    let mut run = Run::new(&with_mesh("kind: linkerd"), &manifests);
    run.until(5);
    let found = containers(&run);
    for (number, (namespace, annotations, expected)) in cases.iter().enumerate() {
        let (init, _) = &found[&format!("p{number}")];
        let has_proxy = init.iter().any(|name| name == "linkerd-proxy");
        assert_eq!(has_proxy, *expected, "{namespace} {{{annotations}}}");
    }
}

/// Requests and limits of the proxy of the pod `p`, as `NAME AMOUNT`.
fn proxy_resources(settings: &str, namespace: &str, annotations: &str) -> [String; 2] {
    let manifests = namespace.to_owned() + &pod("shop", "p", "", annotations, "");
    let mut run = Run::new(&with_mesh(settings), &manifests);
    run.until(5);
    let view = run.0.view();
    let pod = view.pods().values().next().expect("the pod");
    let spec = &view.template_of(pod).spec;
    let proxy = spec.running().find(|one| one.is_proxy).expect("a proxy");
    [&proxy.requests, &proxy.limits].map(|list| {
        let pairs = list.iter().map(|(name, amount)| format!("{name} {amount}"));
        pairs.collect::<Vec<_>>().join(" ")
    })
}

#[test]
fn one_annotation_about_resources_replaces_all_defaults_of_istio() {
    let shop = namespace("shop", "istio-injection: enabled", "");
    let resources =
        |settings: &str, annotations: &str| proxy_resources(settings, &shop, annotations);
    assert_eq!(resources("kind: istio", ""), ["cpu 100m memory 128Mi", "cpu 2 memory 1Gi"]);
    assert_eq!(resources("kind: istio", "sidecar.istio.io/proxyCPU: 20m"), ["cpu 20m", ""]);
    let limit = resources("kind: istio", "sidecar.istio.io/proxyMemoryLimit: 64Mi");
    assert_eq!(limit, ["memory 64Mi", "memory 64Mi"], "a limit is a request, too");
    let own = "kind: istio, proxy: {cpu: 10m, memory: 40Mi, cpuLimit: 1}";
    assert_eq!(resources(own, ""), ["cpu 10m memory 40Mi", "cpu 1"]);
}

#[test]
fn linkerds_proxies_have_no_resources_unless_the_pod_or_its_namespace_says_so() {
    let resources = |marks: &str, annotations: &str| {
        let marks = format!("linkerd.io/inject: enabled{marks}");
        proxy_resources("kind: linkerd", &namespace("shop", "", &marks), annotations)
    };
    assert_eq!(resources("", ""), ["", ""]);
    let of_namespace = ", config.linkerd.io/proxy-cpu-request: 30m";
    assert_eq!(resources(of_namespace, ""), ["cpu 30m", ""]);
    let of_pod =
        "config.linkerd.io/proxy-cpu-request: 50m, config.linkerd.io/proxy-memory-limit: 90Mi";
    assert_eq!(resources(of_namespace, of_pod), ["cpu 50m memory 90Mi", "memory 90Mi"]);
}

#[test]
fn a_proxy_starts_before_or_after_the_application() {
    let order = |settings: &str| {
        let manifests = namespace("shop", "istio-injection: enabled", "linkerd.io/inject: enabled")
            + &pod("shop", "p", "", "", "initContainers: [{name: own, image: a}],");
        let mut run = Run::new(&with_mesh(settings), &manifests);
        run.until(5);
        let (init, containers) = containers(&run).remove("p").expect("the pod");
        (init.join(" "), containers.join(" "))
    };
    let of = |init: &str, containers: &str| (init.to_owned(), containers.to_owned());
    assert_eq!(order("kind: istio"), of("istio-init istio-proxy own", "app"));
    let plain = "kind: istio, nativeSidecar: false";
    assert_eq!(order(plain), of("own istio-init", "app istio-proxy"));
    let held = "kind: istio, nativeSidecar: false, holdApplicationUntilProxyStarts: true";
    assert_eq!(order(held), of("own istio-init", "istio-proxy app"));
    assert_eq!(order("kind: linkerd"), of("linkerd-init linkerd-proxy own", "app"));
    let plain = "kind: linkerd, nativeSidecar: false";
    assert_eq!(order(plain), of("linkerd-init own", "linkerd-proxy app"));
}

#[test]
fn the_requests_of_proxies_take_room_on_nodes() {
    let crowd = |settings: &str| {
        let deployment = service("web", "requests: {cpu: 100m, memory: 64Mi}").replace(
            "spec: {selector: {matchLabels",
            "spec: {replicas: 60, selector: {matchLabels",
        );
        let manifests = namespace("shop", "istio-injection: enabled", "") + &deployment;
        let mut run = Run::new(&with_mesh(settings), &manifests);
        run.until(120);
        run.0.view().pods().values().filter(|pod| pod.node.is_some()).count()
    };
    // An m5.large has 1930m for pods: 19 without a proxy, 9 with one.
    assert_eq!(crowd("kind: none"), 2 * 19);
    assert_eq!(crowd("kind: istio"), 2 * 9);
}

const TWO_SERVICES: &str = "
workloads:
- {workload: Deployment/shop/web, requests: {concurrency: 8, cpuTime: 10ms, calls: [{service: shop/db}]}}
- {workload: Deployment/shop/db, requests: {concurrency: 8, cpuTime: 20ms}}
traffic: [{service: shop/web, load: {pattern: constant, rps: 5}, arrivals: even}]
";

/// Mean latencies of both services of [`TWO_SERVICES`], milliseconds.
fn means(settings: &str, resources: &str) -> [f64; 2] {
    let scenario = format!("{}warmUp: 2m\n{TWO_SERVICES}", with_mesh(settings));
    let manifests = namespace("shop", "istio-injection: enabled", "")
        + &service("web", resources)
        + &service("db", resources);
    let mut simulation = Simulation::new(world(&scenario, &manifests, &[]));
    simulation.run_until(SimTime::from_secs(600));
    let now = simulation.now();
    [0, 1].map(|service| {
        let figures = simulation.traffic_mut().figures(now, ServiceId(service));
        figures.latencies.expect("requests were answered").mean.as_millis_f64()
    })
}

#[test]
fn each_proxy_on_the_way_takes_its_time() {
    let resources = "requests: {cpu: 100m, memory: 64Mi}";
    let without = means("kind: none", resources);
    let with = means("kind: istio, proxyTime: 2ms", resources);
    // A client passes the proxy of web; a call passes that of web and that of db.
    assert!((with[1] - without[1] - 4.0).abs() < 0.01, "{without:?} {with:?}");
    assert!((with[0] - without[0] - 6.0).abs() < 0.01, "{without:?} {with:?}");
}

#[test]
fn the_limit_of_a_proxy_is_no_cpu_for_the_application() {
    // With its 150m a request of 20 ms waits for the next period; the proxy's 2 cores do not help.
    let resources = "requests: {cpu: 50m, memory: 64Mi}, limits: {cpu: 150m, memory: 64Mi}";
    let without = means("kind: none", resources);
    let with = means("kind: istio, proxyTime: 0s", resources);
    // Without a quota it would take 20 ms; how long it waits depends on when its period began.
    assert!(without[1] > 50.0 && with[1] > 50.0, "{without:?} {with:?}");
}

#[test]
fn an_hpa_counts_the_requests_of_proxies() {
    let hpa = "---\n{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web, namespace: shop}, \
               spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, minReplicas: 1, maxReplicas: 1, \
               metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 99}}}]}}\n";
    let explained = |settings: &str, resources: &str| {
        let scenario =
            format!("{}{TWO_SERVICES}", with_mesh(settings)).replace("rps: 5", "rps: 10");
        let manifests = namespace("shop", "istio-injection: enabled", "linkerd.io/inject: enabled")
            + &service("web", resources)
            + &service("db", resources)
            + hpa;
        let mut run = Run::new(&scenario, &manifests);
        run.until(590);
        run.explain("hpa/shop/web")
    };
    // Ten requests a second of 10 ms: 100m.
    let resources = "requests: {cpu: 100m, memory: 64Mi}";
    let without = explained("kind: none", resources);
    assert!(without.contains("100 %") || without.contains("100%"), "{without}");
    let with = explained("kind: istio", resources);
    assert!(with.contains("50 %") || with.contains("50%"), "{with}");
    let linkerd = explained("kind: linkerd", resources);
    assert!(linkerd.contains("missing request for cpu in container linkerd-proxy"), "{linkerd}");
}

#[test]
fn pod_security_refuses_the_init_container_unless_a_plugin_redirects() {
    let pods = |settings: &str| {
        let labels = "istio-injection: enabled, pod-security.kubernetes.io/enforce: baseline";
        let manifests =
            namespace("shop", labels, "") + &service("web", "requests: {cpu: 100m, memory: 64Mi}");
        let mut run = Run::new(&with_mesh(settings), &manifests);
        run.until(60);
        let failures = run.events("FailedCreate");
        (run.0.view().pods().len(), failures.into_iter().map(|(_, message)| message).next())
    };
    let (count, failure) = pods("kind: istio");
    assert_eq!(count, 0);
    let failure = failure.expect("an Event");
    assert!(
        failure.contains(
            "non-default capabilities (container \"istio-init\" must not include \
                          \"NET_ADMIN\", \"NET_RAW\""
        ),
        "{failure}"
    );
    assert_eq!(pods("kind: istio, cni: true"), (1, None));
}

#[test]
fn marks_without_a_mesh_are_listed_and_with_one_they_act() {
    let notes = |settings: &str, manifests: &str| {
        let resolved = resolved(&with_mesh(settings), manifests, &[]).expect("valid");
        Blueprint::new(&resolved).expect("valid").notes().to_string()
    };
    let marked = namespace("shop", "istio-injection: enabled", "")
        + &pod("shop", "p", "", "sidecar.istio.io/proxyCPU: 20m, linkerd.io/inject: enabled", "");
    let without = notes("", &marked);
    for name in ["`istio-injection`", "`sidecar.istio.io/proxyCPU*`", "`linkerd.io/inject`"] {
        let listed = format!("{name} is ignored: no sidecar is injected, as no mesh is installed");
        assert!(without.contains(&listed), "{name}: {without}");
    }
    let with = notes("kind: istio", &marked);
    assert!(!with.contains("istio"), "{with}");
    assert!(with.contains("`linkerd.io/inject`"), "that mesh is not installed: {with}");
    let istiod = service("istiod", "requests: {cpu: 100m, memory: 64Mi}");
    assert!(!notes("", &(marked + &istiod)).contains("`istio-injection`"), "evident");
}
