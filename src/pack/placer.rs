//! A cluster with only a scheduler: pods are created, placed or not, and removed. For packing, and
//! for measuring the scheduler in isolation.

use cluster::action::PodDraft;
use cluster::pod::PodId;
use cluster::{Action, Change, ClusterView, Refused, Store, apply};
use engine::{SimTime, Streams};
use scheduler::Scheduler;

/// The API server's store and a scheduler, at one instant after another.
#[derive(Clone, Debug)]
pub struct Placer {
    store: Store,
    scheduler: Scheduler,
    now: SimTime,
    /// Kept between calls for their allocation.
    changes: Vec<Change>,
    actions: Vec<Action>,
    /// Pods preempted since the last query.
    preempted: Vec<PodId>,
}

impl Placer {
    /// An empty cluster.
    pub fn new(mut scheduler: Scheduler, seed: u64) -> Self {
        scheduler.suppress_events();
        Self {
            store: Store::new(Streams::new(seed)),
            scheduler,
            now: SimTime::ZERO,
            changes: Vec::new(),
            actions: Vec::new(),
            preempted: Vec::new(),
        }
    }

    /// The API server's objects, to read.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The scheduler, to examine its decisions.
    pub const fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// The instant up to which time has passed.
    pub const fn now(&self) -> SimTime {
        self.now
    }

    /// Lets the time pass.
    pub fn advance(&mut self, now: SimTime) {
        self.now = self.now.max(now);
    }

    /// Applies an action of a user, a controller or a kubelet.
    pub fn act(&mut self, action: Action) -> Result<(), Refused> {
        apply(&mut self.store, self.now, action, &mut self.changes)?;
        self.notify_scheduler();
        Ok(())
    }

    /// Creates a pod, which is pending until [`Self::place`].
    pub fn create(&mut self, draft: PodDraft) -> Result<PodId, Refused> {
        apply(&mut self.store, self.now, Action::CreatePod(Box::new(draft)), &mut self.changes)?;
        let created = self.changes.iter().find_map(|change| match change {
            Change::PodAdded(pod) => Some(*pod),
            _ => None,
        });
        self.notify_scheduler();
        created.ok_or(Refused::NotFound)
    }

    /// Tries to place the next pending pod; `None` if none is due. Preempted pods are removed at
    /// once, and the preempting pod is tried again.
    pub fn place(&mut self) -> Option<PodId> {
        let view = ClusterView::new(&self.store, self.now);
        let mut actions = std::mem::take(&mut self.actions);
        let pod = self.scheduler.place_next(view, &mut actions);
        let mut is_preempting = false;
        for action in actions.drain(..) {
            let action = match action {
                Action::Event(_) => continue,
                Action::DeletePod(victim, _) => {
                    self.preempted.push(victim);
                    is_preempting = true;
                    Action::RemovePod(victim)
                }
                other => other,
            };
            // Refused actions have no effect, which shows in the placement.
            let _ = self.act(action);
        }
        self.actions = actions;
        if let Some(pod) = pod.filter(|_| is_preempting) {
            self.scheduler.activate(pod);
        }
        pod
    }

    /// The pods preempted since the last call.
    pub(crate) fn take_preempted(&mut self) -> Vec<PodId> {
        std::mem::take(&mut self.preempted)
    }

    /// A pod's work is done, and the pod is removed.
    pub fn end(&mut self, pod: PodId) -> Result<(), Refused> {
        self.act(Action::RemovePod(pod))
    }

    fn notify_scheduler(&mut self) {
        let mut changes = std::mem::take(&mut self.changes);
        let view = ClusterView::new(&self.store, self.now);
        for change in changes.drain(..) {
            self.scheduler.on_change(view, &change);
        }
        self.changes = changes;
    }
}
