//! Random small worlds: whatever the cluster does to the traffic, no request is lost or counted twice,
//! and no CPU time comes from nowhere.

use proptest::prelude::*;
use serde_json::{Value, json};
use wavetank::engine::{Digest, SimDuration, SimTime, Streams};
use wavetank::traffic::{
    BackendId, BackendState, FailureCause, Recording, RequestModel, RequestModelId,
    RequestModelSpec, ServiceId, ServiceTraffic, Traffic, TrafficSpec,
};

/// What the cluster does to the traffic.
#[derive(Clone, Debug)]
enum Change {
    Add { model: u32, cores: f64 },
    State { backend: usize, state: BackendState },
    Cpu { backend: usize, cores: f64 },
    Stop { backend: usize },
    Remove { backend: usize },
    Endpoints { service: u32, members: u8 },
}

const SERVICES: u32 = 3;
const MODELS: u32 = 5;

fn change() -> impl Strategy<Value = Change> {
    let cores = || prop_oneof![Just(0.0), 0.05..4.0f64, Just(4.0)];
    let state = prop_oneof![
        Just(BackendState::Serving),
        Just(BackendState::Refusing),
        Just(BackendState::Unreachable)
    ];
    let backend = || 0..6usize;
    prop_oneof![
        3 => (0..MODELS, cores()).prop_map(|(model, cores)| Change::Add { model, cores }),
        2 => (backend(), state).prop_map(|(backend, state)| Change::State { backend, state }),
        3 => (backend(), cores()).prop_map(|(backend, cores)| Change::Cpu { backend, cores }),
        1 => backend().prop_map(|backend| Change::Stop { backend }),
        1 => backend().prop_map(|backend| Change::Remove { backend }),
        4 => (0..SERVICES, any::<u8>())
            .prop_map(|(service, members)| Change::Endpoints { service, members }),
    ]
}

fn history() -> impl Strategy<Value = Vec<(SimDuration, Change)>> {
    let wait = (0..400i64).prop_map(SimDuration::from_millis);
    prop::collection::vec((wait, change()), 1..40)
}

fn models() -> Vec<RequestModel> {
    let specs = [
        json!({"concurrency": 1, "queue": 20, "cpuTime": {"distribution": "exponential", "mean": "9ms"}}),
        json!({"concurrency": 3, "queue": 0, "cpuTime": "5ms", "waitTime": "11ms"}),
        json!({"concurrency": 50, "waitTime": {"distribution": "pareto", "mean": "20ms", "shape": 1.5},
               "cpuTime": {"distribution": "lognormal", "mean": "8ms", "cv": 1.5}}),
        json!({"concurrency": 4, "queue": 1000, "cpuTime": "10ms"}),
        // Some answers take longer than clients of `a` wait, and some of those who wait never have a turn.
        json!({"llm": {"model": "Llama-3.2-1B", "gpu": "L4", "maxNumSeqs": 9, "sessions": 3, "cpuCores": 0.5,
               "promptTokens": {"mean": 60, "cv": 1}, "outputTokens": {"mean": 12, "cv": 1}}}),
    ];
    let model = |spec: Value| {
        let spec: RequestModelSpec = serde_json::from_value(spec).expect("settings");
        spec.model("").expect("right settings")
    };
    specs.map(model).into()
}

fn world(seed: u64, warm_up: SimDuration) -> Traffic {
    let streams = Streams::new(seed);
    let specs = [
        json!({"service": "a", "load": {"pattern": "constant", "rps": 150}, "timeout": "100ms"}),
        json!({"service": "b", "load": {"pattern": "sine", "meanRps": 80, "amplitudeRps": 80,
               "period": "1s"}, "balancer": "leastConnections", "timeout": "700ms"}),
        json!({"service": "c", "load": {"pattern": "spike", "baseRps": 5, "peakRps": 400, "at": "1s",
               "hold": "200ms", "every": "1500ms"}, "arrivals": "gamma", "gapCv": 3,
               "balancer": "roundRobin"}),
    ];
    let service = |spec: Value| {
        let spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
        let stream = streams.stream(&spec.service.to_string(), 0);
        let arrivals = spec.arrivals("", None, stream).expect("right settings");
        ServiceTraffic::plain(spec.service.to_string(), arrivals, spec.balancer, spec.timeout)
    };
    let recording = Recording { interval: SimDuration::from_millis(70), warm_up, waits: false };
    Traffic::new(specs.map(service).into(), models(), streams, recording)
}

/// A world and what the test knows of it.
struct Observer {
    traffic: Traffic,
    now: SimTime,
    checked_at: SimTime,
    backends: Vec<Known>,
}

