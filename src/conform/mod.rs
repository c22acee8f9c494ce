//! Replays recorded decisions of the real controllers through ours.

pub mod controllers;
