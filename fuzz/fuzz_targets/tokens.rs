//! Callers' tokens (JWT), and the keys of their issuers.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_proxy::fuzzing::tokens(data));
