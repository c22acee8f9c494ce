//! A million requests to one service under an autoscaler, like `benches/peers/simpy_hpa.py`: one queue,
//! from which pods take one request each; every 15 s the number of pods is set from their utilization.
//! The expected result is known and checked.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    reason = "the peers round as this does; a bench measures time"
)]

use std::collections::VecDeque;
use std::io::{Write, stdout};
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use wavetank::engine::{SimDuration, SimTime, Streams};
use wavetank::traffic::trace::{RequestTrace, Tokens};
use wavetank::traffic::{
    BackendId, Recording, RequestModelId, RequestModelSpec, ServiceId, ServiceSpec, ServiceTraffic,
    Trace, Traffic, TrafficSpec,
};

const REQUESTS: usize = 1_000_000;
const SERVICE: ServiceId = ServiceId(0);
const SYNC: SimDuration = SimDuration::from_secs(15);
const START_UP: SimDuration = SimDuration::from_secs(10);
const STABILIZATION: SimDuration = SimDuration::from_secs(300);

fn main() -> std::io::Result<()> {
    let trace = requests();
    let begin = Instant::now();
    let mut run = Run::new(trace);
    run.run_all();
    let seconds = begin.elapsed().as_secs_f64();
    let latencies = run.traffic.figures(run.now, SERVICE).latencies.expect("all are answered");
    let [mean, p50, p99] =
        [latencies.mean, latencies.p50, latencies.p99].map(SimDuration::as_millis_f64);
    writeln!(
        stdout(),
        "wavetank n={REQUESTS} s={seconds:.3} req/s={:.0} sim_end={:.1} mean_ms={mean:.3} p50={p50:.3} \
         p99={p99:.3} podsec={:.0} scalings={}",
        REQUESTS as f64 / seconds,
        run.now.as_secs_f64(),
        run.pod_seconds,
        run.scalings
    )?;
    // SimPy's result; quantiles are exact to three digits.
    assert!((mean - 50.016).abs() < 0.0006, "mean");
    assert!((p50 / 34.671 - 1.0).abs() < 0.001, "p50");
    assert!((p99 / 230.282 - 1.0).abs() < 0.001, "p99");
    assert!((run.pod_seconds - 116_585.0).abs() < 1.0, "pod-seconds");
    assert_eq!(run.scalings, 24);
    Ok(())
}

/// The requests of `gen_requests.py`, number by number.
fn requests() -> RequestTrace {
    let mut state = 31u64;
    let mut unit = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / 9_007_199_254_740_992.0
    };
    let mut at = 0.0f64;
    let mut row = |_| {
        let rate = 600.0 + 400.0 * (std::f64::consts::TAU * at / 600.0).sin();
        at += -(1.0 - unit()).ln() / rate;
        let service = (-(1.0 - unit()).ln() * 50_000.0).round().max(1.0) as u32;
        let micros = (at * 1e6).round() as i64;
        // A token represents a microsecond.
        (SimTime::from_nanos(micros * 1000), Some(Tokens::of(service, 0)))
    };
    RequestTrace { rows: (0..REQUESTS).map(&mut row).collect(), ..RequestTrace::default() }
}

struct Run {
    traffic: Traffic,
    now: SimTime,
    /// Pods that accept requests.
    ready: Vec<BackendId>,
    /// Pods that finish their current requests.
    leaving: Vec<BackendId>,
    /// Times at which further pods become ready, with their number.
    starting: VecDeque<(SimTime, usize)>,
    busy: SimDuration,
    desired: VecDeque<(SimTime, usize)>,
    pod_seconds: f64,
    counted_to: SimTime,
    scalings: u32,
}

