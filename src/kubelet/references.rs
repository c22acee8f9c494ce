//! Pods that wait for a referenced object: a Secret, a ConfigMap, a volume.

use super::context::Context;
use super::making::Sandbox;
use super::unit::State;
use super::worker::{SYNC_RETRY, Worker};
use cluster::claim::Claim;
use cluster::{Kind, NamespacedName};
use engine::{SimDuration, SimTime};

/// Initial back-off for a volume that cannot be set up; it doubles (`initialDurationBeforeRetry` in
/// `pkg/util/goroutinemap/exponentialbackoff`, 1.36).
const MOUNT_BACKOFF: SimDuration = SimDuration::from_millis(500);
/// Maximum of that back-off (`maxDurationBeforeRetry`).
const MOUNT_BACKOFF_MAX: SimDuration = SimDuration::from_secs(122);

impl Worker {
    /// Whether an object that the container needs is missing; if so, schedules a retry. References of volumes are
    /// checked before the pod has any container, those of the environment before this container is created.
    pub(super) fn waits_for_reference(&mut self, position: usize, ctx: &mut Context<'_>) -> bool {
        let now = ctx.now();
        let Some(missing) = ctx.view.missing_reference(ctx.pod) else {
            return false;
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

    /// From when on the pod's volumes can be mounted, as far as is known; `None` if they can. An attached volume is mounted
    /// once the kubelet has reported it as in use (`waitForVolumeAttach` of `pkg/kubelet/volumemanager/reconciler`, 1.36).
    pub(super) fn volumes_due(&self, ctx: &Context<'_>) -> Option<SimTime> {
        let (now, store) = (ctx.now(), ctx.view.store());
        let node = store.nodes().get(self.node)?;
        let claims = store.claims_of(ctx.pod).map(|(_, claim)| claim);
        let attached = claims.filter(|one| one.volume.is_some() && store.is_attachable(one));
        let reported = node.next_report(self.admitted_at, ctx.timing.node_status_update_frequency);
        let at = |claim: &Claim| if claim.is_attached(self.node) { reported } else { SimTime::MAX };
        attached.map(at).max().filter(|due| *due > now)
    }

    /// A volume of the pod has been attached to its node.
    pub(super) fn volume_attached(&mut self, ctx: &mut Context<'_>) {
        if let Sandbox::Attaching { look_at, .. } = &mut self.sandbox {
            *look_at = ctx.now();
            self.settle(ctx);
        }
    }

    /// Tells that the pod's volumes have not been attached in time (`WaitForAttachAndMount`, 1.36); they have the names of
    /// their claims.
    pub(super) fn volumes_missed(&self, ctx: &mut Context<'_>) {
        let store = ctx.view.store();
        let volumes = ctx.spec.references.iter().filter_map(|one| {
            let id = NamespacedName::new(ctx.pod.id.namespace.clone(), one.name.clone());
            let claim = store.claim(&id).filter(|_| one.kind == Kind::PersistentVolumeClaim)?;
            Some((
                one.volume.as_deref().unwrap_or(&*one.name).to_owned(),
                claim.is_attached(self.node),
            ))
        });
        let (mut unmounted, mut unattached) = (Vec::new(), Vec::new());
        for (name, is_attached) in volumes {
            if !is_attached {
                unattached.push(name.clone());
            }
            unmounted.push(name);
        }
        let message = format!(
            "Unable to attach or mount volumes: unmounted volumes=[{}], unattached volumes=[{}], failed to process \
             volumes=[]: context deadline exceeded",
            unmounted.join(" "),
            unattached.join(" ")
        );
        ctx.warn("FailedMount", message);
    }
}
