//! The KV cache of an inference server: blocks of 16 tokens, in use, cached for prompts with the same prefix, or
//! free.
//!
//! vLLM finds a block by the hash of all tokens up to its end as soon as the iteration that fills it is scheduled
//! (`KVCacheManager.allocate_slots`, `get_computed_blocks`), counts its references, and keeps an unreferenced one
//! until its space is needed (`BlockPool.touch`, `free_blocks`, `get_new_blocks`). As the requests of a session
//! share a common prefix, each of them uses the blocks of its session from the first on: the length used is the
//! only state needed.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

/// Tokens of a block: vLLM's default `--block-size` on CUDA.
pub(crate) const BLOCK_TOKENS: u32 = 16;

/// The blocks of one server.
#[derive(Clone, Debug, Default)]
pub(super) struct KvCache {
    total: u64,
    /// Blocks used by running sequences, including the prefix shared by all prompts. Blocks with several users
    /// count once.
    used: u64,
    /// Cached blocks without users, most recently used at the back.
    kept: VecDeque<UnusedBlocks>,
    /// Total blocks of all entries in `kept`.
    kept_blocks: u64,
    /// Number of the front entry, counted from the beginning.
    front: u64,
    /// Only looked up, never iterated.
    sessions: FxHashMap<u32, CachedPrefix>,
    /// Lower bound of entries that were taken into use again and are empty.
    taken: usize,
    keeps_prefixes: bool,
}

/// Cached blocks without users.
#[derive(Clone, Copy, Debug)]
struct UnusedBlocks {
    /// Zero for blocks of no session, and in an empty entry.
    session: u32,
    blocks: u64,
}

/// The cached prefix of a session's requests.
#[derive(Clone, Debug, Default)]
struct CachedPrefix {
    blocks: u64,
    /// Number of its blocks, from the first on, that each running sequence uses.
    in_use: Vec<u64>,
    /// Number of the entry with its unused blocks, if there are any.
    kept: Option<u64>,
}

/// Cached blocks for a new sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CachedBlocks {
    /// Number of cached blocks, from the first on.
    pub blocks: u64,
    /// Number of those in use, which take no further space.
    pub in_use: u64,
}

/// Blocks held by a sequence.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldBlocks {
    /// Blocks of its session that it uses, possibly shared with others.
    pub of_session: u64,
    /// All of its blocks, including those.
    pub blocks: u64,
    /// Number of full blocks, from the first on.
    pub full: u64,
}

impl CachedPrefix {
    /// Blocks in use: the maximum over the running sequences.
    fn in_use(&self) -> u64 {
        self.in_use.iter().max().copied().unwrap_or_default()
    }
}

impl KvCache {
    /// `shared` blocks permanently hold the prefix common to all prompts.
    pub fn new(total: u64, shared: u64, keeps_prefixes: bool) -> Self {
        Self { total, used: shared, keeps_prefixes, ..Self::default() }
    }

    /// Number of blocks for `tokens` tokens, the last possibly partial.
    pub(crate) const fn blocks_of(tokens: u64) -> u64 {
        tokens.div_ceil(BLOCK_TOKENS as u64)
    }

    /// All blocks.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Blocks in use, as counted by vLLM's `kv_cache_usage_perc`: cached blocks without users count as free.
    pub const fn used(&self) -> u64 {
        self.used
    }

    /// Blocks available for allocation.
    pub const fn available(&self) -> u64 {
        self.total - self.used
    }

    /// The cached part of a session's prefix.
    pub fn find(&self, session: u32) -> CachedBlocks {
        let beginning = self.sessions.get(&session);
        beginning.map_or_else(CachedBlocks::default, |one| CachedBlocks {
            blocks: one.blocks,
            in_use: one.in_use(),
        })
    }

    /// A sequence uses the first `blocks` blocks of a session, which must be cached.
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

    /// A sequence that uses `of_session` blocks of its session has filled its blocks up to the `full`th. Returns
    /// the number of session blocks that it now uses: new ones can be shared from now on, unless another sequence
    /// was faster.
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

