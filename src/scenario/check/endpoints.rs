//! Pods that are endpoints of a Service with requests, although the scenario does not say what a request costs them. In a
//! cluster they get their share of the requests.

use std::collections::BTreeSet;

use super::Checker;
use crate::workloads::Workload;
use cluster::{NamespacedName, ObjectReference, ServiceReference};
use manifest::FieldPath;

/// A workload whose requests are assumed to be as those of another behind the same Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumedRequests {
    /// The workload without `requests` in the scenario.
    pub workload: ObjectReference,
    /// The other one.
    pub like: ObjectReference,
}

impl Checker<'_> {
    /// Finds the workloads without `requests` that share a Service with others that have them, and says what is assumed.
    pub(super) fn endpoints(&mut self) {
        let services: Vec<NamespacedName> = self.ever.services.keys().cloned().collect();
        for service in services {
            if self.is_reached(&ServiceReference(service.clone())) {
                self.endpoints_of(&service);
            }
        }
    }

    fn endpoints_of(&mut self, service: &NamespacedName) {
        let rows = &self.text.scenario.workloads;
        let row = |workload: &ObjectReference| rows.iter().find(|row| row.workload == *workload);
        let is_described = |workload: &ObjectReference| {
            row(workload).is_some_and(|row| row.models().next().is_some())
        };
        // Pods of Jobs answer no requests.
        let behind = self.ever.workloads_behind(service).filter(|one| !one.kind.is_batch());
        let (described, others): (Vec<_>, Vec<_>) =
            behind.cloned().partition(|workload| is_described(workload));
        let Some(like) = described.first() else { return };
        let is_model = row(like).is_some_and(Workload::serves_language_model);
        for workload in others {
            if self.assumed_requests.iter().any(|known| known.workload == workload) {
                continue;
            }
            let message = format!(
                "the pods of {workload} are endpoints of the Service {service}, but the scenario does not say what a request costs them"
            );
            let path = FieldPath::ROOT.field("workloads");
            let leads_back = self.leads_to(like, &workload, &mut BTreeSet::default());
            let (consequence, help) = if is_model || leads_back {
                let help = "describe its `requests` there, or change the selector of the Service";
                ("they get none, and the other pods get their share".to_owned(), help)
            } else {
                let assumed = AssumedRequests { workload: workload.clone(), like: like.clone() };
                self.assumed_requests.push(assumed);
                (format!("assumed to be as with {like}"), "describe its `requests` there")
            };
            self.warn(&path, format!("{message}: {consequence}"), help);
        }
    }
}
