//! Callers' bodies, read and written in every dialect.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_dialects::fuzzing::request(data));
