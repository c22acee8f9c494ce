//! Knative's revisions between control plane and traffic: puts the activator into the path of their requests as the
//! PodAutoscalers say it, and sends the autoscaler the statistics of these requests once a second.

use std::collections::BTreeSet;

use super::endpoints::traffic_id;
use super::environment::Environment;
use super::event::Event;
use cluster::pod_autoscaler::{PodAutoscaler, PodAutoscalerId, RevisionReport, ServerlessMode};
use cluster::service::Service;
use cluster::{Action, NamespacedName};
use engine::SimDuration;
use traffic::{ServiceId, Traffic};

/// Time between two reports of activators and queue-proxies (`reportInterval`, `scrapeTickInterval`).
const REPORT_INTERVAL: SimDuration = SimDuration::from_secs(1);

/// The revisions with a PodAutoscaler.
#[derive(Clone, Debug, Default)]
pub(super) struct Revisions {
    /// Whether the next report is planned.
    is_reporting: bool,
    /// Revisions whose first request was reported when it came, so that the next report leaves it out.
    announced: BTreeSet<PodAutoscalerId>,
}

impl Revisions {
    /// A PodAutoscaler was written.
    pub(super) fn changed(
        &mut self,
        env: &mut Environment,
        traffic: &mut Traffic,
        id: PodAutoscalerId,
    ) {
        let Some(object) = env.store().pod_autoscalers().get(id) else { return };
        if let Some(service) = service_of(env, object) {
            let is_in_path = object.status.mode == ServerlessMode::Proxy;
            traffic.set_activator(env.now, service, is_in_path, object.status.is_dormant());
        }
        if !self.is_reporting {
            self.is_reporting = true;
            env.enter(env.now + REPORT_INTERVAL, Event::RevisionReports);
        }
    }

    /// Sends the statistics of the last second.
    pub(super) fn report(&mut self, env: &mut Environment, traffic: &mut Traffic) {
        env.enter(env.now + REPORT_INTERVAL, Event::RevisionReports);
        let announced = std::mem::take(&mut self.announced);
        let seconds = REPORT_INTERVAL.as_secs_f64();
        let mut reports = Vec::new();
        for (id, object) in env.store().pod_autoscalers().iter() {
            let activity = service_of(env, object)
                .and_then(|service| traffic.take_activity(env.now, service))
                .unwrap_or_default();
            // Without ready pods there is nothing to scrape, and an idle activator sends nothing.
            let is_scraped =
                object.spec.target_burst_capacity >= 0.0 && has_ready_pods(env, object);
            if !is_scraped && activity.arrived == 0 && activity.in_progress == SimDuration::ZERO {
                continue;
            }
            let known = if announced.contains(&id) { 1.0 } else { 0.0 };
            let concurrency = activity.in_progress.as_secs_f64() / seconds;
            let report = RevisionReport {
                at: env.now,
                concurrency: (concurrency - known).max(0.0),
                requests: activity.arrived as f64 - known,
            };
            reports.push((id, report));
        }
        if !reports.is_empty() {
            env.act("activator", Action::ReportRevisions(reports));
        }
    }

    /// The activator notifies the autoscaler at once when a revision without pods gets a request.
    pub(super) fn activate(&mut self, env: &mut Environment, services: &[ServiceId]) {
        let mut reports = Vec::new();
        for (id, object) in env.store().pod_autoscalers().iter() {
            if service_of(env, object).is_some_and(|service| services.contains(&service)) {
                self.announced.insert(id);
                let report = RevisionReport { at: env.now, concurrency: 1.0, requests: 1.0 };
                reports.push((id, report));
            }
        }
        env.act("activator", Action::ReportRevisions(reports));
    }
}

/// The position in the traffic of the Service through which a revision gets its requests.
fn service_of(env: &Environment, object: &PodAutoscaler) -> Option<ServiceId> {
    env.world.traffic_position(&name_of(object)).map(traffic_id)
}

fn has_ready_pods(env: &Environment, object: &PodAutoscaler) -> bool {
    let service = env.store().find::<Service>(&name_of(object));
    service.is_some_and(|service| service.endpoints.iter().any(|one| one.ready))
}

fn name_of(object: &PodAutoscaler) -> NamespacedName {
    NamespacedName::new(object.meta.namespace().clone(), object.spec.service.clone())
}
