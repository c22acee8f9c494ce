//! A request in an inference server: from waiting through prefill to its last token.

use super::iteration_cost::{Ticks, from_nanos};
use super::kv_cache::BLOCK_TOKENS;
use crate::recording::Client;
use engine::SimTime;

/// A request to an LLM server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// The waiting client.
    pub client: Client,
    /// Prompt tokens, at least one.
    pub prompt: u32,
    /// Output tokens, at least one.
    pub output: u32,
    /// Requests of one session share a prefix; 0 for none.
    pub session: u32,
    /// Session blocks that it uses while running.
    pub of_session: u64,
    /// Output tokens so far.
    pub generated: u32,
    /// Time of the first token; [`SimTime::MAX`] before.
    pub first_token: SimTime,
    /// Time at which its client gives up and the server drops it; [`SimTime::MAX`] for never.
    pub deadline: SimTime,
}

/// The way a request leaves the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Departure {
    /// Answered completely.
    CompletedRequest(CompletedRequest),
    /// Aborted because its client gave up.
    Aborted {
        /// The client.
        client: Client,
        /// Start of the iteration that no longer included it.
        at: SimTime,
    },
}

/// An answered request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CompletedRequest {
    /// The waiting client.
    pub client: Client,
    /// Time of its first token.
    pub first_token: SimTime,
    /// Time of its last token.
    pub finished: SimTime,
    /// Output tokens.
    pub output: u32,
}

/// A sequence that gets a token in every iteration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoding {
    pub request: Request,
    /// Output tokens before the step at which it began to decode.
    pub generated_before: u32,
    /// Cached tokens at that step.
    pub computed_before: u32,
    /// The step at which it began to decode.
    pub from_step: u64,
    /// The step after which it completes.
    pub finish_step: u64,
}

/// A partially computed prompt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Partial {
    pub request: Request,
    /// Cached tokens of the prompt.
    pub computed: u32,
}

impl Request {
    /// A request with these token counts, without session, whose client never gives up.
    pub const fn new(client: Client, prompt: u32, output: u32) -> Self {
        let (session, of_session, generated) = (0, 0, 0);
        let (first_token, deadline) = (SimTime::MAX, SimTime::MAX);
        Self { client, prompt, output, session, of_session, generated, first_token, deadline }
    }

    /// Whether its client has given up before `start`.
    pub(crate) fn has_abandoned(&self, start: Ticks) -> bool {
        self.abandons_at() < start
    }

    /// Time at which its client gives up.
    pub(crate) fn abandons_at(&self) -> Ticks {
        from_nanos(self.deadline.as_nanos())
    }

    /// Tokens whose keys and values must be cached before the next token: after a preemption, including
    /// those of the answer so far.
    pub(crate) const fn to_compute(self) -> u32 {
        self.prompt + self.generated
    }

    /// The answer with the last token at `now`.
    pub const fn answered(&self, now: SimTime) -> CompletedRequest {
        CompletedRequest {
            client: self.client,
            first_token: self.first_token,
            finished: now,
            output: self.output,
        }
    }
}

impl Decoding {
    /// Cached tokens before `step`.
    pub fn computed(&self, step: u64) -> u64 {
        u64::from(self.computed_before) + (step - self.from_step)
    }

    /// Output tokens before `step`.
    pub fn generated(&self, step: u64) -> u32 {
        let steps = u32::try_from(step - self.from_step).unwrap_or(u32::MAX);
        self.generated_before + steps
    }

    /// Remainder of the steps at which it starts a block, because its last block is full.
    pub(crate) fn block_step(&self) -> usize {
        let cycle = u64::from(BLOCK_TOKENS);
        let missing = cycle - u64::from(self.computed_before) % cycle;
        usize::try_from((self.from_step + missing) % cycle).unwrap_or_default()
    }
}
