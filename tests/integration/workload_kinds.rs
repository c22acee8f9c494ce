//! Workloads other than Deployments in a simulation: they do what the scenario says of them, are booked
//! under their own names, and can be changed while they run.

mod admission;

use crate::texts::{ran, resolved, simulation};
use wavetank::cluster::Kind;
use wavetank::cluster::stateful_set::StatefulSet;
use wavetank::cluster::{ClusterView, NamespacedName, ObjectReference};
use wavetank::engine::SimTime;
use wavetank::manifest::Source;
use wavetank::report::{JobsReport, Report, WorkloadReport};
use wavetank::scenario::ScenarioText;
use wavetank::scenario::inventory::Inventory;
use wavetank::scenario::starter::{Starter, Traced};
use wavetank::sim::Simulation;
use wavetank::views::{self, Form, Scope, Snapshot};

const NODES: &str = "cluster: {nodePools: [{name: pool, instanceType: aws/m5.large, count: 3}]}\n";

fn pod_spec(policy: &str, image: &str) -> String {
    format!(
        "{{restartPolicy: {policy}, containers: [{{name: app, image: '{image}', resources: \
         {{requests: {{cpu: 200m, memory: 128Mi}}}}}}]}}"
    )
}

fn job(name: &str, fields: &str) -> String {
    let spec = pod_spec("Never", "job:v1");
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}}}\nspec: {{{fields}template: \
         {{spec: {spec}}}}}\n"
    )
}

fn set(kind: &str, name: &str, fields: &str) -> String {
    let spec = pod_spec("Always", "app:v1");
    format!(
        "apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{fields}selector: \
         {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: {name}}}}}, spec: {spec}}}}}\n"
    )
}

fn workload<'a>(report: &'a Report, name: &str) -> &'a WorkloadReport {
    let found = report.workloads.iter().find(|one| one.workload == name);
    found.unwrap_or_else(|| panic!("{name} is not among {:?}", names(report)))
}

fn names(report: &Report) -> Vec<&str> {
    report.workloads.iter().map(|one| one.workload.as_str()).collect()
}

fn jobs<'a>(report: &'a Report, name: &str) -> &'a JobsReport {
    workload(report, name).jobs.as_ref().expect("a workload of Jobs")
}

fn listed(simulation: &Simulation, kind: Kind) -> String {
    let scope = Scope { namespace: Some("default".to_owned()), ..Scope::default() };
    let snapshot = Snapshot { view: simulation.view() };
    views::get(snapshot, kind, &scope, &Form::default())
}

fn images(view: ClusterView<'_>, app: &str) -> Vec<String> {
    let pods = view.store().pods().values().filter(|pod| !pod.is_terminating());
    let own = pods.filter(|pod| view.labels_of(pod).get("app").is_some_and(|one| **one == *app));
    let mut images: Vec<String> =
        own.map(|pod| view.template_of(pod).spec.containers[0].image.to_string()).collect();
    images.sort();
    images
}

#[test]
fn the_pods_of_a_job_run_as_long_as_the_scenario_says_and_the_job_is_complete() {
    let scenario = format!(
        "duration: 20m\n{NODES}workloads: [{{workload: Job/import, app: {{runsFor: 3m}}}}]\n"
    );
    let manifests = job("import", "completions: 4, parallelism: 2, ");
    let (report, simulation) = ran(&resolved(&scenario, &manifests, &[]));
    let jobs = jobs(&report, "Job/default/import");
    assert_eq!((jobs.created, jobs.complete, jobs.failed, jobs.unfinished), (1, 1, 0, 0));
    assert_eq!((jobs.pods_succeeded, jobs.pods_failed), (4, 0));
    // Two rounds of three minutes, each with its pull or start.
    let took = jobs.completion_seconds_max.expect("it is complete");
    assert!((360.0..390.0).contains(&took), "{took}");
    assert_eq!(workload(&report, "Job/default/import").pods_created, 4);
    // Each of the four pods holds 200m for its three minutes and the little before, and no longer.
    let held: f64 = report.cluster.pools.iter().map(|pool| pool.cpu_requested).sum();
    let share = 4.0 * 0.2 * 186.0 / (3.0 * 1.93 * 1_200.0);
    assert!((held / share - 1.0).abs() < 0.05, "{held} is not {share}");
    let costs: Vec<&str> = report.cost.workloads.iter().map(|one| &*one.workload).collect();
    assert_eq!(costs, ["Job/default/import"]);
    let table = listed(&simulation, Kind::Job);
    assert!(table.contains("import   Complete   4/4           6m"), "{table}");
}

