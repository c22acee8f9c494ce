//! How long a probe that waits for a worker, as requests do, would take to be answered.

use super::backend::{BackendId, BackendState};
use super::path::Traffic;
use engine::{SimDuration, SimTime};

/// CPU time of the answer to a probe.
const PROBE_CPU: SimDuration = SimDuration::from_millis(1);

impl Traffic {
    /// The time to the answer of a probe that is sent at `now`: the wait for a worker, and a
    /// millisecond of CPU shared with the requests that run. Absent = it will not be answered. The
    /// probe itself takes nothing from the requests.
    pub fn probe_delay(&mut self, now: SimTime, backend: BackendId) -> Option<SimDuration> {
        self.advance(now);
        self.sweep(now);
        let row = self.backends.get(backend)?;
        let is_stuck = row.state != BackendState::Serving || row.cores() <= 0.0;
        if is_stuck {
            return None;
        }
        let sharers = row.running(now) as f64 + 1.0;
        let slowdown = (sharers / row.cores()).max(1.0);
        let answer = SimDuration::from_secs_f64(PROBE_CPU.as_secs_f64() * slowdown);
        Some(row.wait_for_worker(now)? + answer)
    }
}
