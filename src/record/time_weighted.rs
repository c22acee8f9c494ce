//! A number that changes over time, and its time-weighted mean.

use engine::SimTime;

/// A whole number over time: its minimum, maximum and integral.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeWeighted {
    value: i64,
    since: SimTime,
    /// Value times nanoseconds.
    integral: i128,
    range: Option<(i64, i64)>,
}

impl TimeWeighted {
    /// Sets the value from `now` on.
    pub fn set(&mut self, now: SimTime, value: i64) {
        self.settle(now);
        self.value = value;
    }

    /// Changes the value by `by` at `now`.
    pub fn add(&mut self, now: SimTime, by: i64) {
        self.set(now, self.value + by);
    }

    /// The current value.
    pub const fn value(&self) -> i64 {
        self.value
    }

    /// The integral up to `now`, in value-seconds.
    pub fn integral_seconds(&self, now: SimTime) -> f64 {
        let open = i128::from(self.value) * i128::from((now - self.since).as_nanos());
        (self.integral + open) as f64 / 1e9
    }

    /// Smallest and largest value that held for longer than zero time, up to `now`.
    pub fn range(&self, now: SimTime) -> (i64, i64) {
        let mut settled = *self;
        settled.settle(now);
        settled.range.unwrap_or((self.value, self.value))
    }

    fn settle(&mut self, now: SimTime) {
        let span = (now - self.since).as_nanos();
        if span > 0 {
            self.integral += i128::from(self.value) * i128::from(span);
            let (low, high) = self.range.unwrap_or((self.value, self.value));
            self.range = Some((low.min(self.value), high.max(self.value)));
        }
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_one_instant_leave_no_trace() {
        let mut replicas = TimeWeighted::default();
        replicas.set(SimTime::ZERO, 3);
        replicas.set(SimTime::from_secs(10), 9);
        replicas.set(SimTime::from_secs(10), 5);
        let end = SimTime::from_secs(20);
        assert_eq!(replicas.range(end), (3, 5));
        assert!((replicas.integral_seconds(end) - 80.0).abs() < 1e-9);
    }
}
