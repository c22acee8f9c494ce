//! The command line of wavetank.

fn main() {}
