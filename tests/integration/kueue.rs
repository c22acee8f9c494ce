//! Kueue: Jobs wait for the quota of their queue.

use wavetank::cluster::job::Job;
use wavetank::manifest::{Source, load};

use crate::in_memory::Run;

/// Two teams in one cohort, each with four CPU of two flavors: the first has nodes of its own.
const QUEUES: &str = "
{apiVersion: kueue.x-k8s.io/v1beta2, kind: ResourceFlavor, metadata: {name: big}, spec: {nodeLabels: {size: big}}}
---
{apiVersion: kueue.x-k8s.io/v1beta2, kind: ResourceFlavor, metadata: {name: small}, spec: {nodeLabels: {size: small}}}
---
apiVersion: kueue.x-k8s.io/v1beta2
kind: ClusterQueue
metadata: {name: red}
spec: {cohortName: all, namespaceSelector: {}, RED, resourceGroups: [{coveredResources: [cpu], flavors: [{name: big, resources: [{name: cpu, nominalQuota: 4}]}]}]}
---
apiVersion: kueue.x-k8s.io/v1beta2
kind: ClusterQueue
metadata: {name: blue}
spec: {cohortName: all, namespaceSelector: {}, BLUE, resourceGroups: [{coveredResources: [cpu], flavors: [{name: big, resources: [{name: cpu, nominalQuota: 2, lendingLimit: 1}]}, {name: small, resources: [{name: cpu, nominalQuota: 2}]}]}]}
---
{apiVersion: kueue.x-k8s.io/v1beta2, kind: LocalQueue, metadata: {name: red}, spec: {clusterQueue: red}}
---
{apiVersion: kueue.x-k8s.io/v1beta2, kind: LocalQueue, metadata: {name: blue}, spec: {clusterQueue: blue}}
---
{apiVersion: kueue.x-k8s.io/v1beta2, kind: WorkloadPriorityClass, metadata: {name: urgent}, value: 100}
";

/// A Job of a minute with this many pods of one CPU.
fn job(name: &str, queue: &str, pods: u32, labels: &str) -> String {
    format!(
        "---\napiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}, labels: {{kueue.x-k8s.io/queue-name: {queue}{labels}}}}}\nspec:\n  \
         parallelism: {pods}\n  completions: {pods}\n  template: {{spec: {{restartPolicy: Never, containers: [{{name: a, image: 'a:1', \
         resources: {{requests: {{cpu: '1'}}}}}}]}}}}\n"
    )
}

const URGENT: &str = ", kueue.x-k8s.io/priority-class: urgent";

fn run(
    red: &str,
    blue: &str,
    jobs: &[(&str, &str, u32, &str)],
    later: Option<(&str, &str)>,
) -> Run {
    let queues = QUEUES.replace("RED", red).replace("BLUE", blue);
    let timeline = later.map_or_else(String::new, |(at, action)| format!("{{at: {at}, {action}}}"));
    run_with(&queues, jobs, &timeline)
}

/// A run with these objects beside the Jobs.
fn run_with(queues: &str, jobs: &[(&str, &str, u32, &str)], timeline: &str) -> Run {
    let all: String =
        jobs.iter().map(|(name, queue, pods, labels)| job(name, queue, *pods, labels)).collect();
    run_objects(&format!("{queues}{all}"), jobs, timeline)
}

/// A run with these objects, among them the Jobs of these names.
fn run_objects(objects: &str, jobs: &[(&str, &str, u32, &str)], timeline: &str) -> Run {
    run_varied(objects, jobs, timeline, 0.0)
}

