//! etcd, the API server and the controllers as processes on loopback. Runs inside the `control-plane` binary, which
//! outlives whoever asked for it just long enough to stop them; tests use [`super::ControlPlane`].

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

use super::control_plane::connect;
use super::{assets, pki};
use crate::listen::free_port;
use crate::process::Process;

/// How long the API server may take to be ready.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is written down of each request: who, what, when and how it ended; of reads nothing.
const AUDIT: &str = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [
  {"level": "None", "verbs": ["get", "list", "watch"]}, {"level": "Metadata"}]}"#;

/// Running components, killed and their folder removed when dropped.
#[derive(Debug)]
pub struct Components {
    // In the order in which they end: nobody loses the one it depends on.
    controllers: Option<Process>,
    server: Process,
    etcd: Process,
    folder: TempDir,
}

impl Components {
    /// Starts them and waits until the API server is ready; with `controllers` also the controller manager.
    ///
    /// # Errors
    /// One of them ends or is not ready in time; the message holds the end of its log.
    pub async fn start(controllers: bool) -> anyhow::Result<Self> {
        let binaries = assets()?;
        let mut last = None;
        // Somebody else may take a port between finding it and using it.
        for _ in 0..3 {
            match Self::attempt(&binaries, controllers).await {
                Ok(components) => return Ok(components),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no attempt")?)
    }

    async fn attempt(binaries: &Path, controllers: bool) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("sluicegate-kube-")?;
        let at = folder.path();
        pki::write(at)?;
        std::fs::write(at.join("audit-policy.json"), AUDIT)?;
        let (client, peer, port) = (free_port()?, free_port()?, free_port()?);
        write_kubeconfig(at, port)?;
        let etcd = start(at, binaries, "etcd", &etcd_flags(client, peer))?;
        let server = start(at, binaries, "kube-apiserver", &server_flags(client, port))?;
        let mut components = Self { controllers: None, server, etcd, folder };
        components.ready().await?;
        // envtest's assets hold no controllers.
        if controllers && binaries.join("kube-controller-manager").exists() {
            let at = components.folder.path();
            components.controllers = Some(start(at, binaries, "kube-controller-manager", &controller_flags())?);
        }
        Ok(components)
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let client = connect(&self.kubeconfig()).await?;
        loop {
            let request = http::Request::get("/readyz").body(Vec::new())?;
            if client.request_text(request).await.is_ok() {
                return Ok(());
            }
            for (name, process) in [("etcd", &mut self.etcd), ("kube-apiserver", &mut self.server)] {
                if let Some(status) = process.child().try_wait()? {
                    bail!("{name} ended with {status}:\n{}", end_of_log(self.folder.path(), name));
                }
            }
            let log = || end_of_log(self.folder.path(), "kube-apiserver");
            ensure!(Instant::now() < deadline, "the API server is not ready in time:\n{}", log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }
}

/// Starts one in the folder, its words going to a log there.
fn start(folder: &Path, binaries: &Path, name: &str, flags: &[String]) -> anyhow::Result<Process> {
    let log = File::create(folder.join(format!("{name}.log")))?;
    let mut command = Command::new(binaries.join(name));
    command.args(flags).current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Process::start(&mut command).with_context(|| format!("starting {name} from {}", binaries.display()))
}

fn end_of_log(folder: &Path, name: &str) -> String {
    let log = std::fs::read_to_string(folder.join(format!("{name}.log"))).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n")
}

fn flags(flags: &[&str]) -> Vec<String> {
    flags.iter().map(|flag| format!("--{flag}")).collect()
}

fn etcd_flags(client: u16, peer: u16) -> Vec<String> {
    let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    flags(&[
        "data-dir=etcd",
        "unsafe-no-fsync",
        &format!("listen-client-urls={client}"),
        &format!("advertise-client-urls={client}"),
        &format!("listen-peer-urls={peer}"),
        &format!("initial-advertise-peer-urls={peer}"),
        &format!("initial-cluster=default={peer}"),
    ])
}

/// Limits on requests in flight, priority and fairness, admission: all as they are by default.
fn server_flags(etcd: u16, port: u16) -> Vec<String> {
    flags(&[
        &format!("etcd-servers=http://127.0.0.1:{etcd}"),
        &format!("secure-port={port}"),
        "bind-address=127.0.0.1",
        // An address of loopback can not stand behind the Service `kubernetes`, and since 1.37 is not let try.
        "advertise-address=127.0.0.1",
        "endpoint-reconciler-type=none",
        "service-cluster-ip-range=198.19.0.0/16",
        "tls-cert-file=server.crt",
        "tls-private-key-file=server.key",
        "client-ca-file=ca.crt",
        "authorization-mode=Node,RBAC",
        "service-account-issuer=https://kubernetes.default.svc",
        "service-account-key-file=accounts.pub",
        "service-account-signing-key-file=accounts.key",
        "proxy-client-cert-file=front.crt",
        "proxy-client-key-file=front.key",
        "requestheader-client-ca-file=ca.crt",
        "requestheader-allowed-names=front-proxy",
        "requestheader-username-headers=X-Remote-User",
        "requestheader-group-headers=X-Remote-Group",
        "requestheader-extra-headers-prefix=X-Remote-Extra-",
        "audit-policy-file=audit-policy.json",
        "audit-log-path=audit.log",
    ])
}

fn controller_flags() -> Vec<String> {
    flags(&[
        "kubeconfig=kubeconfig",
        "secure-port=0",
        "leader-elect=false",
        "use-service-account-credentials",
        "service-account-private-key-file=accounts.key",
        "root-ca-file=ca.crt",
        "horizontal-pod-autoscaler-sync-period=1s",
    ])
}

fn write_kubeconfig(folder: &Path, port: u16) -> anyhow::Result<()> {
    let file = |name: &str| folder.join(name);
    let config = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "tests",
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "admin"}}],
        "clusters": [{"name": "tests", "cluster": {
            "server": format!("https://127.0.0.1:{port}"), "certificate-authority": file("ca.crt"),
        }}],
        "users": [{"name": "admin", "user": {
            "client-certificate": file("admin.crt"), "client-key": file("admin.key"),
        }}],
    });
    Ok(std::fs::write(file("kubeconfig"), serde_json::to_vec_pretty(&config)?)?)
}