#[test]
fn a_job_whose_pods_fail_too_often_fails_and_is_told() {
    let scenario = format!(
        "duration: 30m\n{NODES}workloads: [{{workload: Job/import, app: {{runsFor: 10s, \
         failureProbability: 1, exitCode: 3}}}}]\n"
    );
    let (report, _) = ran(&resolved(&scenario, &job("import", "backoffLimit: 2, "), &[]));
    let jobs = jobs(&report, "Job/default/import");
    assert_eq!((jobs.complete, jobs.failed, jobs.pods_failed), (0, 1, 3));
    assert_eq!(jobs.failures, [("BackoffLimitExceeded".to_owned(), 1)]);
    let told = "Job/default/import: 1 of 1 Jobs failed: 1 BackoffLimitExceeded";
    assert!(report.attention.iter().any(|one| one.message == told), "{:?}", report.attention);
}

#[test]
fn a_cron_job_starts_jobs_on_its_schedule_and_keeps_to_its_policy() {
    let cron = |policy: &str| {
        let spec = pod_spec("Never", "job:v1");
        let manifest = format!(
            "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: tick}}\nspec: {{schedule: '*/5 * * \
             * *', concurrencyPolicy: {policy}, jobTemplate: {{spec: {{template: {{spec: {spec}}}}}}}}}\n"
        );
        let scenario = format!(
            "duration: 61m\n{NODES}workloads: [{{workload: CronJob/tick, app: {{runsFor: 12m}}}}]\n"
        );
        let (report, _) = ran(&resolved(&scenario, &manifest, &[]));
        assert_eq!(names(&report), ["CronJob/default/tick"]);
        let jobs = jobs(&report, "CronJob/default/tick");
        (jobs.created, jobs.deleted, format!("{}", jobs.at_once.max))
    };
    assert_eq!(cron("Allow"), (12, 0, "3".to_owned()));
    // Each runs past two further times; the next starts late as soon as it has ended.
    assert_eq!(cron("Forbid"), (5, 0, "1".to_owned()));
    assert_eq!(cron("Replace"), (12, 11, "1".to_owned()));
}

#[test]
fn a_stateful_set_starts_one_pod_after_the_other_and_is_changed_by_the_timeline() {
    let scenario = format!(
        "duration: 30m\n{NODES}workloads: [{{workload: StatefulSet/db, app: {{warmUp: 20s}}}}]\ntimeline:\n\
         - {{at: 5m, scale: {{workload: StatefulSet/db, replicas: 5}}}}\n\
         - {{at: 10m, setImage: {{workload: StatefulSet/db, image: 'app:v2'}}}}\n\
         - {{at: 15m, rollback: {{workload: StatefulSet/db}}}}\n\
         - {{at: 20m, restartRollout: StatefulSet/db}}\n\
         - {{at: 25m, delete: StatefulSet/db}}\n"
    );
    let probe = "readinessProbe: {tcpSocket: {port: 1}, periodSeconds: 2}";
    let manifests = set("StatefulSet", "db", "serviceName: db, replicas: 3, ")
        .replace("image: 'app:v1',", &format!("image: 'app:v1', {probe},"));
    let scenario = resolved(&scenario, &manifests, &[]);
    let mut simulation = simulation(&scenario, 1);
    let mut at = |time: i64| {
        simulation.run_until(SimTime::from_secs(time));
        (listed(&simulation, Kind::StatefulSet), images(simulation.view(), "db"))
    };
    let (_, pods) = at(20);
    assert_eq!(pods.len(), 1, "the second waits for the first");
    let (table, pods) = at(299);
    assert!(table.contains("db     3/3"), "{table}");
    assert_eq!(pods.len(), 3);
    let (table, _) = at(599);
    assert!(table.contains("db     5/5"), "{table}");
    assert_eq!(at(899).1, ["app:v2"; 5]);
    assert_eq!(at(1_199).1, ["app:v1"; 5]);
    at(1_499);
    assert!(at(1_600).1.is_empty(), "its pods go with it");
    simulation.run_until(SimTime::from_secs(1_800));
    let log = &simulation.recorder().log;
    let refused: Vec<_> = log.iter().filter(|line| line.reason == "Refused").collect();
    assert!(refused.is_empty(), "{refused:?}");
    let claim = NamespacedName::new("default", "db");
    assert!(simulation.view().find::<StatefulSet>(&claim).is_none());
}

