//! Whether a Service could be reached, over the run.

use crate::engine::{SimDuration, SimTime};

/// A Service's reachability.
#[derive(Clone, Debug, Default)]
pub struct ServiceTrack {
    /// Spans without any endpoint that answers, in order; the last may still be open.
    pub downtimes: Vec<Downtime>,
    is_down: bool,
}

/// A span without any endpoint that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downtime {
    /// From.
    pub from: SimTime,
    /// How long; zero while it lasts.
    pub span: SimDuration,
    /// Why, as the cluster's state told when it began.
    pub cause: &'static str,
}

impl ServiceTrack {
    /// From `now` on the Service can be reached, or cannot for the cause given.
    pub fn set_down(&mut self, now: SimTime, down: Option<&'static str>) {
        match down {
            Some(cause) if !self.is_down => {
                self.downtimes.push(Downtime { from: now, span: SimDuration::ZERO, cause });
            }
            None if self.is_down => self.finish(now),
            _ => {}
        }
        self.is_down = down.is_some();
    }

    /// Ends what is open.
    pub(super) fn finish(&mut self, now: SimTime) {
        if self.is_down
            && let Some(open) = self.downtimes.last_mut()
        {
            open.span = now - open.from;
        }
        // A Service that is down for no time at all was never seen down.
        self.downtimes.retain(|down| down.span > SimDuration::ZERO || self.is_down);
    }
}
