//! `kflow doctor` with what it is for taken away, and `kflow capture -D` beside `ip`.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod abilities;
mod environment;
mod list;
mod neighbours;
mod output;
mod progress;
mod report;
mod scene;
