//! Network time of the requests, as shown in a report.

use serde::Serialize;

use super::figures::number;
use traffic::{NetworkBasis, NetworkSpec};

/// Network time of the requests of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkReport {
    /// Where the times come from.
    pub basis: NetworkBasis,
    /// Mean round trip by distance, as the scenario's `network` names it, in milliseconds; those of zero are left out.
    pub mean_round_trips_ms: Vec<(&'static str, f64)>,
}

impl NetworkReport {
    /// The network times of a scenario.
    pub fn of(spec: &NetworkSpec) -> Self {
        let round_trips = spec.round_trips().into_iter();
        let means = round_trips.map(|(distance, time)| (distance, time.mean_seconds() * 1e3));
        Self {
            basis: spec.basis(),
            mean_round_trips_ms: means.filter(|(_, mean)| *mean > 0.0).collect(),
        }
    }

    /// The times in words.
    pub(super) fn in_words(&self) -> String {
        let basis = match self.basis {
            NetworkBasis::NoneAssumed => "assumed",
            NetworkBasis::Preset => "from a preset",
            NetworkBasis::Stated => "stated",
        };
        if self.mean_round_trips_ms.is_empty() {
            return format!("requests take no network time ({basis})");
        }
        let of = |(distance, mean): &(&str, f64)| {
            let place = match *distance {
                "sameNode" => "on a node",
                "sameZone" => "in a zone",
                "betweenZones" => "between zones",
                "betweenRegions" => "between regions",
                _ => "to clients",
            };
            format!("{} ms {place}", number(*mean))
        };
        let times: Vec<String> = self.mean_round_trips_ms.iter().map(of).collect();
        format!("mean round trips of {} ({basis})", times.join(", "))
    }
}
