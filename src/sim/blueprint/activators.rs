//! Knative's part in the requests to a revision: the activator before its Service, and the limit of concurrency that
//! `queue-proxy` enforces in its pods.

use super::Blueprint;
use cluster::pod_autoscaler::PodAutoscalerSpec;
use cluster::{Action, AnySpec, Kind, Name, NamespacedName, ObjectReference};
use manifest::Diagnostics;
use traffic::{
    ActivatorPolicy, ArrivalProcess, Problem, RequestModelSpec, ServicePolicy, ServiceTraffic, Via,
};

/// Requests that `queue-proxy` queues for each that it lets into the container.
const QUEUED_PER_SLOT: u32 = 10;

impl Blueprint<'_> {
    /// Puts an activator before the Services of revisions. They are reached by a gateway, as Knative's ingresses are.
    pub(super) fn add_activators(&self, traffic: &mut [(NamespacedName, ServiceTraffic)]) {
        for (namespace, spec) in self.revisions() {
            let service = NamespacedName::new(namespace.clone(), spec.service.clone());
            let Some((_, row)) = traffic.iter_mut().find(|(name, _)| *name == service) else {
                continue;
            };
            let known = &row.policy;
            let via = if known.via == Via::KubeProxy { Via::Gateway } else { known.via };
            let balancer = if known.is_stated { known.balancer } else { via.usual() };
            let activator =
                Some(ActivatorPolicy { container_concurrency: spec.container_concurrency });
            row.policy = ServicePolicy { via, balancer, activator, ..row.policy.clone() };
        }
    }

    /// Reports traffic that cannot wait in an activator.
    pub(super) fn check_activators(&self, problems: &mut Diagnostics) {
        let scenario = self.resolved.scenario();
        let is_of_revision = |service: &NamespacedName| {
            let mut all = self.revisions();
            all.any(|(namespace, spec)| {
                (namespace, &spec.service) == (&service.namespace, &service.name)
            })
        };
        let mistake = |path: String, message: &str| Problem { path, message: message.to_owned() };
        let mut mistakes = Vec::new();
        for (position, spec) in scenario.traffic.iter().enumerate() {
            if spec.arrivals == Some(ArrivalProcess::Fluid) && is_of_revision(&spec.service.0) {
                let path = format!("traffic[{position}].arrivals");
                mistakes.push(mistake(
                    path,
                    "fluid traffic cannot wait in Knative's activator; remove `arrivals`",
                ));
            }
        }
        for (position, spec) in scenario.services.iter().enumerate() {
            if spec.work_queue && is_of_revision(&spec.service.0) {
                let path = format!("services[{position}].workQueue");
                mistakes.push(mistake(
                    path,
                    "the activator and queue-proxy of a Knative Service queue its requests; remove this",
                ));
            }
        }
        self.report(mistakes, problems);
    }

    /// The request model of a workload's pods behind `queue-proxy`, if a revision limits its concurrency: requests beyond
    /// the limit wait, up to ten for each in the container.
    pub(super) fn limited(
        &self,
        workload: &ObjectReference,
        spec: &RequestModelSpec,
    ) -> Option<RequestModelSpec> {
        let is_target = |(namespace, spec): &(&Name, &PodAutoscalerSpec)| {
            workload.kind == Kind::Deployment
                && **namespace == workload.id.namespace
                && spec.scale_target == workload.id.name
        };
        let limit = self.revisions().find(is_target)?.1.container_concurrency;
        if limit == 0 || spec.llm.is_some() {
            return None;
        }
        let in_container = limit.saturating_sub(spec.concurrency).min(spec.queue);
        let queue = limit.saturating_mul(QUEUED_PER_SLOT).saturating_add(in_container);
        let concurrency = spec.concurrency.min(limit);
        Some(RequestModelSpec { concurrency, queue, ..spec.clone() })
    }

    /// The PodAutoscalers of the manifests and of the timeline, each with its namespace.
    fn revisions(&self) -> impl Iterator<Item = (&Name, &PodAutoscalerSpec)> {
        let later = self.timeline.iter().flat_map(|(_, step)| &step.objects);
        self.objects.iter().chain(later).filter_map(|action| match action {
            Action::Apply(meta, AnySpec::PodAutoscaler(spec)) => Some((meta.namespace(), &**spec)),
            _ => None,
        })
    }
}
