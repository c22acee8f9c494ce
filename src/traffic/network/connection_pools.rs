//! The connections of a calling pod's proxy to the pods of a service, with the limits of Envoy's circuit breakers
//! (`source/common/conn_pool/conn_pool_base.cc`, 1.36: `newStreamImpl`, `tryCreateNewConnection`, `attachStreamToClient`).
//!
//! Each proxy has a pool for each pod that it calls, and the limits hold over all pools to a service. A call whose pod has
//! no idle connection opens one; where the limit forbids that, it waits for a connection to this very pod, unless too many
//! calls wait already. A pool without any connection may always open one.

use std::collections::{BTreeMap, VecDeque};

use super::NetworkEvent;
use super::calls::{self, Attempt, AttemptState, Call};
use crate::backend::BackendId;
use crate::path::Traffic;
use crate::policy::ConnectionPool;
use crate::recording::FailureCause;
use engine::{Id, SimDuration, SimTime};

/// The pools of one proxy to the pods of a service.
#[derive(Clone, Debug, Default)]
pub(super) struct Pools {
    of_pods: BTreeMap<BackendId, Pool>,
    /// Open connections over all pools.
    open: u32,
    /// Calls that have a connection.
    active: u32,
}

/// The connections to one pod.
#[derive(Clone, Debug, Default)]
struct Pool {
    open: u32,
    /// Calls that each idle connection has carried; the last one was used last.
    idle: Vec<u32>,
    /// Calls that wait for a connection, in order. Those whose callers gave up remain until they are looked at.
    waiting: VecDeque<Id<Attempt>>,
}

/// The connection of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PooledConnection {
    caller: BackendId,
    pod: BackendId,
    /// Calls that it has carried before.
    carried: u32,
}

/// The reaction of a proxy to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooled {
    /// Its connections are not limited.
    Unlimited,
    /// The call has this connection.
    Connected(PooledConnection),
    /// The call waits for one in the pools of this caller.
    Waits(BackendId),
}

/// Whether a failure takes the connection with it: it does, unless the pod has answered with an error.
pub(super) const fn ends_connection(cause: FailureCause) -> bool {
    !matches!(
        cause,
        FailureCause::ApplicationError
            | FailureCause::Dependency
            | FailureCause::QueueFull
            | FailureCause::Shed
            | FailureCause::TooLong
    )
}

impl Pools {
    /// A connection to a pod, idle or new, if the limits permit one.
    fn connect(&mut self, pod: BackendId, limits: &ConnectionPool) -> Option<u32> {
        let pool = self.of_pods.entry(pod).or_default();
        if let Some(carried) = pool.idle.pop() {
            return Some(carried);
        }
        let may_open = limits.max_connections.is_none_or(|most| self.open < most);
        (may_open || pool.open == 0).then(|| {
            pool.open += 1;
            self.open += 1;
            0
        })
    }

    /// A connection has no call any more; it is closed if it `closes`, or has carried its most.
    fn disconnect(&mut self, connection: PooledConnection, closes: bool, limits: &ConnectionPool) {
        self.active -= 1;
        let PooledConnection { pod, carried, .. } = connection;
        let is_spent = limits.max_requests_per_connection.is_some_and(|most| carried >= most);
        let Some(pool) = self.of_pods.get_mut(&pod) else { return };
        if closes || is_spent {
            pool.open -= 1;
            self.open -= 1;
        } else {
            pool.idle.push(carried);
        }
        if pool.open == 0 && pool.waiting.is_empty() {
            self.of_pods.remove(&pod);
        }
    }

    /// Closes the idle connections to all pods but these.
    fn keep(&mut self, endpoints: &[BackendId]) {
        for (_, pool) in self.of_pods.iter_mut().filter(|(pod, _)| !endpoints.contains(pod)) {
            let closed = u32::try_from(pool.idle.len()).unwrap_or(u32::MAX);
            pool.open -= closed;
            self.open -= closed;
            pool.idle.clear();
        }
        self.of_pods.retain(|_, pool| pool.open > 0 || !pool.waiting.is_empty());
    }
}

