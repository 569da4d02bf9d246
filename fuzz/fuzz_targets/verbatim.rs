//! The verbatim lane: a look at a body, and edits by byte span.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_fuzz::verbatim::check(data));
