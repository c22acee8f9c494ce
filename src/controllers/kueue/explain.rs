//! The last decisions about a ClusterQueue in words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::KueueController;
use super::cycle::{Admitted, Decisions, Setup};
use super::quota::Quotas;
use super::workload::{Workload, WorkloadId};
use cluster::kueue::ClusterQueueSpec;
use cluster::{ClusterView, Name};
use units::Quantity;

impl KueueController {
    /// Keeps the explanation of each ClusterQueue.
    pub(super) fn remember(
        &mut self,
        view: ClusterView<'_>,
        setup: &Setup<'_>,
        (by_id, admitted): (&BTreeMap<WorkloadId, &Workload<'_>>, &[Admitted]),
        waiting: &[(WorkloadId, Name)],
        decisions: &Decisions,
    ) {
        let mut quotas = Quotas::default();
        for (name, spec) in &setup.queues {
            quotas.add_queue(name.clone(), spec);
        }
        for one in admitted {
            quotas.add(&one.queue, &one.usage);
        }
        let queues = view.store().cluster_queues();
        self.last.retain(|id, _| queues.contains(*id));
        for (id, queue) in queues.iter() {
            let name = queue.meta.name();
            let mut text = format!("at {}: {}\n", view.now, title(name, &queue.spec));
            of_quotas(&mut text, name, &queue.spec, &quotas);
            let label = |id: WorkloadId| by_id.get(&id).map_or("", |one| &*one.label);
            for (job, one) in self.admissions.iter().filter(|(_, one)| one.queue == *name) {
                let flavors = one.flavors.values().flat_map(BTreeMap::values);
                let mut flavors: Vec<&str> = flavors.map(AsRef::as_ref).collect();
                flavors.sort_unstable();
                flavors.dedup();
                let course = if one.is_evicted { "preempted, ends" } else { "admitted" };
                let (job, flavors) = (label(*job), flavors.join(", "));
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{course}: {job} since {} ({flavors})", one.since);
            }
            for (job, _) in waiting.iter().filter(|(_, of)| of == name) {
                if let Some(why) = decisions.waits.get(job) {
                    let _ = writeln!(text, "pending: {}: {why}", label(*job));
                }
            }
            self.last.insert(id, text);
        }
    }
}

fn title(name: &Name, spec: &ClusterQueueSpec) -> String {
    let strategy = if spec.is_strict { "StrictFIFO" } else { "BestEffortFIFO" };
    match &spec.cohort {
        Some(cohort) => format!("ClusterQueue {name} of cohort {cohort}, {strategy}"),
        None => format!("ClusterQueue {name}, {strategy}"),
    }
}

fn of_quotas(text: &mut String, name: &Name, spec: &ClusterQueueSpec, quotas: &Quotas) {
    let amount = |milli: i64| Quantity::from_milli(milli).to_string();
    for flavor in spec.groups.iter().flat_map(|group| &group.flavors) {
        for (resource, quota) in &flavor.quotas {
            let key = (flavor.flavor.clone(), resource.clone());
            let (_, used) = quotas.of(name, &key);
            let _ = writeln!(
                text,
                "flavor {}: {resource} {} used of {}, {} available",
                flavor.flavor,
                amount(used),
                amount(quota.nominal_milli),
                amount(quotas.available(name, &key).max(0))
            );
        }
    }
}
