//! Binary event streams, cut and damaged anywhere.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_fuzz::event_stream::check(data));
