//! The knobs of a scenario: what is tuned, found in the scenario and its manifests, with the values to try.

use serde_json::Value;

use super::bounds::{brings_nodes, is_fixed};
use super::ladders::{cores, counts, family, memory, multiples, with};
use super::search::space::{Knob, KnobKind, Point, Space};
use super::tune::Tune;
use cluster::{Kind, ObjectReference};
use manifest::Manifest;
use scenario::resolved::ResolvedScenario;
use sweep::current::Current;

/// Names under which HorizontalPodAutoscalers and the like say what they scale.
const SCALERS: [&str; 3] = ["HorizontalPodAutoscaler", "ScaledObject", "PodAutoscaler"];

/// Most pods of a workload that are tried, as a multiple of those that it has now.
const MOST_PODS: u64 = 3;

/// Targets of utilization that are tried, in percent: the higher, the fewer pods.
const TARGETS: [u64; 7] = [90, 80, 70, 60, 50, 40, 30];

/// Times for which an autoscaler waits before it removes pods, in seconds.
const STABILIZATION: [u64; 5] = [0, 60, 120, 300, 600];

/// A setting and the values that it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizeKnob {
    /// Path of the setting, as `--set` has it.
    pub path: String,
    /// Its values, the leanest first.
    pub values: Vec<String>,
    /// The value that it has now, or with which the search starts.
    pub now: usize,
    /// Whether it has this value now; a user may name only others.
    pub is_current: bool,
    /// Relation of the values to each other.
    pub kind: KnobKind,
}

/// The knobs that `tuned` names.
pub(crate) fn knobs(resolved: &ResolvedScenario, tuned: &[Tune]) -> Vec<SizeKnob> {
    let current = Current::new(resolved);
    let is_fixed =
        is_fixed(&resolved.scenario().cluster) && !current.manifests.iter().any(brings_nodes);
    let finder = Finder { current, is_fixed };
    let mut knobs: Vec<SizeKnob> = Vec::new();
    for tune in tuned {
        let found = match tune {
            Tune::Hpa => finder.autoscalers(),
            Tune::Behavior => finder.behavior(),
            Tune::Replicas => finder.replicas(false),
            Tune::Stateful => finder.replicas(true),
            Tune::Requests => finder.resources("requests"),
            Tune::Limits => finder.resources("limits"),
            Tune::Memory => finder.memory(),
            Tune::Nodes => finder.nodes(),
            Tune::NodeTypes => finder.node_types(),
            Tune::Path(vary) => vec![finder.by_path(&vary.path, &vary.values)],
        };
        for knob in found {
            knobs.retain(|known| known.path != knob.path);
            knobs.push(knob);
        }
    }
    knobs
}

/// The knobs as a search has them.
pub fn space(knobs: &[SizeKnob]) -> Space {
    let knob = |one: &SizeKnob| Knob { levels: one.values.len(), kind: one.kind };
    Space { knobs: knobs.iter().map(knob).collect() }
}

/// Where the knobs are now.
pub fn now(knobs: &[SizeKnob]) -> Point {
    knobs.iter().map(|knob| knob.now).collect()
}

struct Finder {
    current: Current,
    /// Whether the number of nodes is that of the settings.
    is_fixed: bool,
}

impl Finder {
    /// What has no price of its own costs what the nodes cost, if their number is fixed; where an autoscaler adds nodes
    /// it has a price.
    const fn kind(&self) -> KnobKind {
        if self.is_fixed { KnobKind::Free } else { KnobKind::Priced }
    }

    fn pools(&self) -> impl Iterator<Item = &Value> {
        self.current.scenario["cluster"]["nodePools"].as_array().into_iter().flatten()
    }

    fn of_kind(&self, kind: &'static str) -> impl Iterator<Item = &Manifest> {
        self.current.manifests.iter().filter(move |one| &*one.kind == kind)
    }

    /// The workloads of the scenario that take requests, as they are among the manifests.
    fn workloads(&self) -> impl Iterator<Item = (&Manifest, &Value)> {
        let named = self.current.scenario["workloads"].as_array().into_iter().flatten();
        named.filter_map(|workload| {
            let reference: ObjectReference = workload["workload"].as_str()?.parse().ok()?;
            let manifest = self.current.manifests.iter().find(|one| one.reference == reference)?;
            Some((manifest, workload))
        })
    }

