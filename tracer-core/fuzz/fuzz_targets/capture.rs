//! A capture file through the whole of a trace.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tracer_core_fuzz::capture(data));
