//! What is changed: recordings, scenarios, manifests and traces of the repository, and a few texts.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

use flate2::read::MultiGzDecoder;
use serde_json::Value;
use wavetank::files::Loader;
use wavetank::manifest::{self, Diagnostics, Source};
use wavetank::scenario::resolved::ResolvedScenario;

/// Longer ones take the time of many short ones.
const LONGEST_LINE: usize = 20_000;
/// Cases of each file.
const LINES_OF_FILE: usize = 40;

/// A sound input.
#[derive(Clone, Debug)]
pub struct Seed {
    /// Name of its file in the folder.
    pub name: String,
    pub folder: PathBuf,
    pub bytes: Vec<u8>,
    documents: OnceLock<Vec<Document>>,
}

/// A document of a seed.
#[derive(Clone, Debug)]
pub struct Document {
    pub value: Value,
    /// The value as JSON.
    pub json: String,
}

impl Seed {
    fn new(name: &str, folder: &Path, bytes: Vec<u8>) -> Self {
        let documents = OnceLock::new();
        Self { name: name.to_owned(), folder: folder.to_owned(), bytes, documents }
    }

    /// The same file with other bytes.
    fn with(&self, bytes: Vec<u8>) -> Self {
        Self::new(&self.name, &self.folder, bytes)
    }

    /// Its JSON or YAML documents, read once: most inputs take less time than this.
    pub fn documents(&self) -> &[Document] {
        self.documents.get_or_init(|| {
            let values = serde_json::from_slice(&self.bytes).map_or_else(
                |_| {
                    let source = Source::new("seed.yaml", String::from_utf8_lossy(&self.bytes));
                    let documents = manifest::read_documents(&source, &mut Diagnostics::default());
                    documents.into_iter().map(|document| document.value).collect()
                },
                |value: Value| vec![value],
            );
            let document = |value: Value| Document { json: value.to_string(), value };
            values.into_iter().map(document).collect()
        })
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files that match a pattern below the repository, in order.
fn matching(pattern: &str) -> Vec<Seed> {
    let pattern = root().join(pattern);
    let paths = glob::glob(&pattern.to_string_lossy()).expect("a pattern");
    paths.map(|path| read(&path.expect("a readable folder"))).collect()
}

fn read(path: &Path) -> Seed {
    let packed = fs::read(path).expect("a file of the repository");
    let mut bytes = Vec::new();
    if path.extension().is_some_and(|ending| ending == "gz") {
        MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).expect("gzip");
    } else {
        bytes = packed;
    }
    let name = path.file_name().expect("a file").to_string_lossy();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    Seed::new(name, path.parent().expect("a folder"), bytes)
}

/// The shortest cases of each golden recording, and some of those between.
pub fn lines(folder: &str) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for file in matching(&format!("tests/golden/{folder}/*.jsonl*")) {
        let mut lines: Vec<&[u8]> = file.bytes.split(|byte| *byte == b'\n').collect();
        lines.retain(|line| line.len() > 2 && line.len() < LONGEST_LINE);
        lines.sort_by_key(|line| line.len());
        let step = (lines.len() / LINES_OF_FILE).max(1);
        seeds.extend(lines.iter().step_by(step).map(|line| file.with(line.to_vec())));
    }
    seeds
}

pub fn manifests() -> Vec<Seed> {
    let mut seeds = matching("scenarios/*/manifests/*.yaml");
    seeds.extend(matching("tests/golden/kubectl/manifests/*.yaml"));
    seeds.retain(|seed| seed.bytes.len() < LONGEST_LINE);
    seeds
}

pub fn scenarios() -> Vec<Seed> {
    let mut seeds = matching("scenarios/*/*.yaml");
    seeds.retain(|seed| String::from_utf8_lossy(&seed.bytes).contains("\nkind: Scenario\n"));
    seeds
}

