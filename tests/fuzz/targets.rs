//! What is fuzzed: each target takes any bytes, and may refuse them, but neither panic nor go on without end.

use std::collections::BTreeMap;
use std::sync::Arc;

use wavetank::conform::{self, RecordingError};
use wavetank::manifest::{self, Diagnostics, Source};
use wavetank::pack::{Plan, PodList, Policy, node_list, policy};
use wavetank::scenario::packing::PackingText;
use wavetank::scenario::resolved::{ResolvedScenario, TraceFile};
use wavetank::scenario::{Override, ScenarioText};
use wavetank::sim::{Blueprint, Estimate, scheduler_of};
use wavetank::sweep::Run;
use wavetank::traffic::Trace;
use wavetank::traffic::import::Format;
use wavetank::{cli, cluster, engine, files, traffic, units};

use crate::corpus::{self, Seed};
use crate::random::Random;
use crate::{text, tree};

/// Steps of a fuzzed run.
const STEPS: usize = 400;
/// Requests of a fuzzed run.
const REQUESTS: u64 = 20_000;

/// In which form inputs are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON document.
    Json,
    /// YAML documents.
    Yaml,
    /// Lines of text.
    Text,
}

/// Something that reads what people give.
pub struct Target {
    pub name: &'static str,
    pub form: Form,
    pub seeds: fn() -> Vec<Seed>,
    pub run: fn(&Seed, &[u8]),
    /// Inputs that the tests try; a slow target has few.
    pub in_tests: u64,
}

/// All targets.
pub const ALL: &[Target] = &[
    recordings("conform-hpa", || corpus::lines("hpa"), |_, it| replayed(conform::hpa::replay(it))),
    recordings(
        "conform-scheduler",
        || corpus::lines("scheduler"),
        |_, it| {
            replayed(conform::scheduler::replay(it));
        },
    ),
    recordings(
        "conform-controllers",
        || corpus::lines("controllers"),
        |_, it| {
            replayed(conform::controllers::replay(it));
        },
    ),
    recordings(
        "conform-cluster-autoscaler",
        || corpus::lines("cluster-autoscaler"),
        |_, it| {
            replayed(conform::cluster_autoscaler::replay(it));
        },
    ),
    Target {
        in_tests: 6,
        ..recordings(
            "conform-karpenter",
            || corpus::lines("karpenter"),
            |_, it| {
                replayed(conform::karpenter::replay(it));
            },
        )
    },
    recordings(
        "conform-keda",
        || corpus::lines("keda"),
        |_, it| replayed(conform::keda::replay(it)),
    ),
    recordings("conform-vpa", || corpus::lines("vpa"), |_, it| replayed(conform::vpa::replay(it))),
    Target { in_tests: 1, ..of("conform-end-to-end", Form::Yaml, corpus::end_to_end, end_to_end) },
    Target {
        in_tests: 3,
        ..of("conform-real-cluster", Form::Text, corpus::real_cluster, real_cluster)
    },
    of("yaml", Form::Text, corpus::manifests, |_, bytes| {
        let mut problems = Diagnostics::default();
        let documents = manifest::read_documents(&source(bytes), &mut problems);
        for document in &documents {
            manifest::yaml::to_yaml(&document.value);
        }
        let _ = problems.to_string();
    }),
    of("manifests", Form::Yaml, corpus::manifests, manifests),
    of("scenarios", Form::Yaml, corpus::scenarios, |seed, bytes| {
        if let Some(resolved) = resolved(seed, bytes)
            && let Ok(blueprint) = Blueprint::new(&resolved)
        {
            let _ = blueprint.world(1).map(drop);
        }
    }),
    Target { in_tests: 6, ..of("runs", Form::Yaml, corpus::scenarios, runs) },
    Target {
        in_tests: 6,
        ..of("runs-of-manifests", Form::Yaml, corpus::scenario_manifests, runs_of_manifests)
    },
    of("traces", Form::Text, corpus::traces, |_, bytes| drop(Trace::read(bytes))),
    of("logs", Form::Text, corpus::logs, logs),
    of("measurements", Form::Text, corpus::logs, |_, bytes| {
        let _ = traffic::calibrate::read_points(&String::from_utf8_lossy(bytes));
    }),
    Target { in_tests: 20, ..of("packings", Form::Yaml, corpus::packings, packings) },
    of("pod-lists", Form::Text, corpus::pod_lists, |_, bytes| {
        let _ = (PodList::from_csv(bytes), node_list::nodes_from_csv(bytes));
    }),
    of("settings", Form::Text, corpus::settings, |seed, bytes| {
        let text = String::from_utf8_lossy(bytes);
        let settings: Vec<Override> = text.lines().filter_map(|line| line.parse().ok()).collect();
        let path = seed.folder.join(&seed.name);
        let base = files::read_source(&path.to_string_lossy()).expect("a file of the repository");
        let _ = ScenarioText::read(&base, &settings).1.to_string();
    }),
    of("scheduler-configurations", Form::Yaml, corpus::scheduler_configurations, |_, bytes| {
        let mut problems = Diagnostics::default();
        scheduler_of(&source(bytes), &mut problems);
        let _ = problems.to_string();
    }),
    of("kustomizations", Form::Yaml, corpus::kustomizations, kustomizations),
    Target {
        in_tests: 40,
        ..of("command-lines", Form::Text, corpus::command_lines, command_lines)
    },
    of("formulas", Form::Text, corpus::formulas, |_, bytes| {
        let variables = ["queue".into(), "lag".into()];
        let formula = cluster::formula::Formula::parse(&String::from_utf8_lossy(bytes), &variables);
        let _ = formula.and_then(|formula| formula.evaluate(&|_| Some(-7.5)));
    }),
    of("quantities-and-durations", Form::Text, corpus::quantities, |_, bytes| {
        let text = String::from_utf8_lossy(bytes);
        let _ = text
            .parse::<units::Quantity>()
            .map(|it| (it.milli_value(), it.value(), it.to_string()));
        let _ = engine::parse_duration(&text).map(engine::format_duration);
    }),
];

