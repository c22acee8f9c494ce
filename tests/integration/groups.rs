//! Jobs and pods that belong together: JobSets with their policies, LeaderWorkerSets, and both in queues of Kueue.

use wavetank::cluster::job::Job;
use wavetank::cluster::kueue::JOB_SET_LABEL;

use crate::in_memory::Run;

/// A run of these manifests on three nodes of eight CPU; `workloads` and `timeline` are entries of the scenario.
fn run(manifests: &str, workloads: &str, timeline: &str) -> Run {
    let scenario = format!(
        "apiVersion: wavetank/v1\nkind: Scenario\nname: groups\nduration: 2h\nmanifests: [manifests.yaml]\ncluster:\n  \
         nodePools: [{{name: general, count: 3, capacity: {{cpu: 8, memory: 32Gi}}}}]\nworkloads: [{workloads}]\n\
         timeline: [{timeline}]\n"
    );
    Run::new(&scenario, manifests)
}

const POD: &str = "{restartPolicy: Never, containers: [{name: a, image: 'a:1', resources: {requests: {cpu: '1'}}}]}";

/// A JobSet of a leader and two workers, with these fields and labels.
fn job_set(name: &str, fields: &str, labels: &str) -> String {
    let job = format!(
        "template: {{spec: {{backoffLimit: 0, parallelism: 1, completions: 1, template: {{spec: {POD}}}}}}}"
    );
    format!(
        "---\n{{apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, metadata: {{name: {name}, labels: {{{labels}}}}}, \
         spec: {{{fields} replicatedJobs: [{{name: leader, {job}}}, {{name: worker, replicas: 2, {job}}}]}}}}\n"
    )
}

fn app(job: &str, fields: &str) -> String {
    format!("{{workload: Job/default/{job}, app: {{imagePull: 1s, {fields}}}}}, ")
}

fn apps(set: &str, leader: &str, workers: [&str; 2]) -> String {
    [
        app(&format!("{set}-leader-0"), leader),
        app(&format!("{set}-worker-0"), workers[0]),
        app(&format!("{set}-worker-1"), workers[1]),
    ]
    .concat()
}

fn jobs(run: &Run) -> Vec<Job> {
    let mut jobs: Vec<Job> = run.0.view().jobs().values().cloned().collect();
    jobs.sort_by_key(|job| job.meta.name().clone());
    jobs
}

/// Each Job with the end that it has come to.
fn ends(run: &Run) -> Vec<String> {
    let end = |job: &Job| {
        let end = job.status.finished().map_or("", |end| end.kind);
        format!("{} {end}", job.meta.name())
    };
    jobs(run).iter().map(end).collect()
}

fn attempts(run: &Run) -> Vec<String> {
    let attempt = |job: &Job| job.meta.labels.get("jobset.sigs.k8s.io/restart-attempt").cloned();
    jobs(run).iter().filter_map(attempt).map(|one| one.to_string()).collect()
}

const FAILS: &str = "runsFor: 100s, exitCode: 1";
const RUNS: &str = "runsFor: 1000s";

#[test]
fn a_failed_job_ends_its_set_without_a_failure_policy() {
    let apps = apps("train", RUNS, [FAILS, RUNS]);
    let mut run = run(&job_set("train", "", ""), &apps, "");
    run.until(90);
    assert_eq!(jobs(&run).len(), 3);
    run.until(150);
    assert_eq!(ends(&run), ["train-worker-0 Failed"]);
    let told = run.events("FailedJobs");
    assert_eq!(
        told[0].1,
        "jobset failed due to one or more job failures (first failed job: train-worker-0)"
    );
}

