//! Call graphs from distributed traces: the calls between Services, their number per request, and the cost of a
//! request.
//!
//! [`read_spans`] reads an export of OpenTelemetry or Jaeger into a [`SpanStore`], [`observe`] derives an
//! [`ObservedService`] for each service in it. Reads no files itself.

mod calls;
mod jaeger;
mod observe;
mod otlp;
mod read;
mod requests;
mod store;

pub use observe::{Kinds, Observation, ObservedCall, ObservedClass, ObservedService, observe};
pub use read::read_spans;
pub use requests::TraceIrregularities;
pub use store::{SpanStore, Spans};

#[cfg(test)]
mod tests;
