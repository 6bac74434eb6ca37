//! Captured bytes to a packet and its wire segments.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tracer_core_fuzz::decode(data));
