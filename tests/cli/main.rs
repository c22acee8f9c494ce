//! End-to-end tests of the program as used by people and scripts.

#[path = "../support/shop.rs"]
mod shop;

mod bad_input;
mod calibrate;
mod check;
mod command_line;
mod conform;
mod cost;
mod explain;
mod figures;
mod forbidden;
mod import;
mod init;
mod init_endpoints;
mod init_guesses;
mod init_manifests;
mod interrupted;
mod kubectl;
mod node_pools;
mod pack;
mod scenarios;
mod shards;
mod sidecars;
mod size;
mod supply_chain;
mod traces;
mod validate;
mod views;
