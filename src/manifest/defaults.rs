//! Fills in the defaults that the API server sets before it stores an object, by API group: the functions
//! `SetDefaults_*` of `pkg/apis/*/v1/defaults.go`, and fields set by strategies at creation
//! (`PrepareForCreate`), 1.36.
//!
//! Not done here but in the cluster: addresses and IP families of a Service, a Job's selector by UID, the
//! generation, and changes of pods by admission plugins.

mod apps;
mod autoscaling;
mod batch;
mod container;
mod core;
mod networking;
pub(super) mod pod;
mod volume;

use std::collections::BTreeMap;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) use autoscaling::cpu_utilization;
pub use autoscaling::set_defaults as set_hpa_defaults;
pub(super) use batch::{job_spec, job_with_template};
pub(super) use pod::created_pod;
use units::Quantity;

/// An API object with the API server's defaulting.
pub(super) trait SetDefaults: DeserializeOwned + Serialize {
    /// Fills in missing fields. Idempotent.
    fn set_defaults(&mut self);
}

/// A budget has no defaults (there is no `pkg/apis/policy/v1/defaults.go`).
impl SetDefaults for PodDisruptionBudget {
    fn set_defaults(&mut self) {
        self.spec.get_or_insert_default();
    }
}

impl SetDefaults for PriorityClass {
    fn set_defaults(&mut self) {
        self.value.get_or_insert_default();
        text(&mut self.preemption_policy, "PreemptLowerPriority");
    }
}

impl SetDefaults for CSINode {
    fn set_defaults(&mut self) {}
}

impl SetDefaults for StorageClass {
    fn set_defaults(&mut self) {
        text(&mut self.reclaim_policy, "Delete");
        text(&mut self.volume_binding_mode, "Immediate");
    }
}

/// Sets a text that is absent or empty, which the API server treats alike.
fn text(field: &mut Option<String>, default: &str) {
    if field.as_ref().is_none_or(String::is_empty) {
        *field = Some(default.to_owned());
    }
}

/// Sets a number that is absent or 0, where the API server treats them alike.
fn number(field: &mut Option<i32>, default: i32) {
    if field.is_none_or(|number| number == 0) {
        *field = Some(default);
    }
}

type Amounts = Option<BTreeMap<String, ApiQuantity>>;

/// Rounds amounts up to thousandths (`SetDefaults_ResourceList`) and formats them like the API server.
/// Invalid quantities are left for validation to reject.
fn resource_list(amounts: &mut Amounts) {
    for ApiQuantity(text) in amounts.iter_mut().flatten().map(|(_, amount)| amount) {
        let Ok(amount) = text.parse::<Quantity>() else { continue };
        let is_fine = amount.nanos() % NANOS_IN_MILLI != 0;
        let rounded = if is_fine { Quantity::from_milli(amount.milli_value()) } else { amount };
        *text = rounded.to_string();
    }
}

const NANOS_IN_MILLI: i128 = 1_000_000;

/// Copies amounts that are missing.
fn fill(amounts: &mut Amounts, from: Option<&BTreeMap<String, ApiQuantity>>) {
    for (name, amount) in from.into_iter().flatten() {
        amounts.get_or_insert_default().entry(name.clone()).or_insert_with(|| amount.clone());
    }
}

#[cfg(test)]
mod tests;
