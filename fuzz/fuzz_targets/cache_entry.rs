//! A kept answer as it comes out of Redis.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_fuzz::cache_entry::check(data));
