//! Scheduling throughput: 5,000 nodes, 100,000 pods under the default profile; and batch workloads of bare
//! pods that arrive, run and finish, with every node scored and NodeResourcesFit as the only plugin.
//!
//! `cargo bench --bench scheduler`. A measurement in CPU seconds, including peak memory: `cargo bench
//! --bench scheduler -- --once simple`.

#![expect(clippy::disallowed_methods, reason = "a bench reads its data")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::time::Duration;

use criterion::Criterion;
use wavetank::cluster::action::{PodDraft, PodName, PodSource};
use wavetank::cluster::node::{HOSTNAME_LABEL, Node, ZONE_LABEL};
use wavetank::cluster::pod::PodId;
use wavetank::cluster::pod_template::{
    Affinity, Container, NodeInclusionPolicy, PodAffinityTerm, PodSpec, PodTemplate, ResourceList,
    TopologySpreadConstraint, WhenUnsatisfiable,
};
use wavetank::cluster::selector::Selector;
use wavetank::cluster::{Action, Name, ObjectMeta};
use wavetank::engine::{EventQueue, SimDuration, SimTime, Streams};
use wavetank::pack::placer::Placer;
use wavetank::pack::{Plan, PodList, Policy, node_list, policy};
use wavetank::scheduler::profile::{PluginSet, ProfileConfiguration, SchedulerConfiguration};
use wavetank::scheduler::{Scheduler, TieBreaker};
use wavetank::units::Quantity;

/// The program's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const GIB: i64 = 1 << 30;

fn node(number: usize, cores: i64) -> Node {
    let name = format!("node-{number:05}");
    let zone = format!("zone-{}", number % 3);
    let allocatable: ResourceList = [
        ("cpu", Quantity::from_milli(cores * 1000)),
        ("memory", Quantity::from_bytes(cores * 4 * GIB)),
        ("pods", Quantity::from_units(1000)),
    ]
    .into_iter()
    .collect();
    let labels = [(HOSTNAME_LABEL, name.as_str()), (ZONE_LABEL, zone.as_str())];
    let meta =
        ObjectMeta { labels: labels.into_iter().collect(), ..ObjectMeta::new("", name.as_str()) };
    Node::new(meta, allocatable)
}

fn template(milli_cpu: i64, memory: i64) -> PodTemplate {
    let requests =
        [("cpu", Quantity::from_milli(milli_cpu)), ("memory", Quantity::from_bytes(memory))];
    let container = Container { requests: requests.into_iter().collect(), ..Container::default() };
    PodTemplate {
        spec: PodSpec {
            containers: vec![container],
            scheduler_name: "default-scheduler".into(),
            ..PodSpec::default()
        },
        ..PodTemplate::default()
    }
}

/// A profile with NodeResourcesFit as the only plugin, for filtering and scoring.
fn fit_alone() -> ProfileConfiguration {
    ProfileConfiguration {
        multi_point: PluginSet {
            enabled: ["PrioritySort", "NodeResourcesFit", "DefaultBinder"]
                .map(|name| (name.into(), 0))
                .into(),
            disabled: vec!["*".into()],
        },
        ..ProfileConfiguration::default()
    }
}

fn placer(
    nodes: usize,
    cores: impl Fn(usize) -> i64,
    percentage: i64,
    profile: ProfileConfiguration,
) -> Placer {
    let configuration = SchedulerConfiguration {
        profiles: vec![profile],
        percentage_of_nodes_to_score: percentage,
        ..SchedulerConfiguration::default()
    };
    let ties = TieBreaker::drawn(Streams::new(1).stream("ties", 0));
    let scheduler = Scheduler::new(&configuration, ties).expect("the default profile");
    let mut placer = Placer::new(scheduler, 1);
    for number in 0..nodes {
        placer.act(Action::add_node(node(number, cores(number)))).expect("a new node");
    }
    placer
}

fn draft(namespace: &Name, name: Name, template: &PodSource) -> PodDraft {
    PodDraft {
        name: PodName::Exact(name),
        namespace: namespace.clone(),
        template: template.clone(),
        owner: None,
    }
}

