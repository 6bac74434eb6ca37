//! What kflow's kernel side and user side agree on, byte for byte.
//!
//! Integers and arrays only, padding written out, layout asserted at compile time: the two sides are built by
//! different compilations for different machines and share nothing but these bytes.

#![cfg_attr(not(test), no_std)]

pub mod counters;
pub mod drops;
pub mod filter;
mod layout;
pub mod program;
pub mod record;

#[cfg(feature = "user")]
mod pod;
