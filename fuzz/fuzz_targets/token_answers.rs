//! Answers of token services, and files that name who somebody is.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_proxy::fuzzing::token_answers(data));
