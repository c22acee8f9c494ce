//! Checks the timeline: the objects it names exist, and each entry takes effect within the run.

use super::{Checker, listed};
use cluster::resize::RESIZABLE;
use cluster::{Kind, Name, ObjectReference, Verbs};
use engine::SimDuration;
use engine::format_duration;
use faults::{ImageChange, ResizeChange, ScaleChange, TimelineAction};
use manifest::FieldPath;

/// Shortest period of a repeated action.
const EVERY_MIN: SimDuration = SimDuration::from_secs(1);
impl Checker<'_> {
    /// Checks `timeline`.
    pub(super) fn timeline(&mut self) {
        let list = FieldPath::ROOT.field("timeline");
        let scenario = &self.text.scenario;
        for (index, entry) in scenario.timeline.iter().enumerate() {
            let path = list.item(index);
            if entry.at >= scenario.duration {
                let [at, end] = [entry.at, scenario.duration].map(format_duration);
                self.warn(
                    &path.field("at"),
                    format!("{at} is not before the end of the run at {end}"),
                    "set an earlier time, or lengthen the run",
                );
            }
            if entry.every.is_some_and(|every| every < EVERY_MIN) {
                let shortest = format_duration(EVERY_MIN);
                let message = format!("this would repeat more often than every {shortest}");
                let help = "set a longer interval, such as 24h";
                self.error(&path.field("every"), message, help);
            }
            if entry.actor.is_some() && !entry.action.is_request() {
                let key = entry.action.key();
                let message = format!("{key} is a fault, not a request to the API server");
                let help = "remove `as`: RBAC applies to kubectl commands only";
                self.error(&path.field("as"), message, help);
            }
            self.action(&path, &entry.action);
        }
    }

    fn action(&mut self, path: &FieldPath, action: &TimelineAction) {
        use TimelineAction as A;
        let path = &path.field(action.key());
        let of_workload = &path.field("workload");
        match action {
            A::KillNode(node)
            | A::RecoverNode(node)
            | A::DisconnectNode(node)
            | A::NodeNotReady(node)
            | A::Cordon(node)
            | A::Uncordon(node)
            | A::OutOfService(node)
            | A::ScrapesFail(node)
            | A::ScrapesRecover(node) => self.node_exists(path, node),
            A::Drain(node) => {
                self.node_exists(path, node);
                self.drain_ends_pods(path);
            }
            A::RestartKubelet(restart) => self.node_exists(&path.field("node"), &restart.node),
            A::KillZone(zone) | A::RecoverZone(zone) => self.zone_exists(path, zone),
            A::KillBusiestNode(pool) => self.pool_exists(path, pool),
            A::ReclaimSpot(reclaim) => self.pool_exists(&path.field("pool"), &reclaim.pool),
            A::Maintain(maintenance) => self.pool_exists(&path.field("pool"), &maintenance.pool),
            A::StockOut(sold_out) => {
                if let Some(pool) = &sold_out.pool {
                    self.pool_exists(&path.field("pool"), pool);
                }
                if let Some(zone) = &sold_out.zone {
                    self.zone_exists(&path.field("zone"), zone);
                }
            }
            A::CrashContainer(crash) => self.workload_exists(of_workload, &crash.workload),
            A::Hang(outage) | A::FailReadiness(outage) => {
                self.workload_exists(of_workload, &outage.workload);
            }
            A::DeletePod(deletion) => {
                self.workload_exists(of_workload, &deletion.workload);
                if deletion.count == 0 {
                    self.error(&path.field("count"), "the number of pods is 0", "write 1 or more");
                }
            }
            A::SetImage(change) => self.image_change(path, change),
            A::Scale(change) => self.scale_change(path, change),
            A::Resize(change) => self.resize_change(path, change),
            A::RestartRollout(workload) => self.workload_of(path, workload, Verbs::ROLLOUT),
            A::PauseRollout(workload) | A::ResumeRollout(workload) => {
                self.workload_of(path, workload, Verbs::PAUSE);
            }
            A::PromoteRollout(promotion) => {
                self.workload_of(of_workload, &promotion.workload, Verbs::PROMOTE);
            }
            A::AbortRollout(workload) => self.workload_of(path, workload, Verbs::PROMOTE),
            A::Rollback(rollback) => {
                self.workload_of(of_workload, &rollback.workload, Verbs::ROLLOUT);
            }
            A::Patch(change) => self.patched(of_workload, &change.workload),
            A::Delete(object) => self.deleted(path, object),
            A::MetricDown(name) | A::MetricUp(name) => self.metric_exists(path, name),
            // A missing file is reported when it is read.
            A::Apply(_)
            | A::MetricsApiDown(_)
            | A::MetricsApiUp(_)
            | A::PauseScrapes(_)
            | A::ResumeScrapes(_) => {}
        }
    }

    fn patched(&mut self, path: &FieldPath, object: &ObjectReference) {
        if self.can_be(path, object, Verbs::PATCH) {
            self.object_exists(path, object);
        }
    }

    fn deleted(&mut self, path: &FieldPath, object: &ObjectReference) {
        if !self.can_be(path, object, Verbs::DELETE) {
            return;
        }
        match object.kind {
            Kind::Node => self.node_exists(path, &object.id.name),
            // StatefulSets create claims too.
            Kind::PersistentVolumeClaim => {}
            _ => self.object_exists(path, object),
        }
    }

    fn metric_exists(&mut self, path: &FieldPath, name: &Name) {
        let rules = &self.text.scenario.metrics.custom;
        if rules.iter().any(|rule| rule.name == *name) {
            return;
        }
        let known: Vec<&str> = rules.iter().map(|rule| &*rule.name).collect();
        let help = if known.is_empty() {
            "define it under `metrics.custom`".to_owned()
        } else {
            format!("`metrics.custom` has {}", known.join(", "))
        };
        self.error(path, format!("there is no metric {name}"), help);
    }

    fn scale_change(&mut self, path: &FieldPath, change: &ScaleChange) {
        self.workload_of(&path.field("workload"), &change.workload, Verbs::SCALE);
        if i32::try_from(change.replicas).is_err() {
            let message = format!("{} replicas exceed the range of Kubernetes", change.replicas);
            self.error(&path.field("replicas"), message, "write a smaller number");
        }
    }

    /// Warns of pods for which `kubectl drain` would require `--force`.
    fn drain_ends_pods(&mut self, path: &FieldPath) {
        let bare = self.ever.workloads.keys().find(|workload| workload.kind == Kind::Pod).cloned();
        if let Some(bare) = bare {
            self.warn(
                path,
                format!("if {bare} is on this node, it is evicted and not recreated: it has no controller"),
                "use a Deployment or a Job, or accept the loss, as kubectl does with --force",
            );
        }
    }

    pub(super) fn node_exists(&mut self, path: &FieldPath, node: &Name) {
        let pools = &self.text.scenario.cluster.node_pools;
        let is_of_pool = pools.iter().any(|pool| {
            let number = node.strip_prefix(&*pool.name).and_then(|rest| rest.strip_prefix('-'));
            number
                .filter(|digits| !digits.starts_with(['0', '+']))
                .and_then(|digits| digits.parse().ok())
                .is_some_and(|number: u32| (1..=pool.count.most()).contains(&number))
        });
        if is_of_pool || self.ever.nodes.contains_key(node) {
            return;
        }
        let of_pools = pools.iter().filter_map(|pool| {
            let ends = [pool.node_names().next(), pool.node_names().last()];
            let [first, last] = ends.map(Option::unwrap_or_default);
            match pool.count.at_start() {
                0 => None,
                1 => Some(first),
                _ => Some(format!("{first} to {last}")),
            }
        });
        let of_manifests = self.ever.nodes.keys().map(ToString::to_string);
        let help = listed("nodes", of_pools.chain(of_manifests));
        self.error(path, format!("the cluster has no node {node}"), help);
    }

    fn zone_exists(&mut self, path: &FieldPath, zone: &Name) {
        let karpenter = self.text.scenario.cluster.karpenter_settings();
        let pools = self.text.scenario.cluster.node_pools.iter();
        let mut zones: Vec<String> = pools
            .flat_map(|pool| &pool.zones)
            .chain(self.ever.nodes.values().flatten())
            .chain(self.has_node_pools().then_some(&karpenter.zones).into_iter().flatten())
            .map(ToString::to_string)
            .collect();
        zones.sort();
        zones.dedup();
        if !zones.iter().any(|known| **known == **zone) {
            let help = listed("zones", zones.into_iter());
            self.error(path, format!("no node is in the zone {zone}"), help);
        }
    }

    fn workload_of(&mut self, path: &FieldPath, workload: &ObjectReference, verb: Verbs) {
        if self.can_be(path, workload, verb) {
            self.workload_exists(path, workload);
        }
    }

    /// Checks that objects of this kind support the verb.
    fn can_be(&mut self, path: &FieldPath, object: &ObjectReference, verb: Verbs) -> bool {
        let can_be = object.kind.can(verb);
        if !can_be {
            let message = format!("a {} does not support this action", object.kind);
            let names: Vec<&str> = Kind::with(verb).map(Kind::name).collect();
            self.error(path, message, format!("name a {}", names.join(", ")));
        }
        can_be
    }

    fn object_exists(&mut self, path: &FieldPath, object: &ObjectReference) {
        if self.is_complete && !self.ever.objects.contains(object) {
            let of_kind = self.ever.objects.iter().filter(|known| known.kind == object.kind);
            let help = listed(
                &format!("objects of kind {}", object.kind),
                of_kind.map(ToString::to_string),
            );
            self.error(path, format!("no manifest has a {object}"), help);
        }
    }

    fn image_change(&mut self, path: &FieldPath, change: &ImageChange) {
        self.workload_of(&path.field("workload"), &change.workload, Verbs::SET_IMAGE);
        self.one_container(path, &change.workload, change.container.as_ref());
        if change.image.is_empty() {
            self.error(&path.field("image"), "the image is empty", "write the image with its tag");
        }
    }

    fn resize_change(&mut self, path: &FieldPath, change: &ResizeChange) {
        self.workload_exists(&path.field("workload"), &change.workload);
        self.one_container(path, &change.workload, change.container.as_ref());
        if change.count == Some(0) {
            self.error(&path.field("count"), "the number of pods is 0", "write 1 or more");
        }
        if change.requests.is_empty() && change.limits.is_empty() {
            let help = "set `requests`, `limits` or both, such as requests: {cpu: 500m}";
            self.error(path, "nothing is resized", help);
        }
        for (field, amounts) in [("requests", &change.requests), ("limits", &change.limits)] {
            for resource in amounts.keys().filter(|name| !RESIZABLE.contains(&name.as_str())) {
                let message = format!("{resource} cannot be resized");
                self.error(&path.field(field), message, "only cpu and memory can be resized");
            }
        }
    }

    /// Checks that the named container exists; without a name the pod must have exactly one.
    fn one_container(
        &mut self,
        path: &FieldPath,
        workload: &ObjectReference,
        container: Option<&Name>,
    ) {
        let Some(pods) = self.ever.workloads.get(workload) else { return };
        let names: Vec<String> = pods.containers.iter().map(|(name, _)| name.clone()).collect();
        match container {
            None if names.len() > 1 => self.error(
                path,
                format!("{workload} has {} containers", names.len()),
                format!("add `container`: {}", names.join(", ")),
            ),
            Some(container) if !names.iter().any(|name| **name == **container) => {
                let message = format!("{workload} has no container {container}");
                self.error(
                    &path.field("container"),
                    message,
                    listed("containers", names.into_iter()),
                );
            }
            _ => {}
        }
    }
}
