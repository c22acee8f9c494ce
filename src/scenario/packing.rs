//! The input file of `wavetank pack`: pods, nodes and policies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::cluster::Cluster;
use super::document::ApiVersion;
use super::typing::UntypedValue;
use cluster::Name;
use manifest::yaml::{Document, Source, read_documents};
use manifest::{Diagnostic, Diagnostics, FieldPath, Location};

/// A capacity question: do these pods fit on these nodes, and with which policy best?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Packing {
    /// Always wavetank/v1.
    pub api_version: ApiVersion,
    /// Always Packing.
    pub kind: PackingKind,
    /// A short name, for reports.
    pub name: String,
    /// The question, in a sentence or two.
    #[serde(default)]
    pub description: String,
    /// Seed of all random choices. Default 1.
    #[serde(default = "one")]
    pub seed: u64,
    /// The nodes, as in a scenario.
    #[serde(default)]
    pub cluster: Cluster,
    /// CSV files of nodes, relative to this file. Columns: name, cpu_milli, memory_mib, and optionally gpu
    /// (devices that pods can share), model (of the GPUs) and pods. Plain, .gz or .zst.
    #[serde(default)]
    pub node_lists: Vec<String>,
    /// The pods, in order of arrival.
    pub pods: Vec<PodSource>,
    /// Tie-breaking between equally good nodes. Default: at random, as in kube-scheduler.
    #[serde(default)]
    pub ties: Ties,
    /// The pods that define fragmentation, as measured in the report and as used by Fragmentation Gradient
    /// Descent.
    #[serde(default)]
    pub typical_pods: TypicalPods,
    /// The policies to compare.
    pub policies: Vec<PolicySpec>,
    /// The node pool to grow or shrink until all pods just fit: the report gives the number of nodes that each policy
    /// needs. Default: none.
    pub grow: Option<Name>,
}

/// Kind of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PackingKind {
    /// The only kind.
    Packing,
}

/// A source of pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSource {
    /// A CSV file with one pod per row. Columns: cpu_milli, memory_mib, and optionally name, num_gpu, gpu_milli
    /// (per GPU) and gpu_spec (models separated by |). Plain, .gz or .zst.
    pub trace: Option<String>,
    /// Manifests, a file or a folder: Pods; Deployments, ReplicaSets and StatefulSets with their replicas; Jobs
    /// with the pods that run in parallel, and CronJobs with those of one run; DaemonSets with a pod for each
    /// eligible node.
    pub manifests: Option<String>,
    /// Number of copies of the manifests' pods, 1 to 1,000,000. Default 1.
    #[serde(default = "one_time")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub count: usize,
}

/// Tie-breaking between equally good nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Ties {
    /// At random.
    #[default]
    Drawn,
    /// By name: the smallest first.
    ByName,
}

/// The typical pods: the most frequent pod shapes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TypicalPods {
    /// Number of pods to count, from the first. Default: all.
    pub of: Option<usize>,
    /// Share of the counted pods that must be covered by the typical ones, in percent, 1 to 100. Default 95.
    #[schemars(range(min = 1, max = 100))]
    pub percent: u32,
}

impl Default for TypicalPods {
    fn default() -> Self {
        Self { of: None, percent: 95 }
    }
}

/// A policy to compare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicySpec {
    /// Name shown in the report. Default: the policy's own name, or the file's.
    pub name: Option<String>,
    /// One of default, most-allocated, random, best-fit, dot-product, gpu-packing, gpu-clustering, fgd.
    pub policy: Option<String>,
    /// A KubeSchedulerConfiguration file, relative to this file. Exactly one of this and `policy` is required.
    pub config: Option<String>,
}

const fn one() -> u64 {
    1
}

const fn one_time() -> usize {
    1
}

/// A packing with its source text.
#[derive(Clone, Debug)]
pub struct PackingText {
    /// The typed content.
    pub packing: Packing,
    /// The untyped values of the text and their positions.
    pub document: Document,
}

