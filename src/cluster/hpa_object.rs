//! The HorizontalPodAutoscaler object: its place in the store around its spec and status.

use super::hpa::HpaSpec;
use super::hpa_status::HpaStatus;
use super::meta::ObjectMeta;
use engine::Id;

/// Key of an [`HpaObject`] in the store.
pub type HpaId = Id<HpaObject>;

/// A HorizontalPodAutoscaler.
#[derive(Clone, Debug)]
pub struct HpaObject {
    /// Name, labels, creation.
    pub meta: ObjectMeta,
    /// What it asks for.
    pub spec: HpaSpec,
    /// What its controller last wrote.
    pub status: HpaStatus,
}
