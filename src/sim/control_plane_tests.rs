//! Tests of the control plane: batches of requests, watches, and waiting for answers.

use super::*;
use cluster::namespace::NamespaceSpec;
use cluster::service::ServiceSpec;
use cluster::{Name, ObjectId, ObjectMeta};
use controllers::Backoff;
use engine::Streams;

/// Creates Service `one`, then in a further batch `two`, whenever a Service appears.
#[derive(Clone, Debug)]
struct Creator;

impl Controller for Creator {
    fn name(&self) -> &'static str {
        "creator"
    }

    fn wakes_on(&mut self, _: ClusterView<'_>, change: &Change, wake: &mut Vec<Key>) {
        if let Change::Spec(ObjectId::Service(_), _) = change {
            wake.push(Key::Pass(0));
        }
    }

    fn reconcile(&mut self, _: ClusterView<'_>, _: Key, actions: &mut Actions) -> Requeue {
        actions.push(create_service("one"));
        actions.end_batch();
        actions.push(create_service("two"));
        Requeue::No
    }

    fn queue(&self) -> QueueSettings {
        let backoff =
            Backoff { initial: SimDuration::from_secs(1), max: SimDuration::from_secs(4) };
        QueueSettings { backoff, ..QueueSettings::default() }
    }

    fn boxed_clone(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }
}

fn create_service(name: &str) -> Action {
    Action::create(ObjectMeta::new("default", name), ServiceSpec::default())
}

fn names(plane: &ControlPlane) -> Vec<Name> {
    plane.store().services().values().map(|service| service.meta.name().clone()).collect()
}

#[test]
fn a_refusal_keeps_the_batches_after_it_from_being_tried_and_backs_off() {
    let store = Store::new(Streams::new(1));
    let settings = ControlPlaneSettings {
        watch_latency: SimDuration::from_millis(10),
        ..ControlPlaneSettings::default()
    };
    let mut plane = ControlPlane::new(store, vec![Box::new(Creator)], settings, SimTime::ZERO);
    let mut journal = Journal::default();
    plane.act(SimTime::ZERO, "user", create_service("one"), &mut journal).unwrap();
    assert_eq!(plane.next_due(), Some(SimTime::from_nanos(10_000_000)));
    plane.run_due(SimTime::from_nanos(10_000_000), &mut journal);
    assert_eq!(names(&plane), [Name::from("one")]);
    assert_eq!(plane.next_due(), Some(SimTime::from_nanos(1_010_000_000)));
    let entry = &journal.log[0];
    assert_eq!((entry.actor, journal.changes.len()), ("creator", 1));
    assert!(matches!(entry.what, Logged::Refused { verb: "Create", .. }));
}

#[test]
fn a_sync_goes_on_when_its_write_is_answered_which_takes_longer_on_a_busy_machine() {
    for (factor, second_at) in [(1.0, 30), (3.0, 90)] {
        let settings = ControlPlaneSettings {
            watch_latency: SimDuration::from_millis(10),
            write_time: SimDuration::from_millis(20),
            ..ControlPlaneSettings::default()
        };
        let store = Store::new(Streams::new(1));
        let mut plane = ControlPlane::new(store, vec![Box::new(Creator)], settings, SimTime::ZERO);
        plane.slow_down(factor);
        let mut journal = Journal::default();
        plane.act(SimTime::ZERO, "user", create_service("zero"), &mut journal).unwrap();
        // A third of that is the delay of the watch.
        for millis in [second_at / 3, second_at - 1] {
            plane.run_due(SimTime::ZERO + SimDuration::from_millis(millis), &mut journal);
        }
        assert_eq!(names(&plane), [Name::from("zero"), Name::from("one")], "at {factor}");
        plane.run_due(SimTime::ZERO + SimDuration::from_millis(second_at), &mut journal);
        assert_eq!(names(&plane).len(), 3, "at {factor}");
    }
}

#[test]
fn a_change_that_no_controller_watches_is_no_work() {
    let store = Store::new(Streams::new(1));
    let settings = ControlPlaneSettings::default();
    let mut plane = ControlPlane::new(store, vec![Box::new(Creator)], settings, SimTime::ZERO);
    let action = Action::create(ObjectMeta::new("", "a"), NamespaceSpec);
    plane.act(SimTime::ZERO, "user", action, &mut Journal::default()).unwrap();
    assert_eq!(plane.next_due(), None);
}
