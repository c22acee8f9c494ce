//! NodeResourcesFit: filters nodes with room for the pod's requests, and scores their fit.

use std::borrow::Cow;
use std::sync::LazyLock;

use super::super::framework::{
    ClusterEvent, Code, CycleContext, FilterPlugin, NodeFilter, PreFilter, PreScore, Reason,
    Refusal, Scope, ScorePlugin, score_by,
};
use super::super::node_info::NodeInfo;
use super::super::resources::{Resources, is_extended_resource};
use super::resource_allocation::{ResourceAllocation, ResourceWeight, ScoringStrategy, Usage};
use cluster::Name;

// Thousands of nodes may lack the same for one pod.
static CPU: LazyLock<Name> = LazyLock::new(|| "cpu".into());
static MEMORY: LazyLock<Name> = LazyLock::new(|| "memory".into());
static EPHEMERAL_STORAGE: LazyLock<Name> = LazyLock::new(|| "ephemeral-storage".into());

/// The plugin with its arguments.
#[derive(Clone, Debug)]
pub struct NodeResourcesFit {
    /// Extended resources that are not checked.
    pub ignored_resources: Vec<Name>,
    /// Groups (the part before the slash) of extended resources that are not checked.
    pub ignored_resource_groups: Vec<Name>,
    /// Scoring strategy.
    pub strategy: ScoringStrategy,
    /// The scored resources.
    pub resources: Vec<ResourceWeight>,
}

impl Default for NodeResourcesFit {
    fn default() -> Self {
        Self {
            ignored_resources: Vec::new(),
            ignored_resource_groups: Vec::new(),
            strategy: ScoringStrategy::LeastAllocated,
            resources: ResourceWeight::cpu_and_memory(),
        }
    }
}

/// A resource that the node lacks for the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Insufficient {
    /// The node has its maximum number of pods.
    Pods,
    /// A resource by name.
    Resource {
        /// Resource name.
        name: Name,
        /// Whether even an empty node would have too little.
        is_unresolvable: bool,
    },
}

/// All resources of which the node has too little (`fitsRequest`): pods, then CPU, memory, ephemeral storage, then
/// the others by name. Resources for which `is_ignored` is true are not checked.
pub fn insufficient_resources(
    requests: &Resources,
    node: &NodeInfo,
    is_ignored: impl Fn(&str) -> bool,
) -> Vec<Insufficient> {
    let mut short = Vec::new();
    if node.pods.len() + 1 > node.allowed_pods {
        short.push(Insufficient::Pods);
    }
    if requests.is_empty() {
        return short;
    }
    let (allocatable, used) = (&node.allocatable, &node.requested);
    let mut check = |name: &dyn Fn() -> Name, request: i64, allocatable: i64, used: i64| {
        if exceeds(request, allocatable, used) {
            short.push(Insufficient::Resource {
                name: name(),
                is_unresolvable: request > allocatable,
            });
        }
    };
    check(&|| CPU.clone(), requests.milli_cpu, allocatable.milli_cpu, used.milli_cpu);
    check(&|| MEMORY.clone(), requests.memory, allocatable.memory, used.memory);
    check(
        &|| EPHEMERAL_STORAGE.clone(),
        requests.ephemeral_storage,
        allocatable.ephemeral_storage,
        used.ephemeral_storage,
    );
    for (name, request) in &requests.scalars {
        if !is_ignored(name) {
            check(&|| name.clone(), *request, allocatable.scalar(name), used.scalar(name));
        }
    }
    short
}

/// Whether a request is more than is left. A request of 0 fits even where too much is used.
const fn exceeds(request: i64, allocatable: i64, used: i64) -> bool {
    request > 0 && request > allocatable.saturating_sub(used)
}

/// Whether [`insufficient_resources`] names none.
fn fits(requests: &Resources, node: &NodeInfo, is_ignored: impl Fn(&str) -> bool) -> bool {
    let (allocatable, used) = (&node.allocatable, &node.requested);
    node.pods.len() < node.allowed_pods
        && !exceeds(requests.milli_cpu, allocatable.milli_cpu, used.milli_cpu)
        && !exceeds(requests.memory, allocatable.memory, used.memory)
        && !exceeds(
            requests.ephemeral_storage,
            allocatable.ephemeral_storage,
            used.ephemeral_storage,
        )
        && requests.scalars.iter().all(|(name, request)| {
            is_ignored(name) || !exceeds(*request, allocatable.scalar(name), used.scalar(name))
        })
}

