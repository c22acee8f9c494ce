//! Before a container is made: what it refers to must be there, and its image (`EnsureImageExists` of
//! `pkg/kubelet/images`, 1.36).

use super::PodStep;
use super::context::Context;
use super::images::Pull;
use super::unit::{State, Unit};
use super::worker::{SYNC_RETRY, Worker};
use cluster::pod_template::{Container, ImagePullPolicy};
use engine::{SimDuration, SimTime};

/// The longest wait between two pulls of an image that cannot be pulled.
const PULL_BACKOFF_MAX: SimDuration = SimDuration::from_secs(300);
/// Why a pull fails: there is no such image, or the registry does not give it.
const PULL_FAILED: &str = "ErrImagePull";
/// The kubelet asks no more often.
const THROTTLED: &str = "pull QPS exceeded";

impl Worker {
    /// Looks for what the container needs, and pulls its image.
    pub(super) fn prepare(
        &mut self,
        position: usize,
        container: &Container,
        ctx: &mut Context<'_>,
    ) {
        let now = ctx.now();
        let profile = self.profiles[position];
        let unit = &mut self.units[position];
        if let Some(missing) = ctx.view.missing_reference(ctx.pod) {
            if !matches!(unit.state, State::ConfigError { .. }) {
                let kind = missing.kind.name().to_lowercase();
                let message = format!("Error: {kind} \"{}\" not found", missing.name);
                ctx.warn("Failed", message);
            }
            unit.state = State::ConfigError { retry_at: now + SYNC_RETRY };
            return;
        }
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

    /// The kubelet had asked for too many images when it was this one's turn.
    pub(super) fn pull_throttled(
        &mut self,
        position: usize,
        container: &Container,
        ctx: &mut Context<'_>,
    ) {
        self.pull_failing(position, container, THROTTLED, ctx);
    }

    /// A pull of an image that cannot be pulled, unless it is too early for another.
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
    /// Whether it is too early for another pull after one that failed.
    fn pull_waits(&self, now: SimTime) -> bool {
        self.pull_backoff.is_some_and(|(wait, since)| now - since < wait)
    }
}
