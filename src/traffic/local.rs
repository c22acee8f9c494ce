//! Requests that stay on the node at which they arrive: `internalTrafficPolicy: Local` and `externalTrafficPolicy:
//! Local` (`CategorizeEndpoints`, `pkg/proxy/topology.go`, 1.36).

use super::backend::{Backend, BackendId};
use super::balancer::Caller;
use engine::random::index_below;
use engine::{Stream, Table};

/// The endpoints of a service by node.
#[derive(Clone, Debug)]
pub(super) struct Local {
    /// Whether requests of pods stay on their node.
    pub inside: bool,
    /// Whether requests from outside stay on the node at which they arrive.
    pub outside: bool,
    /// By node number, ascending.
    pub by_node: Vec<(u32, Vec<BackendId>)>,
}

impl Local {
    /// Sets the endpoints from now on.
    pub(crate) fn endpoints_changed(&mut self, endpoints: &[BackendId], backends: &Table<Backend>) {
        self.by_node.clear();
        for endpoint in endpoints {
            let Some(node) = backends.get(*endpoint).and_then(|one| one.node) else { continue };
            match self.by_node.binary_search_by_key(&node, |(known, _)| *known) {
                Ok(position) => self.by_node[position].1.push(*endpoint),
                Err(position) => self.by_node.insert(position, (node, vec![*endpoint])),
            }
        }
    }

    /// The candidate endpoints for a request of this caller; absent = all. A load balancer health-checks the nodes and
    /// distributes evenly over those with an endpoint.
    pub fn of(&self, caller: &Caller<'_>, stream: &mut Stream) -> Option<&[BackendId]> {
        if !caller.is_inside {
            let is_local = self.outside && !self.by_node.is_empty();
            return is_local
                .then(|| self.by_node[index_below(stream, self.by_node.len())].1.as_slice());
        }
        let node = caller.node.filter(|_| self.inside)?;
        let found = self.by_node.binary_search_by_key(&node, |(known, _)| *known);
        Some(found.map_or(&[], |position| self.by_node[position].1.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request_model::RequestSize;
    use crate::trace::Tokens;
    use engine::Streams;

    #[test]
    fn a_request_of_a_pod_stays_on_its_node_or_finds_nobody() {
        let mut table: Table<u8> = Table::default();
        let pods = [1, 1, 2].map(|node| (node, BackendId::from_bits(table.insert(0).to_bits())));
        let of = |node: u32| pods.iter().filter(move |(one, _)| *one == node).map(|(_, pod)| *pod);
        let by_node = vec![(1, of(1).collect::<Vec<_>>()), (2, of(2).collect())];
        let local = Local { inside: true, outside: false, by_node };
        let mut stream = Streams::new(1).stream("local", 0);
        let size = RequestSize::draw(Tokens::default(), &mut Streams::new(1).stream("sizes", 0));
        let outside = Caller::outside(&size);
        let inside = |node| Caller { is_inside: true, node: Some(node), ..outside };
        assert_eq!(local.of(&inside(1), &mut stream).map(<[_]>::len), Some(2));
        assert_eq!(local.of(&inside(2), &mut stream).map(<[_]>::len), Some(1));
        assert_eq!(local.of(&inside(3), &mut stream).map(<[_]>::len), Some(0));
        assert_eq!(local.of(&outside, &mut stream), None);
    }
}
