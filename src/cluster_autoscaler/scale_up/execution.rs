//! Requests more nodes from the cloud (`core/scaleup/orchestrator/executor.go`).

use crate::options::Options;
use crate::provider::{CloudProvider, InstanceError};
use crate::registry::Registry;
use crate::report::ScaleUpInfo;
use cluster::Name;
use engine::SimTime;

/// Scales up the groups one by one. Stops at the first that the cloud refuses, which enters back-off; returns it
/// with the cloud's error.
pub(crate) fn execute(
    cloud: &mut dyn CloudProvider,
    registry: &mut Registry,
    infos: &[ScaleUpInfo],
    options: &Options,
    now: SimTime,
) -> Result<(), (Name, String)> {
    for info in infos {
        let delta = info.to - info.from;
        if let Err(error) = cloud.increase_size(&info.group, delta, now) {
            let code =
                InstanceError { is_out_of_resources: false, code: "cloudProviderError".into() };
            registry.backoffs.failed(&info.group, Some(code), options, now);
            let message = format!("failed to increase node group size: {error}");
            return Err((info.group.clone(), message));
        }
        let group = cloud.node_groups().iter().find(|group| group.id == info.group);
        if let Some(group) = group {
            registry.register_scale_up(group, delta, options, now);
        }
    }
    Ok(())
}
