//! Network time: how long requests and answers are on their way between pods, zones, clients and gateways.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::problem::{Checks, Problem};
use super::time_distribution::{Distribution, Quantile, TimeDistribution};
use engine::random::open_unit;
use engine::{SimDuration, Stream};

/// Network time of requests: round-trip times by distance, drawn for each attempt. Half of it passes before the request
/// reaches its pod, the other half after the pod has answered. Streams of messages (`workQueue`) and flows (`arrivals:
/// fluid`) have none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NetworkSpec {
    /// Supplies the times that are not given here. Default none: no network time.
    #[serde(skip_serializing_if = "is_default")]
    pub preset: NetworkPreset,
    /// Round trip between two pods on the same node.
    pub same_node: Option<TimeDistribution>,
    /// Round trip between two nodes of a zone. Nodes without a zone count as nodes of one.
    pub same_zone: Option<TimeDistribution>,
    /// Round trip between two zones of a region, and between a gateway or ingress controller and a pod in another zone;
    /// gateways are spread evenly over the zones.
    pub between_zones: Option<TimeDistribution>,
    /// Round trip between two regions (the nodes' label topology.kubernetes.io/region). Default: as between zones.
    pub between_regions: Option<TimeDistribution>,
    /// Round trip between a client and the cluster: the gateway of requests under `ingress`, the pod of those under
    /// `traffic`. Default 0s, also with a preset, because it depends on where the users are.
    pub clients: Option<TimeDistribution>,
}

/// A set of network times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NetworkPreset {
    /// No network time.
    #[default]
    None,
    /// Round trips as pings between AWS instances showed them: 0.05 ms on a node, 0.4 ms in a zone, 0.83 ms between
    /// zones, lognormal.
    Aws,
}

/// Where the network times of a run come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum NetworkBasis {
    /// The scenario says nothing: none is assumed.
    #[default]
    NoneAssumed,
    /// From a preset, at least in part.
    Preset,
    /// All from the scenario.
    Stated,
}

/// The distance that a request covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Distance {
    SameNode,
    SameZone,
    BetweenZones,
    BetweenRegions,
    Clients,
}

/// Network times, ready for drawing.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkTimes {
    /// By [`Distance`].
    round_trips: [Quantile; 5],
    /// In each proxy of a mesh, there and back; absent without a mesh.
    proxy: Option<Quantile>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl NetworkPreset {
    /// On a node, in a zone, between zones: pings of 2014 to 2022, see `docs/assumptions.md`.
    fn round_trips(self) -> [TimeDistribution; 3] {
        let micros = match self {
            Self::None => return [(); 3].map(|()| TimeDistribution::ZERO),
            Self::Aws => [50, 400, 830],
        };
        micros.map(|mean| {
            let mean = SimDuration::from_nanos(mean * 1_000);
            TimeDistribution::Drawn(Distribution::Lognormal { mean, cv: 0.3 })
        })
    }
}

