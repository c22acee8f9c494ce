//! Which of several equal choices is taken. The real scheduler leaves it to the order of a heap and
//! of Go's maps; a simulation needs a rule.

use super::cache::Cache;
use crate::engine::Stream;
use crate::engine::random::index_below;

/// A rule for equal choices.
#[derive(Clone, Debug)]
pub enum TieBreaker {
    /// The node whose name is smallest.
    FirstByName,
    /// A drawn one.
    Drawn(Box<Stream>),
}

impl TieBreaker {
    /// One of the nodes (slots); `None` if there is none. Nothing is drawn for a single one.
    pub fn pick(&mut self, cache: &Cache, nodes: &[usize]) -> Option<usize> {
        match self {
            Self::FirstByName => nodes.iter().copied().min_by_key(|slot| &cache.node(*slot).name),
            Self::Drawn(stream) => match nodes {
                [] | [_] => nodes.first().copied(),
                many => Some(many[index_below(stream.as_mut(), many.len())]),
            },
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
