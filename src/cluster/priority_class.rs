//! PriorityClasses (scheduling.k8s.io/v1).

use super::meta::ObjectMeta;
use super::object::plain_object;

/// A PriorityClass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriorityClass {
    /// Its metadata.
    pub meta: ObjectMeta,
    /// Its fields, which the API keeps at the top level, next to `metadata`.
    pub spec: PriorityClassSpec,
}

/// The fields of a PriorityClass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriorityClassSpec {
    /// Priority of pods of this class.
    pub value: i32,
    /// Whether pods without a class get it.
    pub global_default: bool,
    /// `preemptionPolicy: Never`: its pods wait instead of preempting.
    pub never_preempts: bool,
}

plain_object!(PriorityClass, PriorityClassSpec);
