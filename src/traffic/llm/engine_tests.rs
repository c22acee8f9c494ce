//! Facts about the inference server.

use std::sync::Arc;

use proptest::prelude::*;

use super::engine::LlmEngine;
use super::iteration_cost::CostSeconds;
use super::model::{LlmModel, ServerLimits};
use super::sequence::{CompletedRequest, Departure, Request};
use crate::recording::{Client, NO_ATTEMPT};
use engine::{SimDuration, SimTime};

/// Round numbers: an iteration takes 1 ms, and each token of a prompt 10 us more.
const COST: CostSeconds = CostSeconds {
    iteration: 1e-3,
    sequence: 0.0,
    weights: 0.0,
    token: 1e-5,
    exchange: 0.0,
    attention_pair: 0.0,
    context_token: 0.0,
};

const LIMITS: ServerLimits = ServerLimits {
    kv_cache_tokens: 16_000,
    max_num_seqs: 8,
    max_num_batched_tokens: 100,
    chunked_prefill: true,
    async_output_processing: false,
    prefix_caching: true,
    shared_prefix_tokens: 0,
};

fn engine(cost: &CostSeconds, limits: &ServerLimits) -> LlmEngine {
    LlmEngine::new(Arc::new(LlmModel::new(cost, limits)), SimTime::ZERO)
}

/// A request that comes at `at` microseconds, has `prompt` and `output` tokens and is of `session`.
fn request(at: i64, prompt: u32, output: u32, session: u32) -> Request {
    let arrived = SimTime::from_nanos(at * 1000);
    let client = Client { service: 0, attempt: NO_ATTEMPT, arrived };
    Request { session, ..Request::new(client, prompt, output) }
}

/// Runs requests through a server that is advanced at each arrival, and also every `step`.
fn run(mut engine: LlmEngine, requests: &[Request], step: Option<SimDuration>) -> Run {
    let (mut answered, mut aborted) = (Vec::new(), Vec::new());
    let mut count = |left| match left {
        Departure::CompletedRequest(one) => answered.push(one),
        Departure::Aborted { client, at } => aborted.push((client, at)),
    };
    let mut now = SimTime::ZERO;
    for request in requests {
        let at = request.client.arrived;
        while let Some(step) = step
            && now + step < at
        {
            now += step;
            engine.advance(now, &mut count);
        }
        now = at;
        engine.advance(now, &mut count);
        engine.admit(now, *request);
    }
    while let Some(step) = step
        && engine.next_event().is_some()
    {
        now += step;
        engine.advance(now, &mut count);
    }
    engine.advance(SimTime::MAX, &mut count);
    Run { answered, aborted, engine }
}

struct Run {
    answered: Vec<CompletedRequest>,
    /// Clients that gave up, and the times at which the server dropped their requests.
    aborted: Vec<(Client, SimTime)>,
    engine: LlmEngine,
}

/// First token and end of an answer [us].
fn micros(answered: &CompletedRequest) -> (i64, i64) {
    (answered.first_token.as_nanos() / 1000, answered.finished.as_nanos() / 1000)
}

#[test]
fn a_lone_request_takes_its_prompts_chunks_and_an_iteration_per_token() {
    let run = run(engine(&COST, &LIMITS), &[request(500, 250, 11, 0)], None);
    // Chunks of 100, 100 and 50 tokens: 2, 2 and 1.5 ms; ten more iterations of 1.01 ms.
    assert_eq!(micros(&run.answered[0]), (500 + 5_500, 500 + 5_500 + 10_100));
}

#[test]
fn a_prompt_goes_through_beside_the_decodes_in_what_they_leave_of_the_budget() {
    let both = [request(0, 10, 1000, 0), request(1_200, 198, 2, 0)];
    let run = run(engine(&COST, &LIMITS), &both, None);
    // The first token comes at 1.1 ms; the iteration to 2.11 ms began before the second request came.
    // Then two iterations with one decode and 99 tokens of the prompt.
    assert_eq!(micros(&run.answered[0]), (2_110 + 4_000, 2_110 + 4_000 + 1_020));
}

