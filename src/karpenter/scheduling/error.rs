//! Why a pod cannot be scheduled.

use std::fmt;

use crate::amounts::Amounts;
use crate::requirements::Requirements;

/// The message why a pod cannot be scheduled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodError(String);

impl PodError {
    /// An error with this message.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Combines several errors into one.
    pub(super) fn combined(errors: Vec<Self>) -> Self {
        let texts: Vec<String> = errors.into_iter().map(|error| error.0).collect();
        Self(texts.join("; "))
    }
}

impl fmt::Display for PodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The conditions that any instance type met, alone or combined (`InstanceTypeFilterError`).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FilterTrace {
    /// A type meets the requirements.
    requirements: bool,
    /// A type is large enough.
    fits: bool,
    /// A type has an available offering.
    offering: bool,
    /// A type lacks only an available offering.
    no_offering: bool,
    /// A type is only too small.
    too_small: bool,
}

impl FilterTrace {
    /// Adds an instance type.
    pub(super) fn note(&mut self, (requirements, fits, offering): (bool, bool, bool)) {
        self.requirements |= requirements;
        self.fits |= fits;
        self.offering |= offering;
        self.no_offering |= requirements && fits && !offering;
        self.too_small |= requirements && offering && !fits;
    }

    /// The message about the unmet conditions.
    pub(super) fn error(self, requirements: &Requirements, requests: &Amounts) -> PodError {
        let missing = match (self.requirements, self.fits, self.offering) {
            (false, false, false) => {
                "met the scheduling requirements or had enough resources or had a required offering"
            }
            (false, false, true) => "met the scheduling requirements or had enough resources",
            (false, true, false) => "met the scheduling requirements or had a required offering",
            (true, false, false) => "had enough resources or had a required offering",
            (false, true, true) => "met all requirements",
            (true, false, true) => "has enough resources",
            (true, true, false) => "has the required offering",
            (true, true, true) if self.no_offering => {
                "which met the scheduling requirements and had enough resources, had a required offering"
            }
            (true, true, true) if self.too_small => {
                "which met the scheduling requirements and the required offering had the required resources"
            }
            (true, true, true) => {
                "which had enough resources and the required offering met the scheduling requirements"
            }
        };
        PodError(format!(
            "no instance type {missing}, requirements={requirements}, resources={}",
            written(requests)
        ))
    }
}

/// Amounts as Kubernetes quantities.
pub(super) fn written(amounts: &Amounts) -> String {
    const MEBI: i128 = 1 << 20;
    const NANO: i128 = 1_000_000_000;
    let text = |(name, nanos): (&str, i128)| {
        let is_bytes =
            name == "memory" || name.ends_with("-storage") || name.starts_with("hugepages-");
        if is_bytes && nanos % (MEBI * NANO) == 0 {
            format!("{name}: {}Mi", nanos / (MEBI * NANO))
        } else if nanos % NANO == 0 {
            format!("{name}: {}", nanos / NANO)
        } else {
            format!("{name}: {}m", nanos / (NANO / 1000))
        }
    };
    format!("{{{}}}", amounts.iter().map(text).collect::<Vec<_>>().join(", "))
}
