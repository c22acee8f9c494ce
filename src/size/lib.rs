//! The cheapest setting of a scenario that holds its objectives: what may be set, the search for it, and how it is
//! told.

pub mod bounds;
pub mod evaluate;
pub mod figures;
pub mod headroom;
mod ideal_autoscaler;
mod knobs;
mod ladders;
pub mod patch;
pub mod recommendation;
pub mod search;
pub mod survive;
pub mod text;
pub mod tune;
pub mod unmet;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
