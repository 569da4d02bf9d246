//! Answers of Redis (RESP), read by all who ask there.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_proxy::fuzzing::redis_replies(data));
