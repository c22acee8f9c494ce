//! Scenario settings of an inference server, and their conversion to a server.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::catalog::{Gpu, LanguageModel, ServerEfficiency, gpu_named, language_model_named};
use super::cost_spec::CostSpec;
use super::model::{LlmModel, ServerLimits};
use super::token_distribution::{FindTokens, Part, TokenDistribution, TokenQuantile};
use crate::problem::Checks;
use crate::trace::Tokens;
use engine::SimDuration;

/// An LLM inference server in each pod, as run by vLLM; settings have vLLM's names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LlmSpec {
    /// Name of the model, such as Llama-3.1-8B; an unknown name lists the known ones. Not needed if `cost` and
    /// `kvCacheTokens` are complete.
    pub model: Option<String>,
    /// Name of the GPU, such as A100-80GB. Not needed if `cost` and `kvCacheTokens` are complete.
    pub gpu: Option<String>,
    /// GPUs of a pod that share every layer (tensor parallelism). Default 1.
    #[schemars(range(min = 1))]
    pub tensor_parallel_size: u32,
    /// Share of the GPUs' memory that the server uses for weights and cache. Default 0.9.
    pub gpu_memory_utilization: f64,
    /// Maximum number of sequences per batch. Default 256.
    #[schemars(range(min = 1))]
    pub max_num_seqs: u32,
    /// Maximum number of tokens per iteration. Default 8192, vLLM's on GPUs with 70 GiB or more; 2048 on
    /// smaller ones.
    #[schemars(range(min = 1))]
    pub max_num_batched_tokens: u32,
    /// Maximum tokens of prompt and answer; a longer prompt is rejected, a longer answer is truncated. Default:
    /// the model's context length.
    pub max_model_len: Option<u32>,
    /// Whether prompts are prefilled in chunks beside the decodes, as always in vLLM V1. If not, whole prompts
    /// go first and alone, as in vLLM V0 by default. Default true.
    pub enable_chunked_prefill: bool,
    /// Whether the server processes and streams the tokens of an iteration (`sequenceUs` per sequence) while
    /// the GPU computes the next one, so that only the longer of the two counts, as in vLLM from 0.6 on without
    /// `--disable-async-output-proc`. Default false: they add up.
    pub async_output_processing: bool,
    /// Whether the cache keeps blocks for prompts with the same prefix. Default true.
    pub enable_prefix_caching: bool,
    /// Whether the server aborts a request whose client has given up, as vLLM does: at the next iteration,
    /// waiting or running, freeing its part of the KV cache. If not, it completes the request in vain, as
    /// behind a proxy that does not forward the disconnect. Default true.
    pub abort_on_disconnect: bool,
    /// Length of the prefix shared by all prompts, such as a system prompt, in tokens; a shorter prompt is a
    /// part of it. Default 0.
    pub shared_prefix_tokens: u32,
    /// Number of sessions, whose requests share a prefix; each request belongs to a uniformly random one, where
    /// the trace does not specify it; 0 for requests with nothing in common. Default 0.
    pub sessions: u32,
    /// Prompt tokens, where the trace does not specify them. Default mean 1024, cv 0.
    pub prompt_tokens: TokenDistribution,
    /// Output tokens, where the trace does not specify them. Default mean 128, cv 0.
    pub output_tokens: TokenDistribution,
    /// KV cache capacity in tokens. Default: the memory left by weights and activations.
    pub kv_cache_tokens: Option<u64>,
    /// Cost of an iteration, where it was measured; omitted values are derived from GPU and model.
    pub cost: CostSpec,
    /// Time per request in addition to its iterations: parsing, tokenization, HTTP server. Default 5ms.
    pub request_overhead: SimDuration,
    /// Cores that the server uses while busy. Default 1.
    pub cpu_cores: f64,
    /// Loading of the weights into the GPU when the pod starts.
    pub load: Option<LoadSpec>,
}

