//! The KV cache of an inference server: blocks of 16 tokens, some in use, some kept for prompts that
//! begin alike, some free.
//!
//! vLLM finds a block by the hash of all tokens up to its end as soon as the iteration that fills it is
//! scheduled (`KVCacheManager.allocate_slots`, `get_computed_blocks`), counts who uses it, and keeps one that
//! nobody uses until its place is needed (`BlockPool.touch`, `free_blocks`, `get_new_blocks`). As the requests of a
//! session share a beginning in whole, each of them uses the blocks of its session from the first on: how far
//! is all there is to know of it.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

/// Tokens of a block: vLLM's default `--block-size` on CUDA.
pub const BLOCK_TOKENS: u32 = 16;

/// The blocks of one server.
#[derive(Clone, Debug, Default)]
pub(super) struct KvCache {
    total: u64,
    /// In use by sequences that run, those of the prefix that all prompts share included. What several use
    /// counts once.
    used: u64,
    /// Blocks that no sequence uses, the last used at the back.
    kept: VecDeque<Kept>,
    /// Blocks of all in `kept`.
    kept_blocks: u64,
    /// Number of the front entry, counted since the beginning.
    front: u64,
    /// Only looked up, never iterated.
    sessions: FxHashMap<u32, Beginning>,
    /// At least how many entries were taken into use again and hold nothing.
    taken: usize,
    keeps_prefixes: bool,
}

/// Blocks that nobody uses.
#[derive(Clone, Copy, Debug)]
struct Kept {
    /// Zero for those of no session, and in an entry that holds nothing.
    session: u32,
    blocks: u64,
}

/// The cached beginning of a session's requests.
#[derive(Clone, Debug, Default)]
struct Beginning {
    blocks: u64,
    /// How many of them, from the first on, each sequence uses that runs.
    in_use: Vec<u64>,
    /// The number of the entry with those that nobody uses, if there are any.
    kept: Option<u64>,
}

/// Cached tokens for a sequence that begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Blocks from the first on.
    pub blocks: u64,
    /// As many of them are in use, so that using them takes no room.
    pub in_use: u64,
}

/// Blocks that a sequence holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// Blocks of its session that it uses; they can be used by others at the same time.
    pub of_session: u64,
    /// All of its blocks, those included.
    pub blocks: u64,
    /// As many of them, from the first on, are full.
    pub full: u64,
}

impl Beginning {
    /// Blocks that are in use, which are those that the sequence uses that uses most.
    fn in_use(&self) -> u64 {
        self.in_use.iter().max().copied().unwrap_or_default()
    }
}

impl KvCache {
    /// `shared` blocks hold the beginning that all prompts have in common, for good.
    pub fn new(total: u64, shared: u64, keeps_prefixes: bool) -> Self {
        Self { total, used: shared, keeps_prefixes, ..Self::default() }
    }

    /// Blocks that `tokens` tokens fill or begin.
    pub const fn blocks_of(tokens: u64) -> u64 {
        tokens.div_ceil(BLOCK_TOKENS as u64)
    }

    /// All blocks.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Blocks in use, as vLLM's `kv_cache_usage_perc` counts them: what is merely kept is free.
    pub const fn used(&self) -> u64 {
        self.used
    }

    /// Blocks that can be had.
    pub const fn available(&self) -> u64 {
        self.total - self.used
    }

    /// The part of the beginning of a session's requests that is cached.
    pub fn find(&self, session: u32) -> Found {
        let beginning = self.sessions.get(&session);
        beginning
            .map_or_else(Found::default, |one| Found { blocks: one.blocks, in_use: one.in_use() })
    }

    /// A sequence uses the first `blocks` blocks of a session, which the cache holds.
    pub fn share(&mut self, session: u32, blocks: u64) {
        let Some(beginning) = self.sessions.get_mut(&session).filter(|_| blocks > 0) else {
            return;
        };
        let taken = blocks.saturating_sub(beginning.in_use());
        beginning.in_use.push(blocks);
        let Some(number) = beginning.kept.filter(|_| taken > 0) else { return };
        self.used += taken;
        self.kept_blocks -= taken;
        let position = position_of(number, self.front);
        self.kept[position].blocks -= taken;
        if self.kept[position].blocks == 0 {
            beginning.kept = None;
            self.empty(position);
        }
    }

