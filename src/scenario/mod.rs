//! What a user writes: plain data, checked, with a JSON Schema.

mod delays;

pub use delays::Delays;
