//! The cheapest setting of a scenario that holds its objectives: what may be set, the search for it, and how it is
//! told.

pub mod search;
