//! A cluster at an instant as kubectl prints it: `get`, `describe`, `events`, `rollout`, `top`; and
//! decisions over a span of time. Pure
//! functions from a view to text; who asks, and for which instant, is for `cli` to say. The columns are
//! those of `pkg/printers/internalversion/printers.go`, 1.36; what a simulation does not have, such as an
//! IP, is `<none>`.

mod age;
mod columns;
mod describe;
mod describe_workloads;
mod events;
mod get;
mod get_workloads;
mod labelled;
mod object;
mod object_workloads;
mod pod_status;
mod rollout;
mod span;
mod top;

pub use describe::describe;
pub use events::{event_objects, events};
pub use get::{Kind, Scope, Wide, get};
pub use labelled::labelled;
pub use object::objects;
pub use rollout::{history, status};
pub use span::span;
pub use top::{top_nodes, top_pods};
