//! Tests that take seconds: large recordings of decisions, random worlds, long runs against theory and
//! measurements.

#[path = "../support/in_memory.rs"]
mod in_memory;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/texts.rs"]
mod texts;
#[path = "../support/theory.rs"]
mod theory;

mod conform_controllers;
mod conform_end_to_end;
mod conform_hpa;
mod conform_real_cluster;
mod conform_scheduler;
mod conservation;
mod fault_storms;
mod gate;
mod gke_hpa;
mod gpu_sharing;
mod hpa_by_source;
mod llm_measurement;
mod node_sharing;
mod queueing_theory;
mod round_trip;
mod scheduler_properties;
mod storms;
mod years;
