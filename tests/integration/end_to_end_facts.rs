//! What the real controllers do *together* and surprises people, as the recordings' notes tell it
//! (`tests/golden/end-to-end/README.md`): small systems run through the same way as the recordings.

use std::fmt::Write as _;

use serde_json::Value;
use wavetank::conform::end_to_end::{CaseFiles, RunEvent, RunResults, run_base};

/// A system in the form of a recorded case. Nodes have four cores; pods ask for half a core and may
/// use one; a request takes 20 ms of CPU; a pod is ready 14 s after its binding.
struct System {
    nodes: Vec<Node>,
    later: Vec<Node>,
    manifests: String,
    scheduler: Option<&'static str>,
    load: Vec<(&'static str, f64, f64)>,
    images: Vec<(&'static str, f64, f64)>,
    cpu_ms: Vec<(&'static str, f64)>,
    steps: Vec<String>,
    duration_seconds: u32,
}

#[derive(Clone)]
struct Node {
    name: &'static str,
    zone: &'static str,
    gpus: u32,
}

const fn node(name: &'static str, zone: &'static str) -> Node {
    Node { name, zone, gpus: 0 }
}

/// Six pods behind `web`, on three nodes in three zones.
fn web(replicas: u32) -> System {
    System {
        nodes: vec![node("n01", "a"), node("n02", "b"), node("n03", "c")],
        later: Vec::new(),
        manifests: deployment("web", replicas, "", "") + &service("web"),
        scheduler: None,
        load: Vec::new(),
        images: vec![("web:v1", 4.0, 6.0)],
        cpu_ms: vec![("web", 20.0)],
        steps: Vec::new(),
        duration_seconds: 1_800,
    }
}

fn deployment(name: &str, replicas: u32, spec: &str, pod: &str) -> String {
    format!(
        "---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
{spec}  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
{pod}      containers:
      - name: app
        image: {name}:v1
        ports: [{{containerPort: 8080}}]
        readinessProbe: {{httpGet: {{path: /, port: 8080}}, initialDelaySeconds: 5, periodSeconds: 5}}
        resources: {{requests: {{cpu: 500m, memory: 256Mi}}, limits: {{cpu: 1, memory: 256Mi}}}}
"
    )
}

fn service(name: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\n\
         spec: {{selector: {{app: {name}}}, ports: [{{port: 80, targetPort: 8080}}]}}\n"
    )
}

fn hpa(name: &str, min: u32, max: u32, behavior: &str) -> String {
    format!(
        "---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: {name}}}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {name}}}
  minReplicas: {min}
  maxReplicas: {max}
  metrics: [{{type: Resource, resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 60}}}}}}]
{behavior}"
    )
}

impl System {
    fn with(mut self, manifest: &str) -> Self {
        self.manifests.push_str(manifest);
        self
    }

    /// From `seconds` on, until the next one, `rps` come to the Service.
    fn load(mut self, service: &'static str, steps: &[(f64, f64)]) -> Self {
        let mut before = 0.0;
        for (seconds, rps) in steps {
            self.load.extend([(service, *seconds, before), (service, seconds + 1.0, *rps)]);
            before = *rps;
        }
        self
    }

    /// Seconds from binding to Running and from there to the first answer; negative = never.
    fn image(mut self, image: &'static str, start: f64, warm_up: f64) -> Self {
        self.images.push((image, start, warm_up));
        self
    }

    fn step(mut self, step: &str) -> Self {
        self.steps.push(format!("- {{{step}}}\n"));
        self
    }

