//! Mistakes in the settings of language models: histograms of tokens, and the GPUs of their servers.

use crate::shop::{MANIFESTS, SCENARIO, Shop};

use super::{refused, run, with_trace};

/// A shop whose pods serve a language model, with these tokens of prompts and answers.
fn with_tokens(prompt: &str, output: &str, file: &str) -> Shop {
    let scenario = SCENARIO.replace(
        "requests: {concurrency: 4, queue: 50, cpuTime: {distribution: exponential, mean: 20ms}}",
        &format!(
            "requests:\n      llm:\n        model: Llama-3.1-8B\n        gpu: A100-80GB\n        \
             promptTokens: {prompt}\n        outputTokens: {output}"
        ),
    );
    let shop = Shop::with(
        &scenario.replace(
            "instanceType: aws/m5.large",
            "capacity: {cpu: 8, memory: 32Gi, nvidia.com/gpu: 4}",
        ),
        &MANIFESTS.replace("limits: {cpu: 500m}", "limits: {cpu: 500m, nvidia.com/gpu: 1}"),
    );
    shop.write("tokens.csv", file);
    shop
}

const TOKENS: &str = "field,bin_lo,bin_hi,probability,mean_in_bin\n\
                      input_tokens,100,199,0.5,150\ninput_tokens,400,400,0.5,400\n\
                      output_tokens,7,7,0.25,7\noutput_tokens,8,11,0.75,9.4\n";

#[test]
fn histograms_of_tokens_are_drawn_from_and_what_is_wrong_with_them_is_told_at_its_place() {
    let law = "{histogram: tokens.csv}";
    let shop = with_tokens(law, law, TOKENS);
    let report = |shop: &Shop| -> serde_json::Value {
        let ran = run(shop, &["run", "scenario.yaml", "-o", "json"]);
        assert!(ran.code == 0 && ran.err.is_empty(), "{}", ran.err);
        serde_json::from_str(&ran.out).expect("a report")
    };
    let first = report(&shop);
    let service = &first["services"][0];
    let answered = service["answered"].as_f64().expect("a number");
    // 0.5 x 150 + 0.5 x 400, and 0.25 x 7 + 0.75 x 9.4; 4 standard errors of 4000 requests and more.
    for (field, mean, most) in [("prompt_tokens", 275.0, 9.0), ("output_tokens", 8.8, 0.12)] {
        let drawn = service["llm"][field].as_f64().expect("a number") / answered;
        assert!((drawn - mean).abs() < most, "{field}: {drawn}");
    }
    shop.write("tokens.csv", TOKENS.replace("9.4", "9.5"));
    assert_ne!(report(&shop)["run"]["scenario_hash"], first["run"]["scenario_hash"]);

    let no_answers = TOKENS.split("output").next().unwrap_or_default();
    let at = "error: scenario.yaml:18: workloads[0].requests.llm.";
    for (prompt, output, file, says) in [
        (
            "{histogram: no.csv}",
            law,
            TOKENS,
            "17: workloads[0].requests.llm.promptTokens.histogram: no.csv: no such file",
        ),
        (
            law,
            law,
            no_answers,
            &*format!("{at}outputTokens.histogram: tokens.csv has no rows of `output_tokens`"),
        ),
        (
            "{mean: 5}",
            "{mean: 5, histogram: tokens.csv}",
            TOKENS,
            &*format!("{at}outputTokens: a `histogram` implies mean and cv"),
        ),
        (
            "{mean: 5}",
            "{cv: 1}",
            TOKENS,
            &*format!("{at}outputTokens: set the `mean`, or the `histogram`"),
        ),
        (
            law,
            law,
            &TOKENS.replace("0.25", "much"),
            "error: tokens.csv:4: probability: \"much\" is not a number",
        ),
        (law, law, "t_s\n1\n2\n", "error: tokens.csv:1: no column `field` among `t_s`"),
    ] {
        let ran = run(&with_tokens(prompt, output, file), &["run", "scenario.yaml"]);
        assert!(ran.code == 2 && ran.err.contains(says), "{says}: {}", ran.err);
    }
    let ran = run(&with_trace(TOKENS), &["run", "scenario.yaml"]);
    assert!(
        ran.err.contains("error: trace.csv:1: this is a histogram of token counts"),
        "{}",
        ran.err
    );
}

