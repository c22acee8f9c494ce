//! Which workloads one pass admits, and which it preempts.

use std::collections::BTreeMap;

use super::cycle::{Admitted, Decisions, Pending, Setup, run};
use super::workload::{PodSet, WorkloadId};
use cluster::job::JobId;
use cluster::kueue::{
    BorrowWithinCohort, ClusterQueueSpec, FlavorQuota, FlavorQuotas, QueuePreemption,
    ResourceFlavorSpec, ResourceGroup,
};
use cluster::pod_template::PodSpec;
use cluster::{Labels, Name};
use engine::SimTime;

/// Queues of one cohort, with quotas of CPU in flavors whose nodes have their name as label `kind`.
#[derive(Default)]
struct World {
    queues: BTreeMap<Name, ClusterQueueSpec>,
    flavors: BTreeMap<Name, ResourceFlavorSpec>,
    admitted: Vec<Admitted>,
    pod: PodSpec,
}

impl World {
    fn queue(&mut self, name: &str, flavors: &[(&str, i64)]) -> &mut ClusterQueueSpec {
        for (flavor, _) in flavors {
            let labels: Labels = [("kind", *flavor)].into_iter().collect();
            let spec = ResourceFlavorSpec { node_labels: labels, ..ResourceFlavorSpec::default() };
            self.flavors.insert((*flavor).into(), spec);
        }
        let quotas = |(flavor, nominal_milli): &(&str, i64)| FlavorQuotas {
            flavor: (*flavor).into(),
            quotas: vec![(
                "cpu".into(),
                FlavorQuota { nominal_milli: *nominal_milli, ..FlavorQuota::default() },
            )],
        };
        let flavors = flavors.iter().map(quotas).collect();
        let spec = ClusterQueueSpec {
            cohort: Some("all".into()),
            groups: vec![ResourceGroup { resources: vec!["cpu".into()], flavors }],
            ..ClusterQueueSpec::default()
        };
        self.queues.entry(name.into()).insert_entry(spec).into_mut()
    }

    /// A Job runs, created and admitted at this second.
    fn runs(&mut self, job: u64, queue: &str, priority: i32, at: i64, flavor: &str, cpu: i64) {
        let at = SimTime::from_secs(at);
        self.admitted.push(Admitted {
            id: id(job),
            queue: queue.into(),
            priority,
            created: (at, job),
            since: at,
            usage: [((flavor.into(), "cpu".into()), cpu)].into_iter().collect(),
            is_evicted: false,
        });
    }

    /// The decisions when these Jobs wait: number, queue, priority, CPU. They were created at their number's second.
    fn decides(&self, waiting: &[(u64, &str, i32, i64)]) -> Decisions {
        let queues = self.queues.iter().map(|(name, spec)| (name.clone(), spec)).collect();
        let flavors = self.flavors.iter().map(|(name, spec)| (name.clone(), spec)).collect();
        let pending = |(job, queue, priority, cpu): &(u64, &str, i32, i64)| Pending {
            id: id(*job),
            queue: (*queue).into(),
            priority: *priority,
            created: (SimTime::from_secs(i64::try_from(*job).unwrap_or(0)), *job),
            pod_sets: self.pod_sets(&[("main", *cpu)]),
            counts_pods: false,
            least: None,
        };
        let pending = waiting.iter().map(pending).collect();
        run(&Setup { queues, flavors }, &self.admitted, pending)
    }

    /// Sets of pods, each with this CPU as single pods of one.
    fn pod_sets(&self, sets: &[(&str, i64)]) -> Vec<PodSet<'_>> {
        let set = |(name, count): &(&str, i64)| PodSet {
            name: (*name).into(),
            pod: &self.pod,
            each: [("cpu".into(), 1)].into_iter().collect(),
            count: *count,
        };
        sets.iter().map(set).collect()
    }

    /// The decisions about a workload of queue `a` with these sets of pods, and the least number of pods.
    fn decides_on(&self, sets: &[(&str, i64)], least: Option<i64>) -> Decisions {
        let queues = self.queues.iter().map(|(name, spec)| (name.clone(), spec)).collect();
        let flavors = self.flavors.iter().map(|(name, spec)| (name.clone(), spec)).collect();
        let pending = Pending {
            id: id(9),
            queue: "a".into(),
            priority: 5,
            created: (SimTime::from_secs(9), 9),
            pod_sets: self.pod_sets(sets),
            counts_pods: false,
            least,
        };
        run(&Setup { queues, flavors }, &self.admitted, vec![pending])
    }

    /// The admitted Jobs with their flavor, and the preempted ones.
    fn outcome(&self, waiting: &[(u64, &str, i32, i64)]) -> (Vec<(u64, String)>, Vec<u64>) {
        let Decisions { admitted, preempted, .. } = self.decides(waiting);
        let admitted = admitted.iter().map(|(job, _, assignment)| {
            let flavors = &assignment.flavors[&Name::from("main")];
            (number(*job), flavors[&Name::from("cpu")].to_string())
        });
        let preempted = preempted.iter().map(|one| number(one.victim));
        (admitted.collect(), preempted.collect())
    }
}

