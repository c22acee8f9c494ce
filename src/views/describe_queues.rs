//! `kubectl describe` of the queues of Kueue: custom resources, for which kubectl prints all fields as they are; this
//! lists the relevant ones.

use super::describe::{labels, names};
use super::get::Snapshot;
use super::page::{Page, line};
use cluster::NamespacedName;
use cluster::kueue::{ClusterQueue, LocalQueue, QueueStatus};
use units::Quantity;

pub(super) fn cluster_queue(
    snapshot: Snapshot<'_>,
    id: &NamespacedName,
    page: &mut Page,
) -> Option<()> {
    let queue = snapshot.view.store().find::<ClusterQueue>(id)?;
    let spec = &queue.spec;
    names(id, page);
    labels(&queue.meta, page);
    line!(page, 0, "API Version:\tkueue.x-k8s.io/v1beta2");
    line!(page, 0, "Kind:\tClusterQueue");
    line!(page, 0, "Spec:");
    if let Some(cohort) = &spec.cohort {
        line!(page, 1, "Cohort Name:\t{cohort}");
    }
    let strategy = if spec.is_strict { "StrictFIFO" } else { "BestEffortFIFO" };
    line!(page, 1, "Queueing Strategy:\t{strategy}");
    line!(page, 1, "Resource Groups:");
    for group in &spec.groups {
        line!(page, 2, "Flavors:");
        for flavor in &group.flavors {
            line!(page, 3, "Name:\t{}", flavor.flavor);
            line!(page, 3, "Resources:");
            for (resource, quota) in &flavor.quotas {
                let amount = Quantity::from_milli(quota.nominal_milli);
                line!(page, 4, "Name:\t{resource}");
                line!(page, 4, "Nominal Quota:\t{amount}");
            }
        }
    }
    status(queue.status, page);
    Some(())
}

pub(super) fn local_queue(
    snapshot: Snapshot<'_>,
    id: &NamespacedName,
    page: &mut Page,
) -> Option<()> {
    let queue = snapshot.view.store().find::<LocalQueue>(id)?;
    names(id, page);
    labels(&queue.meta, page);
    line!(page, 0, "API Version:\tkueue.x-k8s.io/v1beta2");
    line!(page, 0, "Kind:\tLocalQueue");
    line!(page, 0, "Spec:");
    line!(page, 1, "Cluster Queue:\t{}", queue.spec.cluster_queue);
    status(queue.status, page);
    Some(())
}

fn status(QueueStatus { pending, admitted }: QueueStatus, page: &mut Page) {
    line!(page, 0, "Status:");
    line!(page, 1, "Admitted Workloads:\t{admitted}");
    line!(page, 1, "Pending Workloads:\t{pending}");
}
