//! What `explain` says about a Rollout: its step, its versions, and why it stands where it does.

use std::fmt;

use super::steps;
use super::sync::Sync;
use cluster::Name;
use cluster::analysis::{AnalysisRun, MetricRun};
use cluster::rollout::{
    CanaryStep, CanaryStrategy, PauseReason, Rollout, RolloutSpec, RolloutStatus,
};
use engine::SimTime;

/// A version as the sync saw it.
#[derive(Clone, Debug)]
struct Version {
    revision: i64,
    hash: Name,
    /// `new`, `stable`, both, or `earlier`.
    role: &'static str,
    replicas: i32,
    available: i32,
    /// When it is scaled down.
    deadline: Option<SimTime>,
}

/// The inputs of the last sync of a Rollout.
#[derive(Clone, Debug)]
pub(super) struct LastSync {
    at: SimTime,
    spec: RolloutSpec,
    status: RolloutStatus,
    /// The versions that have pods or a name.
    versions: Vec<Version>,
    /// Desired replicas of the versions; only with a canary.
    goal: Option<super::canary::Counts>,
    set_weight: i32,
}

impl LastSync {
    pub(super) fn of(sync: &Sync<'_>) -> Self {
        let rollout: &Rollout = sync.rollout;
        let versions = sync.sets.all.iter().enumerate().map(|(at, set)| {
            let role = match (Some(at) == sync.sets.new, Some(at) == sync.sets.stable) {
                (true, true) => "new and stable",
                (true, false) => "new",
                (false, true) => "stable",
                (false, false) => "earlier",
            };
            Version {
                revision: set.revision,
                hash: set.hash.clone(),
                role,
                replicas: set.replicas,
                available: set.available(),
                deadline: set.deadline,
            }
        });
        let canary = rollout.spec.canary();
        Self {
            at: sync.view.now,
            spec: rollout.spec.clone(),
            status: rollout.status.clone(),
            versions: versions.filter(|one| one.replicas > 0 || one.role != "earlier").collect(),
            goal: canary.map(|canary| sync.counts(canary, rollout.status.weights.as_ref())),
            set_weight: steps::set_weight(rollout),
        }
    }
}

impl fmt::Display for LastSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (spec, status) = (&self.spec, &self.status);
        let colon = if status.message.is_empty() { "" } else { ": " };
        writeln!(
            f,
            "at {}: {:?}{colon}{}, {} replicas wanted",
            self.at, status.phase, status.message, spec.replicas
        )?;
        for Version { revision, hash, role, replicas, available, deadline } in &self.versions {
            write!(
                f,
                "revision {revision} ({hash}), {role}: {replicas} replicas, {available} available"
            )?;
            match deadline {
                Some(at) => writeln!(f, ", scaled down at {at}")?,
                None => writeln!(f)?,
            }
        }
        match (spec.canary(), spec.blue_green()) {
            (Some(canary), _) => self.canary(f, canary)?,
            (_, Some(blue_green)) => {
                writeln!(
                    f,
                    "{} goes to {}",
                    blue_green.active_service,
                    named(&status.active_selector)
                )?;
                if let Some(preview) = &blue_green.preview_service {
                    writeln!(f, "{preview} goes to {}", named(&status.preview_selector))?;
                }
            }
            (None, None) => {}
        }
        for run in status.runs.iter() {
            write_run(f, run)?;
        }
        self.next(f)
    }
}

fn named(hash: &str) -> &str {
    if hash.is_empty() { "all versions" } else { hash }
}

impl LastSync {
    fn canary(&self, f: &mut fmt::Formatter<'_>, canary: &CanaryStrategy) -> fmt::Result {
        let steps = canary.steps.len();
        let at = self.status.current_step.unwrap_or(steps);
        match canary.steps.get(at) {
            Some(step) => writeln!(
                f,
                "step {} of {steps}: {}, weight {}",
                at + 1,
                steps::text(step),
                self.set_weight
            )?,
            None if steps > 0 => writeln!(f, "all {steps} steps are done")?,
            None => writeln!(f, "there are no steps")?,
        }
        if let Some(goal) = self.goal.filter(|_| !self.status.is_fully_promoted()) {
            writeln!(f, "{} new and {} stable replicas are next", goal.new, goal.stable)?;
        }
        match (&self.status.weights, &canary.routing) {
            (Some(weights), Some(_)) => writeln!(
                f,
                "the traffic router gives {} to the canary and {} to the stable Service",
                weights.canary, weights.stable
            ),
            _ => Ok(()),
        }
    }

    /// The condition it waits for.
    fn next(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = &self.status;
        if let Some(since) = status.aborted_at {
            return writeln!(
                f,
                "aborted at {since}: it stays so until its template changes or it is promoted"
            );
        }
        for (reason, since) in &status.pauses {
            let step = self.spec.steps().get(status.current_step.unwrap_or(usize::MAX));
            let duration = step.and_then(CanaryStep::pause);
            match (reason, duration, self.spec.blue_green()) {
                (PauseReason::CanaryPauseStep, Some(duration), _) => {
                    writeln!(f, "paused since {since}, until {}", *since + duration)?;
                }
                (PauseReason::BlueGreenPause, _, Some(strategy))
                    if strategy.auto_promotion_seconds > 0 =>
                {
                    let seconds = strategy.auto_promotion_seconds.into();
                    let end = *since + engine::SimDuration::from_secs(seconds);
                    writeln!(f, "paused since {since}, until {end}")?;
                }
                _ => writeln!(f, "paused since {since} ({}), until it is promoted", reason.name())?,
            }
        }
        Ok(())
    }
}

fn write_run(f: &mut fmt::Formatter<'_>, run: &AnalysisRun) -> fmt::Result {
    let colon = if run.message.is_empty() { "" } else { ": " };
    writeln!(
        f,
        "analysis {} since {}: {}{colon}{}",
        run.name,
        run.started,
        run.phase.name(),
        run.message
    )?;
    run.metrics.iter().try_for_each(|metric| write_metric(f, metric))
}

fn write_metric(f: &mut fmt::Formatter<'_>, run: &MetricRun) -> fmt::Result {
    let metric = &run.metric;
    write!(
        f,
        "  {}: {}, {} measured, {} failed",
        metric.name,
        run.phase.name(),
        run.measured,
        run.failed
    )?;
    if let Some(last) = &run.last {
        write!(f, "; at {} ", last.at)?;
        match last.value {
            Some(value) => {
                let rounded = (value * 1e6).round() / 1e6;
                write!(f, "{rounded} is {}", last.phase.name())?;
            }
            None if last.phase == cluster::analysis::AnalysisPhase::Successful => {
                write!(f, "no rule measures it, so that it is taken for Successful")?;
            }
            None => write!(f, "there was no value: {}", last.phase.name())?,
        }
    }
    for (what, condition) in
        [("success", &metric.success_condition), ("failure", &metric.failure_condition)]
    {
        if let Some(condition) = condition {
            write!(f, " ({what} is {condition})")?;
        }
    }
    writeln!(f)
}
