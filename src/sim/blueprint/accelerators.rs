//! Checks that LLM servers have the GPUs that their request model assumes: in their pods, and on the nodes that can
//! run those pods.

use std::collections::BTreeMap;

use super::Blueprint;
use cluster::node::Node;
use cluster::pod_resources::pod_requests;
use cluster::pod_template::{PodTemplate, ResourceList, TaintEffect};
use cluster::{Action, ObjectReference};
use manifest::{Diagnostic, Diagnostics, Severity};
use scenario::workloads::Workload;
use scheduler::gpu::GpuRequest;
use traffic::llm::LlmSpec;
use traffic::llm::catalog::{Gpu, gpu_named, gpus};
use units::Quantity;

/// Extended resources that count whole GPUs.
const WHOLE: [&str; 3] = ["nvidia.com/gpu", "nvidia.com/gpu.shared", "amd.com/gpu"];
/// Label that GPU feature discovery sets, with the GPU's name.
const PRODUCT_LABEL: &str = "nvidia.com/gpu.product";

/// The accelerators that a pod requests.
enum Accelerators {
    /// A number of whole GPUs of this resource.
    Gpus(&'static str, i64),
    /// Fractions of GPUs, or accelerators of another kind.
    Others,
    /// None.
    None,
}

impl Accelerators {
    fn of(template: &PodTemplate) -> Self {
        if GpuRequest::of(template).is_some() {
            return Self::Others;
        }
        let requests = pod_requests(&template.spec);
        let amount = |resource| requests.get(resource).map_or(0, Quantity::value);
        if let Some(resource) = WHOLE.into_iter().find(|resource| amount(resource) > 0) {
            return Self::Gpus(resource, amount(resource));
        }
        if requests.iter().any(|(name, _)| name.contains('/')) { Self::Others } else { Self::None }
    }
}

/// A mismatch, with the field below `llm` that it is reported at.
struct Finding {
    severity: Severity,
    field: &'static str,
    message: String,
    help: String,
}

impl Finding {
    fn error(field: &'static str, message: String, help: String) -> Self {
        Self { severity: Severity::Error, field, message, help }
    }

    fn warning(field: &'static str, message: String, help: String) -> Self {
        Self { severity: Severity::Warning, field, message, help }
    }
}

impl Blueprint<'_> {
    /// Reports LLM servers whose pods or nodes lack the GPUs that the scenario names. If the workload's template
    /// changes during the run, one matching template is enough.
    pub(super) fn accelerators(&self, problems: &mut Diagnostics) {
        for (index, workload) in self.resolved.scenario().workloads.iter().enumerate() {
            let templates = self.templates_of(&workload.workload);
            for (path, spec) in servers(workload) {
                let findings = templates
                    .iter()
                    .map(|template| self.finding(&workload.workload, template, spec));
                // The scenario's own check reports workloads that no manifest defines.
                let Some(findings) = findings.collect::<Option<Vec<Finding>>>() else { continue };
                let Some(finding) = findings.into_iter().next() else { continue };
                let path = format!("workloads[{index}]{path}.requests.llm{}", finding.field);
                let document = &self.resolved.text.document;
                let place = document.positions.place_of(&document.source, &path);
                let problem = Diagnostic::new(finding.severity, "gpu-mismatch", finding.message);
                problems.push(Diagnostic { field: path, ..problem.at(place).help(finding.help) });
            }
        }
    }

    /// The templates that a workload has at the start or gets during the run.
    fn templates_of(&self, workload: &ObjectReference) -> Vec<&PodTemplate> {
        let later = self.timeline.iter().flat_map(|(_, step)| &step.objects);
        let templates = self.objects.iter().chain(later).filter_map(template_of);
        templates.filter(|(known, _)| known == workload).map(|(_, template)| template).collect()
    }

    /// The mismatch between an LLM server and the pods of a template, the most severe first.
    fn finding(
        &self,
        workload: &ObjectReference,
        template: &PodTemplate,
        spec: &LlmSpec,
    ) -> Option<Finding> {
        let needed = i64::from(spec.tensor_parallel_size);
        let name = spec.gpu.as_deref();
        match (Accelerators::of(template), name) {
            (Accelerators::None, None) => Some(Finding::warning(
                "",
                format!("pods of {workload} request no GPU, and their server's GPU is unknown"),
                "correct for a server on CPUs; otherwise add `nvidia.com/gpu: 1` to their container's limits"
                    .into(),
            )),
            (Accelerators::None, Some(name)) => Some(Finding::error(
                ".gpu",
                format!("pods of {workload} request no GPU, but their server is configured for {name}"),
                format!("add `nvidia.com/gpu: {needed}` to their container's resources.limits"),
            )),
            (_, None) | (Accelerators::Others, _) => None,
            (Accelerators::Gpus(resource, count), Some(_)) if count < needed => {
                Some(Finding::error(
                    ".tensorParallelSize",
                    format!(
                        "a server on {needed} GPUs needs as many in its pod, but pods of {workload} request {resource}: {count}"
                    ),
                    format!("write {count} here, or `{resource}: {needed}` in their container's limits"),
                ))
            }
            (Accelerators::Gpus(resource, count), Some(name)) => {
                let gpu = gpu_named(name).ok()?;
                self.other_gpus(workload, template, resource, gpu).or_else(|| {
                    (count > needed).then(|| {
                        let unused = count - needed;
                        let message = format!(
                            "pods of {workload} request {resource}: {count}, but their server uses {needed}: \
                             {unused} per pod stay idle"
                        );
                        let help = format!(
                            "write `tensorParallelSize: {count}`, or request {needed}"
                        );
                        Finding::warning(".tensorParallelSize", message, help)
                    })
                })
            }
        }
    }