/// A run whose pods take differently long.
fn run_varied(
    objects: &str,
    jobs: &[(&str, &str, u32, &str)],
    timeline: &str,
    variation: f64,
) -> Run {
    let described = jobs.iter().map(|(name, ..)| {
        format!("- workload: Job/default/{name}\n  app: {{imagePull: 1s, runsFor: 60s, runsForCv: {variation}}}\n")
    });
    let described: String = described.collect();
    let pool = |name: &str| {
        format!(
            "{{name: {name}, count: 2, capacity: {{cpu: 8, memory: 32Gi}}, labels: {{size: {name}}}TAINTS}}"
        )
    };
    let scenario = format!(
        "apiVersion: wavetank/v1\nkind: Scenario\nname: kueue\nduration: 20m\nmanifests: [manifests.yaml]\ncluster: {{nodePools: \
         [{}, {}]}}\nworkloads:\n{described}timeline: [{timeline}]\n",
        pool("big"),
        pool("small").replace("TAINTS", ""),
    );
    // Only with these objects the big nodes repel other pods.
    let is_tainted = objects.contains("nodeTaints");
    let taints =
        if is_tainted { ", taints: [{key: only, value: batch, effect: NoSchedule}]" } else { "" };
    let scenario = scenario.replace("TAINTS", taints);
    Run::new(&scenario, objects)
}

fn plain(jobs: &[(&str, &str, u32, &str)]) -> Run {
    run("queueingStrategy: BestEffortFIFO", "queueingStrategy: BestEffortFIFO", jobs, None)
}

/// Names of the Jobs that are not suspended and have not ended.
fn started(run: &Run) -> Vec<String> {
    let is_started = |job: &&Job| !job.spec.suspend && job.status.finished().is_none();
    let view = run.0.view();
    let mut names: Vec<String> =
        view.jobs().values().filter(is_started).map(|job| job.meta.name().to_string()).collect();
    names.sort();
    names
}

fn completed(run: &Run) -> usize {
    run.0.view().jobs().values().filter(|job| job.status.completion_time.is_some()).count()
}

#[test]
fn a_job_waits_suspended_until_its_queue_has_quota() {
    let mut run = plain(&[("a", "red", 3, ""), ("b", "red", 3, "")]);
    run.until(2);
    assert_eq!(started(&run), ["a"]);
    assert_eq!(run.0.view().pods().values().count(), 3, "a suspended Job has no pods");
    run.until(80);
    assert_eq!(started(&run), ["b"]);
    run.until(200);
    assert_eq!(completed(&run), 2);
}

/// The pool of the nodes on which the pods of a Job run.
fn pool_of(run: &Run, job: &str) -> String {
    let view = run.0.view();
    let mut pods = view.pods().values().filter(|pod| pod.id.name.starts_with(job));
    let node = pods.next().and_then(|pod| pod.node).expect("a pod with a node");
    let name = view.nodes()[node].meta.name().to_string();
    name.split('-').next().unwrap_or_default().to_owned()
}

#[test]
fn pods_run_on_the_nodes_of_their_flavor_the_first_with_quota_or_the_first_without_borrowing() {
    let jobs = [("a", "blue", 2, ""), ("b", "blue", 2, "")];
    let mut borrowing = plain(&jobs);
    borrowing.until(30);
    assert_eq!((&*pool_of(&borrowing, "a-"), &*pool_of(&borrowing, "b-")), ("big", "big"));
    let next = "flavorFungibility: {whenCanBorrow: TryNextFlavor}";
    let mut own = run("stopPolicy: None", next, &jobs, None);
    own.until(30);
    assert_eq!((&*pool_of(&own, "a-"), &*pool_of(&own, "b-")), ("big", "small"));
}

#[test]
fn a_cohort_lends_quota_within_its_limits() {
    // Red has four of its own, and one of blue's two may be lent.
    let mut five = plain(&[("five", "red", 5, "")]);
    five.until(2);
    assert_eq!(started(&five), ["five"]);
    let mut six = plain(&[("six", "red", 6, "")]);
    six.until(300);
    assert_eq!(started(&six), [""; 0]);
}

#[test]
fn best_effort_passes_a_job_that_does_not_fit_and_strict_does_not() {
    let jobs = [("a", "red", 3, ""), ("big", "red", 4, ""), ("c", "red", 1, "")];
    let mut best_effort = plain(&jobs);
    best_effort.until(2);
    assert_eq!(started(&best_effort), ["a", "c"]);
    let mut strict = run("queueingStrategy: StrictFIFO", "stopPolicy: None", &jobs, None);
    strict.until(2);
    assert_eq!(started(&strict), ["a"]);
}

