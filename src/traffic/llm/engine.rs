//! One inference server with continuous batching, as scheduled by vLLM: one iteration after the other,
//! each with one token for every decoding sequence and as much prefill of waiting prompts as the token
//! budget allows.
//!
//! The server advances only when queried, and processes runs of iterations that merely decode an
//! unchanged batch in one step, with a result identical to single steps.

use std::collections::VecDeque;
use std::sync::Arc;

use super::counters::LlmCounters;
use super::iteration_cost::{IterationWork, Ticks, from_nanos, to_nanos};
use super::kv_cache::{BLOCK_TOKENS, HeldBlocks, KvCache};
use super::model::LlmModel;
use super::patience::Patience;
use super::sequence::{Decoding, Departure, Partial, Request};
use crate::recording::Client;
use engine::SimTime;

/// One inference server.
#[derive(Clone, Debug)]
pub(crate) struct LlmEngine {
    pub(super) model: Arc<LlmModel>,
    pub(super) kv: KvCache,
    /// Requests not admitted yet, or preempted: the latter in front.
    pub(super) waiting: VecDeque<Request>,
    /// Sequences that get a token in every iteration, in order of admission.
    pub(super) decoding: Vec<Decoding>,
    /// Requests whose prefill completes in the current iteration.
    pub(super) joining: Vec<Request>,
    /// The prompt that exceeded the budget: the last one admitted.
    pub(super) partial: Option<Partial>,
    /// Timeouts of the clients.
    pub(super) patience: Patience,
    /// The current iteration; absent while there is no work.
    iteration: Option<Iteration>,
    /// Number of iterations with decodes so far.
    pub(super) step: u64,
    /// The step after which the next decoding sequence completes.
    pub(super) next_finish: u64,
    /// Cached tokens of all decoding sequences.
    context: u64,
    /// Number of decoding sequences that start a block at the steps with each remainder.
    block_steps: [u32; BLOCK_TOKENS as usize],
    pub(super) counters: LlmCounters,
}

#[derive(Clone, Copy, Debug)]
struct Iteration {
    start: Ticks,
    end: Ticks,
    /// Prompt tokens computed.
    prompt_tokens: u64,
    decodes: bool,
    /// Only the lengths of the decoding sequences change.
    is_steady: bool,
}

/// Work of the next iteration.
struct Plan {
    work: IterationWork,
    decodes: bool,
    is_steady: bool,
}

impl LlmEngine {
    /// An idle server.
    pub fn new(model: Arc<LlmModel>, now: SimTime) -> Self {
        let shared = u64::from(model.shared_prefix_tokens / BLOCK_TOKENS);
        let kv = KvCache::new(model.kv_blocks, shared, model.prefix_caching);
        Self {
            model,
            kv,
            waiting: VecDeque::new(),
            decoding: Vec::new(),
            joining: Vec::new(),
            partial: None,
            patience: Patience::default(),
            iteration: None,
            step: 0,
            next_finish: u64::MAX,
            context: 0,
            block_steps: [0; BLOCK_TOKENS as usize],
            counters: LlmCounters { since: now, ..LlmCounters::default() },
        }
    }

    /// Adds a request; the engine must be at `now`.
    pub fn admit(&mut self, now: SimTime, mut request: Request) {
        if self.shared_tokens(&request) < self.whole_shared_tokens() {
            // It ends within the shared prefix, before its session's own tokens begin.
            request.session = 0;
        }
        self.push_back(request);
        if self.iteration.is_none() {
            self.begin(from_nanos(now.as_nanos()));
        }
    }

    /// Advances to `now`.
    pub fn advance(&mut self, now: SimTime, left: &mut impl FnMut(Departure)) {
        let until = from_nanos(now.as_nanos());
        while let Some(iteration) = self.iteration.filter(|iteration| iteration.end <= until) {
            self.end(iteration, left);
            let mut start = iteration.end;
            self.drop_abandoned(start, left);
            if iteration.is_steady {
                start = self.jump(start, until);
                self.drop_abandoned(start, left);
            }
            self.begin(start);
        }
    }

    /// Drops all work at `now`, where the engine must be; no request is answered.
    pub(crate) fn take_clients(&mut self, now: SimTime) -> Vec<Client> {
        let clients = self.clients().collect();
        let idle = Self::new(Arc::clone(&self.model), SimTime::ZERO);
        let counters = LlmCounters { busy: self.busy(now), ..self.counters };
        *self = Self { counters, ..idle };
        clients
    }

