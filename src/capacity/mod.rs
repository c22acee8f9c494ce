//! Node types with their prices, and what a cloud reserves on each.
