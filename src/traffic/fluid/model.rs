//! An application's request model for flows: its capacity, its queue bound, and the time of a request at a
//! given utilization.

use super::stretch::FlowServer;
use crate::request_model::RequestModel;

/// The means of a request model, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Means {
    /// CPU time on a whole core.
    pub cpu: f64,
    /// Waiting time after that.
    pub wait: f64,
    /// Variance of the CPU time over the square of its mean.
    pub squared_cv: f64,
}

impl Means {
    pub(super) fn of(model: &RequestModel) -> Self {
        if !model.classes.is_empty() {
            return Self::of_classes(model);
        }
        let (cpu, wait) = (model.cpu_distribution(), model.wait_distribution());
        Self {
            cpu: cpu.mean_nanos() * 1e-9,
            wait: wait.mean_nanos() * 1e-9,
            squared_cv: cpu.squared_cv(),
        }
    }
}

impl Means {
    /// The means over all classes, by weight.
    fn of_classes(model: &RequestModel) -> Self {
        let all: f64 = model.classes.iter().map(|class| class.weight).sum();
        let (mut cpu, mut squared_cpu, mut wait) = (0.0, 0.0, 0.0);
        for class in &model.classes {
            let share = class.weight / all;
            let of_class = Self::of(&class.model);
            cpu += share * of_class.cpu;
            squared_cpu += share * of_class.cpu * of_class.cpu * (1.0 + of_class.squared_cv);
            wait += share * of_class.wait;
        }
        let squared_cv = if cpu > 0.0 { squared_cpu / (cpu * cpu) - 1.0 } else { 0.0 };
        Self { cpu, wait, squared_cv }
    }
}

/// A pod's throughput and queue bound. The throughput is limited by the CPU and by the number of slots, as each
/// request holds its slot for its CPU time and its waiting time.
pub(super) fn outlet(model: &RequestModel, means: Means, cores: f64) -> FlowServer {
    let slots = f64::from(model.concurrency);
    let by_cpu = cores / means.cpu;
    let by_slots = slots / (means.cpu / cores.min(1.0) + means.wait);
    // Requests without cost never wait: the capacity is beyond any load.
    let capacity = if cores > 0.0 { by_cpu.min(by_slots).min(1e15) } else { 0.0 };
    let bound = match model.queue_bound_seconds() {
        Some(seconds) => seconds * capacity,
        None => f64::from(model.queue),
    };
    FlowServer { capacity, bound }
}

/// Probability that an arrival must wait in a queue with `servers` servers at this utilization (Erlang's C
/// formula); interpolated between whole numbers of servers, and below one.
pub(super) fn erlang_c(servers: f64, utilization: f64) -> f64 {
    let below = servers.floor().max(1.0);
    let share = (servers - below).max(0.0);
    let low = erlang_c_whole(below, utilization);
    if share == 0.0 { low } else { low + share * (erlang_c_whole(below + 1.0, utilization) - low) }
}

fn erlang_c_whole(servers: f64, utilization: f64) -> f64 {
    let offered = servers * utilization;
    // Erlang's B by its numerically stable recursion.
    let mut blocked = 1.0;
    let mut server = 1.0;
    while server <= servers {
        blocked = offered * blocked / (server + offered * blocked);
        server += 1.0;
    }
    blocked / (1.0 - utilization * (1.0 - blocked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_probabilities_are_erlangs() {
        // One server: the utilization itself. Two at 75 %: 9/14, from textbooks.
        assert!((erlang_c(1.0, 0.6) - 0.6).abs() < 1e-12);
        assert!((erlang_c(2.0, 0.75) - 9.0 / 14.0).abs() < 1e-12);
        let between = erlang_c(1.5, 0.75);
        assert!(between < 0.75 && between > 9.0 / 14.0);
    }
}
