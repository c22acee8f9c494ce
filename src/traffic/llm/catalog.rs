//! The catalogue of GPUs and models, and the cost of an iteration on them.

use std::sync::LazyLock;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::iteration_cost::CostSeconds;

/// A GPU.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Gpu {
    /// Its name, such as `A100-80GB`.
    #[serde(rename = "gpu")]
    pub name: String,
    /// Memory (GiB).
    pub memory_gib: f64,
    /// Memory bandwidth [10^9 bytes/s].
    pub memory_gb_per_second: f64,
    /// Dense 16-bit floating-point throughput [10^12 operations/s].
    pub tflops: f64,
    /// Bandwidth to its peers in one direction [10^9 bytes/s].
    pub peer_gb_per_second: f64,
    /// Source of the figures.
    pub source: String,
}

/// A dense language model with 16-bit weights.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct LanguageModel {
    /// Its name, such as `Llama-3.1-8B`.
    #[serde(rename = "model")]
    pub name: String,
    /// Number of parameters.
    pub parameters: f64,
    /// Transformer layers.
    pub layers: f64,
    /// Hidden size.
    pub hidden: f64,
    /// Query heads.
    pub heads: f64,
    /// Key/value heads.
    pub kv_heads: f64,
    /// Head size.
    pub head_size: f64,
    /// Vocabulary size in tokens.
    pub vocabulary: f64,
    /// Whether the output layer shares the weights of the input embedding.
    pub tied: bool,
    /// Maximum context length: tokens of prompt and answer.
    pub context: u32,
    /// Source of the figures.
    pub source: String,
}

/// Share of its hardware's peak that a server achieves, and its own overhead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServerEfficiency {
    /// Achieved share of the arithmetic peak in matrix products and attention.
    pub compute: f64,
    /// Achieved share of the memory bandwidth in reading weights and KV cache.
    pub bandwidth: f64,
    /// Overhead per iteration (s).
    pub iteration_seconds: f64,
    /// Overhead per sequence in the batch (s).
    pub sequence_seconds: f64,
}

impl Default for ServerEfficiency {
    /// Fitted to measurements of vLLM; see docs/llm.md.
    fn default() -> Self {
        Self { compute: 0.69, bandwidth: 0.85, iteration_seconds: 1.6e-3, sequence_seconds: 2e-5 }
    }
}

/// Share of the bandwidth between GPUs that an all-reduce achieves, and the minimum time of one [s]:
/// medians over the all-reduce times of the Vidur project (A100 and H100 with NVLink).
const ALL_REDUCE_SHARE: f64 = 0.5;
const ALL_REDUCE_SECONDS: f64 = 1.2e-5;
/// Bytes of a 16-bit float.
const FLOAT_BYTES: f64 = 2.0;
/// Share of a GPU's memory used by activations and CUDA graphs, besides weights and cache.
const ACTIVATION_SHARE: f64 = 0.03;
const GIB: f64 = 1_073_741_824.0;

static GPUS: LazyLock<Vec<Gpu>> = LazyLock::new(|| rows(include_str!("data/gpus.csv")));
static MODELS: LazyLock<Vec<LanguageModel>> =
    LazyLock::new(|| rows(include_str!("data/models.csv")));

/// All GPUs in the catalogue.
pub fn gpus() -> &'static [Gpu] {
    &GPUS
}

/// All models in the catalogue.
pub fn language_models() -> &'static [LanguageModel] {
    &MODELS
}

/// The GPU of this name.
pub fn gpu_named(name: &str) -> Result<&'static Gpu, String> {
    let names = GPUS.iter().map(|gpu| gpu.name.as_str());
    GPUS.iter().find(|gpu| gpu.name == name).ok_or_else(|| unknown("GPU", name, names))
}

/// The model of this name.
pub(crate) fn language_model_named(name: &str) -> Result<&'static LanguageModel, String> {
    let names = MODELS.iter().map(|model| model.name.as_str());
    MODELS.iter().find(|model| model.name == name).ok_or_else(|| unknown("model", name, names))
}

