//! Sessions, facts and estimates of a body in whichever dialect.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_dialects::fuzzing::looks(data));
