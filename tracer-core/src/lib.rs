//! Every decision of kflow: decoding, recognising packets, ordering hops, formatting.
//!
//! No clock, no environment, no I/O of its own, no async, no unsafe: bytes, times and names come in as
//! arguments, text and blocks go out to a writer that was passed in.
#![forbid(unsafe_code)]

pub mod capture;
pub mod filter;
pub mod flow;
pub mod output;
pub mod packet;

pub mod clock;
pub mod correlate;
pub mod diagnose;
pub mod drops;
pub mod evidence;
pub mod explain;
pub mod headers;
pub mod identity;
pub mod ifaces;
pub mod journey;
pub mod loss;
pub mod point;
pub mod report;
pub mod resolve;
pub mod timeline;
pub mod trace;
pub mod units;
pub mod way;
