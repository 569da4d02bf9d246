//! A whole node as a test holds it: real pods, Services and names, in namespaces of its own. Needs root.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Service;
use kube::Client;
use kube::api::Api;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::control_plane::connect;
use super::image::{Image, run};
use crate::binaries::binary;
use crate::process::Process;

/// The nodes that the tests of a process share at most.
pub const NODES: usize = 2;
/// How long a Service may take to have somebody behind it.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where the API server listens inside.
const API_SERVER: ([u8; 4], u16) = ([198, 18, 0, 1], 6443);

/// A running node; taken down when dropped, and when this process ends in whatever way.
#[derive(Debug)]
pub struct Node {
    holder: Option<Child>,
    folder: PathBuf,
    kubeconfig: PathBuf,
    _api: Forward,
}

impl Node {
    /// Starts one, which takes about five seconds.
    ///
    /// # Errors
    /// This is not root, something is not installed, or a part of it is not ready in time.
    pub fn start() -> anyhow::Result<Self> {
        // The holder removes it: what is static is never dropped.
        let folder = TempDir::with_prefix("sluicegate-node-")?.keep();
        let mut command = Command::new(script());
        command.arg("hold").arg(&folder).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().context("starting the node")?;
        let mut line = String::new();
        if let Some(output) = holder.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        if line.trim() != "ready" {
            holder.wait()?;
            anyhow::bail!("the node did not start, see above");
        }
        let started = Forward::start(&folder, SocketAddr::from(API_SERVER));
        let kubeconfig = folder.join("kubeconfig-outside");
        let api = started.and_then(|api| outside(&folder, &api, &kubeconfig).map(|()| api));
        match api {
            Ok(api) => Ok(Self { holder: Some(holder), folder, kubeconfig, _api: api }),
            Err(error) => {
                drop(holder.stdin.take());
                holder.wait()?;
                Err(error)
            }
        }
    }

