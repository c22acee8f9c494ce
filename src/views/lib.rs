//! A cluster at an instant in the output formats of kubectl: `get`, `describe`, `events`, `rollout`, `top`; and
//! decisions over a span of time. Pure functions from a view, and from the objects as written, to text; `cli`
//! chooses the objects and the instant. Columns and wording are those of kubectl and of the API server's
//! printers, 1.36; values that the simulation lacks are derived in `derived`, or shown as `<none>`.

mod age;
mod columns;
mod custom_columns;
mod derived;
mod describe;
mod describe_hpa;
mod describe_limits;
mod describe_node;
mod describe_queues;
mod describe_rollout;
mod describe_service;
mod describe_storage;
mod describe_workloads;
mod endpoints;
mod events;
mod get;
mod json_path;
mod kinds;
mod object;
mod object_status;
mod page;
mod pod_status;
mod rollout;
mod rows;
mod rows_of_karpenter;
mod rows_of_others;
mod selection;
mod span;
mod tabs;
mod template;
mod top;
mod written;

pub use custom_columns::CustomColumns;
pub use describe::describe;
pub use events::{EventForm, event_objects, events};
pub use get::{Form, Scope, Snapshot, get, names};
pub use json_path::{JsonPath, go_json};
pub use kinds::OF_ALL;
pub use object::objects;
pub use rollout::{history, revision, status};
pub use selection::{FieldSelector, Selection};
pub use span::span;
pub use top::{TopOrder, top_nodes, top_pods};