    /// Reports nodes that can run the pods but have GPUs other than `gpu`.
    fn other_gpus(
        &self,
        workload: &ObjectReference,
        template: &PodTemplate,
        resource: &str,
        gpu: &Gpu,
    ) -> Option<Finding> {
        let requests = pod_requests(&template.spec);
        let mut others: BTreeMap<String, &Node> = BTreeMap::new();
        let mut has_right_or_unknown = false;
        let wanted = requests.get(resource)?;
        let offered = |list: &ResourceList| list.get(resource).is_some_and(|has| has >= wanted);
        for node in self.nodes.iter().filter(|node| offered(&node.allocatable)) {
            if !takes(node, template) {
                continue;
            }
            match self.gpu_of(node) {
                Some((product, memory)) if !gpu.is_product(&product, memory) => {
                    others.entry(product).or_insert(node);
                }
                _ => has_right_or_unknown = true,
            }
        }
        let (product, node) = others.first_key_value()?;
        let place = if node.pool.is_empty() {
            format!("the node {}", node.meta.id.name)
        } else {
            format!("the pool {}", node.pool)
        };
        let memory = self.gpu_of(node).and_then(|(_, memory)| memory);
        let right = gpus().iter().find(|known| known.is_product(product, memory));
        let name = &gpu.name;
        let help = match right {
            Some(right) if has_right_or_unknown => {
                format!("keep the pods off it with a nodeSelector; or write `gpu: {}`", right.name)
            }
            Some(right) => {
                format!("write `gpu: {}`, or use nodes with {name} for the pods", right.name)
            }
            None => format!(
                "use nodes with {name} for the pods; or remove `gpu`, and set `cost` and `kvCacheTokens` as measured on {product}"
            ),
        };
        let message = format!(
            "the server of {workload} is configured for {name}, but {place}, on which its pods fit, has {product}"
        );
        Some(if has_right_or_unknown {
            Finding::warning(".gpu", message, help)
        } else {
            Finding::error(".gpu", message, help)
        })
    }

    /// The name of a node's GPUs and the memory of each (GiB), as far as known. The label's value is free text, so
    /// it counts only if it names a known GPU.
    fn gpu_of(&self, node: &Node) -> Option<(String, Option<f64>)> {
        if let Some(product) = node.meta.labels.get(PRODUCT_LABEL) {
            let is_known = gpus().iter().any(|known| known.is_product(product, None));
            return is_known.then(|| (product.to_string(), None));
        }
        let pools = &self.resolved.scenario().cluster.node_pools;
        let pool = pools.iter().find(|pool| pool.name == node.pool)?;
        let of_type = pool.resolve().ok()?.gpus()?.clone();
        let memory = of_type.memory_each.map(|bytes| bytes.0 as f64 / f64::from(1 << 30));
        Some((of_type.model.into_owned(), memory))
    }
}

/// True if a node would take pods of the template, given enough room.
fn takes(node: &Node, template: &PodTemplate) -> bool {
    let spec = &template.spec;
    let is_kept_off = node.taints.iter().any(|taint| {
        taint.effect != TaintEffect::PreferNoSchedule
            && !spec.tolerations.iter().any(|toleration| toleration.tolerates(taint))
    });
    !is_kept_off && spec.admits_node(&node.meta.labels, &node.meta.id.name)
}

/// The LLM servers in a workload's pods, each with its path within the workload.
fn servers(workload: &Workload) -> Vec<(String, &LlmSpec)> {
    let own = workload.requests.iter().map(|requests| (String::new(), requests));
    let images = workload.images.iter().filter(|(_, image)| image.requests != workload.requests);
    let of_images = images
        .filter_map(|(name, image)| Some((format!(".images[{name}]"), image.requests.as_ref()?)));
    own.chain(of_images)
        .filter_map(|(path, requests)| Some((path, requests.llm.as_deref()?)))
        .collect()
}

/// The workload that an action writes, and its pod template.
fn template_of(action: &Action) -> Option<(ObjectReference, &PodTemplate)> {
    let Action::Apply(meta, spec) = action else { return None };
    let template = spec.pod_template().filter(|_| !spec.kind().is_batch())?;
    Some((ObjectReference { kind: spec.kind(), id: meta.id.clone() }, template))
}
