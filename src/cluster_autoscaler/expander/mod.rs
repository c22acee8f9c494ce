//! Expanders, which choose an expansion option (`cluster-autoscaler/expander`): each one in the chain narrows down
//! the options, and any remaining tie is broken at random.

mod price;
mod priority;
mod waste;

pub use priority::PriorityList;
pub(crate) use waste::waste;

use std::sync::Arc;

use rand::Rng;

use super::pods::PodInfo;
use super::provider::CloudProvider;
use super::report::PriceScore;
use super::template::Templates;
use cluster::Name;
use engine::Stream;

/// An expansion option: a number of new nodes of a group for some pods.
#[derive(Clone, Debug)]
pub(crate) struct ExpansionOption {
    /// The group, by position and by name.
    pub(crate) group: usize,
    pub(crate) name: Name,
    pub(crate) nodes: i64,
    pub(crate) pods: Vec<Arc<PodInfo>>,
    /// Positions of similar groups.
    pub(crate) similar: Vec<usize>,
    pub(crate) price: Option<PriceScore>,
}

/// A type of expander.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpanderKind {
    /// A random option.
    Random,
    /// The option that takes the most pods.
    MostPods,
    /// The option that wastes the least CPU and memory.
    LeastWaste,
    /// The option with the fewest nodes.
    LeastNodes,
    /// The cheapest option relative to the requests of its pods.
    Price,
    /// The group with the highest priority in a list.
    Priority,
}

/// How the last tie is broken.
#[derive(Clone, Debug)]
pub enum TieBreaker {
    /// At random, as in the real autoscaler.
    Drawn(Stream),
    /// The first option, in the order of the groups.
    First,
}

/// Input of the expanders in addition to the options.
pub(crate) struct ExpanderContext<'a> {
    pub(crate) templates: &'a Templates,
    pub(crate) cloud: &'a dyn CloudProvider,
    pub(crate) priorities: &'a PriorityList,
    /// Number of nodes in the cluster, which determines the preferred node size.
    pub(crate) node_count: usize,
}

impl ExpanderKind {
    /// All types.
    pub const ALL: [Self; 6] = [
        Self::Random,
        Self::MostPods,
        Self::LeastWaste,
        Self::LeastNodes,
        Self::Price,
        Self::Priority,
    ];

    /// The name in the flag.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::MostPods => "most-pods",
            Self::LeastWaste => "least-waste",
            Self::LeastNodes => "least-nodes",
            Self::Price => "price",
            Self::Priority => "priority",
        }
    }

    /// Parses a comma-separated chain as in the flag: each expander at most once, and none after `random`.
    pub(crate) fn read_chain(text: &str) -> Result<Vec<Self>, String> {
        let mut chain: Vec<Self> = Vec::new();
        for name in text.split(',') {
            let found = Self::ALL.into_iter().find(|one| one.name() == name);
            let Some(found) = found else {
                let known: Vec<&str> = Self::ALL.iter().map(|one| one.name()).collect();
                return Err(format!("{name:?} is not an expander; known are {}", known.join(", ")));
            };
            if chain.contains(&found) {
                return Err(format!("{name} is listed twice"));
            }
            if chain.last() == Some(&Self::Random) {
                return Err(format!(
                    "{name} comes after random, which leaves one option: drop one"
                ));
            }
            chain.push(found);
        }
        Ok(chain)
    }
}

/// The position of the chosen option; absent if none is left (`chainStrategy.BestOption`).
pub(crate) fn best_option(
    options: &mut [ExpansionOption],
    chain: &[ExpanderKind],
    context: &ExpanderContext<'_>,
    ties: &mut TieBreaker,
) -> Option<usize> {
    let mut left: Vec<usize> = (0..options.len()).collect();
    for kind in chain {
        left = match kind {
            ExpanderKind::Random => draw(&left, ties).into_iter().collect(),
            ExpanderKind::MostPods => most_pods(options, &left),
            ExpanderKind::LeastNodes => least_nodes(options, &left),
            ExpanderKind::LeastWaste => waste::least_waste(options, &left, context),
            ExpanderKind::Price => price::cheapest(options, &left, context),
            ExpanderKind::Priority => priority::highest(options, &left, context.priorities),
        };
        if left.len() == 1 {
            break;
        }
    }
    if left.len() == 1 { left.first().copied() } else { draw(&left, ties) }
}

fn draw(left: &[usize], ties: &mut TieBreaker) -> Option<usize> {
    match ties {
        TieBreaker::First => left.first().copied(),
        TieBreaker::Drawn(_) if left.is_empty() => None,
        TieBreaker::Drawn(stream) => {
            let number = u64::try_from(left.len()).unwrap_or(u64::MAX);
            let drawn = (u128::from(stream.next_u64()) * u128::from(number)) >> 64;
            left.get(usize::try_from(drawn).unwrap_or(0)).copied()
        }
    }
}

fn most_pods(options: &[ExpansionOption], left: &[usize]) -> Vec<usize> {
    let most = left.iter().map(|at| options[*at].pods.len()).max();
    left.iter().copied().filter(|at| Some(options[*at].pods.len()) == most).collect()
}

fn least_nodes(options: &[ExpansionOption], left: &[usize]) -> Vec<usize> {
    let counted = || left.iter().copied().filter(|at| options[*at].nodes != 0);
    let least = counted().map(|at| options[at].nodes).min();
    counted().filter(|at| Some(options[*at].nodes) == least).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::Streams;

    #[test]
    fn chains_name_known_expanders_once_and_end_with_random() {
        let chain = ExpanderKind::read_chain("priority,least-waste").unwrap();
        assert_eq!(chain, [ExpanderKind::Priority, ExpanderKind::LeastWaste]);
        for wrong in ["", "price,price", "random,price", "least_waste"] {
            assert!(ExpanderKind::read_chain(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_option_is_drawn_at_some_time() {
        let mut ties = TieBreaker::Drawn(Streams::new(7).stream("expander", 0));
        let drawn: std::collections::BTreeSet<_> =
            (0..50).filter_map(|_| draw(&[3, 5, 8], &mut ties)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [3, 5, 8]);
        assert_eq!(draw(&[], &mut ties), None);
    }

    #[test]
    fn most_pods_and_least_nodes_do_what_they_say() {
        let option = |nodes, group| ExpansionOption {
            group,
            name: "a".into(),
            nodes,
            pods: Vec::new(),
            similar: Vec::new(),
            price: None,
        };
        let options = [option(3, 0), option(2, 1), option(2, 2), option(0, 3)];
        assert_eq!(least_nodes(&options, &[0, 1, 2, 3]), [1, 2]);
        assert_eq!(most_pods(&options, &[0, 2]), [0, 2]);
    }
}