/// The manifests of each scenario, in one text.
pub fn scenario_manifests() -> Vec<Seed> {
    let with_manifests = |seed: Seed| {
        let texts: Vec<String> =
            resolved(&seed).files.manifests.iter().map(|source| source.text.clone()).collect();
        seed.with(texts.join("\n---\n").into_bytes())
    };
    scenarios().into_iter().map(with_manifests).collect()
}

/// The scenario of a seed, with its files.
pub fn resolved(seed: &Seed) -> &'static ResolvedScenario {
    static READ: LazyLock<Mutex<BTreeMap<PathBuf, &'static ResolvedScenario>>> =
        LazyLock::new(Mutex::default);
    let path = seed.folder.join(&seed.name);
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    read.entry(path.clone()).or_insert_with(|| {
        let loaded = Loader::default().load(&path.to_string_lossy(), &[]);
        Box::leak(Box::new(loaded.expect("a scenario of the repository")))
    })
}

pub fn end_to_end() -> Vec<Seed> {
    matching("tests/golden/end-to-end/*/params.yaml")
}

/// Measured tables that are replayed in little time.
pub fn real_cluster() -> Vec<Seed> {
    let mut seeds = matching("tests/golden/real-cluster/*.csv");
    seeds.retain(|seed| seed.bytes.len() < LONGEST_LINE);
    seeds
}

/// The files of a seed's recording that it cannot do without.
pub fn files_beside(seed: &Seed) -> Vec<(String, Vec<u8>)> {
    type Files = Vec<(String, Vec<u8>)>;
    static READ: Mutex<BTreeMap<PathBuf, Files>> = Mutex::new(BTreeMap::new());
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    read.entry(seed.folder.join(&seed.name)).or_insert_with(|| read_beside(seed)).clone()
}

fn read_beside(seed: &Seed) -> Vec<(String, Vec<u8>)> {
    let group = |name: &str| name.split(['-', '.']).next().unwrap_or_default().to_owned();
    let pattern = seed.folder.strip_prefix(root()).expect("of the repository").to_string_lossy();
    let files = matching(&format!("{pattern}/**/*.*"));
    let is_needed = |file: &Seed| {
        seed.name == "params.yaml"
            || file.name == "cases.json"
            || group(&file.name) == group(&seed.name)
    };
    let path = |file: &Seed| {
        let folder = file.folder.strip_prefix(&seed.folder).expect("below it");
        folder.join(&file.name).to_string_lossy().into_owned()
    };
    files
        .iter()
        .filter(|file| is_needed(file))
        .map(|file| (path(file), file.bytes.clone()))
        .collect()
}

pub fn packings() -> Vec<Seed> {
    let mut seeds = matching("scenarios/*/pack.yaml");
    seeds.push(text(
        "packing",
        "
apiVersion: wavetank/v1
kind: Packing
name: few
seed: 7
cluster: {nodePools: [{name: a, instanceType: m6i.large, count: 4}]}
pods: [{manifests: pods.yaml, count: 3}]
typicalPods: {of: 10, percent: 80}
policies: [{policy: default}, {policy: fgd}, {name: x, policy: best-fit}]
grow: a
",
    ));
    seeds
}

/// What the pods of a packing are in place of its files.
pub fn pods_beside(_: &Seed) -> Vec<u8> {
    fs::read(root().join("scenarios/shop/manifests/web.yaml")).unwrap_or_else(|_| {
        b"{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: b}]}}".to_vec()
    })
}

pub fn pod_lists() -> Vec<Seed> {
    let heads = |seed: Seed| {
        let lines: Vec<&[u8]> = seed.bytes.split(|byte| *byte == b'\n').take(40).collect();
        seed.with(lines.join(&b'\n'))
    };
    let mut seeds = matching("scenarios/openb-gpu-sharing/data/*");
    seeds.retain(|seed| seed.name.contains(".csv"));
    seeds.into_iter().map(heads).collect()
}

pub fn scheduler_configurations() -> Vec<Seed> {
    matching("scenarios/*/scheduler-config.yaml")
}

