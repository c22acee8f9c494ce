//! Calls that pass the proxies of a mesh: their destinations by weight, mirrors and injected faults.

use super::calls::Caller;
use super::deadlines::Deadlines;
use super::{Edge, MeshEdge};
use crate::mesh_route::{MeshDestination, MeshRoute};
use crate::path::{ServiceTraffic, Traffic};
use crate::trace::Tokens;
use engine::random::{happens, open_unit};
use engine::{SimDuration, SimTime, Streams};

impl Traffic {
    /// The edge of a call that is made on this one, by the weights of its destinations. Mirrors the call if it is to be.
    #[inline]
    pub(super) fn choice_of(&mut self, now: SimTime, edge: u32, tokens: Tokens, depth: u8) -> u32 {
        if self.network.edges[edge as usize].mesh.is_none() {
            return edge;
        }
        let row = &mut self.network.edges[edge as usize];
        let Some(mesh) = row.mesh.take() else { return edge };
        let chosen = match mesh.choices.as_slice() {
            [] => edge,
            _ => mesh.choose(open_unit(&mut row.stream)).unwrap_or(edge),
        };
        for (mirror, share) in &mesh.mirrors {
            if happens(&mut self.network.edges[edge as usize].stream, *share) {
                self.make_call(now, *mirror, tokens, Caller::Mirror, depth);
            }
        }
        self.network.edges[edge as usize].mesh = Some(mesh);
        chosen
    }

    /// The fault that a proxy injects into a new call.
    #[inline]
    pub(super) fn draw_fault(&mut self, edge: u32) -> Option<Fault> {
        let row = &mut self.network.edges[edge as usize];
        let mesh = row.mesh.as_ref()?;
        if mesh.abort_share > 0.0 && happens(&mut row.stream, mesh.abort_share) {
            return Some(Fault::Error);
        }
        let (delay, share) = mesh.delay?;
        happens(&mut row.stream, share).then_some(Fault::Delay(delay))
    }
}

/// A fault that a proxy injects.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// The call is sent later.
    Delay(SimDuration),
    /// The call fails at once.
    Error,
}

/// Lets the calls on an edge pass the proxies of a mesh. Further edges, for its destinations, are appended.
pub(super) fn follow(
    route: &MeshRoute,
    position: u32,
    services: &[ServiceTraffic],
    edges: &mut Vec<Edge>,
    streams: Streams,
) {
    let named = |name: &str| (0..).zip(services).find(|(_, one)| one.name == name);
    let number = |name: &str| named(name).map(|(number, _)| number);
    let edge = &mut edges[position as usize];
    edge.deadlines.limit(route.timeout);
    edge.connect_deadlines.limit(route.connect_timeout);
    if edge.retries.is_none() {
        edge.retries = route.retries;
        edge.try_deadlines = Deadlines::new(route.try_timeout);
    }
    let fault =
        MeshEdge { delay: route.delay, abort_share: route.abort_share, ..MeshEdge::default() };
    let has_fault = fault.delay.is_some() || fault.abort_share > 0.0;
    let origin = edge.clone();
    let to = |destination: &MeshDestination, purpose: &str, edges: &mut Vec<Edge>| {
        let service = number(&destination.service)?;
        let pods = number(&destination.pods)?;
        let stream = format!("{purpose} {position} to {}", destination.pods);
        let next = u32::try_from(edges.len()).expect("fewer than 2^32 calls");
        let mesh = has_fault.then(|| Box::new(fault.clone()));
        edges.push(Edge {
            service,
            pods,
            mesh,
            stream: streams.stream(&stream, 0),
            ..origin.clone()
        });
        Some(next)
    };
    let mut sum = 0.0;
    let mut choices = Vec::new();
    for one in route.destinations.iter().filter(|one| one.weight > 0.0) {
        if let Some(edge) = to(one, "calls of mesh route", edges) {
            sum += one.weight;
            choices.push((sum, edge));
        }
    }
    let mirror = route.mirror.as_ref().and_then(|one| {
        let edge = to(one, "mirrored calls", edges)?;
        // Nobody waits for its answer.
        let row = &mut edges[edge as usize];
        (row.retries, row.mesh) = (None, None);
        Some((edge, one.weight))
    });
    let mirrors: Vec<(u32, f64)> = mirror.into_iter().collect();
    if !choices.is_empty() || !mirrors.is_empty() || has_fault {
        let own = if choices.is_empty() { fault } else { MeshEdge::default() };
        edges[position as usize].mesh = Some(Box::new(MeshEdge { choices, mirrors, ..own }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_divided_by_weight() {
        let mesh = MeshEdge { choices: vec![(1.0, 7), (4.0, 9)], ..MeshEdge::default() };
        assert_eq!(
            [0.0, 0.249, 0.251, 0.999].map(|drawn| mesh.choose(drawn)),
            [Some(7), Some(7), Some(9), Some(9)]
        );
        assert_eq!(MeshEdge::default().choose(0.5), None);
    }
}