#[test]
fn a_daemon_set_is_on_every_node_and_is_rolled_and_rolled_back() {
    let scenario = format!(
        "duration: 20m\n{NODES}workloads: [{{workload: DaemonSet/agent, app: {{warmUp: 5s}}}}]\ntimeline:\n\
         - {{at: 5m, setImage: {{workload: DaemonSet/agent, image: 'app:v2'}}}}\n\
         - {{at: 10m, rollback: {{workload: DaemonSet/agent, toRevision: 1}}}}\n"
    );
    let scenario = resolved(&scenario, &set("DaemonSet", "agent", ""), &[]);
    let mut simulation = simulation(&scenario, 1);
    let mut at = |time: i64| {
        simulation.run_until(SimTime::from_secs(time));
        images(simulation.view(), "agent")
    };
    assert_eq!(at(299), ["app:v1"; 3]);
    assert_eq!(at(599), ["app:v2"; 3]);
    assert_eq!(at(1_199), ["app:v1"; 3]);
    let table = listed(&simulation, Kind::DaemonSet);
    assert!(table.contains("agent   3         3         3       3            3"), "{table}");
    let report = ran(&scenario).0;
    let wanted = workload(&report, "DaemonSet/default/agent").replicas.max;
    assert!((wanted - 3.0).abs() < 1e-9, "{wanted}");
}

#[test]
fn what_the_timeline_does_to_something_that_is_not_there_is_told() {
    let scenario = format!(
        "duration: 10m\n{NODES}workloads: [{{workload: StatefulSet/db}}]\ntimeline:\n\
         - {{at: 1m, rollback: {{workload: StatefulSet/db}}}}\n\
         - {{at: 2m, delete: StatefulSet/db}}\n\
         - {{at: 3m, scale: {{workload: StatefulSet/db, replicas: 5}}}}\n"
    );
    let manifests = set("StatefulSet", "db", "serviceName: db, replicas: 1, ");
    let (_, simulation) = ran(&resolved(&scenario, &manifests, &[]));
    let warned: Vec<&str> = simulation
        .recorder()
        .log
        .iter()
        .filter(|line| line.is_warning && ["user", "scenario"].contains(&line.actor))
        .map(|line| line.reason)
        .collect();
    assert_eq!(warned, ["NoRevision", "NotFound"]);
}

const SHOP: &str = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web, color: blue}, ports: [{port: 80, targetPort: 8080}]}
---
";

fn colored(color: &str) -> String {
    let probe = "readinessProbe: {tcpSocket: {port: 1}, periodSeconds: 2}";
    set("Deployment", &format!("web-{color}"), "replicas: 2, ")
        .replace(&format!("{{app: web-{color}}}"), &format!("{{app: web, color: {color}}}"))
        .replace("image: 'app:v1',", &format!("image: 'app:{color}', {probe},"))
}

fn answered_by(simulation: &mut Simulation, color: &str) -> bool {
    let view = simulation.view();
    let web = NamespacedName::new("default", "web");
    let service = view.services().values().find(|one| one.meta.id == web).expect("it is there");
    let pods = service.endpoints.iter().filter_map(|one| view.pods().get(one.pod));
    let colors = pods.filter_map(|pod| view.labels_of(pod).get("color"));
    let mut colors = colors.peekable();
    colors.peek().is_some() && colors.all(|one| **one == *color)
}

