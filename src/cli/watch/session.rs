//! The state of `wavetank watch`: the simulation, its speed, the selection, and the user's
//! interventions. Independent of terminal and clock.

use std::fmt::Write as _;

use cluster::node::NodeId;
use cluster::scale::{Scale, ScaleTarget};
use cluster::{Name, ObjectReference};
use engine::{SimDuration, SimTime};
use faults::{PodDeletion, ScaleChange, TimelineAction, TimelineEntry};
use sim::Simulation;

/// Maximum speed in simulated seconds per second.
const SPEED_MAX: u32 = 100_000;
/// Maximum length of a step without an event.
const STEP_MAX: SimDuration = SimDuration::from_secs(60);

/// Progress of simulated time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At the selected speed.
    Running,
    /// Paused.
    Paused,
    /// The end of the run is reached.
    Over,
}

/// The list that has the focus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Panel {
    /// Workloads: desired and observed replicas.
    Workloads,
    /// Nodes with their pods.
    Nodes,
}

/// User commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ends the program.
    Quit,
    /// Closes the help or cancels a question; if neither is open, ends the program.
    Back,
    /// Confirms the question.
    Confirm,
    /// Pauses or resumes.
    Pause,
    /// Advances to the next logged event.
    Step,
    /// Doubles the speed.
    Faster,
    /// Halves the speed.
    Slower,
    /// Moves the focus to the other list.
    OtherPanel,
    /// Selects the next row.
    Next,
    /// Selects the previous row.
    Previous,
    /// Stops a node's machine, or restarts it; for a workload, deletes one pod without grace period.
    Kill,
    /// `kubectl drain` of the node.
    Drain,
    /// `kubectl uncordon` of the node.
    Uncordon,
    /// Adds a replica.
    ScaleUp,
    /// Removes a replica.
    ScaleDown,
    /// Shows or hides the help.
    Help,
}

/// A run being watched.
#[derive(Debug)]
pub struct Session {
    simulation: Simulation,
    name: String,
    end: SimTime,
    speed: u32,
    is_paused: bool,
    is_behind: bool,
    /// Time up to which the simulation is due.
    target: SimTime,
    panel: Panel,
    selected: [usize; 2],
    shows_help: bool,
    /// A disruptive action that waits for confirmation.
    asked: Option<TimelineAction>,
    done: Vec<TimelineEntry>,
    notice: String,
}

impl Session {
    /// A run at its start.
    pub fn new(simulation: Simulation, name: String, end: SimTime) -> Self {
        let target = simulation.now();
        Self {
            simulation,
            name,
            end,
            speed: 30,
            is_paused: false,
            is_behind: false,
            target,
            panel: Panel::Nodes,
            selected: [0, 0],
            shows_help: false,
            asked: None,
            done: Vec::new(),
            notice: String::new(),
        }
    }

    /// The simulation.
    pub const fn simulation(&self) -> &Simulation {
        &self.simulation
    }

    /// The fingerprint of the run so far.
    #[cfg(test)]
    pub fn digest(&mut self) -> u64 {
        self.simulation.digest()
    }

    /// The scenario's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// End of the run.
    pub const fn end(&self) -> SimTime {
        self.end
    }

    /// Requested speed in simulated seconds per second.
    pub const fn speed(&self) -> u32 {
        self.speed
    }

    /// True if simulation cannot keep up with the requested speed.
    pub const fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// The list that has the focus.
    pub const fn panel(&self) -> Panel {
        self.panel
    }

    /// The selected row of a list.
    pub fn selected(&self, panel: Panel) -> usize {
        let rows = match panel {
            Panel::Workloads => self.simulation.recorder().workloads.len(),
            Panel::Nodes => self.nodes().len(),
        };
        self.selected[panel as usize].min(rows.saturating_sub(1))
    }

    /// True if the help is shown.
    pub(crate) const fn shows_help(&self) -> bool {
        self.shows_help
    }

