//! Recognizes containers that run an inference server for language models: its software, its model, and its command
//! line translated to the settings of `requests.llm`. Reads pod templates as written.

use std::collections::BTreeMap;

use serde_json::Value;

/// The GPU resource name.
const GPU: &str = "nvidia.com/gpu";

/// The inference server of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InferenceServer {
    /// The software, such as vLLM.
    pub software: &'static str,
    /// Name of its container.
    pub container: String,
    /// True if that is the pod's first container.
    pub is_first: bool,
    /// The model as written: a repository, a tag, or an image name. `None` if it cannot be determined.
    pub model: Option<String>,
    /// Number of GPUs of the container.
    pub gpus: u32,
    /// Tensor parallelism: number of GPUs that each layer is split over.
    pub tensor_parallel_size: u32,
    /// Other settings of `requests.llm` with their values.
    pub settings: Vec<(&'static str, String)>,
    /// Options on the command line that have no corresponding setting.
    pub not_modelled: Vec<String>,
}

/// A command-line option or variable of a server, and the corresponding setting.
type Meaning = (&'static str, &'static str);

const VLLM: [Meaning; 4] = [
    ("max-num-seqs", "maxNumSeqs"),
    ("max-num-batched-tokens", "maxNumBatchedTokens"),
    ("max-model-len", "maxModelLen"),
    ("gpu-memory-utilization", "gpuMemoryUtilization"),
];
const SGLANG: [Meaning; 4] = [
    ("max-running-requests", "maxNumSeqs"),
    ("chunked-prefill-size", "maxNumBatchedTokens"),
    ("context-length", "maxModelLen"),
    ("mem-fraction-static", "gpuMemoryUtilization"),
];
const TGI: [Meaning; 3] = [
    ("max-batch-prefill-tokens", "maxNumBatchedTokens"),
    ("max-total-tokens", "maxModelLen"),
    ("cuda-memory-fraction", "gpuMemoryUtilization"),
];
const NIM: [Meaning; 2] =
    [("nim-max-num-seqs", "maxNumSeqs"), ("nim-max-model-len", "maxModelLen")];

/// Options that affect the speed of a server but have no corresponding setting.
const NOT_MODELLED: [&str; 9] = [
    "data-parallel-size",
    "dp-size",
    "enable-lora",
    "kv-cache-dtype",
    "kv-transfer-config",
    "pipeline-parallel-size",
    "quantization",
    "quantize",
    "speculative-config",
];

/// The inference server that a pod template runs on GPUs, if it is of a known kind.
pub(crate) fn inference_server(template: &Value) -> Option<InferenceServer> {
    let containers = template.pointer("/spec/containers")?.as_array()?;
    containers.iter().enumerate().find_map(|(index, container)| {
        let gpus = gpus(container).filter(|gpus| *gpus > 0)?;
        let line = CommandLine::of(container);
        let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
        let software = software(&image.to_lowercase(), &line.words)?;
        let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
        let server = InferenceServer {
            software,
            container: name.to_owned(),
            is_first: index == 0,
            gpus,
            ..InferenceServer::default()
        };
        Some(line.settle(server, image))
    })
}

fn gpus(container: &Value) -> Option<u32> {
    let of = |list: &str| {
        let amount = container.get("resources")?.get(list)?.get(GPU)?;
        let number = amount.as_u64().or_else(|| amount.as_str()?.parse().ok())?;
        u32::try_from(number).ok()
    };
    of("limits").or_else(|| of("requests"))
}

fn software(image: &str, words: &[String]) -> Option<&'static str> {
    let mentions = |part: &str| words.iter().any(|word| word.to_lowercase().contains(part));
    let serves_text = !["embed", "rerank"].iter().any(|part| image.contains(part));
    if image.contains("tritonserver") {
        return (image.contains("vllm") || mentions("vllm")).then_some("Triton with vLLM");
    }
    if image.contains("nvcr.io/nim/") {
        return serves_text.then_some("NIM");
    }
    if image.contains("sglang") || mentions("sglang.launch_server") {
        return Some("SGLang");
    }
    if image.contains("text-generation-inference") || mentions("text-generation-launcher") {
        return Some("TGI");
    }
    let serves = mentions("vllm.entrypoints") || (mentions("vllm") && mentions("serve"));
    if image.contains("vllm") || serves {
        return Some("vLLM");
    }
    (image.contains("ollama") || mentions("ollama")).then_some("Ollama")
}

/// Command, arguments and environment variables of a container.
struct CommandLine {
    words: Vec<String>,
    variables: BTreeMap<String, String>,
}

