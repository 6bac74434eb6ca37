//! Files that a capture is written to, beside tcpdump's: names, turns, contents, and what is left where there is no
//! more room.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod children;
mod cost;
mod pipes;
mod postrotate;
mod readers;
mod room;
mod rotation;
mod support;
