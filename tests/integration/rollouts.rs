//! Rollouts of Argo Rollouts: their versions, Services and routes over an update.

use wavetank::cluster::rollout::{PauseReason, ROLLOUT_HASH_LABEL, Rollout, RolloutPhase};
use wavetank::engine::SimTime;

use crate::in_memory::{Run, resolved};

const REST: &str = "
  replicas: 4
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: a, image: 'web:v1', ports: [{containerPort: 80}], resources: {requests: {cpu: 100m, memory: 64Mi}}}]}
";

const SERVICES: &str = "
---
{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: web-next}, spec: {selector: {app: web}, ports: [{port: 80}]}}
";

fn manifests(spec: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {{name: web}}\nspec:\n  {spec}{REST}{SERVICES}"
    )
}

/// A run of a Rollout whose image `web:v2` fails every fifth request, with these entries of the timeline.
fn run(spec: &str, timeline: &str) -> Run {
    run_of(&manifests(spec), timeline)
}

fn run_of(manifests: &str, timeline: &str) -> Run {
    Run::new(&scenario(timeline), manifests)
}

fn scenario(timeline: &str) -> String {
    format!(
        "apiVersion: wavetank/v1\nkind: Scenario\nname: rollout\nduration: 30m\nmanifests: [manifests.yaml]\ncluster:\n  \
         nodePools: [{{name: general, count: 3, capacity: {{cpu: 8, memory: 32Gi}}}}]\nworkloads:\n- workload: \
         Rollout/default/web\n  app: {{warmUp: 2s}}\n  requests: {{waitTime: 20ms}}\n  images: {{'web:v2': {{requests: \
         {{errorRate: 0.2}}}}, 'web:broken': {{app: {{pullFails: true}}}}}}\ntraffic:\n- service: default/web\n  arrivals: \
         even\n  load: {{pattern: constant, rps: 20}}\nmetrics:\n  prometheus: {{scrapeInterval: 15s, rateWindow: 1m}}\n  \
         custom: [{{name: success-rate, measure: successRate, service: default/web-next}}]\ntimeline: [{timeline}]\n"
    )
}

const UPDATE: &str = "{at: 1m, setImage: {workload: Rollout/default/web, image: 'web:v2'}}";

fn rollout(run: &Run) -> Rollout {
    run.0.view().rollouts().values().next().expect("the Rollout is there").clone()
}

/// Replicas of each version, oldest first.
fn versions(run: &Run) -> Vec<i32> {
    let view = run.0.view();
    let mut sets: Vec<_> = view.replica_sets().values().collect();
    sets.sort_by_key(|set| set.meta.created);
    sets.iter().map(|set| set.replicas).collect()
}

/// The version that a Service selects: its place among all, oldest first.
fn selected(run: &Run, service: &str) -> Option<usize> {
    let view = run.0.view();
    let service =
        view.services().values().find(|one| **one.meta.name() == *service).expect("it is there");
    let hash = service.spec.selector.as_ref()?.value_of(ROLLOUT_HASH_LABEL)?;
    let mut sets: Vec<_> = view.replica_sets().values().collect();
    sets.sort_by_key(|set| set.meta.created);
    sets.iter().position(|set| set.meta.labels.get(ROLLOUT_HASH_LABEL) == Some(hash))
}

/// The pods that are not being deleted: when they were created (s), and their names.
fn pods(run: &Run) -> Vec<(i64, String)> {
    let view = run.0.view();
    let live = view.pods().values().filter(|pod| !pod.is_terminating());
    live.map(|pod| (pod.created.since(SimTime::ZERO).as_secs(), pod.id.name.to_string())).collect()
}

fn seconds(run: &Run, reason: &str) -> Vec<i64> {
    run.events(reason).into_iter().map(|(second, _)| second).collect()
}

const STEPS: &str = "strategy: {canary: {maxSurge: 1, maxUnavailable: 0, steps: [{setWeight: 25}, {pause: {duration: 2m}}, \
    {setWeight: 50}, {pause: {}}]}}";

