//! Steps before a container is created: its references must exist and its image be present
//! (`EnsureImageExists` of `pkg/kubelet/images`, 1.36).

use super::PodStep;
use super::context::Context;
use super::images::Pull;
use super::unit::{State, Unit};
use super::worker::{SYNC_RETRY, Worker};
use cluster::pod_template::{Container, ImagePullPolicy};
use engine::{SimDuration, SimTime};

/// Longest back-off between failed pulls of an image.
const PULL_BACKOFF_MAX: SimDuration = SimDuration::from_secs(300);
/// Waiting reason of a failed pull: the image does not exist, or the registry refuses it.
const PULL_FAILED: &str = "ErrImagePull";
/// Message of a pull rejected by the kubelet's rate limit.
const THROTTLED: &str = "pull QPS exceeded";

impl Worker {
    /// Checks the container's references and pulls its image.
    pub(super) fn prepare(
        &mut self,
        position: usize,
        container: &Container,
        ctx: &mut Context<'_>,
    ) {
        let now = ctx.now();
        let profile = self.profiles[position];
        if self.waits_for_reference(position, ctx) {
            return;
        }
        let unit = &mut self.units[position];
        let is_there = ctx.agent.images.has(&container.image);
        if container.image_pull_policy == ImagePullPolicy::Never && !is_there {
            let message = format!(
                "Container image \"{}\" is not present with pull policy of Never",
                container.image
            );
            ctx.warn("ErrImageNeverPull", message);
            unit.state = State::NeverPulled;
            return;
        }
        let must_ask = !is_there || container.image_pull_policy == ImagePullPolicy::Always;
        if profile.pull_fails && must_ask {
            return self.pull_failing(position, container, PULL_FAILED, ctx);
        }
        if !is_there && unit.pull_waits(now) {
            return self.pull_failing(position, container, THROTTLED, ctx);
        }
        match ctx.agent.images.pull(now, &container.image, &profile, ctx.settings) {
            Pull::Done(done_at) => unit.state = State::Pulling { done_at },
            Pull::Throttled(at) => unit.state = State::PullThrottled { at },
        }
    }

    /// The pull was rejected because the kubelet's pull rate limit was exceeded.
    pub(super) fn pull_throttled(
        &mut self,
        position: usize,
        container: &Container,
        ctx: &mut Context<'_>,
    ) {
        self.pull_failing(position, container, THROTTLED, ctx);
    }

    /// Attempts a pull that fails, unless the pull back-off is still running.
    fn pull_failing(
        &mut self,
        position: usize,
        container: &Container,
        reason: &str,
        ctx: &mut Context<'_>,
    ) {
        let now = ctx.now();
        let unit = &self.units[position];
        let backoff = unit.pull_backoff;
        if !unit.pull_waits(now) {
            ctx.out.steps.push((self.pod, PodStep::PullCalled(position)));
            let message = format!("Failed to pull image \"{}\": {reason}", container.image);
            ctx.warn("Failed", message);
            let wait = backoff.map_or(SYNC_RETRY, |(wait, _)| (wait * 2).min(PULL_BACKOFF_MAX));
            let unit = &mut self.units[position];
            unit.pull_failures += 1;
            unit.pull_backoff = Some((wait, now));
        }
        let retry_at = self.retry_at(SYNC_RETRY, ctx);
        self.units[position].state = State::PullBackOff { retry_at };
    }
}

impl Unit {
    /// Whether the back-off after a failed pull is still running.
    fn pull_waits(&self, now: SimTime) -> bool {
        self.pull_backoff.is_some_and(|(wait, since)| now - since < wait)
    }
}
