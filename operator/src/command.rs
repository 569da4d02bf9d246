//! `sluicegate-operator`, the command: it watches resources, compiles them, publishes what proxies run on, and says how it
//! stands; or it does one of these offline.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::offline::{self, Outcome};
use crate::process;
use crate::settings::{Command, Run, Settings};

/// Runs what a command line says, its first word being the program's name. One that is wrong ends the process.
#[must_use]
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    let settings = Settings::parse_from(arguments);
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

fn operate(run: Run) -> ExitCode {
    // Before anything speaks TLS; a second call, which there is not, would be told so.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    process::run(run)
}