#[test]
fn the_first_version_skips_the_steps_and_the_next_one_follows_them() {
    let mut run = run(STEPS, UPDATE);
    run.until(50);
    assert_eq!(versions(&run), [4]);
    assert_eq!(rollout(&run).status.current_step, Some(4));
    assert_eq!(rollout(&run).status.phase, RolloutPhase::Healthy);
    // 25 % of 4 pods is one.
    run.until(170);
    assert_eq!(versions(&run), [3, 1]);
    assert_eq!(rollout(&run).status.phase, RolloutPhase::Paused);
    // The pause without a duration lasts until it is promoted.
    run.until(1500);
    assert_eq!(versions(&run), [2, 2]);
    let completed = run.events("RolloutStepCompleted");
    let steps: Vec<&str> = completed.iter().map(|(_, message)| message.as_str()).collect();
    assert_eq!(
        steps,
        [
            "Rollout step 1/4 completed (setWeight: 25)",
            "Rollout step 2/4 completed (pause: 2m)",
            "Rollout step 3/4 completed (setWeight: 50)",
        ]
    );
    assert_eq!(completed[1].0 - completed[0].0, 120);
    let explained = run.explain("Rollout/default/web");
    assert!(explained.contains("step 4 of 4: pause, weight 50"), "{explained}");
    assert!(explained.contains("until it is promoted"), "{explained}");
}

#[test]
fn a_promotion_ends_a_pause_and_a_full_one_all_steps() {
    let promote = |full: bool| {
        let timeline = format!(
            "{UPDATE}, {{at: 2m, promoteRollout: {{workload: Rollout/default/web, full: {full}}}}}"
        );
        let mut run = run(STEPS, &timeline);
        run.until(170);
        (versions(&run), rollout(&run).status.phase)
    };
    assert_eq!(promote(false), (vec![2, 2], RolloutPhase::Paused));
    assert_eq!(promote(true), (vec![0, 4], RolloutPhase::Healthy));
}

#[test]
fn a_promotion_also_ends_a_pause_by_the_user() {
    for full in [false, true] {
        let timeline = format!(
            "{{at: 50s, pauseRollout: Rollout/default/web}}, {UPDATE}, {{at: 5m, promoteRollout: {{workload: Rollout/default/web, full: \
             {full}}}}}"
        );
        let mut run = run(STEPS, &timeline);
        run.until(290);
        assert_eq!(versions(&run), [4, 0], "{full}");
        run.until(400);
        assert!(!rollout(&run).spec.paused);
        // It goes from the first step, which the pause held up, to the second.
        let moved = if full { [0, 4] } else { [3, 1] };
        assert_eq!(versions(&run), moved, "{full}");
    }
}

#[test]
fn after_an_undecided_analysis_a_promotion_goes_to_the_next_step() {
    let undecided = analysed("").replace(
        "successCondition: 'result[0] >= {{args.least}}'",
        "successCondition: 'result[0] > 2', failureCondition: 'result[0] < -2'",
    );
    let undecided = undecided.replace("args: []}}]", "args: []}}, {pause: {}}]");
    let timeline =
        format!("{UPDATE}, {{at: 8m, promoteRollout: {{workload: Rollout/default/web}}}}");
    let mut run = run_of(&undecided, &timeline);
    run.until(470);
    let status = rollout(&run).status;
    assert_eq!(status.current_step, Some(1));
    assert_eq!(status.pauses[0].0, PauseReason::InconclusiveAnalysisRun);
    run.until(600);
    let status = rollout(&run).status;
    assert_eq!(status.current_step, Some(2));
    assert_eq!(status.pauses[0].0, PauseReason::CanaryPauseStep);
    assert!(status.runs.step.is_none());
}

#[test]
fn a_restart_replaces_the_pods_without_an_update() {
    for spec in [STEPS, "strategy: {blueGreen: {activeService: web}}"] {
        let mut run = run(spec, "{at: 2m, restartRollout: Rollout/default/web}");
        run.until(119);
        let before = pods(&run);
        for second in 120..400 {
            run.until(second);
            let gone = before
                .iter()
                .filter(|(_, name)| !pods(&run).iter().any(|(_, other)| other == name));
            let young = pods(&run).into_iter().filter(|(created, _)| *created >= 120);
            // One may be missing.
            assert!(gone.count() <= young.count() + 1, "{second}");
        }
        assert_eq!(versions(&run), [4], "{spec}");
        let after = pods(&run);
        assert!(after.len() == 4 && after.iter().all(|(created, _)| *created >= 120), "{after:?}");
        let Rollout { spec, status, .. } = rollout(&run);
        assert_eq!(status.phase, RolloutPhase::Healthy);
        assert!(spec.restart_at.is_some() && status.restarted_at == spec.restart_at);
    }
}

