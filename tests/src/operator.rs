//! The built operator as a process of its own, against a cluster by its kubeconfig.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::process::Signal;

use crate::binaries::binary;
use crate::client::Client;
use crate::process::{Process, pause};
use crate::proxy::{LOOPBACK, Log, follow};

/// How long a start, or what is waited for, may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running operator; killed when dropped.
#[derive(Debug)]
pub struct Operator {
    process: Process,
    /// Where health, readiness and metrics are.
    pub admin: SocketAddr,
    log: Log,
}

impl Operator {
    /// Starts it for a gateway with these flags, and waits until it says where its pages are; not until it is ready.
    ///
    /// # Errors
    /// It is not built, or ends; the message holds its log.
    pub fn start(kubeconfig: &Path, (gateway, namespace): (&str, &str), flags: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(binary("sluicegate-operator")?);
        command.args(["--gateway", gateway, "--namespace", namespace, "--admin-listen", "127.0.0.1:0"]);
        command.args(["--allow-networks", LOOPBACK]).args(flags);
        command.env("KUBECONFIG", kubeconfig);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = Process::start(&mut command).context("starting the operator")?;
        let log = Log::default();
        process.child().stderr.take().into_iter().for_each(|pipe| follow(pipe, &log));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lines = lines(&log);
            let admin = lines.iter().find_map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).ok()?;
                line.get("admin")?.as_str()?.parse().ok()
            });
            if let Some(admin) = admin {
                return Ok(Self { process, admin, log });
            }
            let ended = process.child().try_wait()?;
            ensure!(ended.is_none() && Instant::now() < deadline, "the operator did not start:\n{}", lines.join("\n"));
            pause(Duration::from_millis(5));
        }
    }

    /// Its process.
    #[must_use]
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        lines(&self.log)
    }

    /// An admin page: status and text.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn page(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let answer = Client::new(self.admin).get(path).await?;
        Ok((answer.status, answer.text()))
    }

    /// Waits until every list has been read.
    ///
    /// # Errors
    /// That does not come in time; the message holds its log.
    pub async fn ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.page("/readyz").await.map(|(status, _)| status).unwrap_or_default() != 200 {
            ensure!(Instant::now() < deadline, "the operator did not get ready:\n{}", self.log().join("\n"));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// The sum of a metric over the series whose labels hold each of these texts.
    ///
    /// # Errors
    /// Its metrics can not be read.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> anyhow::Result<f64> {
        let (_, text) = self.page("/metrics").await?;
        let series = text.lines().filter(|line| {
            let own = line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
            own && labels.iter().all(|label| line.contains(label))
        });
        Ok(series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Writes to the API server so far of a resource (`configmaps`, `llmroutes/status`), or, empty, of all but the Lease.
    ///
    /// # Errors
    /// Its metrics can not be read.
    pub async fn writes(&self, resource: &str) -> anyhow::Result<u64> {
        let name = "sluicegate_operator_api_writes_total";
        let sum = if resource.is_empty() {
            self.metric(name, &[]).await? - self.metric(name, &["resource=\"leases\""]).await?
        } else {
            self.metric(name, &[&format!("resource=\"{resource}\"")]).await?
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter of writes")]
        Ok(sum as u64)
    }

    /// Sends SIGTERM and waits for its end.
    ///
    /// # Errors
    /// It does not end in time; the message holds its log.
    pub async fn stop(mut self) -> anyhow::Result<ExitStatus> {
        self.process.signal(Signal::TERM)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.child().try_wait()? {
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "the operator did not end:\n{}", self.log().join("\n"));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn lines(log: &Log) -> Vec<String> {
    log.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
}