const fn of(
    name: &'static str,
    form: Form,
    seeds: fn() -> Vec<Seed>,
    run: fn(&Seed, &[u8]),
) -> Target {
    Target { name, form, seeds, run, in_tests: 100 }
}

const fn recordings(name: &'static str, seeds: fn() -> Vec<Seed>, run: fn(&Seed, &[u8])) -> Target {
    Target { in_tests: 30, ..of(name, Form::Json, seeds, run) }
}

impl Target {
    /// The input with this number, made of one of the seeds.
    pub fn input<'a>(&self, seeds: &'a [Seed], number: u64) -> (&'a Seed, Vec<u8>) {
        let name =
            self.name.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(byte));
        let mut random = Random::new(number ^ name.rotate_left(40));
        let seed = random.of(seeds);
        let mut bytes = seed.bytes.clone();
        match self.form {
            _ if random.one_in(10) => text::mutate(&mut bytes, &mut random),
            Form::Text => text::mutate(&mut bytes, &mut random),
            Form::Json => {
                let mut document = seed.documents()[0].value.clone();
                tree::mutate(&mut document, &mut random);
                bytes = document.to_string().into_bytes();
            }
            Form::Yaml => bytes = changed_yaml(seed, &mut random).into_bytes(),
        }
        (seed, bytes)
    }
}

/// YAML of which one document is changed; JSON is YAML.
fn changed_yaml(seed: &Seed, random: &mut Random) -> String {
    let documents = seed.documents();
    let mut texts: Vec<&str> = documents.iter().map(|one| one.json.as_str()).collect();
    if documents.is_empty() {
        return String::new();
    }
    let place = random.below(documents.len());
    let mut value = documents[place].value.clone();
    tree::mutate(&mut value, random);
    let changed = value.to_string();
    texts[place] = &changed;
    texts.join("\n---\n")
}

fn source(bytes: &[u8]) -> Source {
    Source::new("fuzzed.yaml", String::from_utf8_lossy(bytes))
}

fn replayed(outcome: Result<Vec<conform::CaseOutcome>, RecordingError>) {
    let _ = outcome.map_or_else(
        |error| error.to_string(),
        |cases| conform::ConformReport::new(cases).to_string(),
    );
}

fn manifests(_: &Seed, bytes: &[u8]) {
    let mut problems = Diagnostics::default();
    let manifests = manifest::read_manifests(&[source(bytes)], &mut problems);
    problems.append(manifest::admit(manifests).diagnostics);
    problems.deduplicate();
    problems.sort();
    let _ = problems.to_string();
}

/// The scenario of a seed with this text in place of its own, if it names the same files.
fn resolved(seed: &Seed, bytes: &[u8]) -> Option<ResolvedScenario> {
    let base = corpus::resolved(seed);
    let (text, problems) = ScenarioText::read(&source(bytes), &[]);
    let _ = problems.to_string();
    let text = text.filter(|_| !problems.has_errors())?;
    let paths = text.paths();
    let has_traces =
        paths.traces.iter().all(|named| base.files.traces.contains_key(&named.file.path));
    let base_paths = base.text.paths();
    let is_same = paths.applies.len() == base_paths.applies.len()
        && paths.histograms == base_paths.histograms
        && paths.scheduler_config.is_some() == base_paths.scheduler_config.is_some();
    let resolved =
        ResolvedScenario { text, files: Arc::clone(&base.files), manifest_settings: Vec::new() };
    (has_traces && is_same).then_some(resolved)
}