    /// The effect of the last command, or why it had none.
    pub fn notice(&self) -> &str {
        &self.notice
    }

    /// The nodes, in the order in which they joined.
    pub fn nodes(&self) -> Vec<(NodeId, Name)> {
        let nodes = self.simulation.view().store().nodes().iter();
        let mut nodes: Vec<_> =
            nodes.map(|(id, node)| (node.meta.sequence, id, node.meta.name().clone())).collect();
        nodes.sort_by_key(|(sequence, ..)| *sequence);
        nodes.into_iter().map(|(_, id, name)| (id, name)).collect()
    }

    /// Sets the speed, clamped to the valid range.
    pub(crate) fn set_speed(&mut self, speed: u32) {
        self.speed = speed.clamp(1, SPEED_MAX);
    }

    /// Simulates up to a time and pauses there.
    pub(crate) fn begin_at(&mut self, at: SimTime) {
        self.simulation.run_until(at.min(self.end));
        self.target = self.simulation.now();
        self.is_paused = true;
    }

    /// The progress of simulated time.
    pub(crate) fn pace(&self) -> Pace {
        if self.simulation.now() >= self.end {
            Pace::Over
        } else if self.is_paused {
            Pace::Paused
        } else {
            Pace::Running
        }
    }

    /// The time up to which to simulate after this much real time has passed.
    pub fn target(&mut self, passed: SimDuration) -> SimTime {
        self.target = (self.target + passed * i64::from(self.speed)).min(self.end);
        self.target
    }

    /// Processes one event before a time; false once the time is reached.
    pub(crate) fn step_towards(&mut self, target: SimTime) -> bool {
        match self.simulation.next_time() {
            Some(at) if at <= target => self.simulation.step(),
            _ => {
                self.simulation.run_until(target);
                self.is_behind = false;
                false
            }
        }
    }

    /// Drops the simulated time that there was no real time for.
    pub(crate) fn fall_behind(&mut self) {
        self.is_behind = true;
        self.target = self.simulation.now();
    }

    /// Executes a command; false if the program is to end.
    pub fn execute(&mut self, command: Command) -> bool {
        self.notice.clear();
        // Any other key declines.
        let asked = self.asked.take();
        match command {
            Command::Back if asked.is_some() => {}
            Command::Back if self.shows_help => self.shows_help = false,
            Command::Back | Command::Quit => return false,
            Command::Confirm => {
                if let Some(action) = asked {
                    self.intervene(action);
                }
            }
            Command::Pause => {
                self.is_paused = !self.is_paused;
                self.target = self.simulation.now();
            }
            Command::Step => self.step(),
            Command::Faster => self.set_speed(self.speed.saturating_mul(2)),
            Command::Slower => self.set_speed(self.speed / 2),
            Command::OtherPanel => {
                self.panel = match self.panel {
                    Panel::Workloads => Panel::Nodes,
                    Panel::Nodes => Panel::Workloads,
                };
            }
            Command::Next => {
                let row = self.selected(self.panel);
                self.selected[self.panel as usize] = row + 1;
            }
            Command::Previous => {
                let row = self.selected(self.panel);
                self.selected[self.panel as usize] = row.saturating_sub(1);
            }
            Command::Kill => self.kill(),
            Command::Drain => {
                if let Some(name) = self.node_or_notice() {
                    self.confirm(&format!("drain {name}"), TimelineAction::Drain(name));
                }
            }
            Command::Uncordon => {
                if let Some(name) = self.node_or_notice() {
                    self.intervene(TimelineAction::Uncordon(name));
                }
            }
            Command::ScaleUp => self.scale(1),
            Command::ScaleDown => self.scale(-1),
            Command::Help => self.shows_help = !self.shows_help,
        }
        true
    }

    /// Advances to the next logged event, within a limit.
    fn step(&mut self) {
        self.is_paused = true;
        let logged = self.simulation.recorder().log.len();
        let until = (self.simulation.now() + STEP_MAX).min(self.end);
        while self.simulation.recorder().log.len() == logged && self.step_towards(until) {}
        self.target = self.simulation.now();
    }

