//! File access: the only crate that reads and writes files. [`Loader`] reads a scenario with every file that it
//! names; the rest reads manifests, traces and recordings for the command line, and writes reports. Interpreting
//! the contents is left to other crates.

mod disk;
mod helm;
mod kustomized;
mod load;
mod manifests;
mod memory;
mod results;
mod spool;

pub use disk::{
    PendingFile, STANDARD_INPUT, beside, create_folder_of, from_folder, open_unpacked, read_bytes,
    read_folder, read_source, read_unpacked, write_file,
};
pub use helm::{HelmCharts, is_chart};
pub use load::{Loader, load_scenario};
pub use manifests::{
    SCHEMA_FILE, Unit, read_manifests, read_manifests_with, read_what_can_be, units,
};
pub use memory::{memory_in_use, memory_of_machine};
pub use results::{ResultFolder, StoreOutcome};
