//! Amounts of CPU and memory as the scheduler and the kubelet count them: whole numbers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::quantity::Quantity;

macro_rules! whole_amount {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::ops::Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }
        }
        impl std::ops::Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }
        }
        impl std::ops::AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                *self = *self + other;
            }
        }
        impl std::ops::SubAssign for $name {
            fn sub_assign(&mut self, other: Self) {
                *self = *self - other;
            }
        }
        impl std::iter::Sum for $name {
            fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
                amounts.fold(Self(0), std::ops::Add::add)
            }
        }
    };
}

whole_amount! {
    /// Thousandths of a CPU core.
    MilliCpu
}
whole_amount! {
    /// Bytes of memory, disk or image.
    Bytes
}

impl MilliCpu {
    /// Cores, for the latency models.
    pub fn as_cores(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl From<Quantity> for MilliCpu {
    /// Rounded up to a whole thousandth, as the scheduler does.
    fn from(quantity: Quantity) -> Self {
        Self(quantity.milli_value())
    }
}

impl From<Quantity> for Bytes {
    /// Rounded up to a whole byte, as the scheduler does.
    fn from(quantity: Quantity) -> Self {
        Self(quantity.value())
    }
}

impl fmt::Display for MilliCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Quantity::from_milli(self.0).fmt(f)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Quantity::from_bytes(self.0).fmt(f)
    }
}
