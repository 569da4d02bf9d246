//! The processes under measure: ours, a bare proxy, nginx, and the upstream behind them, each where it was pinned.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::listen::free_port;
use crate::process::{Process, pause};

/// The core that the proxy under measure has to itself.
pub(crate) const PROXY_CORE: usize = 0;
/// The core that load and upstream share.
pub(crate) const LOAD_CORE: usize = 1;

/// Pins this thread, and so every process it starts from now on.
///
/// # Errors
/// When the machine has no such core.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).with_context(|| format!("pin to core {core}"))
}

/// A server that listens.
#[derive(Debug)]
pub(crate) struct Server {
    /// The process that does the work.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Where the binaries and the scratch files are.
#[derive(Debug)]
pub(crate) struct Workshop {
    /// The folder of the built binaries.
    pub binaries: PathBuf,
    /// A folder for configuration.
    pub scratch: tempfile::TempDir,
}

impl Workshop {
    /// The binaries beside the running one.
    ///
    /// # Errors
    /// When there is no place for scratch files.
    pub(crate) fn open() -> Result<Self> {
        let binary = std::env::current_exe()?;
        let binaries = binary.parent().context("a binary is in a folder")?.to_owned();
        Ok(Self { binaries, scratch: tempfile::tempdir()? })
    }

    /// The simulated provider with fixed answers.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn upstream(&self, arguments: &[&str]) -> Result<Server> {
        let address = loopback()?;
        let mut command = self.binary("sluicegate-simulator");
        command.arg("--canned").arg("--listen").arg(address.to_string()).args(arguments);
        start(command, address)
    }

    /// A bare hyper proxy in front of `upstream`.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn bare(&self, upstream: SocketAddr) -> Result<Server> {
        let address = loopback()?;
        let mut command = self.binary("bare-proxy");
        command.args(["--listen", &address.to_string(), "--upstream", &upstream.to_string()]);
        start(command, address)
    }

    /// The proxy, with one worker, on the manifests given.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn sluicegate(&self, manifests: &str, arguments: &[&str]) -> Result<Server> {
        let folder = tempfile::tempdir_in(self.scratch.path())?.keep();
        std::fs::write(folder.join("bench.yaml"), manifests)?;
        let address = loopback()?;
        let mut command = self.binary("sluicegate-proxy");
        command.arg("--manifests").arg(&folder).args(["--listen", &address.to_string(), "--workers", "1"]);
        command.args(["--admin-listen", &loopback()?.to_string()]).args(arguments);
        start(command, address)
    }

    /// nginx with one worker in front of `upstream`; `None` when it is not installed.
    ///
    /// # Errors
    /// When it is installed and does not start.
    pub(crate) fn nginx(&self, upstream: SocketAddr) -> Result<Option<Server>> {
        if Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err() {
            return Ok(None);
        }
        let address = loopback()?;
        let file = self.scratch.path().join("nginx.conf");
        std::fs::write(&file, nginx_conf(self.scratch.path(), address, upstream))?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&file);
        start(command, address).map(Some)
    }

    fn binary(&self, name: &str) -> Command {
        Command::new(self.binaries.join(name))
    }
}

/// One process without a master, so that its CPU time is all there is; buffers large enough for every scenario's request.
fn nginx_conf(scratch: &Path, address: SocketAddr, upstream: SocketAddr) -> String {
    let scratch = scratch.display();
    format!(
        "daemon off; master_process off; pid {scratch}/nginx.pid; error_log {scratch}/nginx.log;\n\
         events {{ worker_connections 8192; }}\n\
         http {{\n\
           access_log off; keepalive_requests 1000000000; client_max_body_size 64m; client_body_buffer_size 1m;\n\
           client_body_temp_path {scratch}/body; proxy_temp_path {scratch}/proxy; fastcgi_temp_path {scratch}/f;\n\
           uwsgi_temp_path {scratch}/u; scgi_temp_path {scratch}/s;\n\
           upstream model {{ server {upstream}; keepalive 1024; keepalive_requests 1000000000; }}\n\
           server {{ listen {address}; location / {{ proxy_pass http://model; proxy_http_version 1.1;\n\
             proxy_set_header Connection \"\"; proxy_buffering off; }} }}\n\
         }}\n"
    )
}

fn loopback() -> Result<SocketAddr> {
    Ok(SocketAddr::from(([127, 0, 0, 1], free_port()?)))
}

fn start(mut command: Command, address: SocketAddr) -> Result<Server> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let name = format!("{:?}", command.get_program());
    let mut process = Process::start(&mut command).with_context(|| format!("start {name}"))?;
    // What it says is read, as whoever collects logs would, on the core of the load.
    if let Some(mut said) = process.child().stdout.take() {
        std::thread::spawn(move || pin(LOAD_CORE).is_ok() && std::io::copy(&mut said, &mut std::io::sink()).is_ok());
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(address).is_err() {
        if let Some(status) = process.child().try_wait()? {
            bail!("{name} ended at once: {status}");
        }
        if Instant::now() > deadline {
            bail!("{name} does not listen on {address}");
        }
        pause(Duration::from_millis(1));
    }
    Ok(Server { process, address })
}