#[test]
fn without_chunks_prompts_go_first_and_alone() {
    let limits = ServerLimits { chunked_prefill: false, max_num_batched_tokens: 500, ..LIMITS };
    let both = [request(0, 10, 5, 0), request(1_200, 198, 2, 0)];
    let run = run(engine(&COST, &limits), &both, None);
    // 2.11 ms as above, then the whole prompt in 2.98 ms during which no sequence decodes.
    assert_eq!(micros(&run.answered[0]), (5_090, 5_090 + 1_020));
    assert_eq!(micros(&run.answered[1]), (1_100, 5_090 + 1_020 + 2 * 1_010));
}

#[test]
fn no_more_sequences_run_than_may() {
    let limits = ServerLimits { max_num_seqs: 1, ..LIMITS };
    let both = [request(0, 10, 3, 0), request(0, 10, 3, 0)];
    let run = run(engine(&COST, &limits), &both, None);
    let one = 1_100 + 2 * 1_010;
    assert_eq!(micros(&run.answered[1]), (one + 1_100, 2 * one));
}

#[test]
fn a_session_finds_its_prompt_in_the_cache() {
    let again = [request(0, 100, 1, 7), request(10_000, 100, 1, 7), request(20_000, 100, 1, 8)];
    let run = run(engine(&COST, &LIMITS), &again, None);
    let latency: Vec<i64> = run.answered.iter().map(|one| micros(one).1 % 10_000).collect();
    // Six full blocks of 16 are kept; 4 tokens are left.
    assert_eq!(latency, [2_000, 1_040, 2_000]);
    assert_eq!(run.engine.counters.prefix_hits, 96);
}

#[test]
fn requests_of_a_session_that_run_at_once_share_what_is_computed() {
    // The first one's iteration ends at 1.1 ms; then both others have their turn.
    let all = [request(0, 10, 1, 0), request(500, 60, 10, 7), request(500, 60, 10, 7)];
    let run_both = run(engine(&COST, &LIMITS), &all, None);
    // 60 tokens of the one, and 12 of the other behind three blocks of the one.
    let first = 1_100 + 1_720;
    assert_eq!(micros(&run_both.answered[1]), (first, first + 9 * 1_020));
    assert_eq!(micros(&run_both.answered[2]), (first, first + 9 * 1_020));
    assert_eq!(run_both.engine.counters.prefix_hits, 48);
    // 69 tokens are five blocks, of which three are the same ones.
    assert_eq!(run_both.engine.counters.kv_blocks_peak, 7);
    assert_eq!(run_both.engine.kv.used(), 0);
    // The prompts of V0 that go through together find nothing of each other, while later ones do.
    let limits = ServerLimits { chunked_prefill: false, max_num_batched_tokens: 500, ..LIMITS };
    let four = [all[0], all[1], all[2], request(2_000, 60, 2, 7)];
    let run = run(engine(&COST, &limits), &four, None);
    let first = 1_100 + 2_200 + 1_120;
    assert_eq!(micros(&run.answered[1]), (first, first + 1_030));
    assert_eq!(run.engine.counters.prefix_hits, 48);
}

#[test]
fn a_longer_prompt_goes_on_where_that_of_a_running_request_ends() {
    let all = [request(0, 70, 200, 7), request(5_000, 150, 200, 7), request(9_000, 180, 2, 7)];
    let run = run(engine(&COST, &LIMITS), &all, None);
    // Four blocks of the first, then nine of the second; the prefixes with answers are not cached yet.
    assert_eq!(run.engine.counters.prefix_hits, 64 + 144);
}

#[test]
fn a_shared_beginning_is_computed_never_again() {
    let limits = ServerLimits { shared_prefix_tokens: 64, ..LIMITS };
    let run = run(engine(&COST, &limits), &[request(0, 100, 1, 0)], None);
    assert_eq!(micros(&run.answered[0]).1, 1_360);
}

#[test]
fn of_a_prompt_within_the_shared_beginning_only_what_fills_no_block_or_ends_it_is_computed() {
    for (prompt, hits) in [(16, 0), (17, 16), (40, 32), (64, 48), (65, 64), (200, 64)] {
        let limits = ServerLimits { shared_prefix_tokens: 64, ..LIMITS };
        let run = run(engine(&COST, &limits), &[request(0, prompt, 1, 0)], None);
        assert_eq!(run.engine.counters.prefix_hits, hits, "{prompt} tokens");
        assert_eq!(run.engine.kv.used(), 4);
    }
}

