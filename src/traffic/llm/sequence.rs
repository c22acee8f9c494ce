//! A request in an inference server: from waiting over its prompt to its last token.

use super::iteration_cost::{Ticks, from_nanos};
use super::kv_cache::BLOCK_TOKENS;
use crate::recording::Client;
use engine::SimTime;

/// A request to a language model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    /// Client that waits for it.
    pub client: Client,
    /// Tokens of the prompt, at least one.
    pub prompt: u32,
    /// Tokens of the answer, at least one.
    pub output: u32,
    /// Requests of one session begin alike; 0 for none.
    pub session: u32,
    /// Blocks of its session that it uses while it runs.
    pub of_session: u64,
    /// Tokens of the answer so far.
    pub generated: u32,
    /// When the first of them came; [`SimTime::MAX`] before.
    pub first_token: SimTime,
    /// When its client gives up and the server drops it; [`SimTime::MAX`] if it never does.
    pub deadline: SimTime,
}

/// Way in which a request leaves the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// With its last token.
    Answered(Answered),
    /// Its client had given up.
    Aborted {
        /// Client that waited for it.
        client: Client,
        /// When the iteration began that did without it.
        at: SimTime,
    },
}

/// A request that is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    /// Client that waits for it.
    pub client: Client,
    /// When its first token came.
    pub first_token: SimTime,
    /// When its last token came.
    pub finished: SimTime,
    /// Tokens of the answer.
    pub output: u32,
}

/// A sequence that gets a token in every iteration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoding {
    pub request: Request,
    /// Tokens of the answer before the step at which it began to decode.
    pub generated_before: u32,
    /// Tokens in its cache at that step.
    pub computed_before: u32,
    /// The step at which it did.
    pub from_step: u64,
    /// The step after which it is done.
    pub finish_step: u64,
}

/// A prompt that is computed in part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Partial {
    pub request: Request,
    /// Tokens of it in the cache.
    pub computed: u32,
}

impl Request {
    /// A request of so many tokens, of no session, whose client never gives up.
    pub const fn new(client: Client, prompt: u32, output: u32) -> Self {
        let (session, of_session, generated) = (0, 0, 0);
        let (first_token, deadline) = (SimTime::MAX, SimTime::MAX);
        Self { client, prompt, output, session, of_session, generated, first_token, deadline }
    }

    /// Whether its client has given up before `start`.
    pub fn is_given_up(&self, start: Ticks) -> bool {
        self.gives_up() < start
    }

    /// When its client gives up.
    pub fn gives_up(&self) -> Ticks {
        from_nanos(self.deadline.as_nanos())
    }

    /// Tokens whose keys and values the cache must hold before the next token: after a preemption those
    /// of the answer so far as well.
    pub const fn to_compute(self) -> u32 {
        self.prompt + self.generated
    }

    /// It has its last token.
    pub const fn answered(&self, now: SimTime) -> Answered {
        Answered {
            client: self.client,
            first_token: self.first_token,
            finished: now,
            output: self.output,
        }
    }
}

impl Decoding {
    /// Tokens in its cache before `step`.
    pub fn computed(&self, step: u64) -> u64 {
        u64::from(self.computed_before) + (step - self.from_step)
    }

    /// Tokens of its answer before `step`.
    pub fn generated(&self, step: u64) -> u32 {
        let steps = u32::try_from(step - self.from_step).unwrap_or(u32::MAX);
        self.generated_before + steps
    }

    /// The remainder of the steps at which it begins a block: its cache is full to the brim then.
    pub fn block_step(&self) -> usize {
        let cycle = u64::from(BLOCK_TOKENS);
        let missing = cycle - u64::from(self.computed_before) % cycle;
        usize::try_from((self.from_step + missing) % cycle).unwrap_or_default()
    }
}
