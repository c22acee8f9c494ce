//! The one place that joins the parts: the event enum, dispatch, build, `Simulation`.