/// Loading of the weights into the GPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadSpec {
    /// Bandwidth from the storage of the weights [10^9 bytes/s]: about 0.5 from the network, 1 from a cloud
    /// disk, 3 from a local NVMe disk.
    pub gigabytes_per_second: f64,
    /// Additional startup time: imports, compilation, capture of CUDA graphs. Default 45s.
    #[serde(default = "default_engine_start")]
    pub engine_start: SimDuration,
}

/// An inference server prepared for the fast path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LlmRequests {
    pub server: Arc<LlmModel>,
    pub max_model_len: u32,
    pub sessions: u32,
    pub abort_on_disconnect: bool,
    pub request_overhead: SimDuration,
    pub cpu_cores: f64,
    prompt: TokenQuantile,
    output: TokenQuantile,
}

impl Default for LlmSpec {
    fn default() -> Self {
        Self {
            model: None,
            gpu: None,
            tensor_parallel_size: 1,
            gpu_memory_utilization: 0.9,
            max_num_seqs: 256,
            max_num_batched_tokens: 8192,
            max_model_len: None,
            enable_chunked_prefill: true,
            enable_prefix_caching: true,
            abort_on_disconnect: true,
            async_output_processing: false,
            shared_prefix_tokens: 0,
            sessions: 0,
            prompt_tokens: TokenDistribution::constant(1024.0),
            output_tokens: TokenDistribution::constant(128.0),
            kv_cache_tokens: None,
            cost: CostSpec::default(),
            request_overhead: SimDuration::from_millis(5),
            cpu_cores: 1.0,
            load: None,
        }
    }
}

impl LlmSpec {
    /// The token distributions read from files: the field of each, and the file.
    pub fn histogram_files(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let laws = self.token_laws().into_iter();
        laws.filter_map(|(field, law, _)| Some((field, law.histogram_file()?)))
    }

