//! LLM serving: continuous batching on GPUs as in vLLM, with its KV cache.
//!
//! [`LlmSpec`] is the user's configuration; `engine.rs` is the server, `iteration_cost.rs` the
//! duration of an iteration, `catalog.rs` its cost on known GPUs.

pub mod catalog;
mod cost_spec;
mod counters;
mod engine;
#[cfg(test)]
mod engine_tests;
mod histogram;
mod iteration_cost;
mod kv_cache;
mod model;
mod patience;
mod record;
mod replay;
mod sequence;
mod server;
mod spec;
mod token_distribution;

pub use cost_spec::CostSpec;
pub use histogram::{TokenHistogram, TokenHistograms};
pub use iteration_cost::{CostSeconds, IterationWork};
pub use model::{LlmModel, ServerLimits};
pub(crate) use record::LlmRecord;
pub use record::{LlmFigures, LlmStatus};
pub use replay::{ReplayAnswer, ReplayRequest, ReplayRouting, replay};
pub(crate) use server::LlmServer;
pub(crate) use spec::LlmRequests;
pub use spec::{LlmSpec, LoadSpec};
pub use token_distribution::{FindTokens, TokenDistribution};