const fn id(job: u64) -> WorkloadId {
    WorkloadId::Job(JobId::from_bits(job))
}

fn number(id: WorkloadId) -> u64 {
    let WorkloadId::Job(job) = id else { panic!("{id:?} is no Job") };
    job.to_bits()
}

fn flavor(job: u64, flavor: &str) -> (Vec<(u64, String)>, Vec<u64>) {
    (vec![(job, flavor.to_owned())], Vec::new())
}

const fn preempts(jobs: Vec<u64>) -> (Vec<(u64, String)>, Vec<u64>) {
    (Vec::new(), jobs)
}

#[test]
fn a_flavor_in_which_nothing_can_be_preempted_ends_no_search() {
    let mut world = World::default();
    let queue = world.queue("a", &[("big", 4), ("small", 4)]);
    queue.stops_at_preemption = true;
    queue.within_queue = QueuePreemption::LowerPriority;
    world.runs(1, "a", 5, 0, "big", 4);
    assert_eq!(world.outcome(&[(9, "a", 5, 2)]), flavor(9, "small"));
    // A lower one can be: it stops there.
    assert_eq!(world.outcome(&[(9, "a", 6, 2)]), preempts(vec![1]));
}

#[test]
fn a_flavor_that_can_be_taken_back_is_better_than_a_full_one_and_than_preempting_ones_own() {
    let mut world = World::default();
    world.queue("a", &[("big", 4), ("mine", 4), ("lent", 4)]).within_cohort = QueuePreemption::Any;
    world.queue("b", &[("lent", 4)]);
    world.runs(1, "a", 5, 0, "big", 4);
    world.runs(2, "a", 0, 0, "mine", 4);
    world.runs(3, "b", 9, 0, "lent", 8);
    assert_eq!(world.outcome(&[(9, "a", 5, 2)]), preempts(vec![3]));
    let queue = world.queues.get_mut("a").expect("it is there");
    queue.within_queue = QueuePreemption::LowerPriority;
    assert_eq!(world.outcome(&[(9, "a", 5, 2)]), preempts(vec![3]));
    queue_without_reclaim(&mut world);
    assert_eq!(world.outcome(&[(9, "a", 5, 2)]), preempts(vec![2]));
}

fn queue_without_reclaim(world: &mut World) {
    world.queues.get_mut("a").expect("it is there").within_cohort = QueuePreemption::Never;
}

#[test]
fn without_borrowing_comes_before_with_only_where_the_queue_tries_the_next_flavor() {
    let mut world = World::default();
    world.queue("a", &[("big", 4), ("small", 4)]);
    world.queue("b", &[("big", 4)]);
    world.runs(1, "a", 5, 0, "big", 4);
    assert_eq!(world.outcome(&[(9, "a", 5, 2)]), flavor(9, "big"));
    world.queues.get_mut("a").expect("it is there").avoids_borrowing = true;
    assert_eq!(world.outcome(&[(9, "a", 5, 2)]), flavor(9, "small"));
}

