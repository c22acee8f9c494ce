//! The service mesh whose webhook injects proxies into pods.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use cluster::injection::{Injector, Mesh};
use cluster::pod_template::ResourceList;
use engine::SimDuration;
use manifest::Manifest;
use traffic::{Distribution, TimeDistribution};
use units::Quantity;

/// The service mesh of the cluster. Its webhook adds a proxy to the pods that labels and annotations select
/// (`istio-injection`, `istio.io/rev`, `sidecar.istio.io/inject`, `linkerd.io/inject`), with the resources of their
/// annotations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MeshSpec {
    /// The mesh. Default: the one whose control plane is among the manifests (the Deployments istiod and
    /// linkerd-proxy-injector), else none.
    pub kind: Option<MeshKind>,
    /// Whether proxies are native sidecars, which start before the application and end after it. Default true, as both
    /// meshes do on this version of Kubernetes.
    pub native_sidecar: Option<bool>,
    /// Whether the application waits for a proxy that is no native sidecar (`holdApplicationUntilProxyStarts`). Default:
    /// false for Istio, true for Linkerd.
    pub hold_application_until_proxy_starts: Option<bool>,
    /// Whether a CNI plugin redirects the traffic of pods. Without it each pod has an init container with capabilities
    /// that Pod Security refuses at `baseline`. Default false.
    pub cni: bool,
    /// Requests and limits of proxies without annotations. Default: 100m, 128Mi and limits of 2 and 1Gi for Istio; none
    /// for Linkerd.
    pub proxy: Option<ProxyResources>,
    /// Time that a request and its answer take in each proxy: that of the caller's pod, and that of the called pod.
    /// Default: 0.5ms for Istio and 0.3ms for Linkerd, lognormal, which is assumed.
    pub proxy_time: Option<TimeDistribution>,
}

/// A service mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MeshKind {
    /// No proxies are injected, whatever the manifests contain.
    None,
    /// Istio in sidecar mode.
    Istio,
    /// Linkerd.
    Linkerd,
}

/// Resources of the proxies. Those not given are absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ProxyResources {
    /// CPU request.
    pub cpu: Option<Quantity>,
    /// Memory request.
    pub memory: Option<Quantity>,
    /// CPU limit.
    pub cpu_limit: Option<Quantity>,
    /// Memory limit.
    pub memory_limit: Option<Quantity>,
}

/// Why a mesh counts as installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum MeshBasis {
    /// The scenario says so.
    Stated,
    /// Its control plane is among the manifests.
    Evident,
}

/// The mesh of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct InstalledMesh {
    /// Its webhook.
    pub injector: Injector,
    /// Why it counts as installed.
    pub basis: MeshBasis,
    /// Time in each proxy, there and back.
    pub proxy_time: TimeDistribution,
    /// Whether the scenario gives this time.
    pub is_time_stated: bool,
}

impl InstalledMesh {
    /// Whether a text can be a manifest of a mesh's control plane.
    pub fn may_be_named_in(text: &str) -> bool {
        CONTROL_PLANES.iter().any(|(plane, _)| text.contains(plane))
    }
}

/// Deployments of control planes.
const CONTROL_PLANES: [(&str, Mesh); 2] =
    [("istiod", Mesh::Istio), ("linkerd-proxy-injector", Mesh::Linkerd)];