impl Gpu {
    /// Whether this is the product name used by a cloud or device plugin, such as `nvidia-l4` or
    /// `NVIDIA-A100-SXM4-80GB`, for a device with this memory (GiB), if known.
    pub fn is_product(&self, product: &str, memory_gib: Option<f64>) -> bool {
        let product = product.to_lowercase();
        let words: Vec<&str> = product.split(|one: char| !one.is_alphanumeric()).collect();
        let size = |word: &str| word.strip_suffix("gb").and_then(|size| size.parse::<f64>().ok());
        let own = self.name.to_lowercase();
        let has_words = own.split('-').filter(|word| size(word).is_none()).all(|word| {
            // Cloud product names rarely state the form factor.
            words.contains(&word) || word == "pcie"
        });
        let memory = memory_gib.or_else(|| words.iter().find_map(|word| size(word)));
        // Vendors, clouds and drivers report memory differently, but these differ less than two sizes do.
        has_words && memory.is_none_or(|has| (0.75..1.34).contains(&(has / self.memory_gib)))
    }
}

impl LanguageModel {
    /// Bytes of all weights.
    pub fn weight_bytes(&self) -> f64 {
        self.parameters * FLOAT_BYTES
    }

    /// KV cache bytes per token.
    fn kv_bytes_per_token(&self) -> f64 {
        2.0 * self.layers * self.kv_heads * self.head_size * FLOAT_BYTES
    }

    /// Parameters of the layers, without input and output embeddings.
    fn layer_parameters(&self) -> f64 {
        let embedding = self.vocabulary * self.hidden;
        self.parameters - embedding * if self.tied { 1.0 } else { 2.0 }
    }

    /// Cost of an iteration on `gpus` GPUs of a kind that share every layer (tensor parallelism).
    pub fn cost(&self, gpu: &Gpu, gpus: u32, efficiency: &ServerEfficiency) -> CostSeconds {
        let gpus = f64::from(gpus.max(1));
        let flops = gpu.tflops * 1e12 * efficiency.compute * gpus;
        let bandwidth = gpu.memory_gb_per_second * 1e9 * efficiency.bandwidth * gpus;
        let output_layer = self.vocabulary * self.hidden;
        let read = (self.layer_parameters() + output_layer) * FLOAT_BYTES;
        // Two all-reduces per layer, after attention and after the feed-forward network.
        let exchanges = if gpus > 1.0 { 2.0 * self.layers } else { 0.0 };
        let peers = gpu.peer_gb_per_second * 1e9 * ALL_REDUCE_SHARE;
        let per_exchange = 2.0 * (gpus - 1.0) / gpus * self.hidden * FLOAT_BYTES / peers;
        CostSeconds {
            iteration: efficiency.iteration_seconds + exchanges * ALL_REDUCE_SECONDS,
            sequence: efficiency.sequence_seconds,
            weights: read / bandwidth,
            token: 2.0 * self.layer_parameters() / flops,
            exchange: exchanges * per_exchange,
            attention_pair: 4.0 * self.layers * self.heads * self.head_size / flops,
            context_token: self.kv_bytes_per_token() / bandwidth,
        }
    }

    /// KV cache capacity in tokens on `gpus` GPUs beside the weights, if vLLM may use the share
    /// `utilization` of their memory. Negative if the weights do not fit.
    pub fn kv_cache_tokens(&self, gpu: &Gpu, gpus: u32, utilization: f64) -> f64 {
        let memory = gpu.memory_gib * GIB * f64::from(gpus.max(1));
        let room = memory * (utilization - ACTIVATION_SHARE) - self.weight_bytes();
        room / self.kv_bytes_per_token()
    }
}