#[test]
fn a_higher_priority_comes_first_and_preempts_where_the_queue_lets_it() {
    let jobs = [("a", "red", 4, ""), ("b", "red", 4, ""), ("urgent", "red", 4, URGENT)];
    let mut waiting =
        run("preemption: {withinClusterQueue: Never}", "stopPolicy: Hold", &jobs, None);
    waiting.until(2);
    assert_eq!(started(&waiting), ["urgent"], "all are there from the start");
    let later = (
        "30s",
        "patch: {workload: Job/default/b, patch: {metadata: {labels: {kueue.x-k8s.io/priority-class: urgent}}}}",
    );
    let jobs = &jobs[..2];
    let mut preempting = run(
        "preemption: {withinClusterQueue: LowerPriority}",
        "stopPolicy: Hold",
        jobs,
        Some(later),
    );
    preempting.until(29);
    assert_eq!(started(&preempting), ["a"]);
    preempting.until(70);
    assert_eq!(started(&preempting), ["b"]);
    let stopped = preempting.events("Stopped");
    assert_eq!(stopped.len(), 1);
    assert!(stopped[0].1.contains("due to prioritization in the ClusterQueue"), "{}", stopped[0].1);
    preempting.until(400);
    assert_eq!(completed(&preempting), 2, "the preempted Job starts again");
}

#[test]
fn a_queue_takes_its_quota_back_from_one_that_borrowed() {
    let jobs = [("borrower", "red", 5, ""), ("owner", "blue", 2, "")];
    let later = Some((
        "30s",
        "patch: {workload: Job/default/owner, patch: {metadata: {labels: {kueue.x-k8s.io/queue-name: blue}}}}",
    ));
    // Until then the owner names a queue that does not exist.
    let elsewhere = [jobs[0], ("owner", "none", 2, "")];
    // The flavor `small` is full, so that the owner needs the big nodes.
    let blue = "preemption: {reclaimWithinCohort: Any}, flavorFungibility: {whenCanPreempt: MayStopSearch}";
    let mut run = run("stopPolicy: None", blue, &elsewhere, later);
    run.until(29);
    assert_eq!(started(&run), ["borrower"]);
    run.until(70);
    assert_eq!(started(&run), ["owner"]);
    assert!(run.events("Stopped")[0].1.contains("reclamation within the cohort"));
}

#[test]
fn a_job_without_a_queue_starts_at_once_and_one_with_a_missing_queue_never() {
    let mut run = plain(&[("lost", "nowhere", 1, "")]);
    run.until(300);
    assert_eq!(started(&run), [""; 0]);
}

#[test]
fn the_explanation_of_a_queue_has_its_quota_and_why_jobs_wait() {
    let mut run = plain(&[("a", "red", 3, ""), ("b", "red", 3, "")]);
    run.until(5);
    let text = run.explain("ClusterQueue/red");
    assert!(text.contains("flavor big: cpu 3 used of 4, 2 available"), "{text}");
    assert!(text.contains("pending: Job/default/b: couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor big, 1 more needed"), "{text}");
}

#[test]
fn the_reason_says_whether_there_is_ever_enough() {
    // Red has four CPU of its own, and one of blue's two may be lent; a Job of two runs.
    let reason = |pods| {
        let mut run = plain(&[("a", "red", 2, ""), ("b", "red", pods, "")]);
        run.until(5);
        let text = run.explain("ClusterQueue/red");
        let line = text.lines().find(|line| line.starts_with("pending: Job/default/b"));
        line.and_then(|line| line.split("pod set main: ").nth(1)).expect("a reason").to_owned()
    };
    // More than its own quota, and no more than it may borrow.
    assert_eq!(reason(5), "insufficient unused quota for cpu in flavor big, 2 more needed");
    assert_eq!(
        reason(6),
        "insufficient quota for cpu in flavor big, previously considered podsets requests (0) + current podset \
         request (6) > maximum capacity (5)"
    );
}

