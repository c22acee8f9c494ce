//! Runs a case loop by loop.

use serde_json::{Map, Value, json};

use super::case::{Case, RecordedLoop, WorldEvent};
use super::compare::{in_order, is_done_by_autoscaler};
use super::decisions::{decided, seconds, state};
use super::world::World;
use cluster_autoscaler::expander::{PriorityList, TieBreaker};
use cluster_autoscaler::trigger::{next_loop, starts_loop};
use cluster_autoscaler::{ClusterAutoscaler, Options};
use engine::{SimDuration, SimTime};
use manifest::{Diagnostics, Source, read_documents};

/// Delay of a loop that follows the previous one at once.
const AT_ONCE: SimDuration = SimDuration::from_millis(100);
/// Maximum number of rounds of the autoscaler at one instant.
const MAX_ROUNDS: usize = 1000;
/// Order of the world's events within one second.
const ORDER: [&str; 9] = [
    "node_removed",
    "node_registered",
    "node_notready",
    "node_ready",
    "gpu_allocatable",
    "instance_running_never_registers",
    "pod_created",
    "pod_gone",
    "bind",
];

/// A case in progress.
pub(super) struct Run {
    world: World,
    autoscaler: ClusterAutoscaler,
    /// Number of user actions carried out so far.
    acted: usize,
    /// Time of the last loop, and the number of loops.
    last: Option<SimTime>,
    loops: usize,
    /// Time at which a pod last became unschedulable after that loop.
    news: Option<SimTime>,
    explanation: String,
}

impl Run {
    /// The case before its first loop.
    pub(super) fn new(case: &Case) -> Result<Self, String> {
        Ok(Self {
            world: World::new(case)?,
            autoscaler: ClusterAutoscaler::new(options(case)?, TieBreaker::First, SimTime::ZERO),
            acted: 0,
            last: None,
            loops: 0,
            news: None,
            explanation: String::new(),
        })
    }

    /// Advances to the next loop, runs it, and returns all decisions.
    pub(super) fn next(
        &mut self,
        case: &Case,
        recorded: &RecordedLoop,
    ) -> Result<Map<String, Value>, String> {
        let now = SimTime::from_secs_f64(recorded.t);
        self.advance(case, recorded, now)?;
        let due = self.due(case, now);
        let pending = self.world.pending();
        // The cloud changes during the loop, the cluster through the requests after it.
        let view = cluster::ClusterView::new(&self.world.store, now);
        let (requests, report) = self.autoscaler.run_once(view, &pending, &mut self.world.cloud);
        self.world.carry_out(now, requests)?;
        self.act(now)?;
        self.last = Some(now);
        self.loops += 1;
        self.news = None;
        let mut decisions = decided(&report);
        let mut done = std::mem::take(&mut self.world.cloud.log);
        done.append(&mut self.world.log);
        decisions.insert("did".into(), in_order(done));
        let state = state(&self.autoscaler, &self.world, now);
        decisions.insert("st".into(), Value::Object(state));
        decisions.insert("t".into(), seconds(due));
        self.explanation = format!("{report:#?}");
        Ok(decisions)
    }

    /// The end of the log up to the last loop.
    pub(super) fn explanation(&self) -> String {
        const LINES: usize = 60;
        self.explanation.lines().take(LINES).collect::<Vec<_>>().join("\n")
    }

