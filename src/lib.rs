//! Wavetank tests a Kubernetes system before it ships: it takes the real manifests, a model of the
//! cluster and a traffic trace, runs the whole system in a deterministic discrete-event engine, and
//! reports latency, cost and availability.

pub mod capacity;
pub mod cli;
pub mod cluster;
pub mod conform;
pub mod controllers;
pub mod engine;
pub mod faults;
pub mod kubelet;
pub mod manifest;
pub mod metrics;
pub mod pack;
pub mod record;
pub mod report;
pub mod scenario;
pub mod scheduler;
pub mod sim;
pub mod sweep;
pub mod traffic;
pub mod units;
pub mod views;
