//! A cloud's provision of machines: its managed Kubernetes, the duration of each step from the request to a node that
//! accepts pods, and the possible failures.

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

/// A type of cluster with its defaults.
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
    /// Self-managed machines, such as with kubeadm.
    Bare,
}

/// Creation and removal of machines for pools that scale. Absent settings default to those of
/// the cloud of the pool's instance type; [the docs](node-autoscalers.md#machines) list the values and their
/// sources.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MachineSettings {
    /// Time from the request for a machine until it exists and is billed, or until the cloud reports that it has no
    /// capacity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<StepTime>,
    /// Time from then until its kubelet registers the Node object: boot, bootstrap script, join.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot: Option<StepTime>,
    /// Time from then until the node is Ready: start of the network plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<StepTime>,
    /// Time from then until its GPUs, if any, are allocatable: driver and device plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_plugin: Option<StepTime>,
    /// Time from the request to delete a machine until it is gone and no longer billed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removal: Option<StepTime>,
    /// Fraction of the machines, 0 to 1, that are billed but never join the cluster. Default 0.
    #[schemars(range(min = 0, max = 1))]
    pub boot_failures: f64,
    /// Total resources that the cloud grants to all pools that scale up, such as {cpu: 64}. Default: no limit.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub quota: BTreeMap<Name, Quantity>,
}

/// Duration of a step: `40s`, or quantiles such as `{p50: 32s, p90: 38s, p99: 59s}`. Between and beyond the
/// quantiles the distribution is piecewise lognormal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum StepTime {
    /// Constant.
    Constant(SimDuration),
    /// Drawn for each machine.
    Drawn(StepQuantiles),
}

/// Quantiles of the duration of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StepQuantiles {
    /// Median.
    pub p50: SimDuration,
    /// 90th percentile.
    pub p90: SimDuration,
    /// 99th percentile. Default: extrapolated from p50 and p90 by a lognormal distribution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99: Option<SimDuration>,
    /// Maximum. Default: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<SimDuration>,
}

/// The durations of all steps of a machine's life cycle.
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

/// Quantiles 0.9 and 0.99 of the standard normal distribution.
const Z90: f64 = 1.281_551_565_544_600_4;
const Z99: f64 = 2.326_347_874_040_841;

impl Preset {
    /// The managed Kubernetes service of a cloud.
    pub const fn of(provider: Provider) -> Self {
        match provider {
            Provider::Aws => Self::Eks,
            Provider::Azure => Self::Aks,
            Provider::Gcp => Self::Gke,
        }
    }

    /// The label by which the Cluster Autoscaler recognizes nodes that are expected to have GPUs
    /// (`CloudProvider.GPULabel`).
    pub const fn gpu_label(self) -> &'static str {
        match self {
            Self::Eks => "k8s.amazonaws.com/accelerator",
            Self::Gke => "cloud.google.com/gke-accelerator",
            Self::Aks => "kubernetes.azure.com/accelerator",
            Self::Kind | Self::Bare => "cluster-api/accelerator",
        }
    }

    /// Default durations of the steps of a machine's life cycle.
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
            // 32/38/59/234 s from the request to Ready; the network plugin accounts for the last seconds.
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
    /// The durations of the steps in such a cluster, overridden by the settings here.
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

    /// Draws the duration for one machine. Always consumes the same number of random values.
    pub fn draw(&self, stream: &mut Stream) -> SimDuration {
        let z = Normal { mean: 0.0, std_dev: 1.0 }.sample(stream);
        match self {
            Self::Constant(time) => *time,
            Self::Drawn(quantiles) => quantiles.at(z),
        }
    }
}

impl StepQuantiles {
    /// The duration at this value of the standard normal distribution.
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

    /// The first quantile that is smaller than a lower one, and the name of that lower one.
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
                    "a duration such as 40s, or quantiles such as {p50: 32s, p90: 38s, p99: 59s}",
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
            "description": "Duration of a step: 40s, or quantiles such as {p50: 32s, p90: 38s, p99: 59s}.",
            "anyOf": [constant, drawn]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Streams;

    /// The given percentiles of the total duration in seconds, over 20,001 machines.
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