    fn files(&self) -> CaseFiles {
        let mut load = String::from("t_seconds,service,rps\n");
        for (service, seconds, rps) in &self.load {
            let _ = writeln!(load, "{seconds},{service},{rps}");
        }
        let mut parameters = format!(
            "case: made\nduration_s: {}\nlease_phase_s: 1.3\noffsets:\n- {{hpa_s: 2.2, scrape_s: 12.6}}\nimages:\n",
            self.duration_seconds
        );
        for (image, start, warm_up) in &self.images {
            let _ = writeln!(
                parameters,
                "  \"{image}\": {{start_s: {start}, warmup_s: {warm_up}, term_s: 10, startup_cpu_m: 0}}"
            );
        }
        parameters.push_str("services:\n");
        for (service, cpu_ms) in &self.cpu_ms {
            let _ = writeln!(
                parameters,
                "  {service}: {{cpu_ms_per_request: {cpu_ms}, queue_bound_s: 10}}"
            );
        }
        let steps = if self.steps.is_empty() { " []\n".to_owned() } else { self.steps.concat() };
        let _ = write!(parameters, "timeline:\n{steps}");
        let mut files = vec![
            ("manifests/app.yaml".to_owned(), self.manifests.clone()),
            ("manifests/nodes.yaml".to_owned(), nodes(&self.nodes)),
            ("load.csv".to_owned(), load),
            ("params.yaml".to_owned(), parameters),
        ];
        if !self.later.is_empty() {
            files.push(("manifests/nodes-later.yaml".to_owned(), nodes(&self.later)));
        }
        if let Some(configuration) = self.scheduler {
            files.push(("manifests/scheduler-config.yaml".to_owned(), configuration.to_owned()));
        }
        let files = files.into_iter().map(|(path, text)| (path, text.into_bytes()));
        CaseFiles::new(files).expect("the case is text")
    }

    fn run(&self) -> RunResults {
        run_base(&self.files()).expect("the case can be run")
    }
}

fn nodes(nodes: &[Node]) -> String {
    let one = |node: &Node| {
        let Node { name, zone, gpus } = node;
        let gpu = if *gpus > 0 { format!(", nvidia.com/gpu: \"{gpus}\"") } else { String::new() };
        let resources = format!("{{cpu: \"4\", memory: 16Gi, pods: \"110\"{gpu}}}");
        format!(
            "---\napiVersion: v1\nkind: Node\nmetadata:\n  name: {name}\n  labels: {{topology.kubernetes.io/zone: {zone}}}\n\
             status:\n  capacity: {resources}\n  allocatable: {resources}\n"
        )
    };
    nodes.iter().map(one).collect()
}

/// Times at which this happened, as often as it did.
fn times(shown: &RunResults, what: &str) -> Vec<f64> {
    let is_it = |event: &&RunEvent| event.what == what;
    shown.events.iter().filter(is_it).map(|event| event.t).collect()
}

/// `from -> to` of the rescales of an autoscaler, with their times.
fn rescales(shown: &RunResults, hpa: &str) -> Vec<(f64, String)> {
    let prefix = format!("rescale {hpa} ");
    shown
        .events
        .iter()
        .filter_map(|event| {
            let rest = event.what.strip_prefix(&prefix)?;
            Some((event.t, rest.split(" at ").next().unwrap_or_default().to_owned()))
        })
        .collect()
}

/// What a sample shows at a path, at the first sample from `seconds` on.
fn at<'s>(shown: &'s RunResults, seconds: f64, path: &str) -> &'s Value {
    let sample = shown.samples.iter().find(|sample| sample["t"].as_f64() >= Some(seconds));
    sample.and_then(|sample| sample.pointer(path)).unwrap_or(&Value::Null)
}

/// The share of the whole request that the autoscaler sees in use, percent.
fn utilization(shown: &RunResults, seconds: f64) -> i64 {
    at(shown, seconds, "/hpa/web/currentUtilization").as_i64().expect("the metric is there")
}

#[test]
fn an_autoscaler_does_not_make_up_for_pods_of_an_image_that_cannot_be_pulled() {
    let shown = web(4)
        .with(&hpa("web", 4, 20, ""))
        .load("web", &[(60.0, 60.0)])
        .image("web:v2", -1.0, 6.0)
        .step("t: 603, do: setImage, deployment: web, image: \"web:v2\"")
        .run();
    assert_eq!(rescales(&shown, "web"), [], "pods that are not ready count as idle");
    assert_eq!(utilization(&shown, 500.0), 60);
    assert_eq!(utilization(&shown, 1_500.0), 80, "three of four are left to do the work");
}

