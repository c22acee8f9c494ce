//! Response time of a probe that queues for a worker like a request.

use super::backend::{BackendId, BackendState};
use super::path::Traffic;
use engine::{SimDuration, SimTime};

/// CPU time to answer a probe.
const PROBE_CPU: SimDuration = SimDuration::from_millis(1);

impl Traffic {
    /// Time to the answer of a probe sent at `now`: the wait for a worker, plus a millisecond of
    /// CPU shared with the running requests. Absent = never answered. The probe itself does not
    /// affect the requests.
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