#[test]
fn blue_and_green_are_switched_by_the_services_selector() {
    let requests = "requests: {concurrency: 8, queue: 50, cpuTime: 5ms}";
    let scenario = format!(
        "duration: 10m\n{NODES}workloads:\n- {{workload: Deployment/web-blue, {requests}}}\n\
         - {{workload: Deployment/web-green, {requests}}}\n\
         traffic: [{{service: default/web, load: {{pattern: constant, rps: 20}}, timeout: 2s}}]\ntimeline:\n\
         - {{at: 2m, apply: green.yaml}}\n\
         - {{at: 4m, patch: {{workload: Service/web, patch: {{spec: {{selector: {{color: green}}}}}}}}}}\n\
         - {{at: 6m, delete: Deployment/web-blue}}\n\
         - {{at: 8m, delete: Service/web}}\n"
    );
    let manifests = format!("{SHOP}{}", colored("blue"));
    let green = colored("green");
    let scenario = resolved(&scenario, &manifests, &[("green.yaml", &green)]);
    let mut simulation = simulation(&scenario, 1);
    simulation.run_until(SimTime::from_secs(235));
    assert!(answered_by(&mut simulation, "blue"));
    simulation.run_until(SimTime::from_secs(245));
    assert!(answered_by(&mut simulation, "green"));
    simulation.run_until(SimTime::from_secs(479));
    let now = simulation.now();
    let figures = simulation.traffic_mut().figures(now, wavetank::traffic::ServiceId(0));
    assert_eq!(figures.outcomes.failed_in_all(), failed_at_start(&mut simulation));
    let pods = simulation.view().store().pods().values().count();
    assert_eq!(pods, 2, "blue is gone");
    simulation.run_until(SimTime::from_secs(600));
    let now = simulation.now();
    let after = simulation.traffic_mut().figures(now, wavetank::traffic::ServiceId(0));
    let failed = after.outcomes.failed_in_all();
    assert!((2_000..3_000).contains(&(failed - failed_at_start(&mut simulation))), "{failed}");
}

/// Requests that failed before the first pod was ready.
fn failed_at_start(simulation: &mut Simulation) -> u64 {
    let intervals = simulation.traffic_mut().intervals(wavetank::traffic::ServiceId(0));
    intervals.iter().take(2).map(|one| one.outcomes.failed_in_all()).sum()
}

#[test]
fn the_weights_of_a_route_change_when_it_is_patched() {
    let requests = "requests: {concurrency: 8, queue: 50, cpuTime: 5ms}";
    let scenario = format!(
        "duration: 10m\n{NODES}workloads:\n- {{workload: Deployment/web-blue, {requests}}}\n\
         - {{workload: Deployment/web-green, {requests}}}\n\
         ingress: [{{host: shop.example, load: {{pattern: constant, rps: 50}}}}]\ntimeline:\n\
         - at: 5m\n  patch:\n    workload: HTTPRoute/web\n    patch: {{spec: {{rules: [{{backendRefs: \
         [{{name: web-blue, port: 80, weight: 80}}, {{name: web-green, port: 80, weight: 20}}]}}]}}}}\n"
    );
    let service = |color: &str| {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: web-{color}}}\nspec: {{selector: {{app: \
             web, color: {color}}}, ports: [{{port: 80}}]}}\n---\n{}",
            colored(color)
        )
    };
    let route = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: web}\n\
                 spec: {hostnames: [shop.example], rules: [{backendRefs: [{name: web-blue, port: 80}]}]}\n";
    let manifests = format!("{}{}{route}", service("blue"), service("green"));
    let (report, _) = ran(&resolved(&scenario, &manifests, &[]));
    let arrived = |name: &str| {
        let service = report.services.iter().find(|one| one.service == name);
        service.expect("it has traffic").arrived as f64
    };
    let (blue, green) = (arrived("default/web-blue"), arrived("default/web-green"));
    // All of 300 s to blue; then 80 and 20 % of 300 s.
    assert!((blue / 27_000.0 - 1.0).abs() < 0.03, "{blue}");
    assert!((green / 3_000.0 - 1.0).abs() < 0.08, "{green}");
}