fn rows<T: DeserializeOwned>(text: &str) -> Vec<T> {
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(text.as_bytes());
    reader.deserialize().map(|row| row.expect("the built-in data is well formed")).collect()
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let begin = name.to_lowercase();
    let longer = known.clone().filter(|known| known.to_lowercase().starts_with(&begin));
    let longer: Vec<&str> = longer.collect();
    if !name.is_empty() && longer.len() > 1 {
        return format!("there is no {what} {name:?}; write {}", longer.join(" or "));
    }
    let alike = known
        .clone()
        .map(|known| (strsim::jaro_winkler(&known.to_lowercase(), &name.to_lowercase()), known))
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .filter(|(likeness, _)| *likeness > 0.8);
    if let Some((_, alike)) = alike {
        return format!("there is no {what} {name:?}; did you mean {alike}?");
    }
    let known: Vec<&str> = known.collect();
    format!("there is no {what} {name:?}; known are {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Measured time per token at concurrency 1: model, GPU, number of GPUs (tensor parallel), context,
    /// measured [ms], source.
    const MEASURED: [(&str, &str, u32, u64, f64, &str); 7] = [
        ("Llama-3.1-8B", "H100-80GB", 1, 200, 6.48, "yobitelcomm/bench, vLLM 0.21, Apache-2.0"),
        ("Qwen2.5-7B", "H100-80GB", 1, 200, 6.27, "yobitelcomm/bench, vLLM 0.21, Apache-2.0"),
        ("Mistral-7B", "H100-80GB", 1, 200, 7.04, "yobitelcomm/bench, vLLM 0.21, Apache-2.0"),
        ("Gemma-2-9B", "H100-80GB", 1, 200, 8.65, "yobitelcomm/bench, vLLM 0.21, Apache-2.0"),
        ("Qwen2.5-72B", "H100-80GB", 4, 200, 16.05, "yobitelcomm/bench, vLLM 0.22, Apache-2.0"),
        ("Llama-3.1-8B", "A100-40GB", 1, 1100, 13.3, "johnmusgrave.com, vLLM 0.23"),
        ("Qwen2.5-0.5B", "L4", 1, 320, 5.1, "ai.wmx.dev/benchmarks, vLLM 0.23"),
    ];

    #[test]
    fn the_time_per_token_is_as_measured_within_a_fifth() {
        for (model, gpu, gpus, context, measured, source) in MEASURED {
            let model = language_model_named(model).unwrap();
            let cost = model.cost(gpu_named(gpu).unwrap(), gpus, &ServerEfficiency::default());
            let seconds = cost.iteration
                + cost.sequence
                + cost.weights
                + cost.exchange
                + cost.context_token * context as f64;
            let error = seconds * 1e3 / measured - 1.0;
            assert!(
                error.abs() < 0.2,
                "{} on {gpu}: {:.2} ms, {source}",
                model.name,
                seconds * 1e3
            );
        }
    }

    #[test]
    fn the_cache_is_what_the_weights_leave() {
        let model = language_model_named("Llama-3.1-8B").unwrap();
        let room = model.kv_cache_tokens(gpu_named("A100-80GB").unwrap(), 1, 0.9);
        // 0.87 x 80 GiB less 15.0 GiB of weights, at 128 KiB a token.
        assert!((room - 447_600.0).abs() < 1000.0, "{room}");
        let large = language_model_named("Llama-3.1-70B").unwrap();
        assert!(large.kv_cache_tokens(gpu_named("A100-80GB").unwrap(), 1, 0.9) < 0.0);
    }

    #[test]
    fn a_gpu_is_known_by_the_names_that_clouds_and_device_plugins_give_it() {
        let is = |name: &str, product: &str, memory| {
            gpu_named(name).unwrap().is_product(product, memory)
        };
        assert!(is("L4", "nvidia-l4", Some(22.35)) && is("L4", "NVIDIA-L4-SHARED", None));
        assert!(!is("L4", "nvidia-l40s", Some(44.7)) && !is("L40S", "nvidia-l4", None));
        assert!(
            is("A100-40GB", "nvidia-a100", Some(40.0))
                && !is("A100-80GB", "nvidia-a100", Some(40.0))
        );
        assert!(is("A100-80GB", "NVIDIA-A100-SXM4-80GB", None) && is("T4", "Tesla-T4", None));
        assert!(!is("A100-40GB", "NVIDIA-A100-SXM4-80GB", None));
        assert!(
            is("H200-141GB", "nvidia-h200", Some(141.0)) && is("H100-PCIe", "nvidia-h100", None)
        );
        assert!(is("RTX-4090", "NVIDIA-GeForce-RTX-4090", None));
        assert!(
            is("MI300X", "AMD_Instinct_MI300X_OAM", None) && !is("H20-96GB", "nvidia-h200", None)
        );
    }

    #[test]
    fn a_name_that_is_nearly_right_is_guessed() {
        let error = gpu_named("a100-80g").unwrap_err();
        assert_eq!(error, "there is no GPU \"a100-80g\"; did you mean A100-80GB?");
        let error = gpu_named("H100").unwrap_err();
        assert_eq!(error, "there is no GPU \"H100\"; write H100-80GB or H100-PCIe");
        assert!(language_model_named("gpt").unwrap_err().contains("known are Llama-3.2-1B"));
    }
}