#[test]
fn a_queue_with_a_missing_flavor_admits_nothing() {
    let queues = QUEUES.replace("RED", "stopPolicy: None").replace("BLUE", "stopPolicy: None");
    let queues = queues.replace("metadata: {name: small}", "metadata: {name: tiny}");
    let loaded = load(&[Source::new("queues.yaml", queues.clone())]);
    let warnings: Vec<String> = loaded
        .diagnostics
        .iter()
        .filter(|one| one.code == "missing-reference")
        .map(|one| format!("{}: {}", one.field, one.message))
        .collect();
    assert_eq!(
        warnings,
        [
            "spec.resourceGroups[0].flavors[1].name: ResourceFlavor small does not exist: the queue is inactive and \
          admits no Job"
        ]
    );
    let mut run = run_with(&queues, &[("a", "blue", 1, ""), ("b", "red", 1, "")], "");
    run.until(100);
    assert_eq!(started(&run), [""; 0]);
    let text = run.explain("ClusterQueue/blue");
    assert!(text.contains("is inactive: references missing ResourceFlavor(s): small"), "{text}");
    assert_eq!(completed(&run), 1, "the queue with all its flavors admits");
}

#[test]
fn the_defaults_of_a_limit_range_count_against_the_quota() {
    let queues = QUEUES.replace("RED", "stopPolicy: None").replace("BLUE", "stopPolicy: None");
    let range = "---\n{apiVersion: v1, kind: LimitRange, metadata: {name: all}, spec: {limits: [{type: Container, \
                 default: {cpu: 2}, defaultRequest: {cpu: 2}}]}}\n";
    // Without requests of their own, two pods get two CPU each: the quota of four is full.
    let jobs = [("a", "red", 2, ""), ("b", "red", 1, "")];
    let objects = |range: &str| {
        let all: String = jobs
            .iter()
            .map(|(name, queue, pods, labels)| job(name, queue, *pods, labels))
            .collect();
        format!("{queues}{range}{}", all.replace("requests: {cpu: '1'}", ""))
    };
    let at_once = |range: &str| {
        let mut run = run_objects(&objects(range), &jobs, "");
        run.until(5);
        started(&run)
    };
    assert_eq!(at_once(""), ["a", "b"]);
    assert_eq!(at_once(range), ["a"]);
}

/// One queue with two CPU of each flavor, without a cohort.
const ALONE: &str = "
{apiVersion: kueue.x-k8s.io/v1beta2, kind: ResourceFlavor, metadata: {name: big}, spec: {nodeLabels: {size: big}BIG}}
---
{apiVersion: kueue.x-k8s.io/v1beta2, kind: ResourceFlavor, metadata: {name: small}, spec: {nodeLabels: {size: small}}}
---
apiVersion: kueue.x-k8s.io/v1beta2
kind: ClusterQueue
metadata: {name: red}
spec: {namespaceSelector: {SELECTOR}, preemption: {withinClusterQueue: LowerPriority}, flavorFungibility: {whenCanPreempt: MayStopSearch},
  resourceGroups: [{coveredResources: [cpu], flavors: [{name: big, resources: [{name: cpu, nominalQuota: 2}]}, {name: small, resources: [{name: cpu, nominalQuota: 2}]}]}]}
---
{apiVersion: kueue.x-k8s.io/v1beta2, kind: LocalQueue, metadata: {name: red}, spec: {clusterQueue: red}}
---
{apiVersion: kueue.x-k8s.io/v1beta2, kind: WorkloadPriorityClass, metadata: {name: urgent}, value: 100}
";

fn alone(big: &str, selector: &str) -> String {
    ALONE.replace("BIG", big).replace("SELECTOR", selector)
}