    fn selected_node(&self) -> Option<(NodeId, Name)> {
        self.nodes().into_iter().nth(self.selected(Panel::Nodes))
    }

    fn selected_workload(&self) -> Option<ObjectReference> {
        let workloads = &self.simulation.recorder().workloads;
        workloads.get(self.selected(Panel::Workloads)).map(|one| one.workload.clone())
    }

    fn kill(&mut self) {
        match self.panel {
            Panel::Nodes => {
                let Some((id, name)) = self.selected_node() else { return };
                if self.simulation.node_works(id) {
                    let what = format!("stop the machine of {name}");
                    self.confirm(&what, TimelineAction::KillNode(name));
                } else {
                    self.intervene(TimelineAction::RecoverNode(name));
                }
            }
            Panel::Workloads => {
                let Some(workload) = self.selected_workload() else { return };
                let what = format!("delete a pod of {workload} without grace");
                let deletion = PodDeletion { workload, count: 1, force: true };
                self.confirm(&what, TimelineAction::DeletePod(deletion));
            }
        }
    }

    /// Asks for confirmation of a disruptive action.
    fn confirm(&mut self, what: &str, action: TimelineAction) {
        self.notice = format!("{what}? y to confirm, any other key to cancel");
        self.asked = Some(action);
    }

    /// The selected node; without one, sets a notice that says which key selects nodes.
    fn node_or_notice(&mut self) -> Option<Name> {
        let selected = self.selected_node().filter(|_| self.panel == Panel::Nodes);
        if selected.is_none() {
            "select a node first: Tab switches to the nodes".clone_into(&mut self.notice);
        }
        selected.map(|(_, name)| name)
    }

    fn scale(&mut self, by: i32) {
        let workload = self.selected_workload().filter(|_| self.panel == Panel::Workloads);
        let Some(workload) = workload else {
            "select a workload first: Tab switches to the workloads".clone_into(&mut self.notice);
            return;
        };
        let Some(Scale { spec_replicas, .. }) = self.scale_of(&workload) else {
            self.notice = format!("a {} has no replicas to scale", workload.kind);
            return;
        };
        let replicas = u32::try_from(spec_replicas.saturating_add(by)).unwrap_or(0);
        self.intervene(TimelineAction::Scale(ScaleChange { workload, replicas }));
    }

    fn scale_of(&self, workload: &ObjectReference) -> Option<Scale> {
        let store = self.simulation.view().store();
        let object = store.object_named(workload.kind, &workload.id)?;
        store.scale(ScaleTarget::of(object)?)
    }

    fn intervene(&mut self, action: TimelineAction) {
        self.simulation.advance_to_free_instant();
        if self.simulation.now() > self.end {
            "the run is over".clone_into(&mut self.notice);
            return;
        }
        self.target = self.target.max(self.simulation.now());
        let at = self.simulation.now() - SimTime::ZERO;
        let entry = TimelineEntry { at, every: None, actor: None, action };
        self.simulation.intervene(&entry.action);
        self.notice = text_of(&entry);
        self.done.push(entry);
    }

    /// The user's interventions as a timeline that reproduces the run with the same seed; empty if there
    /// were none.
    pub(crate) fn interventions_as_timeline(&self) -> String {
        let mut text = String::new();
        if !self.done.is_empty() {
            let seed = self.simulation.seed();
            let _ = writeln!(
                text,
                "# your actions; added to the scenario, with --seed {seed}, they reproduce this run:"
            );
            text.push_str("timeline:\n");
        }
        for entry in &self.done {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  - {}", text_of(entry));
        }
        text
    }
}

/// A timeline entry on one line.
fn text_of(entry: &TimelineEntry) -> String {
    let mut written = serde_json::to_value(entry).unwrap_or_default();
    scenario::read::drop_empty_fields(&mut written);
    written.to_string()
}