impl Run {
    fn new(trace: RequestTrace) -> Self {
        let streams = Streams::new(1);
        let spec = json!({"service": "s/web", "load": {"trace": "requests"}, "timeout": "10h"});
        let spec: TrafficSpec = serde_json::from_value(spec).expect("settings");
        let policy: ServiceSpec =
            serde_json::from_value(json!({"service": "s/web", "workQueue": true}))
                .expect("settings");
        let trace = Trace::Requests(Arc::new(trace));
        let service = ServiceTraffic {
            name: "s/web".into(),
            arrivals: spec.arrivals("", Some(&trace), streams.stream("a", 0)).expect("right"),
            timeout: spec.timeout,
            retries: None,
            policy: policy.policy(),
            routes: Vec::new(),
            model: None,
        };
        let model = json!({"concurrency": 1, "cpuTimePerPromptToken": "1us"});
        let model: RequestModelSpec = serde_json::from_value(model).expect("settings");
        let recording = Recording { interval: SYNC, warm_up: SimDuration::ZERO, waits: false };
        let models = vec![model.model("").expect("right")];
        let mut run = Self {
            traffic: Traffic::new(vec![service], models, streams, recording),
            now: SimTime::ZERO,
            ready: Vec::new(),
            leaving: Vec::new(),
            starting: VecDeque::new(),
            busy: SimDuration::ZERO,
            desired: VecDeque::new(),
            pod_seconds: 0.0,
            counted_to: SimTime::ZERO,
            scalings: 0,
        };
        run.add_pods(60);
        run
    }

    fn run_all(&mut self) {
        let mut next_sync = SimTime::ZERO + SYNC;
        loop {
            let ready_at = self.starting.front().map_or(SimTime::MAX, |(at, _)| *at);
            self.now = next_sync.min(ready_at);
            self.traffic.advance(self.now);
            if self.now == ready_at {
                let pods = self.starting.pop_front().map_or(0, |(_, pods)| pods);
                self.add_pods(pods);
                continue;
            }
            self.sync();
            let answered = self.traffic.figures(self.now, SERVICE).outcomes.answered;
            if answered == REQUESTS as u64 {
                self.count();
                return;
            }
            next_sync += SYNC;
        }
    }

    fn sync(&mut self) {
        let pods = self.ready.iter().chain(&self.leaving);
        let busy = pods.map(|pod| self.traffic.cpu_time_used(self.now, *pod));
        let busy = busy.fold(SimDuration::ZERO, |sum, one| sum + one);
        let used = busy - std::mem::replace(&mut self.busy, busy);
        let ready = self.ready.len();
        let starting: usize = self.starting.iter().map(|(_, pods)| pods).sum();
        let ratio = used.as_secs_f64() / (ready as f64 * SYNC.as_secs_f64()) / 0.6;
        let wanted =
            if (ratio - 1.0).abs() <= 0.1 { ready } else { (ready as f64 * ratio).ceil() as usize };
        let wanted = wanted.clamp(2, 200);
        self.desired.push_back((self.now, wanted));
        self.desired.retain(|(at, _)| self.now - *at < STABILIZATION);
        if wanted > ready + starting {
            self.scalings += 1;
            self.starting.push_back((self.now + START_UP, wanted - ready - starting));
            return;
        }
        let highest = self.desired.iter().map(|(_, wanted)| *wanted).max().unwrap_or(wanted);
        if highest < ready {
            self.scalings += 1;
            self.remove_pods(ready - highest);
        }
    }

    fn add_pods(&mut self, count: usize) {
        self.count();
        let now = self.now;
        self.ready
            .extend((0..count).map(|_| self.traffic.add_backend(now, RequestModelId(0), 1.0)));
        self.traffic.set_endpoints(now, SERVICE, &self.ready);
    }

    /// Idle pods are removed first.
    fn remove_pods(&mut self, count: usize) {
        self.count();
        let (now, traffic) = (self.now, &mut self.traffic);
        self.ready.sort_by_key(|pod| std::cmp::Reverse(traffic.pod_load(now, *pod).in_flight));
        self.leaving.extend(self.ready.split_off(self.ready.len() - count));
        self.traffic.set_endpoints(now, SERVICE, &self.ready);
    }

    fn count(&mut self) {
        self.pod_seconds += self.ready.len() as f64 * (self.now - self.counted_to).as_secs_f64();
        self.counted_to = self.now;
    }
}