#[test]
fn a_patch_of_the_template_starts_an_update() {
    let patch = "{at: 1m, patch: {workload: Rollout/default/web, patch: {spec: {template: {metadata: {annotations: {a: b}}}}}}}";
    let mut run = run(STEPS, patch);
    run.until(170);
    assert_eq!(versions(&run), [3, 1]);
}

#[test]
fn an_abort_brings_the_stable_version_back_and_a_rollback_skips_the_steps() {
    let timeline = format!(
        "{UPDATE}, {{at: 2m, abortRollout: Rollout/default/web}}, {{at: 5m, rollback: {{workload: Rollout/default/web}}}}"
    );
    let mut run = run(STEPS, &timeline);
    run.until(290);
    assert_eq!(versions(&run), [4, 0]);
    assert_eq!(rollout(&run).status.phase, RolloutPhase::Degraded);
    assert_eq!(seconds(&run, "RolloutAborted"), [120]);
    run.until(400);
    assert_eq!(versions(&run), [4, 0]);
    assert_eq!(rollout(&run).status.phase, RolloutPhase::Healthy);
    assert_eq!(run.events("SkipSteps"), [(300, "Rollback to stable ReplicaSets".to_owned())]);
}

#[test]
fn an_update_that_makes_no_progress_is_aborted_if_it_says_so() {
    let broken = "{at: 1m, setImage: {workload: Rollout/default/web, image: 'web:broken'}}";
    let phase = |abort: bool| {
        let spec =
            format!("progressDeadlineSeconds: 100\n  progressDeadlineAbort: {abort}\n  {STEPS}");
        let mut run = run(&spec, broken);
        run.until(600);
        (versions(&run), rollout(&run).status.is_aborted(), rollout(&run).status.phase)
    };
    assert_eq!(phase(true), (vec![4, 0], true, RolloutPhase::Degraded));
    assert_eq!(phase(false), (vec![4, 1], false, RolloutPhase::Degraded));
}

const ANALYSED: &str = "
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: success-rate}
spec:
  args: [{name: least, value: '0.95'}]
  metrics:
  - {name: success-rate, initialDelay: 60s, interval: 30s, count: 3, failureLimit: 1, successCondition: 'result[0] >= {{args.least}}',
     provider: {prometheus: {query: success_rate}}}
";

fn analysed(step_args: &str) -> String {
    let strategy = format!(
        "strategy: {{canary: {{canaryService: web-next, steps: [{{setWeight: 25}}, {{analysis: {{templates: [{{templateName: \
         success-rate}}], args: [{step_args}]}}}}]}}}}"
    );
    format!("{}{ANALYSED}", manifests(&strategy))
}

#[test]
fn an_analysis_that_fails_aborts_the_update_and_one_that_succeeds_ends_it() {
    let mut bad = run_of(&analysed(""), UPDATE);
    bad.until(600);
    assert_eq!(versions(&bad), [4, 0]);
    let aborted = bad.events("RolloutAborted");
    let [(second, message)] = &aborted[..] else { panic!("{aborted:?}") };
    assert!(
        message.contains(
            "Metric \"success-rate\" assessed Failed due to failed (2) > failureLimit (1)"
        ),
        "{message}"
    );
    // The step begins once the new pod is ready; after its delay of 60 s there are two measurements.
    assert!((150..170).contains(second), "{second}");
    let mut good = run_of(&analysed("{name: least, value: '0.5'}"), UPDATE);
    good.until(600);
    assert_eq!(versions(&good), [0, 4]);
    let explained = bad.explain("Rollout/default/web");
    assert!(
        explained.contains("2 failed") && explained.contains("result[0] >= 0.95"),
        "{explained}"
    );
}

#[test]
fn an_analysis_judges_a_value_that_is_not_cut_to_thousandths() {
    let mut run = run_of(&analysed("{name: least, value: '0.5'}"), UPDATE);
    run.until(170);
    let analysis = rollout(&run).status.runs.step.expect("it is under way");
    let value = analysis.metrics[0].last.as_ref().and_then(|last| last.value).expect("one is made");
    assert!(value > 0.5 && (value * 1000.0).fract() > 1e-6, "{value}");
}

