//! An inference server's configuration, prepared for the fast path.

use super::iteration_cost::{CostSeconds, IterationCost};
use super::kv_cache::BLOCK_TOKENS;

/// Capacity and scheduling rules of an inference server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LlmModel {
    pub(super) cost: IterationCost,
    pub(super) kv_blocks: u64,
    pub(super) max_num_seqs: u32,
    pub(super) max_num_batched_tokens: u32,
    pub(super) chunked_prefill: bool,
    pub(super) prefix_caching: bool,
    pub(super) shared_prefix_tokens: u32,
}

/// The limits of an inference server, under vLLM's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// KV cache capacity in tokens.
    pub kv_cache_tokens: u64,
    /// Maximum number of sequences per batch.
    pub max_num_seqs: u32,
    /// Maximum number of tokens per iteration.
    pub max_num_batched_tokens: u32,
    /// Whether prompts are prefilled in chunks beside the decodes, as always in vLLM V1. If not,
    /// whole prompts go first and alone, as in vLLM V0 by default.
    pub chunked_prefill: bool,
    /// Whether the server processes and streams the tokens of an iteration while the GPU computes the
    /// next one, so that the longer of the two counts and not their sum.
    pub async_output_processing: bool,
    /// Whether the cache keeps blocks for prompts with the same prefix.
    pub prefix_caching: bool,
    /// Length of the prefix shared by all prompts, such as a system prompt, in tokens.
    pub shared_prefix_tokens: u32,
}

impl LlmModel {
    /// A server with these costs and limits.
    pub fn new(cost: &CostSeconds, limits: &ServerLimits) -> Self {
        let shared = if limits.prefix_caching { limits.shared_prefix_tokens } else { 0 };
        Self {
            cost: IterationCost::new(cost, limits.async_output_processing),
            kv_blocks: limits.kv_cache_tokens / u64::from(BLOCK_TOKENS),
            max_num_seqs: limits.max_num_seqs.max(1),
            max_num_batched_tokens: limits.max_num_batched_tokens.max(limits.max_num_seqs).max(1),
            chunked_prefill: limits.chunked_prefill,
            prefix_caching: limits.prefix_caching,
            shared_prefix_tokens: shared,
        }
    }

    /// Whether a request of this size can ever be answered: the cache must hold it completely, and
    /// without chunked prefill its prompt must fit into one iteration.
    pub(crate) fn holds(&self, prompt: u32, output: u32) -> bool {
        let tokens = u64::from(prompt) + u64::from(output);
        let spare = if self.chunked_prefill { 0 } else { self.kv_blocks / 100 };
        let room = self.kv_blocks.saturating_sub(spare) * u64::from(BLOCK_TOKENS);
        let whole =
            self.chunked_prefill || prompt.saturating_add(output) <= self.max_num_batched_tokens;
        tokens <= room && whole
    }
}
