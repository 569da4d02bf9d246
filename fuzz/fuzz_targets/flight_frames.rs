//! What Redis holds of an answer that proxies share.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_proxy::fuzzing::frames(data, &sluicegate_dialects::fuzzing::pieces(data)));
