//! The limit of the program's memory: `wavetank run` ends with a report of what it has, other commands with a message.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::exit::Exit;
use super::output::print_error;
use files::{memory_in_use, memory_of_machine};
use scenario::resolved::ResolvedScenario;

/// Time between two looks of [`watch`].
const LOOK: Duration = Duration::from_millis(100);

/// Memory that this process may take.
#[derive(Clone, Debug)]
pub struct MemoryLimit {
    /// In bytes; absent if neither the scenario nor the machine says.
    bytes: Option<u64>,
    /// The setting, or where the amount comes from.
    said: String,
}

impl MemoryLimit {
    /// The limit of a scenario or, if it has none, of this machine.
    pub fn of(resolved: &ResolvedScenario) -> Self {
        if let Some(memory) = resolved.scenario().limits.memory {
            let bytes = u64::try_from(memory.value()).ok();
            return Self { bytes, said: format!("limits.memory: {memory}") };
        }
        let bytes = memory_of_machine().map(|bytes| bytes / 4 * 3);
        let said = "three quarters of the machine's memory; `limits.memory` allows more".to_owned();
        Self { bytes, said }
    }

    /// Why the run must end, if it has to.
    pub fn reached(&self) -> Option<String> {
        let is_much = |used: &u64| self.bytes.is_some_and(|most| *used >= most);
        let used = memory_in_use().filter(is_much)?;
        Some(format!("it takes {} MiB of memory, more than {}", used >> 20, self.said))
    }
}

/// From now on this process ends with a message when it takes more memory than a scenario permits; the first scenario
/// that is given counts.
pub fn watch(resolved: &ResolvedScenario) {
    static WATCHES: AtomicBool = AtomicBool::new(false);
    if WATCHES.swap(true, Ordering::Relaxed) {
        return;
    }
    let limit = MemoryLimit::of(resolved);
    thread::spawn(move || {
        loop {
            thread::sleep(LOOK);
            if let Some(reason) = limit.reached() {
                print_error(&format!(
                    "the command ended early: {reason}. Fewer runs at a time (RAYON_NUM_THREADS=1) or a smaller scenario \
                     take less; `wavetank run` reports what it has when it reaches the limit"
                ));
                #[expect(
                    clippy::exit,
                    reason = "the runs of other threads have no end of their own"
                )]
                process::exit(Exit::WrongInput as i32);
            }
        }
    });
}