impl NetworkSpec {
    /// The times that are given here, by field.
    fn given(&self) -> [(&'static str, &Option<TimeDistribution>); 5] {
        [
            ("sameNode", &self.same_node),
            ("sameZone", &self.same_zone),
            ("betweenZones", &self.between_zones),
            ("betweenRegions", &self.between_regions),
            ("clients", &self.clients),
        ]
    }

    /// All round-trip times, by field, those of the preset included.
    pub fn round_trips(&self) -> [(&'static str, TimeDistribution); 5] {
        let [node, zone, zones] = self.preset.round_trips();
        let regions = self.between_zones.clone().unwrap_or_else(|| zones.clone());
        let usual = [node, zone, zones, regions, TimeDistribution::ZERO];
        let mut usual = usual.into_iter();
        self.given().map(|(field, given)| {
            let usual = usual.next().unwrap_or_default();
            (field, given.clone().unwrap_or(usual))
        })
    }

    /// All problems of the settings on their own; `path` is their location.
    pub fn problems(&self, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut checks = Checks::at(path, &mut problems);
        for (field, given) in self.given() {
            if let Some(given) = given {
                given.check(field, &mut checks);
            }
        }
        problems
    }

    /// Where the times come from.
    pub fn basis(&self) -> NetworkBasis {
        match self.preset {
            NetworkPreset::Aws => NetworkBasis::Preset,
            NetworkPreset::None if self.given().iter().all(|(_, given)| given.is_none()) => {
                NetworkBasis::NoneAssumed
            }
            NetworkPreset::None => NetworkBasis::Stated,
        }
    }

    /// The times, ready for drawing; `None` if all are zero. The settings must have passed their checks.
    pub fn times(&self) -> Option<NetworkTimes> {
        self.times_with(None)
    }

    /// The same with the time in each proxy of a mesh that a request passes, there and back.
    pub fn times_with(&self, proxy: Option<&TimeDistribution>) -> Option<NetworkTimes> {
        let round_trips = self.round_trips().map(|(_, time)| time.quantile());
        let is_zero = |time: &Quantile| matches!(time, Quantile::Constant(nanos) if *nanos <= 0.0);
        let proxy = proxy.map(TimeDistribution::quantile).filter(|time| !is_zero(time));
        let takes_time = proxy.is_some() || !round_trips.iter().all(is_zero);
        takes_time.then_some(NetworkTimes { round_trips, proxy })
    }
}

impl NetworkTimes {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "float to int casts saturate, which is meant"
    )]
    fn drawn(time: &Quantile, stream: &mut Stream) -> SimDuration {
        SimDuration::from_nanos((time.at(open_unit(stream)) + 0.5) as i64)
    }

    /// Draws a round trip.
    pub(super) fn draw(&self, distance: Distance, stream: &mut Stream) -> SimDuration {
        Self::drawn(&self.round_trips[distance as usize], stream)
    }

    /// Draws the time in this many proxies.
    pub(super) fn draw_proxies(&self, count: usize, stream: &mut Stream) -> SimDuration {
        let Some(time) = self.proxy.as_ref().filter(|_| count > 0) else {
            return SimDuration::ZERO;
        };
        (0..count).fold(SimDuration::ZERO, |sum, _| sum + Self::drawn(time, stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Streams;
    use serde_json::json;

    fn spec(json: serde_json::Value) -> NetworkSpec {
        serde_json::from_value(json).expect("settings")
    }

    #[test]
    fn without_a_word_there_is_no_network_time() {
        assert_eq!(NetworkSpec::default().times(), None);
        assert_eq!(NetworkSpec::default().basis(), NetworkBasis::NoneAssumed);
        let zero = spec(json!({"sameZone": "0s"}));
        assert_eq!((zero.times(), zero.basis()), (None, NetworkBasis::Stated));
    }

    #[test]
    fn settings_replace_those_of_the_preset_and_regions_are_as_zones() {
        let network = spec(json!({"preset": "aws", "betweenZones": "2ms", "clients": "40ms"}));
        assert_eq!(network.basis(), NetworkBasis::Preset);
        let means = network.round_trips().map(|(_, time)| time.mean_seconds() * 1e6);
        let expected = [50.0, 400.0, 2000.0, 2000.0, 40_000.0];
        assert!(
            means
                .iter()
                .zip(expected)
                .all(|(mean, expected): (&f64, f64)| (mean - expected).abs() < 1e-3)
        );
        let times = network.times().expect("some are not zero");
        let mut stream = Streams::new(1).stream("network time", 0);
        assert_eq!(times.draw(Distance::Clients, &mut stream), SimDuration::from_millis(40));
        let in_zone = (0..10_000).map(|_| times.draw(Distance::SameZone, &mut stream));
        let mean = in_zone.map(SimDuration::as_millis_f64).sum::<f64>() / 1e4;
        assert!((mean - 0.4).abs() < 0.01, "{mean}");
    }

    #[test]
    fn a_wrong_distribution_is_found_in_its_field() {
        let network = spec(json!({"sameZone": {"distribution": "exponential", "mean": "0s"}}));
        let problems = network.problems("network");
        assert_eq!(problems[0].path, "network.sameZone.mean");
    }
}
