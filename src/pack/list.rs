//! The pods to be placed, in their order: from a trace of pods, or from manifests and counts.

use std::collections::BTreeMap;
use std::fmt;

use csv::StringRecord;

use cluster::action::{Action, PodName, PodSource};
use cluster::daemon_set::{for_node, with_daemon_tolerations};
use cluster::job::JobSpec;
use cluster::node::Node;
use cluster::pod_template::{Container, PodSpec, PodTemplate, ResourceList};
use cluster::replica_set::ReplicaSetSpec;
use cluster::selector::Selector;
use cluster::stateful_set::StatefulSetSpec;
use cluster::{AnySpec, Kind, Labels, Name, ObjectMeta, ObjectReference};
use controllers::daemon_set::placement::placement;
use engine::SimDuration;
use scheduler::gpu::GpuRequest;
use scheduler::pod_class::PodClass;
use scheduler::profile::DEFAULT_SCHEDULER;
use scheduler::topology::Topology;
use units::Quantity;

/// Pods to be placed, with the objects that they need.
#[derive(Clone, Debug, Default)]
pub struct PodList {
    /// Templates of the pods.
    pub kinds: Vec<PodKind>,
    /// The pods, in the order in which they come.
    pub pods: Vec<ListedPod>,
    /// DaemonSets, of which each node that does gets a pod.
    pub daemon_sets: Vec<DaemonPods>,
    /// Objects that are created before them: namespaces, priority classes, Services, ReplicaSets, StatefulSets.
    pub objects: Vec<Action>,
}

/// The pods of a DaemonSet, before the nodes are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonPods {
    /// Name of the DaemonSet.
    pub name: Name,
    /// Position of their kind, whose template names no node yet.
    pub kind: usize,
    /// Number of pods of the list that come before them.
    pub behind: usize,
    /// Number of times that each node's pod comes.
    pub copies: usize,
}

/// Pods that are made from one template.
#[derive(Clone, Debug)]
pub struct PodKind {
    /// Where they go.
    pub namespace: Name,
    /// Template of the pods.
    pub template: PodTemplate,
    /// The ReplicaSet or StatefulSet that owns them, if there is one.
    pub owner: Option<ObjectReference>,
}

/// A pod to be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPod {
    /// Its name, or the prefix of its number.
    pub name: Name,
    /// Position of its kind.
    pub kind: usize,
    /// Whether the API server adds five characters to the name.
    pub is_prefix: bool,
}

/// A mistake in a trace of pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListError {
    /// The line, if it is one.
    pub line: Option<u64>,
    /// The mistake, and the right form.
    pub problem: String,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

impl PodKind {
    /// The properties of the pods that the scheduler's scores depend on.
    pub fn class(&self) -> PodClass {
        let mut topology = Topology::default();
        let mut register = |key: &Name| topology.register(key).0;
        let labels = self.template.labels.clone();
        PodClass::new(self.namespace.clone(), labels, &self.template, &mut register)
    }
}

