//! The log of decisions and events: actor, object and reason.

use cluster::{Kind, NamespacedName};
use engine::SimTime;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Time of the decision or observation.
    pub at: SimTime,
    /// The component under its Kubernetes name (`kubelet`), `user`, or a fault.
    pub actor: &'static str,
    /// Kind of the object concerned.
    pub kind: Kind,
    /// The object concerned.
    pub object: NamespacedName,
    /// Reason of the Kubernetes Event, one word in CamelCase: `SuccessfulRescale`.
    pub reason: &'static str,
    /// Message of the Event, in the component's own words.
    pub message: String,
    /// Whether the Event's type is Warning rather than Normal.
    pub is_warning: bool,
}
