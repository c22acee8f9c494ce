//! The HorizontalPodAutoscaler object: its place in the store around its spec and status.

use super::deployment::DeploymentId;
use super::meta::ObjectMeta;
use crate::engine::Id;

/// Key of an [`HpaObject`] in the store.
pub type HpaId = Id<HpaObject>;

/// A HorizontalPodAutoscaler.
#[derive(Clone, Debug)]
pub struct HpaObject {
    /// Name, labels, creation.
    pub meta: ObjectMeta,
    /// The Deployment that it scales.
    pub target: DeploymentId,
}
