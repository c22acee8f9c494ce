//! A small scenario in its own folder, for end-to-end tests of the program.
#![expect(clippy::disallowed_methods, reason = "tests write files")]
#![allow(dead_code, reason = "not every test that includes this uses all of it")]

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use tempfile::TempDir;
pub use texts::{MANIFESTS, SCENARIO};

#[path = "shop_texts.rs"]
mod texts;

/// The scenario and its manifests, in a folder that is deleted on drop.
pub struct Shop(TempDir);

/// The result of running the program.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Shop {
    pub fn new() -> Self {
        Self::with(SCENARIO, MANIFESTS)
    }

    pub fn with(scenario: &str, manifests: &str) -> Self {
        let shop = Self(tempfile::tempdir().expect("a temporary folder"));
        shop.write("scenario.yaml", scenario);
        shop.write("web.yaml", manifests);
        shop
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path().join(name), text).expect("written");
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).expect("read")
    }

    /// Runs the program in the folder.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[])
    }

    /// Runs the program in the folder with these environment variables.
    pub fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = Command::cargo_bin("wavetank").expect("the binary of this crate");
        command.args(arguments).envs(variables.iter().copied()).current_dir(self.path());
        command.timeout(std::time::Duration::from_mins(2));
        let output = command.output().expect("the program ends");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Ran {
            code: output.status.code().expect("it ends by itself"),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}
