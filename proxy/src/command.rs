//! `sluicegate-proxy`, the command: settings in, workers up, wait for the end. Or `probe`, which asks and ends.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use crate::probe::Probe;
use crate::process;
use crate::settings::Settings;

/// Runs what a command line says, its first word being the program's name. One that is wrong ends the process.
#[must_use]
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    if arguments.get(1).is_some_and(|word| word == "probe") {
        return Probe::parse_from(arguments.into_iter().skip(1)).run();
    }
    process::run(Settings::parse_from(arguments))
}
