//! The edges of kflow: the kernel, the cluster, files and the command line. Decisions are in `tracer-core`.

#[macro_use]
mod tell;

pub mod agent;
mod audit;
mod batch;
pub mod capture;
pub mod cli;
pub mod cluster;
pub mod doctor;
pub mod error;
pub mod evidence;
pub mod explain;
pub mod ifaces;
mod interrupt;
pub mod kernel;
pub mod libpcap;
pub mod sink;
pub mod trace;
