//! How a cloud gives machines: what its managed Kubernetes is like, how long each step from the request to a node
//! that takes pods lasts, and what can go wrong on the way.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use capacity::reserved::Provider;
use cluster::Name;
use engine::random::Normal;
use engine::{SimDuration, Stream, parse_duration};
use rand_distr::Distribution;
use units::Quantity;

/// A sort of cluster, with what comes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Preset {
    /// Amazon EKS with managed node groups.
    Eks,
    /// Google GKE, Standard.
    Gke,
    /// Azure AKS with virtual machine scale sets.
    Aks,
    /// kind: nodes are containers on one machine.
    Kind,
    /// Machines of one's own, such as kubeadm sets up.
    Bare,
}

/// How the cloud gives machines to pools that grow, and takes them back. What is not given is as in the cloud of
/// the pool's instance type; [the docs](node-autoscalers.md#machines) have the figures and their sources.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MachineSettings {
    /// From the request of a machine until it exists, and is paid for; or until the cloud says that there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<StepTime>,
    /// From there until its kubelet registers the Node object: boot, bootstrap script, join.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<StepTime>,
    /// From there until the node is Ready: the network plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<StepTime>,
    /// From there until its GPUs, if it has any, are allocatable: driver and device plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_plugin: Option<StepTime>,
    /// From the request to delete a machine until it is gone, and no longer paid for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removal: Option<StepTime>,
    /// Share of the machines, 0 to 1, that are paid for and never join the cluster. Default 0.
    #[schemars(range(min = 0, max = 1))]
    pub boot_failures: f64,
    /// Most that the cloud gives to all pools that grow together, by resource, such as {cpu: 64}. Default: no limit.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub quota: BTreeMap<Name, Quantity>,
}

/// How long a step takes: `40s`, or quantiles such as `{p50: 32s, p90: 38s, p99: 59s}`. Between and beyond them the
/// logarithm of the time follows a normal distribution, piece by piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum StepTime {
    /// Always the same.
    Constant(SimDuration),
    /// Drawn for each machine.
    Drawn(StepQuantiles),
}

/// Quantiles of the time that a step takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepQuantiles {
    /// Half of the machines take no longer.
    pub p50: SimDuration,
    /// 90 % take no longer.
    pub p90: SimDuration,
    /// 99 % take no longer. Default: as far above p90 as a lognormal distribution of the first two has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99: Option<SimDuration>,
    /// No machine takes longer. Default: there is no such limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<SimDuration>,
}

/// All steps of a machine's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineTimes {
    /// As [`MachineSettings::request`].
    pub request: StepTime,
    /// As [`MachineSettings::boot`].
    pub boot: StepTime,
    /// As [`MachineSettings::network`].
    pub network: StepTime,
    /// As [`MachineSettings::device_plugin`].
    pub device_plugin: StepTime,
    /// As [`MachineSettings::removal`].
    pub removal: StepTime,
}

/// Of a normal distribution: the quantiles 0.9 and 0.99.
const Z90: f64 = 1.281_551_565_544_600_4;
const Z99: f64 = 2.326_347_874_040_841;

impl Preset {
    /// The managed Kubernetes of a cloud.
    pub const fn of(provider: Provider) -> Self {
        match provider {
            Provider::Aws => Self::Eks,
            Provider::Azure => Self::Aks,
            Provider::Gcp => Self::Gke,
        }
    }

