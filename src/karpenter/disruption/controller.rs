//! The disruption loop, which tries the methods in order (`controller.go`).

use std::collections::BTreeMap;

use super::candidate::Obstacle;
use super::command::Command;
use super::methods::Method;
use super::round::Round;
use super::validation::{Invalid, VALIDATION_DELAY, validate};
use crate::state::Snapshot;
use engine::{SimDuration, SimTime};

/// Interval between rounds without a command (`pollingPeriod`).
const POLLING_PERIOD: SimDuration = SimDuration::from_secs(10);
/// The same while a claim has no instance yet.
const UNSYNCED_PERIOD: SimDuration = SimDuration::from_secs(1);
/// A cluster counts as changed after this time at the latest.
const LONGEST_REST: SimDuration = SimDuration::from_secs(300);

/// When the cluster last changed in a way that may allow consolidation.
#[derive(Clone, Copy, Debug)]
pub struct ChangeStamp(SimTime);

impl ChangeStamp {
    /// The stamp of a cluster that changes now.
    pub const fn new(now: SimTime) -> Self {
        Self(now)
    }

    /// Records a change (`MarkUnconsolidated`).
    pub const fn mark(&mut self, now: SimTime) {
        self.0 = now;
    }

    /// Time of the last change; the cluster counts as changed every five minutes (`ConsolidationState`).
    pub fn state(&mut self, now: SimTime) -> SimTime {
        if now.since(self.0) >= LONGEST_REST {
            self.0 = now;
        }
        self.0
    }
}

/// Result of a step of the loop.
#[derive(Clone, Debug)]
pub enum Step {
    /// Nothing yet: a command awaits its validation, or the cluster state is not synced.
    Wait,
    /// A command failed validation, and the loop continues with the next method.
    Failed(Method, Invalid),
    /// The round ended without a command to execute.
    Nothing {
        /// True if a command failed validation in this round.
        had_command: bool,
        /// Why nodes were kept, by node.
        obstacles: Vec<Obstacle>,
    },
    /// A command to execute; the next round begins at once.
    Start(Box<Command>),
}

/// The disruption loop.
#[derive(Clone, Debug)]
pub struct Controller {
    /// When the next step is due.
    due: SimTime,
    /// Start of the current round.
    round: SimTime,
    /// Position of the next method in this round.
    next: usize,
    /// The command that awaits its validation.
    pending: Option<Command>,
    had_command: bool,
    /// Why nodes were kept in this round.
    obstacles: Vec<Obstacle>,
    /// The change stamp at which a method found nothing to do.
    settled: BTreeMap<Method, SimTime>,
}

impl Controller {
    /// A loop whose first round begins at `first`.
    pub const fn new(first: SimTime) -> Self {
        Self {
            due: first,
            round: first,
            next: 0,
            pending: None,
            had_command: false,
            obstacles: Vec::new(),
            settled: BTreeMap::new(),
        }
    }

    /// When to call [`Self::step`] next.
    pub const fn due(&self) -> SimTime {
        self.due
    }

    /// Start of the current round.
    pub const fn round(&self) -> SimTime {
        self.round
    }

    /// Starts a round and returns true if there is nothing to do in it, because a claim has no instance yet or
    /// nothing has changed. On false, call [`Self::step`].
    pub fn rests(
        &mut self,
        now: SimTime,
        is_synced: bool,
        has_drifted: bool,
        stamp: &mut ChangeStamp,
    ) -> bool {
        if self.next > 0 || self.pending.is_some() {
            return false;
        }
        self.round = now;
        self.had_command = false;
        self.obstacles.clear();
        if !is_synced {
            self.due = now + UNSYNCED_PERIOD;
            return true;
        }
        let state = stamp.state(now);
        let is_settled = |method: &Method| {
            if *method == Method::Drift {
                !has_drifted
            } else {
                self.settled.get(method) == Some(&state)
            }
        };
        let rests = Method::ALL.iter().all(is_settled);
        if rests {
            self.due = now + POLLING_PERIOD;
        }
        rests
    }

    /// Performs the step that is due.
    pub fn step(
        &mut self,
        snapshot: &Snapshot,
        stamp: &mut ChangeStamp,
        is_queued: &dyn Fn(&str) -> bool,
    ) -> Step {
        let now = snapshot.now;
        if let Some(command) = self.pending.take() {
            let method = command.method;
            return match validate(snapshot, command, is_queued) {
                Ok(command) => self.start(command, now),
                Err(invalid) => {
                    self.had_command = true;
                    // A round ends with the last method that validates its commands.
                    if method == Method::SingleNodeConsolidation {
                        self.next = Method::ALL.len();
                    }
                    Step::Failed(method, invalid)
                }
            };
        }
        let round = Round::new(snapshot, is_queued);
        while let Some(method) = Method::ALL.get(self.next).copied() {
            self.next += 1;
            if method != Method::Drift && self.settled.get(&method) == Some(&stamp.state(now)) {
                continue;
            }
            let proposal = method.propose(&round);
            self.obstacles.extend(proposal.obstacles);
            if proposal.is_settled {
                self.settled.insert(method, stamp.state(now));
            }
            match proposal.command {
                None => {}
                Some(command) if method.is_validated() => {
                    self.pending = Some(command);
                    self.due = now + VALIDATION_DELAY;
                    return Step::Wait;
                }
                Some(command) => return self.start(command, now),
            }
        }
        self.next = 0;
        self.due = now + POLLING_PERIOD;
        let obstacles = std::mem::take(&mut self.obstacles);
        Step::Nothing { had_command: self.had_command, obstacles }
    }

    fn start(&mut self, command: Command, now: SimTime) -> Step {
        self.next = 0;
        self.due = now;
        Step::Start(Box::new(command))
    }
}