    fn token_laws(&self) -> [(&'static str, &TokenDistribution, Part); 2] {
        [
            ("promptTokens", &self.prompt_tokens, Part::Prompt),
            ("outputTokens", &self.output_tokens, Part::Output),
        ]
    }

    /// Reports problems of the settings on their own, without the files that they name.
    pub(crate) fn check(&self, checks: &mut Checks<'_>) {
        self.check_numbers(checks);
        let _ = self.server(checks);
    }

    /// The server, ready for use; `find` looks up the files of its token distributions. Reports all problems.
    pub(crate) fn requests(
        &self,
        find: FindTokens<'_, '_>,
        checks: &mut Checks<'_>,
    ) -> Option<LlmRequests> {
        self.check_numbers(checks);
        let server = self.server(checks);
        let [prompt, output] = self
            .token_laws()
            .map(|(field, law, part)| law.quantile(part, find, &mut checks.inside(field)));
        let (server, max_model_len) = server?;
        Some(LlmRequests {
            server: Arc::new(server),
            max_model_len,
            sessions: self.sessions,
            abort_on_disconnect: self.abort_on_disconnect,
            request_overhead: self.request_overhead,
            cpu_cores: self.cpu_cores,
            prompt: prompt?,
            output: output?,
        })
    }

    /// The server itself, and the maximum number of tokens of a request.
    fn server(&self, checks: &mut Checks<'_>) -> Option<(LlmModel, u32)> {
        let hardware = self.hardware(checks);
        let from_hardware = hardware.map(|(model, gpu)| {
            let efficiency = ServerEfficiency::default();
            let utilization = self.gpu_memory_utilization;
            // As vLLM's `verify_with_parallel_config`: a head is on one GPU.
            let size = f64::from(self.tensor_parallel_size);
            checks.require(size < 1.0 || model.heads % size == 0.0, "tensorParallelSize", || {
                format!(
                    "the {} attention heads of {} cannot be divided evenly among {size} GPUs",
                    model.heads, model.name
                )
            });
            let room = model.kv_cache_tokens(gpu, self.tensor_parallel_size, utilization);
            checks.require(room >= 1.0 || self.kv_cache_tokens.is_some(), "gpu", || {
                format!(
                    "{} x {} cannot hold {}, whose weights are {:.0} GB; raise tensorParallelSize or use a larger GPU",
                    self.tensor_parallel_size,
                    gpu.name,
                    model.name,
                    model.weight_bytes() / 1e9
                )
            });
            (model.cost(gpu, self.tensor_parallel_size, &efficiency), room)
        });
        let cost = self.cost.over(from_hardware.map(|(cost, _)| cost));
        let is_complete = cost.is_some() && (self.kv_cache_tokens.is_some() || hardware.is_some());
        checks.require(is_complete, if self.model.is_none() { "model" } else { "gpu" }, || {
            "set `model` and `gpu`, or all of `cost` and `kvCacheTokens`".into()
        });
        let kv_cache_tokens = self.kv_cache_tokens.or_else(|| Some(whole(from_hardware?.1)))?;
        let most = u32::try_from(kv_cache_tokens / 100 * 99).unwrap_or(u32::MAX);
        let natural = hardware.map_or(u32::MAX, |(model, _)| model.context).min(most);
        let max_model_len = self.max_model_len.unwrap_or(natural);
        // vLLM refuses to start in this case too.
        if most > 1 {
            checks.require(max_model_len <= most, "maxModelLen", || {
                format!(
                    "a request of {max_model_len} tokens does not fit into the KV cache of \
                     {kv_cache_tokens}; lower it to {most} or less"
                )
            });
            checks.require(max_model_len > 1, "maxModelLen", || {
                format!(
                    "{max_model_len} leaves no room for a prompt and an answer; write at least 2"
                )
            });
        } else if self.kv_cache_tokens.is_some() {
            checks.require(false, "kvCacheTokens", || {
                format!("a KV cache of {kv_cache_tokens} tokens is too small; write at least 100")
            });
        }
        let server = LlmModel::new(
            &cost?,
            &ServerLimits {
                kv_cache_tokens,
                max_num_seqs: self.max_num_seqs,
                max_num_batched_tokens: self.batched_tokens(max_model_len),
                chunked_prefill: self.enable_chunked_prefill,
                prefix_caching: self.enable_prefix_caching,
                async_output_processing: self.async_output_processing,
                shared_prefix_tokens: self.shared_prefix_tokens,
            },
        );
        Some((server, max_model_len))
    }

    /// Time from the start of the container until the server answers: loading of the weights, and engine start.
    /// Absent if not specified.
    pub fn load_time(&self) -> Option<SimDuration> {
        let load = self.load.as_ref()?;
        let model = language_model_named(self.model.as_ref()?).ok()?;
        let seconds = model.weight_bytes() / (load.gigabytes_per_second * 1e9);
        Some(SimDuration::from_secs_f64(seconds) + load.engine_start)
    }

    /// Without chunks the longest prompt must fit into an iteration, as vLLM V0 requires.
    fn batched_tokens(&self, max_model_len: u32) -> u32 {
        if self.enable_chunked_prefill {
            self.max_num_batched_tokens
        } else {
            self.max_num_batched_tokens.max(max_model_len)
        }
    }

    fn hardware(&self, checks: &mut Checks<'_>) -> Option<(&'static LanguageModel, &'static Gpu)> {
        let model = self.model.as_deref().map(language_model_named);
        let gpu = self.gpu.as_deref().map(gpu_named);
        if let Some(Err(error)) = &model {
            checks.require(false, "model", || error.clone());
        }
        if let Some(Err(error)) = &gpu {
            checks.require(false, "gpu", || error.clone());
        }
        Some((model?.ok()?, gpu?.ok()?))
    }

    fn check_numbers(&self, checks: &mut Checks<'_>) {
        checks.require(self.tensor_parallel_size > 0, "tensorParallelSize", || {
            "0 GPUs cannot serve requests; write at least 1".into()
        });
        checks.require(self.max_num_seqs > 0, "maxNumSeqs", || {
            "0 sequences cannot serve requests; write at least 1".into()
        });
        checks.require(
            self.max_num_batched_tokens >= self.max_num_seqs,
            "maxNumBatchedTokens",
            || {
                format!(
                    "{} is below maxNumSeqs {}: less than a token per sequence",
                    self.max_num_batched_tokens, self.max_num_seqs
                )
            },
        );
        let utilization = self.gpu_memory_utilization;
        checks.require(utilization > 0.0 && utilization <= 1.0, "gpuMemoryUtilization", || {
            format!("{utilization} must be a share above 0 and at most 1, such as 0.9")
        });
        for (field, law, _) in self.token_laws() {
            law.check(&mut checks.inside(field));
        }
        checks.not_negative("cpuCores", self.cpu_cores);
        self.cost.check(&mut checks.inside("cost"));
        if let Some(load) = &self.load {
            checks.inside("load").positive("gigabytesPerSecond", load.gigabytes_per_second);
            checks.require(self.model.is_some(), "load", || {
                "the size of the weights is only known for a `model`".into()
            });
        }
    }
}

impl LlmRequests {
    /// The size of a request with random `quantiles`, within the server's limits; absent for a prompt that is
    /// too long.
    pub fn size(&self, tokens: Tokens, quantiles: [f64; 2]) -> Option<Tokens> {
        let known = |size_of_session: u32, law: &TokenQuantile, quantile| {
            if size_of_session > 0 { size_of_session } else { law.at(quantile).max(1) }
        };
        let prompt = known(tokens.prompt, &self.prompt, quantiles[0]);
        let output = known(tokens.output, &self.output, quantiles[1]);
        let left = self.max_model_len.checked_sub(prompt).filter(|left| *left > 0)?;
        Some(Tokens { prompt, output: output.min(left), ..tokens })
    }

