//! Runs the disruption loop and executes its commands (`pkg/controllers/disruption/queue.go`).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{ClusterAccess, Deletion, InProgress, Operator, Output, Timer};
use crate::disruption::{Command, Step};
use crate::state::Snapshot;
use cluster::Name;
use engine::{SimDuration, SimTime};

/// Interval at which a command is checked until its replacements are ready (`queueBaseDelay`).
const QUEUE_PERIOD: SimDuration = SimDuration::from_secs(1);
/// Timeout of a command whose replacements do not get ready: this much for each command in progress, within the
/// bounds below (`GetMaxRetryDuration`).
const RETRY_FOR_EACH: SimDuration = SimDuration::from_millis(80);
const SHORTEST_RETRY: SimDuration = SimDuration::from_secs(600);
const LONGEST_RETRY: SimDuration = SimDuration::from_secs(3600);

impl Operator {
    pub(super) fn disrupt(
        &mut self,
        now: SimTime,
        look: &mut ClusterAccess<'_>,
        out: &mut Vec<Output>,
    ) {
        let Some(controller) = &mut self.controller else { return };
        let queue = self.queue.values();
        let queued: BTreeSet<Name> = queue
            .flat_map(|one| one.command.candidates.iter().map(|one| one.provider_id.clone()))
            .collect();
        let is_queued = |id: &str| queued.contains(id);
        let is_synced = self.claims.are_launched();
        let has_drifted = self.claims.0.values().any(|one| one.claim.drifted.is_some());
        if controller.rests(now, is_synced, has_drifted, &mut self.stamp) {
            return;
        }
        let snapshot = (look.cluster)(&self.claims);
        let step = controller.step(&snapshot, &mut self.stamp, &is_queued);
        let round = controller.round();
        match step {
            Step::Wait => {}
            Step::Nothing { had_command, obstacles } => {
                if had_command {
                    out.push(Output::NothingLeft { round });
                }
                out.push(Output::Kept(obstacles));
            }
            Step::Failed(method, why) => out.push(Output::Invalidated { round, method, why }),
            Step::Start(command) => self.start(Arc::from(command), &snapshot, round, out),
        }
    }

    /// Begins to execute a command (`StartCommand`).
    fn start(
        &mut self,
        command: Arc<Command>,
        snapshot: &Snapshot,
        round: SimTime,
        out: &mut Vec<Output>,
    ) {
        let now = snapshot.now;
        out.push(Output::Started { round, command: Arc::clone(&command) });
        for one in &command.candidates {
            out.push(Output::Taint { node: one.node.clone(), is_disrupted: true });
            self.disrupted.insert(one.node.clone());
            self.trigger_node(&one.node, now);
        }
        let made = command.replacements.iter();
        let replacements: Vec<Name> =
            made.filter_map(|claim| self.create(claim, snapshot, out)).collect();
        if replacements.len() < command.replacements.len() {
            // Without all replacements no node is removed; claims already created stay.
            self.fail(&command, now, out);
            return;
        }
        for one in &command.candidates {
            self.mark(&one.node, true);
        }
        self.stamp.mark(now);
        let nominated = self.nominate(&command.results, snapshot);
        self.untold.extend(nominated);
        self.last_number += 1;
        let number = self.last_number;
        self.queue.insert(number, InProgress { command, replacements, since: now });
        self.at(now, Timer::Poll(number));
    }

    /// Deletes the nodes of a command once its replacements are ready (`waitOrTerminate`).
    pub(super) fn poll_queue(&mut self, number: u64, now: SimTime, out: &mut Vec<Output>) {
        let Some(one) = self.queue.get(&number).cloned() else { return };
        let states: Option<Vec<bool>> = one
            .replacements
            .iter()
            .map(|name| Some(self.claims.get(name)?.claim.initialized.is_some()))
            .collect();
        let count = i64::try_from(self.queue.len()).unwrap_or(i64::MAX);
        let retry = (RETRY_FOR_EACH * count).max(SHORTEST_RETRY).min(LONGEST_RETRY);
        match states {
            Some(states) if states.iter().all(|is_ready| *is_ready) => {
                self.queue.remove(&number);
                out.push(Output::Done { command: Arc::clone(&one.command), has_succeeded: true });
                for candidate in &one.command.candidates {
                    let why = Deletion::Disrupted(one.command.method);
                    self.delete(&candidate.node, why, now, out);
                }
            }
            Some(_) if now.since(one.since) <= retry => {
                self.at(now + QUEUE_PERIOD + self.latency, Timer::Poll(number));
            }
            // A replacement was deleted, or the command timed out.
            _ => {
                self.queue.remove(&number);
                self.fail(&one.command, now, out);
            }
        }
    }

    /// Gives up a command: its nodes stay.
    fn fail(&mut self, command: &Arc<Command>, now: SimTime, out: &mut Vec<Output>) {
        for candidate in &command.candidates {
            self.mark(&candidate.node, false);
            self.disrupted.remove(&candidate.node);
            out.push(Output::Taint { node: candidate.node.clone(), is_disrupted: false });
        }
        self.stamp.mark(now);
        out.push(Output::Done { command: Arc::clone(command), has_succeeded: false });
    }

    fn mark(&mut self, name: &str, is_marked: bool) {
        if let Some(one) = self.claims.0.get_mut(name) {
            one.is_marked = is_marked;
        }
    }
}
