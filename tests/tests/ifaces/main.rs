//! What kflow reads of a namespace beside `ip`, `bridge`, `ss`, `nstat` and `tc`; and `kflow ifaces`.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod agent;
mod counters;
mod filters;
mod lab;
mod links;
mod routes;
mod scene;
mod sockets;
mod survey;
