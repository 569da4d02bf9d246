//! What reads along with a stream, cut anywhere.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_dialects::fuzzing::shadow(data));