#[test]
fn what_no_rule_measures_succeeds_and_is_told() {
    let text = scenario("").replace("name: success-rate", "name: other");
    let resolved =
        resolved(&text, &analysed("").replace("success_rate", "up"), &[]).expect("it is valid");
    let blueprint = wavetank::sim::Blueprint::new(&resolved).expect("it is valid");
    let notes = blueprint.notes().to_string();
    assert!(
        notes.contains("no rule defines what its metric success-rate measures: it always succeeds"),
        "{notes}"
    );
}

const ROUTE: &str = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  hostnames: [shop.example]
  rules: [{backendRefs: [{name: web, port: 80, weight: 100}, {name: web-next, port: 80, weight: 0}]}]
";

/// The weights of the HTTPRoute.
fn weights(run: &Run) -> Vec<i64> {
    let view = run.0.view();
    let route = view.http_routes().values().next().expect("the route is there");
    let document = route.meta.document.as_ref().expect("it is written");
    let backends = document.object["spec"]["rules"][0]["backendRefs"].as_array().expect("a list");
    backends.iter().map(|one| one["weight"].as_i64().expect("a number")).collect()
}

fn routed(canary: &str) -> String {
    let strategy = format!(
        "strategy: {{canary: {{stableService: web, canaryService: web-next, trafficRouting: {{plugins: \
         {{argoproj-labs/gatewayAPI: {{httpRoute: web, namespace: default}}}}}}, {canary}}}}}"
    );
    format!("{}{ROUTE}", manifests(&strategy))
}

#[test]
fn a_router_gets_the_weights_and_the_old_version_stays_for_its_delay() {
    let steps = "steps: [{setWeight: 10}, {pause: {duration: 1m}}, {setCanaryScale: {replicas: 3}}, {setWeight: 60}, {pause: \
                 {duration: 1m}}]";
    let mut run = run_of(&routed(steps), UPDATE);
    run.until(110);
    assert_eq!(
        (weights(&run), versions(&run)),
        (vec![90, 10], vec![4, 1]),
        "10 % of 4 pods is one"
    );
    assert_eq!((selected(&run, "web"), selected(&run, "web-next")), (Some(0), Some(1)));
    run.until(170);
    assert_eq!((weights(&run), versions(&run)), (vec![40, 60], vec![4, 3]));
    run.until(230);
    // The new version is the stable one; the old one waits 30 s.
    assert_eq!(versions(&run)[1], 4);
    assert_eq!(weights(&run), [100, 0]);
    assert_eq!((selected(&run, "web"), selected(&run, "web-next")), (Some(1), Some(1)));
    run.until(400);
    assert_eq!(versions(&run), [0, 4]);
    let completed = seconds(&run, "RolloutCompleted")[1];
    let last = run.events("ScalingReplicaSet").pop().expect("it is scaled");
    assert!((completed + 30..completed + 34).contains(&last.0), "{completed} {last:?}");
}

#[test]
fn a_step_may_set_both_weight_and_scale() {
    let steps = "steps: [{setWeight: 50, setCanaryScale: {replicas: 3}}, {pause: {}}]";
    let mut run = run_of(&routed(steps), UPDATE);
    run.until(200);
    assert_eq!((weights(&run), versions(&run)), (vec![50, 50], vec![4, 3]));
    assert_eq!(rollout(&run).status.current_step, Some(1));
}

#[test]
fn a_stable_version_may_shrink_with_its_share() {
    let steps = "dynamicStableScale: true, steps: [{setWeight: 50}, {pause: {}}]";
    let mut run = run_of(&routed(steps), UPDATE);
    run.until(200);
    assert_eq!((weights(&run), versions(&run)), (vec![50, 50], vec![2, 2]));
}

