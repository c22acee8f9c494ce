//! Checks the calls between services: the callee must be able to answer, and calls must not form
//! cycles.

use std::collections::BTreeSet;

use super::{Checker, listed};
use crate::workloads::Workload;
use cluster::{NamespacedName, ObjectReference};
use manifest::FieldPath;
use traffic::{CallSpec, RequestClassSpec, RequestModelSpec};

impl Checker<'_> {
    /// Checks the calls of all workloads.
    pub(super) fn calls(&mut self) {
        let list = FieldPath::ROOT.field("workloads");
        for (index, workload) in self.text.scenario.workloads.iter().enumerate() {
            let path = list.item(index);
            self.calls_of(&path, workload, workload.requests.as_ref());
            let images = path.field("images");
            let others =
                workload.images.iter().filter(|(_, one)| one.requests != workload.requests);
            for (image, behavior) in others {
                self.calls_of(&images.key(image), workload, behavior.requests.as_ref());
            }
        }
    }

    fn calls_of(
        &mut self,
        path: &FieldPath,
        caller: &Workload,
        requests: Option<&RequestModelSpec>,
    ) {
        let requests_path = path.field("requests");
        let list = requests_path.field("calls");
        for (position, call) in requests.into_iter().flat_map(|model| &model.calls).enumerate() {
            self.call(&list.item(position), caller, call);
        }
        let classes = requests_path.field("classes");
        for (index, class) in requests.into_iter().flat_map(|model| &model.classes).enumerate() {
            let class_path = classes.item(index);
            let list = class_path.field("calls");
            for (position, call) in class.calls.iter().flatten().enumerate() {
                self.call(&list.item(position), caller, call);
            }
        }
    }

    fn call(&mut self, path: &FieldPath, caller: &Workload, call: &CallSpec) {
        let at = path.field("service");
        let service = &call.service.0;
        self.service_exists(&at, service);
        if !self.ever.services.contains_key(service) {
            return;
        }
        let behind: Vec<ObjectReference> = self.ever.workloads_behind(service).cloned().collect();
        let has_model = |one: &ObjectReference| {
            let described = self.text.scenario.workloads.iter();
            described.filter(|row| row.workload == *one).any(|row| row.requests.is_some())
        };
        if !behind.iter().any(has_model) {
            let workload =
                behind.first().map_or("Deployment/NAMESPACE/NAME".into(), ToString::to_string);
            self.error(
                &at,
                format!("the cost of a request to {service} is not set"),
                format!("add `workloads: [{{workload: {workload}, requests: {{cpuTime: 20ms}}}}]`"),
            );
        }
        if let Some(class) = &call.class {
            self.class_exists(&path.field("class"), service, class);
        }
        let mut seen = BTreeSet::new();
        if behind.iter().any(|one| self.leads_to(one, &caller.workload, &mut seen)) {
            self.error(
                &at,
                format!("the call leads back to {}, so it would never end", caller.workload),
                "remove one call of the cycle",
            );
        }
    }

    /// The classes of the requests to a service.
    pub(super) fn classes_of(&self, service: &NamespacedName) -> Vec<RequestClassSpec> {
        let behind: Vec<&ObjectReference> = self.ever.workloads_behind(service).collect();
        let described = self.text.scenario.workloads.iter();
        let models = described
            .filter(|row| behind.contains(&&row.workload))
            .flat_map(Workload::models)
            .flat_map(|model| &model.classes);
        models.cloned().collect()
    }

    /// Checks that the requests to a service have a class of this name.
    pub(super) fn class_exists(&mut self, path: &FieldPath, service: &NamespacedName, class: &str) {
        let classes = self.classes_of(service);
        let names: Vec<String> = classes.iter().map(|class| class.name.clone()).collect();
        if self.is_complete && !names.iter().any(|name| name == class) {
            let help = listed("classes of its requests", names.into_iter());
            self.error(path, format!("requests to {service} have no class {class}"), help);
        }
    }

    /// True if requests to the pods of a workload lead, through calls, to another workload.
    pub(super) fn leads_to(
        &self,
        from: &ObjectReference,
        to: &ObjectReference,
        seen: &mut BTreeSet<ObjectReference>,
    ) -> bool {
        if from == to {
            return true;
        }
        if !seen.insert(from.clone()) {
            return false;
        }
        let assumed = self.assumed_requests.iter().find(|assumed| assumed.workload == *from);
        let from = assumed.map_or(from, |assumed| &assumed.like);
        let described = self.text.scenario.workloads.iter().filter(|row| row.workload == *from);
        let called = described
            .flat_map(Workload::models)
            .flat_map(RequestModelSpec::all_calls)
            .map(|call| &call.service.0);
        let next: Vec<ObjectReference> =
            called.flat_map(|service| self.ever.workloads_behind(service)).cloned().collect();
        next.iter().any(|one| self.leads_to(one, to, seen))
    }
}