    /// The one that all tests of this process share; `None` when this is not root, after a line that says so. Keep to
    /// namespaces of your own in it.
    ///
    /// # Errors
    /// As [`Node::start`]; everybody gets the same error.
    pub fn shared() -> anyhow::Result<Option<&'static Self>> {
        Self::nth(0)
    }

    /// One of [`NODES`] that the tests of this process share, by its number: each starts when it is asked for first.
    ///
    /// # Errors
    /// As [`Node::shared`]; or there is no such one.
    pub fn nth(number: usize) -> anyhow::Result<Option<&'static Self>> {
        static SHARED: [OnceLock<Result<Option<Node>, String>>; NODES] = [const { OnceLock::new() }; NODES];
        let shared = SHARED.get(number).context("there is no such node")?.get_or_init(|| {
            if !rustix::process::geteuid().is_root() {
                // Not by a macro: the harness keeps what those print of tests that pass.
                let _ = std::io::stderr().write_all(b"skipped: what needs a node (real pods) needs root\n");
                return Ok(None);
            }
            Self::start().map(Some).map_err(|error| format!("{error:#}"))
        });
        shared.as_ref().map(Option::as_ref).map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// The administrator's kubeconfig, for use from outside.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The node's folder: `logs`, `pids` (as seen inside), `kubeconfig` (for use inside).
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A client with all rights, for the runtime this is called in.
    ///
    /// # Errors
    /// The kubeconfig can not be read.
    pub async fn client(&self) -> anyhow::Result<Client> {
        connect(&self.kubeconfig).await
    }

    /// Runs a command inside: the node's network, names, processes; the host's files. What it said.
    ///
    /// # Errors
    /// It failed; the message has its standard error.
    pub fn sh(&self, words: &[&str]) -> anyhow::Result<String> {
        run(Command::new(script()).arg("sh").arg(&self.folder).args(words))
    }

    /// A command that will run in the node's network and is otherwise one of the host's: a server that pods are to
    /// reach at 198.18.0.1, say. It is an ordinary child, to be stopped by its id. The kernel kills it with the thread
    /// that starts it, in whatever way that ends, so it has to be started by the thread that uses it.
    ///
    /// # Errors
    /// The node is gone.
    pub fn command(&self, program: &Path) -> anyhow::Result<Command> {
        // Each of them becomes the next, so what the first asks of the kernel holds for the last.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "nsenter", &network(&self.folder)?]).arg(program);
        Ok(command)
    }

    /// Gives the node an image.
    ///
    /// # Errors
    /// It is refused.
    pub fn load(&self, image: &Image) -> anyhow::Result<()> {
        run(Command::new(script()).arg("load").arg(&self.folder).arg(&image.archive)).map(drop)
    }

    /// Opens a port of loopback that leads to an address inside: a pod's or a Service's.
    ///
    /// # Errors
    /// The node is gone.
    pub fn forward(&self, target: SocketAddr) -> anyhow::Result<Forward> {
        Forward::start(&self.folder, target)
    }

    /// Opens a port of loopback that leads to a Service's first port, or to the one of this name, once the Service takes
    /// connections: it refuses them for a moment after its pods are ready.
    ///
    /// # Errors
    /// There is no such Service or port, or nobody is behind it in time.
    pub async fn forward_service(
        &self,
        (namespace, name): (&str, &str),
        port: Option<&str>,
    ) -> anyhow::Result<Forward> {
        let services: Api<Service> = Api::namespaced(self.client().await?, namespace);
        let spec = services.get(name).await?.spec.context("a Service has a spec")?;
        let ports = spec.ports.unwrap_or_default();
        let found = ports.iter().find(|found| port.is_none() || found.name.as_deref() == port);
        let port = u16::try_from(found.context("no such port")?.port)?;
        let address = spec.cluster_ip.context("a Service has an address")?;
        let connect = format!("exec 3<>/dev/tcp/{address}/{port}");
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.sh(&["bash", "-c", &connect]) {
            ensure!(Instant::now() < deadline, "nobody is behind {namespace}/{name} in time: {error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.forward(SocketAddr::new(address.parse()?, port))
    }

    /// Takes it down and waits until nothing of it is left. Dropping it does the same and says nothing.
    ///
    /// # Errors
    /// It did not end well.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.end()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let Some(mut holder) = self.holder.take() else { return Ok(()) };
        drop(holder.stdin.take());
        let status = holder.wait()?;
        ensure!(status.success(), "the node's holder ended with {status}");
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// A port of loopback that leads into a node; closed when dropped.
#[derive(Debug)]
pub struct Forward {
    /// Where to connect.
    pub address: SocketAddr,
    _process: Process,
}

impl Forward {
    fn start(folder: &Path, target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let mut command = Command::new("nsenter");
        command.arg(network(folder)?).arg(binary("forward")?);
        // Anybody's thread may be the one that starts it, and it outlives that. The pipe is read by nobody: its end tells the process that nobody is there.
        command.arg(target.to_string()).stdin(OwnedFd::from(listener)).stdout(Stdio::piped());
        Ok(Self { address, _process: Process::start(&mut command)? })
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kube/node.sh")
}

/// The node's network, as nsenter is told it.
fn network(folder: &Path) -> anyhow::Result<String> {
    let holder = std::fs::read_to_string(folder.join("holder")).context("the node is gone")?;
    Ok(format!("--net=/proc/{}/ns/net", holder.trim()))
}

/// The administrator's kubeconfig with the API server's address as seen from outside.
fn outside(folder: &Path, api: &Forward, to: &Path) -> anyhow::Result<()> {
    let mut config: Value = serde_saphyr::from_reader(File::open(folder.join("kubeconfig"))?)?;
    let server = config.pointer_mut("/clusters/0/cluster/server").context("the kubeconfig has a server")?;
    *server = json!(format!("https://{}", api.address));
    Ok(std::fs::write(to, serde_json::to_vec_pretty(&config)?)?)
}
