//! RBAC for timeline entries with `as`: the requests that kubectl would send, and those that the API server forbids.

use cluster::{Action, Kind, ObjectReference};
use faults::{Promotion, TimelineAction};
use manifest::rights::{Request, Rights, Target, User};
use manifest::{Diagnostics, Manifest, Source, read_manifests};

/// The manifests present at a point of the timeline, which hold its Roles and bindings.
#[derive(Default)]
pub(super) struct Actors {
    present: Vec<Manifest>,
}

/// Forbidden requests: the object, and the API server's message.
pub(super) type Refusals = Vec<(ObjectReference, String)>;

impl Actors {
    pub(super) fn new(sources: &[Source]) -> Self {
        Self { present: read_manifests(sources, &mut Diagnostics::default()) }
    }

    /// The requests of an action that are forbidden to `actor`; `applied` are the manifests of an `apply`. Everything that
    /// is not forbidden takes effect for later entries.
    pub(super) fn take(
        &mut self,
        actor: Option<&str>,
        action: &TimelineAction,
        applied: &[Source],
    ) -> Refusals {
        let mut refused = Refusals::new();
        let applied = read_manifests(applied, &mut Diagnostics::default());
        if let Some(actor) = actor {
            let user = User::named(actor, &[]);
            let rights = Rights::of(&self.present).unwrap_or_default();
            let mut asked: Vec<(ObjectReference, Request)> = requests(action);
            asked.extend(applied.iter().flat_map(|one| self.apply_requests(&one.reference)));
            for (object, request) in asked {
                let is_new = refused.iter().all(|(other, _)| *other != object);
                if let Some(message) = rights.forbidden(&user, &request).filter(|_| is_new) {
                    refused.push((object, message));
                }
            }
        }
        let is_refused = |one: &ObjectReference| refused.iter().any(|(object, _)| object == one);
        if let TimelineAction::Delete(object) = action
            && !is_refused(object)
        {
            self.present.retain(|one| one.reference != *object);
        }
        for one in applied.into_iter().filter(|one| !is_refused(&one.reference)) {
            self.present.retain(|other| other.reference != one.reference);
            self.present.push(one);
        }
        refused
    }

    /// `kubectl apply` gets an object, then creates or patches it.
    fn apply_requests(&self, object: &ObjectReference) -> [(ObjectReference, Request); 2] {
        let is_there = self.present.iter().any(|one| one.reference == *object);
        let write = if is_there { on(object, "patch") } else { create(object) };
        [(object.clone(), on(object, "get")), (object.clone(), write)]
    }
}

/// True if the action writes an object whose request was forbidden.
pub(super) fn is_refused(action: &Action, refused: &[(ObjectReference, String)]) -> bool {
    let Action::Apply(meta, spec) = action else { return false };
    refused.iter().any(|(object, _)| object.kind == spec.kind() && object.id == meta.id)
}

/// The requests that kubectl 1.36 sends for an action, up to the write (recorded with `-v=8`, without discovery). Those of
/// `kubectl apply` depend on the objects present: see `apply_requests`.
fn requests(action: &TimelineAction) -> Vec<(ObjectReference, Request)> {
    let node = |name: &cluster::Name| ObjectReference::new(Kind::Node, "", name.clone());
    let changed = |object: &ObjectReference| vec![on(object, "get"), on(object, "patch")];
    let pods = |namespace: &str, verb: &str, part: &str| of_kind(Kind::Pod, namespace, verb, part);
    let (object, requests) = match action {
        TimelineAction::Cordon(name)
        | TimelineAction::Uncordon(name)
        | TimelineAction::OutOfService(name) => {
            let node = node(name);
            (node.clone(), changed(&node))
        }
        TimelineAction::Drain(name) => {
            let node = node(name);
            let mut all = changed(&node);
            all.extend([pods("", "list", ""), pods("", "create", "eviction")]);
            (node, all)
        }
        TimelineAction::DeletePod(deletion) => {
            let namespace = &deletion.workload.id.namespace;
            (deletion.workload.clone(), vec![pods(namespace, "delete", "")])
        }
        TimelineAction::Resize(change) => {
            let namespace = &change.workload.id.namespace;
            let all = vec![pods(namespace, "get", ""), pods(namespace, "patch", "resize")];
            (change.workload.clone(), all)
        }
        TimelineAction::Scale(change) => {
            let scale = part_of(&change.workload, "patch", "scale");
            (change.workload.clone(), vec![on(&change.workload, "get"), scale])
        }
        TimelineAction::SetImage(change) => (change.workload.clone(), changed(&change.workload)),
        TimelineAction::Patch(change) => (change.workload.clone(), changed(&change.workload)),
        TimelineAction::RestartRollout(workload)
        | TimelineAction::PauseRollout(workload)
        | TimelineAction::ResumeRollout(workload) => (workload.clone(), changed(workload)),
        TimelineAction::PromoteRollout(Promotion { workload, .. })
        | TimelineAction::AbortRollout(workload) => {
            (workload.clone(), vec![part_of(workload, "patch", "status")])
        }
        TimelineAction::Rollback(rollback) => {
            let workload = &rollback.workload;
            let history = match workload.kind {
                Kind::Deployment | Kind::Rollout => Kind::ReplicaSet,
                _ => Kind::ControllerRevision,
            };
            let list = of_kind(history, &workload.id.namespace, "list", "");
            (workload.clone(), vec![on(workload, "get"), list, on(workload, "patch")])
        }
        TimelineAction::Delete(object) => (object.clone(), vec![on(object, "delete")]),
        _ => return Vec::new(),
    };
    requests.into_iter().map(|request| (object.clone(), request)).collect()
}

fn on(object: &ObjectReference, verb: &str) -> Request {
    part_of(object, verb, "")
}

/// The authorizer sees no name at creation.
fn create(object: &ObjectReference) -> Request {
    of_kind(object.kind, &object.id.namespace, "create", "")
}

fn part_of(object: &ObjectReference, verb: &str, subresource: &str) -> Request {
    let mut request = of_kind(object.kind, &object.id.namespace, verb, subresource);
    if let Target::Resource { name, .. } = &mut request.target {
        *name = object.id.name.to_string();
    }
    request
}

fn of_kind(kind: Kind, namespace: &str, verb: &str, subresource: &str) -> Request {
    let row = kind.info();
    let target = Target::Resource {
        group: row.group.to_owned(),
        resource: row.plural.to_owned(),
        subresource: subresource.to_owned(),
        name: String::new(),
        namespace: namespace.to_owned(),
    };
    Request { verb: verb.to_owned(), target }
}