/// Pod templates of a measurement on 5,000 nodes.
fn templates(kind: &str) -> Vec<PodTemplate> {
    let app = |number: usize| format!("app-{}", number % 100);
    let labelled = |number: usize| {
        let mut template = template([100, 110, 120, 130, 140][number % 5], 500 << 20);
        template.labels = [("app", app(number).as_str())].into_iter().collect();
        template
    };
    let selector = |number: usize| {
        Selector::from_labels(&[("app", app(number).as_str())].into_iter().collect())
    };
    match kind {
        "anti-affinity" => (0..100)
            .map(|number| {
                let mut template = labelled(number);
                template.spec.affinity = Affinity {
                    required_anti: vec![PodAffinityTerm {
                        selector: Some(selector(number)),
                        match_label_keys: Vec::new(),
                        mismatch_label_keys: Vec::new(),
                        namespaces: Vec::new(),
                        namespace_selector: None,
                        topology_key: HOSTNAME_LABEL.into(),
                    }],
                    ..Affinity::default()
                };
                template
            })
            .collect(),
        "spread" => (0..100)
            .map(|number| {
                let mut template = labelled(number);
                template.spec.topology_spread.push(TopologySpreadConstraint {
                    max_skew: 1,
                    topology_key: ZONE_LABEL.into(),
                    when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
                    selector: Some(selector(number)),
                    match_label_keys: Vec::new(),
                    min_domains: None,
                    node_affinity_policy: NodeInclusionPolicy::Honor,
                    node_taints_policy: NodeInclusionPolicy::Ignore,
                });
                template
            })
            .collect(),
        _ => (0..10).map(labelled).collect(),
    }
}

/// Places pods on 5,000 nodes.
fn place_all(kind: &str, percentage: i64, pods: usize) -> usize {
    place_in(5_000, kind, percentage, pods)
}

/// Places pods one after the other, and returns the number placed.
fn place_in(nodes: usize, kind: &str, percentage: i64, pods: usize) -> usize {
    let mut placer = placer(nodes, |_| 32, percentage, ProfileConfiguration::default());
    let sources: Vec<PodSource> =
        templates(kind).into_iter().map(|one| PodSource::New(Box::new(one))).collect();
    let namespace = Name::from("default");
    let mut interned: Vec<Option<PodSource>> = vec![None; sources.len()];
    for number in 0..pods {
        let at = number % sources.len();
        let source = interned[at].as_ref().unwrap_or(&sources[at]);
        let pod = placer
            .create(draft(&namespace, format!("pod-{number:07}").into(), source))
            .expect("a new pod");
        interned[at] = Some(PodSource::Interned(placer.store().pods()[pod].template));
        placer.place();
    }
    placer.store().pods().values().filter(|pod| pod.node.is_some()).count()
}

/// A pod of a batch workload.
struct BatchPod {
    arrival: SimTime,
    kind: usize,
    duration: SimDuration,
}

/// Bare pods: Poisson arrivals at 70 % CPU utilization, six CPU sizes, three memory ratios, exponential
/// durations with a mean of ten minutes.
fn batch(nodes: usize, pods: usize, seed: u64) -> (Vec<PodTemplate>, Vec<BatchPod>) {
    const CPU: [(i64, f64); 6] =
        [(250, 0.20), (500, 0.25), (1000, 0.25), (2000, 0.15), (4000, 0.10), (8000, 0.05)];
    const RATIO: [(i64, f64); 3] = [(2, 0.3), (4, 0.5), (8, 0.2)];
    let mut state = seed;
    let mut unit = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / 9_007_199_254_740_992.0
    };
    let pick = |weights: &[(i64, f64)], u: f64| {
        let mut sum = 0.0;
        let found = weights.iter().position(|(_, weight)| {
            sum += weight;
            u < sum
        });
        found.unwrap_or(weights.len() - 1)
    };
    let cores: i64 = (0..nodes).map(batch_cores).sum();
    let rate = 0.70 * cores as f64 / (1.525 * 600.0);
    let millis = |seconds: f64| SimDuration::from_secs_f64((seconds * 1000.0).round() / 1000.0);
    let mut at = 0.0;
    let list = (0..pods)
        .map(|_| {
            at += -(1.0 - unit()).ln() / rate;
            let kind = pick(&CPU, unit()) * 3 + pick(&RATIO, unit());
            let duration = (-(1.0 - unit()).ln() * 600.0).clamp(1.0, 7200.0);
            BatchPod { arrival: SimTime::ZERO + millis(at), kind, duration: millis(duration) }
        })
        .collect();
    let templates = CPU
        .iter()
        .flat_map(|(cpu, _)| {
            RATIO.iter().map(move |(ratio, _)| template(*cpu, cpu * ratio * GIB / 1000))
        })
        .collect();
    (templates, list)
}

