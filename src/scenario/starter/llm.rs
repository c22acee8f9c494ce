//! Workloads that serve language models: the catalog's model and GPU that represent theirs, the settings of their
//! servers, and the traffic at half of their capacity.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::yaml::{comment, scalar};
use crate::inference::InferenceServer;
use capacity::node_type::NodeType;
use cluster::ObjectReference;
use traffic::llm::catalog::{Gpu, LanguageModel, ServerEfficiency, gpus, language_models};

/// The model assumed if nothing is known about it.
const DEFAULT_MODEL: &str = "Llama-3.1-8B";
/// Minimum KV cache that a server needs besides its weights [tokens].
const ROOM_MIN: f64 = 4096.0;
/// Mean tokens of a prompt and of an answer.
const TOKENS: (f64, f64) = (1024.0, 128.0);
/// Sequences in a batch at about half of a server's capacity.
const BATCH: f64 = 16.0;
/// The guessed traffic as a share of a server's capacity. Even a batch of few sequences keeps its GPU busy.
const SHARE_OF_CAPACITY: f64 = 0.5;
/// Guessed bandwidth of loading weights, and time to pull an image and to start the server [s].
pub(super) const LOAD_GIGABYTES_PER_SECOND: f64 = 1.0;
pub(super) const IMAGE_PULL_SECONDS: f64 = 90.0;
pub(super) const START_SECONDS: f64 = 2.0;
/// Models with the architecture of one of another name.
const ALIKE: [(&str, &str); 5] = [
    ("llama-3-8b", "Llama-3.1-8B"),
    ("llama-3-70b", "Llama-3.1-70B"),
    ("llama-3.3-70b", "Llama-3.1-70B"),
    ("codellama-7b", "Llama-2-7B"),
    ("vicuna-7b", "Llama-2-7B"),
];

/// A server with the catalog's model that represents its own.
#[derive(Clone, Debug)]
pub(super) struct Served<'a> {
    pub(super) server: &'a InferenceServer,
    pub(super) model: &'static LanguageModel,
    /// Reason for choosing this model, if it is a guess.
    doubt: Option<String>,
}

impl<'a> Served<'a> {
    pub(super) fn of(server: &'a InferenceServer) -> Self {
        let default = || {
            let models = language_models();
            models.iter().find(|one| one.name == DEFAULT_MODEL).unwrap_or(&models[0])
        };
        let (model, doubt) = match &server.model {
            None => (default(), Some("the manifests do not name the model".to_owned())),
            Some(written) => match known_model(written) {
                Some(known) => (known, None),
                None => match nearest_in_size(written) {
                    Some(near) => {
                        (near, Some(format!("{written} is unknown; this model is of similar size")))
                    }
                    None => (default(), Some(format!("{written} is unknown"))),
                },
            },
        };
        Self { server, model, doubt }
    }

    /// GPUs that share each layer: the configured number, limited to the pod's GPUs; 1 if it does not divide the heads.
    fn tensor_parallel_size(&self) -> u32 {
        let asked = self.server.tensor_parallel_size.clamp(1, self.server.gpus.max(1));
        if self.model.heads % f64::from(asked) == 0.0 { asked } else { 1 }
    }

    fn setting(&self, name: &str) -> Option<f64> {
        let mut settings = self.server.settings.iter();
        settings.find(|(known, _)| *known == name)?.1.parse().ok()
    }

    /// Whether the weights and a request of maximum length fit into GPUs of this kind.
    pub(super) fn fits(&self, gpu: &Gpu) -> bool {
        let utilization = self.setting("gpuMemoryUtilization").unwrap_or(0.9);
        let room = self.model.kv_cache_tokens(gpu, self.tensor_parallel_size(), utilization);
        room * 0.99 >= self.setting("maxModelLen").unwrap_or(ROOM_MIN).max(ROOM_MIN)
    }

    /// Mean tokens of prompts and answers, within the server's limit.
    fn tokens(&self) -> (f64, f64) {
        let most = self.setting("maxModelLen").unwrap_or(self.model.context.into());
        (
            TOKENS.0.min(libm::floor(most / 4.0)).max(1.0),
            TOKENS.1.min(libm::floor(most / 8.0)).max(1.0),
        )
    }

    /// Rate of requests, per second, of about half the capacity of `replicas` servers.
    pub(super) fn guessed_rps(&self, gpu: &Gpu, replicas: i64) -> f64 {
        let cost = self.model.cost(gpu, self.tensor_parallel_size(), &ServerEfficiency::default());
        let (prompt, output) = self.tokens();
        let layers = cost.weights.max(cost.token * BATCH);
        let step = cost.iteration + cost.sequence * BATCH + layers;
        let seconds = prompt * (cost.token + cost.exchange) + output * step / BATCH;
        let rps = SHARE_OF_CAPACITY * replicas.max(1) as f64 / seconds;
        // A guess deserves no more than two significant digits.
        let unit = if rps >= 10.0 { 1.0 } else { 10.0 };
        (libm::round(rps * unit) / unit).max(0.1)
    }