impl PodList {
    /// The pods of a CSV text, one per row, in its order. Required columns: `cpu_milli` and `memory_mib`; optional ones:
    /// `name`, `num_gpu`, `gpu_milli` (of each GPU) and `gpu_spec` (models joined by `|`). Others are ignored.
    pub fn from_csv(bytes: &[u8]) -> Result<Self, ListError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
        let columns = Columns::of(reader.headers().map_err(|error| csv_error(&error))?)?;
        let mut list = Self::default();
        let mut known: BTreeMap<(i64, i64, Option<GpuRequest>), usize> = BTreeMap::new();
        for record in reader.records() {
            let record = record.map_err(|error| csv_error(&error))?;
            let row = Row { record: &record };
            let (cpu, memory) = (row.number(columns.cpu)?, row.number(columns.memory)?);
            let gpu = columns.gpu(&row)?;
            let kind = *known.entry((cpu, memory, gpu.clone())).or_insert_with(|| {
                list.kinds.push(trace_kind(cpu, memory, gpu.as_ref()));
                list.kinds.len() - 1
            });
            let name = columns.name.and_then(|at| record.get(at)).filter(|name| !name.is_empty());
            let number = list.pods.len();
            let name = name.map_or_else(|| format!("pod-{number}").into(), Name::from);
            list.pods.push(ListedPod { name, kind, is_prefix: false });
        }
        Ok(list)
    }

    /// Adds the pods of another list behind its own.
    pub fn append(&mut self, other: Self) {
        let before = self.kinds.len();
        self.kinds.extend(other.kinds);
        let moved = |pod: ListedPod| ListedPod { kind: pod.kind + before, ..pod };
        let behind = self.pods.len();
        self.pods.extend(other.pods.into_iter().map(moved));
        let moved = |set: DaemonPods| DaemonPods {
            kind: set.kind + before,
            behind: set.behind + behind,
            ..set
        };
        self.daemon_sets.extend(other.daemon_sets.into_iter().map(moved));
        self.objects.extend(other.objects);
    }

    /// The list with the pods of its DaemonSets, one for each of these nodes that should run it.
    #[must_use]
    pub(crate) fn for_nodes(&self, nodes: &[Node]) -> Self {
        let mut list = Self { daemon_sets: Vec::new(), pods: Vec::new(), ..self.clone() };
        let mut done = 0;
        for set in &self.daemon_sets {
            list.pods.extend_from_slice(&self.pods[done..set.behind]);
            done = set.behind;
            let kind = &self.kinds[set.kind];
            let of_set = nodes.iter().filter(|node| placement(&kind.template, node).should_run);
            for node in of_set {
                let template = for_node(&kind.template, node.meta.name());
                let kind = PodKind { template, ..kind.clone() };
                list.add(kind, &set.name, set.copies, true);
            }
        }
        list.pods.extend_from_slice(&self.pods[done..]);
        list
    }

    /// Adds the pods of manifests, each `count` times: one for a Pod, the replicas of Deployments, ReplicaSets and
    /// StatefulSets, the parallel pods of Jobs, those of one Job for CronJobs and ScaledJobs, and one per eligible node for DaemonSets.
    /// `actions` are the result of applying the manifests.
    pub fn add_manifests(&mut self, actions: Vec<Action>, count: usize) {
        for action in actions {
            match action {
                Action::CreatePod(draft) => {
                    let (PodName::Exact(name) | PodName::Generate(name)) = draft.name;
                    // Manifests bring their templates along.
                    if let PodSource::New(template) = draft.template {
                        let (namespace, template) = (draft.namespace, *template);
                        self.add(PodKind { namespace, template, owner: None }, &name, count, false);
                    }
                }
                Action::Create(meta, spec) | Action::Apply(meta, spec) => {
                    self.add_object(*meta, spec, count);
                }
                other => self.objects.push(other),
            }
        }
    }

    fn add_object(&mut self, meta: ObjectMeta, spec: AnySpec, count: usize) {
        match spec {
            AnySpec::Pod(template) => {
                let namespace = meta.namespace().clone();
                let kind = PodKind { namespace, template: *template, owner: None };
                self.add(kind, meta.name(), count, false);
            }
            AnySpec::Deployment(spec) => {
                let spec = set_of(spec.replicas, spec.selector, spec.template);
                self.add_replica_set(meta, spec, count);
            }
            AnySpec::Rollout(spec) => {
                let spec = set_of(spec.replicas, spec.selector, spec.template);
                self.add_replica_set(meta, spec, count);
            }
            AnySpec::ReplicaSet(spec) => self.add_replica_set(meta, *spec, count),
            AnySpec::StatefulSet(spec) => self.add_stateful_set(meta, *spec, count),
            AnySpec::DaemonSet(spec) => {
                let namespace = meta.namespace().clone();
                let template = with_daemon_tolerations(spec.template);
                let (kind, behind) = (self.kinds.len(), self.pods.len());
                self.kinds.push(PodKind { namespace, template, owner: None });
                let name = meta.name().clone();
                self.daemon_sets.push(DaemonPods { name, kind, behind, copies: count });
            }
            AnySpec::Job(draft) => self.add_job(&meta, draft.spec, count),
            AnySpec::CronJob(spec) => self.add_job(&meta, spec.job_template.spec, count),
            AnySpec::ScaledJob(spec) => self.add_job(&meta, spec.job_template.spec, count),
            other => self.objects.push(Action::create(meta, other)),
        }
    }

    /// The pods of a StatefulSet have its name and their ordinals.
    fn add_stateful_set(&mut self, meta: ObjectMeta, spec: StatefulSetSpec, count: usize) {
        let position = self.kinds.len();
        self.kinds.push(PodKind {
            namespace: meta.namespace().clone(),
            template: spec.template.clone(),
            owner: Some(ObjectReference { kind: Kind::StatefulSet, id: meta.id.clone() }),
        });
        let pod = |ordinal: i32| ListedPod {
            name: format!("{}-{}", meta.name(), spec.start_ordinal.saturating_add(ordinal)).into(),
            kind: position,
            is_prefix: false,
        };
        for _ in 0..count {
            self.pods.extend((0..spec.replicas).map(pod));
        }
        self.objects.push(Action::create(meta, spec));
    }

    /// The pods of a Job that run at once; none of one that is suspended.
    fn add_job(&mut self, meta: &ObjectMeta, spec: JobSpec, count: usize) {
        let at_once = spec.completions.map_or(spec.parallelism, |one| one.min(spec.parallelism));
        let pods = if spec.suspend { 0 } else { usize::try_from(at_once).unwrap_or(0) };
        let namespace = meta.namespace().clone();
        let kind = PodKind { namespace, template: spec.template, owner: None };
        self.add(kind, meta.name(), pods.saturating_mul(count), true);
    }

    fn add_replica_set(&mut self, meta: ObjectMeta, spec: ReplicaSetSpec, count: usize) {
        let kind = PodKind {
            namespace: meta.namespace().clone(),
            template: spec.template.clone(),
            owner: Some(ObjectReference { kind: Kind::ReplicaSet, id: meta.id.clone() }),
        };
        let replicas = usize::try_from(spec.replicas).unwrap_or(0);
        let name = meta.name().clone();
        self.objects.push(Action::create(meta, spec));
        self.add(kind, &name, replicas.saturating_mul(count), true);
    }

    fn add(&mut self, kind: PodKind, name: &Name, pods: usize, is_prefix: bool) {
        let position = self.kinds.len();
        self.kinds.push(kind);
        let pod = ListedPod { name: name.clone(), kind: position, is_prefix };
        self.pods.extend(std::iter::repeat_n(pod, pods));
    }
}

