//! The service mesh of a scenario, and the messages about its labels and annotations.

use manifest::{Diagnostic, Diagnostics, NO_MESH, read_manifests};
use scenario::mesh::InstalledMesh;
use scenario::resolved::ResolvedScenario;

/// The mesh that the scenario or the manifests of the start install.
pub(super) fn mesh_of(resolved: &ResolvedScenario) -> Option<InstalledMesh> {
    let settings = &resolved.scenario().mesh;
    let may_be_evident = || {
        let sources = resolved.files.manifests.iter();
        sources.map(|source| source.text.as_str()).any(InstalledMesh::may_be_named_in)
    };
    if settings.kind.is_none() && !may_be_evident() {
        return None;
    }
    // Unreadable manifests are reported elsewhere.
    let manifests = read_manifests(&resolved.files.manifests, &mut Diagnostics::default());
    settings.installed(&manifests)
}

/// Whether a message says that a mark of the installed mesh has no effect.
pub(super) fn says_of_injection(problem: &Diagnostic, mesh: &InstalledMesh) -> bool {
    let is_of = |name: &str| problem.message.contains(name);
    let is_of_istio = is_of("`istio") || is_of("`sidecar.istio");
    let is_of_mesh = match mesh.injector.mesh {
        cluster::injection::Mesh::Istio => is_of_istio,
        cluster::injection::Mesh::Linkerd => !is_of_istio,
    };
    problem.code == "ignored-field" && problem.message.contains(NO_MESH) && is_of_mesh
}
