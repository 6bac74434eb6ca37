//! `kflow capture` from its command line to its exit code: what a person types, reads and finds afterwards.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod ends;
mod failures;
mod interfaces;
mod offline;
mod printed;
mod process;
mod readers;
mod refusals;
mod rotation;
#[path = "../shared/running.rs"]
mod running;
mod scene;
mod silence;
