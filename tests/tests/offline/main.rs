//! `kflow trace -r` on files: built byte by byte, and written by a trace of the lab.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod again;
mod errors;
mod file;
mod formats;
mod names;
mod output;
mod support;
mod terminal;
