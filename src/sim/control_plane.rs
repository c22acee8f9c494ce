//! The API server and the controller manager: carries out actions, notifies the controllers of changes, and runs
//! their work queues until nothing is due. Makes no decisions itself.

use std::collections::{BTreeMap, VecDeque};

use super::client_rate::ControllerClient;
pub use super::journal::{Journal, LogEntry, Logged, Observer};
use super::work_queue::{WorkItem, WorkQueue};
use cluster::{Action, Change, ClusterView, Refused, Store, apply};
use controllers::{Actions, Controller, Explain, Key, Memoize, QueueSettings, Requeue, Watches};
use engine::{ClientRate, SimDuration, SimTime};
use rustc_hash::FxHashMap;

/// The store and the controllers over it.
#[derive(Debug)]
pub struct ControlPlane {
    store: Store,
    controllers: Vec<Box<dyn Controller>>,
    /// Work queue settings, indexed by controller.
    queue_settings: Vec<QueueSettings>,
    /// Watchers of each kind, by its number in [`Watches`]: one bit per controller.
    watchers: [u64; Watches::KINDS],
    /// The controllers that memoize decisions, and the kinds whose changes invalidate these at once.
    memoized: Vec<(u8, Watches)>,
    queue: WorkQueue,
    /// API clients, indexed by controller.
    clients: Vec<ControllerClient>,
    /// Work that waits for its client's next token, keyed by the time of that.
    waiting: BTreeMap<(SimTime, u64), Work>,
    /// Counter that makes these keys unique.
    waited: u64,
    /// Keys of that work, each with whether it must be processed again afterwards: a key has one worker at a time.
    /// Looked up only, never iterated.
    busy: FxHashMap<WorkItem, bool>,
    settings: ControlPlaneSettings,
    /// Factor on watch latency and write time by the load of the control plane's machine; 1 = idle.
    slowdown: f64,
    /// Kept between calls for their allocation.
    woken: Vec<Key>,
    changes: Vec<Change>,
}

/// Delays of the control plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlPlaneSettings {
    /// Delay from a write until controllers process it.
    pub watch_latency: SimDuration,
    /// Client-side rate limit of each controller.
    pub client_rate: ClientRate,
    /// Time until a controller has the answer to a write, before which its sync does not go on. Requests of one kind
    /// in one batch are sent together.
    pub write_time: SimDuration,
}

/// The outstanding requests of one reconcile.
#[derive(Clone, Debug)]
struct Work {
    item: WorkItem,
    /// The remaining requests, each with whether it begins a batch.
    requests: VecDeque<(Action, bool)>,
    refusals: Vec<Refused>,
    /// When to process the key again.
    requeue: Requeue,
    /// True if these are the requests that follow a refusal.
    is_second: bool,
    /// True if the first request has its token.
    has_token: bool,
    /// The verb of the requests that have been sent and not answered yet.
    unanswered: Option<&'static str>,
}

impl Clone for ControlPlane {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            controllers: self.controllers.iter().map(|one| one.boxed_clone()).collect(),
            queue_settings: self.queue_settings.clone(),
            watchers: self.watchers,
            memoized: self.memoized.clone(),
            queue: self.queue.clone(),
            clients: self.clients.clone(),
            waiting: self.waiting.clone(),
            waited: self.waited,
            busy: self.busy.clone(),
            settings: self.settings,
            slowdown: self.slowdown,
            woken: Vec::new(),
            changes: Vec::new(),
        }
    }
}