    /// Advances to `now`: first the autoscaler's actions, then the world's events.
    fn advance(
        &mut self,
        case: &Case,
        recorded: &RecordedLoop,
        now: SimTime,
    ) -> Result<(), String> {
        let place = |event: &WorldEvent| ORDER.iter().position(|one| *one == event.ev);
        let mut events: Vec<&WorldEvent> =
            recorded.world.iter().filter(|event| !is_done_by_autoscaler(event)).collect();
        events.sort_by(|one, other| {
            one.t.total_cmp(&other.t).then_with(|| place(one).cmp(&place(other)))
        });
        let mut events = events.into_iter().peekable();
        loop {
            let happens = events.peek().map(|event| SimTime::from_secs_f64(event.t));
            let acted = case.input.actions.get(self.acted);
            let acts = acted.map(|action| SimTime::from_secs_f64(action.t));
            let goes_on = self.autoscaler.next_act(self.last.unwrap_or(SimTime::ZERO));
            let next = [happens, acts, goes_on].into_iter().flatten().min();
            let Some(at) = next.filter(|at| *at <= now) else { break };
            if goes_on == Some(at) {
                self.act(at)?;
                self.world.update_budgets(at)?;
                continue;
            }
            while let Some(action) = case.input.actions.get(self.acted) {
                if SimTime::from_secs_f64(action.t) > at {
                    break;
                }
                self.world.user(action, self.acted)?;
                self.acted += 1;
            }
            let mut created = Vec::new();
            while let Some(event) = events.next_if(|event| SimTime::from_secs_f64(event.t) <= at) {
                created.extend(self.world.happen(event)?);
            }
            self.world.update_budgets(at)?;
            let store = &self.world.store;
            let waits = |pod| store.pods().get(pod).is_some_and(|pod| pod.node.is_none());
            if self.news.is_none() && created.into_iter().any(waits) {
                self.news = Some(at);
            }
        }
        Ok(())
    }

    /// Carries out the autoscaler's actions that are due.
    fn act(&mut self, now: SimTime) -> Result<(), String> {
        for _ in 0..MAX_ROUNDS {
            if self.autoscaler.next_act(now).is_none_or(|at| at > now) {
                return Ok(());
            }
            let view = cluster::ClusterView::new(&self.world.store, now);
            let requests = self.autoscaler.act(view, &mut self.world.cloud);
            for pod in self.world.carry_out(now, requests)? {
                self.autoscaler.eviction_refused(pod, now);
            }
        }
        Err(format!("the autoscaler does not come to rest at {now}"))
    }

    /// Time of this loop.
    fn due(&self, case: &Case, now: SimTime) -> SimTime {
        let input = &case.input;
        let Some(last) = self.last else { return SimTime::from_secs_f64(input.first_loop_s) };
        if input.loop_mode.as_deref() != Some("frequent") {
            let passed = self.loops as f64 * input.scan_s;
            return SimTime::from_secs_f64(input.first_loop_s + passed);
        }
        let (up, delete, _) = self.autoscaler.last_times();
        let options = self.autoscaler.options();
        match next_loop(last, up, delete, options) {
            None => last + AT_ONCE,
            Some(timer) => {
                let news = self.news.filter(|at| starts_loop(*at, now, options));
                news.map_or(timer, |news| news.min(timer))
            }
        }
    }
}

fn options(case: &Case) -> Result<Options, String> {
    let input = &case.input;
    let mut options = Options::default();
    let by_seconds = SimDuration::from_secs_f64(input.scan_s);
    for (flag, value) in &input.flags {
        options.set(flag, value).map_err(|error| format!("input.flags.{error}"))?;
    }
    if !input.flags.contains_key("scan-interval") {
        options.scan_interval = by_seconds;
    }
    for (at, limit) in input.gpu_total.iter().enumerate() {
        options
            .set("gpu-total", limit)
            .map_err(|error| format!("input.gpu_total[{at}]: {error}"))?;
    }
    options.balancing_ignore_labels.push(super::cloud::GROUP_LABEL.into());
    if let Some(text) = input.priority_config.as_ref().filter(|text| !text.is_empty()) {
        options.priorities =
            priorities(text).map_err(|problem| format!("input.priority_config: {problem}"))?;
    }
    Ok(options)
}

/// Parses the config map of the expander `priority`.
fn priorities(text: &str) -> Result<PriorityList, String> {
    let mut problems = Diagnostics::default();
    let documents = read_documents(&Source::new("priorities", text), &mut problems);
    let empty = json!({});
    let value = documents.first().map_or(&empty, |document| &document.value);
    let lists = value.as_object().ok_or("is no list of patterns by priority")?;
    let mut priorities = Vec::new();
    for (priority, patterns) in lists {
        let number = priority.parse().map_err(|_| format!("{priority:?} is no priority"))?;
        let patterns = patterns.as_array().ok_or(format!("{priority}: is no list"))?;
        let patterns = patterns.iter().filter_map(Value::as_str).collect();
        priorities.push((number, patterns));
    }
    PriorityList::new(priorities)
}