fn text(name: &str, text: &str) -> Seed {
    Seed::new(name, root(), text.as_bytes().to_vec())
}

pub fn traces() -> Vec<Seed> {
    let mut seeds = logs();
    seeds.extend(matching("scenarios/*/data/*.csv"));
    for seed in &mut seeds {
        seed.bytes.truncate(3_000);
    }
    seeds
}

/// A few lines in each form of recorded traffic.
pub fn logs() -> Vec<Seed> {
    [
        "timestamp\n0\n0.5\n2\n2.25\n",
        "seconds,requests\n0,10\n60,25.5\n120,0\n",
        "seconds,rps\n0,1.5\n3600,2\n",
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04,3180,8\n",
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,ChatGPT,472,18,490,Conversation log\n45,GPT-4,10,20,30,API log\n",
        "HashOwner,HashApp,HashFunction,Trigger,1,2,3\na,b,c,http,0,5,12\nd,e,f,timer,1,1,1\n",
        "127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] \"GET /a HTTP/1.0\" 200 2326\n127.0.0.1 - - [10/Oct/2000:13:55:37 -0700] \"GET /b HTTP/1.0\" 200 26 \"-\" \"curl\" 0.125\n",
        "{\"time\":\"2024-05-01T10:00:00Z\",\"method\":\"GET\",\"path\":\"/\",\"status\":200,\"duration\":0.2}\n{\"time\":\"2024-05-01T10:00:01Z\",\"path\":\"/x\"}\n",
        "{\"timestamp\": 0, \"input_length\": 6758, \"output_length\": 500, \"hash_ids\": [0, 1, 2, 3]}\n{\"timestamp\": 1500, \"input_length\": 7, \"output_length\": 5, \"hash_ids\": [0, 9]}\n",
        "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{},\"values\":[[1700000000,\"12.5\"],[1700000060,\"13\"]]}]}}\n",
        "metric_name,timestamp,metric_value,check,error\nhttp_reqs,1700000000,1.000000,,\nhttp_req_duration,1700000000,12.5,,\nhttp_reqs,1700000001,1.000000,,\n",
        "{\"type\":\"Point\",\"metric\":\"http_reqs\",\"data\":{\"time\":\"2024-05-01T10:00:00Z\",\"value\":1,\"tags\":{}}}\n",
        "1700000000000000000,200,1500000,0,12,,,,0,\n1700000001000000000,200,2500000,0,12,,,,1,\n",
        "{\"attack\":\"\",\"seq\":0,\"code\":200,\"timestamp\":\"2024-05-01T10:00:00Z\",\"latency\":1500000}\n",
        "rate_rps,p50_ms,p99_ms,cpu\n10,12,30,0.2\n20,14,45,0.4\n40,30,200,0.9\n",
    ]
    .into_iter()
    .map(|lines| text("log", lines))
    .collect()
}

/// Settings, for a scenario of the repository.
pub fn settings() -> Vec<Seed> {
    let first = scenarios().into_iter().next().expect("a scenario");
    [
        "seed=7\nduration=1h\nname=x",
        "traffic[0].load.rps=20\ntraffic[0].clients=3",
        "cluster.nodePools[0].count=9\ncluster.nodePools[0].cpu=4",
        "manifests[Deployment/web].spec.replicas=5",
        "manifests[HorizontalPodAutoscaler/web].spec.behavior.scaleDown={stabilizationWindowSeconds: 0}",
        "workloads[0].requests.cpu={\"median\":\"20ms\",\"p99\":\"90ms\"}",
        "timeline=[{at: 10s, killPod: web}]\nobjectives[0].latency=[1,2]",
        "[a][b.c].d[0]=~",
    ]
    .into_iter()
    .map(|lines| first.with(lines.as_bytes().to_vec()))
    .collect()
}

