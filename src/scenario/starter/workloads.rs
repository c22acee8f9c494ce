//! The section `workloads` of a starter scenario.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use super::calls::Calls;
use super::yaml::scalar;
use super::{Models, Starter};
use crate::inventory::{Inventory, PodShape};
use cluster::ObjectReference;
use engine::{SimDuration, format_duration};

/// Guessed CPU time of a request.
const CPU_TIME: SimDuration = SimDuration::from_millis(20);
/// Minimum of that guess.
const CPU_TIME_MIN: SimDuration = SimDuration::from_millis(1);
/// A request takes at most this part of the quota of a period.
const QUOTA_SHARE: i64 = 4;
/// Period of CFS quotas.
const QUOTA_PERIOD: SimDuration = SimDuration::from_millis(100);

impl Starter<'_> {
    /// Writes the behaviour of each application, as far as it is known or guessed.
    pub(super) fn write_workloads(
        &self,
        out: &mut String,
        serving: &BTreeSet<&ObjectReference>,
        models: &Models<'_>,
        calls: &Calls<'_>,
    ) -> fmt::Result {
        out.write_str(
            "\n# Behaviour of the applications, which manifests do not contain.\nworkloads:",
        )?;
        let is_batch = |workload: &&ObjectReference| workload.kind.is_batch();
        let batch: Vec<_> = self.inventory.workloads.keys().filter(is_batch).collect();
        let (with_models, serving): (Vec<_>, Vec<_>) =
            serving.iter().copied().partition(|workload| models.contains_key(*workload));
        if with_models.is_empty() && serving.is_empty() && batch.is_empty() {
            return writeln!(out, " []      # no Service has pods behind it");
        }
        writeln!(out)?;
        for workload in &with_models {
            let (served, gpu) = &models[*workload];
            served.write(out, workload, gpu)?;
        }
        for (position, workload) in serving.into_iter().enumerate() {
            self.write_workload(out, workload, position == 0, models, calls)?;
        }
        write_batch(out, &batch, self.inventory)
    }

    /// Writes a workload that serves requests; comments are written only for the first.
    fn write_workload(
        &self,
        out: &mut String,
        workload: &ObjectReference,
        is_first: bool,
        models: &Models<'_>,
        calls: &Calls<'_>,
    ) -> fmt::Result {
        let shape = self.inventory.workloads.get(workload);
        let has_gates = shape.is_some_and(|shape| !shape.readiness_gates.is_empty());
        if is_first {
            write!(
                out,
                "\
\x20 - workload: {workload}
    app:
      imagePull: 10s         # GUESS: pulling the image on a node that does not have it
      start: 1s              # from the image to the running process
      warmUp: 5s             # GUESS: from the running process to readiness
      warmUpCpuMilli: 500    # GUESS: CPU used in that time, 1000 = one core
"
            )?;
            if has_gates {
                writeln!(
                    out,
                    "      readinessGates: 15s    # GUESS: time until a controller sets these conditions"
                )?;
            }
            write!(
                out,
                "    requests:
      concurrency: 32        # GUESS: requests that a pod processes at once (threads, workers)
      queue: 1000            # requests that wait in a pod; further ones are rejected
"
            )?;
        } else {
            let gates = if has_gates { ", readinessGates: 15s" } else { "" };
            writeln!(out, "  - workload: {workload}                 # GUESS, as above")?;
            writeln!(out, "    app: {{imagePull: 10s, warmUp: 5s, warmUpCpuMilli: 500{gates}}}")?;
            writeln!(out, "    requests:")?;
            writeln!(out, "      concurrency: 32")?;
            writeln!(out, "      queue: 1000")?;
        }
        if let Some(traced) = self.traced.of(workload) {
            return traced.write(out);
        }
        if is_first {
            writeln!(
                out,
                "      # GUESS: CPU time of one request. To measure: CPU seconds of the pods divided by the number of requests."
            )?;
        }
        let cpu_time = format_duration(guessed_cpu_time(shape));
        writeln!(out, "      cpuTime: {{distribution: lognormal, mean: {cpu_time}, cv: 1}}")?;
        if is_first {
            writeln!(
                out,
                "      # GUESS: time for which a request waits for others (database, upstream) without using CPU."
            )?;
        }
        writeln!(out, "      waitTime: {{distribution: exponential, mean: 30ms}}")?;
        calls.write(out, workload, models)
    }
}

/// Writes the run time of Jobs' pods and of each of their containers, which would otherwise never end.
fn write_batch(out: &mut String, batch: &[&ObjectReference], inventory: &Inventory) -> fmt::Result {
    for workload in batch {
        writeln!(out, "  - workload: {workload}")?;
        writeln!(out, "    app: {{runsFor: 5m}}    # GUESS: run time of one of its pods")?;
        let shape = inventory.workloads.get(*workload);
        let regular = shape.map_or(&[][..], |shape| {
            &shape.containers[..shape.regular_containers.min(shape.containers.len())]
        });
        let mut others = regular.iter().skip(1).peekable();
        if others.peek().is_some() {
            writeln!(out, "    containers:          # GUESS: the other containers end too")?;
        }
        for (name, _) in others {
            writeln!(out, "      {}: {{runsFor: 5m}}", scalar(name))?;
        }
    }
    Ok(())
}

/// Guessed CPU time of a request: [`CPU_TIME`], limited to a quarter of a CPU limit's quota in one CFS period. With more, the
/// pods would be throttled at the guessed traffic all the time, which their author would have noticed.
pub(super) fn guessed_cpu_time(shape: Option<&PodShape>) -> SimDuration {
    let limit = shape.and_then(|shape| shape.cpu_limit);
    let quota = limit.map(|limit| QUOTA_PERIOD / 1000 * limit.0);
    let most = quota.map(|quota| (quota / QUOTA_SHARE).max(CPU_TIME_MIN));
    most.map_or(CPU_TIME, |most| most.min(CPU_TIME))
}