impl ControlPlane {
    /// A control plane that starts at `now` with these controllers.
    pub fn new(
        store: Store,
        controllers: Vec<Box<dyn Controller>>,
        settings: ControlPlaneSettings,
        now: SimTime,
    ) -> Self {
        let mut plane = Self {
            store,
            queue_settings: controllers.iter().map(|one| one.queue()).collect(),
            watchers: watchers(&controllers),
            memoized: (0u8..)
                .zip(&controllers)
                .filter_map(|(position, one)| Some((position, one.memoized()?.invalidated_by())))
                .collect(),
            clients: vec![ControllerClient::new(settings.client_rate); controllers.len()],
            controllers,
            queue: WorkQueue::default(),
            waiting: BTreeMap::new(),
            waited: 0,
            busy: FxHashMap::default(),
            settings,
            slowdown: 1.0,
            woken: Vec::new(),
            changes: Vec::new(),
        };
        for (settings, controller) in plane.queue_settings.iter().zip(0u8..) {
            for key in settings.starts_with {
                plane.queue.requeue(now, WorkItem { controller, key: *key });
            }
        }
        plane
    }

    /// Sets the factor by which everything takes longer than on an idle machine.
    pub const fn slow_down(&mut self, factor: f64) {
        self.slowdown = factor;
    }

    /// A delay of the control plane at present.
    fn at_present(&self, delay: SimDuration) -> SimDuration {
        if self.slowdown > 1.0 {
            SimDuration::from_secs_f64(delay.as_secs_f64() * self.slowdown)
        } else {
            delay
        }
    }

