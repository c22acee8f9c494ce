//! Tests of the scheduling queue.

use super::*;

fn pod(number: u64) -> PodId {
    PodId::from_bits(number)
}

fn queue() -> SchedulingQueue {
    SchedulingQueue::new(SimDuration::from_secs(1), SimDuration::from_secs(10))
}

fn at(seconds: i64) -> SimTime {
    SimTime::from_secs(seconds)
}

fn rejection(by: &[PluginName]) -> Rejection {
    let alike = CohortKey { class: ClassId(0), is_shared: false };
    Rejection { alike, by: by.into(), reason_sets: ReasonSetsId::default() }
}

fn fail(queue: &mut SchedulingQueue, now: SimTime) -> PodId {
    let queued = queue.pop(now).unwrap();
    let pod = queued.pod;
    queue.add_unschedulable(queued, rejection(&["NodeResourcesFit"]), now);
    pod
}

#[test]
fn priority_goes_first_then_time_then_the_order_of_arrival() {
    let mut queue = queue();
    queue.add(pod(1), ClassId(0), 0, at(2), false);
    queue.add(pod(2), ClassId(0), 5, at(3), false);
    queue.add(pod(3), ClassId(0), 0, at(1), false);
    queue.add(pod(4), ClassId(0), 0, at(1), false);
    let popped = std::iter::from_fn(|| queue.pop(at(4)).map(|queued| queued.pod));
    assert_eq!(popped.collect::<Vec<_>>(), [pod(2), pod(3), pod(4), pod(1)]);
}

#[test]
fn a_gated_pod_is_not_popped_until_its_gates_are_gone() {
    let mut queue = queue();
    queue.add(pod(1), ClassId(0), 0, at(0), true);
    assert_eq!((queue.pop(at(1)), queue.wake_time(at(1))), (None, None));
    queue.ungate(pod(1), ClassId(1));
    assert_eq!(queue.pop(at(2)).map(|queued| queued.class), Some(ClassId(1)));
}

#[test]
fn a_rejected_pod_backs_off_behind_active_ones_but_is_popped_early_if_nothing_else_waits() {
    let mut queue = queue();
    queue.add(pod(1), ClassId(0), 9, at(0), false);
    fail(&mut queue, at(0));
    queue.requeue(pod(1), at(0));
    queue.add(pod(2), ClassId(0), 0, at(0), false);
    assert_eq!(queue.pop(at(0)).map(|queued| queued.pod), Some(pod(2)));
    assert_eq!(queue.pop(at(0)).map(|queued| queued.pod), Some(pod(1)));
}

#[test]
fn back_off_doubles_up_to_its_longest() {
    let mut queue = queue();
    queue.add(pod(1), ClassId(0), 0, at(0), false);
    let mut waits = Vec::new();
    for _ in 0..6 {
        fail(&mut queue, at(0));
        waits.push(queue.backoff_end(&queue.get(pod(1)).unwrap()).since(at(0)).as_secs());
        queue.activate(pod(1));
    }
    assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
}

#[test]
fn without_a_verdict_a_pod_is_tried_again_after_its_back_off_and_not_early() {
    let mut queue = queue();
    queue.add(pod(1), ClassId(0), 0, at(10), false);
    let mut now = at(10);
    let mut waits = Vec::new();
    for _ in 0..5 {
        let queued = queue.pop(now).unwrap();
        queue.add_unschedulable(queued, rejection(&[]), now);
        let next = queue.wake_time(now).unwrap();
        assert_eq!(queue.pop(next - SimDuration::from_nanos(1)), None);
        waits.push(next.since(now).as_secs());
        now = next;
    }
    // Each lasts until the second in which it ends is over.
    assert_eq!(waits, [2, 3, 5, 9, 11]);
}

#[test]
fn after_a_verdict_the_back_off_grows_with_the_verdicts_alone() {
    let mut queue = queue();
    queue.add(pod(1), ClassId(0), 0, at(10), false);
    let mut now = at(10);
    for _ in 0..3 {
        let queued = queue.pop(now).unwrap();
        queue.add_unschedulable(queued, rejection(&[]), now);
        now = queue.wake_time(now).unwrap();
    }
    fail(&mut queue, now);
    let ends = queue.backoff_end(&queue.get(pod(1)).unwrap());
    assert_eq!(ends.since(now).as_secs(), 1, "as after the first");
}

#[test]
fn an_unschedulable_pod_is_tried_again_after_five_minutes_whatever_happened() {
    let mut queue = queue();
    queue.add(pod(1), ClassId(0), 0, at(10), false);
    fail(&mut queue, at(10));
    assert_eq!(queue.pop(at(300)), None);
    assert_eq!(queue.wake_time(at(20)), Some(at(330)));
    assert_eq!(queue.pop(at(330)).map(|queued| queued.attempts), Some(2));
    let mut queue = self::queue();
    queue.add(pod(1), ClassId(0), 0, at(30), false);
    fail(&mut queue, at(30));
    assert_eq!(queue.wake_time(at(40)), Some(at(360)), "more than five minutes");
    assert_eq!(queue.pop(at(330)), None);
}
