//! The observer beside the decoder, and what it lets pass.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_fuzz::observe::check(data));
