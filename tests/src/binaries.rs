//! The workspace's binaries, started and stopped by tests.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::process::Process;

/// Where a binary or an example of the workspace is: beside the running test, in the same profile's folder.
///
/// # Errors
///
/// It is not there: another package's binary is not built by building a test (the Makefile builds the workspace first).
pub fn binary(name: &str) -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe()?;
    // target/PROFILE/deps/TEST-HASH → target/PROFILE/NAME
    let folders = here.ancestors().skip(1).take(3);
    let found =
        folders.flat_map(|folder| [folder.join(name), folder.join("examples").join(name)]).find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built: run `cargo build --workspace` with the profile of this test"))
}

/// The simulator as a process of its own; stopped when dropped.
#[derive(Debug)]
pub struct Simulator {
    /// The process.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Simulator {
    /// Starts it on a free loopback port with these flags.
    ///
    /// # Errors
    ///
    /// It is not built, or ends before it says where it listens.
    pub fn start(flags: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(binary("sluicegate-simulator")?);
        Self::spawn(command.args(["--listen", "127.0.0.1:0"]).args(flags).stdin(Stdio::null()))
    }

    /// Starts it by a command of the caller's.
    ///
    /// # Errors
    ///
    /// It ends before it says where it listens.
    pub fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let mut process = Process::start(command.stdout(Stdio::piped())).context("starting the simulator")?;
        let mut line = String::new();
        if let Some(output) = process.child().stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let address = line.trim().strip_prefix("listening on ").and_then(|address| address.parse().ok());
        let address = address.with_context(|| format!("the simulator did not say where it listens: {line:?}"))?;
        Ok(Self { process, address })
    }

    /// A URL on it: `http://ADDRESS` and this path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}