impl NodeResourcesFit {
    fn is_ignored(&self, resource: &str) -> bool {
        let is_listed = |list: &[Name], text: &str| list.iter().any(|one| one.as_ref() == text);
        let group = resource.split('/').next().unwrap_or_default();
        is_extended_resource(resource)
            && (is_listed(&self.ignored_resources, resource)
                || is_listed(&self.ignored_resource_groups, group))
    }
}

impl FilterPlugin for NodeResourcesFit {
    fn scope(&self) -> Scope {
        Scope::Node
    }

    fn pre_filter<'c>(&'c self, cycle: &CycleContext<'c>) -> PreFilter<'c> {
        PreFilter::check(Fits { plugin: self, requests: &cycle.pod.class.requests })
    }

    fn queueing_hint(&self, cycle: &CycleContext<'_>, event: &ClusterEvent<'_>) -> bool {
        let requests = &cycle.pod.class.requests;
        let fits_alone = |node: &NodeInfo| {
            let is_ignored = |resource: &str| self.is_ignored(resource);
            insufficient_resources(requests, &node.without_pods(), is_ignored).is_empty()
        };
        match event {
            ClusterEvent::NodeAdded(node) => fits_alone(node),
            ClusterEvent::NodeUpdated { before, after } => {
                fits_alone(after) && has_more_of(requests, before, after)
            }
            ClusterEvent::PodGone(_) | ClusterEvent::NominationGone(_) => true,
            _ => false,
        }
    }
}

/// True if a node has more room for pods, or more of any requested resource, than before.
fn has_more_of(requests: &Resources, before: &NodeInfo, after: &NodeInfo) -> bool {
    let (old, new) = (&before.allocatable, &after.allocatable);
    after.allowed_pods > before.allowed_pods
        || (requests.milli_cpu > 0 && new.milli_cpu > old.milli_cpu)
        || (requests.memory > 0 && new.memory > old.memory)
        || (requests.ephemeral_storage > 0 && new.ephemeral_storage > old.ephemeral_storage)
        || requests
            .scalars
            .iter()
            .any(|(name, request)| *request > 0 && new.scalar(name) > old.scalar(name))
}

#[derive(Clone, Copy)]
struct Fits<'c> {
    plugin: &'c NodeResourcesFit,
    requests: &'c Resources,
}

impl NodeFilter for Fits<'_> {
    fn passes(&self, node: &NodeInfo) -> bool {
        fits(self.requests, node, |resource| self.plugin.is_ignored(resource))
    }

    fn filter(&self, node: &NodeInfo) -> Result<(), Refusal> {
        let is_ignored = |resource: &str| self.plugin.is_ignored(resource);
        let short = insufficient_resources(self.requests, node, is_ignored);
        if short.is_empty() {
            return Ok(());
        }
        let mut code = Code::Unschedulable;
        let mut reasons = Vec::with_capacity(short.len());
        for resource in short {
            reasons.push(match resource {
                Insufficient::Pods => Reason::Text(Cow::Borrowed("Too many pods")),
                Insufficient::Resource { name, is_unresolvable } => {
                    if is_unresolvable {
                        code = Code::UnschedulableAndUnresolvable;
                    }
                    Reason::Insufficient(name)
                }
            });
        }
        Err(Refusal { code, reasons })
    }
}

impl ScorePlugin for NodeResourcesFit {
    fn scope(&self) -> Scope {
        Scope::Node
    }

    fn pre_score<'c>(&'c self, cycle: &CycleContext<'c>, _: &[usize]) -> PreScore<'c> {
        let usage = Usage::NonZero;
        let allocation = ResourceAllocation::new(&self.resources, usage, &cycle.pod.class.scored);
        score_by(move |node| self.strategy.score(allocation.of(node)))
    }
}
