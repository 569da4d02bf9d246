//! Providers' heads and bodies over HTTP/1.1, cut anywhere.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_proxy::fuzzing::http1(data, &sluicegate_dialects::fuzzing::pieces(data)));