pub fn formulas() -> Vec<Seed> {
    let formulas = [
        "queue + lag / 2",
        "max([queue, lag]) * 3",
        "queue > 10 ? queue : (lag ?? 0) - 1",
        "float(queue) ** 2 % 7",
        "count([queue, lag], {# > 1}) + sum([1, 2.5, queue])",
        "not (queue == 1 or lag != 2) and true ? 1 : 0",
        "min(queue, lag, 5) + abs(-3) + ceil(1.2) + floor(1.9) + round(2.5)",
    ];
    formulas.into_iter().map(|formula| text("formula", formula)).collect()
}

pub fn quantities() -> Vec<Seed> {
    let texts = ["100m", "1.5Gi", "1e3", "-2", "1h30m", "250ms", "1.5s", "0.001", "9223372036s"];
    texts.into_iter().map(|one| text("quantity", one)).collect()
}

/// A kustomization of an overlay, of its base, and of a component, and the manifests of the base: each with a use of
/// something else.
pub fn kustomizations() -> Vec<Seed> {
    let overlays = [
        "resources: [../base]\nnamespace: shop\nnamePrefix: p-\nnameSuffix: -x\ncommonLabels: {env: prod}\n\
         commonAnnotations: {team: a}\nreplicas: [{name: web, count: 5}]\nimages: [{name: nginx, newTag: '2.0'}]\n",
        "resources: [../base]\ncomponents: [../part]\nlabels: [{pairs: {a: b}, includeSelectors: true, includeTemplates: true}]\n\
         patchesStrategicMerge: [{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 3}}]\n",
        "resources: [../base]\nbuildMetadata: [originAnnotations]\nsortOptions: {order: legacy}\npatches:\n\
         - {target: {kind: Deployment, name: w.*, labelSelector: 'a!=b'}, patch: '[{\"op\": \"replace\", \"path\": \"/spec/replicas\", \"value\": 4}]'}\n\
         - {path: patch.yaml}\n",
        "resources: [../base]\nconfigMapGenerator:\n- {name: settings, behavior: merge, literals: [c=d]}\n\
         - {name: other, envs: [some.env], files: [key=data.txt], options: {disableNameSuffixHash: true, labels: {a: b}}}\n\
         secretGenerator: [{name: keys, literals: ['a=b'], type: Opaque}]\ngeneratorOptions: {annotations: {x: 'y'}}\n",
        "resources: [../base]\nreplacements:\n- source: {kind: Service, name: web, fieldPath: metadata.name}\n  \
         targets: [{select: {kind: Deployment}, fieldPaths: [spec.template.spec.containers.[name=web].image], options: {delimiter: ':', index: 0}}]\n\
         images: [{name: nginx, newName: example.com/nginx, digest: 'sha256:00'}]\n",
        "bases: [../base]\npatchesJson6902: [{target: {version: v1, kind: Service, name: web}, path: json.yaml}]\nvars:\n\
         - {name: A, objref: {kind: Service, name: web, apiVersion: v1}}\nconfigurations: [rules.yaml]\ncrds: [crd.json]\n",
    ];
    let base = "resources: [web.yaml]\nconfigMapGenerator: [{name: settings, literals: [a=b, 'c=\"d\"']}]\n";
    let part = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n\
        patches: [{target: {kind: Service}, patch: '[{op: add, path: /metadata/labels, value: {a: b}}]'}]\n";
    let web = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n  \
        template:\n    metadata: {labels: {app: web}}\n    spec:\n      containers:\n      - {name: web, image: 'nginx:1.0', \
        env: [{name: A, value: '1'}], envFrom: [{configMapRef: {name: settings}}]}\n";
    let service = "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}\n";
    let all = |overlay| [overlay, base, part, web, service].join("\n---\n");
    overlays.into_iter().map(|overlay| text("kustomization", &all(overlay))).collect()
}