#[test]
fn a_namespace_goes_with_all_that_is_in_it() {
    let scenario = format!(
        "duration: 10m\n{NODES}workloads:\n- {{workload: Job/import, app: {{runsFor: 1h}}}}\n\
         - {{workload: StatefulSet/db}}\ntimeline:\n- {{at: 5m, delete: Namespace/default}}\n"
    );
    let manifests = [
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n".to_owned(),
        job("import", ""),
        set("StatefulSet", "db", "serviceName: db, replicas: 2, "),
        set("Deployment", "web", "replicas: 2, "),
        set("DaemonSet", "agent", ""),
    ];
    let (_, simulation) = ran(&resolved(&scenario, &manifests.join("---\n"), &[]));
    let store = simulation.view().store();
    assert_eq!(store.pods().values().count(), 0);
    assert_eq!(store.deployments().values().count() + store.jobs().values().count(), 0);
}

#[test]
fn a_bare_pod_does_what_is_said_of_it_by_name() {
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: once}}\nspec: {}\n",
        pod_spec("Never", "once:v1")
    );
    let scenario = format!(
        "duration: 5m\n{NODES}workloads: [{{workload: Pod/once, app: {{runsFor: 30s}}}}]\n"
    );
    let (_, simulation) = ran(&resolved(&scenario, &manifest, &[]));
    let view = simulation.view();
    let pod = "Pod/default/once".parse::<ObjectReference>().expect("a reference");
    let pod = view.pods().get(view.pod_named(&pod.id).expect("it stays")).expect("it is there");
    assert_eq!(pod.phase.as_str(), "Succeeded");
}

#[test]
fn a_scenario_to_start_from_says_how_long_jobs_run() {
    let manifests = Source::new("a.yaml", job("import", ""));
    let inventory = Inventory::of(&[manifests]);
    let paths = ["a.yaml".to_owned()];
    let starter = Starter {
        name: "x",
        manifests: &paths,
        not_taken: &[],
        left_out: &[],
        helm_charts: &[],
        schema: "s",
        inventory: &inventory,
        traced: &Traced::default(),
        node_groups: &[],
    };
    let text = starter.text();
    assert!(text.contains("  - workload: Job/default/import\n    app: {runsFor: 5m} "), "{text}");
    let read = ScenarioText::parse(&Source::new("x.yaml", text), &[]);
    assert_eq!(read.expect("it can be read").scenario.workloads.len(), 1);
}

#[test]
fn what_is_fixed_in_a_job_is_refused_by_field_and_a_suspended_one_may_move() {
    let changed = |before: &str, after: &str, timeline: &str| {
        let scenario = format!(
            "duration: 10m\n{NODES}workloads: [{{workload: Job/import, app: {{runsFor: 2m}}}}]\n\
             timeline: [{{at: 1m, apply: new.yaml}}{timeline}]\n"
        );
        let (_, simulation) = ran(&resolved(
            &scenario,
            &job("import", before),
            &[("new.yaml", &job("import", after))],
        ));
        let lines = simulation.recorder().log.iter();
        let refusals = lines.filter(|line| line.reason == "Refused");
        refusals.map(|line| line.message.clone()).collect::<Vec<_>>().join("\n")
    };
    let fields = "completions: 4, parallelism: 2, podReplacementPolicy: Failed, ";
    let refused = changed(
        fields,
        "completions: 5, parallelism: 2, podReplacementPolicy: Failed, podFailurePolicy: {rules: [{action: Ignore, \
         onPodConditions: [{type: DisruptionTarget}]}]}, ",
        "",
    );
    assert!(
        refused.contains(
            "Job.batch \"import\" is invalid: [spec.completions: Invalid value: field is immutable, \
             spec.podFailurePolicy: Invalid value: field is immutable]"
        ),
        "{refused}"
    );
    let indexed = "completionMode: Indexed, completions: 4, parallelism: 4, ";
    let alone = changed(indexed, "completionMode: Indexed, completions: 2, parallelism: 4, ", "");
    assert!(alone.contains("can only be modified in tandem with spec.parallelism"), "{alone}");
    assert_eq!(
        changed(indexed, "completionMode: Indexed, completions: 2, parallelism: 2, ", ""),
        ""
    );
    // Where its pods go can change while it is suspended, and has not started.
    let moved = "completions: 4, parallelism: 2, suspend: true, ";
    let elsewhere = |fields: &str| {
        job("import", fields).replace("containers:", "nodeSelector: {disk: ssd}, containers:")
    };
    let scenario = format!(
        "duration: 5m\n{NODES}workloads: [{{workload: Job/import, app: {{runsFor: 2m}}}}]\n\
         timeline: [{{at: 1m, apply: new.yaml}}]\n"
    );
    let selected = |before: &str, after: String| {
        let (_, simulation) =
            ran(&resolved(&scenario, &job("import", before), &[("new.yaml", &after)]));
        let view = simulation.view();
        let job = view.store().jobs().values().next().expect("the Job is there");
        let template = &view.store().templates()[job.template];
        template.spec.node_selector.get("disk").map(ToString::to_string)
    };
    assert_eq!(selected(moved, elsewhere(moved)).as_deref(), Some("ssd"));
    assert_eq!(selected(fields, elsewhere(fields)), None);
}

