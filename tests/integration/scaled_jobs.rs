//! ScaledJobs of KEDA: a Job for each part of a queue.

use wavetank::cluster::job::Job;
use wavetank::cluster::scaled_job::ScaledJob;
use wavetank::manifest::{Source, load};

use crate::in_memory::Run;

const OBJECTS: &str = "
apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata: {name: mail, annotations: {ANNOTATIONS}}
spec:
  pollingInterval: 10
  SPEC
  triggers: [{type: rabbitmq, metadata: {queueName: letters, value: '1'}}]
  jobTargetRef:
    backoffLimit: 0
    template: {spec: {containers: [{name: a, image: 'mail:1', resources: {requests: {cpu: 100m, memory: 64Mi}}}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: letters}, spec: {selector: {scaledjob.keda.sh/name: mail}, ports: [{port: 5672}]}}
";

/// A run in which letters of 30 s arrive for two minutes, one every five seconds.
fn run_with(spec: &str, annotations: &str, app: &str, timeline: &str) -> Run {
    let objects = OBJECTS.replace("SPEC", spec).replace("ANNOTATIONS", annotations);
    let scenario = format!(
        "apiVersion: wavetank/v1\nkind: Scenario\nname: mail\nduration: 30m\nmanifests: [manifests.yaml]\ncluster:\n  \
         nodePools: [{{name: general, count: 3, capacity: {{cpu: 8, memory: 32Gi}}}}]\nworkloads:\n- workload: \
         ScaledJob/default/mail\n  app: {{{app}}}\n  requests: {{concurrency: 1, waitTime: 30s}}\nservices: [{{service: \
         default/letters, workQueue: true}}]\nmetrics:\n  prometheus: {{scrapeInterval: 1s}}\n  custom: [{{name: letters, \
         measure: queueDepth, service: default/letters}}]\ntraffic:\n- service: default/letters\n  arrivals: even\n  load: \
         {{pattern: phases, phases: [{{for: 120s, load: {{pattern: constant, rps: 0.2}}}}, {{for: 28m, load: {{pattern: \
         constant, rps: 0}}}}]}}\n  timeout: 1h\ntimeline: [{timeline}]\n"
    );
    Run::new(&scenario, &objects)
}

const ONE_EACH: &str = "completesAfterRequests: 1";
const ACCURATE: &str = "scalingStrategy: {strategy: accurate}";

fn run(spec: &str) -> Run {
    run_with(spec, "", ONE_EACH, "")
}

fn jobs(run: &Run) -> Vec<Job> {
    run.0.view().jobs().values().cloned().collect()
}

fn unfinished(run: &Run) -> usize {
    jobs(run).iter().filter(|job| job.status.finished().is_none()).count()
}

/// The longest time from a letter's arrival to its answer.
fn longest(run: &mut Run) -> f64 {
    let now = run.0.now();
    let figures = run.0.traffic_mut().figures(now, wavetank::traffic::ServiceId(0));
    assert_eq!(figures.outcomes.failed_in_all(), 0);
    assert_eq!(figures.outcomes.answered, 24, "every letter is answered");
    figures.latencies.expect("some").max.as_secs_f64()
}

fn created(run: &Run) -> u64 {
    run.0.view().store().scaled_jobs().values().next().expect("the ScaledJob").status.created
}

#[test]
fn each_letter_gets_a_job_that_ends_with_it() {
    let mut run = run(ACCURATE);
    run.until(600);
    assert_eq!((created(&run), jobs(&run).len()), (24, 24));
    assert_eq!(unfinished(&run), 0);
    // A poll of at most ten seconds and the start of a pod precede the 30 s.
    let longest = longest(&mut run);
    assert!((36.0..52.0).contains(&longest), "{longest}");
}

#[test]
fn the_default_strategy_takes_running_jobs_off_a_queue_that_does_not_count_their_messages() {
    let mut run = run("scalingStrategy: {strategy: default}");
    run.until(1_200);
    let longest = longest(&mut run);
    assert!(longest > 60.0, "{longest}");
}

#[test]
fn the_maximum_limits_the_jobs_at_once_and_the_minimum_runs_without_work() {
    let mut run = run("{minReplicaCount: 1, maxReplicaCount: 3}"
        .trim_matches(['{', '}'])
        .replace(", ", "\n  ")
        .as_str());
    let mut most = 0;
    for second in (5..600).step_by(5) {
        run.until(second);
        most = most.max(unfinished(&run));
    }
    assert_eq!(most, 3);
    run.until(1_500);
    assert_eq!(unfinished(&run), 1, "a Job waits for work");
}

#[test]
fn finished_jobs_beyond_the_limit_go_at_the_next_poll() {
    let mut run = run(&format!("{ACCURATE}\n  successfulJobsHistoryLimit: 2"));
    run.until(600);
    let mut ends: Vec<_> = jobs(&run).iter().map(|job| job.status.completion_time).collect();
    ends.sort_unstable();
    assert_eq!(ends.len(), 2);
    assert!(ends[0] > Some(wavetank::engine::SimTime::from_secs(120)), "the latest stay");
}

#[test]
fn a_worker_that_completes_when_idle_takes_all_that_wait() {
    let mut run = run_with(ACCURATE, "", "completesWhenIdle: 20s", "");
    run.until(1_200);
    assert!(created(&run) < 20, "{}", created(&run));
    assert_eq!(unfinished(&run), 0);
    longest(&mut run);
}

#[test]
fn a_paused_scaled_job_creates_none_until_the_annotation_goes() {
    let resume = "{at: 200s, patch: {workload: ScaledJob/default/mail, patch: {metadata: {annotations: \
                  {autoscaling.keda.sh/paused: VALUE}}}}}";
    for value in ["'false'", "null"] {
        let resume = resume.replace("VALUE", value);
        let mut run = run_with(ACCURATE, "autoscaling.keda.sh/paused: 'true'", ONE_EACH, &resume);
        run.until(199);
        assert_eq!(created(&run), 0);
        run.until(205);
        assert_eq!(created(&run), 24, "{value}");
    }
}

#[test]
fn a_new_version_deletes_running_jobs_unless_its_rollout_is_gradual() {
    let update = "{at: 60s, setImage: {workload: ScaledJob/default/mail, image: 'mail:2'}}";
    let old = |run: &Run| {
        let image = |job: &Job| job.spec.template.spec.containers[0].image.to_string();
        jobs(run).iter().filter(|job| image(job) == "mail:1").count()
    };
    let mut immediate = run_with(ACCURATE, "", ONE_EACH, update);
    immediate.until(61);
    assert_eq!(old(&immediate), 0);
    // The letters of the deleted Jobs return to the queue.
    immediate.until(1_200);
    longest(&mut immediate);
    let mut gradual =
        run_with(&format!("{ACCURATE}\n  rollout: {{strategy: gradual}}"), "", ONE_EACH, update);
    gradual.until(61);
    assert!(old(&gradual) > 0);
}

#[test]
fn jobs_that_fail_count_as_failed() {
    let app = "completesAfterRequests: 1, exitCode: 3";
    let mut run = run_with(&format!("{ACCURATE}\n  failedJobsHistoryLimit: 4"), "", app, "");
    run.until(600);
    let jobs = jobs(&run);
    assert_eq!(jobs.len(), 4);
    assert!(jobs.iter().all(|job| job.status.finished().is_some_and(|end| end.kind == "Failed")));
}

#[test]
fn its_explanation_has_the_queue_and_the_decision() {
    let mut run = run(ACCURATE);
    run.until(45);
    let explanation = run.explain("ScaledJob/default/mail");
    assert!(explanation.contains("trigger rabbitmq (s0-rabbitmq-letters)"), "{explanation}");
    assert!(explanation.contains("strategy accurate: creates "), "{explanation}");
    let object: &ScaledJob = run.0.view().store().scaled_jobs().values().next().unwrap();
    assert_eq!(object.status.conditions.active.reason, "ScalerActive");
}

#[test]
fn a_change_of_the_metadata_is_no_new_version_and_leaves_running_jobs_alone() {
    let patch = "{at: 60s, patch: {workload: ScaledJob/default/mail, patch: {metadata: {labels: {team: post}, \
                 annotations: {note: checked}}}}}";
    let mut run = run_with(ACCURATE, "", ONE_EACH, patch);
    run.until(59);
    let before: Vec<String> = jobs(&run).iter().map(|job| job.meta.name().to_string()).collect();
    assert!(unfinished(&run) > 0);
    run.until(65);
    let after: Vec<String> = jobs(&run).iter().map(|job| job.meta.name().to_string()).collect();
    assert!(before.iter().all(|name| after.contains(name)), "{before:?} {after:?}");
    let object: ScaledJob =
        run.0.view().store().scaled_jobs().values().next().expect("the ScaledJob").clone();
    assert_eq!((object.meta.generation, object.meta.labels.get("team").is_some()), (1, true));
    // Later Jobs have the new labels and the same generation.
    run.until(140);
    let jobs = jobs(&run);
    let labelled = jobs.iter().filter(|job| job.meta.labels.contains_key("team"));
    assert!(labelled.count() > 0);
    assert_eq!(jobs.len(), 24);
}

#[test]
fn the_annotation_for_paused_replicas_does_not_matter_and_a_patch_removes_the_pause() {
    let resume = "{at: 200s, patch: {workload: ScaledJob/default/mail, patch: {metadata: {annotations: \
                  {autoscaling.keda.sh/paused: null}}}}}";
    let both = "autoscaling.keda.sh/paused: 'true', autoscaling.keda.sh/paused-replicas: '1'";
    let mut paused = run_with(ACCURATE, both, ONE_EACH, resume);
    paused.until(199);
    assert_eq!(created(&paused), 0);
    paused.until(205);
    assert_eq!(created(&paused), 24);
    let mut replicas = run_with(ACCURATE, "autoscaling.keda.sh/paused-replicas: '0'", ONE_EACH, "");
    replicas.until(100);
    assert!(created(&replicas) > 0);
}

/// When Jobs were created, in whole seconds.
fn creations(run: &Run) -> Vec<i64> {
    let mut all: Vec<i64> = jobs(run)
        .iter()
        .map(|job| (job.meta.created - wavetank::engine::SimTime::ZERO).as_secs())
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn a_new_version_starts_the_polls_anew_and_a_label_does_not() {
    let gradual = format!("{ACCURATE}\n  rollout: {{strategy: gradual}}");
    let phase = |timeline: &str| {
        let mut run = run_with(&gradual, "", ONE_EACH, timeline);
        run.until(130);
        let all = creations(&run);
        let rest = |at: &i64| at.rem_euclid(10);
        (rest(&all[0]), rest(all.last().expect("Jobs")))
    };
    let (first, last) = phase("");
    assert_eq!(first, last);
    let image = "{at: 54s, setImage: {workload: ScaledJob/default/mail, image: 'mail:2'}}";
    assert_eq!(phase(image), (first, 4));
    let label = "{at: 54s, patch: {workload: ScaledJob/default/mail, patch: {metadata: {labels: {team: post}}}}}";
    assert_eq!(phase(label), (first, first));
}

/// What the checks of manifests say about a ScaledJob with these fields.
fn said(spec: &str) -> Vec<String> {
    let text = OBJECTS.replace("SPEC", spec).replace("ANNOTATIONS", "");
    let loaded = load(&[Source::new("mail.yaml", text)]);
    let of_scaled_job = loaded.diagnostics.iter().filter(|one| one.code != "not-simulated");
    of_scaled_job.map(|one| format!("{:?} {}: {}", one.severity, one.field, one.message)).collect()
}

#[test]
fn settings_that_keda_accepts_are_warned_of_and_a_maximum_of_zero_creates_no_job() {
    assert_eq!(said(ACCURATE), [""; 0]);
    assert_eq!(
        said("maxReplicaCount: 0\n  scalingStrategy: {strategy: quick}"),
        [
            "Warning spec.maxReplicaCount: 0 is accepted: no Job is ever created",
            "Warning spec.scalingStrategy.strategy: KEDA takes \"quick\" for the default, the first of \
             default, custom, accurate, eager"
        ]
    );
    let mut run = run("maxReplicaCount: 0");
    run.until(300);
    assert_eq!(created(&run), 0);
}

#[test]
fn a_queue_whose_scaled_job_is_at_its_maximum_says_so() {
    let mut run = run("maxReplicaCount: 3");
    run.until(1_800);
    let track = run.0.recorder().workloads.iter().find(|one| one.batch.is_some());
    let capped = track.expect("the ScaledJob").capped.integral_seconds(run.0.now());
    assert!((60.0..1_000.0).contains(&capped), "{capped}");
    let mut free = self::run(ACCURATE);
    free.until(1_800);
    let track = free.0.recorder().workloads.iter().find(|one| one.batch.is_some());
    let capped = track.expect("the ScaledJob").capped.integral_seconds(free.0.now());
    assert!(capped < 1e-9, "{capped}");
}
