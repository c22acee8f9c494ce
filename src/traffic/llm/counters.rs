//! Totals of an inference server's work so far.

use super::iteration_cost::Ticks;
use engine::SimTime;

/// Sums since the counters were last taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LlmCounters {
    /// When that was.
    pub since: SimTime,
    /// Time during which an iteration was in progress, of those that ended.
    pub busy: Ticks,
    /// Tokens of prompts that were computed (`vllm:prompt_tokens_total` without what the cache held).
    pub prompt_tokens: u64,
    /// Tokens of answers (`vllm:generation_tokens_total`).
    pub output_tokens: u64,
    /// Sequences that lost their place for lack of blocks (`vllm:num_preemptions_total`).
    pub preemptions: u64,
    /// Tokens of the prompts that were admitted (`vllm:prefix_cache_queries_total`).
    pub prefix_queries: u64,
    /// Those of them that the cache held (`vllm:prefix_cache_hits_total`).
    pub prefix_hits: u64,
    /// Most blocks in use.
    pub kv_blocks_peak: u64,
}