#[test]
fn a_budget_in_percent_over_pods_without_a_controller_warns() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: bare, labels: {app: bare}}\nspec: {containers: \
               [{name: c, image: 'c:1'}]}\n---\n";
    let budget = "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: b}\nspec: {minAvailable: \
                  50%, selector: {matchLabels: {app: bare}}}\n";
    let scenario = format!("duration: 2m\n{NODES}");
    let (_, simulation) = ran(&resolved(&scenario, &format!("{pod}{budget}"), &[]));
    let lines = simulation.recorder().log.iter();
    let told: Vec<&str> =
        lines.filter(|one| one.reason == "UnmanagedPods").map(|one| &*one.message).collect();
    assert!(
        told.first().is_some_and(|message| message.starts_with(
            "Pods selected by this PodDisruptionBudget (selector: app=bare) were found to be unmanaged."
        )),
        "{told:?}"
    );
}

/// 36 minutes of an hour count, and so does the same part of what the pod pays for its node:
/// that is the price of the tokens which it made in them.
#[test]
fn a_language_model_tells_what_its_tokens_cost() {
    let run = |price: &str| {
        let scenario = format!(
            "duration: 1h\nwarmUp: 24m\ncluster: {{nodePools: [{{name: gpu, count: 1, {price}capacity: {{cpu: 8, \
             memory: 32Gi, nvidia.com/gpu: 1}}}}]}}\n\
             workloads:\n- workload: Deployment/llm\n  requests: {{llm: {{model: Llama-3.1-8B, gpu: L4, \
             promptTokens: {{mean: 400}}, outputTokens: {{mean: 100}}}}}}\n\
             traffic: [{{service: llm, load: {{pattern: constant, rps: 2}}, arrivals: even}}]\n"
        );
        let manifests = "apiVersion: v1\nkind: Service\nmetadata: {name: llm}\nspec: {selector: {app: llm}, \
             ports: [{port: 80}]}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: llm}\nspec: \
             {replicas: 1, selector: {matchLabels: {app: llm}}, template: {metadata: {labels: {app: llm}}, \
             spec: {containers: [{name: vllm, image: 'vllm:v1', resources: {requests: {cpu: 4, memory: 16Gi}, \
             limits: {nvidia.com/gpu: 1}}}]}}}\n";
        let (report, _) = ran(&resolved(&scenario, manifests, &[]));
        let workload = report.cost.workloads.first().map_or(0.0, |one| one.usd.as_usd());
        (workload, report.services[0].llm.clone().expect("it answers"))
    };
    let (paid, llm) = run("pricePerHour: 2, ");
    // Two requests of 100 tokens a second.
    assert!((llm.output_tokens_per_second - 200.0).abs() < 2.0, "{llm:?}");
    let million = llm.million_output_tokens_usd.expect("the node has a price").as_usd();
    let expected = paid * 0.6 / (llm.output_tokens as f64 / 1e6);
    assert!((million / expected - 1.0).abs() < 1e-9, "{million} for {expected}");
    assert_eq!(run("").1.million_output_tokens_usd, None);
}
