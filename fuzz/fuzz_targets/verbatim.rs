//! The verbatim lane's look at a body, and its edits.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_dialects::fuzzing::verbatim(data));
