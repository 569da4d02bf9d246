//! What Redis holds in an entry's place.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_proxy::fuzzing::cache_entry(data));
