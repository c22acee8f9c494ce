//! Wavetank tests a Kubernetes system before it ships: it takes the real manifests, a model of the
//! cluster and a traffic trace, runs the whole system in a deterministic discrete-event engine, and
//! reports latency, cost and availability.

pub use capacity;
pub use cli;
pub use cluster;
pub use conform;
pub use controllers;
pub use engine;
pub use faults;
pub use kubelet;
pub use manifest;
pub use metrics;
pub use pack;
pub use record;
pub use report;
pub use scenario;
pub use scheduler;
pub use sim;
pub use sweep;
pub use traffic;
pub use units;
pub use views;
