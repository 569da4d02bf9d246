//! Whole answers: read in each dialect, written in each.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_fuzz::reply::check(data));
