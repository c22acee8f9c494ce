//! Wavetank tests a Kubernetes system before it ships.

pub mod engine;
pub mod units;
