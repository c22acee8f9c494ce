//! Facts of a run, as they happen.
