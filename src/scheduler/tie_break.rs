//! Tie-breaking between equal choices. The real scheduler leaves it to the order of a heap and of Go's maps; a
//! simulation needs a rule.

use super::cache::Cache;
use engine::Stream;
use engine::random::index_below;

/// A rule for equal choices.
#[derive(Clone, Debug)]
pub enum TieBreaker {
    /// The node with the smallest name.
    FirstByName,
    /// The node that `selectHost` of kube-scheduler 1.36 finds on top of its heap, which depends on the order in
    /// which feasible nodes were found. Between equal preemption candidates, the node with the smallest name.
    TopOfHeap,
    /// A drawn one.
    Drawn(Box<Stream>),
}

impl TieBreaker {
    /// Chooses one of the nodes (slots); `None` if there is none. Draws no random number for a single node.
    pub fn pick(&mut self, cache: &Cache, nodes: &[usize]) -> Option<usize> {
        match self {
            Self::FirstByName | Self::TopOfHeap => {
                nodes.iter().copied().min_by_key(|slot| cache.name_rank(*slot))
            }
            Self::Drawn(stream) => match nodes {
                [] | [_] => nodes.first().copied(),
                many => Some(many[index_below(stream.as_mut(), many.len())]),
            },
        }
    }

    /// Like [`Self::pick`] for a list of this length, of which `nth` returns number 0, 1, ... and `all` every one.
    pub(crate) fn pick_from(
        &mut self,
        cache: &Cache,
        count: usize,
        nth: impl Fn(usize) -> usize,
        all: impl Iterator<Item = usize>,
    ) -> Option<usize> {
        match self {
            Self::FirstByName | Self::TopOfHeap => all.min_by_key(|slot| cache.name_rank(*slot)),
            Self::Drawn(stream) => match count {
                0 => None,
                1 => Some(nth(0)),
                many => Some(nth(index_below(stream.as_mut(), many))),
            },
        }
    }

    /// Chooses a feasible node by score; `top` are those with the best score.
    pub(crate) fn pick_scored(
        &mut self,
        cache: &Cache,
        feasible: &[usize],
        totals: &[i64],
        top: &[usize],
    ) -> Option<usize> {
        match self {
            Self::TopOfHeap => top_of_heap(totals).map(|position| feasible[position]),
            Self::FirstByName | Self::Drawn(_) => self.pick(cache, top),
        }
    }

    /// Where a search among `length` equal places starts; 0 where a rule by name holds.
    pub fn offset(&mut self, length: usize) -> usize {
        match self {
            Self::Drawn(stream) if length > 1 => index_below(stream.as_mut(), length),
            _ => 0,
        }
    }

    /// A rule that draws from this stream.
    pub fn drawn(stream: Stream) -> Self {
        Self::Drawn(Box::new(stream))
    }
}

/// The position on top after Go's `heap.Init` of a max-heap of these totals.
fn top_of_heap(totals: &[i64]) -> Option<usize> {
    let mut heap: Vec<usize> = (0..totals.len()).collect();
    for start in (0..heap.len() / 2).rev() {
        let mut parent = start;
        loop {
            let (left, right) = (2 * parent + 1, 2 * parent + 2);
            if left >= heap.len() {
                break;
            }
            let is_right = right < heap.len() && totals[heap[right]] > totals[heap[left]];
            let child = if is_right { right } else { left };
            if totals[heap[child]] <= totals[heap[parent]] {
                break;
            }
            heap.swap(parent, child);
            parent = child;
        }
    }
    heap.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equal_scores_the_heap_has_one_on_top_that_need_not_be_the_first() {
        assert_eq!(top_of_heap(&[]), None);
        assert_eq!(top_of_heap(&[5, 5, 5]), Some(0));
        // The fourth climbs to the place of the second, and over the first.
        assert_eq!(top_of_heap(&[1, 2, 5, 5]), Some(3));
        assert_eq!(top_of_heap(&[1, 2, 3, 5, 5]), Some(3));
    }
}