    /// A sequence that uses `of_session` blocks of its session has filled its blocks up to the `full`th. How
    /// many of the session it uses now: from now on others can share them, unless another was faster.
    pub fn publish(&mut self, session: u32, of_session: u64, full: u64) -> u64 {
        if !self.keeps_prefixes || session == 0 || full <= of_session {
            return of_session;
        }
        let beginning = self.sessions.entry(session).or_default();
        if beginning.blocks != of_session {
            return of_session;
        }
        beginning.blocks = full;
        match beginning.in_use.iter_mut().find(|one| **one == of_session) {
            Some(own) if of_session > 0 => *own = full,
            _ => beginning.in_use.push(full),
        }
        full
    }

    /// Takes `blocks` into use, which must be available: first those that hold nothing, then those that
    /// were kept longest, the ends of sequences before their beginnings.
    pub fn allocate(&mut self, blocks: u64) {
        self.used += blocks;
        while self.used + self.kept_blocks > self.total {
            let missing = self.used + self.kept_blocks - self.total;
            let Some(oldest) = self.kept.front_mut() else { break };
            let dropped = oldest.blocks.min(missing);
            oldest.blocks -= dropped;
            self.kept_blocks -= dropped;
            let Kept { session, blocks: left } = *oldest;
            if left == 0 {
                self.kept.pop_front();
                self.front += 1;
            }
            let Some(beginning) = self.sessions.get_mut(&session) else { continue };
            beginning.blocks -= dropped;
            if left == 0 {
                beginning.kept = None;
                if beginning.blocks == 0 {
                    self.sessions.remove(&session);
                }
            }
        }
    }

    /// A sequence of a session (0 for none) ended or was preempted. What nobody else uses and is full can be
    /// used again.
    pub fn release(&mut self, session: u32, held: Held) {
        self.used -= held.blocks - held.of_session;
        if !self.keeps_prefixes {
            return;
        }
        if session == 0 {
            return self.keep(0, held.full);
        }
        let beginning = self.sessions.entry(session).or_default();
        let in_use_before = beginning.in_use();
        let own = beginning.in_use.iter().position(|one| *one == held.of_session);
        if let Some(own) = own.filter(|_| held.of_session > 0) {
            beginning.in_use.swap_remove(own);
        }
        let in_use = beginning.in_use();
        // What another had filled before it is there twice, and goes.
        let grown = held.full.saturating_sub(beginning.blocks);
        if in_use_before == in_use && grown == 0 {
            if beginning.blocks == 0 {
                self.sessions.remove(&session);
            }
            return;
        }
        self.used -= in_use_before - in_use;
        beginning.blocks += grown;
        let blocks = beginning.blocks - in_use;
        if let Some(number) = beginning.kept.take() {
            let position = position_of(number, self.front);
            self.kept_blocks -= self.kept[position].blocks;
            self.empty(position);
        }
        self.keep(session, blocks);
    }

    /// Keeps blocks that nobody uses behind all others.
    fn keep(&mut self, session: u32, blocks: u64) {
        if blocks == 0 {
            return;
        }
        if let Some(beginning) = self.sessions.get_mut(&session) {
            beginning.kept = Some(self.front + self.kept.len() as u64);
        }
        self.kept.push_back(Kept { session, blocks });
        self.kept_blocks += blocks;
    }

    /// The entry at this position holds nothing any more.
    fn empty(&mut self, position: usize) {
        self.kept[position] = Kept { session: 0, blocks: 0 };
        self.taken += 1;
        if self.taken > 64 && self.taken * 2 > self.kept.len() {
            self.taken = 0;
            self.front = 0;
            self.kept.retain(|kept| kept.blocks > 0);
            for (number, kept) in (0..).zip(&self.kept) {
                if let Some(beginning) = self.sessions.get_mut(&kept.session) {
                    beginning.kept = Some(number);
                }
            }
        }
    }
}

