//! The loop that tries one method after the other (`controller.go`).

use std::collections::BTreeMap;

use super::command::Command;
use super::methods::Method;
use super::validation::{Invalid, VALIDATION_DELAY, validate};
use crate::state::Snapshot;
use cluster::Name;
use engine::{SimDuration, SimTime};

/// From a round in which nothing was done to the next (`pollingPeriod`).
const POLLING_PERIOD: SimDuration = SimDuration::from_secs(10);
/// The same while a claim has no instance yet.
const UNSYNCED_PERIOD: SimDuration = SimDuration::from_secs(1);
/// What has not changed for so long is looked at again nevertheless.
const LONGEST_REST: SimDuration = SimDuration::from_secs(300);

/// When the cluster last changed in a way that may let nodes go.
#[derive(Clone, Copy, Debug)]
pub struct ChangeStamp(SimTime);

impl ChangeStamp {
    /// A cluster that has changed now.
    pub const fn new(now: SimTime) -> Self {
        Self(now)
    }

    /// It has changed (`MarkUnconsolidated`).
    pub const fn mark(&mut self, now: SimTime) {
        self.0 = now;
    }

    /// When it last did; it counts as changed every five minutes (`ConsolidationState`).
    pub fn state(&mut self, now: SimTime) -> SimTime {
        if now.since(self.0) >= LONGEST_REST {
            self.0 = now;
        }
        self.0
    }
}

/// What a step of the loop comes to.
#[derive(Clone, Debug)]
pub enum Step {
    /// Nothing yet: a command is looked at again later, or the cluster is not complete.
    Wait,
    /// A command failed its second look, and the loop goes on with the next method.
    Failed(Method, Invalid),
    /// The round is over, and nothing is done.
    Nothing {
        /// Whether a command failed its second look in it.
        had_command: bool,
        /// Why nodes were left alone, by node.
        obstacles: Vec<(Name, String)>,
    },
    /// This is to be done; the next round begins at once.
    Start(Box<Command>),
}

/// The loop.
#[derive(Clone, Debug)]
pub struct Controller {
    /// When the next step is due.
    due: SimTime,
    /// When the round began.
    round: SimTime,
    /// The method that is next in this round, by place.
    next: usize,
    /// What waits for its second look.
    pending: Option<Command>,
    had_command: bool,
    /// Why nodes were left alone in this round.
    obstacles: Vec<(Name, String)>,
    /// The change stamp at which a method found nothing to do.
    settled: BTreeMap<Method, SimTime>,
}

impl Controller {
    /// A loop whose first round begins then.
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

    /// When [`Self::step`] is to be called next.
    pub const fn due(&self) -> SimTime {
        self.due
    }

    /// When the round began.
    pub const fn round(&self) -> SimTime {
        self.round
    }

    /// Begins a round in which there is nothing to look at: a claim has no instance yet, or nothing has changed. Says
    /// whether that is so; otherwise [`Self::step`] is to be called.
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

    /// Goes on at its time.
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
                    // A round ends with the last method that is validated.
                    if method == Method::SingleNodeConsolidation {
                        self.next = Method::ALL.len();
                    }
                    Step::Failed(method, invalid)
                }
            };
        }
        while let Some(method) = Method::ALL.get(self.next).copied() {
            self.next += 1;
            if method != Method::Drift && self.settled.get(&method) == Some(&stamp.state(now)) {
                continue;
            }
            let proposal = method.propose(snapshot, is_queued);
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