#[test]
fn a_set_restarts_as_a_whole_until_its_limit_after_the_pods_of_the_attempt_before() {
    let apps = apps("train", "runsFor: 1000s, onSigterm: ignore", [FAILS, RUNS]);
    let policy = "failurePolicy: {maxRestarts: 2},";
    let mut run = run(&job_set("train", policy, ""), &apps, "");
    run.until(90);
    assert_eq!(attempts(&run), ["0", "0", "0"]);
    run.until(120);
    assert_eq!(attempts(&run), ["1", "1", "1"]);
    assert!(jobs(&run).iter().all(|job| job.spec.suspend), "the leader takes its 30 s to end");
    run.until(150);
    assert!(jobs(&run).iter().all(|job| !job.spec.suspend && job.status.active == 1));
    run.until(1_000);
    assert_eq!(run.events("RestartJobSetFailurePolicyAction").len(), 2);
    assert_eq!(run.events("ReachedMaxRestarts").len(), 1);
    assert_eq!(ends(&run), ["train-worker-0 Failed"]);
}

#[test]
fn a_set_is_complete_when_the_jobs_of_its_success_policy_are() {
    let apps = apps("train", "runsFor: 100s", [RUNS, RUNS]);
    let policy = "successPolicy: {operator: All, targetReplicatedJobs: [leader]},";
    let mut run = run(&job_set("train", policy, ""), &apps, "");
    run.until(150);
    assert_eq!(ends(&run), ["train-leader-0 Complete"]);
}

/// A LeaderWorkerSet of two groups of three.
fn leader_worker_set(policy: &str) -> String {
    format!(
        "{{apiVersion: leaderworkerset.x-k8s.io/v1, kind: LeaderWorkerSet, metadata: {{name: llm}}, spec: {{replicas: 2, \
         leaderWorkerTemplate: {{size: 3, {policy} workerTemplate: {{spec: {{containers: [{{name: a, image: 'a:1', \
         resources: {{requests: {{cpu: 100m}}}}}}]}}}}}}}}}}\n"
    )
}

fn created(run: &Run) -> Vec<(String, i64)> {
    let view = run.0.view();
    let age = |pod: &wavetank::cluster::pod::Pod| {
        (pod.name().to_string(), (pod.created - wavetank::engine::SimTime::ZERO).as_secs())
    };
    let mut all: Vec<(String, i64)> = view.pods().values().map(age).collect();
    all.sort();
    all
}

#[test]
fn a_group_restarts_as_a_whole_and_the_others_go_on() {
    let crash = "{at: 100s, deletePod: {workload: StatefulSet/default/llm-0}}";
    let young = |run: &Run| -> Vec<String> {
        created(run).into_iter().filter(|(_, at)| *at >= 100).map(|(name, _)| name).collect()
    };
    let mut whole = run(&leader_worker_set(""), "", crash);
    whole.until(300);
    assert_eq!(created(&whole).len(), 6);
    assert_eq!(young(&whole), ["llm-0", "llm-0-1", "llm-0-2"]);
    assert_eq!(whole.events("RecreateGroup").len(), 1);
    let mut single = run(&leader_worker_set("restartPolicy: None,"), "", crash);
    single.until(300);
    let alone = young(&single);
    assert!(alone == ["llm-0-1"] || alone == ["llm-0-2"], "{alone:?}");
}

/// A queue of four CPU.
const QUEUE: &str = "
{apiVersion: kueue.x-k8s.io/v1beta2, kind: ResourceFlavor, metadata: {name: any}}
---
apiVersion: kueue.x-k8s.io/v1beta2
kind: ClusterQueue
metadata: {name: all}
spec: {namespaceSelector: {}, PREEMPTION resourceGroups: [{coveredResources: [cpu], flavors: [{name: any, resources: [{name: cpu, nominalQuota: 4}]}]}]}
---
{apiVersion: kueue.x-k8s.io/v1beta2, kind: LocalQueue, metadata: {name: q}, spec: {clusterQueue: all}}
---
{apiVersion: kueue.x-k8s.io/v1beta2, kind: WorkloadPriorityClass, metadata: {name: urgent}, value: 100}
";
const IN_QUEUE: &str = "kueue.x-k8s.io/queue-name: q";
const URGENT: &str = ", kueue.x-k8s.io/priority-class: urgent";

fn queue(preemption: &str) -> String {
    QUEUE.replace("PREEMPTION", preemption)
}