#[test]
fn growth_of_a_stuck_rollout_goes_to_both_versions_and_puts_off_its_deadline() {
    let deadline = "  progressDeadlineSeconds: 300\n";
    let mut system = web(6);
    system.manifests =
        deployment("web", 6, deadline, "") + &service("web") + &hpa("web", 6, 30, "");
    system.duration_seconds = 3_000;
    let shown = system
        .load("web", &[(60.0, 90.0), (1_200.0, 180.0)])
        .image("web:v2", 4.0, -1.0)
        .step("t: 603, do: setImage, deployment: web, image: \"web:v2\"")
        .run();
    let exceeded = times(&shown, "rolloutDeadlineExceeded web");
    assert!(exceeded.len() >= 2, "said again after each growth: {exceeded:?}");
    let grown = rescales(&shown, "web");
    assert!(grown.iter().any(|(t, _)| *t > 1_200.0), "{grown:?}");
    let updated = |seconds| at(&shown, seconds, "/deployments/web/updated").as_i64();
    assert!(updated(2_500.0) > updated(1_100.0), "the broken version grows too");
}

#[test]
fn a_reapplied_manifest_with_replicas_takes_all_surplus_pods_at_once_and_growth_only_doubles() {
    let mut system = web(3);
    system.nodes.push(node("n04", "a"));
    let shown = system
        .with(&hpa("web", 3, 16, ""))
        .load("web", &[(60.0, 240.0)])
        .step("t: 903, do: patchDeployment, deployment: web, patch: {spec: {replicas: 3}}")
        .run();
    assert_eq!(at(&shown, 890.0, "/deployments/web/spec"), 16);
    let deleted = times(&shown, "pod web delete");
    assert_eq!(deleted.iter().filter(|t| (**t - 903.0).abs() < 0.05).count(), 13);
    let after: Vec<String> =
        rescales(&shown, "web").into_iter().filter(|(t, _)| *t > 903.0).map(|(_, it)| it).collect();
    assert_eq!(after.first().map(String::as_str), Some("3 -> 6"), "{after:?}");
    assert!(after.last().is_some_and(|it| it.ends_with("-> 16")), "{after:?}");
}

#[test]
fn behavior_policies_bound_each_step_of_growth() {
    let behavior =
        "  behavior: {scaleUp: {policies: [{type: Pods, value: 4, periodSeconds: 60}]}}\n";
    let mut system = web(2);
    system.nodes.push(node("n04", "a"));
    let shown = system.with(&hpa("web", 2, 20, behavior)).load("web", &[(120.0, 200.0)]).run();
    let steps = rescales(&shown, "web");
    assert_eq!(steps[0].1, "2 -> 6");
    for pair in steps.windows(2) {
        let is_growth = |text: &str| {
            let (from, to) = text.split_once(" -> ").expect("a rescale has two sides");
            from.parse::<i32>().expect("a number") < to.parse::<i32>().expect("a number")
        };
        if is_growth(&pair[0].1) && is_growth(&pair[1].1) {
            assert!(pair[1].0 - pair[0].0 >= 59.9, "four in a minute: {steps:?}");
        }
    }
}

#[test]
fn a_drain_waits_for_the_budget_and_asks_again_each_five_seconds_until_growth_frees_a_pod() {
    let budget = "---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: web}\n\
                  spec: {minAvailable: 6, selector: {matchLabels: {app: web}}}\n";
    let shown = web(6)
        .with(budget)
        .with(&hpa("web", 6, 20, ""))
        .load("web", &[(60.0, 80.0), (1_200.0, 150.0)])
        .step("t: 603, do: drain, node: n01")
        .run();
    let refused = times(&shown, "pod web evict refused");
    let before: Vec<f64> = refused.iter().copied().filter(|t| *t < 1_200.0).collect();
    assert!(before.len() >= 2 * 110, "two pods, each asked for every 5 s: {}", before.len());
    let granted = times(&shown, "pod web evict granted");
    assert_eq!(granted.len(), 2);
    assert!(granted[0] > 1_200.0, "only when the autoscaler has added a pod: {granted:?}");
}