impl CommandLine {
    fn of(container: &Value) -> Self {
        let list =
            |field: &str| container.get(field).and_then(Value::as_array).into_iter().flatten();
        let variables: BTreeMap<String, String> = list("env")
            .filter_map(|one| {
                let text = |field: &str| one.get(field).and_then(Value::as_str);
                Some((text("name")?.to_owned(), text("value")?.to_owned()))
            })
            .collect();
        let texts = list("command").chain(list("args")).filter_map(Value::as_str);
        let expanded = texts.map(|text| {
            variables.iter().fold(text.to_owned(), |text, (name, value)| {
                text.replace(&format!("$({name})"), value).replace(&format!("${{{name}}}"), value)
            })
        });
        let quotes = |word: &str| word.trim_matches(['"', '\'', '\\']).to_owned();
        let words = expanded.flat_map(|text| {
            text.split_whitespace().map(quotes).filter(|word| !word.is_empty()).collect::<Vec<_>>()
        });
        Self { words: words.collect(), variables }
    }

    /// The value of an option given as `--name value`, `--name=value` or the variable `NAME`. A value that is only
    /// known in the cluster counts as absent.
    fn value(&self, name: &str) -> Option<&str> {
        let mut words = self.words.iter().peekable();
        let mut found = None;
        while let Some(word) = words.next() {
            let Some(option) = word.strip_prefix('-') else { continue };
            let option = option.trim_start_matches('-');
            let (given, value) = match option.split_once('=') {
                Some((given, value)) => (given, Some(value)),
                None => (option, words.peek().map(|next| next.as_str())),
            };
            if given.replace('_', "-") == name {
                found = value.filter(|value| !value.starts_with("--"));
            }
        }
        let variable = || self.variables.get(&name.to_uppercase().replace('-', "_"));
        found.or_else(|| variable().map(String::as_str)).filter(|value| !value.contains('$'))
    }

    fn has(&self, name: &str) -> bool {
        let is_it = |word: &String| {
            let option = word.trim_start_matches('-').replace('_', "-");
            word.starts_with('-') && option.split('=').next() == Some(name)
        };
        self.words.iter().any(is_it)
    }

    fn settle(&self, server: InferenceServer, image: &str) -> InferenceServer {
        let known: &[Meaning] = match server.software {
            "SGLang" => &SGLANG,
            "TGI" => &TGI,
            "NIM" => &NIM,
            "Ollama" => &[],
            _ => &VLLM,
        };
        let mut settings: Vec<(&'static str, String)> = Vec::new();
        let mut unread = Vec::new();
        for (option, setting) in known {
            let Some(text) = self.value(option) else { continue };
            let value = match *setting {
                "gpuMemoryUtilization" => share(text).map(|number| number.to_string()),
                _ => whole(text).map(|number| number.to_string()),
            };
            match value {
                Some(value) => settings.push((*setting, value)),
                None => unread.push(format!("--{option} {text}")),
            }
        }
        for (option, setting) in [
            ("no-enable-prefix-caching", "enablePrefixCaching"),
            ("disable-radix-cache", "enablePrefixCaching"),
            ("no-enable-chunked-prefill", "enableChunkedPrefill"),
        ] {
            if self.has(option) && !settings.iter().any(|(known, _)| *known == setting) {
                settings.push((setting, "false".to_owned()));
            }
        }
        let sizes = ["tensor-parallel-size", "tp-size", "tp", "num-shard"];
        let written = sizes.iter().find_map(|name| self.value(name)?.parse().ok());
        // These use all visible GPUs unless configured otherwise.
        let takes_all = matches!(server.software, "NIM" | "TGI" | "Ollama");
        let not_modelled = NOT_MODELLED.into_iter().filter(|option| self.has(option));
        let not_modelled = not_modelled.map(|option| match self.value(option) {
            Some(value) => format!("--{option} {value}"),
            None => format!("--{option}"),
        });
        InferenceServer {
            model: self.model(server.software, image),
            tensor_parallel_size: written.unwrap_or(if takes_all { server.gpus } else { 1 }),
            settings,
            not_modelled: not_modelled.chain(unread).collect(),
            ..server
        }
    }

    fn model(&self, software: &str, image: &str) -> Option<String> {
        let options = ["model", "model-id", "model-path", "model-name", "ollama-model"];
        let named = options.iter().find_map(|name| self.value(name));
        let behind = |command: &str| {
            let position = self.words.iter().position(|word| word == command)?;
            self.words
                .get(position + 1)
                .filter(|word| !word.starts_with('-') && !word.contains('$'))
        };
        let served = || behind("serve").or_else(|| behind("run")).or_else(|| behind("pull"));
        let of_image = || {
            let name = image.rsplit('/').next()?.split([':', '@']).next()?;
            (software == "NIM").then(|| name.to_owned())
        };
        named.map(ToOwned::to_owned).or_else(|| served().cloned()).or_else(of_image)
    }
}

/// Parses a count as vLLM does (`human_readable_int`): `4096`, `25.6k` (thousands), `32K` (multiples of 1024, integers
/// only).
fn whole(text: &str) -> Option<u64> {
    const DECIMAL: [(char, f64); 4] = [('k', 1e3), ('m', 1e6), ('g', 1e9), ('t', 1e12)];
    const BINARY: [(char, u32); 4] = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];
    let decimal = || {
        let (end, unit) = DECIMAL.iter().find(|(end, _)| text.ends_with(*end))?;
        let number = text.strip_suffix(*end)?;
        let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        // Truncates like Python's `int`.
        let count = libm::floor(number.parse::<f64>().ok().filter(|_| is_plain)? * unit);
        format!("{count}").parse::<u64>().ok()
    };
    let binary = || {
        let (end, bits) = BINARY.iter().find(|(end, _)| text.ends_with(*end))?;
        text.strip_suffix(*end)?.parse::<u64>().ok()?.checked_mul(1 << bits)
    };
    text.parse().ok().or_else(decimal).or_else(binary).filter(|number| *number > 0)
}

