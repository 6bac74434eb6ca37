//! Packets at any place, at any time, in any order, to journeys and a report.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tracer_core_fuzz::correlate(data));
