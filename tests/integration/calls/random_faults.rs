//! Under random faults of pods every request of a graph of services is answered, failed or still under way.

use proptest::prelude::*;
use serde_json::{Value, json};
use wavetank::engine::SimDuration;
use wavetank::traffic::{
    BackendId, BackendState, Causes, CpuClaim, FailureCause, Retries, RetrySpec, RoutePolicy,
    ServiceFigures, ServiceId,
};

use super::{Service, World, at, ten_a_second};

/// What befalls the pods of a graph.
#[derive(Clone, Copy, Debug)]
enum Fault {
    State(BackendState),
    Stop,
    Remove,
    Cpu(f64),
    Quota(Option<f64>),
    Endpoints(u8),
    /// Of all services the pods of this number share so many cores; absent = no more.
    Crowd(Option<f64>),
}

fn any_fault() -> impl Strategy<Value = (f64, usize, usize, Fault)> {
    let fault = prop_oneof![
        Just(Fault::State(BackendState::Serving)),
        Just(Fault::State(BackendState::Refusing)),
        Just(Fault::State(BackendState::Unreachable)),
        Just(Fault::Stop),
        Just(Fault::Remove),
        (0..40u8).prop_map(|tenths| Fault::Cpu(f64::from(tenths) / 10.0)),
        prop::option::of(0.0..2.0f64).prop_map(Fault::Quota),
        any::<u8>().prop_map(Fault::Endpoints),
        prop::option::weighted(0.7, 0.0..3.0f64).prop_map(Fault::Crowd),
    ];
    (0.0..20.0f64, 0..4usize, 0..3usize, fault)
}

/// What a gateway may do with its requests: any time-outs, retries for any causes, at once or later.
fn any_route_policy() -> impl Strategy<Value = RoutePolicy> {
    let times = || prop::option::of((1..800i64).prop_map(SimDuration::from_millis));
    let retries = (0..5u32, 0..60i64, any::<u16>(), times(), any::<bool>());
    let retries = retries.prop_map(|(attempts, backoff, causes, window, is_once_per_endpoint)| {
        let all = FailureCause::ALL.into_iter().enumerate();
        let causes = all.filter(|(bit, _)| causes >> bit & 1 == 1).map(|(_, cause)| cause);
        let backoff = SimDuration::from_millis(backoff);
        let attempts = if is_once_per_endpoint { u32::MAX } else { attempts };
        let spec =
            RetrySpec { attempts, backoff, max_backoff: backoff * 4, ..RetrySpec::default() };
        Retries { spec, causes: Causes::of(causes), window, is_once_per_endpoint }
    });
    (times(), times(), times(), prop::option::of(retries)).prop_map(
        |(timeout, try_timeout, connect_timeout, retries)| RoutePolicy {
            timeout,
            try_timeout,
            connect_timeout,
            retries,
            client_limits: None,
        },
    )
}

fn graph(settings: &[(u32, bool, bool, bool)], policies: &[(f64, RoutePolicy)]) -> World {
    let [a, b, c, d] = [0, 1, 2, 3].map(|one| settings[one]);
    let retries =
        |has: bool| has.then(|| json!({"attempts": 2, "perTryTimeout": "150ms", "budget": 0.5}));
    let call = |service: &str, of: (u32, bool, bool, bool)| {
        let mut call = json!({"service": service, "timeout": "400ms", "optional": of.2});
        if let Some(retries) = retries(of.1) {
            call["retries"] = retries;
        }
        call
    };
    let policy = |of: (u32, bool, bool, bool)| match of.0 % 5 {
        0 => json!({"balancer": "leastRequest"}),
        1 => json!({"outlierDetection": {"consecutiveFailures": 2, "baseEjectionTime": "2s"}}),
        2 => json!({"maxRequests": 6, "connections": {"count": 5}}),
        3 => json!({"workQueue": true}),
        _ => json!({"balancer": "ringHash"}),
    };
    let mut second = call("s/c", c);
    second["withPrevious"] = json!(b.3);
    let law = json!({"distribution": "exponential", "mean": "25ms"});
    let model = |of: (u32, bool, bool, bool), calls: Value| {
        json!({"concurrency": 1 + of.0 % 4, "queue": 8, "cpuTime": law, "waitTime": "5ms", "calls": calls,
               "shedAfter": "200ms"})
    };
    let mut clients = json!({"load": {"pattern": "constant", "rps": 40}, "timeout": "700ms"});
    if let Some(retries) = retries(a.1) {
        clients["retries"] = retries;
    }
    let users = json!({"users": 12, "thinkTime": law, "rampUp": "3s"});
    if a.3 {
        clients["load"] = json!({"add": [clients["load"], users]});
        clients["arrivals"] = json!("mmpp");
        clients["states"] = json!([{"weight": 1, "mean": "2s"}, {"weight": 4, "mean": "1s"}]);
    }
    let of_d = if d.2 { json!({"load": users}) } else { ten_a_second() };
    World::new(&[
        Service::new("a", model(a, json!([call("s/b", b), second])))
            .pods(3)
            .policy(policy(a))
            .clients(clients)
            .route(ten_a_second(), policies.to_vec()),
        Service::new("b", model(b, json!([call("s/d", d)]))).pods(3).policy(policy(b)),
        Service::new("c", model(c, json!([])))
            .pods(3)
            .policy(policy(c))
            .route(ten_a_second(), policies.iter().take(1).cloned().collect()),
        Service::new("d", model(d, json!([]))).pods(3).policy(policy(d)).clients(of_d),
    ])
}