#[test]
fn after_an_abort_the_new_version_stays_for_its_delay_without_requests() {
    let timeline = format!("{UPDATE}, {{at: 2m, abortRollout: Rollout/default/web}}");
    let mut run = run_of(&routed("steps: [{setWeight: 50}, {pause: {}}]"), &timeline);
    run.until(125);
    assert_eq!((weights(&run), versions(&run)), (vec![100, 0], vec![4, 2]));
    assert_eq!(selected(&run, "web-next"), Some(0));
    run.until(155);
    assert_eq!(versions(&run), [4, 0]);
    // Both to the first version, the canary's to the new one and back; then it comes to rest.
    let switches: Vec<(i64, bool)> = run
        .events("SwitchService")
        .into_iter()
        .map(|(second, message)| (second, message.contains("service 'web-next'")))
        .collect();
    assert_eq!(switches, [(5, false), (5, true), (65, true), (120, true)]);
}

const INGRESS: &str = "
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  ingressClassName: nginx
  rules: [{host: shop.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]
";

#[test]
fn the_ingress_of_a_canary_goes_with_its_rollout() {
    let strategy = "strategy: {canary: {stableService: web, canaryService: web-next, trafficRouting: {nginx: {stableIngress: web}}, \
                    steps: [{setWeight: 50}, {pause: {}}]}}";
    let timeline = format!("{UPDATE}, {{at: 5m, delete: Rollout/default/web}}");
    let mut run = run_of(&format!("{}{INGRESS}", manifests(strategy)), &timeline);
    let ingresses = |run: &Run| {
        let view = run.0.view();
        let names = view.ingresses().values().map(|one| one.meta.name().to_string());
        names.collect::<Vec<_>>()
    };
    run.until(290);
    assert_eq!(ingresses(&run), ["web", "web-web-canary"]);
    run.until(310);
    assert_eq!(ingresses(&run), ["web"]);
}

fn blue_green(settings: &str) -> String {
    let strategy = format!(
        "strategy: {{blueGreen: {{activeService: web, previewService: web-next{settings}}}}}"
    );
    format!("{}{ANALYSED}", manifests(&strategy))
}

#[test]
fn green_gets_all_requests_once_it_is_ready_and_blue_goes_later() {
    let mut run = run_of(&blue_green(", scaleDownDelaySeconds: 60"), UPDATE);
    run.until(50);
    assert_eq!((versions(&run), selected(&run, "web")), (vec![4], Some(0)));
    run.until(100);
    assert_eq!(versions(&run), [4, 4]);
    assert_eq!((selected(&run, "web"), selected(&run, "web-next")), (Some(1), Some(1)));
    let switched = seconds(&run, "RolloutCompleted")[1];
    run.until(switched + 58);
    assert_eq!(versions(&run), [4, 4]);
    run.until(switched + 64);
    assert_eq!(versions(&run), [0, 4]);
}

#[test]
fn green_waits_for_its_promotion_by_hand_or_by_time() {
    let mut by_hand = run_of(
        &blue_green(", autoPromotionEnabled: false, previewReplicaCount: 1"),
        &format!("{UPDATE}, {{at: 5m, promoteRollout: {{workload: Rollout/default/web}}}}"),
    );
    by_hand.until(290);
    assert_eq!((versions(&by_hand), selected(&by_hand, "web")), (vec![4, 1], Some(0)));
    assert_eq!(rollout(&by_hand).status.phase, RolloutPhase::Paused);
    by_hand.until(400);
    assert_eq!((versions(&by_hand), selected(&by_hand, "web")), (vec![0, 4], Some(1)));
    let mut by_time = run_of(&blue_green(", autoPromotionSeconds: 90"), UPDATE);
    by_time.until(600);
    let (paused, resumed) =
        (seconds(&by_time, "RolloutPaused"), seconds(&by_time, "RolloutResumed"));
    assert_eq!((paused.len(), resumed.len()), (1, 1));
    assert_eq!(resumed[0] - paused[0], 90);
}

#[test]
fn an_analysis_before_the_switch_keeps_it_back_and_one_after_it_undoes_it() {
    let analysis = "{templates: [{templateName: success-rate}]}";
    // Before the switch no requests come to green, so that there is nothing to measure: five errors in a row.
    let settings = format!(", prePromotionAnalysis: {analysis}");
    let mut before = run_of(&blue_green(&settings), UPDATE);
    before.until(400);
    assert_eq!((versions(&before), selected(&before, "web")), (vec![4, 0], Some(0)));
    assert_eq!(rollout(&before).status.phase, RolloutPhase::Degraded);
    let settings = format!(", postPromotionAnalysis: {analysis}");
    let mut after = run_of(&blue_green(&settings), UPDATE);
    after.until(140);
    assert_eq!((versions(&after), selected(&after, "web")), (vec![4, 4], Some(1)));
    after.until(600);
    assert_eq!((versions(&after), selected(&after, "web")), (vec![4, 0], Some(0)));
    assert_eq!(seconds(&after, "RolloutAborted").len(), 1);
}

#[test]
fn an_hpa_scales_a_rollout_and_a_change_of_size_keeps_the_share_of_a_step() {
    let hpa = "
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  minReplicas: 8
  maxReplicas: 9
  scaleTargetRef: {apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: web}
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}]
";
    let mut scaled = run_of(&format!("{}{hpa}", manifests(STEPS)), "");
    scaled.until(120);
    assert_eq!(versions(&scaled), [8]);
    assert_eq!(rollout(&scaled).status.available_replicas, 8);
    let timeline =
        format!("{UPDATE}, {{at: 2m, scale: {{workload: Rollout/default/web, replicas: 8}}}}");
    let mut run = run(STEPS, &timeline);
    run.until(170);
    assert_eq!(versions(&run), [6, 2], "25 % of 8");
}

