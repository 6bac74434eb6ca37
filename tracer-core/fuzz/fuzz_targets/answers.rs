//! Answers of a cluster and of its nodes to what is told by them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tracer_core_fuzz::answers(data));
