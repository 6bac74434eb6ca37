//! `kflow capture` as a kflow elsewhere leads it, and `kflow agent`: what its input, its output and its end do.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod heartbeat;
mod led;
mod node;
mod orders;
mod output;
mod places;
mod waiting;