#[test]
fn a_server_of_a_language_model_needs_the_gpus_that_it_is_said_to_run_on() {
    let scenario = |settings: &str, pool: &str| {
        let cpu = "requests: {concurrency: 4, queue: 50, cpuTime: {distribution: exponential, mean: 20ms}}";
        let llm =
            format!("requests: {{llm: {{model: Llama-3.1-8B, maxModelLen: 8192, {settings}}}}}");
        SCENARIO.replace(cpu, &llm).replace("aws/m5.large", pool)
    };
    let manifests = |gpus: &str| {
        MANIFESTS.replace("limits: {cpu: 500m}", &format!("limits: {{cpu: 500m{gpus}}}"))
    };
    let one = manifests(", nvidia.com/gpu: 1");
    for (settings, manifests, says) in [
        (
            "gpu: H100-80GB",
            &one,
            "llm.gpu: the server of Deployment/shop/web is configured for H100-80GB, but the pool general, on which its pods fit, \
             has nvidia-l4\n  help: write `gpu: L4`, or use nodes with H100-80GB for the pods",
        ),
        (
            "gpu: L4, tensorParallelSize: 2",
            &one,
            "llm.tensorParallelSize: a server on 2 GPUs needs as many in its pod, but pods of \
             Deployment/shop/web request nvidia.com/gpu: 1\n  help: write 1 here, or `nvidia.com/gpu: 2`",
        ),
        (
            "gpu: L4",
            &manifests(""),
            "llm.gpu: pods of Deployment/shop/web request no GPU, but their server is configured for L4\n  \
             help: add `nvidia.com/gpu: 1` to their container's resources.limits",
        ),
    ] {
        let at = "error: scenario.yaml:13: workloads[0].requests.";
        refused(&scenario(settings, "aws/g6.12xlarge"), manifests, &[&format!("{at}{says}")]);
    }
    let told = |settings: &str, manifests: &str| {
        let shop = Shop::with(&scenario(settings, "aws/g6.12xlarge"), manifests);
        let ran = run(&shop, &["validate", "scenario.yaml"]);
        assert_eq!(ran.code, 0, "{}", ran.out);
        ran.out
    };
    assert!(!told("gpu: L4", &one).contains("warning:"));
    let idle = told("gpu: L4", &manifests(", nvidia.com/gpu: 4"));
    assert!(idle.contains("but their server uses 1: 3 per pod stay idle"), "{idle}");
    let both = manifests(", nvidia.com/gpu: 2");
    assert!(!told("gpu: L4, tensorParallelSize: 2", &both).contains("warning:"));
    // A second pool that fits makes it a doubt, and a node selector settles it.
    let pools = "    - {name: large, instanceType: aws/p5.4xlarge, count: 1}\n";
    let mixed = scenario("gpu: H100-80GB", "aws/g6.12xlarge")
        .replace("workloads:", &format!("{pools}workloads:"));
    let shop = Shop::with(&mixed, &one);
    let ran = run(&shop, &["validate", "scenario.yaml"]);
    assert!(ran.code == 0 && ran.out.contains("warning: scenario.yaml:14: "), "{}", ran.out);
    let selected = one.replace(
        "    spec:\n      containers:",
        "    spec:\n      nodeSelector: {node.kubernetes.io/instance-type: p5.4xlarge}\n      containers:",
    );
    shop.write("web.yaml", selected);
    let ran = run(&shop, &["validate", "scenario.yaml"]);
    assert!(ran.code == 0 && !ran.out.contains("warning:"), "{}", ran.out);
}
