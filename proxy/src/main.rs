//! `sluicegate-proxy`: settings in, workers up, wait for the end.

use std::process::ExitCode;

use clap::Parser;
use sluicegate_proxy::process;
use sluicegate_proxy::settings::Settings;

/// Calls come and go in small pieces on every thread: measured against the system's allocator, this one is cheaper.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    process::run(Settings::parse())
}