#[test]
fn a_missing_service_is_told_and_retried() {
    let spec = "strategy: {canary: {canaryService: none, steps: [{setWeight: 25}]}}";
    let mut run = run(spec, "");
    run.until(60);
    assert_eq!(rollout(&run).status.phase, RolloutPhase::Degraded);
    let told = run.events("InvalidSpec");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].1.contains("service \"none\" not found"), "{told:?}");
}

#[test]
fn without_a_template_of_its_analysis_a_rollout_gets_no_pods_even_at_first() {
    let manifests =
        analysed("").replace("metadata: {name: success-rate}", "metadata: {name: other}");
    let mut run = run_of(&manifests, "");
    run.until(60);
    assert!(versions(&run).is_empty());
    assert_eq!(rollout(&run).status.phase, RolloutPhase::Degraded);
    let told = run.events("InvalidSpec");
    let [(_, message)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(
        message,
        "The Rollout \"web\" is invalid: spec.strategy.canary.steps[1].analysis.templates: Invalid value: \"success-rate\": \
         AnalysisTemplate 'success-rate' not found"
    );
}

#[test]
fn a_rollout_takes_over_from_the_deployment_of_its_own_name() {
    let manifests = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:{REST}---\napiVersion: argoproj.io/v1alpha1\nkind: \
         Rollout\nmetadata: {{name: web}}\nspec:\n  replicas: 4\n  workloadRef: {{apiVersion: apps/v1, kind: Deployment, name: web, \
         scaleDown: onsuccess}}\n  strategy: {{canary: {{}}}}\n{SERVICES}"
    );
    let mut run = run_of(&manifests, "");
    run.until(120);
    assert_eq!(run.events("NewReplicaSetCreated").len(), 1);
    assert_eq!(rollout(&run).status.available_replicas, 4);
    let view = run.0.view();
    let sets = view.replica_sets().values();
    let of_deployment: Vec<i32> = sets
        .filter(|set| set.meta.labels.get(ROLLOUT_HASH_LABEL).is_none())
        .map(|set| set.replicas)
        .collect();
    assert_eq!(of_deployment, [0]);
}

#[test]
fn a_rollout_with_the_template_of_a_workload_can_be_patched() {
    let manifests = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:{REST}---\napiVersion: argoproj.io/v1alpha1\nkind: \
         Rollout\nmetadata: {{name: web}}\nspec:\n  replicas: 4\n  workloadRef: {{apiVersion: apps/v1, kind: Deployment, name: web, \
         scaleDown: onsuccess}}\n  strategy: {{canary: {{}}}}\n{SERVICES}"
    );
    let patch = "{at: 2m, patch: {workload: Rollout/default/web, patch: {spec: {minReadySeconds: 7, strategy: {canary: {steps: \
                 [{setWeight: 25}, {pause: {}}]}}}}}}";
    let mut run = run_of(&manifests, patch);
    run.until(130);
    assert_eq!(run.events("Refused"), []);
    let spec = rollout(&run).spec;
    assert_eq!((spec.steps().len(), spec.template.spec.containers.len()), (2, 1));
    assert_eq!(rollout(&run).status.available_replicas, 4);
}
