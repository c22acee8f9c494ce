//! Network time of the requests, as shown in a report.

use serde::Serialize;

use super::figures::{counted, number};
use scenario::mesh::{InstalledMesh, MeshBasis};
use traffic::{NetworkBasis, NetworkSpec};

/// Network time of the requests of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct NetworkReport {
    /// Where the times come from.
    pub basis: NetworkBasis,
    /// Mean round trip by distance, as the scenario's `network` names it, in milliseconds; those of zero are left out.
    pub mean_round_trips_ms: Vec<(&'static str, f64)>,
    /// The service mesh, if one is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mesh: Option<MeshReport>,
}

/// A service mesh.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MeshReport {
    /// Its name.
    pub name: &'static str,
    /// Why it counts as installed.
    pub basis: MeshBasis,
    /// Mean time of a request and its answer in each proxy, milliseconds.
    pub mean_proxy_ms: f64,
    /// Whether the scenario gives this time; otherwise it is assumed.
    pub is_time_stated: bool,
    /// Pods with a proxy at the end of the run.
    pub pods_with_proxy: usize,
    /// Pods at the end of the run.
    pub pods: usize,
}

impl MeshReport {
    /// A mesh, and how many pods of how many have its proxy.
    pub fn new(mesh: &InstalledMesh, (pods_with_proxy, pods): (usize, usize)) -> Self {
        Self {
            name: mesh.injector.mesh.label(),
            basis: mesh.basis,
            mean_proxy_ms: mesh.proxy_time.mean_seconds() * 1e3,
            is_time_stated: mesh.is_time_stated,
            pods_with_proxy,
            pods,
        }
    }

    /// The mesh in words.
    pub(super) fn in_words(&self) -> String {
        let basis = match self.basis {
            MeshBasis::Stated => "stated",
            MeshBasis::Evident => "its control plane is among the manifests",
        };
        let time_basis = if self.is_time_stated { "stated" } else { "assumed" };
        format!(
            "{} ({basis}): {} of {} had a proxy at the end, each of which takes {} ms of a request on average \
             ({time_basis})",
            self.name,
            self.pods_with_proxy,
            counted(self.pods as u64, "pod"),
            number(self.mean_proxy_ms),
        )
    }
}

impl NetworkReport {
    /// The network times of a scenario.
    pub fn of(spec: &NetworkSpec) -> Self {
        let round_trips = spec.round_trips().into_iter();
        let means = round_trips.map(|(distance, time)| (distance, time.mean_seconds() * 1e3));
        Self {
            basis: spec.basis(),
            mean_round_trips_ms: means.filter(|(_, mean)| *mean > 0.0).collect(),
            mesh: None,
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
