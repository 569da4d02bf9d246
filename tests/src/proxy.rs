//! The built proxy as a process of its own, on manifests in a folder of its own that can be changed while it runs.

use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::binaries::binary;
use crate::client::Client;
use crate::memory_group::MemoryGroup;
use crate::process::{Process, pause};

/// How long a start, or a change of configuration, may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where providers of tests are.
pub(crate) const LOOPBACK: &str = "127.0.0.0/8";
/// Log lines kept of one process.
const MOST_LINES: usize = 200_000;
/// The looks at the metrics for calls whose answers are here and whose entries are being closed.
const BOOKING_LOOKS: usize = 20;

/// A running proxy; killed when dropped.
#[derive(Debug)]
pub struct Proxy {
    process: Process,
    /// Where calls go.
    pub address: SocketAddr,
    /// Where calls go over TLS, when that is a port of its own.
    pub tls_address: Option<SocketAddr>,
    /// Where health, readiness and metrics are.
    pub admin: SocketAddr,
    folder: TempDir,
    log: Log,
    /// Whoever reads the metrics reads them again until something holds.
    reread: AtomicBool,
}

pub(crate) type Log = Arc<Mutex<Vec<String>>>;

impl Proxy {
    /// Starts it on these manifests (file name, text) with these flags, and waits until it is ready.
    ///
    /// # Errors
    /// It is not built, ends, or is not ready in time; the message holds its log.
    pub fn start(files: &[(&str, &str)], flags: &[&str]) -> anyhow::Result<Self> {
        let proxy = Self::begin(files, flags)?;
        proxy.ready()?;
        Ok(proxy)
    }

    /// As [`Proxy::start`], in a memory cgroup.
    ///
    /// # Errors
    /// As [`Proxy::start`].
    pub fn start_within(group: &MemoryGroup, files: &[(&str, &str)], flags: &[&str]) -> anyhow::Result<Self> {
        let proxy = Self::in_folder(group.command(&binary("sluicegate-proxy")?), files, flags)?;
        proxy.ready()?;
        Ok(proxy)
    }

    /// As [`Proxy::start`], ready or not. Without files there is no folder either.
    ///
    /// # Errors
    /// It is not built, or ends; the message holds its log.
    pub fn begin(files: &[(&str, &str)], flags: &[&str]) -> anyhow::Result<Self> {
        Self::in_folder(Command::new(binary("sluicegate-proxy")?), files, flags)
    }

    /// As [`Proxy::start`], with these variables in its environment.
    ///
    /// # Errors
    /// As [`Proxy::start`].
    pub fn with_environment(
        variables: &[(&str, &str)],
        files: &[(&str, &str)],
        flags: &[&str],
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(binary("sluicegate-proxy")?);
        command.envs(variables.iter().copied());
        let proxy = Self::in_folder(command, files, flags)?;
        proxy.ready()?;
        Ok(proxy)
    }