    /// The label by which the Cluster Autoscaler knows there that a node is to have GPUs
    /// (`CloudProvider.GPULabel`).
    pub const fn gpu_label(self) -> &'static str {
        match self {
            Self::Eks => "k8s.amazonaws.com/accelerator",
            Self::Gke => "cloud.google.com/gke-accelerator",
            Self::Aks => "kubernetes.azure.com/accelerator",
            Self::Kind | Self::Bare => "cluster-api/accelerator",
        }
    }

    /// How long the steps of a machine's life take there.
    pub fn times(self) -> MachineTimes {
        let quantiles = |p50, p90, p99| StepTime::quantiles([p50, p90, p99]);
        match self {
            Self::Eks => MachineTimes {
                request: quantiles(8, 14, 30),
                boot: quantiles(32, 42, 65),
                network: quantiles(8, 11, 18),
                device_plugin: quantiles(60, 120, 240),
                removal: quantiles(60, 90, 150),
            },
            // 32/38/59/234 s from the request to Ready, of which the network plugin is the last seconds.
            Self::Gke => MachineTimes {
                request: StepTime::Constant(SimDuration::from_secs(3)),
                boot: StepTime::Drawn(StepQuantiles {
                    p50: SimDuration::from_secs(24),
                    p90: SimDuration::from_secs(30),
                    p99: Some(SimDuration::from_secs(51)),
                    max: Some(SimDuration::from_secs(226)),
                }),
                network: StepTime::Constant(SimDuration::from_secs(5)),
                device_plugin: quantiles(120, 200, 300),
                removal: quantiles(93, 151, 237),
            },
            Self::Aks => MachineTimes {
                request: quantiles(30, 50, 90),
                boot: quantiles(55, 75, 130),
                network: quantiles(10, 14, 25),
                device_plugin: quantiles(240, 360, 500),
                removal: quantiles(90, 150, 240),
            },
            Self::Kind => MachineTimes {
                request: quantiles(1, 2, 3),
                boot: quantiles(12, 16, 25),
                network: quantiles(10, 15, 25),
                device_plugin: quantiles(10, 20, 30),
                removal: quantiles(2, 3, 5),
            },
            Self::Bare => MachineTimes {
                request: quantiles(5, 10, 20),
                boot: quantiles(300, 420, 600),
                network: quantiles(10, 15, 30),
                device_plugin: quantiles(60, 120, 240),
                removal: quantiles(60, 90, 120),
            },
        }
    }
}

impl MachineSettings {
    /// The steps' times in such a cluster, with those that are set here.
    pub fn times(&self, preset: Preset) -> MachineTimes {
        let default = preset.times();
        MachineTimes {
            request: self.request.unwrap_or(default.request),
            boot: self.boot.unwrap_or(default.boot),
            network: self.network.unwrap_or(default.network),
            device_plugin: self.device_plugin.unwrap_or(default.device_plugin),
            removal: self.removal.unwrap_or(default.removal),
        }
    }
}

impl StepTime {
    const fn quantiles([p50, p90, p99]: [i64; 3]) -> Self {
        Self::Drawn(StepQuantiles {
            p50: SimDuration::from_secs(p50),
            p90: SimDuration::from_secs(p90),
            p99: Some(SimDuration::from_secs(p99)),
            max: None,
        })
    }

    /// A time for one machine. Takes as many draws whatever it is.
    pub fn draw(&self, stream: &mut Stream) -> SimDuration {
        let z = Normal { mean: 0.0, std_dev: 1.0 }.sample(stream);
        match self {
            Self::Constant(time) => *time,
            Self::Drawn(quantiles) => quantiles.at(z),
        }
    }
}

impl StepQuantiles {
    /// The time that belongs to this value of a normal distribution.
    fn at(&self, z: f64) -> SimDuration {
        let log = |time: SimDuration| libm::log(time.as_secs_f64().max(1e-9));
        let (low, high) = (log(self.p50), log(self.p90));
        let bulk = (high - low) / Z90;
        let seconds = match self.p99.map(log) {
            Some(p99) if z > Z90 => high + (z - Z90) * (p99 - high) / (Z99 - Z90),
            _ => low + z * bulk,
        };
        let time = SimDuration::from_secs_f64(libm::exp(seconds));
        self.max.map_or(time, |max| time.min(max))
    }

    /// The quantile that is smaller than one below it, by name with what it must not be below.
    pub(super) fn disorder(&self) -> Option<(&'static str, &'static str)> {
        let all = [
            ("p50", Some(self.p50)),
            ("p90", Some(self.p90)),
            ("p99", self.p99),
            ("max", self.max),
        ];
        let given: Vec<_> =
            all.into_iter().filter_map(|(name, time)| Some((name, time?))).collect();
        given.windows(2).find(|pair| pair[1].1 < pair[0].1).map(|pair| (pair[1].0, pair[0].0))
    }
}

