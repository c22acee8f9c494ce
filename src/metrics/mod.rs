//! The metrics pipeline as the HPA sees it.
