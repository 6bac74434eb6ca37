//! Why a transfer is as slow as it is, held against what the two ends say themselves.

mod iperf;
mod readers;
mod support;