#[test]
fn the_quota_of_a_preempted_job_goes_to_no_third_one_before_it_has_ended() {
    let mut world = World::default();
    world.queue("a", &[("big", 4)]).within_queue = QueuePreemption::LowerPriority;
    world.queue("b", &[("big", 4)]);
    world.runs(1, "a", 0, 0, "big", 4);
    world.runs(2, "b", 0, 0, "big", 4);
    // The preemptor needs two of four: two are left for another, of a later cycle too.
    let others = [(8, "a", 5, 2), (9, "b", 5, 2), (10, "b", 5, 2)];
    assert_eq!(world.outcome(&others), preempts(vec![1]));
    // Until then the preemptor stays first.
    let waits = world.decides(&[(7, "a", 0, 1), (8, "a", 5, 2)]).waits;
    let why = |job| &*waits[&id(job)];
    assert_eq!(
        why(8),
        "couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor big, 2m more needed. \
         Pending the preemption of 1 workload(s)"
    );
    assert_eq!(why(7), "waits behind the first Job of its queue");
}

#[test]
fn the_latest_goes_first_and_those_that_are_not_needed_stay() {
    let mut world = World::default();
    world.queue("a", &[("big", 8)]).within_queue = QueuePreemption::LowerPriority;
    world.runs(1, "a", 0, 10, "big", 4);
    world.runs(2, "a", 0, 20, "big", 4);
    assert_eq!(world.outcome(&[(99, "a", 5, 4)]), preempts(vec![2]));
    let mut world = World::default();
    world.queue("a", &[("big", 4)]).within_queue = QueuePreemption::LowerPriority;
    world.runs(1, "a", 0, 10, "big", 3);
    world.runs(2, "a", 0, 20, "big", 1);
    assert_eq!(world.outcome(&[(99, "a", 5, 3)]), preempts(vec![1]));
    assert_eq!(world.outcome(&[(99, "a", 5, 4)]).1.len(), 2);
}

#[test]
fn what_is_taken_back_from_others_is_within_the_own_quota() {
    let mut world = World::default();
    world.queue("a", &[("big", 4)]).within_cohort = QueuePreemption::Any;
    world.queue("b", &[("big", 4)]);
    world.runs(1, "a", 9, 0, "big", 2);
    world.runs(2, "b", 0, 0, "big", 6);
    assert_eq!(world.outcome(&[(9, "a", 5, 2)]), preempts(vec![2]));
    // With three more it would borrow.
    assert_eq!(world.outcome(&[(9, "a", 5, 3)]), preempts(Vec::new()));
}

#[test]
fn a_queue_that_uses_its_quota_takes_from_its_own_jobs_alone() {
    let mut world = World::default();
    let queue = world.queue("a", &[("big", 4)]);
    queue.within_cohort = QueuePreemption::Any;
    queue.within_queue = QueuePreemption::LowerPriority;
    world.queue("b", &[("big", 4)]);
    world.queue("c", &[("big", 2)]);
    world.runs(1, "a", 0, 0, "big", 2);
    world.runs(2, "a", 0, 1, "big", 2);
    world.runs(3, "b", 0, 2, "big", 3);
    world.runs(4, "b", 0, 3, "big", 3);
    assert_eq!(world.outcome(&[(9, "a", 5, 3)]), preempts(vec![2, 1]));
}

#[test]
fn of_equal_priority_only_newer_jobs_make_room() {
    let mut world = World::default();
    world.queue("a", &[("big", 4)]).within_queue = QueuePreemption::LowerOrNewerEqualPriority;
    world.runs(1, "a", 5, 20, "big", 4);
    assert_eq!(world.outcome(&[(9, "a", 5, 2)]), preempts(vec![1]));
    assert_eq!(world.outcome(&[(30, "a", 5, 2)]), preempts(Vec::new()));
}

#[test]
fn others_do_not_borrow_what_the_first_job_of_a_strict_queue_waits_for() {
    let mut world = World::default();
    world.queue("a", &[("big", 4)]).is_strict = true;
    world.queue("b", &[("big", 4)]);
    world.runs(1, "a", 5, 0, "big", 2);
    world.runs(2, "b", 5, 0, "big", 3);
    let waiting = [(8, "a", 5, 4), (9, "b", 5, 2)];
    assert_eq!(world.outcome(&waiting), preempts(Vec::new()));
    // Where it can always take its own back, they may.
    world.queues.get_mut("a").expect("it is there").within_cohort = QueuePreemption::Any;
    assert_eq!(world.outcome(&waiting), flavor(9, "big"));
}

#[test]
fn a_job_gets_the_flavor_of_its_node_selector() {
    let mut world = World::default();
    world.queue("a", &[("big", 4), ("small", 4)]);
    world.pod.node_selector = [("kind", "small")].into_iter().collect();
    assert_eq!(world.outcome(&[(9, "a", 5, 2)]), flavor(9, "small"));
}