    /// The session of a request, drawn by `quantiles` where the trace does not specify it; 0 for none.
    pub fn session(&self, tokens: Tokens, quantiles: [f64; 2]) -> u32 {
        if tokens.session > 0 {
            return tokens.session;
        }
        if self.sessions == 0 {
            return 0;
        }
        // An independent number derived from the two, mixed as in SplitMix64.
        let mut bits = quantiles[0].to_bits() ^ quantiles[1].to_bits().rotate_left(32);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        let index = (u128::from(bits) * u128::from(self.sessions)) >> 64;
        u32::try_from(index).unwrap_or(0) + 1
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float to int casts saturate, which is meant"
)]
const fn whole(tokens: f64) -> u64 {
    tokens as u64
}

const fn default_engine_start() -> SimDuration {
    SimDuration::from_secs(45)
}

#[cfg(test)]
mod tests {
    use super::super::iteration_cost::CostSeconds;
    use super::*;
    use crate::problem::Problem;
    use serde_json::json;

    fn problems(spec: &LlmSpec) -> Vec<Problem> {
        let mut problems = Vec::new();
        spec.check(&mut Checks::at("llm", &mut problems));
        problems
    }

    fn spec(json: serde_json::Value) -> LlmSpec {
        serde_json::from_value(json).expect("a specification")
    }

    #[test]
    fn heads_that_gpus_cannot_share_and_caches_without_room_are_refused() {
        let three =
            spec(json!({"model": "Llama-3.1-8B", "gpu": "A100-80GB", "tensorParallelSize": 3}));
        let [problem] = &problems(&three)[..] else { panic!("{:?}", problems(&three)) };
        assert_eq!(problem.path, "llm.tensorParallelSize");
        assert!(problem.message.starts_with("the 32 attention heads of Llama-3.1-8B"), "{problem}");
        let tiny = spec(json!({"model": "Llama-3.1-8B", "gpu": "A100-80GB", "kvCacheTokens": 16}));
        let [problem] = &problems(&tiny)[..] else { panic!("{:?}", problems(&tiny)) };
        assert_eq!(problem.path, "llm.kvCacheTokens");
        let large = spec(json!({"model": "Llama-3.1-70B", "gpu": "A10G"}));
        let paths: Vec<String> = problems(&large).into_iter().map(|one| one.path).collect();
        assert_eq!(paths, ["llm.gpu"], "that no request fits follows from it");
    }

