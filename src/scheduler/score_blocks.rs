//! Scores of all nodes for one pod class, in blocks, so that the best of thousands of nodes is found by reading only
//! a few. Holds bare numbers without interpreting them.

use std::ops::Range;

/// Positions of a block.
const BLOCK: usize = 64;

/// Scores by position. A negative score marks an infeasible node.
#[derive(Clone, Debug, Default)]
pub struct ScoreBlocks {
    scores: Vec<i16>,
    blocks: Vec<Block>,
}

/// Summary of a block's scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    /// The best score.
    best: i16,
    /// Number of positions with the best score.
    with_best: u16,
    /// Number of feasible positions.
    feasible: u16,
}

/// Score of an infeasible node.
pub(crate) const INFEASIBLE: i16 = -1;

/// The best score in a range of positions, and its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Best {
    /// The score.
    pub score: i16,
    /// Number of positions with the best score.
    pub count: usize,
}

impl Best {
    const NONE: Self = Self { score: INFEASIBLE, count: 0 };

    fn merge(self, other: Self) -> Self {
        match self.score.cmp(&other.score) {
            std::cmp::Ordering::Less => other,
            std::cmp::Ordering::Greater => self,
            std::cmp::Ordering::Equal => {
                Self { score: self.score, count: self.count + other.count }
            }
        }
    }
}

impl Block {
    fn of(scores: &[i16]) -> Self {
        let best = scores.iter().copied().max().unwrap_or(INFEASIBLE);
        Self {
            best,
            with_best: count(scores, |score| score == best),
            feasible: count(scores, |score| score >= 0),
        }
    }
}

/// Number of matching scores. Free of branches and calls, so that it vectorizes.
fn count(scores: &[i16], matches: impl Fn(i16) -> bool) -> u16 {
    scores.iter().map(|score| u16::from(matches(*score))).sum()
}

impl ScoreBlocks {
    /// The scores at all positions, in their order.
    pub fn new(scores: Vec<i16>) -> Self {
        let blocks = scores.chunks(BLOCK).map(Block::of).collect();
        Self { scores, blocks }
    }

    /// Number of positions.
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// The score at a position.
    pub fn get(&self, position: usize) -> i16 {
        self.scores[position]
    }

    /// Changes the score at a position.
    pub fn set(&mut self, position: usize, score: i16) {
        let old = std::mem::replace(&mut self.scores[position], score);
        if old == score {
            return;
        }
        let number = position / BLOCK;
        let block = &mut self.blocks[number];
        block.feasible += u16::from(score >= 0);
        block.feasible -= u16::from(old >= 0);
        if score > block.best {
            block.best = score;
            block.with_best = 1;
        } else if score == block.best {
            block.with_best += 1;
        } else if old == block.best {
            block.with_best -= 1;
            if block.with_best == 0 {
                let end = self.scores.len().min((number + 1) * BLOCK);
                *block = Block::of(&self.scores[number * BLOCK..end]);
            }
        }
    }

    /// The position of the feasible entry number `rank` (from 0) in a range; `Err` with their number if there are fewer.
    pub(crate) fn nth_feasible(&self, range: Range<usize>, rank: usize) -> Result<usize, usize> {
        self.nth(range, rank, |block| usize::from(block.feasible), |score| score >= 0)
    }

    /// The position of number `rank` (from 0) among the entries with this score in a range, in which it must be the
    /// best; `Err` with their number if there are fewer.
    pub(crate) fn nth_best(
        &self,
        range: Range<usize>,
        score: i16,
        rank: usize,
    ) -> Result<usize, usize> {
        let in_block = |block: &Block| if block.best == score { block.with_best.into() } else { 0 };
        self.nth(range, rank, in_block, |one| one == score)
    }

    /// The best score in a range.
    pub fn best(&self, range: Range<usize>) -> Best {
        let mut best = Best::NONE;
        for part in Parts::of(range) {
            best = best.merge(match part {
                Part::Whole(number) => {
                    let block = self.blocks[number];
                    Best { score: block.best, count: block.with_best.into() }
                }
                Part::Few(range) => {
                    let block = Block::of(&self.scores[range]);
                    Best { score: block.best, count: block.with_best.into() }
                }
            });
        }
        best
    }

