//! Consistent hashing: maps a client's hash to an endpoint.

use super::backend::BackendId;
use engine::Digest;

/// Points of an endpoint on the ring, as in libketama.
const POINTS: u64 = 160;

/// The endpoints of a service on a ring of hashes, each at many points.
#[derive(Clone, Debug, Default)]
pub(super) struct HashRing {
    /// By hash.
    points: Vec<(u64, BackendId)>,
}

impl HashRing {
    /// A ring of these endpoints. The points of an endpoint do not depend on the others.
    pub fn new(endpoints: &[BackendId]) -> Self {
        let mut points = Vec::new();
        for endpoint in endpoints {
            points.extend((0..POINTS).map(|number| (hash(endpoint.to_bits(), number), *endpoint)));
        }
        points.sort_unstable();
        Self { points }
    }

    /// The endpoint of a client, if there is any.
    pub fn endpoint_of(&self, client: u64) -> Option<BackendId> {
        let at = hash(client, u64::MAX);
        let next = self.points.partition_point(|(hash, _)| *hash < at);
        self.points.get(next).or(self.points.first()).map(|(_, endpoint)| *endpoint)
    }
}

fn hash(one: u64, other: u64) -> u64 {
    let mut digest = Digest::default();
    digest.word(one);
    digest.word(other);
    digest.value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Table;

    fn endpoints(count: u64) -> Vec<BackendId> {
        let mut ids: Table<u64> = Table::default();
        (0..count).map(|one| BackendId::from_bits(ids.insert(one).to_bits())).collect()
    }

    #[test]
    fn clients_are_spread_over_all_endpoints() {
        let endpoints = endpoints(10);
        let ring = HashRing::new(&endpoints);
        let mut counts = [0u32; 10];
        for client in 0..10_000 {
            let endpoint = ring.endpoint_of(client).expect("there are endpoints");
            counts[endpoint.index()] += 1;
        }
        assert!(counts.iter().all(|count| (600..1500).contains(count)), "{counts:?}");
        assert_eq!(HashRing::new(&[]).endpoint_of(1), None);
    }

    #[test]
    fn a_lost_endpoint_moves_its_own_clients_alone() {
        let endpoints = endpoints(8);
        let [before, after] = [&endpoints[..], &endpoints[1..]].map(HashRing::new);
        for client in 0..2_000 {
            let was = before.endpoint_of(client);
            assert!(was == Some(endpoints[0]) || after.endpoint_of(client) == was);
        }
    }
}
