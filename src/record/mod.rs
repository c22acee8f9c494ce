//! Facts of a run, as they happen: what became of each workload, node and service. Decides nothing,
//! and what it all amounts to is for `report` to say.

pub mod time_weighted;

pub use time_weighted::TimeWeighted;
