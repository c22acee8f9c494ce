//! Log entries about calls that policies block.

use std::collections::{BTreeMap, BTreeSet};

use super::super::apps::Apps;
use super::super::endpoints::Endpoints;
use super::super::environment::Environment;
use super::{NetworkPolicies, Obstacle, obstacle};
use cluster::connections::{ConnectionEnd, Direction};
use cluster::selection::Selecting;
use cluster::service::Service;
use cluster::{Kind, NamespacedName, ObjectReference};

/// The blocked calls that have been logged.
#[derive(Clone, Debug, Default)]
pub(super) struct DropLog {
    /// Keyed by position of the Service in the traffic and by name of the callers.
    blocked: BTreeMap<(usize, String), String>,
    /// By position, all policies that have ever blocked calls.
    pub(super) policies: BTreeMap<usize, BTreeSet<NamespacedName>>,
}

impl NetworkPolicies {
    /// Logs which calls are blocked from now on, and which get through again.
    pub(super) fn log_blocked(
        &mut self,
        env: &mut Environment,
        apps: &Apps,
        endpoints: &Endpoints,
    ) {
        let mut blocked = BTreeMap::new();
        for position in 0..env.world.traffic.len() {
            for (callers, obstacle) in self.blocked_callers(env, apps, endpoints, position) {
                let policies = self.told.policies.entry(position).or_default();
                policies.extend(obstacle.policies().iter().cloned());
                blocked.insert((position, callers), obstacle.to_string());
            }
        }
        for ((position, callers), why) in &blocked {
            if self.told.blocked.get(&(*position, callers.clone())) != Some(why) {
                let service = service_at(env, *position);
                let message = format!("requests of {callers} are dropped: {why}");
                env.warn("network", &service, "ConnectionsDropped", message);
            }
        }
        for (position, callers) in self.told.blocked.keys() {
            if !blocked.contains_key(&(*position, callers.clone())) {
                let service = service_at(env, *position);
                let message = format!("requests of {callers} are no longer dropped");
                env.emit_event("network", &service, "ConnectionsPass", message);
            }
        }
        self.told.blocked = blocked;
    }

    /// The callers that cannot reach a pod of the Service at this position, with the reason.
    fn blocked_callers(
        &self,
        env: &Environment,
        apps: &Apps,
        endpoints: &Endpoints,
        position: usize,
    ) -> Vec<(String, Obstacle)> {
        let store = env.store();
        let (name, traffic) = &env.world.traffic[position];
        let id = endpoints.service(position);
        let Some((id, service)) = id.and_then(|id| Some((id, store.services().get(id)?))) else {
            return Vec::new();
        };
        let pods = store.selected_by(Selecting::Service(id));
        let pods = pods.filter(|(pod, _)| apps.get(*pod).is_some_and(|app| app.backend.is_some()));
        let mut ends: Vec<ConnectionEnd> = Vec::new();
        for (_, pod) in pods {
            let end = ConnectionEnd::of_pod(store, pod);
            if !ends.contains(&end) && ends.len() < ENDS_LOOKED_AT {
                ends.push(end);
            }
        }
        let mut blocked = Vec::new();
        for (number, members) in self.peer_groups.iter().enumerate() {
            let calls =
                if number == 0 { traffic.has_clients() } else { members.calls.contains(name) };
            if let Some(obstacle) =
                first_obstacle(env, &members.peer_group, service, &ends).filter(|_| calls)
            {
                let callers = match number {
                    0 => vec!["clients".to_owned()],
                    _ => members.workloads.iter().map(ToString::to_string).collect(),
                };
                blocked.extend(callers.into_iter().map(|callers| (callers, obstacle.clone())));
            }
        }
        blocked
    }
}

/// Most pods of a Service that messages distinguish.
const ENDS_LOOKED_AT: usize = 16;

fn first_obstacle(
    env: &Environment,
    caller: &ConnectionEnd,
    service: &Service,
    ends: &[ConnectionEnd],
) -> Option<Obstacle> {
    ends.iter().find_map(|end| obstacle(env.store(), caller, service, end))
}

fn service_at(env: &Environment, position: usize) -> ObjectReference {
    ObjectReference { kind: Kind::Service, id: env.world.traffic[position].0.clone() }
}

impl Obstacle {
    /// The policies that isolate the end at which packets are dropped.
    pub(super) fn policies(&self) -> &[NamespacedName] {
        let (Self::Dns(verdict) | Self::Way(verdict)) = self;
        verdict.denied_by().map_or(&[], |(_, policies)| policies)
    }
}

impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Dns(verdict) | Self::Way(verdict)) = self;
        let Some((direction, policies)) = verdict.denied_by() else { return Ok(()) };
        let names: Vec<String> = policies.iter().map(ToString::to_string).collect();
        let noun = if names.len() == 1 { "NetworkPolicy" } else { "NetworkPolicies" };
        let isolates = if names.len() == 1 { "isolates" } else { "isolate" };
        write!(f, "{noun} {} {isolates} ", names.join(", "))?;
        match (self, direction) {
            (Self::Dns(_), Direction::Egress) => f.write_str(
                "their pods (Egress), and no rule allows DNS (UDP port 53 of kube-system)",
            ),
            (Self::Dns(_), Direction::Ingress) => {
                f.write_str("the DNS in kube-system (Ingress), and no rule allows them")
            }
            (Self::Way(_), Direction::Egress) => {
                f.write_str("their pods (Egress), and no rule allows the destination")
            }
            (Self::Way(_), Direction::Ingress) => {
                f.write_str("the Service's pods (Ingress), and no rule allows them")
            }
        }
    }
}
