//! Knative's activator before a service: it holds requests until a pod can take them, asks for the first pod, and
//! counts the requests in progress for the autoscaler.

use super::NetworkService;
use crate::backend::{BackendId, BackendState};
use crate::path::{ServiceId, Traffic};
use engine::{SimDuration, SimTime};

/// Up to this limit of concurrency the first pod with room takes a request, above it pods take turns.
const FIRST_AVAILABLE_MOST: u32 = 3;

/// The activator of a service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Activator {
    /// Most requests in a pod at once; 0 = no limit.
    per_pod: u32,
    /// Whether requests pass it although there are pods.
    is_in_path: bool,
    /// Whether the next request requires a first pod.
    is_dormant: bool,
    activity: Activity,
    since: SimTime,
    held: HeldRequests,
}

/// The requests of a service over a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Sum over requests of the time in progress, those that were held included.
    pub in_progress: SimDuration,
    /// Requests that arrived.
    pub arrived: u64,
}

/// Requests that an activator held until a pod could take them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldRequests {
    /// Their number.
    pub count: u64,
    /// Sum of their waits.
    pub total: SimDuration,
    /// The longest wait.
    pub longest: SimDuration,
}

/// Events in the traffic of which the control plane must know at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// Services without pods that got a request.
    pub activated: Vec<ServiceId>,
    /// Backends that have answered the last request that they take from a work queue.
    pub done: Vec<BackendId>,
}

impl Notices {
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.activated.is_empty() && self.done.is_empty()
    }
}

impl Activator {
    pub(super) fn new(per_pod: u32) -> Self {
        Self {
            per_pod,
            is_in_path: true,
            is_dormant: false,
            activity: Activity::default(),
            since: SimTime::ZERO,
            held: HeldRequests::default(),
        }
    }

    /// Whether the first pod with room takes a request.
    pub(super) const fn fills_up(&self) -> bool {
        self.per_pod > 0 && self.per_pod <= FIRST_AVAILABLE_MOST
    }

    /// Most requests in a pod at once; absent = no limit.
    pub(super) const fn limit(&self) -> Option<usize> {
        if self.per_pod == 0 { None } else { Some(self.per_pod as usize) }
    }

    /// A held request goes to a pod.
    pub(super) fn released(&mut self, wait: SimDuration) {
        if wait > SimDuration::ZERO {
            self.held.count += 1;
            self.held.total += wait;
            self.held.longest = self.held.longest.max(wait);
        }
    }

    /// Accounts for the time until `now`, in which this many requests were in progress.
    fn account(&mut self, now: SimTime, active: u32) {
        self.activity.in_progress += (now - self.since) * i64::from(active);
        self.since = now;
    }
}

impl NetworkService {
    /// An attempt begins, whose caller waits for it.
    #[inline]
    pub(super) fn attempt_begins(&mut self, now: SimTime) {
        if let Some(activator) = &mut self.activator {
            activator.account(now, self.active);
            activator.activity.arrived += 1;
        }
        self.active += 1;
    }

    /// An attempt ends, or its caller gives up.
    #[inline]
    pub(super) fn attempt_ends(&mut self, now: SimTime) {
        if let Some(activator) = &mut self.activator {
            activator.account(now, self.active);
        }
        self.active -= 1;
    }
}

impl Traffic {
    /// Whether a request that arrives at a service now has to wait for its turn there.
    pub(super) fn has_to_queue(&mut self, service: u32) -> bool {
        let known = &mut self.network.services[service as usize];
        let Some(activator) = &mut known.activator else { return known.work_queue.is_some() };
        if std::mem::take(&mut activator.is_dormant) {
            self.network.activated.push(ServiceId(service));
        }
        let pods = &self.services[service as usize].available;
        let serves = |pod: &BackendId| {
            self.backends.get(*pod).is_some_and(|pod| pod.state == BackendState::Serving)
        };
        let is_passed = activator.is_in_path || pods.is_empty();
        is_passed && (activator.per_pod > 0 || !pods.iter().any(serves))
    }

    /// Puts the activator of a service into the path of its requests from `now` on, or takes it out; `is_dormant` makes
    /// the next request ask for a pod.
    pub fn set_activator(
        &mut self,
        now: SimTime,
        service: ServiceId,
        is_in_path: bool,
        is_dormant: bool,
    ) {
        self.advance(now);
        let known = &mut self.network.services[service.0 as usize];
        if let Some(activator) = &mut known.activator {
            (activator.is_in_path, activator.is_dormant) = (is_in_path, is_dormant);
        }
    }

    /// Takes the counts of a service's activator and pods since the last call; `None` without an activator.
    pub fn take_activity(&mut self, now: SimTime, service: ServiceId) -> Option<Activity> {
        self.advance(now);
        let known = &mut self.network.services[service.0 as usize];
        let activator = known.activator.as_mut()?;
        activator.account(now, known.active);
        Some(std::mem::take(&mut activator.activity))
    }

    /// The requests that the activator of a service has held; absent without an activator.
    pub fn held_requests(&self, service: ServiceId) -> Option<HeldRequests> {
        Some(self.network.services[service.0 as usize].activator.as_ref()?.held)
    }

    /// Whether an activator is before the service, which answers for it while it has no pods.
    pub(crate) fn has_activator(&self, service: ServiceId) -> bool {
        self.network.services[service.0 as usize].activator.is_some()
    }

    /// Advances like [`Self::advance`], but only to the first event of which the control plane must know. Returns the time
    /// reached and what happened.
    pub fn advance_to_notice(&mut self, until: SimTime) -> (SimTime, Notices) {
        if self.has_notices() {
            return (self.now, self.take_notices());
        }
        let is_dormant = |one: &NetworkService| one.activator.is_some_and(|one| one.is_dormant);
        loop {
            let is_watched =
                self.network.has_limited_pods || self.network.services.iter().any(is_dormant);
            if !is_watched {
                self.advance(until);
                return (until, self.take_notices());
            }
            let end = until.min(self.next_boundary());
            // Nothing in the network depends on the other islands, which follow.
            let reached = self.run_network_to_notice(end);
            self.advance(reached);
            if self.has_notices() || reached >= until {
                return (reached, self.take_notices());
            }
        }
    }

    const fn has_notices(&self) -> bool {
        !self.network.activated.is_empty() || !self.network.done.is_empty()
    }

    fn take_notices(&mut self) -> Notices {
        Notices {
            activated: std::mem::take(&mut self.network.activated),
            done: std::mem::take(&mut self.network.done),
        }
    }
}
