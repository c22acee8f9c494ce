//! Duration of one iteration of an inference server: a roofline of the GPU for the model, plus the
//! server's own overhead.

/// Fractional binary digits of a [`Ticks`] below the nanosecond.
const FRACTION_BITS: u32 = 30;

/// Time in units of 2^-30 ns: fine enough that integer sums represent any number of iterations exactly.
pub(super) type Ticks = u128;

/// Work of an iteration in sequences and tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IterationWork {
    /// Sequences in the batch.
    pub sequences: u64,
    /// Tokens processed by the layers: one per decoding sequence, plus the chunks of prompts.
    pub tokens: u64,
    /// Pairs of a prompt token and one that it attends to.
    pub attention_pairs: u64,
    /// KV cache tokens of the decoding sequences, each of which is read once.
    pub context_tokens: u64,
}

/// Cost of an iteration on one group of GPUs, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostSeconds {
    /// Per iteration: scheduling, kernel launches, sampling.
    pub iteration: f64,
    /// Per sequence in the batch: sampling, detokenization, streaming.
    pub sequence: f64,
    /// Reading all weights once: a lower bound for the layers of an iteration.
    pub weights: f64,
    /// Arithmetic per token processed by the layers.
    pub token: f64,
    /// Exchange between GPUs per token processed by the layers.
    pub exchange: f64,
    /// Per pair of a prompt token and one that it attends to.
    pub attention_pair: f64,
    /// Per KV cache token read by a decoding sequence.
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
    /// Whether the work for sequences overlaps with the GPU's, so that only the longer of the two
    /// counts.
    overlaps: bool,
}

/// Consecutive iterations in which the same sequences decode one token each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DecodeRun {
    /// Duration of each of the first `flat` iterations, where the server's work for the sequences takes
    /// longer than the GPU's.
    first: Ticks,
    flat: u128,
    /// Duration of the iteration after those.
    then: Ticks,
    /// Increase of each iteration after it: the sequences have grown by a token.
    growth: Ticks,
}

impl IterationCost {
    /// The cost in ticks; negative values and NaN count as zero. With `overlaps` outputs are processed
    /// while the GPU computes.
    pub fn new(seconds: &CostSeconds, overlaps: bool) -> Self {
        Self {
            overlaps,
            iteration: ticks(seconds.iteration),
            sequence: ticks(seconds.sequence),
            weights: ticks(seconds.weights),
            token: ticks(seconds.token),
            exchange: ticks(seconds.exchange),
            attention_pair: ticks(seconds.attention_pair),
            context_token: ticks(seconds.context_token),
        }
    }

    /// Duration of an iteration; always positive.
    ///
    /// Layers read their weights once for the whole batch, so few tokens are memory-bound and many are
    /// compute-bound. Reading the KV cache and attention are added.
    pub fn of(&self, work: IterationWork) -> Ticks {
        let (server, gpu) = self.parts(work);
        let both = if self.overlaps { server.max(gpu) } else { server + gpu };
        // With zero-length iterations, time would never advance.
        (self.iteration + both).max(1 << FRACTION_BITS)
    }

    /// Time of the server's CPU for the sequences, and time of the GPU.
    fn parts(&self, work: IterationWork) -> (Ticks, Ticks) {
        let IterationWork { sequences, tokens, attention_pairs, context_tokens } = work;
        let tokens = u128::from(tokens);
        let gpu = self.weights.max(self.token * tokens)
            + self.exchange * tokens
            + self.attention_pair * u128::from(attention_pairs)
            + self.context_token * u128::from(context_tokens);
        (self.sequence * u128::from(sequences), gpu)
    }

    /// Consecutive iterations, the first with this work, in each of which its sequences decode one token
    /// and thus read one more in the next.
    pub fn run(&self, work: IterationWork) -> DecodeRun {
        let first = self.of(work);
        let growth = self.context_token * u128::from(work.sequences);
        let (server, gpu) = self.parts(work);
        if !self.overlaps || gpu >= server {
            return DecodeRun { first, flat: 0, then: first, growth };
        }
        // Hidden behind the server's work until the sequences have grown this long.
        let flat = if growth == 0 { u128::MAX } else { (server - gpu).div_ceil(growth) };
        let then = self.iteration + gpu + growth.saturating_mul(flat);
        DecodeRun { first, flat, then, growth }
    }
}

impl DecodeRun {
    /// Total duration of the first `count` iterations, exactly the sum of single ones.
    ///
    /// Without a flat part it is `then * count + growth * count (count - 1) / 2`.
    pub fn span(&self, count: u64) -> Ticks {
        let flat = self.flat.min(count.into());
        let count = u128::from(count) - flat;
        let pairs = count * count.saturating_sub(1) / 2;
        let growing = if count == 0 { 0 } else { self.then * count + self.growth * pairs };
        self.first * flat + growing
    }
}

/// The ticks of a nanosecond since the start.
pub(super) fn from_nanos(nanos: i64) -> Ticks {
    u128::from(nanos.max(0).unsigned_abs()) << FRACTION_BITS
}

/// `at` in nanoseconds, rounded up.
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
    // At most a day, so that no sum overflows.
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
        let work = |context_tokens| IterationWork {
            sequences: 7,
            tokens: 7,
            context_tokens,
            ..Default::default()
        };
        // With 1.4 ms per sequence the GPU takes longer from the 593rd iteration on.
        let slow = CostSeconds { sequence: 1.4e-3, context_token: 3.3e-7, ..COST };
        for (seconds, overlaps) in [(COST, false), (COST, true), (slow, false), (slow, true)] {
            let cost = IterationCost::new(&seconds, overlaps);
            let run = cost.run(work(5_003));
            let mut sum = 0;
            for count in 1..=1000 {
                sum += cost.of(work(5_003 + 7 * (count - 1)));
                assert_eq!(run.span(count), sum, "{count} {overlaps}");
            }
        }
    }

    #[test]
    fn outputs_are_processed_beside_the_gpu_if_they_may_be() {
        let work = |sequences| IterationWork { sequences, tokens: sequences, ..Default::default() };
        let seconds = CostSeconds { sequence: 1e-3, ..COST };
        let millis = |overlaps, sequences| {
            to_nanos(IterationCost::new(&seconds, overlaps).of(work(sequences))) / 1_000_000
        };
        // 2 ms, 8 ms of the GPU, and 1 ms per sequence.
        assert_eq!((millis(false, 5), millis(true, 5)), (15, 10));
        assert_eq!((millis(false, 20), millis(true, 20)), (30, 22));
    }

    #[test]
    fn few_tokens_cost_the_reading_of_the_weights_and_many_their_arithmetic() {
        let cost = IterationCost::new(&COST, false);
        let of = |tokens| cost.of(IterationWork { tokens, ..Default::default() });
        assert_eq!(of(1), of(100));
        // 2 ms and 2,048 tokens of 70 us.
        assert_eq!(to_nanos(of(2048)), 145_360_000);
    }
}