    /// As [`Proxy::begin`], with so many descriptors and no more.
    ///
    /// # Errors
    /// As [`Proxy::begin`].
    pub fn limited(descriptors: u32, files: &[(&str, &str)], flags: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n \"$0\" && exec \"$@\"", &descriptors.to_string()]);
        command.arg(binary("sluicegate-proxy")?);
        Self::in_folder(command, files, flags)
    }

    fn in_folder(mut command: Command, files: &[(&str, &str)], flags: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let manifests = folder.path().join("manifests");
        if !files.is_empty() {
            std::fs::create_dir(&manifests)?;
        }
        for (name, text) in files {
            std::fs::write(manifests.join(name), text)?;
        }
        command.arg("--manifests").arg(manifests).args(flags);
        Self::run(command, folder)
    }

    /// Starts it on what is published of a gateway, and waits until it is ready.
    ///
    /// # Errors
    /// As [`Proxy::start`].
    pub fn in_cluster(kubeconfig: &Path, of: (&str, &str), flags: &[&str]) -> anyhow::Result<Self> {
        let proxy = Self::watching(kubeconfig, of, flags)?;
        proxy.ready()?;
        Ok(proxy)
    }

    /// As [`Proxy::in_cluster`], ready or not.
    ///
    /// # Errors
    /// It is not built, or ends; the message holds its log.
    pub fn watching(kubeconfig: &Path, of: (&str, &str), flags: &[&str]) -> anyhow::Result<Self> {
        Self::program("sluicegate-proxy", kubeconfig, of, flags)
    }

    /// As [`Proxy::in_cluster`]: a proxy of before there were limits.
    ///
    /// # Errors
    /// As [`Proxy::start`].
    pub fn older_in_cluster(kubeconfig: &Path, of: (&str, &str), flags: &[&str]) -> anyhow::Result<Self> {
        let proxy = Self::program("older_proxy", kubeconfig, of, flags)?;
        proxy.ready()?;
        Ok(proxy)
    }

    fn program(
        name: &str,
        kubeconfig: &Path,
        (gateway, namespace): (&str, &str),
        flags: &[&str],
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(binary(name)?);
        // Providers of tests are on loopback, where a cluster has none.
        command.args(["--gateway", gateway, "--namespace", namespace, "--allow-networks", LOOPBACK]);
        command.args(flags).env("KUBECONFIG", kubeconfig);
        Self::run(command, tempfile::tempdir()?)
    }

    fn run(mut command: Command, folder: TempDir) -> anyhow::Result<Self> {
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::start(&mut command).context("starting the proxy")?;
        let log = Log::default();
        process.child().stdout.take().into_iter().for_each(|pipe| follow(pipe, &log));
        process.child().stderr.take().into_iter().for_each(|pipe| follow(pipe, &log));
        let Addresses { address, tls_address, admin } = addresses(&mut process, &log)?;
        Ok(Self { process, address, tls_address, admin, folder, log, reread: AtomicBool::new(false) })
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    /// It is not in time; the message holds its log.
    pub fn ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.page("/readyz").map(|(status, _)| status).unwrap_or_default() != 200 {
            ensure!(Instant::now() < deadline, "the proxy did not get ready:\n{}", self.log().join("\n"));
            pause(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Waits until it is ready, or has ended; says which.
    ///
    /// # Errors
    /// Neither happens in time; the message holds its log.
    pub fn ready_or_gone(&mut self) -> anyhow::Result<bool> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.page("/readyz") {
                Ok((200, _)) => return Ok(true),
                // On a busy machine it may be there and not answer.
                Err(_) if self.process.child().try_wait()?.is_some() => return Ok(false),
                Ok(_) | Err(_) => {}
            }
            ensure!(Instant::now() < deadline, "the proxy did not get ready:\n{}", self.log().join("\n"));
            pause(Duration::from_millis(5));
        }
    }

    /// Its process.
    #[must_use]
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// A client of it.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Puts a manifest into its folder, or a new text into one, in one step.
    ///
    /// # Errors
    /// The folder can not be written to.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let draft = self.folder.path().join("draft");
        std::fs::write(&draft, text)?;
        Ok(std::fs::rename(draft, self.path("manifests").join(name))?)
    }

    /// A file or folder beside the manifests, for what else a test gives the proxy.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its log so far, both outputs.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends SIGTERM.
    ///
    /// # Errors
    /// It is gone.
    pub fn terminate(&self) -> anyhow::Result<()> {
        Ok(self.process.signal(Signal::TERM)?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It does not end in time; the message holds its log.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        // The test's own connections are served meanwhile: a peer that is frozen is another matter.
        loop {
            if let Some(status) = self.process.child().try_wait()? {
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "the proxy did not end:\n{}", self.log().join("\n"));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// An admin page, by a connection of its own: status and text.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn page(&self, path: &str) -> anyhow::Result<(u16, String)> {
        use std::io::Write as _;
        let mut socket = std::net::TcpStream::connect(self.admin)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        write!(socket, "GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n")?;
        let mut text = Vec::new();
        socket.read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        let (head, body) = text.split_once("\r\n\r\n").context("no head")?;
        let status = head.get(9..12).and_then(|status| status.parse().ok()).context("no status")?;
        Ok((status, body.to_owned()))
    }

    /// Its metrics now. A call is counted just after its answer is written, so calls in flight are waited for, for a moment:
    /// when none is, all that they have counted is there. Within [`Self::until`] nothing is waited for.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn metrics(&self) -> anyhow::Result<Metrics> {
        // What is waited for here, the test's own calls do not go on in.
        let looks = if self.reread.load(Ordering::Relaxed) { 0 } else { BOOKING_LOOKS };
        for _ in 0..looks {
            if Metrics(self.page("/metrics")?.1).sum("sluicegate_inflight_requests", &[]) == 0.0 {
                break;
            }
            pause(Duration::from_millis(10));
        }
        Ok(Metrics(self.page("/metrics")?.1))
    }

    /// Waits until something holds.
    ///
    /// # Errors
    /// It does not hold in time; the message holds `what` and the log's end.
    pub async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut once = || {
            self.reread.store(true, Ordering::Relaxed);
            let holds = holds(self);
            self.reread.store(false, Ordering::Relaxed);
            holds
        };
        while !once() {
            if Instant::now() > deadline {
                let log = self.log();
                let end = log.get(log.len().saturating_sub(20)..).unwrap_or_default().join("\n");
                bail!("{what}: not in time; the log ends\n{end}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

/// The metrics page.
#[derive(Debug, Clone)]
pub struct Metrics(pub String);

impl Metrics {
    /// The sum of a metric's samples that carry all of these labels.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        let samples = self.0.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && wanted.iter().all(|label| line.contains(label.as_str()))
        });
        let values = samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        values.fold(0.0, |sum, value| sum + value)
    }
}

pub(crate) fn follow(pipe: impl Read + Send + 'static, log: &Log) {
    let log = Arc::clone(log);
    let lines = BufReader::new(pipe).lines().map_while(Result::ok);
    std::thread::spawn(move || {
        for line in lines {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            if log.len() < MOST_LINES {
                log.push(line);
            }
        }
    });
}

/// What the line that says `listening` says.
struct Addresses {
    address: SocketAddr,
    tls_address: Option<SocketAddr>,
    admin: SocketAddr,
}

fn addresses(process: &mut Process, log: &Log) -> anyhow::Result<Addresses> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let lines = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let said = lines.iter().find(|line| line.contains("\"message\":\"listening\""));
        if let Some(said) = said {
            let said: serde_json::Value = serde_json::from_str(said)?;
            let address = |key: &str| said.get(key).and_then(|text| text.as_str()).and_then(|text| text.parse().ok());
            let tls_address = address("tls_listen");
            let found = address("listen").zip(address("admin")).with_context(|| format!("no addresses in {said}"));
            return found.map(|(address, admin)| Addresses { address, tls_address, admin });
        }
        if let Some(status) = process.child().try_wait()? {
            // Those who follow its outputs hold the log until they have read them to their ends.
            while Arc::strong_count(log) > 1 && Instant::now() < deadline {
                pause(Duration::from_millis(1));
            }
            let lines = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
            bail!("the proxy ended with {status}:\n{}", lines.join("\n"));
        }
        ensure!(Instant::now() < deadline, "the proxy does not listen:\n{}", lines.join("\n"));
        pause(Duration::from_millis(5));
    }
}
