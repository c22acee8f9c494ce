//! How long one iteration of an inference server takes: a roofline of the GPU under the model, plus what
//! the server itself costs.

/// Binary digits of a [`Ticks`] below the nanosecond.
const FRACTION_BITS: u32 = 30;

/// Time in units of 2^-30 ns: so fine that a sum of products of whole numbers stands for any number of
/// iterations, to the last digit.
pub(super) type Ticks = u128;

/// What an iteration works on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IterationWork {
    /// Sequences in the batch.
    pub sequences: u64,
    /// Tokens that go through the layers: one for each decoding sequence, and the chunks of prompts.
    pub tokens: u64,
    /// Pairs of a prompt's token and one that it attends to.
    pub attention_pairs: u64,
    /// Tokens in the KV cache of the decoding sequences, each of which is read once.
    pub context_tokens: u64,
}

/// Cost of an iteration on one group of GPUs, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostSeconds {
    /// Of any iteration: scheduling, launching kernels, sampling.
    pub iteration: f64,
    /// For each sequence in the batch: sampling, detokenising, streaming.
    pub sequence: f64,
    /// To read all weights once: no iteration's layers take less.
    pub weights: f64,
    /// For each token through the layers, as far as arithmetic goes.
    pub token: f64,
    /// For each token through the layers to be exchanged between GPUs.
    pub exchange: f64,
    /// For each pair of a prompt's token and one that it attends to.
    pub attention_pair: f64,
    /// For each token in the KV cache that a decoding sequence reads.
    pub context_token: f64,
}

/// [`CostSeconds`] in whole ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IterationCost {
    iteration: Ticks,
    sequence: Ticks,
    weights: Ticks,
    token: Ticks,
    exchange: Ticks,
    attention_pair: Ticks,
    context_token: Ticks,
}

impl IterationCost {
    /// The cost in ticks; what is negative or no number is taken for nothing.
    pub fn new(seconds: &CostSeconds) -> Self {
        Self {
            iteration: ticks(seconds.iteration),
            sequence: ticks(seconds.sequence),
            weights: ticks(seconds.weights),
            token: ticks(seconds.token),
            exchange: ticks(seconds.exchange),
            attention_pair: ticks(seconds.attention_pair),
            context_token: ticks(seconds.context_token),
        }
    }

    /// How long an iteration takes; longer than zero.
    ///
    /// Layers read their weights once for the whole batch, so few tokens cost what the memory takes, and
    /// many what the arithmetic takes. The KV cache is read and attended to besides.
    pub fn of(&self, work: IterationWork) -> Ticks {
        let IterationWork { sequences, tokens, attention_pairs, context_tokens } = work;
        let tokens = u128::from(tokens);
        let all = self.iteration
            + self.sequence * u128::from(sequences)
            + self.weights.max(self.token * tokens)
            + self.exchange * tokens
            + self.attention_pair * u128::from(attention_pairs)
            + self.context_token * u128::from(context_tokens);
        // A server that takes no time at all would never let time go on.
        all.max(1 << FRACTION_BITS)
    }

    /// How long `count` iterations in a row take together, of which the first takes `first` and in each
    /// of which `sequences` sequences decode one token and thus read one more in the next.
    ///
    /// It is `first * count + context_token * sequences * count (count - 1) / 2`: the very sum of the
    /// single ones.
    pub fn of_run(&self, first: Ticks, sequences: u64, count: u64) -> Ticks {
        let count = u128::from(count);
        let pairs = count * count.saturating_sub(1) / 2;
        first * count + self.context_token * u128::from(sequences) * pairs
    }
}

/// The ticks of a nanosecond since the start.
pub(super) fn from_nanos(nanos: i64) -> Ticks {
    u128::from(nanos.max(0).unsigned_abs()) << FRACTION_BITS
}

/// The first whole nanosecond that is not before `at`.
pub(super) fn to_nanos(at: Ticks) -> i64 {
    let nanos = (at + (1 << FRACTION_BITS) - 1) >> FRACTION_BITS;
    i64::try_from(nanos).unwrap_or(i64::MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float to int casts saturate, which is meant"
)]
fn ticks(seconds: f64) -> Ticks {
    const TICKS_PER_SECOND: f64 = 1e9 * (1u64 << FRACTION_BITS) as f64;
    // A day at most: with it no sum overflows.
    libm::round(seconds.clamp(0.0, 86_400.0) * TICKS_PER_SECOND) as u128
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: CostSeconds = CostSeconds {
        iteration: 2e-3,
        sequence: 1e-5,
        weights: 8e-3,
        token: 7e-5,
        exchange: 0.0,
        attention_pair: 2.3e-9,
        context_token: 8.7e-8,
    };

    #[test]
    fn a_run_of_decodes_takes_as_long_as_its_iterations() {
        let cost = IterationCost::new(&COST);
        let at = |context_tokens| {
            cost.of(IterationWork { sequences: 7, tokens: 7, context_tokens, ..Default::default() })
        };
        let single: Ticks = (0..1000).map(|done| at(5_003 + 7 * done)).sum();
        assert_eq!(cost.of_run(at(5_003), 7, 1000), single);
    }

    #[test]
    fn few_tokens_cost_the_reading_of_the_weights_and_many_their_arithmetic() {
        let cost = IterationCost::new(&COST);
        let of = |tokens| cost.of(IterationWork { tokens, ..Default::default() });
        assert_eq!(of(1), of(100));
        // 2 ms and 2,048 tokens of 70 us.
        assert_eq!(to_nanos(of(2048)), 145_360_000);
    }
}
