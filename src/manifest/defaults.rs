//! What the API server fills into an object before it stores it, in place and by API group: the functions
//! `SetDefaults_*` of `pkg/apis/*/v1/defaults.go`, and what strategies fill in at creation
//! (`PrepareForCreate`), 1.36.
//!
//! Left to the cluster: addresses and families of a Service, a Job's selector by its uid, generation, and
//! what admission plugins add to pods.

mod apps;
mod autoscaling;
mod batch;
mod container;
mod core;
mod networking;
mod pod;
mod volume;

use std::collections::BTreeMap;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(super) use autoscaling::cpu_utilization;
pub use autoscaling::set_defaults as set_hpa_defaults;
pub(super) use batch::job_spec;
pub(super) use pod::created_pod;
use units::Quantity;

/// An object of the API that can be completed as the API server does.
pub(super) trait SetDefaults: DeserializeOwned + Serialize {
    /// Fills in what is not written. A second time changes nothing.
    fn set_defaults(&mut self);
}

/// Of a budget nothing has a default (there is no `pkg/apis/policy/v1/defaults.go`).
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

impl SetDefaults for StorageClass {
    fn set_defaults(&mut self) {
        text(&mut self.reclaim_policy, "Delete");
        text(&mut self.volume_binding_mode, "Immediate");
    }
}

/// Fills in a text that is absent or empty, which is the same to the API server.
fn text(field: &mut Option<String>, default: &str) {
    if field.as_ref().is_none_or(String::is_empty) {
        *field = Some(default.to_owned());
    }
}

/// Fills in a number that is absent or 0, where the API server takes one for the other.
fn number(field: &mut Option<i32>, default: i32) {
    if field.is_none_or(|number| number == 0) {
        *field = Some(default);
    }
}

type Amounts = Option<BTreeMap<String, ApiQuantity>>;

/// Amounts to thousandths, rounded up (`SetDefaults_ResourceList`), and as the API server prints them.
/// What is no quantity stays for validation to refuse.
fn resource_list(amounts: &mut Amounts) {
    for ApiQuantity(text) in amounts.iter_mut().flatten().map(|(_, amount)| amount) {
        let Ok(amount) = text.parse::<Quantity>() else { continue };
        let is_fine = amount.nanos() % NANOS_IN_MILLI != 0;
        let rounded = if is_fine { Quantity::from_milli(amount.milli_value()) } else { amount };
        *text = rounded.to_string();
    }
}

const NANOS_IN_MILLI: i128 = 1_000_000;

/// Takes over the amounts that are missing.
fn fill(amounts: &mut Amounts, from: Option<&BTreeMap<String, ApiQuantity>>) {
    for (name, amount) in from.into_iter().flatten() {
        amounts.get_or_insert_default().entry(name.clone()).or_insert_with(|| amount.clone());
    }
}

#[cfg(test)]
mod tests;