/// The JobSets of which all Jobs run, and the number of Jobs that run of each other set.
fn running_sets(run: &Run) -> Vec<(String, usize)> {
    let mut sets = std::collections::BTreeMap::<String, usize>::new();
    for job in jobs(run).iter().filter(|job| !job.spec.suspend) {
        let set = job.meta.labels.get(JOB_SET_LABEL).expect("of a set").to_string();
        *sets.entry(set).or_default() += 1;
    }
    sets.into_iter().collect()
}

#[test]
fn the_jobs_of_a_set_are_admitted_together_and_leave_no_quota_to_half_a_set() {
    // Two sets of three CPU: the second would fit by a third.
    let sets = job_set("a", "", IN_QUEUE) + &job_set("b", "", IN_QUEUE);
    let apps = apps("a", "runsFor: 100s", ["runsFor: 100s"; 2]) + &self::apps("b", RUNS, [RUNS; 2]);
    let mut run = run(&(queue("") + &sets), &apps, "");
    run.until(60);
    assert_eq!(running_sets(&run), [("a".to_owned(), 3)]);
    run.until(200);
    let running: Vec<(String, usize)> =
        running_sets(&run).into_iter().filter(|(set, _)| set == "b").collect();
    assert_eq!(running, [("b".to_owned(), 3)]);
}

#[test]
fn a_set_in_a_queue_starts_its_jobs_in_their_order_and_is_preempted_as_a_whole() {
    let ordered = "startupPolicy: {startupPolicyOrder: InOrder},";
    let low = job_set("low", ordered, IN_QUEUE);
    let high = job_set("high", "", &format!("kueue.x-k8s.io/queue-name: late{URGENT}"));
    let late = "---\n{apiVersion: kueue.x-k8s.io/v1beta2, kind: LocalQueue, metadata: {name: late}, spec: {clusterQueue: \
                all, stopPolicy: Hold}}\n";
    let apps =
        apps("low", RUNS, [RUNS; 2]) + &self::apps("high", "runsFor: 300s", ["runsFor: 300s"; 2]);
    let manifests = queue("preemption: {withinClusterQueue: LowerPriority},") + late + &low + &high;
    let open =
        "{at: 200s, patch: {workload: LocalQueue/default/late, patch: {spec: {stopPolicy: None}}}}";
    let mut run = run(&manifests, &apps, open);
    run.until(1);
    assert_eq!(running_sets(&run), [("low".to_owned(), 1)], "the workers start after the leader");
    run.until(100);
    assert_eq!(running_sets(&run), [("low".to_owned(), 3)]);
    run.until(300);
    assert_eq!(running_sets(&run), [("high".to_owned(), 3)]);
    run.until(700);
    let low: Vec<(String, usize)> =
        running_sets(&run).into_iter().filter(|(set, _)| set == "low").collect();
    assert_eq!(low, [("low".to_owned(), 3)]);
}

#[test]
fn pods_with_a_queue_are_gated_until_their_group_has_quota() {
    let pod = |name: &str, group: &str| {
        let (label, count) = if group.is_empty() {
            (String::new(), String::new())
        } else {
            (
                format!(", kueue.x-k8s.io/pod-group-name: {group}"),
                "annotations: {kueue.x-k8s.io/pod-group-total-count: '3'},".to_owned(),
            )
        };
        format!(
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, {count} labels: {{{IN_QUEUE}{label}}}}}, spec: {POD}}}\n"
        )
    };
    let all: String = [
        pod("one", ""),
        pod("g1", "g"),
        pod("g2", "g"),
        pod("g3", "g"),
        pod("h1", "h"),
        pod("late", ""),
    ]
    .concat();
    let mut run = run(
        &(queue("") + &all),
        "",
        "{at: 100s, delete: Pod/default/one}, {at: 200s, delete: Pod/default/g1}",
    );
    let placed = |run: &Run| -> Vec<String> {
        let view = run.0.view();
        let mut names: Vec<String> = view
            .pods()
            .values()
            .filter(|pod| pod.node.is_some())
            .map(|pod| pod.name().to_string())
            .collect();
        names.sort();
        names
    };
    run.until(60);
    // Of the group `h` two pods are missing; the last pod finds no quota.
    assert_eq!(placed(&run), ["g1", "g2", "g3", "one"]);
    run.until(160);
    assert_eq!(placed(&run), ["g1", "g2", "g3", "late"]);
    let explained = run.explain("ClusterQueue/all");
    assert!(explained.contains("admitted: pod group default/g"), "{explained}");
    let waits = "pending: pod group default/h: waits for 2 more pods of its group";
    assert!(explained.contains(waits), "{explained}");
    let queues = run.0.view().store().cluster_queues();
    assert_eq!(queues.values().next().expect("one").status.pending, 0, "no workload yet");
}

