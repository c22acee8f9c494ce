//! Carries out the scenario's timeline: dispatches each user or operator action, and each fault, to the part that
//! handles it.

use super::data_plane::DataPlane;
use super::draining::drain_node;
use super::environment::{Environment, node_reference};
use super::event::Event;
use super::metrics_pipeline::{set_metric_failing, set_metrics_api};
use super::outages::{self, disconnect_node, kill_node, make_not_ready, recover_node};
use super::resizing::resize_pods;
use super::simulation::Simulation;
use super::targets::{Identity, busiest_node, nodes_in_zone};
use cluster::node::{NodeId, OUT_OF_SERVICE_TAINT, Taint};
use cluster::pod_template::TaintEffect;
use cluster::{Action, Kind, Name, NamespacedName, ObjectReference};
use engine::{SimDuration, SimTime};
use faults::TimelineAction;
use manifest::{Diagnostics, Source, read_manifests};

impl Simulation {
    /// Carries out an entry of the timeline.
    pub(super) fn timeline(&mut self, entry: u32) {
        let world = std::sync::Arc::clone(&self.env.world);
        if let Some((at, step)) = world.timeline.get(entry as usize) {
            let before = world.timeline[..entry as usize].iter().rev();
            let before = before.take_while(|(other, _)| other == at).map(|(_, step)| &step.action);
            let identity = Identity::of(*at, &step.action, before);
            for (object, message) in &step.forbidden {
                self.env.warn("scenario", object, "Forbidden", message.clone());
            }
            // Of several objects that are applied each has its own request.
            if !step.forbidden.is_empty() && !matches!(step.action, TimelineAction::Apply(_)) {
                return;
            }
            self.carry_out(&step.action, &step.objects, identity);
        }
    }

    /// `kubectl apply` of manifests, now. Applies none of them if any has a mistake; a request that the API server
    /// refuses is logged as a Warning.
    pub fn apply(&mut self, manifests: &[Source]) -> Result<(), Diagnostics> {
        let mut problems = Diagnostics::default();
        let loaded = self.env.admitted_all(read_manifests(manifests, &mut problems));
        problems.append(loaded.diagnostics);
        if problems.has_errors() {
            return Err(problems);
        }
        for object in loaded.objects {
            self.env.apply_object(object.into_action());
        }
        self.follow();
        Ok(())
    }

    /// Carries out an interactive action now, as a timeline entry would; to apply files, use [`Self::apply`].
    pub fn intervene(&mut self, action: &TimelineAction) {
        let now = self.env.now;
        self.interventions.retain(|(at, _)| *at == now);
        let before = self.interventions.iter().map(|(_, action)| action);
        let identity = Identity::of(now, action, before);
        self.interventions.push((now, action.clone()));
        self.env.observers.note_event(now, Event::Timeline { entry: 0 });
        self.carry_out(action, &[], identity);
        self.follow();
        self.data_plane.wake_check_clock(&mut self.env, false);
    }

    /// Runs to the next whole millisecond at which no event is due, so that an interactive action then takes effect
    /// as a timeline entry would, which comes before all other events of its instant.
    pub fn advance_to_free_instant(&mut self) {
        let milli = SimDuration::from_millis(1).as_nanos();
        loop {
            let next = SimTime::from_nanos((self.env.now.as_nanos() / milli + 1) * milli);
            // Events before that are handled first, and may schedule further ones.
            self.run_until(SimTime::from_nanos(next.as_nanos() - 1));
            if self.next_time().is_none_or(|due| due > next) {
                return self.run_until(next);
            }
            self.run_until(next);
        }
    }

