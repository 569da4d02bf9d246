//! Manifests: access rules, limits, schedules and all the rest, compiled.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_config::fuzzing::manifests(data));