    /// The entry under `workloads`.
    pub(super) fn write(
        &self,
        out: &mut String,
        workload: &ObjectReference,
        gpu: &Gpu,
    ) -> fmt::Result {
        let server = self.server;
        writeln!(
            out,
            "  - workload: {workload}     # {} in {}",
            server.software,
            comment(&server.container)
        )?;
        if !server.is_first {
            writeln!(out, "    container: {}", scalar(&server.container))?;
        }
        writeln!(
            out,
            "    app: {{imagePull: {IMAGE_PULL_SECONDS}s, start: {START_SECONDS}s}}     # GUESS: images of model servers have some ten gigabytes"
        )?;
        writeln!(out, "    requests:\n      llm:")?;
        let why = match (&self.doubt, &server.model) {
            (Some(doubt), _) => format!("GUESS: {doubt}; docs/llm.md lists the alternatives"),
            (None, written) => written.clone().unwrap_or_default(),
        };
        writeln!(out, "        model: {}     # {}", self.model.name, comment(&why))?;
        writeln!(out, "        gpu: {}     # the GPU of these pods' nodes", gpu.name)?;
        let size = self.tensor_parallel_size();
        if size != 1 || server.tensor_parallel_size != size {
            let asked = match server.tensor_parallel_size {
                asked if asked == size => String::new(),
                asked => {
                    format!("     # configured: {asked}; the pod has {} GPUs", server.gpus)
                }
            };
            writeln!(out, "        tensorParallelSize: {size}{asked}")?;
        }
        for (setting, value) in &server.settings {
            writeln!(out, "        {setting}: {value}")?;
        }
        if !self.fits(gpu) {
            let most = self.setting("maxModelLen").unwrap_or(self.model.context.into());
            writeln!(
                out,
                "        # GUESS: 16-bit weights and a request of maximum length do not fit into these GPUs; with a\n\
                 \x20       # quantized model, or more GPUs, this many tokens may fit.\n\
                 \x20       kvCacheTokens: {}",
                libm::ceil(most * 2.0).max(100_000.0)
            )?;
        }
        if !server.not_modelled.is_empty() {
            let named = comment(&server.not_modelled.join(", "));
            writeln!(out, "        # not modelled: {named}")?;
        }
        let (prompt, output) = self.tokens();
        writeln!(
            out,
            "        # GUESS: tokens of prompts and answers; a trace can give those of each request"
        )?;
        writeln!(out, "        promptTokens: {{mean: {prompt}, cv: 0.6}}")?;
        writeln!(out, "        outputTokens: {{mean: {output}, cv: 0.8}}")?;
        writeln!(
            out,
            "        load: {{gigabytesPerSecond: {LOAD_GIGABYTES_PER_SECOND}}}     # GUESS: reading weights from a cloud disk"
        )
    }
}

/// The GPU named by a node label of a cloud, a device plugin or a person.
pub(super) fn hinted_gpu(labels: &BTreeMap<String, String>) -> Option<&'static Gpu> {
    let of = |value: &String| gpus().iter().find(|gpu| gpu.is_product(value, None));
    labels.values().find_map(of)
}

/// The GPU of a node type, if it is in the catalog.
pub(super) fn gpu_of(node_type: &NodeType) -> Option<&'static Gpu> {
    let has = node_type.gpus.as_ref()?;
    let memory = has.memory_each.map(|bytes| bytes.0 as f64 / f64::from(1 << 30));
    gpus().iter().find(|gpu| gpu.is_product(&has.model, memory))
}

/// The catalog's model named by a repository, an image or a tag.
fn known_model(written: &str) -> Option<&'static LanguageModel> {
    let name = plain(written);
    let begins = |known: &str| {
        name.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let alike = ALIKE.iter().find(|(other, _)| begins(other)).map(|(_, known)| *known);
    language_models().iter().find(|model| match alike {
        Some(known) => model.name == known,
        None => begins(&model.name.to_lowercase()),
    })
}

/// `meta-llama/Meta-Llama-3.1-8B-Instruct`, `llama3.1:8b`: `llama-3.1-8b-...`.
fn plain(written: &str) -> String {
    let name = written.trim_end_matches('/').rsplit('/').next().unwrap_or(written);
    let name = name.to_lowercase().replace([':', '_'], "-");
    let name = name.trim_start_matches("meta-");
    ["2", "3"].iter().fold(name.to_owned(), |name, version| {
        name.replace(&format!("llama{version}"), &format!("llama-{version}"))
    })
}

/// The model closest in size to the billions of parameters in a name.
fn nearest_in_size(written: &str) -> Option<&'static LanguageModel> {
    let name = plain(written);
    let mut words = name.split(['-', '.', '_']);
    let billions = name
        .split('-')
        .chain(&mut words)
        .find_map(|word| word.strip_suffix('b')?.parse::<f64>().ok().filter(|size| *size > 0.0))?;
    let distance =
        |model: &LanguageModel| libm::fabs(libm::log(model.parameters / (billions * 1e9)));
    language_models().iter().min_by(|one, other| distance(one).total_cmp(&distance(other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_known_by_the_names_of_repositories_images_and_tags() {
        for (written, known) in [
            ("meta-llama/Meta-Llama-3.1-8B-Instruct", Some("Llama-3.1-8B")),
            ("meta-llama/Llama-3.3-70B-Instruct", Some("Llama-3.1-70B")),
            ("llama3.1:8b", Some("Llama-3.1-8B")),
            ("llama3-8b-instruct", Some("Llama-3.1-8B")),
            ("mistralai/Mistral-7B-Instruct-v0.3", Some("Mistral-7B")),
            ("Qwen/Qwen2.5-7B-Instruct-AWQ", Some("Qwen2.5-7B")),
            ("Qwen/Qwen2.5-72B", Some("Qwen2.5-72B")),
            ("google/gemma-3-1b-it", None),
        ] {
            assert_eq!(known_model(written).map(|model| model.name.as_str()), known, "{written}");
        }
        let near = nearest_in_size("google/gemma-3-1b-it").map(|model| model.name.as_str());
        assert_eq!(near, Some("Llama-3.2-1B"));
    }
}