    fn carry_out(&mut self, action: &TimelineAction, objects: &[Action], identity: Identity) {
        self.env.observers.digest.word(identity.0);
        let Self { env, data_plane, metrics, machines, cloud, .. } = self;
        match action {
            TimelineAction::KillNode(name) => self.on_node(name, kill_node),
            TimelineAction::KillBusiestNode(pool) => kill_busiest_node(env, data_plane, pool),
            TimelineAction::RecoverNode(name) => self.on_node(name, recover_node),
            TimelineAction::KillZone(zone) => self.on_zone(zone, kill_node),
            TimelineAction::RecoverZone(zone) => self.on_zone(zone, recover_node),
            TimelineAction::Cordon(name) => set_unschedulable(env, name, true),
            TimelineAction::Uncordon(name) => set_unschedulable(env, name, false),
            TimelineAction::OutOfService(name) => take_out_of_service(env, name),
            TimelineAction::Drain(name) => self.on_node(name, |env, _, node| drain_node(env, node)),
            TimelineAction::DisconnectNode(name) => self.on_node(name, disconnect_node),
            TimelineAction::NodeNotReady(name) => {
                self.on_node(name, |env, _, node| make_not_ready(env, node));
            }
            TimelineAction::RestartKubelet(restart) => {
                if let Some(node) = env.node_or_warn(&restart.node) {
                    machines.stop_kubelet(env, data_plane, node, restart.down_for);
                }
            }
            TimelineAction::ReclaimSpot(reclaim) => {
                machines.reclaim_spot(env, data_plane, reclaim, identity);
            }
            TimelineAction::StockOut(sold_out) => cloud.run_short(env, sold_out),
            TimelineAction::Maintain(maintenance) => machines.begin_maintenance(env, maintenance),
            TimelineAction::CrashContainer(crash) => {
                outages::crash_containers(env, data_plane, crash, identity);
            }
            TimelineAction::Hang(outage) => outages::hang_pods(env, data_plane, outage, identity),
            TimelineAction::FailReadiness(outage) => {
                outages::make_unready(env, data_plane, outage, identity);
            }
            TimelineAction::DeletePod(deletion) => outages::delete_pods(env, deletion, identity),
            TimelineAction::SetImage(change) => env.set_image(change),
            TimelineAction::Scale(change) => env.scale(change),
            TimelineAction::Resize(change) => resize_pods(env, change, identity),
            TimelineAction::RestartRollout(workload) => env.restart_rollout(workload),
            TimelineAction::PauseRollout(workload) => env.pause_rollout(workload, true),
            TimelineAction::ResumeRollout(workload) => env.pause_rollout(workload, false),
            TimelineAction::PromoteRollout(promotion) => env.promote_rollout(promotion),
            TimelineAction::AbortRollout(workload) => env.abort_rollout(workload),
            TimelineAction::Rollback(rollback) => env.roll_back(rollback),
            TimelineAction::Apply(file) => {
                env.emit_event(
                    "scenario",
                    &file_reference(file),
                    "Applied",
                    format!("applied {file}"),
                );
                for action in objects {
                    env.apply_object(action.clone());
                }
            }
            TimelineAction::Patch(change) => env.patch(change),
            TimelineAction::Delete(object) => env.delete_object(data_plane, object),
            TimelineAction::MetricsApiDown(api) => set_metrics_api(env, *api, false),
            TimelineAction::MetricsApiUp(api) => set_metrics_api(env, *api, true),
            TimelineAction::MetricDown(name) => set_metric_failing(env, name, true),
            TimelineAction::MetricUp(name) => set_metric_failing(env, name, false),
            TimelineAction::PauseScrapes(scraper) => metrics.pause(env, *scraper, true),
            TimelineAction::ResumeScrapes(scraper) => metrics.pause(env, *scraper, false),
            TimelineAction::ScrapesFail(name) => {
                if let Some(node) = env.node_or_warn(name) {
                    metrics.set_scrapes(node, false);
                }
                let message = format!("metrics-server cannot scrape {name}");
                env.emit_event("scenario", &node_reference(name), "ScrapesFail", message);
            }
            TimelineAction::ScrapesRecover(name) => {
                if let Some(node) = env.node_or_warn(name) {
                    metrics.set_scrapes(node, true);
                }
                let message = format!("metrics-server scrapes {name} again");
                env.emit_event("scenario", &node_reference(name), "ScrapesRecover", message);
            }
        }
    }

    fn on_node(&mut self, name: &str, act: impl FnOnce(&mut Environment, &mut DataPlane, NodeId)) {
        if let Some(node) = self.env.node_or_warn(name) {
            act(&mut self.env, &mut self.data_plane, node);
        }
    }

    fn on_zone(&mut self, zone: &str, act: impl Fn(&mut Environment, &mut DataPlane, NodeId)) {
        for node in nodes_in_zone(self.env.store(), zone) {
            act(&mut self.env, &mut self.data_plane, node);
        }
    }
}

fn kill_busiest_node(env: &mut Environment, data_plane: &mut DataPlane, pool: &Name) {
    if let Some(node) = busiest_node(env.store(), pool) {
        kill_node(env, data_plane, node);
    } else {
        let message = format!("pool {pool} has no node that works");
        env.warn("scenario", &node_reference(pool), "NotFound", message);
    }
}

/// `kubectl cordon` and `kubectl uncordon`.
fn set_unschedulable(env: &mut Environment, node: &str, is_unschedulable: bool) {
    if let Some(node) = env.node_or_warn(node) {
        env.act("user", Action::SetNodeUnschedulable(node, is_unschedulable));
    }
}

fn take_out_of_service(env: &mut Environment, name: &str) {
    let Some(node) = env.node_or_warn(name) else { return };
    let mut taints = env.store().nodes().get(node).map_or_else(Vec::new, |one| one.taints.clone());
    taints.retain(|taint| *taint.key != *OUT_OF_SERVICE_TAINT);
    taints.push(Taint {
        key: OUT_OF_SERVICE_TAINT.into(),
        value: "nodeshutdown".into(),
        effect: TaintEffect::NoExecute,
        time_added: Some(env.now.floor_to_second()),
    });
    env.act("user", Action::SetNodeTaints(node, taints));
}

fn file_reference(file: &str) -> ObjectReference {
    ObjectReference { kind: Kind::File, id: NamespacedName::new("", file) }
}
