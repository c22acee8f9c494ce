//! The results of a run as plain data ([`Report`], with the unit in each field's name) and their renderers:
//! text, JSON, charts, HTML. Renderers are pure functions from a report to text or bytes, which `cli` writes.

mod axis;
mod balancing;
mod bill;
mod build;
mod build_objectives;
mod build_services;
mod cells;
pub mod charts;
mod disturbances;
mod downtime;
mod error_budget;
pub mod figures;
#[cfg(test)]
mod fixture;
pub mod html;
pub mod json;
pub mod ledger;
mod llm;
mod milestone;
mod model;
mod network;
mod node_bill;
mod node_changes;
mod node_costs;
pub mod opencost;
mod reasons;
pub mod text;

pub use bill::BillFacts;
pub use build::{ClassFacts, ReportInput, ServiceFacts, build};
pub use build_objectives::{limits_of, user_cutoff_of};
pub(crate) use error_budget::ALERTS;
pub use llm::LlmReport;
pub use model::*;
pub use network::{MeshReport, NetworkReport};