    /// Allocates `blocks`, which must be available: first empty ones, then the least recently used cached ones, the
    /// ends of sequences before their beginnings.
    pub fn allocate(&mut self, blocks: u64) {
        self.used += blocks;
        while self.used + self.kept_blocks > self.total {
            let missing = self.used + self.kept_blocks - self.total;
            let Some(oldest) = self.kept.front_mut() else { break };
            let dropped = oldest.blocks.min(missing);
            oldest.blocks -= dropped;
            self.kept_blocks -= dropped;
            let UnusedBlocks { session, blocks: left } = *oldest;
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

    /// A sequence of a session (0 for none) ended or was preempted. Its full blocks without other users stay cached
    /// for reuse.
    pub fn release(&mut self, session: u32, held: HeldBlocks) {
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
        // Duplicates of blocks that another sequence had filled first are freed.
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

    /// Adds blocks without users as the most recently used.
    fn keep(&mut self, session: u32, blocks: u64) {
        if blocks == 0 {
            return;
        }
        if let Some(beginning) = self.sessions.get_mut(&session) {
            beginning.kept = Some(self.front + self.kept.len() as u64);
        }
        self.kept.push_back(UnusedBlocks { session, blocks });
        self.kept_blocks += blocks;
    }

    /// Empties the entry at this position.
    fn empty(&mut self, position: usize) {
        self.kept[position] = UnusedBlocks { session: 0, blocks: 0 };
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

/// Position of an entry, given its number, relative to the front one.
#[expect(clippy::cast_possible_truncation, reason = "the number is of an entry in `kept`")]
const fn position_of(number: u64, front: u64) -> usize {
    (number - front) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn own(blocks: u64) -> HeldBlocks {
        HeldBlocks { of_session: 0, blocks, full: blocks }
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
        assert_eq!((cache.used(), cache.find(2)), (10, CachedBlocks { blocks: 2, in_use: 2 }));
    }

    /// Following `tests/v1/core/test_prefix_caching.py` of vLLM, `test_prefill`: running sequences share blocks by
    /// reference count, and only the last user frees them.
    #[test]
    fn blocks_that_several_use_count_once_and_are_kept_by_the_last() {
        let mut cache = KvCache::new(10, 0, true);
        // Three full blocks and a partial one.
        cache.allocate(4);
        assert_eq!(cache.publish(1, 0, 3), 3);
        // Another sequence has the same three and needs one of its own.
        assert_eq!(cache.find(1), CachedBlocks { blocks: 3, in_use: 3 });
        cache.share(1, 3);
        cache.allocate(1);
        assert_eq!(cache.used(), 5);
        cache.release(1, HeldBlocks { of_session: 3, blocks: 4, full: 3 });
        assert_eq!((cache.used(), cache.find(1)), (4, CachedBlocks { blocks: 3, in_use: 3 }));
        cache.release(1, HeldBlocks { of_session: 3, blocks: 4, full: 3 });
        assert_eq!((cache.used(), cache.find(1)), (0, CachedBlocks { blocks: 3, in_use: 0 }));
    }

    #[test]
    fn the_end_of_a_beginning_that_a_shorter_prompt_does_not_use_may_go() {
        let mut cache = KvCache::new(10, 0, true);
        cache.allocate(8);
        cache.release(1, own(8));
        cache.share(1, 3);
        assert_eq!((cache.used(), cache.available()), (3, 7));
        cache.allocate(6);
        assert_eq!(cache.find(1), CachedBlocks { blocks: 4, in_use: 3 });
        cache.allocate(1);
        assert_eq!(cache.find(1), CachedBlocks { blocks: 3, in_use: 3 });
    }

    #[test]
    fn what_two_computed_at_once_is_kept_once() {
        let mut cache = KvCache::new(10, 0, true);
        cache.allocate(8);
        assert_eq!(cache.publish(1, 0, 4), 4);
        assert_eq!(cache.publish(1, 0, 4), 0, "the other was faster");
        cache.release(1, own(4));
        assert_eq!((cache.used(), cache.find(1).blocks), (4, 4));
        cache.release(1, HeldBlocks { of_session: 4, blocks: 4, full: 4 });
        assert_eq!((cache.used(), cache.find(1)), (0, CachedBlocks { blocks: 4, in_use: 0 }));
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
            cache.release(1, HeldBlocks { of_session: found, blocks: found, full: found });
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
        assert_eq!(cache.find(1), CachedBlocks::default());
        assert_eq!(cache.available(), 10);
    }
}
