//! The KV cache of an inference server: blocks of 16 tokens, some in use, some kept for prompts that
//! begin alike, some free.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

/// Tokens of a block: vLLM's default `--block-size` on CUDA.
pub const BLOCK_TOKENS: u32 = 16;

/// The blocks of one server.
#[derive(Clone, Debug)]
pub(super) struct KvCache {
    total: u64,
    /// In use by sequences that run, those of the prefix that all prompts share included.
    used: u64,
    /// Kept from sequences that ended, those that ended first in front.
    kept: VecDeque<Kept>,
    /// Blocks of all in `kept`.
    kept_blocks: u64,
    /// Number of the front entry, counted since the beginning.
    front: u64,
    /// The number of a session's entry. Only looked up, never iterated.
    by_session: FxHashMap<u32, u64>,
    /// At least how many entries were taken into use again and hold nothing.
    taken: usize,
    keeps_prefixes: bool,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    /// Zero for a sequence of no session, or one whose entry was taken over by another sequence.
    session: u32,
    blocks: u64,
}

impl KvCache {
    /// `shared` blocks hold the beginning that all prompts have in common, for good.
    pub fn new(total: u64, shared: u64, keeps_prefixes: bool) -> Self {
        Self {
            total,
            used: shared,
            kept: VecDeque::new(),
            kept_blocks: 0,
            front: 0,
            by_session: FxHashMap::default(),
            taken: 0,
            keeps_prefixes,
        }
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

    /// Blocks kept for a session.
    pub fn kept_for(&self, session: u32) -> u64 {
        self.by_session.get(&session).map_or(0, |number| self.entry(*number).blocks)
    }

    /// Takes the blocks that are kept for a session into use.
    pub fn reuse(&mut self, session: u32) {
        let Some(number) = self.by_session.remove(&session) else { return };
        let position = self.position(number);
        let kept = std::mem::replace(&mut self.kept[position], Kept { session: 0, blocks: 0 });
        self.kept_blocks -= kept.blocks;
        self.used += kept.blocks;
        self.taken += 1;
        if self.taken > 64 && self.taken * 2 > self.kept.len() {
            self.forget_taken();
        }
    }

    /// Drops the entries that were taken into use again.
    fn forget_taken(&mut self) {
        self.taken = 0;
        self.front = 0;
        self.by_session.clear();
        self.kept.retain(|kept| kept.blocks > 0);
        let numbered = (0..).zip(&self.kept).filter(|(_, kept)| kept.session != 0);
        self.by_session.extend(numbered.map(|(number, kept)| (kept.session, number)));
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
            if oldest.blocks == 0 {
                let session = oldest.session;
                self.kept.pop_front();
                if session != 0 {
                    self.by_session.remove(&session);
                }
                self.front += 1;
            }
        }
    }

    /// A sequence that held `blocks` ended or was preempted; `full` of them are full and can be used
    /// again by its session (0 for none).
    pub fn release(&mut self, session: u32, blocks: u64, full: u64) {
        self.used -= blocks;
        if !self.keeps_prefixes || full == 0 {
            return;
        }
        if session != 0 {
            // Two sequences of a session held blocks of their own; the later entry counts.
            if let Some(number) = self.by_session.remove(&session) {
                let position = self.position(number);
                self.kept[position].session = 0;
            }
            self.by_session.insert(session, self.front + self.kept.len() as u64);
        }
        self.kept.push_back(Kept { session, blocks: full });
        self.kept_blocks += full;
    }

    #[expect(clippy::cast_possible_truncation, reason = "the number is of an entry in `kept`")]
    const fn position(&self, number: u64) -> usize {
        (number - self.front) as usize
    }

    fn entry(&self, number: u64) -> Kept {
        self.kept[self.position(number)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_longest_goes_first_and_from_its_end() {
        let mut cache = KvCache::new(10, 0, true);
        cache.allocate(8);
        cache.release(1, 4, 4);
        cache.release(2, 4, 4);
        assert_eq!((cache.used(), cache.available()), (0, 10));
        cache.allocate(5);
        assert_eq!((cache.kept_for(1), cache.kept_for(2)), (1, 4));
        cache.allocate(3);
        assert_eq!((cache.kept_for(1), cache.kept_for(2)), (0, 2));
        cache.reuse(2);
        assert_eq!((cache.used(), cache.kept_for(2)), (10, 0));
    }

    #[test]
    fn nothing_is_kept_without_prefix_caching() {
        let mut cache = KvCache::new(10, 0, false);
        cache.allocate(8);
        cache.release(1, 8, 8);
        assert_eq!(cache.kept_for(1), 0);
        assert_eq!(cache.available(), 10);
    }
}