/// Where the entry with a number stands behind the front one.
#[expect(clippy::cast_possible_truncation, reason = "the number is of an entry in `kept`")]
const fn position_of(number: u64, front: u64) -> usize {
    (number - front) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn own(blocks: u64) -> Held {
        Held { of_session: 0, blocks, full: blocks }
    }

    #[test]
    fn what_was_kept_longest_goes_first_and_from_its_end() {
        let mut cache = KvCache::new(10, 0, true);
        cache.allocate(8);
        cache.release(1, own(4));
        cache.release(2, own(4));
        assert_eq!((cache.used(), cache.available()), (0, 10));
        cache.allocate(5);
        assert_eq!((cache.find(1).blocks, cache.find(2).blocks), (1, 4));
        cache.allocate(3);
        assert_eq!((cache.find(1).blocks, cache.find(2).blocks), (0, 2));
        cache.share(2, 2);
        assert_eq!((cache.used(), cache.find(2)), (10, Found { blocks: 2, in_use: 2 }));
    }

    /// As `tests/v1/core/test_prefix_caching.py` of vLLM has it in `test_prefill`: what runs is shared by
    /// reference count, and only its last user makes it free.
    #[test]
    fn blocks_that_several_use_count_once_and_are_kept_by_the_last() {
        let mut cache = KvCache::new(10, 0, true);
        // Three full blocks and one that is begun.
        cache.allocate(4);
        assert_eq!(cache.publish(1, 0, 3), 3);
        // Another begins with the same three and needs one of its own.
        assert_eq!(cache.find(1), Found { blocks: 3, in_use: 3 });
        cache.share(1, 3);
        cache.allocate(1);
        assert_eq!(cache.used(), 5);
        cache.release(1, Held { of_session: 3, blocks: 4, full: 3 });
        assert_eq!((cache.used(), cache.find(1)), (4, Found { blocks: 3, in_use: 3 }));
        cache.release(1, Held { of_session: 3, blocks: 4, full: 3 });
        assert_eq!((cache.used(), cache.find(1)), (0, Found { blocks: 3, in_use: 0 }));
    }

    #[test]
    fn the_end_of_a_beginning_that_a_shorter_prompt_does_not_use_may_go() {
        let mut cache = KvCache::new(10, 0, true);
        cache.allocate(8);
        cache.release(1, own(8));
        cache.share(1, 3);
        assert_eq!((cache.used(), cache.available()), (3, 7));
        cache.allocate(6);
        assert_eq!(cache.find(1), Found { blocks: 4, in_use: 3 });
        cache.allocate(1);
        assert_eq!(cache.find(1), Found { blocks: 3, in_use: 3 });
    }

    #[test]
    fn what_two_computed_at_once_is_kept_once() {
        let mut cache = KvCache::new(10, 0, true);
        cache.allocate(8);
        assert_eq!(cache.publish(1, 0, 4), 4);
        assert_eq!(cache.publish(1, 0, 4), 0, "the other was faster");
        cache.release(1, own(4));
        assert_eq!((cache.used(), cache.find(1).blocks), (4, 4));
        cache.release(1, Held { of_session: 4, blocks: 4, full: 4 });
        assert_eq!((cache.used(), cache.find(1)), (0, Found { blocks: 4, in_use: 0 }));
    }

    #[test]
    fn entries_that_hold_nothing_are_swept_away() {
        let mut cache = KvCache::new(1000, 0, true);
        cache.allocate(4);
        cache.release(2, own(4));
        for _ in 0..500 {
            cache.allocate(5);
            cache.release(1, own(5));
            let found = cache.find(1).blocks;
            cache.share(1, found);
            cache.release(1, Held { of_session: found, blocks: found, full: found });
        }
        assert!(cache.kept.len() < 140, "{}", cache.kept.len());
        assert_eq!((cache.find(1).blocks, cache.find(2).blocks, cache.kept_blocks), (5, 4, 9));
    }

    #[test]
    fn nothing_is_kept_without_prefix_caching() {
        let mut cache = KvCache::new(10, 0, false);
        cache.allocate(8);
        assert_eq!(cache.publish(1, 0, 8), 0);
        cache.release(1, own(8));
        assert_eq!(cache.find(1), Found::default());
        assert_eq!(cache.available(), 10);
    }
}
