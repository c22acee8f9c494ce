//! Requests to hosts and paths: whether a rule of the manifests brings them to somebody who answers.

use std::collections::BTreeSet;

use super::{Checker, listed};
use crate::resolved::ScenarioFiles;
use crate::{Routing, missing_services};
use cluster::{NamespacedName, ServiceReference};
use manifest::{Diagnostics, FieldPath, Source, read_manifests};
use traffic::ArrivalProcess;

impl Checker<'_> {
    /// The requests that come by Ingresses and HTTPRoutes.
    pub(super) fn ingress(&mut self, files: &ScenarioFiles) {
        let list = FieldPath::ROOT.field("ingress");
        for (index, entrance) in self.text.scenario.ingress.iter().enumerate() {
            let path = list.item(index);
            let rule = self.at_start.routing.find(&entrance.host, &entrance.path).cloned();
            let Some(rule) = rule else {
                let known = listed("hosts and paths", self.at_start.routing.known());
                let message = format!("no Ingress or HTTPRoute has a rule for {}", entrance.url());
                self.error(&path.field("host"), message, known);
                continue;
            };
            let nobody = ServiceReference(NamespacedName::new("", ""));
            let spec = entrance.as_traffic(&nobody);
            self.settings(&path, &spec, files);
            self.report(entrance.problems(&path.to_string()));
            if entrance.load.has_users() {
                let message = "users who wait for their answers ask one Service";
                self.error(&path.field("load"), message, "put them under `traffic`");
            }
            if rule.backends.iter().all(|backend| backend.weight == 0) {
                let message = format!("{} sends {} nowhere", rule.object, entrance.url());
                self.error(&path.field("host"), message, "give a backend a weight above 0");
            }
            let later = self.ever.routing.candidates(&entrance.host, &entrance.path);
            let backends = later.into_iter().chain([&rule]).flat_map(|rule| &rule.backends);
            let services: BTreeSet<NamespacedName> =
                backends.map(|backend| backend.service.clone()).collect();
            for service in &services {
                self.service_exists(&path.field("host"), service);
                self.somebody_answers(&path.field("host"), service);
                self.does_not_flow(&path.field("host"), service);
            }
        }
    }

    /// Backends whose Service no manifest has. That of a rule by which requests come is an error already.
    pub(super) fn backends(&mut self, files: &ScenarioFiles) {
        if !self.is_complete {
            return;
        }
        let scenario = &self.text.scenario;
        let find = |routing: &Routing| {
            let rules =
                scenario.ingress.iter().filter_map(|one| routing.find(&one.host, &one.path));
            rules.flat_map(|rule| &rule.backends).map(|one| one.service.clone()).collect()
        };
        let reached: BTreeSet<NamespacedName> = find(&self.ever.routing);
        let known = &self.ever.services;
        let missing = missing_services(&self.ever.routing, |service| known.contains_key(service));
        let missing: Vec<_> =
            missing.into_iter().filter(|one| !reached.contains(&one.service)).collect();
        if missing.is_empty() {
            return;
        }
        // What else is wrong with the manifests is told where they are admitted.
        let sources = files.manifests.iter().chain(files.applies.values().flatten());
        let sources: Vec<Source> = sources.cloned().collect();
        let manifests = read_manifests(&sources, &mut Diagnostics::default());
        for one in missing {
            let object = manifests.iter().find(|manifest| manifest.reference == one.object);
            if let Some(manifest) = object {
                self.problems.push(one.diagnostic(manifest));
            }
        }
    }

    /// The pods of a service to which requests come one by one must have no flow to answer too.
    fn does_not_flow(&mut self, path: &FieldPath, service: &NamespacedName) {
        let behind: Vec<_> = self.ever.workloads_behind(service).collect();
        let flow = self.text.scenario.traffic.iter().find(|flow| {
            flow.arrivals == Some(ArrivalProcess::Fluid)
                && self.ever.workloads_behind(&flow.service.0).any(|one| behind.contains(&one))
        });
        if let Some(flow) = flow {
            let message =
                format!("{service} has pods that `arrivals: fluid` of {} keeps", flow.service);
            self.error(path, message, "leave `arrivals` out there");
        }
    }
}
