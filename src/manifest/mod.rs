//! Kubernetes YAML and JSON to the objects of `cluster`: reading, defaulting, validation, diagnostics.
