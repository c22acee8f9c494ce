//! Prefix-cache-aware routing to LLM servers, as AIBrix's `prefix-cache` does
//! (`pkg/plugins/gateway/algorithms/prefix_cache.go`, v0.3): its router remembers where it sent which prefix,
//! and reuses that pod unless it is too loaded.

use rustc_hash::FxHashMap;

use super::backend::BackendId;
use engine::Stream;
use engine::random::index_below;

/// If the largest and smallest number of requests per pod differ by more, load alone decides
/// (`AIBRIX_PREFIX_CACHE_POD_RUNNING_REQUEST_IMBALANCE_ABS_COUNT`).
const IMBALANCE_MAX: usize = 8;

/// Number of most recent sessions to remember; at most twice as many are kept, as a trace may have any number
/// of them.
const REMEMBERED: usize = 1 << 17;

/// The pods to which requests with the same prefix were sent.
#[derive(Clone, Debug, Default)]
pub(super) struct PrefixIndex {
    /// The pods of each session; the first map has the most recent sessions. Only looked up, never iterated.
    pods: [FxHashMap<u32, Vec<BackendId>>; 2],
}

impl PrefixIndex {
    /// Drops pods that are no longer endpoints.
    pub(crate) fn endpoints_changed(&mut self, endpoints: &[BackendId]) {
        for pods in self.pods.iter_mut().flat_map(FxHashMap::values_mut) {
            pods.retain(|pod| endpoints.contains(pod));
        }
    }

    /// The position of the endpoint for a request of `session`, 0 for a unique prefix. `loads` has the
    /// requests of each endpoint, at least one.
    pub fn choose(
        &mut self,
        session: u32,
        endpoints: &[BackendId],
        loads: &[usize],
        stream: &mut Stream,
    ) -> usize {
        let chosen =
            self.matched(session, endpoints, loads).unwrap_or_else(|| least_loaded(loads, stream));
        if session != 0 {
            self.remember(session, endpoints[chosen]);
        }
        chosen
    }

    fn remember(&mut self, session: u32, pod: BackendId) {
        if self.pods[0].len() >= REMEMBERED {
            self.pods.swap(0, 1);
            self.pods[0].clear();
        }
        let [recent, earlier] = &mut self.pods;
        let known = || earlier.remove(&session).unwrap_or_default();
        let pods = recent.entry(session).or_insert_with(known);
        if !pods.contains(&pod) {
            pods.push(pod);
        }
    }

    /// The least loaded of the pods that have the prefix, if its load is at most the mean plus a standard
    /// deviation.
    fn matched(&self, session: u32, endpoints: &[BackendId], loads: &[usize]) -> Option<usize> {
        let most = loads.iter().max()?;
        let fewest = loads.iter().min()?;
        if most - fewest > IMBALANCE_MAX {
            return None;
        }
        let known = self.pods.iter().find_map(|pods| pods.get(&session))?;
        let knows = |position: &usize| known.contains(&endpoints[*position]);
        let best = (0..endpoints.len()).filter(knows).min_by_key(|position| loads[*position])?;
        let count = loads.len() as f64;
        let mean = loads.iter().map(|load| *load as f64).sum::<f64>() / count;
        let squares = loads.iter().map(|load| (*load as f64 - mean) * (*load as f64 - mean));
        let deviation = (squares.sum::<f64>() / count).sqrt();
        (loads[best] as f64 <= mean + deviation).then_some(best)
    }
}

/// A random one of those with the fewest requests.
fn least_loaded(loads: &[usize], stream: &mut Stream) -> usize {
    let fewest = loads.iter().min().copied().unwrap_or_default();
    let candidates = loads.iter().filter(|load| **load == fewest).count();
    let drawn = index_below(stream, candidates.max(1));
    let of_fewest = loads.iter().enumerate().filter(|(_, load)| **load == fewest);
    of_fewest.map(|(position, _)| position).nth(drawn).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{Streams, Table};

    fn endpoints(count: u64) -> Vec<BackendId> {
        let mut ids: Table<u64> = Table::default();
        (0..count).map(|one| BackendId::from_bits(ids.insert(one).to_bits())).collect()
    }

    #[test]
    fn a_session_stays_where_it_was_unless_that_pod_has_much_more_to_do() {
        let pods = endpoints(3);
        let mut stream = Streams::new(1).stream("router", 0);
        let mut index = PrefixIndex::default();
        assert_eq!(index.choose(5, &pods, &[2, 0, 2], &mut stream), 1, "nobody knows it yet");
        assert_eq!(index.choose(5, &pods, &[2, 2, 2], &mut stream), 1);
        // Mean 3 and standard deviation 1.4: five are too many.
        assert_eq!(index.choose(5, &pods, &[2, 5, 2], &mut stream) % 2, 0);
        let mut fresh = PrefixIndex::default();
        assert_eq!(fresh.choose(5, &pods, &[2, 0, 2], &mut stream), 1);
        assert_eq!(fresh.choose(5, &pods, &[0, 4, 12], &mut stream), 0, "imbalanced");
    }

    #[test]
    fn a_session_stays_with_a_pod_within_the_deviation_and_the_imbalance_that_are_allowed() {
        let pods = endpoints(3);
        let mut index = PrefixIndex::default();
        index.remember(5, pods[1]);
        // Mean 2.3 and standard deviation 0.9.
        assert_eq!(index.matched(5, &pods, &[1, 3, 3]), Some(1));
        assert_eq!(index.matched(5, &pods, &[0, 0, 8]), Some(1), "8 more are allowed");
        assert_eq!(index.matched(5, &pods, &[0, 0, 9]), None, "9 more are not");
    }

    #[test]
    fn sessions_that_ask_now_and_then_are_remembered_and_others_forgotten() {
        let pods = endpoints(2);
        let mut index = PrefixIndex::default();
        for session in 1..=1_000_000 {
            index.remember(session, pods[0]);
            index.remember(1, pods[1]);
        }
        assert!(index.pods.iter().map(FxHashMap::len).sum::<usize>() <= 2 * REMEMBERED);
        assert_eq!(index.matched(1, &pods, &[1, 0]), Some(1));
        assert_eq!(index.matched(2, &pods, &[0, 0]), None);
        assert_eq!(index.matched(1_000_000, &pods, &[0, 0]), Some(0));
    }

    #[test]
    fn pods_that_are_gone_are_forgotten() {
        let pods = endpoints(3);
        let mut stream = Streams::new(1).stream("router", 0);
        let mut index = PrefixIndex::default();
        assert_eq!(index.choose(5, &pods, &[2, 0, 2], &mut stream), 1);
        let left = [pods[0], pods[2]];
        index.endpoints_changed(&left);
        assert_eq!(index.choose(5, &left, &[1, 0], &mut stream), 1);
    }
}