/// A fraction of the memory: greater than 0, at most 1.
fn share(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|share| *share > 0.0 && *share <= 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn server(container: &Value) -> Option<InferenceServer> {
        let mut container = container.clone();
        container["resources"] = json!({"limits": {"nvidia.com/gpu": "2"}});
        inference_server(&json!({"spec": {"containers": [container]}}))
    }

    #[test]
    fn servers_are_known_by_image_and_command() {
        for (container, software, model, size) in [
            (
                json!({"image": "vllm/vllm-openai:v0.11.0", "args": ["--model=$(M)", "--tensor-parallel-size", "2"],
                       "env": [{"name": "M", "value": "google/gemma-2-9b-it"}]}),
                "vLLM",
                Some("google/gemma-2-9b-it"),
                2,
            ),
            (
                json!({"image": "mine:1", "command": ["/bin/sh", "-c"], "args": ["exec vllm serve Qwen/Qwen3-8B -tp=2"]}),
                "vLLM",
                Some("Qwen/Qwen3-8B"),
                2,
            ),
            (
                json!({"image": "ghcr.io/huggingface/text-generation-inference:3", "env": [{"name": "MODEL_ID", "value": "a/b"}]}),
                "TGI",
                Some("a/b"),
                2,
            ),
            (
                json!({"image": "lmsysorg/sglang:latest", "command": ["python3", "-m", "sglang.launch_server", "--model-path", "a/b"]}),
                "SGLang",
                Some("a/b"),
                1,
            ),
            (
                json!({"image": "nvcr.io/nim/meta/llama-3.1-8b-instruct:1.1.0"}),
                "NIM",
                Some("llama-3.1-8b-instruct"),
                2,
            ),
            (json!({"image": "ollama/ollama:0.5"}), "Ollama", None, 2),
            (
                json!({"image": "nvcr.io/nvidia/tritonserver:24.08-vllm-python-py3"}),
                "Triton with vLLM",
                None,
                1,
            ),
        ] {
            let found = server(&container).unwrap_or_default();
            let said = (found.software, found.model.as_deref(), found.tensor_parallel_size);
            assert_eq!(said, (software, model, size), "{container}");
        }
        let others = [
            json!({"image": "nvcr.io/nim/nvidia/nv-embedqa-e5-v5:1"}),
            json!({"image": "trainer:1"}),
        ];
        assert!(others.iter().all(|other| server(other).is_none()));
        let without_gpu = json!({"spec": {"containers": [{"image": "vllm/vllm-openai"}]}});
        assert_eq!(inference_server(&without_gpu), None);
    }

    #[test]
    fn options_become_settings_or_are_named_as_not_modelled() {
        let args = [
            "--max_num_seqs=64",
            "--max-model-len",
            "8k",
            "--quantization",
            "awq",
            "--enable-lora",
        ];
        let found = server(&json!({"image": "vllm/vllm-openai", "args": args})).expect("a server");
        let settings = [("maxNumSeqs", "64".to_owned()), ("maxModelLen", "8000".to_owned())];
        assert_eq!(found.settings, settings);
        assert_eq!(found.not_modelled, ["--enable-lora", "--quantization awq"]);
    }

    #[test]
    fn what_cannot_be_read_of_a_setting_is_named_and_what_is_said_twice_is_said_once() {
        let args = [
            "--max-model-len=1.5K",
            "--gpu-memory-utilization=nan",
            "--no-enable-prefix-caching",
            "--disable-radix-cache",
        ];
        let found = server(&json!({"image": "vllm/vllm-openai", "args": args})).expect("a server");
        assert_eq!(found.settings, [("enablePrefixCaching", "false".to_owned())]);
        assert_eq!(found.not_modelled, ["--max-model-len 1.5K", "--gpu-memory-utilization nan"]);
    }

    #[test]
    fn counts_are_read_as_vllm_reads_them() {
        for (text, count) in [
            ("4096", Some(4096)),
            ("25.6k", Some(25_600)),
            ("32K", Some(32_768)),
            ("1.5m", Some(1_500_000)),
            ("2g", Some(2_000_000_000)),
            ("1.5K", None),
            ("-1", None),
            ("0", None),
            ("infk", None),
            ("auto", None),
        ] {
            assert_eq!(whole(text), count, "{text}");
        }
    }
}