    fn is_scaled(&self, workload: &ObjectReference) -> bool {
        let scalers = SCALERS.into_iter().flat_map(|kind| self.of_kind(kind));
        scalers.into_iter().any(|scaler| {
            let target = &scaler.value["spec"]["scaleTargetRef"];
            let kind = target["kind"].as_str().and_then(Kind::named).unwrap_or(Kind::Deployment);
            kind == workload.kind
                && target["name"].as_str() == Some(&*workload.id.name)
                && scaler.reference.id.namespace == workload.id.namespace
        })
    }

    fn autoscalers(&self) -> Vec<SizeKnob> {
        let mut knobs = Vec::new();
        for hpa in self.of_kind("HorizontalPodAutoscaler") {
            let base = format!("manifests.{}.spec", hpa.reference);
            let spec = &hpa.value["spec"];
            let least = spec["minReplicas"].as_u64().unwrap_or(1);
            let most = spec["maxReplicas"].as_u64().unwrap_or(least);
            let mut add = |path: String, values: Vec<u64>, now: u64| {
                knobs.push(self.ladder(path, &values, now));
            };
            add(format!("{base}.minReplicas"), counts(1, most.max(least)), least);
            for (place, metric) in spec["metrics"].as_array().into_iter().flatten().enumerate() {
                if let Some(target) = metric["resource"]["target"]["averageUtilization"].as_u64() {
                    let path =
                        format!("{base}.metrics[{place}].resource.target.averageUtilization");
                    add(path, with(TARGETS.to_vec(), target, true), target);
                }
            }
            if let Some(target) = spec["targetCPUUtilizationPercentage"].as_u64() {
                let path = format!("{base}.targetCPUUtilizationPercentage");
                add(path, with(TARGETS.to_vec(), target, true), target);
            }
            add(format!("{base}.maxReplicas"), multiples(most, &[0.5, 0.75, 1.0, 1.5, 2.0]), most);
        }
        knobs
    }

    fn behavior(&self) -> Vec<SizeKnob> {
        let of = |hpa: &Manifest| {
            let down = &hpa.value["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"];
            let now = down.as_u64().unwrap_or(300);
            let path = format!(
                "manifests.{}.spec.behavior.scaleDown.stabilizationWindowSeconds",
                hpa.reference
            );
            self.ladder(path, &with(STABILIZATION.to_vec(), now, false), now)
        };
        self.of_kind("HorizontalPodAutoscaler").map(of).collect()
    }

    /// Replicas of workloads that take requests and that nothing scales: those with state of their own, or the others.
    fn replicas(&self, is_stateful: bool) -> Vec<SizeKnob> {
        let scalable = self.workloads().filter(|(manifest, workload)| {
            let kind = manifest.reference.kind;
            matches!(kind, Kind::Deployment | Kind::Rollout | Kind::StatefulSet)
                && !workload["requests"].is_null()
                && has_state(manifest) == is_stateful
                && !self.is_scaled(&manifest.reference)
        });
        scalable
            .map(|(manifest, _)| {
                let now = manifest.value["spec"]["replicas"].as_u64().unwrap_or(1);
                let path = format!("manifests.{}.spec.replicas", manifest.reference);
                self.ladder(path, &with(counts(1, now.max(2) * MOST_PODS), now, false), now)
            })
            .collect()
    }

    /// The container of each workload that takes its requests, with its name and the scenario's entry.
    fn containers(&self) -> impl Iterator<Item = (&Manifest, &Value, &str, &Value)> {
        self.workloads().filter_map(|(manifest, workload)| {
            let containers = manifest.value["spec"]["template"]["spec"]["containers"].as_array()?;
            let container = match workload["container"].as_str() {
                Some(name) => containers.iter().find(|one| one["name"].as_str() == Some(name)),
                None => containers.first(),
            }?;
            Some((manifest, workload, container["name"].as_str()?, container))
        })
    }

