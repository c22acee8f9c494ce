//! Call graphs from distributed traces: which Service calls which, how often, and what a request costs there.
//!
//! [`read_spans`] reads an export of OpenTelemetry or Jaeger into a [`SpanStore`], [`observe`] makes an
//! [`ObservedService`] of each service in it. Reads no file itself.

mod calls;
mod jaeger;
mod observe;
mod otlp;
mod read;
mod requests;
mod store;

pub use observe::{Kinds, Observation, ObservedCall, ObservedClass, ObservedService, observe};
pub use read::read_spans;
pub use requests::Oddities;
pub use store::{SpanStore, Spans};

#[cfg(test)]
mod tests;
