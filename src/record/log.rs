//! The log: who decided what, about what, and why.

use cluster::NamespacedName;
use engine::SimTime;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When.
    pub at: SimTime,
    /// Who: a component under its Kubernetes name, `user`, or a fault.
    pub actor: &'static str,
    /// Kind of the object that it is about.
    pub kind: &'static str,
    /// The object that it is about.
    pub object: NamespacedName,
    /// One word in CamelCase.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
    /// Whether it warns.
    pub is_warning: bool,
}