#[test]
fn a_dead_nodes_pods_go_first_in_a_scale_down_and_stay_terminating() {
    let mut system = web(9);
    system.duration_seconds = 2_400;
    let shown = system
        .with(&hpa("web", 3, 12, ""))
        // Pods without metrics count as busy as the target: six of nine are wanted, when the window of
        // five minutes has passed.
        .load("web", &[(60.0, 135.0), (480.0, 10.0)])
        .step("t: 723, do: nodeDown, node: n02")
        .run();
    let down = rescales(&shown, "web");
    let (first, _) = down.first().expect("it scales down");
    assert!((770.0..1_000.0).contains(first), "{down:?}");
    let served = |seconds| at(&shown, seconds, "/deployments/web/ready").as_i64();
    assert_eq!(served(first - 10.0), served(first + 20.0), "no ready pod was given up");
    let gone = times(&shown, "pod web gone");
    let at_once = gone.iter().filter(|t| (*first..first + 60.0).contains(*t)).count();
    assert_eq!(at_once, 0, "they wait for their kubelet: {gone:?}");
}

#[test]
fn the_scheduler_goes_on_binding_to_a_dead_node_until_it_is_found_out() {
    let shown = web(6)
        .with(&hpa("web", 6, 20, ""))
        .load("web", &[(60.0, 85.0), (600.0, 250.0)])
        .step("t: 598, do: nodeDown, node: n02")
        .run();
    let bound_there = shown.events.iter().filter(|event| {
        event.what == "pod web bind" && event.node.as_deref() == Some("n02") && event.t > 598.0
    });
    let unknown = times(&shown, "node n02 Unknown []");
    let detected = unknown.first().copied().expect("the node is found out");
    assert!(bound_there.clone().count() > 0, "an empty looking node is liked");
    assert!(bound_there.clone().all(|event| event.t <= detected), "but not once it is known");
}

const ZONES: &str = "      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: WHEN, labelSelector: {matchLabels: {app: web}}}
";

/// Six pods over three zones, of which one dies.
fn zone_outage(when_unsatisfiable: &str) -> RunResults {
    let mut system = web(6);
    let spread = ZONES.replace("WHEN", when_unsatisfiable);
    system.manifests = deployment("web", 6, "", &spread) + &service("web");
    system.load("web", &[(60.0, 60.0)]).step("t: 603, do: nodeDown, node: n03").run()
}

#[test]
fn a_hard_zone_spread_leaves_replacements_pending_while_a_zone_is_dead() {
    let shown = zone_outage("DoNotSchedule");
    // The dead zone stays a domain without pods: a third pod elsewhere would be a skew of three.
    assert_eq!(at(&shown, 1_500.0, "/pending"), 2);
    assert_eq!(at(&shown, 1_500.0, "/deployments/web/ready"), 4);
}

#[test]
fn a_soft_zone_spread_replaces_them_at_once() {
    let shown = zone_outage("ScheduleAnyway");
    assert_eq!(at(&shown, 1_500.0, "/pending"), 0);
    assert_eq!(at(&shown, 1_500.0, "/deployments/web/ready"), 6);
}

#[test]
fn a_rollout_is_held_up_by_a_dead_node_until_its_pods_are_evicted() {
    let shown = web(6)
        .load("web", &[(60.0, 60.0)])
        .image("web:v2", 4.0, 6.0)
        .step("t: 603, do: nodeDown, node: n03")
        .step("t: 663, do: setImage, deployment: web, image: \"web:v2\"")
        .run();
    let complete = times(&shown, "rolloutComplete web");
    let last = complete.last().copied().expect("it completes");
    assert!(last > 663.0, "{complete:?}");
}