#[test]
fn the_sets_of_pods_before_one_count_for_it() {
    let mut world = World::default();
    world.queue("a", &[("big", 4), ("small", 4)]);
    let of_sets = |sets: &[(&str, i64)]| {
        let Decisions { mut admitted, mut waits, .. } = world.decides_on(sets, None);
        let flavors = admitted.pop().map(|(_, _, assignment)| assignment.flavors);
        let flavors = flavors.into_iter().flatten().map(|(_, own)| own["cpu"].to_string());
        (flavors.collect::<Vec<_>>(), waits.remove(&id(9)).unwrap_or_default())
    };
    assert_eq!(of_sets(&[("one", 2), ("two", 2)]).0, ["big", "big"]);
    assert_eq!(of_sets(&[("one", 3), ("two", 2)]).0, ["big", "small"]);
    assert_eq!(
        of_sets(&[("one", 4), ("three", 4), ("two", 1)]).1,
        "couldn't assign flavors to pod set two: insufficient quota for cpu in flavor big, previously considered \
         podsets requests (4m) + current podset request (1m) > maximum capacity (4m), insufficient quota for cpu in \
         flavor small, previously considered podsets requests (4m) + current podset request (1m) > maximum capacity (4m)"
    );
}

#[test]
fn each_set_of_pods_says_why_it_waits_until_one_never_fits() {
    let mut world = World::default();
    world.queue("a", &[("big", 4)]);
    world.runs(1, "a", 5, 0, "big", 3);
    let why = |sets: &[(&str, i64)]| world.decides_on(sets, None).waits.remove(&id(9));
    let lacks = |set, more| {
        format!(
            "couldn't assign flavors to pod set {set}: insufficient unused quota for cpu in flavor big, {more}m more needed"
        )
    };
    let both = format!("{}; {}", lacks("one", 1), lacks("two", 3));
    assert_eq!(why(&[("one", 2), ("two", 2)]), Some(both));
    let never = why(&[("one", 5), ("two", 1)]).expect("it waits");
    assert!(never.contains("pod set one") && !never.contains("pod set two"), "{never}");
}

#[test]
fn fewer_pods_do_where_a_job_lets_them_and_all_neither_fit_nor_make_room() {
    let mut world = World::default();
    world.queue("a", &[("big", 8)]);
    world.runs(1, "a", 0, 0, "big", 3);
    let counts_of = |world: &World, pods, least| {
        let Decisions { admitted, preempted, .. } = world.decides_on(&[("main", pods)], least);
        (admitted.first().map(|(_, _, assignment)| assignment.count), preempted.len())
    };
    let counts = |world: &World, least| counts_of(world, 7, least);
    assert_eq!(counts_of(&world, 5, Some(2)), (Some(None), 0));
    assert_eq!(counts(&world, None), (None, 0));
    assert_eq!(counts(&world, Some(2)), (Some(Some(5)), 0));
    assert_eq!(counts(&world, Some(5)), (Some(Some(5)), 0));
    assert_eq!(counts(&world, Some(6)), (None, 0));
    // All of them, if others make room.
    let queue = world.queues.get_mut("a").expect("it is there");
    queue.within_queue = QueuePreemption::LowerPriority;
    assert_eq!(counts(&world, Some(2)), (None, 1));
}

#[test]
fn only_who_may_preempt_while_borrowing_gets_more_than_its_quota_by_that() {
    let mut world = World::default();
    world.queue("a", &[("big", 4)]).within_cohort = QueuePreemption::Any;
    world.queue("b", &[("big", 4)]);
    world.runs(1, "b", 0, 0, "big", 6);
    assert_eq!(world.outcome(&[(9, "a", 5, 5)]), preempts(Vec::new()));
    let queue = world.queues.get_mut("a").expect("it is there");
    queue.borrow_within_cohort = Some(BorrowWithinCohort::default());
    assert_eq!(world.outcome(&[(9, "a", 5, 5)]), preempts(vec![1]));
    // Without reclaiming there is nothing to borrow that others use.
    queue_without_reclaim(&mut world);
    assert_eq!(world.outcome(&[(9, "a", 5, 5)]), preempts(Vec::new()));
}
