//! The shared state of all parts of a simulation: the clock, the control plane, the event queue, and the recorder.

use std::sync::Arc;

use super::control_plane::{ControlPlane, ControlPlaneSettings};
use super::event::Event;
use super::observers::Observers;
use super::world::World;
use cluster::action::Event as KubernetesEvent;
use cluster::node::NodeId;
use cluster::{Action, ClusterView, Kind, NamespacedName, ObjectReference, Refused, Store};
use controllers::attach_detach::AttachDetachSettings;
use controllers::{Controller, ControllerSettings};
use engine::{EventQueue, SimDuration, SimTime, Streams};
use record::Recorder;

/// The clock of a simulation, its control plane, its event queue and its observers.
#[derive(Clone, Debug)]
pub(super) struct Environment {
    pub(super) world: Arc<World>,
    pub(super) now: SimTime,
    pub(super) plane: ControlPlane,
    /// Pending events.
    pub(super) queue: EventQueue<Event>,
    pub(super) observers: Observers,
}

impl Environment {
    /// The environment at the start of a run: a control plane without objects, with `further` controllers next to
    /// its own.
    pub(super) fn new(world: Arc<World>, further: Vec<Box<dyn Controller>>) -> Self {
        let mut settings = ControllerSettings {
            attach_detach: AttachDetachSettings {
                attach: world.timing.volumes.attach,
                detach: world.timing.volumes.detach,
                report_period: world.timing.kubelet.node_status_update_frequency,
            },
            ..world.controllers.clone()
        };
        settings.hpa.reads = world.timing.controller_client;
        let mut controllers = controllers::all(&settings, world.timing.watch);
        controllers.extend(further);
        let plane = ControlPlane::new(
            Store::new(Streams::new(world.seed))
                .starting_at(world.controllers.start)
                .with_injector(world.mesh.as_ref().map(|(injector, _)| injector.clone()))
                .with_local_disks(world.has_local_disks),
            controllers,
            ControlPlaneSettings {
                watch_latency: world.timing.watch,
                client_rate: world.timing.controller_client,
                // On a machine of its own the control plane answers at once.
                write_time: if world.timing.kubelet.shared_cores.is_some() {
                    world.timing.watch
                } else {
                    SimDuration::ZERO
                },
            },
            world.begin,
        );
        Self {
            now: world.begin,
            world,
            plane,
            queue: EventQueue::default(),
            observers: Observers::default(),
        }
    }

    /// Read access to the objects.
    pub(super) const fn store(&self) -> &Store {
        self.plane.store()
    }

    /// The cluster at the current time.
    pub(super) const fn view(&self) -> ClusterView<'_> {
        self.plane.view(self.now)
    }

    /// The recorder, and the cluster at the current time.
    pub(super) const fn recorder_and_view(&mut self) -> (&mut Recorder, ClusterView<'_>) {
        (&mut self.observers.recorder, self.plane.view(self.now))
    }

    /// Carries out one action of a client other than the controllers. A refusal is only logged.
    pub(super) fn act(&mut self, actor: &'static str, action: Action) {
        // The refusal is in the log, and the caller does not depend on the result.
        let _ = self.try_act(actor, action);
    }

    /// Carries out one action of a client other than the controllers, and returns the API server's answer.
    pub(super) fn try_act(&mut self, actor: &'static str, action: Action) -> Result<(), Refused> {
        self.plane.act(self.now, actor, action, &mut self.observers.journal)
    }

    /// Schedules an event; a time in the past means now.
    pub(super) fn enter(&mut self, at: SimTime, event: Event) {
        self.queue.push(at.max(self.now), event.lane(), event);
    }

    /// Logs an Event of type Normal about an object.
    pub(super) fn emit_event(
        &mut self,
        actor: &'static str,
        object: &ObjectReference,
        reason: &'static str,
        message: String,
    ) {
        self.log(actor, object, false, reason, message);
    }

    /// Logs an Event of type Warning about an object.
    pub(super) fn warn(
        &mut self,
        actor: &'static str,
        object: &ObjectReference,
        reason: &'static str,
        message: String,
    ) {
        self.log(actor, object, true, reason, message);
    }

    /// Logs that the object of a request does not exist.
    pub(super) fn not_found(&mut self, object: &ObjectReference) {
        let message = format!("{object} does not exist at this time: no effect");
        self.warn("scenario", object, "NotFound", message);
    }

    /// The node of this name; a missing one is logged.
    pub(super) fn node_or_warn(&mut self, name: &str) -> Option<NodeId> {
        let node = self.store().node_named(name);
        if node.is_none() {
            self.not_found(&node_reference(name));
        }
        node
    }

    fn log(
        &mut self,
        actor: &'static str,
        object: &ObjectReference,
        is_warning: bool,
        reason: &'static str,
        message: String,
    ) {
        let kind = object.kind;
        let event =
            KubernetesEvent { kind, object: object.id.clone(), is_warning, reason, message };
        self.act(actor, Action::Event(Box::new(event)));
    }
}

/// Reference to a node, for log entries about it.
pub(super) fn node_reference(name: &str) -> ObjectReference {
    ObjectReference { kind: Kind::Node, id: NamespacedName::new("", name) }
}
