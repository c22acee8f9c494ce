//! Objects of other projects that run pods: when their pods come.

use wavetank::cluster::Kind;
use wavetank::engine::SimTime;

use crate::in_memory::Run;

/// A run of these manifests, in which the pods of Jobs run for a minute.
fn run(manifests: &str, workloads: &str) -> Run {
    let scenario = format!(
        "apiVersion: wavetank/v1\nkind: Scenario\nname: batch\nduration: 20m\nmanifests: [manifests.yaml]\ncluster:\n  \
         nodePools: [{{name: general, count: 4, capacity: {{cpu: 8, memory: 32Gi}}}}]\nworkloads: {workloads}\n"
    );
    Run::new(&scenario, manifests)
}

/// The seconds after the start at which the pods of an owner were made, by the names that begin so.
fn made(run: &Run, prefix: &str) -> Vec<i64> {
    let view = run.0.view();
    let pods = view.pods().values().filter(|pod| pod.meta.id.name.starts_with(prefix));
    pods.map(|pod| (pod.meta.created - SimTime::ZERO).as_nanos() / 1_000_000_000).collect()
}

const JOB_SET: &str = "
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata: {name: train}
spec:
  replicatedJobs:
  - name: data
    template: {spec: {template: {spec: {containers: [{name: a, image: a}]}}}}
  - name: workers
    replicas: 2
    dependsOn: [{name: data, status: STATUS}]
    template: {spec: {parallelism: 2, completions: 2, template: {spec: {containers: [{name: a, image: a}]}}}}
";

const ONE_MINUTE: &str = "[{workload: Job/default/train-data-0, app: {runsFor: 1m}}, \
    {workload: Job/default/train-workers-0, app: {runsFor: 10m}}, {workload: Job/default/train-workers-1, app: {runsFor: 10m}}]";

#[test]
fn a_job_that_depends_on_the_end_of_another_starts_after_it() {
    let mut run = run(&JOB_SET.replace("STATUS", "Complete"), ONE_MINUTE);
    run.until(50);
    assert_eq!((made(&run, "train-data").len(), made(&run, "train-workers").len()), (1, 0));
    run.until(120);
    let workers = made(&run, "train-workers");
    assert_eq!(workers.len(), 4);
    assert!(workers.iter().all(|second| (60..75).contains(second)), "{workers:?}");
}

#[test]
fn all_jobs_that_are_awaited_must_have_come() {
    let two = JOB_SET
        .replace("STATUS", "Complete")
        .replace("name: data\n", "name: data\n    replicas: 2\n");
    let slow =
        ONE_MINUTE.replace("[{", "[{workload: Job/default/train-data-1, app: {runsFor: 4m}}, {");
    let mut run = run(&two, &slow);
    run.until(200);
    assert_eq!(made(&run, "train-workers").len(), 0);
    run.until(300);
    assert_eq!(made(&run, "train-workers").len(), 4);
}

#[test]
fn a_job_that_depends_on_the_readiness_of_another_starts_while_it_runs() {
    let mut run = run(&JOB_SET.replace("STATUS", "Ready"), ONE_MINUTE);
    run.until(50);
    let workers = made(&run, "train-workers");
    assert_eq!(workers.len(), 4);
    assert!(workers.iter().all(|second| *second > 0), "{workers:?}");
}

#[test]
fn workers_of_a_group_come_when_their_leader_is_ready() {
    let set = "
apiVersion: leaderworkerset.x-k8s.io/v1
kind: LeaderWorkerSet
metadata: {name: llm}
spec:
  replicas: 2
  startupPolicy: LeaderReady
  leaderWorkerTemplate:
    size: 3
    workerTemplate: {spec: {containers: [{name: a, image: a, readinessProbe: {exec: {command: [a]}, initialDelaySeconds: 30}}]}}
";
    let mut run = run(set, "[]");
    run.until(25);
    assert_eq!(made(&run, "llm-").len(), 2, "the leaders");
    run.until(70);
    assert_eq!(made(&run, "llm-0-").len(), 2);
    assert!(made(&run, "llm-1-").iter().all(|second| *second >= 30));
    let names: Vec<String> =
        run.0.view().pods().values().map(|pod| pod.meta.id.name.to_string()).collect();
    assert!(names.contains(&"llm-1-1".to_owned()), "workers count from 1: {names:?}");
    assert!(Kind::spelled("LeaderWorkerSet").is_none(), "the store knows StatefulSets alone");
}
