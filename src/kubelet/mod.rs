//! A pod's life on its node.