/// The files of an overlay, of its base and of a component.
pub struct Kustomized(BTreeMap<&'static str, Vec<u8>>);

impl Kustomized {
    /// From the documents of a text: the three kustomizations, and the manifests of the base.
    pub fn new(text: &str) -> Self {
        let mut documents = text.splitn(4, "\n---\n");
        let mut next = || documents.next().unwrap_or_default().as_bytes().to_vec();
        let files = [
            ("prod/kustomization.yaml", next()),
            ("base/kustomization.yaml", next()),
            ("part/kustomization.yaml", next()),
            ("base/web.yaml", next()),
            ("prod/patch.yaml", b"{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {template: {spec: {containers: [{name: web, $patch: delete}]}}}}".to_vec()),
            ("prod/json.yaml", b"[{op: test, path: /spec/ports/0/port, value: 80}, {op: move, from: /spec/selector, path: /spec/ports/-}]".to_vec()),
            ("prod/some.env", b"A=1\nB\n# none\n=\n".to_vec()),
            ("prod/data.txt", b"\xff\x00\n".to_vec()),
            ("prod/rules.yaml", b"nameReference: [{kind: Service, version: v1, fieldSpecs: [{path: spec/name, kind: Deployment}]}]\nnamePrefix: [{path: a/b[]}]".to_vec()),
            ("prod/crd.json", b"{}".to_vec()),
        ];
        Self(files.into())
    }
}

impl wavetank::manifest::kustomize::Files for Kustomized {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0.get(path).cloned().ok_or_else(|| "no such file".to_owned())
    }

    fn is_folder(&self, path: &str) -> bool {
        self.0.keys().any(|file| file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    }
}

/// Commands that write no file.
pub const READERS: &[&str] = &[
    "auth",
    "catalog",
    "completions",
    "describe",
    "events",
    "explain",
    "get",
    "rollout",
    "schema",
    "top",
    "validate",
];

/// Command lines, one argument a line.
pub fn command_lines() -> Vec<Seed> {
    let scenario = root().join("scenarios/no-probes/scenario.yaml");
    let scenario = scenario.to_string_lossy();
    [
        "run SCENARIO --set seed=7 --json --charts out --report out.html --color never -q",
        "check SCENARIO --seeds 3 --junit out.xml --set duration=1m",
        "compare SCENARIO SCENARIO --set cluster.nodePools[0].count=2 --seeds 2 --save base.json --gate cost=5%",
        "sweep SCENARIO --vary cluster.nodePools[general].count=1,2 --sample 5 --seeds 2 --report out.html",
        "sweep plan SCENARIO --vary duration=1m,2m --parts 3 --to plan.json",
        "size SCENARIO --budget 50 --seeds 3 --patch out",
        "years SCENARIO --years 3 --rates rates.yaml",
        "import log.csv -o trace.csv --format csv --from 0s --to 10m",
        "init web.yaml -o scenario.yaml --force",
        "pack packing.yaml --json",
        "calibrate points.csv --service web",
        "watch SCENARIO --speed 10",
        "conform hpa cases.jsonl",
        "auth can-i create pods --as system:serviceaccount:default:web -f rbac.yaml",
        "catalog --provider aws --sort price --arch arm64 m5.large",
        "completions bash",
        "schema --markdown",
        "validate SCENARIO --strict",
        "get pods SCENARIO -A --at 2m -o wide -l app=web",
        "get all SCENARIO -n default --at 10s -o yaml",
        "describe deployment web SCENARIO --at 1m",
        "events SCENARIO --at 90s --for deployment/web",
        "explain hpa/web SCENARIO --at 2m",
        "explain pod/default/web SCENARIO",
        "explain cost SCENARIO",
        "rollout status deployment/web SCENARIO --at 2m",
        "rollout history deployment/web SCENARIO --revision 1",
        "top pods SCENARIO --at 2m --sort-by cpu",
        "top nodes SCENARIO --at 2m",
    ]
    .into_iter()
    .map(|line| {
        let lines: Vec<&str> = line.split(' ').collect();
        text("arguments", &lines.join("\n").replace("SCENARIO", &scenario))
    })
    .collect()
}