/// Where the columns are.
struct Columns {
    name: Option<usize>,
    cpu: usize,
    memory: usize,
    gpus: Option<usize>,
    gpu_milli: Option<usize>,
    models: Option<usize>,
}

impl Columns {
    fn of(header: &StringRecord) -> Result<Self, ListError> {
        let find = |name: &str| header.iter().position(|column| column == name);
        let need = |name: &str| {
            find(name).ok_or_else(|| {
                let problem = format!("no column {name}; required are cpu_milli and memory_mib");
                ListError { line: Some(1), problem }
            })
        };
        Ok(Self {
            name: find("name"),
            cpu: need("cpu_milli")?,
            memory: need("memory_mib")?,
            gpus: find("num_gpu"),
            gpu_milli: find("gpu_milli"),
            models: find("gpu_spec"),
        })
    }

    fn gpu(&self, row: &Row<'_>) -> Result<Option<GpuRequest>, ListError> {
        let (count, milli_each) = (number_in(row, self.gpus)?, number_in(row, self.gpu_milli)?);
        if count == 0 || milli_each == 0 {
            return Ok(None);
        }
        if milli_each > 1000 || (count > 1 && milli_each != 1000) {
            let problem = format!(
                "gpu_milli {milli_each} of each of {count} GPUs: write 1 to 1000 of one GPU, or 1000 of each of several"
            );
            return Err(ListError { line: row.line(), problem });
        }
        let models = self.models.and_then(|at| row.record.get(at)).unwrap_or_default().into();
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        Ok(Some(GpuRequest { count, milli_each, models }))
    }
}