#[test]
fn preemption_frees_room_only_when_the_victims_are_gone() {
    let classes = "---\napiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: critical}\nvalue: 1000000\n";
    let critical = deployment("critical", 0, "", "      priorityClassName: critical\n");
    let mut system = web(24).with(classes).with(&critical);
    system.images.push(("critical:v1", 4.0, 6.0));
    let shown = system
        .load("web", &[(60.0, 60.0)])
        .step("t: 603, do: patchDeployment, deployment: critical, patch: {spec: {replicas: 2}}")
        .run();
    assert_eq!(at(&shown, 590.0, "/pending"), 0, "24 halves fill three nodes of four cores");
    let victims = times(&shown, "pod web delete PreemptionByScheduler");
    assert_eq!(victims, [603.0, 603.0]);
    let bound = times(&shown, "pod critical bind");
    assert_eq!(bound, [613.0, 613.0], "in the instant that the victims are gone");
    assert_eq!(at(&shown, 1_500.0, "/pending"), 2, "the victims' successors find no room");
}

#[test]
fn pods_wait_for_a_gpu_until_its_node_comes() {
    let gpu = deployment("model", 2, "", "").replace(
        "limits: {cpu: 1, memory: 256Mi}",
        "limits: {cpu: 1, memory: 256Mi, nvidia.com/gpu: 1}",
    );
    let mut system = web(2).with(&gpu);
    system.nodes.push(Node { name: "gpu1", zone: "a", gpus: 1 });
    system.later.push(Node { name: "gpu2", zone: "b", gpus: 1 });
    system.images.push(("model:v1", 4.0, 6.0));
    let shown = system.step("t: 1203, do: addNode, node: gpu2").run();
    let binds = times(&shown, "pod model bind");
    assert_eq!(binds, [0.0, 1203.0]);
    assert_eq!(at(&shown, 1_190.0, "/pendingByDeployment/model"), 1);
}

#[test]
fn nothing_moves_while_the_metrics_api_is_down_and_then_it_jumps() {
    let mut system = web(6);
    system.nodes.push(node("n04", "a"));
    let shown = system
        .with(&hpa("web", 6, 20, ""))
        .load("web", &[(60.0, 80.0), (660.0, 160.0)])
        .step("t: 603, do: metricsApiDown")
        .step("t: 1203, do: metricsApiUp")
        .run();
    let moves = rescales(&shown, "web");
    assert!(moves.iter().all(|(t, _)| !(603.0..1_203.0).contains(t)), "{moves:?}");
    let (t, step) = moves.iter().find(|(t, _)| *t > 1_203.0).expect("it scales afterwards");
    assert!(*t < 1_203.0 + 15.0, "at the first sync");
    assert_eq!(step, "6 -> 11", "160 rps x 20 ms = 3.2 cores, of 0.3 each");
}

const MOST_ALLOCATED: &str = "apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- schedulerName: default-scheduler
  pluginConfig:
  - name: NodeResourcesFit
    args: {scoringStrategy: {type: MostAllocated, resources: [{name: cpu, weight: 1}, {name: memory, weight: 1}]}}
";

#[test]
fn soft_spreading_outvotes_most_allocated() {
    let used = |system: &System| {
        let shown = system.run();
        shown.summary.get("meanNodesWithPods").copied().expect("the figure is there")
    };
    let mut packed = web(3);
    packed.scheduler = Some(MOST_ALLOCATED);
    assert!(used(&packed) > 2.9, "the default spreading of a Service's pods weighs twice as much");
}

#[test]
fn two_autoscalers_of_two_services_do_not_disturb_each_other() {
    let mut system = web(2).with(&deployment("api", 2, "", "")).with(&service("api"));
    system.nodes.push(node("n04", "a"));
    system.images.push(("api:v1", 4.0, 6.0));
    system.cpu_ms.push(("api", 20.0));
    let both = system
        .with(&hpa("web", 2, 10, ""))
        .with(&hpa("api", 2, 10, ""))
        .load("web", &[(60.0, 60.0)])
        .load("api", &[(60.0, 90.0)])
        .run();
    assert_eq!(at(&both, 1_700.0, "/deployments/web/spec"), 4);
    assert_eq!(at(&both, 1_700.0, "/deployments/api/spec"), 6);
}
