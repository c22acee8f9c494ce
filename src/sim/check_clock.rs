//! The clock of the periodic checks of nodes' CPU and memory. It stands still while there is nothing to check.

use super::environment::Environment;
use super::event::Event;
use engine::{SimDuration, SimTime};

/// The clock's state.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CheckClock {
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The run has no applications.
    #[default]
    Never,
    /// The next check is in the event queue, for this time.
    Awake(SimTime),
    /// No check is needed until something changes, or until this time, for which one is in the event queue.
    Asleep(SimTime),
}

impl CheckClock {
    /// Starts the clock: its first tick is one period after the start.
    pub(super) fn start(&mut self, env: &mut Environment) {
        let at = SimTime::ZERO + env.world.timing.cpu_sharing_period;
        self.state = State::Awake(at);
        env.enter(at, Event::ShareCpu);
    }

    /// Whether the check of an instant is to be made: a clock that was woken leaves the event of its sleep behind.
    pub(super) const fn is_due(self, now: SimTime) -> bool {
        match self.state {
            State::Never => false,
            State::Awake(at) | State::Asleep(at) => at.as_nanos() == now.as_nanos(),
        }
    }

    /// Called after a check; schedules the next one unless there is nothing left to check. If `is_quiet`, that is the
    /// first tick at or after `next_change`.
    pub(super) fn done(
        &mut self,
        env: &mut Environment,
        is_quiet: bool,
        next_change: Option<SimTime>,
    ) {
        let period = env.world.timing.cpu_sharing_period;
        self.state = match next_change {
            _ if !is_quiet => State::Awake(env.now + period),
            None => State::Asleep(SimTime::MAX),
            Some(at) => State::Asleep(next_tick(at, period, at <= env.now)),
        };
        if let State::Awake(at) | State::Asleep(at) = self.state
            && at < SimTime::MAX
        {
            env.enter(at, Event::ShareCpu);
        }
    }

    /// True if the clock stands still.
    pub(super) const fn is_asleep(self) -> bool {
        matches!(self.state, State::Asleep(_))
    }

    /// Restarts the clock in phase with its earlier ticks.
    pub(super) fn wake(&mut self, env: &mut Environment, is_past: bool) {
        let at = next_tick(env.now, env.world.timing.cpu_sharing_period, is_past);
        let is_entered = self.state == State::Asleep(at);
        self.state = State::Awake(at);
        if !is_entered {
            env.enter(at, Event::ShareCpu);
        }
    }
}

/// The first multiple of a period at or after `now`, or after `now` if the tick of this instant has passed.
pub(super) fn next_tick(now: SimTime, period: SimDuration, is_past: bool) -> SimTime {
    let period = period.as_nanos().max(1);
    let begun = now.as_nanos() / period;
    let is_now = now.as_nanos() % period == 0 && begun > 0 && !is_past;
    SimTime::from_nanos(if is_now { now.as_nanos() } else { (begun + 1) * period })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_goes_on_at_the_ticks_that_it_slept_through() {
        let period = SimDuration::from_millis(300);
        let next = |ms, is_past| {
            let at = SimTime::ZERO + SimDuration::from_millis(ms);
            (next_tick(at, period, is_past) - SimTime::ZERO).as_millis_f64()
        };
        assert!((next(1_000, false) - 1_200.0).abs() < 1e-9);
        assert!((next(1_200, false) - 1_200.0).abs() < 1e-9, "not looked yet");
        assert!((next(1_200, true) - 1_500.0).abs() < 1e-9, "looked already");
        assert!((next(0, false) - 300.0).abs() < 1e-9, "the start is no tick");
    }
}