#[test]
fn the_pods_of_a_deployment_are_admitted_one_by_one_and_those_of_a_stateful_set_together() {
    let workload = |kind: &str, name: &str, replicas: u32, more: &str| {
        format!(
            "---\n{{apiVersion: apps/v1, kind: {kind}, metadata: {{name: {name}, labels: {{{IN_QUEUE}}}}}, spec: {{{more} \
             replicas: {replicas}, selector: {{matchLabels: {{app: {name}}}}}, template: {{metadata: {{labels: {{app: \
             {name}}}}}, spec: {{containers: [{{name: a, image: 'a:1', resources: {{requests: {{cpu: '1'}}}}}}]}}}}}}}}\n"
        )
    };
    let placed = |run: &Run, app: &str| {
        let view = run.0.view();
        let is_it = |pod: &&wavetank::cluster::pod::Pod| {
            pod.node.is_some() && view.labels_of(pod).get("app").is_some_and(|one| **one == *app)
        };
        view.pods().values().filter(is_it).count()
    };
    let web = workload("Deployment", "web", 6, "");
    let mut run = self::run(&(queue("") + &web), "", "");
    run.until(60);
    assert_eq!(placed(&run, "web"), 4, "as many as the quota has");
    let few = workload("Deployment", "web", 2, "");
    let db = workload("StatefulSet", "db", 3, "serviceName: db, podManagementPolicy: Parallel,");
    let late = "---\n{apiVersion: kueue.x-k8s.io/v1beta2, kind: LocalQueue, metadata: {name: late}, spec: {clusterQueue: \
                all, stopPolicy: Hold}}\n";
    let db = late.to_owned() + &db.replace("queue-name: q", "queue-name: late");
    let timeline = "{at: 30s, patch: {workload: LocalQueue/default/late, patch: {spec: {stopPolicy: None}}}}, {at: 100s, \
                    scale: {workload: Deployment/default/web, replicas: 1}}";
    let mut run = self::run(&(queue("") + &few + &db), "", timeline);
    run.until(60);
    assert_eq!((placed(&run, "web"), placed(&run, "db")), (2, 0));
    run.until(200);
    assert_eq!((placed(&run, "web"), placed(&run, "db")), (1, 3));
}

#[test]
fn a_job_that_may_run_with_fewer_pods_gets_as_many_as_there_is_quota_for() {
    let job = |name: &str, pods: u32, annotations: &str| {
        format!(
            "---\n{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}, annotations: {{{annotations}}}, labels: \
             {{{IN_QUEUE}}}}}, spec: {{parallelism: {pods}, completions: 12, template: {{spec: {POD}}}}}}}\n"
        )
    };
    let least = "kueue.x-k8s.io/job-min-parallelism: '2'";
    let mut run = run(&(queue("") + &job("few", 1, "") + &job("many", 9, least)), "", "");
    run.until(60);
    let all: Vec<(String, i32, bool)> = jobs(&run)
        .iter()
        .map(|job| (job.meta.name().to_string(), job.spec.parallelism, job.spec.suspend))
        .collect();
    assert_eq!(all, [("few".to_owned(), 1, false), ("many".to_owned(), 3, false)]);
    let too_many = least.replace('2', "5");
    let mut run = self::run(&(queue("") + &job("many", 9, &too_many)), "", "");
    run.until(60);
    assert!(jobs(&run)[0].spec.suspend);
}

