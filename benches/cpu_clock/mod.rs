//! CPU time of this thread: unlike wall time, it says the same on a busy machine.

use std::time::Instant;

/// A clock that has been started.
#[derive(Clone, Copy, Debug)]
pub struct CpuClock {
    began: Instant,
    cpu_nanos: Option<u64>,
}

impl CpuClock {
    /// Starts it.
    pub fn start() -> Self {
        Self { began: Instant::now(), cpu_nanos: cpu_nanos() }
    }

    /// Seconds of CPU since the start; of wall time where the system does not tell the CPU's.
    pub fn seconds(&self) -> f64 {
        match (self.cpu_nanos, cpu_nanos()) {
            (Some(before), Some(now)) => now.saturating_sub(before) as f64 / 1e9,
            _ => self.began.elapsed().as_secs_f64(),
        }
    }
}

/// CPU time of this thread, as Linux tells it.
fn cpu_nanos() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}