    /// Read access to the store.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The store as it is at `now`.
    pub const fn view(&self, now: SimTime) -> ClusterView<'_> {
        ClusterView::new(&self.store, now)
    }

    /// Carries out one action of a client other than the controllers: a user, the scheduler, a kubelet, a fault.
    /// Affected controllers enqueue keys; `run_due` processes these.
    pub fn act(
        &mut self,
        now: SimTime,
        actor: &'static str,
        action: Action,
        observer: &mut dyn Observer,
    ) -> Result<(), Refused> {
        self.carry_out(now, actor, None, action, observer)
    }

    /// The controllers that can explain their decisions, each for objects of its own kind only.
    pub fn explanations(&self) -> impl Iterator<Item = &dyn Explain> {
        self.controllers.iter().filter_map(|controller| controller.explanations())
    }

    /// Time of the controllers' next work; it may turn out to be void.
    pub fn next_due(&self) -> Option<SimTime> {
        let waiting = self.waiting.first_key_value().map(|((at, _), _)| *at);
        [self.queue.next_due(), waiting].into_iter().flatten().min()
    }

    /// Runs all controller work due at or before `now`, first in, first out, including work that becomes due at
    /// `now` on the way.
    pub(crate) fn run_due(&mut self, now: SimTime, observer: &mut dyn Observer) {
        while self.run_next(now, observer) {}
    }

    /// Lets one controller reconcile one key, or continue with its requests, if any work is due at or before `now`.
    pub fn run_next(&mut self, now: SimTime, observer: &mut dyn Observer) -> bool {
        if self.waiting.first_key_value().is_some_and(|((at, _), _)| *at <= now) {
            if let Some((_, work)) = self.waiting.pop_first() {
                self.go_on(now, work, observer);
            }
            return true;
        }
        let item = self.queue.pop_due(now);
        if let Some(item) = item {
            match self.busy.get_mut(&item) {
                Some(again) => *again = true,
                None => self.reconcile(now, item, observer),
            }
        }
        item.is_some()
    }

    fn reconcile(&mut self, now: SimTime, item: WorkItem, observer: &mut dyn Observer) {
        let mut actions = Actions::default();
        let view = ClusterView::new(&self.store, now);
        let controller = &mut self.controllers[usize::from(item.controller)];
        let requeue = controller.reconcile(view, item.key, &mut actions);
        let requests = self.take_requests(now, item, actions);
        let work = Work {
            item,
            requests,
            refusals: Vec::new(),
            requeue,
            is_second: false,
            has_token: false,
            unanswered: None,
        };
        self.go_on(now, work, observer);
    }

    /// The requests of a reconcile; keys that it asked to requeue are enqueued.
    fn take_requests(
        &mut self,
        now: SimTime,
        item: WorkItem,
        mut actions: Actions,
    ) -> VecDeque<(Action, bool)> {
        for (key, at) in actions.take_requeues() {
            self.queue.requeue(at.max(now), WorkItem { key, ..item });
        }
        actions.into_requests().collect()
    }

    /// Continues with the requests of a reconcile until it has to wait for its client or is done.
    fn go_on(&mut self, now: SimTime, mut work: Work, observer: &mut dyn Observer) {
        loop {
            if let Some(at) = self.carry_out_all(now, &mut work, observer) {
                self.busy.entry(work.item).or_insert(false);
                self.waited += 1;
                self.waiting.insert((at, self.waited), work);
                return;
            }
            if work.is_second || work.refusals.is_empty() {
                break;
            }
            let mut actions = Actions::default();
            let view = ClusterView::new(&self.store, now);
            let controller = &mut self.controllers[usize::from(work.item.controller)];
            work.requeue = controller.refused(view, work.item.key, &work.refusals, &mut actions);
            work.requests = self.take_requests(now, work.item, actions);
            work.refusals.clear();
            work.is_second = true;
        }
        self.done(now, &work);
    }

    /// Finishes a reconcile: requeues the key as asked, and at once if it was enqueued again in the meantime.
    fn done(&mut self, now: SimTime, work: &Work) {
        let Work { item, requeue, .. } = *work;
        if !self.busy.is_empty() && self.busy.remove(&item) == Some(true) {
            self.queue.deliver(now, item);
        }
        if requeue != Requeue::Backoff {
            self.queue.forget(item);
        }
        match requeue {
            Requeue::No => {}
            Requeue::After(delay) => self.queue.requeue(now + delay, item),
            Requeue::At(time) => self.queue.requeue(time.max(now), item),
            Requeue::OnlyAt(time) => self.queue.requeue_only(time.max(now), item),
            Requeue::Backoff => {
                let settings = self.queue_settings[usize::from(item.controller)];
                self.queue.back_off(now, item, settings.backoff);
            }
        }
    }

    /// Carries out a controller's requests in order; once a batch had a refusal, later batches are dropped. Returns
    /// the time at which to continue if it has to wait for the client's next token or for an answer.
    fn carry_out_all(
        &mut self,
        now: SimTime,
        work: &mut Work,
        observer: &mut dyn Observer,
    ) -> Option<SimTime> {
        let position = work.item.controller;
        let actor = self.controllers[usize::from(position)].name();
        while let Some((action, begins_batch)) = work.requests.pop_front() {
            if begins_batch && !work.refusals.is_empty() {
                work.requests.clear();
                break;
            }
            // Events are sent beside the requests, which do not wait for their answers.
            let is_event = matches!(action, Action::Event(_));
            let is_together = !begins_batch && work.unanswered == Some(action.verb());
            if !is_event && !is_together && work.unanswered.take().is_some() {
                work.requests.push_front((action, begins_batch));
                return Some(now + self.at_present(self.settings.write_time));
            }
            if !is_event && !std::mem::take(&mut work.has_token) {
                let answer = self.at_present(self.settings.watch_latency);
                let at = self.clients[usize::from(position)].take(now, answer);
                if at > now {
                    work.has_token = true;
                    work.requests.push_front((action, begins_batch));
                    return Some(at);
                }
            }
            if !is_event && self.settings.write_time > SimDuration::ZERO {
                work.unanswered = Some(action.verb());
            }
            work.refusals
                .extend(self.carry_out(now, actor, Some(position), action, observer).err());
        }
        let is_answered = work.unanswered.take().is_none();
        (!is_answered).then(|| now + self.at_present(self.settings.write_time))
    }

    /// Carries out one action, of the controller at this position or of another client, notifies the observer, and
    /// wakes the controllers.
    fn carry_out(
        &mut self,
        now: SimTime,
        actor: &'static str,
        controller: Option<u8>,
        action: Action,
        observer: &mut dyn Observer,
    ) -> Result<(), Refused> {
        let log = |what| LogEntry { at: now, actor, what };
        let verb = action.verb();
        let action = match action {
            Action::Event(event) => {
                if let Some(position) = controller {
                    let client = &mut self.clients[usize::from(position)];
                    client.record(now, event.kind, &event.object);
                }
                observer.logged(log(Logged::Event(*event)));
                return Ok(());
            }
            other => other,
        };
        let recorded = controller.and_then(|position| {
            self.controllers[usize::from(position)].records(&self.store, &action)
        });
        let mut changes = std::mem::take(&mut self.changes);
        let result = apply(&mut self.store, now, action, &mut changes);
        if let Err(why) = &result {
            observer.logged(log(Logged::Refused { verb, why: why.clone() }));
        }
        if let (Some(request), Some(position)) = (recorded, controller) {
            let client = &mut self.clients[usize::from(position)];
            request.record(&self.store, &result, &changes, |event| {
                client.record(now, event.kind, &event.object);
                observer.logged(log(Logged::Event(event)));
            });
        }
        observer.changed(ClusterView::new(&self.store, now), &changes);
        for change in changes.drain(..) {
            self.wake(now, &change);
        }
        self.changes = changes;
        result
    }

    fn wake(&mut self, now: SimTime, change: &Change) {
        let seen = now + self.at_present(self.settings.watch_latency);
        let view = ClusterView::new(&self.store, now);
        let of = Watches::of(view, change);
        for (position, by) in &self.memoized {
            let memo = || self.controllers[usize::from(*position)].memoized();
            if by.meets(of) {
                if let Some(memo) = memo() {
                    memo.invalidates_on(view, change, &mut self.woken);
                }
                for key in self.woken.drain(..) {
                    self.queue.deliver(now, WorkItem { controller: *position, key });
                }
            } else {
                let misses = || memo().is_some_and(|memo| invalidates(memo, view, change));
                debug_assert!(!misses(), "it hears of no more than {by:?}");
            }
        }
        let mut watchers = of.kinds().fold(0, |watchers, kind| watchers | self.watchers[kind]);
        if cfg!(debug_assertions) {
            // Debug builds, and so all tests, verify that the others ignore the change.
            for (position, controller) in self.controllers.iter_mut().enumerate() {
                let is_watched = watchers >> position & 1 == 1;
                assert!(is_watched || !wakes(controller.as_mut(), view, change), "{controller:?}");
            }
        }
        while watchers != 0 {
            let first = watchers.trailing_zeros();
            watchers &= watchers - 1;
            let controller = &mut self.controllers[first as usize];
            let position = u8::try_from(first).unwrap_or(u8::MAX);
            controller.wakes_on(view, change, &mut self.woken);
            if self.woken.is_empty() {
                continue;
            }
            let wake_delay = self.queue_settings[first as usize].wake_delay;
            let delay = wake_delay.map_or(SimDuration::ZERO, |delay| delay(change));
            for key in self.woken.drain(..) {
                let item = WorkItem { controller: position, key };
                if delay == SimDuration::ZERO {
                    self.queue.deliver(seen, item);
                } else {
                    self.queue.requeue(seen + delay, item);
                }
            }
        }
    }
}

fn watchers(controllers: &[Box<dyn Controller>]) -> [u64; Watches::KINDS] {
    assert!(controllers.len() <= 64, "a bit for each controller");
    let mut watchers = [0; Watches::KINDS];
    for (position, controller) in controllers.iter().enumerate() {
        for kind in controller.watches().kinds() {
            watchers[kind] |= 1 << position;
        }
    }
    watchers
}

/// True if a controller enqueues any key on a change.
fn wakes(controller: &mut dyn Controller, view: ClusterView<'_>, change: &Change) -> bool {
    let mut woken = Vec::new();
    controller.wakes_on(view, change, &mut woken);
    !woken.is_empty()
}

/// True if a change invalidates any decision.
fn invalidates(memo: &dyn Memoize, view: ClusterView<'_>, change: &Change) -> bool {
    let mut invalidated = Vec::new();
    memo.invalidates_on(view, change, &mut invalidated);
    !invalidated.is_empty()
}

#[cfg(test)]
#[path = "control_plane_tests.rs"]
mod tests;
