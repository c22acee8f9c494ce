//! An annotation by which an object waits for others: their controllers make some objects only when earlier ones are ready
//! or have ended.

use super::kind::Kind;
use super::meta::{Name, NamespacedName};
use super::reference::ObjectReference;

/// The annotation: what is awaited, with commas between. A Job with it is suspended, a StatefulSet has no replicas, until
/// all of it has come.
pub const STARTS_AFTER: &str = "wavetank.dev/starts-after";
/// The annotation: the replicas that a StatefulSet gets then.
pub const STARTS_WITH: &str = "wavetank.dev/starts-with";

/// One that is awaited, as the annotation writes it.
pub fn awaited(kind: &str, namespace: &str, name: &str, state: &str) -> String {
    format!("{kind}/{namespace}/{name}={state}")
}

/// What is awaited of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its pods are ready, or have succeeded.
    Ready,
    /// It has ended well.
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
