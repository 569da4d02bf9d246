//! What providers say of their limits, and of when to come again.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_proxy::fuzzing::limit_headers(data));
