//! Filters: our interpreter beside libpcap's own, filters over files beside tcpdump's, messages and their places.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod errors;
mod files;
mod interpreter;
mod offline;
mod table;