#[test]
fn a_preempted_job_can_get_another_flavor() {
    let jobs = [("a", "red", 2, ""), ("b", "none", 2, URGENT)];
    let urgent = "{at: 30s, patch: {workload: Job/default/b, patch: {metadata: {labels: {kueue.x-k8s.io/queue-name: red}}}}}";
    let mut run = run_with(&alone("", ""), &jobs, urgent);
    run.until(29);
    assert_eq!(pool_of(&run, "a-"), "big");
    run.until(60);
    assert_eq!(started(&run), ["a", "b"]);
    assert_eq!((&*pool_of(&run, "a-"), &*pool_of(&run, "b-")), ("small", "big"));
    assert_eq!(run.events("Stopped").len(), 1);
}

#[test]
fn pods_get_the_tolerations_of_their_flavor() {
    let taint = ", nodeTaints: [{key: only, value: batch, effect: NoSchedule}]";
    let jobs = [("a", "red", 2, "")];
    let mut intolerant = run_with(&alone(taint, ""), &jobs, "");
    intolerant.until(30);
    assert_eq!(pool_of(&intolerant, "a-"), "small");
    let tolerated = format!("{taint}, tolerations: [{{key: only, operator: Exists}}]");
    let mut tolerant = run_with(&alone(&tolerated, ""), &jobs, "");
    tolerant.until(30);
    assert_eq!(pool_of(&tolerant, "a-"), "big");
}

#[test]
fn a_queue_takes_jobs_of_the_namespaces_that_it_selects() {
    let jobs = [("a", "red", 2, "")];
    let at_start = |selector: &str| {
        let mut run = run_with(&alone("", selector), &jobs, "");
        run.until(5);
        started(&run)
    };
    assert_eq!(at_start("matchLabels: {kubernetes.io/metadata.name: default}"), ["a"]);
    assert_eq!(at_start("matchLabels: {team: post}"), [""; 0]);
}

#[test]
fn a_job_gives_back_the_quota_of_pods_that_do_not_come_any_more() {
    // The second Job needs one CPU of the four that the first has.
    let jobs = [("a", "red", 2, ""), ("b", "red", 2, ""), ("c", "red", 1, "")];
    let starts_early = |completions: bool| {
        let all: String = jobs
            .iter()
            .map(|(name, queue, pods, labels)| job(name, queue, *pods, labels))
            .collect();
        let all = if completions { all } else { all.replace("  completions: 2\n", "") };
        let mut run = run_varied(&format!("{}{all}", alone("", "")), &jobs, "", 0.5);
        (5..200).any(|second| {
            run.until(second);
            let started = started(&run);
            started.len() == 3
        })
    };
    assert!(starts_early(true));
    assert!(starts_early(false));
}

#[test]
fn an_admitted_job_that_a_user_suspends_starts_again() {
    let suspend = "{at: 30s, patch: {workload: Job/default/a, patch: {spec: {suspend: true}}}}";
    let mut run = run_with(&alone("", ""), &[("a", "red", 2, "")], suspend);
    run.until(35);
    assert_eq!(started(&run), ["a"]);
    run.until(80);
    assert_eq!(completed(&run), 0, "its pods began anew");
    run.until(150);
    assert_eq!(completed(&run), 1);
    assert_eq!(run.events("Started").len(), 2);
}

#[test]
fn a_queue_that_may_borrow_within_its_cohort_preempts_lower_priorities_of_others_for_that() {
    let jobs = [("lower", "blue", 4, ""), ("five", "red", 5, URGENT)];
    let open = "patch: {workload: ClusterQueue/red, patch: {spec: {stopPolicy: None}}}";
    let after = |borrow: &str| {
        let red = format!("stopPolicy: Hold, preemption: {{reclaimWithinCohort: Any{borrow}}}");
        let mut run = run(&red, "queueingStrategy: BestEffortFIFO", &jobs, Some(("20s", open)));
        run.until(10);
        assert_eq!(started(&run), ["lower"]);
        run.until(55);
        started(&run)
    };
    // Five are more than the quota of the queue itself.
    assert_eq!(after(""), ["lower"]);
    assert_eq!(after(", borrowWithinCohort: {policy: LowerPriority}"), ["five"]);
    let below = after(", borrowWithinCohort: {policy: LowerPriority, maxPriorityThreshold: -1}");
    assert_eq!(below, ["lower"]);
}