    #[test]
    fn a_gpu_and_a_model_are_enough() {
        let spec = spec(json!({"model": "Llama-3.1-8B", "gpu": "A100-80GB",
                               "load": {"gigabytesPerSecond": 1}}));
        assert_eq!(problems(&spec), []);
        // 16.06 GB at 1 GB/s, and 45 s.
        assert_eq!(spec.load_time().expect("a load").as_secs(), 61);
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        for (json, path, says) in [
            (json!({}), "llm.model", "set `model` and `gpu`"),
            (json!({"model": "Llama-3.1-8B"}), "llm.gpu", "set `model` and `gpu`"),
            (json!({"model": "Llama-3.1-70B", "gpu": "L4"}), "llm.gpu", "cannot hold"),
            (json!({"model": "Llama3", "gpu": "L4"}), "llm.model", "there is no model"),
            (
                json!({"model": "Llama-3.1-8B", "gpu": "L4", "maxModelLen": 100_000}),
                "llm.maxModelLen",
                "does not fit into the KV cache",
            ),
            (
                json!({"model": "Llama-3.1-8B", "gpu": "L4", "maxNumBatchedTokens": 100}),
                "llm.maxNumBatchedTokens",
                "below maxNumSeqs",
            ),
            (
                json!({"model": "Llama-3.1-8B", "gpu": "L4", "promptTokens": {"mean": 0}}),
                "llm.promptTokens.mean",
                "above 0",
            ),
        ] {
            let problems = problems(&spec(json.clone()));
            let found = problems.iter().any(|one| one.path == path && one.message.contains(says));
            assert!(found, "{json}: {problems:?}");
        }
    }

    #[test]
    fn a_calibrated_cost_needs_no_names() {
        let cost = CostSeconds {
            iteration: 1e-3,
            sequence: 1e-5,
            weights: 8e-3,
            token: 6e-5,
            exchange: 0.0,
            attention_pair: 2e-9,
            context_token: 8e-8,
        };
        let spec = LlmSpec {
            cost: CostSpec::of(&cost),
            kv_cache_tokens: Some(400_000),
            ..Default::default()
        };
        assert_eq!(problems(&spec), []);
    }

    #[test]
    fn a_trace_tells_the_tokens_before_the_law_does() {
        let spec = spec(json!({"model": "Llama-3.1-8B", "gpu": "A100-80GB", "maxModelLen": 1000,
                               "promptTokens": {"mean": 300}, "outputTokens": {"mean": 50, "cv": 1}}));
        let requests =
            spec.requests(&|_| None, &mut Checks::at("", &mut Vec::new())).expect("is right");
        let drawn = requests.size(Tokens::default(), [0.5, 0.5]).expect("fits");
        // The median of a lognormal distribution of mean 50 and cv 1 is 50 / sqrt 2.
        assert_eq!(drawn, Tokens::of(300, 35));
        assert_eq!(requests.session(Tokens::default(), [0.5, 0.5]), 0);
        let size_of_session =
            requests.size(Tokens { session: 3, ..Tokens::of(990, 50) }, [0.5, 0.5]);
        assert_eq!(size_of_session, Some(Tokens { session: 3, ..Tokens::of(990, 10) }));
        assert_eq!(
            size_of_session.map(|size_of_session| requests.session(size_of_session, [0.5, 0.5])),
            Some(3)
        );
        assert_eq!(requests.size(Tokens::of(1000, 1), [0.5, 0.5]), None);
    }
}
