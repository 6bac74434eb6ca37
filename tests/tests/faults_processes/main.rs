//! What becomes of kflow when processes are killed, interfaces and namespaces go, and memory is short. In full by
//! `cargo xtask test faults`; docs/reliability.md says what a user sees.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod agent;
mod captures;
mod cycles;
mod file;
mod links;
mod memory;
mod moments;
mod numbers;
mod running;
mod traces;