impl MeshSpec {
    /// The installed mesh, given the manifests of the start; `None` if there is none.
    pub fn installed(&self, manifests: &[Manifest]) -> Option<InstalledMesh> {
        let (mesh, basis) = match self.kind {
            Some(MeshKind::None) => return None,
            Some(MeshKind::Istio) => (Mesh::Istio, MeshBasis::Stated),
            Some(MeshKind::Linkerd) => (Mesh::Linkerd, MeshBasis::Stated),
            None => (evident(manifests)?, MeshBasis::Evident),
        };
        let usual = Injector::usual(mesh);
        let resources = self.proxy.map(|proxy| {
            let list = |amounts: [(&str, Option<Quantity>); 2]| {
                let mut list = ResourceList::default();
                for (name, amount) in amounts {
                    if let Some(amount) = amount {
                        list.set(name, amount);
                    }
                }
                list
            };
            let ProxyResources { cpu, memory, cpu_limit, memory_limit } = proxy;
            let limits = list([("cpu", cpu_limit), ("memory", memory_limit)]);
            (list([("cpu", cpu), ("memory", memory)]), limits)
        });
        let (requests, limits) = resources.unwrap_or((usual.requests, usual.limits));
        let holds = self.hold_application_until_proxy_starts.unwrap_or(usual.holds_application);
        Some(InstalledMesh {
            injector: Injector {
                requests,
                limits,
                is_native: self.native_sidecar.unwrap_or(usual.is_native),
                holds_application: holds,
                has_cni: self.cni,
                mesh,
            },
            basis,
            proxy_time: self.proxy_time.clone().unwrap_or_else(|| usual_time(mesh)),
            is_time_stated: self.proxy_time.is_some(),
        })
    }
}

/// The mesh whose control plane is among the manifests.
fn evident(manifests: &[Manifest]) -> Option<Mesh> {
    manifests.iter().find_map(|manifest| {
        if manifest.reference.kind != cluster::Kind::Deployment {
            return None;
        }
        let name = &*manifest.reference.id.name;
        let is_it = |plane: &str| name == plane || name.starts_with(&format!("{plane}-"));
        CONTROL_PLANES.into_iter().find(|(plane, _)| is_it(plane)).map(|(_, mesh)| mesh)
    })
}

/// Assumed times in a proxy, see `docs/assumptions.md`.
fn usual_time(mesh: Mesh) -> TimeDistribution {
    let micros = match mesh {
        Mesh::Istio => 500,
        Mesh::Linkerd => 300,
    };
    let mean = SimDuration::from_nanos(micros * 1_000);
    TimeDistribution::Drawn(Distribution::Lognormal { mean, cv: 0.5 })
}

impl fmt::Display for MeshKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Istio => "istio",
            Self::Linkerd => "linkerd",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> MeshSpec {
        serde_json::from_str(text).expect("settings")
    }

    fn deployment(name: &str) -> Vec<Manifest> {
        let text = format!("{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {name}}}}}");
        let sources = [manifest::Source::new("mesh.yaml", &text)];
        manifest::read_manifests(&sources, &mut manifest::Diagnostics::default())
    }

    #[test]
    fn a_mesh_is_installed_if_stated_or_if_its_control_plane_is_among_the_manifests() {
        let basis = |text: &str, manifests: &[Manifest]| {
            let installed = spec(text).installed(manifests)?;
            Some((installed.injector.mesh, installed.basis))
        };
        assert_eq!(basis("{}", &deployment("shop")), None);
        assert_eq!(
            basis("{}", &deployment("istiod-canary")),
            Some((Mesh::Istio, MeshBasis::Evident))
        );
        assert_eq!(
            basis("{}", &deployment("linkerd-proxy-injector")),
            Some((Mesh::Linkerd, MeshBasis::Evident))
        );
        assert_eq!(basis(r#"{"kind": "none"}"#, &deployment("istiod")), None);
        assert_eq!(basis(r#"{"kind": "linkerd"}"#, &[]), Some((Mesh::Linkerd, MeshBasis::Stated)));
    }

    #[test]
    fn given_resources_replace_all_usual_ones() {
        let mesh = spec(r#"{"kind": "istio", "proxy": {"cpu": "10m"}}"#).installed(&[]);
        let injector = mesh.expect("stated").injector;
        assert_eq!(injector.requests.iter().count(), 1);
        assert!(injector.limits.is_empty());
        let usual = spec(r#"{"kind": "istio"}"#).installed(&[]).expect("stated").injector;
        assert_eq!(usual.requests.get("cpu"), Some("100m".parse().expect("a quantity")));
        assert_eq!(usual.limits.get("memory"), Some("1Gi".parse().expect("a quantity")));
    }
}
