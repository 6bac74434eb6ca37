//! Rules and connections as kflow reads them from the kernel, beside what iptables, nft and conntrack print, and what the
//! kernel does with packets beside what the rules say.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod connections;
mod ipset;
mod nft;
mod predicted;
mod router;
mod scene;
mod size;
mod text;