#[test]
fn a_preempted_job_that_ran_with_fewer_pods_gets_all_of_them_once_there_is_quota() {
    let job = |name: &str, pods: u32, queue: &str, annotations: &str| {
        format!(
            "---\n{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}, annotations: {{{annotations}}}, labels: \
             {{kueue.x-k8s.io/queue-name: {queue}}}}}, spec: {{completionMode: Indexed, parallelism: {pods}, completions: {pods}, template: \
             {{spec: {POD}}}}}}}\n"
        )
    };
    let late = "---\n{apiVersion: kueue.x-k8s.io/v1beta2, kind: LocalQueue, metadata: {name: late}, spec: {clusterQueue: \
                all, stopPolicy: Hold}}\n";
    let fewer = "kueue.x-k8s.io/job-min-parallelism: '2', \
                 kueue.x-k8s.io/job-completions-equal-parallelism: 'true'";
    let manifests = [
        queue("preemption: {withinClusterQueue: LowerPriority},"),
        late.to_owned(),
        job("few", 1, "q", ""),
        job("many", 4, "q", fewer),
        job("urgent", 3, &format!("late{URGENT}"), ""),
    ];
    let apps = [app("few", "runsFor: 100s"), app("many", RUNS), app("urgent", RUNS)];
    let open = "{at: 50s, patch: {workload: LocalQueue/default/late, patch: {spec: {stopPolicy: None}}}}, {at: 200s, delete: \
                Job/default/urgent}";
    let mut run = run(&manifests.concat(), &apps.concat(), open);
    let many = |run: &Run| {
        let job =
            jobs(run).into_iter().find(|job| **job.meta.name() == *"many").expect("it is there");
        (job.spec.parallelism, job.spec.completions, job.spec.suspend)
    };
    run.until(40);
    assert_eq!(many(&run), (3, Some(3), false));
    run.until(190);
    assert_eq!(many(&run), (4, Some(4), true));
    run.until(300);
    assert_eq!(many(&run), (4, Some(4), false));
}

#[test]
fn a_daemon_set_whose_pods_a_quota_refuses_tells_how_many_it_has() {
    let manifests = "
{apiVersion: v1, kind: ResourceQuota, metadata: {name: two}, spec: {hard: {pods: '2'}}}
---
{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: agent}, spec: {selector: {matchLabels: {app: agent}}, template: {metadata: {labels: {app: agent}}, spec: {containers: [{name: a, image: 'a:1'}]}}}}
";
    let mut run = run(manifests, "", "");
    run.until(120);
    let view = run.0.view();
    let status = &view.daemon_sets().values().next().expect("the DaemonSet").status;
    assert_eq!((status.desired_number_scheduled, status.number_ready), (3, 2));
}

#[test]
fn the_workload_behind_a_canary_service_is_its_rollout() {
    let manifests = "
{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: web}, spec: {replicas: 2, selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: a, image: 'a:1'}]}}, strategy: {canary: {canaryService: canary, stableService: stable}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: stable}, spec: {selector: {app: web}, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: canary}, spec: {selector: {app: web}, ports: [{port: 80}]}}
";
    let scenario = "apiVersion: wavetank/v1\nkind: Scenario\nname: canary\nduration: 5m\nmanifests: [manifests.yaml]\ncluster:\n  \
                    nodePools: [{name: general, count: 2, capacity: {cpu: 8, memory: 32Gi}}]\nworkloads: [{workload: \
                    Rollout/default/web, requests: {cpuTime: 1ms}}]\ntraffic:\n- {service: default/stable, load: {pattern: \
                    constant, rps: 1}}\n- {service: default/canary, load: {pattern: constant, rps: 1}}\n";
    let mut run = Run::new(scenario, manifests);
    run.until(200);
    let named = |position: usize| {
        let found = run.0.workloads_behind(position);
        let names = found.iter().map(|one| run.0.recorder().workloads[*one].workload.to_string());
        names.collect::<Vec<String>>()
    };
    assert_eq!([named(0), named(1)], [["Rollout/default/web"; 1]; 2]);
}
