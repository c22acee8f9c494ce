//! Time, the event calendar, random streams, tables and digests. Independent of Kubernetes.

pub mod digest;
mod duration;
mod heap;
mod id_set;
mod ladder;
pub mod logarithm;
mod queue;
pub mod random;
mod table;
mod time;
mod token_bucket;

pub use digest::{Digest, mix};
pub use duration::{DurationError, format_duration, parse_duration};
pub use heap::{Heap, HeapOrder};
pub use id_set::IdSet;
pub use queue::{EventQueue, Lane};
pub use random::{Stream, Streams};
pub use table::{Id, Table};
pub use time::{SimDuration, SimTime};
pub use token_bucket::{ClientRate, take_token};
