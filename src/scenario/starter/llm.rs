//! Workloads that serve language models: which model and GPU stand for theirs, what their servers are told, and
//! how much traffic is half of what they can do.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::yaml::{comment, scalar};
use crate::inference::InferenceServer;
use capacity::node_type::NodeType;
use cluster::ObjectReference;
use traffic::llm::catalog::{Gpu, LanguageModel, ServerEfficiency, gpus, language_models};

/// The model that stands for one of which nothing is known.
const DEFAULT_MODEL: &str = "Llama-3.1-8B";
/// Tokens that a server must at least have room for beside its weights.
const ROOM_MIN: f64 = 4096.0;
/// Tokens of a prompt and of an answer on average.
const TOKENS: (f64, f64) = (1024.0, 128.0);
/// Sequences in a batch at about half of what a server can do.
const BATCH: f64 = 16.0;
/// Share of what a server can do that the guessed traffic asks for. A batch of few sequences keeps its GPU busy
/// all the same.
const SHARE_OF_CAPACITY: f64 = 0.5;
/// Models that are built like one of another name.
const ALIKE: [(&str, &str); 5] = [
    ("llama-3-8b", "Llama-3.1-8B"),
    ("llama-3-70b", "Llama-3.1-70B"),
    ("llama-3.3-70b", "Llama-3.1-70B"),
    ("codellama-7b", "Llama-2-7B"),
    ("vicuna-7b", "Llama-2-7B"),
];

/// A server with the model that stands for its own.
#[derive(Clone, Debug)]
pub(super) struct Served<'a> {
    pub(super) server: &'a InferenceServer,
    pub(super) model: &'static LanguageModel,
    /// Why it is this model, if it is a guess.
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
                        (near, Some(format!("{written} is not known; this one is about as large")))
                    }
                    None => (default(), Some(format!("{written} is not known"))),
                },
            },
        };
        Self { server, model, doubt }
    }

    /// GPUs that share every layer: as many as are asked for, if the pod has them and the heads can be shared out.
    fn tensor_parallel_size(&self) -> u32 {
        let asked = self.server.tensor_parallel_size.clamp(1, self.server.gpus.max(1));
        if self.model.heads % f64::from(asked) == 0.0 { asked } else { 1 }
    }

    fn setting(&self, name: &str) -> Option<f64> {
        let mut settings = self.server.settings.iter();
        settings.find(|(known, _)| *known == name)?.1.parse().ok()
    }

    /// Whether weights and a request of the greatest length have room on GPUs of a kind.
    pub(super) fn fits(&self, gpu: &Gpu) -> bool {
        let utilization = self.setting("gpuMemoryUtilization").unwrap_or(0.9);
        let room = self.model.kv_cache_tokens(gpu, self.tensor_parallel_size(), utilization);
        room * 0.99 >= self.setting("maxModelLen").unwrap_or(ROOM_MIN).max(ROOM_MIN)
    }

    /// Tokens of prompts and answers that the server's limit lets through.
    fn tokens(&self) -> (f64, f64) {
        let most = self.setting("maxModelLen").unwrap_or(self.model.context.into());
        (
            TOKENS.0.min(libm::floor(most / 4.0)).max(1.0),
            TOKENS.1.min(libm::floor(most / 8.0)).max(1.0),
        )
    }

    /// Requests a second that are about half of what so many servers can do.
    pub(super) fn guessed_rps(&self, gpu: &Gpu, replicas: i64) -> f64 {
        let cost = self.model.cost(gpu, self.tensor_parallel_size(), &ServerEfficiency::default());
        let (prompt, output) = self.tokens();
        let layers = cost.weights.max(cost.token * BATCH);
        let step = cost.iteration + cost.sequence * BATCH + layers;
        let seconds = prompt * (cost.token + cost.exchange) + output * step / BATCH;
        let rps = SHARE_OF_CAPACITY * replicas.max(1) as f64 / seconds;
        // Two figures say all that a guess can.
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
            "    app: {{imagePull: 90s, start: 2s}}     # GUESS: such images have ten gigabytes"
        )?;
        writeln!(out, "    requests:\n      llm:")?;
        let why = match (&self.doubt, &server.model) {
            (Some(doubt), _) => format!("GUESS: {doubt}; docs/llm.md says what else can be given"),
            (None, written) => written.clone().unwrap_or_default(),
        };
        writeln!(out, "        model: {}     # {}", self.model.name, comment(&why))?;
        writeln!(out, "        gpu: {}     # as the nodes of these pods have", gpu.name)?;
        let size = self.tensor_parallel_size();
        if size != 1 || server.tensor_parallel_size != size {
            let asked = match server.tensor_parallel_size {
                asked if asked == size => String::new(),
                asked => {
                    format!("     # it asks for {asked}, and the pod has {} GPUs", server.gpus)
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
                "        # GUESS: weights in 16 bits and a request of the greatest length do not fit into these GPUs;\n\
                 \x20       # a quantized model, or one on more GPUs, may have room for so many tokens.\n\
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
            "        # GUESS: tokens of prompts and answers; a trace may tell those of each request"
        )?;
        writeln!(out, "        promptTokens: {{mean: {prompt}, cv: 0.6}}")?;
        writeln!(out, "        outputTokens: {{mean: {output}, cv: 0.8}}")?;
        writeln!(
            out,
            "        load: {{gigabytesPerSecond: 1}}     # GUESS: weights from the cloud's disk"
        )
    }
}

/// The GPU that a cloud, a device plugin or a person calls so in a label.
pub(super) fn hinted_gpu(labels: &BTreeMap<String, String>) -> Option<&'static Gpu> {
    let of = |value: &String| gpus().iter().find(|gpu| gpu.is_product(value, None));
    labels.values().find_map(of)
}

/// The GPU of a type, if it is one that is known.
pub(super) fn gpu_of(node_type: &NodeType) -> Option<&'static Gpu> {
    let has = node_type.gpus.as_ref()?;
    let memory = has.memory_each.map(|bytes| bytes.0 as f64 / f64::from(1 << 30));
    gpus().iter().find(|gpu| gpu.is_product(&has.model, memory))
}

/// The model of the catalog that a repository, an image or a tag names.
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

/// The model that comes closest to the billions of parameters in a name.
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
