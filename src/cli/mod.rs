//! The command line: the only module with files, terminal, environment and wall clock.
