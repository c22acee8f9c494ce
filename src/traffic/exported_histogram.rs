//! The histogram of latencies that an application exports.

use engine::SimDuration;

/// Answers by latency, as counted in the application's own histogram.
#[derive(Clone, Debug)]
pub(super) struct LatencyCells {
    /// Upper bounds of all buckets but the last, seconds.
    pub bounds_seconds: &'static [f64],
    /// Number of answers in each bucket.
    pub counts: Vec<u64>,
}

impl LatencyCells {
    /// Counts an answer.
    pub fn count(&mut self, latency: SimDuration) {
        let seconds = latency.as_secs_f64();
        let cell = self.bounds_seconds.partition_point(|bound| *bound < seconds);
        self.counts[cell] += 1;
    }
}
