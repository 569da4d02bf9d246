//! The books that are kept of a stream that passes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_dialects::fuzzing::observe(data));