/// A row of a CSV text.
pub(super) struct Row<'a> {
    pub(super) record: &'a StringRecord,
}

impl Row<'_> {
    /// The whole number in a column; an empty field counts as 0.
    pub(super) fn number(&self, at: usize) -> Result<i64, ListError> {
        let text = self.record.get(at).unwrap_or_default();
        let number = if text.is_empty() { Some(0) } else { text.parse::<i64>().ok() };
        number.filter(|number| *number >= 0).ok_or_else(|| {
            let problem = format!("{text:?} is not a whole number of at least 0");
            ListError { line: self.line(), problem }
        })
    }

    fn line(&self) -> Option<u64> {
        self.record.position().map(csv::Position::line)
    }
}

/// The number in a column that may not be there, which counts as 0.
pub(super) fn number_in(row: &Row<'_>, column: Option<usize>) -> Result<i64, ListError> {
    column.map_or(Ok(0), |at| row.number(at))
}

pub(super) fn csv_error(error: &csv::Error) -> ListError {
    ListError { line: error.position().map(csv::Position::line), problem: error.to_string() }
}

fn trace_kind(milli_cpu: i64, memory_mib: i64, gpu: Option<&GpuRequest>) -> PodKind {
    let memory = Quantity::from_bytes(memory_mib.saturating_mul(1024 * 1024));
    let requests: ResourceList =
        [("cpu", Quantity::from_milli(milli_cpu)), ("memory", memory)].into_iter().collect();
    let container = Container { name: "main".into(), requests, ..Container::default() };
    let spec = PodSpec {
        containers: vec![container],
        scheduler_name: DEFAULT_SCHEDULER.into(),
        ..PodSpec::default()
    };
    let annotations = gpu.map_or_else(Labels::default, GpuRequest::annotations);
    let template = PodTemplate { annotations, spec, ..PodTemplate::default() };
    PodKind { namespace: "default".into(), template, owner: None }
}

/// The ReplicaSet of a workload that has one.
fn set_of(replicas: i32, selector: Selector, template: PodTemplate) -> ReplicaSetSpec {
    ReplicaSetSpec {
        owner: None,
        replicas,
        selector,
        template,
        min_ready: SimDuration::ZERO,
        revision: 0,
        desired_replicas: None,
        max_replicas: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_alike_are_one_kind() {
        let text = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos\n\
                    a,1000,2048,1,460,T4|P100,LS\nb,1000,2048,0,0,,BE\nc,1000,2048,1,460,T4|P100,BE\n";
        let list = PodList::from_csv(text.as_bytes()).expect("well-formed");
        let kinds: Vec<usize> = list.pods.iter().map(|pod| pod.kind).collect();
        assert_eq!(kinds, [0, 1, 0]);
        let class = list.kinds[0].class();
        assert_eq!((class.requests.milli_cpu, class.requests.memory), (1000, 2048 << 20));
        assert_eq!(class.gpu.map(|gpu| gpu.milli_each), Some(460));
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        for (text, says) in [
            ("name,cpu\n", "line 1: no column cpu_milli"),
            ("cpu_milli,memory_mib\n1,x\n", "line 2: \"x\" is not a whole number"),
            (
                "cpu_milli,memory_mib,num_gpu,gpu_milli\n1,1,2,500\n",
                "line 2: gpu_milli 500 of each of 2",
            ),
        ] {
            let error = PodList::from_csv(text.as_bytes()).expect_err(text).to_string();
            assert!(error.starts_with(says), "{error}");
        }
    }
}
