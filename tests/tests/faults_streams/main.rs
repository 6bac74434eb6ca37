//! Faults of what kflow writes to, reads from and shares interfaces with: rings that overflow, readers that stall, streams
//! and files that are cut or damaged, disks that are full, clocks that are stepped, programs of others.
//!
//! docs/reliability.md says what each of them does.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod capture;
mod clocks;
mod damage;
mod disks;
mod hostile;
mod neighbours;
mod nodes;
mod overflow;
mod pcapng;
#[path = "../shared/running.rs"]
mod running;
mod scene;
mod stalls;
mod together;