fn batch_cores(number: usize) -> i64 {
    [32, 32, 64, 96][number % 4]
}

/// Runs a batch workload until all pods have finished, and returns their number.
fn run_batch(nodes: usize, pods: usize, seed: u64, profile: ProfileConfiguration) -> usize {
    let (templates, list) = batch(nodes, pods, seed);
    let mut placer = placer(nodes, batch_cores, 100, profile);
    let mut sources: Vec<PodSource> =
        templates.into_iter().map(|one| PodSource::New(Box::new(one))).collect();
    let namespace = Name::from("default");
    let mut ends: EventQueue<PodId> = EventQueue::default();
    let mut durations: Vec<SimDuration> = Vec::new();
    let (mut next, mut ended) = (0, 0);
    loop {
        let arrival = list.get(next).map(|pod| pod.arrival);
        let wake = placer.scheduler().wake_time(placer.now());
        let Some(now) = [arrival, ends.peek_time(), wake].into_iter().flatten().min() else {
            break;
        };
        placer.advance(now);
        if ends.peek_time() == Some(now) {
            if let Some((_, pod)) = ends.pop() {
                placer.end(pod).expect("it is there");
                ended += 1;
            }
        } else if arrival == Some(now) {
            let pod = &list[next];
            let name = Name::from(format!("pod-{next:07}"));
            let id = placer.create(draft(&namespace, name, &sources[pod.kind])).expect("a new pod");
            sources[pod.kind] = PodSource::Interned(placer.store().pods()[id].template);
            if durations.len() <= id.index() {
                durations.resize(id.index() + 1, SimDuration::ZERO);
            }
            durations[id.index()] = pod.duration;
            next += 1;
        }
        while let Some(pod) = placer.place() {
            if placer.store().pods().get(pod).is_some_and(|one| one.node.is_some()) {
                ends.push(now + durations[pod.index()], 0, pod);
            }
        }
    }
    ended
}

/// The GPU-sharing experiment of `scenarios/openb-gpu-sharing` under FGD: how many pods are placed.
fn run_fgd() -> usize {
    let unpacked = |name: &str| {
        let path = format!("scenarios/openb-gpu-sharing/data/{name}.csv.gz");
        let bytes = std::fs::read(path).expect("the data are in the repository");
        let mut text = Vec::new();
        let read = flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut text);
        read.expect("gzip");
        text
    };
    let plan = Plan {
        nodes: node_list::nodes_from_csv(&unpacked("nodes")).expect("a list of nodes"),
        prices: BTreeMap::new(),
        pods: PodList::from_csv(&unpacked("pods")).expect("a list of pods"),
        seed: 42,
        ties_by_name: true,
        typical_of: Some(8_152),
        typical_percent: 95,
    };
    let configuration = policy::named("fgd").expect("a named policy");
    let policy = Policy { name: "fgd".to_owned(), configuration };
    plan.run(&policy).expect("its profile makes sense").placed()
}

/// Runs a measurement by name: the number of pods placed or finished.
fn once(name: &str) -> Option<usize> {
    Some(match name {
        "simple" => place_all("simple", 0, 100_000),
        "simple-all-scored" => place_all("simple", 100, 100_000),
        "anti-affinity" => place_all("anti-affinity", 0, 100_000),
        "spread" => place_all("spread", 0, 100_000),
        "fgd" => run_fgd(),
        // The workload's own scheduler, and the default profile for comparison.
        "A" => run_batch(100, 10_000, 20261, fit_alone()),
        "B" => run_batch(1_000, 100_000, 20262, fit_alone()),
        "C" => run_batch(10_000, 1_000_000, 20263, fit_alone()),
        "B-default" => run_batch(1_000, 100_000, 20262, ProfileConfiguration::default()),
        "C-default" => run_batch(10_000, 1_000_000, 20263, ProfileConfiguration::default()),
        "small" => place_in(1_000, "simple", 0, 10_000),
        _ => return None,
    })
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--once") {
        for name in &arguments[at + 1..] {
            // Standard output may be closed.
            let _ = writeln!(std::io::stdout(), "{name}: {:?}", once(name));
        }
        return;
    }
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(1))
        .configure_from_args();
    for name in ["simple", "simple-all-scored", "anti-affinity", "spread", "fgd", "A", "B"] {
        criterion.bench_function(&format!("scheduler/{name}"), |bencher| {
            bencher.iter(|| black_box(once(name)));
        });
    }
    criterion.final_summary();
}
