//! Integration tests of simulations and library crates.

#[path = "../support/in_memory.rs"]
mod in_memory;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/texts.rs"]
mod texts;

mod answers;
mod application_errors;
mod attachments;
mod autoscalers_by_recording;
mod autoscaling;
mod bill;
mod calls;
mod catalog;
mod causes;
mod conform_cluster_autoscaler;
mod conform_karpenter;
mod connections;
mod controllers_by_source;
mod cpu_limit;
mod cron_schedules;
mod custom_kinds;
mod determinism;
mod discounts;
mod end_to_end_facts;
mod endpoints;
mod faults;
mod groups;
mod held_shares;
mod hpa_selectors;
mod in_place_resize;
mod karpenter_simulation;
mod knative;
mod kueue;
mod kustomize;
mod layers;
mod manifests;
mod many_hpas;
mod mesh;
mod mesh_limits;
mod mesh_routes;
mod named_nodes;
mod network_policies;
mod network_time;
mod node_autoscaler_shortcuts;
mod node_autoscaling;
mod own_cpu;
mod persistent_volumes;
mod pod_engines;
mod pod_readiness;
mod pod_security;
mod request_classes;
mod request_path;
mod rollouts;
mod route_limits;
mod routes;
mod routes_at_run_time;
mod scaled_jobs;
mod scheduler_details;
mod serverless;
mod traffic_properties;
mod volumes;
mod workload_kinds;