    /// The positions with this score in a range, which must be the best there.
    pub(crate) fn each_best(&self, range: Range<usize>, score: i16) -> impl Iterator<Item = usize> {
        let positions = move |part: Part| match part {
            Part::Whole(number) if self.blocks[number].best != score => 0..0,
            Part::Whole(number) => number * BLOCK..(number + 1) * BLOCK,
            Part::Few(range) => range,
        };
        Parts::of(range).flat_map(positions).filter(move |at| self.scores[*at] == score)
    }

    fn nth(
        &self,
        range: Range<usize>,
        rank: usize,
        in_block: impl Fn(&Block) -> usize,
        matches: impl Fn(i16) -> bool,
    ) -> Result<usize, usize> {
        let mut seen = 0;
        for part in Parts::of(range) {
            let positions = match part {
                Part::Whole(number) => {
                    let inside = in_block(&self.blocks[number]);
                    if seen + inside <= rank {
                        seen += inside;
                        continue;
                    }
                    number * BLOCK..self.scores.len().min((number + 1) * BLOCK)
                }
                Part::Few(range) => range,
            };
            for position in positions {
                if matches(self.scores[position]) {
                    if seen == rank {
                        return Ok(position);
                    }
                    seen += 1;
                }
            }
        }
        Err(seen)
    }
}

/// A range cut at the borders of blocks.
struct Parts {
    at: usize,
    end: usize,
}

enum Part {
    /// All of a block.
    Whole(usize),
    /// Some positions of one.
    Few(Range<usize>),
}

impl Parts {
    const fn of(range: Range<usize>) -> Self {
        Self { at: range.start, end: range.end }
    }
}

impl Iterator for Parts {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        if self.at >= self.end {
            return None;
        }
        let number = self.at / BLOCK;
        let border = (number + 1) * BLOCK;
        let (from, to) = (self.at, border.min(self.end));
        self.at = to;
        let is_whole = from == number * BLOCK && to == border;
        Some(if is_whole { Part::Whole(number) } else { Part::Few(from..to) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_best_of_a_range_is_told_with_its_number() {
        let mut scores = ScoreBlocks::new(vec![3; 200]);
        scores.set(70, 9);
        scores.set(130, 9);
        scores.set(71, INFEASIBLE);
        assert_eq!(scores.best(0..200), Best { score: 9, count: 2 });
        assert_eq!(scores.best(71..130), Best { score: 3, count: 58 });
        assert_eq!(scores.nth_best(0..200, 9, 1), Ok(130));
        assert_eq!(scores.nth_feasible(0..200, 71), Ok(72));
        assert_eq!(scores.nth_feasible(0..200, 199), Err(199));
    }

    proptest! {
        #[test]
        fn blocks_answer_as_a_plain_scan_does(
            start in prop::collection::vec(-1i16..5, 1..300),
            changes in prop::collection::vec((0usize..300, -1i16..5), 0..200),
            from in 0usize..300, length in 0usize..300, rank in 0usize..50,
        ) {
            let mut plain = start.clone();
            let mut blocks = ScoreBlocks::new(start);
            for (position, score) in changes {
                if position < plain.len() {
                    plain[position] = score;
                    blocks.set(position, score);
                }
            }
            let from = from.min(plain.len());
            let range = from..(from + length).min(plain.len());
            let part = &plain[range.clone()];
            let best = part.iter().copied().max().unwrap_or(INFEASIBLE);
            let found = blocks.best(range.clone());
            prop_assert_eq!(found.score, best);
            prop_assert_eq!(found.count, part.iter().filter(|score| **score == best).count());
            let feasible: Vec<usize> = range.clone().filter(|at| plain[*at] >= 0).collect();
            let expected = feasible.get(rank).copied().ok_or(feasible.len());
            prop_assert_eq!(blocks.nth_feasible(range.clone(), rank), expected);
            let bests: Vec<usize> = range.clone().filter(|at| plain[*at] == best).collect();
            let expected = bests.get(rank).copied().ok_or(bests.len());
            prop_assert_eq!(blocks.nth_best(range.clone(), best, rank), expected);
            prop_assert_eq!(blocks.each_best(range, best).collect::<Vec<_>>(), bests);
        }
    }
}
