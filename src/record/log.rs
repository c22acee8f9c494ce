//! The log: who decided what, about what, and why.

use cluster::{Kind, NamespacedName};
use engine::SimTime;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The instant at which it was decided or seen.
    pub at: SimTime,
    /// The component under its Kubernetes name (`kubelet`), `user`, or a fault.
    pub actor: &'static str,
    /// Kind of the object that it is about.
    pub kind: Kind,
    /// The object that it is about.
    pub object: NamespacedName,
    /// Reason of the Kubernetes Event, one word in CamelCase: `SuccessfulRescale`.
    pub reason: &'static str,
    /// Message of the Event, in the component's own words.
    pub message: String,
    /// Whether the Event's type is Warning rather than Normal.
    pub is_warning: bool,
}