    /// The clients of all requests in the server: running, then waiting.
    pub fn clients(&self) -> impl Iterator<Item = Client> + '_ {
        let decoding = self.decoding.iter().map(|decoding| decoding.request.client);
        let joining = self.joining.iter().map(|request| request.client);
        let partial = self.partial.iter().map(|partial| partial.request.client);
        let waiting = self.waiting.iter().map(|request| request.client);
        decoding.chain(joining).chain(partial).chain(waiting)
    }

    /// Busy time until `now`, where the engine must be, including the current iteration.
    pub fn busy(&self, now: SimTime) -> Ticks {
        let now = from_nanos(now.as_nanos());
        let in_progress = |iteration: Iteration| now.saturating_sub(iteration.start);
        self.counters.busy + self.iteration.map_or(0, in_progress)
    }

    /// Requests in the batch (`vllm:num_requests_running`).
    pub fn running(&self) -> usize {
        self.decoding.len() + self.joining.len() + usize::from(self.partial.is_some())
    }

    /// Requests waiting for admission (`vllm:num_requests_waiting`).
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// End of the current iteration; absent without work.
    pub fn next_event(&self) -> Option<SimTime> {
        self.iteration.map(|iteration| SimTime::from_nanos(to_nanos(iteration.end)))
    }

    /// Plans the iteration that begins at `start`.
    fn begin(&mut self, start: Ticks) {
        let Plan { work, decodes, is_steady } = if self.model.chunked_prefill {
            self.plan_chunked()
        } else {
            self.plan_prefill_first()
        };
        self.counters.kv_blocks_peak = self.counters.kv_blocks_peak.max(self.kv.used());
        let decoded = if decodes { self.decoding.len() as u64 } else { 0 };
        self.iteration = (work.sequences > 0).then(|| Iteration {
            start,
            end: start + self.model.cost.of(work),
            prompt_tokens: work.tokens - decoded,
            decodes,
            is_steady,
        });
    }

    /// vLLM V1's scheduler: running requests first, then waiting ones, while tokens are left in the
    /// budget; a long prompt is prefilled in chunks beside the decodes.
    fn plan_chunked(&mut self) -> Plan {
        let mut preempted = self.make_room_for_decodes();
        let mut work = self.decodes();
        let mut budget = u64::from(self.model.max_num_batched_tokens).saturating_sub(work.tokens);
        if let Some(partial) = self.partial.take() {
            let computed = self.compute(partial, budget, &mut work);
            // It was preempted if there was no room for its next chunk.
            preempted |= computed == 0 && budget > 0;
            budget -= computed;
        }
        // Preempted requests are not admitted again at once.
        let mut admits = !preempted;
        while admits && budget > 0 && self.partial.is_none() && self.has_seat() {
            admits = match self.next_admission(budget) {
                Some(partial) => {
                    budget -= self.compute(partial, budget, &mut work);
                    true
                }
                None => false,
            };
        }
        let decodes = !self.decoding.is_empty();
        let is_steady = decodes && !preempted && self.partial.is_none() && self.joining.is_empty();
        Plan { work, decodes, is_steady }
    }

    /// vLLM V0's scheduler without chunked prefill: whole waiting prompts go first and alone; when none
    /// can be admitted, all running sequences decode.
    fn plan_prefill_first(&mut self) -> Plan {
        let mut work = IterationWork::default();
        let mut budget = u64::from(self.model.max_num_batched_tokens);
        while self.has_seat() {
            let Some(partial) = self.next_admission(budget) else { break };
            budget -= self.compute(partial, budget, &mut work);
        }
        if work.sequences > 0 {
            return Plan { work, decodes: false, is_steady: false };
        }
        let preempted = self.make_room_for_decodes();
        let decodes = !self.decoding.is_empty();
        Plan { work: self.decodes(), decodes, is_steady: decodes && !preempted }
    }

    fn has_seat(&self) -> bool {
        self.running() < self.model.max_num_seqs as usize
    }

    fn decodes(&self) -> IterationWork {
        let sequences = self.decoding.len() as u64;
        IterationWork {
            sequences,
            tokens: sequences,
            attention_pairs: 0,
            context_tokens: self.context + sequences,
        }
    }

    /// Allocates blocks for the next token of every decoding sequence, preempting those admitted last
    /// until there is room. True if any were preempted.
    fn make_room_for_decodes(&mut self) -> bool {
        let mut preempted = false;
        loop {
            let needed = self.blocks_for(1);
            if needed <= self.kv.available() {
                self.kv.allocate(needed);
                return preempted;
            }
            preempted = true;
            self.preempt_last();
        }
    }

    /// New blocks needed by the decoding sequences in the next `count` steps.
    fn blocks_for(&self, count: u64) -> u64 {
        let cycle = u64::from(BLOCK_TOKENS);
        let rest = (0..count % cycle).map(|ahead| {
            let step = (self.step + ahead) % cycle;
            u64::from(self.block_steps[usize::try_from(step).unwrap_or_default()])
        });
        count / cycle * self.decoding.len() as u64 + rest.sum::<u64>()
    }

    /// Preempts the sequence admitted last; its computed tokens are lost.
    fn preempt_last(&mut self) {
        let (request, computed) = if let Some(partial) = self.partial.take() {
            (partial.request, u64::from(partial.computed))
        } else {
            let Some(last) = self.decoding.pop() else { return };
            let computed = last.computed(self.step);
            self.leave(&last);
            let generated = last.generated(self.step);
            (Request { generated, ..last.request }, computed)
        };
        self.release(&request, computed);
        self.counters.preemptions += 1;
        self.push_front(request);
    }

    /// Computes as much of a prompt as the budget allows; returns the number of tokens.
    fn compute(&mut self, partial: Partial, budget: u64, work: &mut IterationWork) -> u64 {
        let Partial { mut request, computed } = partial;
        let total = u64::from(request.to_compute());
        let done = u64::from(computed);
        let mut chunk = (total - done).min(budget);
        let blocks = KvCache::blocks_of(done + chunk) - KvCache::blocks_of(done);
        if blocks > self.kv.available() {
            // There is no later request to preempt for it.
            chunk = 0;
        }
        if chunk == 0 {
            if budget > 0 {
                self.release(&request, done);
                self.counters.preemptions += 1;
                self.push_front(request);
            } else {
                self.partial = Some(partial);
            }
            return 0;
        }
        self.kv.allocate(blocks);
        work.sequences += 1;
        work.tokens += chunk;
        work.attention_pairs += chunk * done + chunk * (chunk + 1) / 2;
        if self.model.chunked_prefill {
            // V1 shares blocks already in the iteration that computes them.
            self.publish(&mut request, done + chunk);
        }
        if done + chunk == total {
            self.joining.push(request);
        } else {
            let computed = u32::try_from(done + chunk).unwrap_or(u32::MAX);
            self.partial = Some(Partial { request, computed });
        }
        chunk
    }

    /// Admits the longest-waiting request if it can start now. The cached part of its prompt need not be
    /// computed; at least one token always is.
    fn next_admission(&mut self, budget: u64) -> Option<Partial> {
        let request = *self.waiting.front()?;
        let total = u64::from(request.to_compute());
        let found = self.kv.find(request.session);
        let block = u64::from(BLOCK_TOKENS);
        let shared = self.shared_tokens(&request);
        let of_session = found.blocks.min((total - 1 - shared) / block);
        let cached = shared + of_session * block;
        let left = total - cached;
        let is_whole = !self.model.chunked_prefill;
        if is_whole && left > budget {
            return None;
        }
        let chunk = left.min(budget);
        let others_use = found.in_use.min(of_session);
        let needed = KvCache::blocks_of(cached + chunk) - KvCache::blocks_of(shared) - others_use;
        // V0 keeps one percent of the blocks free on admission, to avoid immediate preemption.
        let spare = if is_whole { self.kv.total() / 100 } else { 0 };
        if needed + spare > self.kv.available() {
            return None;
        }
        self.waiting.pop_front();
        self.counters.prefix_queries += total;
        self.counters.prefix_hits += cached;
        self.kv.share(request.session, of_session);
        let request = Request { of_session, ..request };
        Some(Partial { request, computed: u32::try_from(cached).unwrap_or(u32::MAX) })
    }

    /// Cached tokens of the prefix shared by all prompts.
    fn shared_tokens(&self, request: &Request) -> u64 {
        let block = u64::from(BLOCK_TOKENS);
        let all_but_one = u64::from(request.prompt.saturating_sub(1)) / block * block;
        self.whole_shared_tokens().min(all_but_one)
    }

    /// Tokens of the full blocks shared by all sufficiently long prompts.
    fn whole_shared_tokens(&self) -> u64 {
        u64::from(self.model.shared_prefix_tokens / BLOCK_TOKENS * BLOCK_TOKENS)
    }

    /// Frees the blocks of a sequence with `computed` tokens.
    pub(super) fn release(&mut self, request: &Request, computed: u64) {
        let shared = KvCache::blocks_of(self.shared_tokens(request));
        let blocks = KvCache::blocks_of(computed).saturating_sub(shared);
        let full = (computed / u64::from(BLOCK_TOKENS)).saturating_sub(shared);
        self.kv
            .release(request.session, HeldBlocks { of_session: request.of_session, blocks, full });
    }

    /// Shares the computed part of a prompt, `computed` tokens, with its session.
    fn publish(&mut self, request: &mut Request, computed: u64) {
        let shared = KvCache::blocks_of(self.shared_tokens(request));
        let of_prompt = computed.min(request.prompt.into()) / u64::from(BLOCK_TOKENS);
        let full = of_prompt.saturating_sub(shared);
        request.of_session = self.kv.publish(request.session, request.of_session, full);
    }

    /// Completes the current iteration.
    fn end(&mut self, iteration: Iteration, left: &mut impl FnMut(Departure)) {
        let now = SimTime::from_nanos(to_nanos(iteration.end));
        self.counters.busy += iteration.end - iteration.start;
        self.counters.prompt_tokens += iteration.prompt_tokens;
        self.iteration = None;
        if iteration.decodes {
            let decoding = self.decoding.len() as u64;
            self.step += 1;
            self.context += decoding;
            self.counters.output_tokens += decoding;
            if self.step == self.next_finish {
                self.finish_decodes(now, left);
            }
        }
        let mut joining = std::mem::take(&mut self.joining);
        for request in joining.drain(..) {
            self.join(now, request, left);
        }
        self.joining = joining;
    }

    /// Skips the pure decode iterations that end by `until`, from `start` on; returns the end of the
    /// last one.
    fn jump(&mut self, start: Ticks, until: Ticks) -> Ticks {
        let sequences = self.decoding.len() as u64;
        if sequences == 0 || self.next_finish <= self.step + 1 || !self.is_closed() {
            return start;
        }
        // Iterations that complete a sequence, or may lack room, are not skipped.
        let cycles = self.kv.available() / sequences;
        let most = (self.next_finish - self.step - 1).min(cycles * u64::from(BLOCK_TOKENS));
        let run = self.model.cost.run(self.decodes());
        // None begins after a client's timeout.
        let latest = self.patience.next();
        let fits =
            |count| start + run.span(count) <= until && start + run.span(count - 1) <= latest;
        if most == 0 || !fits(1) {
            return start;
        }
        let count = largest(most, fits);
        let span = run.span(count);
        self.kv.allocate(self.blocks_for(count));
        self.step += count;
        self.context += sequences * count;
        self.counters.busy += span;
        self.counters.output_tokens += sequences * count;
        self.counters.kv_blocks_peak = self.counters.kv_blocks_peak.max(self.kv.used());
        start + span
    }

    /// Whether no request can be admitted while the batch only grows longer.
    ///
    /// A request that arrived during the last iteration may be; one that waited before could not, and
    /// cannot until another leaves.
    fn is_closed(&self) -> bool {
        self.waiting.is_empty() || !self.has_seat()
    }

    fn finish_decodes(&mut self, now: SimTime, left: &mut impl FnMut(Departure)) {
        let step = self.step;
        let mut next = u64::MAX;
        let mut at = 0;
        while at < self.decoding.len() {
            let decoding = self.decoding[at];
            if decoding.finish_step > step {
                next = next.min(decoding.finish_step);
                at += 1;
                continue;
            }
            self.decoding.remove(at);
            self.leave(&decoding);
            self.release(&decoding.request, decoding.computed(step));
            left(Departure::CompletedRequest(decoding.request.answered(now)));
        }
        self.next_finish = next;
    }

    /// The prefill of a request is complete, which produces its next token.
    fn join(&mut self, now: SimTime, mut request: Request, left: &mut impl FnMut(Departure)) {
        let computed = request.to_compute();
        if !self.model.chunked_prefill {
            self.publish(&mut request, computed.into());
        }
        request.generated += 1;
        request.first_token = request.first_token.min(now);
        self.counters.output_tokens += 1;
        if request.generated >= request.output {
            self.release(&request, u64::from(computed));
            left(Departure::CompletedRequest(request.answered(now)));
            return;
        }
        let decoding = Decoding {
            request,
            generated_before: request.generated,
            computed_before: computed,
            from_step: self.step,
            finish_step: self.step + u64::from(request.output - request.generated),
        };
        self.next_finish = self.next_finish.min(decoding.finish_step);
        self.context += u64::from(computed);
        self.block_steps[decoding.block_step()] += 1;
        self.decoding.push(decoding);
    }

    /// Removes a sequence that stops decoding from the sums.
    pub(super) fn leave(&mut self, decoding: &Decoding) {
        self.context -= decoding.computed(self.step);
        self.block_steps[decoding.block_step()] -= 1;
    }
}

/// The largest count from 1 to `most` that fits; 1 always fits, and `fits` must be monotonic.
fn largest(most: u64, fits: impl Fn(u64) -> bool) -> u64 {
    if fits(most) {
        return most;
    }
    let (mut good, mut bad) = (1, most);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if fits(middle) { good = middle } else { bad = middle }
    }
    good
}
