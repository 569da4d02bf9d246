//! `sluicegate-operator`: watches resources, compiles them, publishes what proxies run on, and says how it stands.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use sluicegate_operator::offline::{self, Outcome};
use sluicegate_operator::process;
use sluicegate_operator::settings::{Command, Settings};

/// Thousands of small texts come and go: measured against the system's allocator, this one gives more of them back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Where the system gives huge pages to everyone, the allocator's first arenas alone would take tens of MiB that
    // nothing uses. A kernel without them has nothing to switch off.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let settings = Settings::parse();
    let mut out = io::stdout().lock();
    let outcome = match settings.command {
        Some(Command::Compile(settings)) => offline::compile_manifests(&settings, &mut out, &mut io::stderr()),
        Some(Command::Crds(settings)) => offline::print_crds(&settings, &mut out),
        Some(Command::Run(run)) => return operate(run),
        None => match settings.run {
            Some(run) => return operate(run),
            None => Settings::command()
                .error(clap::error::ErrorKind::MissingRequiredArgument, "--gateway NAME is required")
                .exit(),
        },
    };
    // A reader that has left (`| head`) is no failure of ours to tell.
    match outcome.and_then(|outcome| out.flush().map(|()| outcome)) {
        Ok(outcome) => ExitCode::from(outcome.status()),
        Err(_) => ExitCode::from(Outcome::Unreadable.status()),
    }
}

fn operate(run: sluicegate_operator::settings::Run) -> ExitCode {
    // Before anything speaks TLS; a second call, which there is not, would be told so.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    process::run(run)
}