    fn resources(&self, of: &str) -> Vec<SizeKnob> {
        let mut knobs = Vec::new();
        for (manifest, _, name, container) in self.containers() {
            let Some((values, now)) = cores(&container["resources"][of]["cpu"]) else { continue };
            let path = resource_path(manifest, name, of, "cpu");
            knobs.push(SizeKnob { path, values, now, is_current: true, kind: self.kind() });
        }
        knobs
    }

    /// Without what the application uses, memory in use is what is requested, and less would look like a saving.
    fn memory(&self) -> Vec<SizeKnob> {
        let mut knobs = Vec::new();
        for (manifest, workload, name, container) in self.containers() {
            let requested = &container["resources"]["requests"]["memory"];
            let Some((values, now)) = memory(workload, requested) else { continue };
            let path = resource_path(manifest, name, "requests", "memory");
            knobs.push(SizeKnob { path, values, now, is_current: true, kind: self.kind() });
        }
        knobs
    }

    fn nodes(&self) -> Vec<SizeKnob> {
        let mut knobs = Vec::new();
        for pool in self.pools() {
            let Some(name) = pool["name"].as_str() else { continue };
            let path = format!("cluster.nodePools[{name}].count");
            if let Some(now) = pool["count"].as_u64() {
                let values = with(counts(1, now.max(2) * 2), now, false);
                let kind = KnobKind::Priced;
                knobs.push(SizeKnob { kind, ..self.ladder(path, &values, now) });
                continue;
            }
            for bound in ["min", "max"] {
                if let Some(now) = pool["count"][bound].as_u64() {
                    let values =
                        with(counts(u64::from(bound == "max"), now.max(2) * 2), now, false);
                    knobs.push(self.ladder(format!("{path}.{bound}"), &values, now));
                }
            }
        }
        knobs
    }

    fn node_types(&self) -> Vec<SizeKnob> {
        let of = |pool: &Value| {
            let (name, now) = (pool["name"].as_str()?, pool["instanceType"].as_str()?);
            let (values, at) = family(now)?;
            let path = format!("cluster.nodePools[{name}].instanceType");
            Some(SizeKnob { path, values, now: at, is_current: true, kind: KnobKind::Choice })
        };
        self.pools().filter_map(of).collect()
    }

    /// A setting that a user names. It starts at its current value, or at the most generous one if that is not among the
    /// values.
    fn by_path(&self, path: &str, values: &[String]) -> SizeKnob {
        let is_number = values.iter().all(|value| value.trim_matches('"').parse::<f64>().is_ok());
        let is_nodes = path.starts_with("cluster.nodePools");
        let kind = match (is_number, is_nodes) {
            (false, _) if values.len() > 1 && !is_quantities(values) => KnobKind::Choice,
            (_, true) => KnobKind::Priced,
            _ => self.kind(),
        };
        let current = values.iter().position(|value| self.current.has(path, value));
        let now = current.unwrap_or(values.len() - 1);
        let is_current = current.is_some();
        SizeKnob { path: path.to_owned(), values: values.to_vec(), now, is_current, kind }
    }

    fn ladder(&self, path: String, values: &[u64], now: u64) -> SizeKnob {
        let at = values.iter().position(|value| *value == now).unwrap_or_default();
        let values = values.iter().map(ToString::to_string).collect();
        SizeKnob { path, values, now: at, is_current: true, kind: self.kind() }
    }
}

/// Whether the pods of a workload have volumes that are theirs: a further pod has no data, or no volume.
fn has_state(manifest: &Manifest) -> bool {
    let volumes = &manifest.value["spec"]["template"]["spec"]["volumes"];
    let mut volumes = volumes.as_array().into_iter().flatten();
    manifest.reference.kind == Kind::StatefulSet
        || volumes.any(|volume| volume["persistentVolumeClaim"].is_object())
}

fn resource_path(manifest: &Manifest, container: &str, of: &str, resource: &str) -> String {
    let reference = &manifest.reference;
    format!(
        "manifests.{reference}.spec.template.spec.containers[{container}].resources.{of}.{resource}"
    )
}

/// Whether all of these are amounts such as `500m`.
fn is_quantities(values: &[String]) -> bool {
    values.iter().all(|value| value.trim_matches('"').parse::<units::Quantity>().is_ok())
}