impl PackingText {
    /// Parses a packing. Reports all mistakes at once.
    pub fn parse(source: &Source) -> Result<Self, Diagnostics> {
        let mut problems = Diagnostics::default();
        let mut documents = read_documents(source, &mut problems).into_iter();
        let (Some(document), None) = (documents.next(), documents.next()) else {
            if !problems.has_errors() {
                let message =
                    "the file must contain one packing: apiVersion wavetank/v1, kind Packing";
                problems
                    .push(Diagnostic::error("empty", message).at(Location::whole(&source.name)));
            }
            return Err(problems);
        };
        let kind = document.value.get("kind").and_then(Value::as_str);
        if let Some(kind) = kind.filter(|kind| !kind.eq_ignore_ascii_case("Packing")) {
            let help = match kind {
                "Scenario" => "`wavetank run` runs it",
                _ => "docs/pack.md describes packings",
            };
            let message = format!("this is a {kind}, not a packing");
            let problem = Diagnostic::error("no-packing", message);
            problems.push(problem.at(document.place(&FieldPath::ROOT)).help(help));
            return Err(problems);
        }
        let written = document.value.clone();
        let draft = UntypedValue {
            document: &document,
            written: &written,
            filled: written.clone(),
            stand_ins: stand_ins(),
        };
        let packing: Packing = draft.typed()?;
        for (position, policy) in packing.policies.iter().enumerate() {
            if policy.policy.is_some() == policy.config.is_some() {
                let message = "set either policy (a name) or config (a file)";
                problems.push(problem(&document, &format!("policies[{position}]"), message));
            }
        }
        for (position, pods) in packing.pods.iter().enumerate() {
            if pods.trace.is_some() == pods.manifests.is_some() {
                let message = "set either trace or manifests";
                problems.push(problem(&document, &format!("pods[{position}]"), message));
            }
        }
        if let Some(pool) = &packing.grow
            && !packing.cluster.node_pools.iter().any(|one| one.name == *pool)
        {
            problems.push(problem(&document, "grow", "is not a node pool of the cluster"));
        }
        if problems.is_empty() { Ok(Self { packing, document }) } else { Err(problems) }
    }

    /// A mistake at a field, such as `policies[0].policy`.
    pub fn problem(&self, field: &str, message: &str) -> Diagnostic {
        problem(&self.document, field, message)
    }
}

fn problem(document: &Document, field: &str, message: &str) -> Diagnostic {
    let place = document.positions.place_of(&document.source, field);
    let mut problem = Diagnostic::error("packing", message.to_owned()).at(place);
    field.clone_into(&mut problem.field);
    problem
}

/// Valid values for the required fields, so that one invalid field does not hide other mistakes.
fn stand_ins() -> Map<String, Value> {
    let fields = json!({
        "apiVersion": "wavetank/v1", "kind": "Packing", "name": "unnamed", "pods": [], "policies": [],
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Packing, String> {
        let parsed = PackingText::parse(&Source::new("pack.yaml", text));
        parsed.map(|text| text.packing).map_err(|problems| problems.to_string())
    }

    const START: &str = "apiVersion: wavetank/v1\nkind: Packing\nname: a\n";

    #[test]
    fn a_packing_names_pods_and_policies() {
        let text = format!("{START}pods: [{{trace: pods.csv}}]\npolicies: [{{policy: fgd}}]\n");
        let packing = parse(&text).expect("valid");
        assert_eq!((packing.pods[0].count, packing.typical_pods.percent), (1, 95));
        assert_eq!((packing.seed, packing.ties), (1, Ties::Drawn));
    }

    #[test]
    fn mistakes_are_told_at_their_lines() {
        for (rest, says) in [
            ("pods: []\npolicies: [{name: x}]\n", "pack.yaml:5"),
            ("pods: [{count: 2}]\npolicies: []\n", "pack.yaml:4"),
            ("pods: []\npolicies: []\ngrow: gpu\n", "pack.yaml:6"),
            ("pods: []\npolices: []\n", "polices"),
        ] {
            let error = parse(&format!("{START}{rest}")).expect_err(rest);
            assert!(error.contains(says), "{error}");
        }
    }
}