#[test]
fn the_sequence_admitted_last_gives_way_when_the_cache_is_full() {
    // Room for 8 blocks: two prompts of 3 blocks each grow until 8 are needed and then 9.
    let limits = ServerLimits { kv_cache_tokens: 128, prefix_caching: false, ..LIMITS };
    let both = [request(0, 40, 60, 0), request(0, 40, 60, 0)];
    let run = run(engine(&COST, &limits), &both, None);
    assert_eq!(run.engine.counters.preemptions, 1);
    assert_eq!(run.answered.len(), 2);
    // The first never waits: 1.4 ms for its prompt, its second token beside the other's prompt, ...
    assert_eq!(run.answered[0].client, both[0].client);
    assert!(run.answered[1].finished > run.answered[0].finished);
}

#[test]
fn what_gives_way_is_not_admitted_again_in_the_same_iteration() {
    // Chunks of 17 tokens, so that there is room for one of them at once. The first ends with the token for which the
    // other gives way, in an iteration that computes no prompt.
    let limits = ServerLimits {
        kv_cache_tokens: 128,
        prefix_caching: false,
        max_num_batched_tokens: 17,
        ..LIMITS
    };
    let both = [request(0, 40, 26, 0), request(0, 40, 60, 0)];
    let run = run(engine(&COST, &limits), &both, None);
    assert!(run.engine.counters.preemptions >= 1);
    // 1 ms each, and 10 us a token: four full chunks, the last 13 tokens of the prompts beside a token, 22 pairs of
    // tokens, and the last token alone.
    assert_eq!(micros(&run.answered[0]).1, 4 * 1_170 + 1_140 + 22 * 1_020 + 1_010);
}

#[test]
fn a_prompt_shorter_than_the_shared_beginning_shares_nothing_when_it_has_grown() {
    let limits = ServerLimits { shared_prefix_tokens: 16, ..LIMITS };
    let run = run(engine(&COST, &limits), &[request(0, 10, 30, 0)], None);
    assert_eq!(run.engine.kv.used(), 1);
}

/// The same request with a client timeout in microseconds.
fn patient_for(micros: i64, request: Request) -> Request {
    let deadline = request.client.arrived + SimDuration::from_nanos(micros * 1000);
    Request { deadline, ..request }
}

#[test]
fn who_gave_up_leaves_the_batch_when_the_next_iteration_begins() {
    let limits = ServerLimits { max_num_seqs: 1, ..LIMITS };
    let both = [patient_for(5_000, request(0, 100, 50, 0)), request(0, 10, 3, 0)];
    let run = run(engine(&COST, &limits), &both, None);
    // The prompt takes 2 ms and tokens 1.01 ms each: the iteration that is under way at 5 ms ends at 5.03 ms.
    assert_eq!(run.aborted, [(both[0].client, SimTime::from_nanos(5_030_000))]);
    assert_eq!(micros(&run.answered[0]), (5_030 + 1_100, 5_030 + 1_100 + 2 * 1_010));
    // Four of the one, three of the other.
    assert_eq!(run.engine.counters.output_tokens, 7);
    assert_eq!((run.engine.kv.used(), run.engine.running()), (0, 0));
}

#[test]
fn who_gave_up_waiting_never_has_a_turn() {
    let limits = ServerLimits { max_num_seqs: 1, ..LIMITS };
    let all = [
        request(0, 10, 11, 0),
        patient_for(9_000, request(0, 10, 3, 0)),
        // Behind another, and gives up before it.
        patient_for(2_000, request(0, 10, 3, 0)),
        patient_for(60_000, request(0, 10, 3, 0)),
    ];
    let run = run(engine(&COST, &limits), &all, None);
    // An iteration ends at 2.11 ms and one at 9.18 ms.
    let ends = run.aborted.iter().map(|(_, at)| at.as_nanos() / 1000);
    assert_eq!(ends.collect::<Vec<i64>>(), [2_110, 9_180]);
    let one = 1_100 + 10 * 1_010;
    assert_eq!(micros(&run.answered[1]), (one + 1_100, one + 1_100 + 2_020));
    assert_eq!(run.engine.counters.prompt_tokens, 20);
}

