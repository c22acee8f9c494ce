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
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write(path, text).expect("written");
    }

    /// Writes a program for the shell.
    pub fn write_program(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        self.write(name, text);
        let runs = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path().join(name), runs).expect("made a program");
    }

    /// Runs the program where a folder of the shop comes first on the `PATH`.
    pub fn run_with_programs(&self, folder: &str, arguments: &[&str]) -> Ran {
        let path = format!("{}:/usr/bin:/bin", self.path().join(folder).display());
        self.run_with(arguments, &[("PATH", &path)])
    }

    /// Runs the program where nothing is on the `PATH`.
    pub fn run_without_helm(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[("PATH", "/nowhere")])
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
