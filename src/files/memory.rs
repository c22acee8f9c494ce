//! Memory of this process, and of the machine, as Linux tells them; elsewhere nothing is known.
#![expect(clippy::disallowed_methods, reason = "the kernel tells them in files")]

use std::fs;

/// Memory that this process takes now, in bytes.
pub fn memory_in_use() -> Option<u64> {
    kibibytes("/proc/self/status", "VmRSS:")
}

/// Memory that this process may take at most, in bytes: the machine's, or the least that a control group allows.
pub fn memory_of_machine() -> Option<u64> {
    let machine = kibibytes("/proc/meminfo", "MemTotal:");
    let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limits =
        group.into_iter().filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    limits.chain(machine).min()
}

/// The amount on a line of a file of the kernel [bytes].
fn kibibytes(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_takes_some_of_the_machines_memory() {
        let (used, all) = (memory_in_use().unwrap(), memory_of_machine().unwrap());
        assert!(used > 100 << 10 && used < all, "{used} of {all}");
    }
}
