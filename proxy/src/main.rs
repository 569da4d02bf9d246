//! `sluicegate-proxy`: settings in, workers up, wait for the end. Or `probe`, which asks and ends.

use std::process::ExitCode;

use clap::Parser;
use sluicegate_proxy::probe::Probe;
use sluicegate_proxy::process;
use sluicegate_proxy::settings::Settings;

/// Calls come and go in small pieces on every thread: measured against the system's allocator, this one is cheaper.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Where the system gives huge pages to everyone, the allocator's first arenas alone would take tens of MiB that
    // nothing uses. A kernel without them has nothing to switch off.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    if std::env::args_os().nth(1).is_some_and(|word| word == "probe") {
        return Probe::parse_from(std::env::args_os().skip(1)).run();
    }
    process::run(Settings::parse())
}
