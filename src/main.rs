//! The command line of wavetank.

fn main() -> std::process::ExitCode {
    wavetank::cli::main()
}
