//! Arrivals, services and request models: the fast path.
