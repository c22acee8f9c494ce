//! Servers of language models as others measured them. Parameters were fitted on every second row of
//! each table, and the rest judges them; docs/llm.md has all errors, and how to fit anew.
#![expect(clippy::disallowed_methods, reason = "this test reads recorded measurements")]

use std::fs;
use std::sync::Arc;

use wavetank::engine::{SimDuration, SimTime, Streams};
use wavetank::traffic::llm::{
    CostSeconds, LlmModel, ReplayAnswer, ReplayRequest, ReplayRouting, ServerLimits,
    TokenHistograms, replay,
};

/// What a run shows, and what a table holds [s].
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    ttft_mean: f64,
    ttft_p50: f64,
    ttft_p95: f64,
    e2e_mean: f64,
    e2e_p95: f64,
}

impl Figures {
    fn of(answers: &[Option<ReplayAnswer>], overhead: f64) -> Self {
        let sorted = |of: fn(&ReplayAnswer) -> SimDuration| {
            let mut all: Vec<f64> =
                answers.iter().flatten().map(|one| of(one).as_secs_f64() + overhead).collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let (ttft, e2e) = (sorted(|one| one.first_token), sorted(|one| one.end_to_end));
        let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
        let quantile = |all: &[f64], percent: usize| all[(all.len() - 1) * percent / 100];
        Self {
            ttft_mean: mean(&ttft),
            ttft_p50: quantile(&ttft, 50),
            ttft_p95: quantile(&ttft, 95),
            e2e_mean: mean(&e2e),
            e2e_p95: quantile(&e2e, 95),
        }
    }

    fn values(&self) -> [f64; 5] {
        [self.ttft_mean, self.ttft_p50, self.ttft_p95, self.e2e_mean, self.e2e_p95]
    }

    fn relative_to(&self, measured: &Self) -> [f64; 5] {
        let (ours, theirs) = (self.values(), measured.values());
        std::array::from_fn(|index| ours[index] / theirs[index] - 1.0)
    }
}

/// Errors of fitted rows and of those that were not, by figure.
#[derive(Debug, Default)]
struct Errors {
    fitted: Vec<[f64; 5]>,
    held_out: Vec<[f64; 5]>,
}

impl Errors {
    /// Medians of the sizes of the errors of the rows held out.
    fn medians(&self) -> [f64; 5] {
        std::array::from_fn(|figure| {
            let mut sizes: Vec<f64> = self.held_out.iter().map(|row| row[figure].abs()).collect();
            sizes.sort_by(f64::total_cmp);
            f64::midpoint(sizes[(sizes.len() - 1) / 2], sizes[sizes.len() / 2])
        })
    }
}

fn table(file: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(format!("tests/golden/llm/{file}")).expect("the file is there");
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn number(text: &str) -> f64 {
    text.parse().expect("a number")
}

/// The rates of the question-and-answer runs.
const RATES: [f64; 11] = [0.1, 0.5, 0.9, 1.3, 1.7, 2.1, 2.5, 2.9, 3.3, 3.7, 4.1];

/// When the users ask in the 100 seconds at a rate, and who [s].
fn questions(rate: f64) -> Vec<(f64, u32)> {
    let (users, rounds) = (320u32, 10.0);
    let gap = f64::from(users) / rate;
    let between_users = gap * (rounds - 1.0) / f64::from(users);
    let on_tick = |at: f64| (at / 0.1).ceil() * 0.1;
    let mut asked = Vec::new();
    for user in 0..users {
        // The users are met in the midst of their conversations.
        let age = gap * (rounds - 1.0) - f64::from(user) * between_users;
        let passed = (age / gap).floor();
        let mut round = passed + 1.0;
        let mut at = gap - (age - passed * gap);
        while at < 100.0 && round < rounds {
            asked.push((on_tick(at), user + 1));
            at += gap;
            round += 1.0;
        }
    }
    let mut user = users;
    let mut joined = 0.0;
    while joined < 100.0 {
        user += 1;
        let mut at = joined;
        while at < 100.0 {
            asked.push((on_tick(at), user));
            at += gap;
        }
        // The client looks every tenth of a second whether it is time.
        joined += between_users + 0.05;
    }
    asked.sort_by(|one, other| one.0.total_cmp(&other.0));
    asked
}

/// The warm-up and all rates one after the other, and where the requests of each rate stand.
fn session(rates: &[f64]) -> (Vec<ReplayRequest>, Vec<(f64, usize, usize)>) {
    let mut requests = Vec::new();
    let mut push = |at: f64, user: u32| {
        let at = SimTime::from_secs_f64(at);
        requests.push(ReplayRequest { at, prompt: 21_073, output: 100, session: user });
        requests.len()
    };
    let mut warm_up: Vec<(f64, u32)> = (0..400u32)
        .flat_map(|user| [0.0, 0.6].map(|later| (f64::from(user) * 0.5 + later, user + 1)))
        .collect();
    warm_up.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut end = 0;
    for (at, user) in warm_up {
        end = push(at, user);
    }
    let mut begin = 400.0;
    let mut spans = Vec::new();
    for rate in rates {
        let first = end;
        for (at, user) in questions(*rate) {
            end = push(begin + at, user);
        }
        spans.push((*rate, first, end));
        begin += 300.0;
    }
    (requests, spans)
}

/// What was fitted on the rows of a release.
struct Fit {
    /// Time of a prompt's token [s], of a decode of one sequence [s], the cache [tokens], and what a
    /// request takes beside [s].
    token: f64,
    decode: f64,
    kv_cache_tokens: u64,
    overhead: f64,
    /// Given: weights and context at 85 % of the memory's bandwidth [s], the budget of an iteration.
    weights: f64,
    context_token: f64,
    chunk: Option<u32>,
}

impl Fit {
    fn model(&self) -> Arc<LlmModel> {
        let cost = CostSeconds {
            iteration: self.decode - self.weights - self.context_token * 21_073.0,
            sequence: 0.0,
            weights: self.weights,
            token: self.token,
            exchange: 0.0,
            // As arithmetic has it: both come from the same tensor cores.
            attention_pair: self.token * 2.3e-9 / 66.5e-6,
            context_token: self.context_token,
        };
        Arc::new(LlmModel::new(
            &cost,
            &ServerLimits {
                kv_cache_tokens: self.kv_cache_tokens,
                max_num_seqs: 256,
                max_num_batched_tokens: self.chunk.unwrap_or(32_000),
                chunked_prefill: self.chunk.is_some(),
                // What the server does beside the GPU is part of what was fitted for an iteration.
                async_output_processing: false,
                prefix_caching: true,
                shared_prefix_tokens: 1_000,
            },
        ))
    }
}

/// Errors of one release; each row is the mean of runs with different luck of the balancer.
fn question_and_answer(release: &str, fit: &Fit) -> Errors {
    const RUNS: u64 = 12;
    let rows = table("aibrix_plain_routing.csv");
    let model = fit.model();
    let mut errors = Errors::default();
    for through_envoy in [false, true] {
        let mut rates = RATES.to_vec();
        let mut routing = ReplayRouting::Connections { idle: SimDuration::from_secs(5) };
        if through_envoy {
            rates.reverse();
            routing = ReplayRouting::LeastRequest;
        }
        let (requests, spans) = session(&rates);
        let mut sums = vec![[0.0; 5]; spans.len()];
        for run in 0..RUNS {
            let mut stream = Streams::new(1).stream("balancer", run);
            let answers = replay(&model, 8, &requests, routing, &mut stream);
            for (sums, (_, first, end)) in sums.iter_mut().zip(&spans) {
                let values = Figures::of(&answers[*first..*end], fit.overhead).values();
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value / RUNS as f64);
            }
        }
        for ([ttft_mean, ttft_p50, ttft_p95, e2e_mean, e2e_p95], (rate, ..)) in
            sums.into_iter().zip(spans)
        {
            let ours = Figures { ttft_mean, ttft_p50, ttft_p95, e2e_mean, e2e_p95 };
            let row = rows.iter().find(|row| {
                let is_envoy = row[1].starts_with("aibrix");
                row[0] == release
                    && is_envoy == through_envoy
                    && (number(&row[2]) - rate).abs() < 1e-9
            });
            let row = row.expect("each rate was measured");
            let measured = Figures {
                ttft_mean: number(&row[4]),
                ttft_p50: number(&row[5]),
                ttft_p95: number(&row[6]),
                e2e_mean: number(&row[7]),
                e2e_p95: number(&row[8]),
            };
            let position = RATES.iter().position(|one| (one - rate).abs() < 1e-9);
            let is_fitted = position.is_some_and(|position| position % 2 == 0);
            let errors = if is_fitted { &mut errors.fitted } else { &mut errors.held_out };
            errors.push(ours.relative_to(&measured));
        }
    }
    errors
}

/// TTFT and end-to-end time on the rows held out: medians of the errors of the means.
fn check(errors: &Errors, most: f64) {
    let [ttft_mean, .., e2e_mean, _] = errors.medians();
    assert!(ttft_mean < most && e2e_mean < most, "{:?}\n{errors:#?}", errors.medians());
    assert!(errors.fitted.len() >= 6 && errors.held_out.len() >= 6);
}

#[test]
fn whole_prompts_first_on_vllm_0_7_are_within_a_tenth() {
    let fit = Fit {
        token: 65.82e-6,
        decode: 15.75e-3,
        kv_cache_tokens: 360_524,
        overhead: 39.7e-3,
        weights: 9.3e-3,
        context_token: 76e-9,
        chunk: None,
    };
    check(&question_and_answer("v0.2.1", &fit), 0.10);
}

#[test]
fn chunked_prompts_on_vllm_0_8_are_within_a_tenth() {
    let fit = Fit {
        token: 104.99e-6,
        decode: 14.51e-3,
        kv_cache_tokens: 559_903,
        overhead: 32.8e-3,
        weights: 4.8e-3,
        context_token: 38e-9,
        chunk: Some(8_192),
    };
    check(&question_and_answer("v0.3.0", &fit), 0.10);
}

#[test]
fn the_saturation_of_one_server_under_bursts_is_within_a_tenth() {
    // A token of a prompt as the log of the slowest run has it, which is fitted; docs/llm.md has the rest.
    let cost = CostSeconds {
        iteration: 1.103e-3,
        sequence: 0.3761e-3,
        weights: 2.6e-3,
        token: 22e-6,
        exchange: 0.0,
        attention_pair: 0.5e-9,
        context_token: 124.2e-9,
    };
    let model = Arc::new(LlmModel::new(
        &cost,
        &ServerLimits {
            kv_cache_tokens: 570_000,
            max_num_seqs: 256,
            max_num_batched_tokens: 512,
            chunked_prefill: true,
            async_output_processing: true,
            prefix_caching: false,
            shared_prefix_tokens: 0,
        },
    ));
    let whole = |text: &String| text.parse::<u32>().expect("a count");
    let workload: Vec<(f64, u32, u32)> = table("burstgpt_workload.csv")
        .iter()
        .map(|row| (number(&row[0]), whole(&row[1]), whole(&row[2])))
        .collect();
    let mut errors = Errors::default();
    for (position, row) in table("burstgpt_replay.csv").iter().enumerate() {
        let speed = number(&row[0]);
        let requests: Vec<ReplayRequest> = workload
            .iter()
            .map(|&(at, prompt, output)| ReplayRequest {
                at: SimTime::from_secs_f64(at / speed),
                prompt,
                output,
                session: 0,
            })
            .collect();
        let mut stream = Streams::new(1).stream("balancer", 0);
        let answers = replay(&model, 1, &requests, ReplayRouting::Random, &mut stream);
        let ours = Figures::of(&answers, 29.67e-3);
        let measured = Figures {
            ttft_mean: number(&row[2]),
            ttft_p50: number(&row[3]),
            ttft_p95: number(&row[4]),
            e2e_mean: number(&row[5]),
            e2e_p95: number(&row[7]),
        };
        let errors = if position % 2 == 0 { &mut errors.fitted } else { &mut errors.held_out };
        errors.push(ours.relative_to(&measured));
    }
    check(&errors, 0.10);
    let [_, ttft_p50, .., e2e_p95] = errors.medians();
    assert!(ttft_p50 < 0.10 && e2e_p95 < 0.05, "{:?}", errors.medians());
}

/// A published histogram: each bin has its probability, and each field its mean, in the law that is drawn from.
#[test]
fn tokens_are_distributed_as_the_published_histogram_says() {
    const DRAWS: u32 = 1_000_000;
    let file = "servegen_deepseek_r1_tokens.csv";
    let text = fs::read_to_string(format!("tests/golden/llm/{file}")).expect("the file is there");
    let histograms = TokenHistograms::read(text.as_bytes()).expect("a histogram");
    let laws = [("input_tokens", histograms.prompt), ("output_tokens", histograms.output)];
    for (field, law) in laws {
        let law = law.expect("the file has both fields");
        let rows: Vec<Vec<String>> =
            table(file).into_iter().filter(|row| row[0] == field).collect();
        assert!(rows.len() > 40, "{field}");
        let drawn: Vec<u32> =
            (0..DRAWS).map(|i| law.at((f64::from(i) + 0.5) / f64::from(DRAWS))).collect();
        assert!(drawn.is_sorted());
        let mean = drawn.iter().copied().map(f64::from).sum::<f64>() / f64::from(DRAWS);
        let told: f64 = rows.iter().map(|row| number(&row[3]) * number(&row[4])).sum();
        assert!((mean / told - 1.0).abs() < 1e-4, "{field}: {mean} for {told}");
        let mut passed = 0.0;
        for row in &rows {
            passed += number(&row[3]);
            let below = drawn.partition_point(|count| f64::from(*count) <= number(&row[2]));
            let share = below as f64 / f64::from(DRAWS);
            assert!((share - passed).abs() < 1e-5, "{row:?}: {share} for {passed}");
        }
    }
}