impl Traffic {
    /// Gives a call that a proxy sends to a pod a connection, or lets it wait for one; fails if a limit forbids both.
    pub(super) fn pooled(
        &mut self,
        service: u32,
        call: &Call,
        pod: BackendId,
    ) -> Result<Pooled, FailureCause> {
        let Some(limits) = self.services[service as usize].policy.pool else {
            return Ok(Pooled::Unlimited);
        };
        let calls::Caller::Request(parent) = call.caller else { return Ok(Pooled::Unlimited) };
        let network = &mut self.network;
        let caller = network.attempts.get(parent).and_then(|one| one.place.pod());
        let has_proxy = |pod: &BackendId| self.backends.get(*pod).is_some_and(|pod| pod.has_proxy);
        let Some(caller) = caller.filter(has_proxy) else { return Ok(Pooled::Unlimited) };
        let pools = network.services[service as usize].pools.entry(caller).or_default();
        let connected = pools.connect(pod, &limits).or_else(|| {
            // The proxy has closed its connections to pods that are no endpoints any more.
            pools.keep(&self.services[service as usize].endpoints);
            pools.connect(pod, &limits)
        });
        if let Some(carried) = connected {
            pools.active += 1;
            let connection = PooledConnection { caller, pod, carried };
            if limits.max_requests.is_some_and(|most| pools.active > most) {
                pools.disconnect(connection, false, &limits);
                return Err(FailureCause::CircuitOpen);
            }
            return Ok(Pooled::Connected(connection));
        }
        if let Some(most) = limits.max_pending {
            let attempts = &network.attempts;
            let is_waiting = |id: &Id<Attempt>| attempts.contains(*id);
            for pool in pools.of_pods.values_mut() {
                pool.waiting.retain(is_waiting);
            }
            let waiting: usize = pools.of_pods.values().map(|pool| pool.waiting.len()).sum();
            if waiting >= most as usize {
                return Err(FailureCause::CircuitOpen);
            }
        }
        Ok(Pooled::Waits(caller))
    }

    /// Appends an attempt to those that wait for a connection of `caller` to a pod.
    pub(super) fn wait_for_connection(
        &mut self,
        service: u32,
        caller: BackendId,
        pod: BackendId,
        id: Id<Attempt>,
    ) {
        let pools = self.network.services[service as usize].pools.entry(caller).or_default();
        pools.of_pods.entry(pod).or_default().waiting.push_back(id);
    }

    /// A connection has no call any more: calls that wait for one to its pod use it, or a new one if it `closes`.
    pub(super) fn disconnect(
        &mut self,
        now: SimTime,
        service: u32,
        connection: PooledConnection,
        closes: bool,
    ) {
        let Some(limits) = self.services[service as usize].policy.pool else { return };
        let PooledConnection { caller, pod, .. } = connection;
        let row = &mut self.network.services[service as usize].pools;
        if let Some(pools) = row.get_mut(&caller) {
            let carried = connection.carried + 1;
            // The pool of a pod for whose connections calls wait is kept.
            pools.disconnect(PooledConnection { carried, ..connection }, closes, &limits);
        }
        // Attempts end after the loop, because the end of one may make the next.
        let mut failed = Vec::new();
        while let Some((id, carried)) = self.next_connected(service, (caller, pod), &limits) {
            let connection = PooledConnection { caller, pod, carried };
            let call = self.network.attempts.get(id).and_then(|attempt| attempt.call);
            let Some(call) = call.and_then(|call| self.network.calls.get(call)).copied() else {
                self.take_back(service, connection, false, &limits);
                continue;
            };
            let pools = self.network.services[service as usize].pools.entry(caller).or_default();
            let sent = if limits.max_requests.is_some_and(|most| pools.active > most) {
                self.take_back(service, connection, false, &limits);
                Err(FailureCause::CircuitOpen)
            } else {
                let named = self.network.edges[call.edge as usize].service;
                let sent = if self.is_blocked(named, &call, pod) {
                    let (place, model) = self.block(pod);
                    Ok((place, model, SimDuration::ZERO))
                } else {
                    self.dispatch(now, id, service, &call, pod)
                };
                sent.inspect_err(|cause| {
                    self.take_back(service, connection, ends_connection(*cause), &limits);
                })
            };
            match sent {
                Ok((place, model, way_back)) => {
                    let network = &mut self.network;
                    if let Some(attempt) = network.attempts.get_mut(id) {
                        (attempt.place, attempt.model) = (place, model);
                        attempt.way_back = way_back;
                        attempt.connection = Some(connection);
                    }
                    if matches!(place, AttemptState::Hanging(_) | AttemptState::Blocked(_)) {
                        let deadlines = &mut network.edges[call.edge as usize].connect_deadlines;
                        if let Some(at) = deadlines.push(now, id, &network.attempts) {
                            network.enter(at, NetworkEvent::ConnectDeadline(call.edge));
                        }
                    }
                }
                Err(cause) => failed.push((id, cause)),
            }
        }
        let row = &mut self.network.services[service as usize].pools;
        if row.get(&caller).is_some_and(|pools| pools.of_pods.is_empty()) {
            row.remove(&caller);
        }
        for (id, cause) in failed {
            self.end_attempt(now, id, Err(cause));
        }
    }

