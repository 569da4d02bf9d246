//! The cache's exact key.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_fuzz::cache_key::check(data));
