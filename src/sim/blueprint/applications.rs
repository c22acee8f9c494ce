//! The applications of a scenario's workloads: their profiles, request models, CPU loads and memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Blueprint;
use crate::world::{App, AppPlan, CpuLoadStep, SidecarUsage};
use cluster::{Name, NamespacedName, ObjectReference};
use engine::{SimDuration, SimTime};
use kubelet::AppProfile;
use manifest::{Diagnostics, read_manifests};
use scenario::AssumedRequests;
use scenario::inventory::Inventory;
use scenario::workloads::{ImageBehavior, Workload};
use traffic::{RequestModel, RequestModelId, RequestModelSpec, ServiceTraffic};
use units::{Bytes, MilliCpu, Quantity};

/// An application's memory settings in the scenario.
#[derive(Clone, Copy, Debug)]
struct MemoryUse {
    base: Option<Quantity>,
    per_request: Option<Quantity>,
    leak_per_hour: Option<Quantity>,
}

impl MemoryUse {
    const fn of(workload: &Workload) -> Self {
        Self {
            base: workload.memory,
            per_request: workload.memory_per_request,
            leak_per_hour: workload.memory_leak_per_hour,
        }
    }

    const fn with(image: &ImageBehavior) -> Self {
        Self {
            base: image.memory,
            per_request: image.memory_per_request,
            leak_per_hour: image.memory_leak_per_hour,
        }
    }
}

impl Blueprint<'_> {
    /// Adds the applications of a workload's pods, with their request models.
    pub(super) fn add_workload(&mut self, workload: &Workload, problems: &mut Diagnostics) {
        let field = format!("workloads[{}]", self.position_of(workload));
        let default = self.app(
            &workload.app,
            MemoryUse::of(workload),
            workload.requests.as_ref(),
            (&workload.workload, &field),
            problems,
        );
        let images = workload
            .images
            .iter()
            .map(|(image, behavior)| {
                let field = format!("{field}.images[{image}]");
                let app = self.app(
                    &behavior.app,
                    MemoryUse::with(behavior),
                    behavior.requests.as_ref(),
                    (&workload.workload, &field),
                    problems,
                );
                (image.clone(), Arc::new(app))
            })
            .collect();
        let containers = Arc::new(workload.containers.clone());
        let default = Arc::new(default);
        let plan = AppPlan { default, images, container: workload.container.clone(), containers };
        let plan = self.with_usage(plan, workload);
        self.apps.insert(workload.workload.clone(), plan);
    }

    /// Gives the pods of workloads the request models of others.
    pub(super) fn assume_requests(&mut self, assumed: &[AssumedRequests]) {
        for AssumedRequests { workload, like } in assumed {
            let requests = self.apps.get(like).and_then(|plan| {
                let mut apps = std::iter::once(&plan.default).chain(plan.images.values());
                apps.find_map(|app| app.requests)
            });
            let plan = self.apps.entry(workload.clone()).or_default();
            for app in plan.images.values_mut().chain([&mut plan.default]) {
                Arc::make_mut(app).requests = requests;
            }
        }
    }

    /// Adds the settings of a workload that do not depend on the image: CPU load, memory and sidecars.
    fn with_usage(&mut self, mut plan: AppPlan, workload: &Workload) -> AppPlan {
        let load = (!workload.cpu_load.is_empty())
            .then(|| u32::try_from(self.apps.len()).expect("fewer than 2^32 workloads"));
        self.cpu_loads.extend(workload.cpu_load.iter().filter_map(|step| {
            let demand_nano = step.cpu.milli_value().saturating_mul(1_000_000);
            Some(CpuLoadStep { at: SimTime::ZERO + step.at, load: load?, demand_nano })
        }));
        let usage = workload.sidecars.iter().map(|(name, sidecar)| {
            let memory = sidecar.memory.map(Bytes::from);
            (name.clone(), SidecarUsage { cpu: MilliCpu::from(sidecar.cpu), memory })
        });
        let others: Arc<BTreeMap<Name, SidecarUsage>> = Arc::new(usage.collect());
        for app in plan.images.values_mut().chain([&mut plan.default]) {
            let app = Arc::make_mut(app);
            app.container.clone_from(&workload.container);
            app.cpu_load = load;
            app.others = Arc::clone(&others);
        }
        plan
    }

    /// Sets the request classes of each service: those of the first workload behind it that has classes.
    pub(super) fn add_classes(&self, traffic: &mut [(NamespacedName, ServiceTraffic)]) {
        if !self.request_models.iter().any(RequestModel::has_classes) {
            return;
        }
        let files = &self.resolved.files;
        let mut inventory = Inventory::of(&files.manifests);
        let applied = files.applies.values().flatten().cloned().collect::<Vec<_>>();
        inventory.add(&read_manifests(&applied, &mut Diagnostics::default()));
        let has_classes = |id: &RequestModelId| {
            self.request_models.get(id.0 as usize).is_some_and(RequestModel::has_classes)
        };
        for (name, service) in traffic {
            let plans = inventory.workloads_behind(name).filter_map(|one| self.apps.get(one));
            let apps =
                plans.flat_map(|plan| std::iter::once(&plan.default).chain(plan.images.values()));
            service.model = apps.filter_map(|app| app.requests).find(has_classes);
        }
    }

    fn position_of(&self, workload: &Workload) -> usize {
        let workloads = &self.resolved.scenario().workloads;
        workloads.iter().position(|other| std::ptr::eq(other, workload)).unwrap_or_default()
    }

    fn app(
        &mut self,
        profile: &AppProfile,
        memory: MemoryUse,
        requests: Option<&RequestModelSpec>,
        (workload, field): (&ObjectReference, &str),
        problems: &mut Diagnostics,
    ) -> App {
        let MemoryUse { base, per_request, leak_per_hour } = memory;
        let mut app = App {
            profile: *profile,
            memory: base.map(Bytes::from),
            memory_per_request: per_request.map(Bytes::from).unwrap_or_default(),
            memory_leak_per_hour: leak_per_hour.map(Bytes::from).unwrap_or_default(),
            ..App::default()
        };
        let limited = requests.and_then(|spec| self.limited(workload, spec));
        if let Some(spec) = limited.as_ref().or(requests) {
            let load = spec.llm.as_ref().and_then(|llm| llm.load_time());
            app.profile.warm_up += load.unwrap_or(SimDuration::ZERO);
            let tokens = |path: &str| self.resolved.files.tokens(path);
            match spec.model_with(&format!("{field}.requests"), &tokens) {
                Ok(model) => {
                    let model = if self.has_proxy(workload) { model.with_proxy() } else { model };
                    let position = self.request_models.len();
                    let id =
                        u32::try_from(position).expect("a scenario has fewer than 2^32 models");
                    app.requests = Some(RequestModelId(id));
                    self.request_models.push(model);
                }
                Err(mistakes) => self.report(mistakes, problems),
            }
        }
        app
    }
}
