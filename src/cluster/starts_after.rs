//! Annotations that delay an object until others are ready or finished, for kinds whose controllers create some
//! objects only then.

use super::kind::Kind;
use super::meta::{Name, NamespacedName};
use super::reference::ObjectReference;

/// Annotation: the awaited objects, comma-separated. Until all have reached their state, a Job with it is suspended,
/// and a StatefulSet has no replicas.
pub const STARTS_AFTER: &str = "wavetank.dev/starts-after";
/// Annotation: the replicas that the StatefulSet gets afterwards.
pub const STARTS_WITH: &str = "wavetank.dev/starts-with";

/// Annotation: the object waits for a queue, too, and does not start before it is admitted there.
pub const HELD: &str = "wavetank.dev/held-by-queue";

/// Annotation of the Jobs of a JobSet: the set's success and failure policies as JSON.
pub const JOB_SET_POLICIES: &str = "wavetank.dev/job-set-policies";
/// Annotation of the pods of a LeaderWorkerSet: the group restarts as a whole if one of them is lost or restarts.
pub const RECREATES_GROUP: &str = "wavetank.dev/recreates-group";

/// One awaited object, as written in the annotation.
pub fn awaited(kind: &str, namespace: &str, name: &str, state: &str) -> String {
    format!("{kind}/{namespace}/{name}={state}")
}

/// Awaited state of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its pods are ready, or have succeeded.
    Ready,
    /// Finished successfully.
    Complete,
}

/// The objects that an annotation awaits.
pub fn awaited_objects(text: &str) -> impl Iterator<Item = (ObjectReference, State)> {
    text.split(',').filter_map(|one| {
        let (object, state) = one.split_once('=')?;
        let mut parts = object.split('/');
        let (kind, namespace, name) = (Kind::spelled(parts.next()?)?, parts.next()?, parts.next()?);
        let id = NamespacedName::new(Name::from(namespace), Name::from(name));
        let state = if state == "Complete" { State::Complete } else { State::Ready };
        Some((ObjectReference { kind, id }, state))
    })
}
