//! Pods pinned to a connection or client: keep-alive and HTTP/2 connections, and `sessionAffinity: ClientIP`.

use super::backend::{Backend, BackendId, BackendState};
use super::policy::{Connections, ServicePolicy};
use engine::{SimDuration, SimTime, Table};

/// The pods pinned to the connections or clients of one service.
#[derive(Clone, Debug)]
pub(super) struct Pins {
    kind: Kind,
    /// By connection or client.
    pods: Vec<Option<Pin>>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A connection lives until its pod closes it, even if the pod is no longer an endpoint.
    Connection { max_age: Option<SimDuration> },
    /// kube-proxy remembers the endpoint of a client for some time after its last request, as long as it is an
    /// endpoint.
    Client { timeout: SimDuration },
}

#[derive(Clone, Copy, Debug)]
struct Pin {
    pod: BackendId,
    /// Time at which the connection was opened, or of the client's last request.
    at: SimTime,
}

impl Pins {
    /// The pins of a service, if connections or clients are pinned.
    pub fn new(policy: &ServicePolicy) -> Option<Self> {
        if let Some(Connections { count, max_age }) = policy.connections {
            let pods = vec![None; count as usize];
            return Some(Self { kind: Kind::Connection { max_age }, pods });
        }
        let timeout = policy.client_affinity?;
        Some(Self { kind: Kind::Client { timeout }, pods: vec![None; policy.clients as usize] })
    }

    /// Whether these are connections, rather than clients.
    pub(crate) const fn keeps_connections(&self) -> bool {
        matches!(self.kind, Kind::Connection { .. })
    }

    /// Number of connections or clients.
    pub const fn len(&self) -> usize {
        self.pods.len()
    }

    /// The pod pinned to one of them at `now`.
    pub fn kept(
        &mut self,
        key: usize,
        now: SimTime,
        backends: &Table<Backend>,
    ) -> Option<BackendId> {
        let pin = self.pods.get_mut(key)?.as_mut()?;
        let state = backends.get(pin.pod).map(|pod| pod.state);
        let is_kept = match self.kind {
            Kind::Connection { max_age } => {
                let is_young = max_age.is_none_or(|max_age| now - pin.at < max_age);
                let is_open =
                    !matches!(state, None | Some(BackendState::Refusing | BackendState::Gone));
                let kept = (is_young && is_open).then_some(pin.pod);
                if state == Some(BackendState::Unreachable) {
                    // The request on it hangs, and the client drops the connection with it.
                    self.pods[key] = None;
                }
                return kept;
            }
            Kind::Client { timeout } => {
                let is_recent = now - pin.at < timeout;
                pin.at = now;
                is_recent
            }
        };
        is_kept.then_some(pin.pod)
    }

    /// Pins a pod: for a connection if it is established, for a client in any case.
    pub(crate) fn pin(
        &mut self,
        key: usize,
        now: SimTime,
        pod: BackendId,
        backends: &Table<Backend>,
    ) {
        let state = backends.get(pod).map(|pod| pod.state);
        let is_client = matches!(self.kind, Kind::Client { .. });
        if is_client || state == Some(BackendState::Serving) {
            self.pods[key] = Some(Pin { pod, at: now });
        }
    }

    /// Sets the endpoints from now on.
    pub(crate) fn endpoints_changed(&mut self, endpoints: &[BackendId]) {
        if matches!(self.kind, Kind::Client { .. }) {
            for pin in &mut self.pods {
                *pin = pin.filter(|pin| endpoints.contains(&pin.pod));
            }
        }
    }
}