fn befall(world: &mut World, seconds: f64, service: usize, pod: usize, fault: Fault) {
    let now = at(seconds);
    let id = world.pods[service][pod];
    let traffic = &mut world.traffic;
    match fault {
        Fault::State(state) => traffic.set_state(now, id, state),
        Fault::Stop => traffic.stop_backend(now, id, FailureCause::Killed),
        Fault::Remove => traffic.remove_backend(now, id, FailureCause::Killed),
        Fault::Cpu(cores) => traffic.set_cpu(now, id, cores),
        Fault::Quota(cores) => traffic.set_quota(now, id, cores),
        Fault::Endpoints(mask) => {
            let kept = (0..3).filter(|one| mask >> one & 1 == 1);
            let kept: Vec<BackendId> = kept.map(|one| world.pods[service][one]).collect();
            let service = u32::try_from(service).expect("few services");
            traffic.set_endpoints(now, ServiceId(service), &kept);
        }
        Fault::Crowd(Some(cores)) => {
            let weighted = world.pods.iter().zip([1.0, 2.0, 2.0, 5.0]);
            let claims = weighted.map(|(pods, weight)| CpuClaim {
                backend: Some(pods[pod]),
                limit: 4.0,
                burst: 4.0,
                weight,
                own: if weight > 4.0 { cores / 3.0 } else { 0.0 },
            });
            let claims: Vec<CpuClaim> = claims.collect();
            world.nodes[pod] = Some(traffic.share_cpu(now, world.nodes[pod], cores, &claims).id);
        }
        Fault::Crowd(None) => {
            if let Some(node) = world.nodes[pod].take() {
                traffic.end_cpu_sharing(now, node);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn calls_are_answered_or_failed_or_under_way_whatever_befalls_the_pods(
        settings in prop::collection::vec(any::<(u32, bool, bool, bool)>(), 4),
        faults in prop::collection::vec(any_fault(), 0..12),
        policies in prop::collection::vec((0.0..15.0f64, any_route_policy()), 1..4),
    ) {
        let mut policies = policies;
        policies.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut faults = faults;
        faults.sort_by(|one, other| one.0.total_cmp(&other.0));
        let [mut watched, mut alone] = [(); 2].map(|()| graph(&settings, &policies));
        for (seconds, service, pod, fault) in &faults {
            // Asking in between must change nothing.
            for service in 0..4 {
                let ServiceFigures { outcomes, in_flight, .. } = watched.figures(*seconds, service);
                let ended = outcomes.answered + outcomes.failed_in_all();
                prop_assert_eq!(outcomes.arrived, ended + in_flight, "service {} at {}", service, seconds);
            }
            befall(&mut watched, *seconds, *service, *pod, *fault);
            befall(&mut alone, *seconds, *service, *pod, *fault);
        }
        for service in 0..4 {
            let [one, other] = [&mut watched, &mut alone].map(|world| world.figures(30.0, service));
            prop_assert_eq!(one, other);
            let ended = one.outcomes.answered + one.outcomes.failed_in_all();
            prop_assert_eq!(one.outcomes.arrived, ended + one.in_flight);
        }
    }
}
