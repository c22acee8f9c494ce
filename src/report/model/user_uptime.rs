//! Uptime as users see it.

use serde::Serialize;

/// User-uptime and windowed user-uptime (Hauer et al., NSDI 2020).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UserUptimeReport {
    /// Users or sessions that sent a request.
    pub users: usize,
    /// Time for which their last request was answered, over all time that they were there, 0..1.
    pub availability: f64,
    /// Time after a request for which its user counts as there, seconds.
    pub cutoff_seconds: f64,
    /// The worst window of each length that the run has.
    pub windows: Vec<WorstWindow>,
}

/// The window of a length with the least user-uptime.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WorstWindow {
    /// Length of the window, seconds.
    pub window_seconds: f64,
    /// User-uptime in it, 0..1.
    pub availability: f64,
    /// Its start, seconds from the start of the run.
    pub from_seconds: f64,
}
