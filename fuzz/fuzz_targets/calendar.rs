//! The periods of budgets, by any zone and moment.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| sluicegate_config::fuzzing::calendar(data));
