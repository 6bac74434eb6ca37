//! A packet printed, cut into segments, cut to its headers.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tracer_core_fuzz::print(data));
