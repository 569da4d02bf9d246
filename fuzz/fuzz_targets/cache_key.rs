//! The cache's keys, made of callers' bodies.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_proxy::fuzzing::cache_key(data));