    /// The first attempt that waits for a connection to a pod, with a connection.
    fn next_connected(
        &mut self,
        service: u32,
        (caller, pod): (BackendId, BackendId),
        limits: &ConnectionPool,
    ) -> Option<(Id<Attempt>, u32)> {
        let network = &mut self.network;
        let pools = network.services[service as usize].pools.get_mut(&caller)?;
        let waiting = &mut pools.of_pods.get_mut(&pod)?.waiting;
        let attempts = &network.attempts;
        let is_waiting = |id: &Id<Attempt>| {
            attempts.get(*id).is_some_and(|attempt| attempt.place == AttemptState::Queue)
        };
        while waiting.front().is_some_and(|first| !is_waiting(first)) {
            waiting.pop_front();
        }
        let first = *waiting.front()?;
        let carried = pools.connect(pod, limits)?;
        pools.active += 1;
        pools.of_pods.get_mut(&pod)?.waiting.pop_front();
        Some((first, carried))
    }

    /// Takes back a connection that carried nothing.
    fn take_back(
        &mut self,
        service: u32,
        connection: PooledConnection,
        closes: bool,
        limits: &ConnectionPool,
    ) {
        let pools = &mut self.network.services[service as usize].pools;
        if let Some(pools) = pools.get_mut(&connection.caller) {
            pools.disconnect(connection, closes, limits);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: BackendId = BackendId::from_bits(1);
    const B: BackendId = BackendId::from_bits(2);

    fn limits(connections: u32, carried: Option<u32>) -> ConnectionPool {
        ConnectionPool {
            max_connections: Some(connections),
            max_requests_per_connection: carried,
            ..ConnectionPool::default()
        }
    }

    fn end(pools: &mut Pools, pod: BackendId, carried: u32, closes: bool, limits: &ConnectionPool) {
        pools.active += 1;
        let connection = PooledConnection { caller: A, pod, carried };
        pools.disconnect(connection, closes, limits);
    }

    #[test]
    fn idle_connections_to_one_pod_keep_another_from_more_than_its_first() {
        let (mut pools, limits) = (Pools::default(), limits(2, None));
        assert_eq!(
            [A, A, A, B, B].map(|pod| pools.connect(pod, &limits)),
            [Some(0), Some(0), None, Some(0), None]
        );
        end(&mut pools, A, 1, false, &limits);
        assert_eq!((pools.connect(B, &limits), pools.connect(A, &limits)), (None, Some(1)));
        end(&mut pools, A, 2, true, &limits);
        // Two are open still.
        assert_eq!((pools.connect(B, &limits), pools.open), (None, 2));
        end(&mut pools, A, 1, true, &limits);
        assert_eq!((pools.connect(B, &limits), pools.open), (Some(0), 2));
    }

    #[test]
    fn a_connection_that_has_carried_its_calls_makes_room() {
        let (mut pools, limits) = (Pools::default(), limits(1, Some(2)));
        assert_eq!(pools.connect(A, &limits), Some(0));
        end(&mut pools, A, 1, false, &limits);
        assert_eq!((pools.connect(A, &limits), pools.open), (Some(1), 1));
        end(&mut pools, A, 2, false, &limits);
        assert_eq!((pools.open, pools.of_pods.len()), (0, 0));
    }

    #[test]
    fn idle_connections_to_pods_that_are_gone_are_closed() {
        let (mut pools, limits) = (Pools::default(), limits(2, None));
        assert_eq!([A, A].map(|pod| pools.connect(pod, &limits)), [Some(0), Some(0)]);
        end(&mut pools, A, 1, false, &limits);
        pools.keep(&[A, B]);
        assert_eq!(pools.open, 2);
        pools.keep(&[B]);
        assert_eq!(pools.open, 1, "the other one has a call");
    }
}
