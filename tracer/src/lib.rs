//! The edges of kflow: the kernel, the cluster, files and the command line. Decisions are in `tracer-core`.

pub mod capture;
pub mod cli;
pub mod error;
pub mod kernel;
pub mod trace;
