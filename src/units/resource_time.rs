//! Amounts of CPU, memory and GPUs together, and amounts held for a while.

use std::ops::AddAssign;

use super::resources::{Bytes, MilliCpu};
use engine::SimDuration;

/// Amounts of the resources that cost money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// CPU in thousandths of a core.
    pub cpu: MilliCpu,
    /// Memory in bytes.
    pub memory: Bytes,
    /// Whole GPUs.
    pub gpus: i64,
}

/// Amounts of resources times the time for which they were held, exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceTime {
    /// Thousandths of a core times nanoseconds.
    pub cpu_milli_ns: i128,
    /// Bytes times nanoseconds.
    pub memory_byte_ns: i128,
    /// GPUs times nanoseconds.
    pub gpu_ns: i128,
}

impl ResourceTime {
    /// Amounts held for a while.
    pub fn held(amounts: Resources, span: SimDuration) -> Self {
        let nanos = i128::from(span.as_nanos());
        Self {
            cpu_milli_ns: i128::from(amounts.cpu.0) * nanos,
            memory_byte_ns: i128::from(amounts.memory.0) * nanos,
            gpu_ns: i128::from(amounts.gpus) * nanos,
        }
    }

    /// The larger of the two, resource by resource.
    pub fn max(self, other: Self) -> Self {
        Self {
            cpu_milli_ns: self.cpu_milli_ns.max(other.cpu_milli_ns),
            memory_byte_ns: self.memory_byte_ns.max(other.memory_byte_ns),
            gpu_ns: self.gpu_ns.max(other.gpu_ns),
        }
    }
}

impl AddAssign for ResourceTime {
    fn add_assign(&mut self, other: Self) {
        self.cpu_milli_ns += other.cpu_milli_ns;
        self.memory_byte_ns += other.memory_byte_ns;
        self.gpu_ns += other.gpu_ns;
    }
}
