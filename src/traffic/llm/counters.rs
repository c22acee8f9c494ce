//! Totals of an inference server's work so far.

use super::iteration_cost::Ticks;
use engine::SimTime;

/// Sums since the counters were last recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LlmCounters {
    /// Time of the last recording.
    pub since: SimTime,
    /// Time during which an iteration was in progress, counting completed ones.
    pub busy: Ticks,
    /// Prompt tokens computed (`vllm:prompt_tokens_total` without cached tokens).
    pub prompt_tokens: u64,
    /// Output tokens (`vllm:generation_tokens_total`).
    pub output_tokens: u64,
    /// Sequences preempted for lack of blocks (`vllm:num_preemptions_total`).
    pub preemptions: u64,
    /// Tokens of admitted prompts (`vllm:prefix_cache_queries_total`).
    pub prefix_queries: u64,
    /// Cached tokens of admitted prompts (`vllm:prefix_cache_hits_total`).
    pub prefix_hits: u64,
    /// Peak number of blocks in use.
    pub kv_blocks_peak: u64,
}