impl<'de> Deserialize<'de> for StepTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = StepTime;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(
                    "a time such as 40s, or quantiles such as {p50: 32s, p90: 38s, p99: 59s}",
                )
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<StepTime, E> {
                parse_duration(text).map(StepTime::Constant).map_err(E::custom)
            }
            fn visit_f64<E: Error>(self, seconds: f64) -> Result<StepTime, E> {
                self.visit_str(&seconds.to_string())
            }
            fn visit_u64<E: Error>(self, seconds: u64) -> Result<StepTime, E> {
                self.visit_str(&seconds.to_string())
            }
            fn visit_i64<E: Error>(self, seconds: i64) -> Result<StepTime, E> {
                self.visit_str(&seconds.to_string())
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StepTime, A::Error> {
                StepQuantiles::deserialize(MapAccessDeserializer::new(map)).map(StepTime::Drawn)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for StepTime {
    fn schema_name() -> Cow<'static, str> {
        "StepTime".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let constant = generator.subschema_for::<SimDuration>();
        let drawn = generator.subschema_for::<StepQuantiles>();
        json_schema!({
            "description": "How long a step takes: a time such as 40s, or quantiles such as \
                            {p50: 32s, p90: 38s, p99: 59s}.",
            "anyOf": [constant, drawn]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Streams;

    /// Seconds that so many percent of the machines do not exceed, of 20,001 machines.
    fn quantiles(times: &[StepTime], percents: [usize; 4]) -> [f64; 4] {
        const MACHINES: usize = 20_001;
        let mut stream = Streams::new(1).stream("machines", 0);
        let mut life = || times.iter().map(|step| step.draw(&mut stream).as_secs_f64()).sum();
        let mut lives: Vec<f64> = (0..MACHINES).map(|_| life()).collect();
        lives.sort_by(f64::total_cmp);
        percents.map(|percent| lives[(MACHINES - 1) * percent / 100])
    }

    #[test]
    fn a_drawn_step_has_the_quantiles_that_are_given() {
        let step: StepTime =
            serde_json::from_str(r#"{"p50": "32s", "p90": "38s", "p99": "59s", "max": "234s"}"#)
                .expect("quantiles");
        let [p50, p90, p99, max] = quantiles(&[step], [50, 90, 99, 100]);
        assert!((p50 - 32.0).abs() < 0.3 && (p90 - 38.0).abs() < 0.4, "{p50} {p90}");
        assert!((p99 - 59.0).abs() < 3.0 && max <= 234.0, "{p99} {max}");
    }

    #[test]
    fn a_gke_node_is_ready_as_soon_as_it_was_measured() {
        // c2-standard-8, 322 nodes: p50/p90/p99 32/38/59 s (converged-computing/operator-experiments).
        let MachineTimes { request, boot, network, .. } = Preset::Gke.times();
        let [p50, p90, p99, max] = quantiles(&[request, boot, network], [50, 90, 99, 100]);
        assert!((p50 - 32.0).abs() < 1.0 && (p90 - 38.0).abs() < 1.0, "{p50} {p90}");
        assert!((p99 - 59.0).abs() < 4.0 && max <= 234.0, "{p99} {max}");
    }

    #[test]
    fn quantiles_out_of_order_are_found() {
        let of =
            |text: &str| serde_json::from_str::<StepQuantiles>(text).expect("quantiles").disorder();
        assert_eq!(of(r#"{"p50": "10s", "p90": "9s"}"#), Some(("p90", "p50")));
        assert_eq!(of(r#"{"p50": "10s", "p90": "12s", "max": "11s"}"#), Some(("max", "p90")));
        assert_eq!(of(r#"{"p50": "10s", "p90": "12s", "p99": "12s"}"#), None);
    }
}