struct Known {
    id: BackendId,
    cores: f64,
    used: SimDuration,
}

impl Observer {
    fn new(traffic: Traffic) -> Self {
        let (now, checked_at) = (SimTime::ZERO, SimTime::ZERO);
        Self { traffic, now, checked_at, backends: Vec::new() }
    }

    fn apply(&mut self, change: &Change) {
        let (traffic, now) = (&mut self.traffic, self.now);
        match *change {
            Change::Add { model, cores } => {
                let id = traffic.add_backend(now, RequestModelId(model), cores);
                self.backends.push(Known { id, cores, used: SimDuration::ZERO });
            }
            Change::Endpoints { service, members } => {
                let is_member = |index: &usize| *index < 8 && members >> index & 1 == 1;
                let endpoints: Vec<BackendId> = (0..self.backends.len())
                    .filter(is_member)
                    .map(|i| self.backends[i].id)
                    .collect();
                traffic.set_endpoints(now, ServiceId(service), &endpoints);
            }
            Change::State { backend, .. }
            | Change::Cpu { backend, .. }
            | Change::Stop { backend }
            | Change::Remove { backend } => {
                let count = self.backends.len();
                let Some(known) = self.backends.get_mut(backend % count.max(1)) else { return };
                match *change {
                    Change::State { state, .. } => traffic.set_state(now, known.id, state),
                    Change::Cpu { cores, .. } => {
                        traffic.set_cpu(now, known.id, cores);
                        known.cores = cores;
                    }
                    Change::Stop { .. } => {
                        traffic.stop_backend(now, known.id, FailureCause::Killed);
                    }
                    _ => {
                        traffic.remove_backend(now, known.id, FailureCause::Killed);
                        // Endpoints may go on to name it.
                        let gone = self.backends.remove(backend % count);
                        assert_eq!(traffic.in_flight(now, gone.id), 0);
                    }
                }
            }
        }
    }

    fn check(&mut self) {
        let waited = self.now - self.checked_at;
        self.checked_at = self.now;
        for service in 0..SERVICES {
            let figures = self.traffic.figures(self.now, ServiceId(service));
            let outcomes = figures.outcomes;
            assert_eq!(
                outcomes.arrived,
                outcomes.answered + outcomes.failed_in_all() + figures.in_flight,
                "service {service} at {}: {figures:?}",
                self.now
            );
        }
        for known in &mut self.backends {
            let used = self.traffic.cpu_time_used(self.now, known.id);
            let more = (used - known.used).as_nanos();
            let most = known.cores * waited.as_nanos() as f64;
            // A request may be booked a nanosecond early.
            assert!(more >= 0 && more as f64 <= most + 100.0, "{more} ns of at most {most} ns");
            known.used = used;
        }
    }
}

fn digest(traffic: &mut Traffic, now: SimTime) -> u64 {
    let mut digest = Digest::default();
    traffic.digest(now, &mut digest);
    let intervals: Vec<_> =
        (0..SERVICES).map(|s| traffic.intervals(ServiceId(s)).to_vec()).collect();
    digest.bytes(format!("{intervals:?}").as_bytes());
    digest.value()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_request_is_lost_and_no_cpu_time_comes_from_nowhere(
        seed in any::<u64>(),
        warm_up_millis in prop_oneof![Just(0), 0..3000i64],
        history in history(),
    ) {
        let mut observer = Observer::new(world(seed, SimDuration::from_millis(warm_up_millis)));
        for (wait, change) in &history {
            observer.now += *wait;
            observer.check();
            observer.apply(change);
            observer.check();
        }
    }

    /// Neither more steps, nor questions in between, nor a snapshot changes what happens.
    #[test]
    fn the_steps_in_which_time_goes_on_do_not_matter(
        seed in any::<u64>(),
        history in history(),
        steps in prop::collection::vec(1..200i64, 20),
    ) {
        let mut straight = Observer::new(world(seed, SimDuration::ZERO));
        let mut stepwise = Observer::new(world(seed, SimDuration::ZERO));
        for ((wait, change), step) in history.iter().zip(steps.iter().cycle()) {
            let next = straight.now + *wait;
            while stepwise.now + SimDuration::from_millis(*step) < next {
                stepwise.now += SimDuration::from_millis(*step);
                stepwise.traffic.advance(stepwise.now);
                stepwise.check();
                stepwise.traffic = stepwise.traffic.clone();
            }
            stepwise.now = next;
            stepwise.check();
            stepwise.apply(change);
            straight.now = next;
            straight.apply(change);
        }
        let end = straight.now + SimDuration::from_secs(2);
        prop_assert_eq!(digest(&mut straight.traffic, end), digest(&mut stepwise.traffic, end));
    }
}