#[test]
fn a_prompt_that_is_given_up_half_way_stays_in_the_prefix_cache_so_far() {
    // Chunks of 100 tokens end at 2 ms and at 4 ms.
    let both = [patient_for(3_000, request(0, 1000, 5, 7)), request(9_000, 1000, 1, 7)];
    let run = run(engine(&COST, &LIMITS), &both, None);
    assert_eq!(run.aborted, [(both[0].client, SimTime::from_nanos(4_000_000))]);
    assert_eq!(run.engine.counters.prefix_hits, 192);
}

/// Requests that come within a second, some of them alike, some of clients that soon give up.
fn requests() -> impl Strategy<Value = Vec<Request>> {
    let patience = prop_oneof![2 => Just(i64::MAX / 2000), 1 => 0..200_000i64];
    let one = (0..30_000i64, 1..400u32, 1..300u32, 0..4u32, patience);
    prop::collection::vec(one, 1..40).prop_map(|mut all| {
        all.sort_by_key(|one| one.0);
        (0..)
            .zip(all)
            .map(|(number, (at, prompt, output, session, patience))| {
                let mut one = patient_for(patience, request(at, prompt, output, session));
                one.client.service = number;
                one
            })
            .collect()
    })
}

fn limits() -> impl Strategy<Value = ServerLimits> {
    (44..400u64, 1..20u32, 20..600u32, any::<[bool; 3]>(), 0..12u32).prop_map(
        |(blocks, max_num_seqs, tokens, flags, shared)| {
            let [chunked_prefill, prefix_caching, async_output_processing] = flags;
            ServerLimits {
                kv_cache_tokens: blocks * 16 + 32,
                max_num_seqs,
                max_num_batched_tokens: if chunked_prefill { tokens } else { 800 },
                chunked_prefill,
                async_output_processing,
                prefix_caching,
                shared_prefix_tokens: shared * 8,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn skipped_iterations_have_the_result_of_single_ones(
        requests in requests(), limits in limits(), step in 400..9_000i64,
    ) {
        // So that with several sequences their processing takes longer than the GPU at first.
        let cost =
            CostSeconds { sequence: 4e-5, context_token: 3.3e-8, attention_pair: 1.7e-9, ..COST };
        let at_once = run(engine(&cost, &limits), &requests, None);
        let single = run(engine(&cost, &limits), &requests, Some(SimDuration::from_nanos(step * 500)));
        prop_assert_eq!(&at_once.answered, &single.answered);
        prop_assert_eq!(&at_once.aborted, &single.aborted);
        prop_assert_eq!(at_once.engine.counters, single.engine.counters);
    }

    #[test]
    fn everybody_is_answered_or_gave_up_and_the_cache_is_free_again(requests in requests(), limits in limits()) {
        let run = run(engine(&COST, &limits), &requests, None);
        prop_assert_eq!(run.answered.len() + run.aborted.len(), requests.len());
        let shared = u64::from(if limits.prefix_caching { limits.shared_prefix_tokens } else { 0 });
        prop_assert_eq!(run.engine.kv.used(), shared / 16);
        let tokens = |requests: &mut dyn Iterator<Item = u32>| requests.map(u64::from).sum::<u64>();
        let of_answered = tokens(&mut run.answered.iter().map(|one| one.output));
        let most = tokens(&mut requests.iter().map(|one| one.output));
        prop_assert!(run.engine.counters.kv_blocks_peak <= run.engine.kv.total());
        let made = run.engine.counters.output_tokens;
        prop_assert!(made >= of_answered && made <= most);
        prop_assert!(made == most || !run.aborted.is_empty());
        for (client, at) in &run.aborted {
            prop_assert!(requests[client.service as usize].deadline < *at);
        }
        for one in &run.answered {
            prop_assert!(one.client.arrived < one.first_token && one.first_token <= one.finished);
        }
    }
}