fn runs(seed: &Seed, bytes: &[u8]) {
    if let Some(resolved) = resolved(seed, bytes) {
        run(&resolved);
    }
}

fn runs_of_manifests(seed: &Seed, bytes: &[u8]) {
    let mut resolved = corpus::resolved(seed).clone();
    let mut files = (*resolved.files).clone();
    files.manifests = vec![source(bytes)];
    resolved.files = Arc::new(files);
    run(&resolved);
}

/// Runs a scenario for a while.
fn run(resolved: &ResolvedScenario) {
    // What takes long because there is much of it hides what takes long for no reason.
    let small = |estimate: &Estimate| estimate.requests < 1e6 && estimate.pods < 2_000;
    if !Blueprint::new(resolved).is_ok_and(|blueprint| small(&blueprint.estimate())) {
        return;
    }
    let Ok(mut run) = Run::new(resolved, 1) else { return };
    for _ in 0..STEPS {
        if !run.step() || run.simulation().requests() > REQUESTS {
            break;
        }
    }
}

fn logs(_: &Seed, bytes: &[u8]) {
    let _ = Format::detect(bytes);
    for format in Format::all() {
        let _ = traffic::import::import(
            bytes,
            &traffic::import::ImportOptions {
                max_broken: 1.0,
                ..traffic::import::ImportOptions::strict(format)
            },
            &mut traffic::import::Compact::new(Vec::new(), "fuzzed", None),
        );
    }
    let _ = TraceFile::read("fuzzed", bytes, 1.0, None);
}

fn packings(seed: &Seed, bytes: &[u8]) {
    let Ok(text) = PackingText::parse(&source(bytes)) else { return };
    let packing = &text.packing;
    let mut nodes = Vec::new();
    for pool in &packing.cluster.node_pools {
        let Ok(resolved) = pool.resolve() else { return };
        let count = pool.count.at_start();
        // More of the same only take time.
        nodes.extend((1..=count.min(50)).map(|number| resolved.node(number)));
    }
    let mut pods = PodList::default();
    for source in &packing.pods {
        let mut problems = Diagnostics::default();
        let base = Source::new("pods.yaml", String::from_utf8_lossy(&corpus::pods_beside(seed)));
        let loaded = manifest::admit(manifest::read_manifests(&[base], &mut problems));
        let actions = loaded.objects.into_iter().map(manifest::Object::into_action);
        pods.add_manifests(actions.collect(), source.count.min(50));
    }
    let plan = Plan {
        nodes,
        prices: BTreeMap::new(),
        pods,
        seed: packing.seed,
        ties_by_name: false,
        typical_of: packing.typical_pods.of,
        typical_percent: packing.typical_pods.percent,
    };
    for spec in &packing.policies {
        let given = spec.policy.clone().unwrap_or_default();
        if let Some(configuration) = policy::named(&given) {
            let _ = plan.with_daemon_pods().run(&Policy { name: given, configuration });
        }
    }
}

/// Kustomizations of an overlay, of its base, and of a component; each document takes the place of one of them.
fn kustomizations(_: &Seed, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let files = corpus::Kustomized::new(&text);
    let _ = manifest::kustomize::included_folders("prod", &files);
    match manifest::kustomize::render("prod", &files) {
        Ok(objects) => objects.iter().for_each(|object| drop(manifest::yaml::to_yaml(object))),
        Err(problem) => drop(problem.to_string()),
    }
}

/// A command line, one argument a line. Of what is no mistake, only what writes no file is carried out.
fn command_lines(_: &Seed, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let arguments: Vec<&str> = std::iter::once("wavetank").chain(text.lines()).collect();
    let command = arguments.get(1).copied().unwrap_or_default();
    // With other settings a scenario may take long.
    let has_settings = arguments.iter().any(|one| one.starts_with("--se"));
    if corpus::READERS.contains(&command) && !has_settings {
        let _ = cli::attempt(arguments, &mut std::io::sink());
    } else {
        let _ = cli::reads(arguments);
    }
}

/// A recorded run with other parameters; short, since each takes seconds.
fn end_to_end(seed: &Seed, bytes: &[u8]) {
    let mut files = corpus::files_beside(seed);
    for (name, content) in &mut files {
        if name == "params.yaml" {
            *content = bytes.to_vec();
        }
    }
    let checked = conform::end_to_end::CaseFiles::new(files);
    let _ = checked.and_then(|files| conform::end_to_end::check(&files)).map(|it| it.to_string());
}

/// A measured table with other rows, and no other table.
fn real_cluster(seed: &Seed, bytes: &[u8]) {
    let mut files = corpus::files_beside(seed);
    for (name, content) in &mut files {
        if *name == seed.name {
            *content = bytes.to_vec();
        }
    }
    let recording = conform::real_cluster::Recording::new(files);
    let _ = recording.and_then(|recording| conform::real_cluster::check(&recording));
}
