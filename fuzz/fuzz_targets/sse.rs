//! Server-sent events, cut anywhere.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_dialects::fuzzing::sse(data));
