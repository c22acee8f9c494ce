//! Pods that wait for a referenced object: a Secret, a ConfigMap, a volume.

use super::context::Context;
use super::unit::State;
use super::worker::{SYNC_RETRY, Worker};
use engine::SimDuration;

/// Initial back-off for a volume that cannot be set up; it doubles (`initialDurationBeforeRetry` in
/// `pkg/util/goroutinemap/exponentialbackoff`, 1.36).
const MOUNT_BACKOFF: SimDuration = SimDuration::from_millis(500);
/// Maximum of that back-off (`maxDurationBeforeRetry`).
const MOUNT_BACKOFF_MAX: SimDuration = SimDuration::from_secs(122);

/// Interval of checks whether a volume has become free: the attach-detach controller's loop plus a driver's time.
const ATTACH_LOOK: SimDuration = SimDuration::from_secs(1);

impl Worker {
    /// Whether an object that the container needs is missing; if so, schedules a retry. References of volumes are
    /// checked before the pod has any container, those of the environment before this container is created.
    pub(super) fn waits_for_reference(&mut self, position: usize, ctx: &mut Context<'_>) -> bool {
        let now = ctx.now();
        let Some(missing) = ctx.view.missing_reference(ctx.pod) else {
            return self.waits_for_volume(position, ctx);
        };
        let (kind, name) = (missing.kind.name().to_lowercase(), &missing.name);
        let unit = &mut self.units[position];
        if let Some(volume) = &missing.volume {
            let what = match &missing.key {
                Some(key) => format!("references non-existent {kind} key: {key}"),
                None => format!("{kind} \"{name}\" not found"),
            };
            let message = format!("MountVolume.SetUp failed for volume \"{volume}\" : {what}");
            ctx.warn("FailedMount", message);
            let wait = match unit.state {
                State::Unmounted { wait, .. } => (wait * 2).min(MOUNT_BACKOFF_MAX),
                _ => MOUNT_BACKOFF,
            };
            unit.state = State::Unmounted { retry_at: now + wait, wait };
        } else {
            if !matches!(unit.state, State::ConfigError { .. }) {
                let namespace = &ctx.pod.id.namespace;
                let what = match &missing.key {
                    Some(key) => format!(
                        "couldn't find key {key} in {} {namespace}/{name}",
                        missing.kind.name()
                    ),
                    None => format!("{kind} \"{name}\" not found"),
                };
                ctx.warn("Failed", format!("Error: {what}"));
            }
            unit.state = State::ConfigError { retry_at: now + SYNC_RETRY };
        }
        true
    }

    /// Whether a volume cannot be attached because another node holds it (`isMultiAttachForbidden` of
    /// `pkg/controller/volume/attachdetach`, 1.36); if so, schedules a retry. Reported once.
    fn waits_for_volume(&mut self, position: usize, ctx: &mut Context<'_>) -> bool {
        if self.has_started {
            return false;
        }
        let Some((volume, pod)) = ctx.view.volume_in_use_elsewhere(ctx.now(), ctx.pod) else {
            return false;
        };
        let unit = &mut self.units[position];
        if !matches!(unit.state, State::Unmounted { .. }) {
            let message = format!(
                "Multi-Attach error for volume \"{volume}\" Volume is already used by pod(s) {pod}"
            );
            ctx.warn("FailedAttachVolume", message);
        }
        unit.state = State::Unmounted { retry_at: ctx.now() + ATTACH_LOOK, wait: ATTACH_LOOK };
        true
    }
}
