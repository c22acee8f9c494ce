//! What holds in every world at every instant, whatever befalls it: no request is lost, no node is
//! over-committed.

use crate::support::{Workload, reference, world};
use proptest::prelude::*;
use wavetank::cluster::ClusterView;
use wavetank::engine::{SimDuration, SimTime};
use wavetank::faults::{ImageChange, PodDeletion, ScaleChange, TimelineAction};
use wavetank::sim::Simulation;
use wavetank::traffic::{Balancer, ServiceId};
use wavetank::units::Quantity;

const SECONDS: i64 = 240;

fn any_workload(name: &'static str) -> impl Strategy<Value = Workload> {
    let resources = (0..6i32, 50..1500i64, prop::option::of(100..2000i64));
    let requests = (0.5..60.0f64, 1..8u32, 1..200i64, 50..3000i64);
    let life = (any::<bool>(), 0..20_000i64, 0..4u8);
    (resources, requests, life).prop_map(move |(resources, requests, life)| Workload {
        name,
        replicas: resources.0,
        cpu_request_milli: resources.1,
        cpu_limit_milli: resources.2.map(|limit| limit.max(resources.1)),
        rps: requests.0,
        concurrency: requests.1,
        cpu_ms: requests.2,
        timeout_ms: requests.3,
        has_readiness_probe: life.0,
        warm_up_ms: life.1,
        balancer: [
            Balancer::Random,
            Balancer::RoundRobin,
            Balancer::LeastConnections,
            Balancer::LeastRequest,
        ][usize::from(life.2)],
        calls: None,
    })
}

fn any_step() -> impl Strategy<Value = (SimTime, TimelineAction)> {
    let node = (1..4u32).prop_map(|number| wavetank::cluster::Name::from(format!("node-{number}")));
    let action = prop_oneof![
        node.clone().prop_map(TimelineAction::KillNode),
        node.clone().prop_map(TimelineAction::RecoverNode),
        node.clone().prop_map(TimelineAction::Cordon),
        node.clone().prop_map(TimelineAction::Uncordon),
        node.prop_map(TimelineAction::Drain),
        (0..8u32).prop_map(|replicas| TimelineAction::Scale(ScaleChange {
            workload: reference("web"),
            replicas
        })),
        (1..4u32).prop_map(|count| TimelineAction::DeletePod(PodDeletion {
            force: false,
            workload: reference("web"),
            count
        })),
        (1..3u32).prop_map(|version| TimelineAction::SetImage(ImageChange {
            workload: reference("web"),
            container: None,
            image: format!("app:v{version}").into(),
        })),
        Just(TimelineAction::RestartRollout(reference("api"))),
        Just(TimelineAction::Delete(reference("api"))),
    ];
    ((0..SECONDS).prop_map(SimTime::from_secs), action)
}

fn assert_requests_are_conserved(simulation: &mut Simulation, services: u32) {
    let now = simulation.now();
    for service in 0..services {
        let figures = simulation.traffic_mut().figures(now, ServiceId(service));
        let ended = figures.outcomes.answered + figures.outcomes.failed_in_all();
        assert_eq!(figures.outcomes.arrived, ended + figures.in_flight, "at {now}");
    }
}

fn assert_no_node_is_over_committed(view: ClusterView<'_>) {
    for (id, node) in view.nodes().iter() {
        for resource in ["cpu", "memory"] {
            let requested: i64 = view
                .pods_on(id)
                .filter(|(_, pod)| !pod.phase.is_terminal())
                .map(|(_, pod)| {
                    view.template_of(pod).spec.running_request(resource, Quantity::milli_value)
                })
                .sum();
            let allocatable = node.allocatable.get(resource).map_or(0, Quantity::milli_value);
            assert!(requested <= allocatable, "{resource} on {}", node.meta.name());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    #[test]
    fn requests_in_are_answered_or_failed_or_in_flight_in_every_world(
        seed in 0..1000u64,
        nodes in 1..4u32,
        web in any_workload("web"),
        api in any_workload("api"),
        calls in any::<bool>(),
        timeline in prop::collection::vec(any_step(), 0..8),
    ) {
        let web = Workload { calls: calls.then_some("api"), ..web };
        let mut timeline = timeline;
        timeline.sort_by_key(|(at, _)| *at);
        let duration = SimDuration::from_secs(SECONDS);
        let mut simulation = Simulation::new(world(seed, duration, nodes, &[web, api], timeline));
        for seconds in (0..=SECONDS).step_by(7) {
            simulation.run_until(SimTime::from_secs(seconds));
            assert_requests_are_conserved(&mut simulation, 2);
            assert_no_node_is_over_committed(simulation.view());
        }
    }
}
