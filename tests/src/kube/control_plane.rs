//! A control plane as a test holds it: started by asking for it, gone with the value or with the process.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::binaries::binary;

/// What a control plane consists of.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether the controllers run (garbage collection, namespaces, Deployments, EndpointSlices, HPA, …).
    pub controllers: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { controllers: true }
    }
}

/// etcd, the API server and the controllers, on loopback; pods are not run.
///
/// They are children of a process that ends them when its standard input ends. So they are gone when this value is, and
/// when the process that holds it ends in whatever way: the harness leaves without dropping what is static, and a
/// panic or SIGKILL drops nothing at all.
#[derive(Debug)]
pub struct ControlPlane {
    keeper: Option<Child>,
    kubeconfig: PathBuf,
}

impl ControlPlane {
    /// Starts one with controllers, which takes about three seconds.
    ///
    /// # Errors
    /// It can not be built, or is not ready in time; the message says what was logged.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(Options::default())
    }

    /// Starts one.
    ///
    /// # Errors
    /// As [`ControlPlane::start`].
    pub fn start_with(options: Options) -> anyhow::Result<Self> {
        if let Some(kubeconfig) = existing()? {
            return Ok(Self { keeper: None, kubeconfig });
        }
        let mut command = Command::new(binary("control-plane")?);
        if !options.controllers {
            command.arg("--without-controllers");
        }
        // A group of its own: Ctrl-C ends the tests, and their end ends this.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = command.spawn().context("starting the control plane")?;
        let mut line = String::new();
        if let Some(output) = keeper.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let Some(kubeconfig) = line.trim().strip_prefix("KUBECONFIG=").map(PathBuf::from) else {
            keeper.wait()?;
            bail!("the control plane did not start, see above");
        };
        Ok(Self { keeper: Some(keeper), kubeconfig })
    }

    /// The one that all tests of this process share. Keep to namespaces of your own in it.
    ///
    /// # Errors
    /// As [`ControlPlane::start`]; everybody gets the same error.
    pub fn shared() -> anyhow::Result<&'static Self> {
        static SHARED: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Self::start().map_err(|error| format!("{error:#}")));
        shared.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// The administrator's kubeconfig. The folder it is in holds the logs of the components and `audit.log`.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client with all rights, for the runtime this is called in.
    ///
    /// # Errors
    /// The kubeconfig can not be read.
    pub async fn client(&self) -> anyhow::Result<Client> {
        connect(&self.kubeconfig).await
    }

    /// Stops it and waits until nothing of it is left. Dropping it does the same and says nothing.
    ///
    /// # Errors
    /// Its process did not end well.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.end()
    }

    fn end(&mut self) -> anyhow::Result<()> {
        let Some(mut keeper) = self.keeper.take() else { return Ok(()) };
        drop(keeper.stdin.take());
        let status = keeper.wait()?;
        anyhow::ensure!(status.success(), "the control plane's process ended with {status}");
        Ok(())
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// The cluster to use instead of one of ours: that of `KUBECONFIG`, if `SLUICEGATE_TEST_KUBECONFIG=1` allows it. Not
/// without being told: tests create and delete, and somebody's `KUBECONFIG` may well point at production.
fn existing() -> anyhow::Result<Option<PathBuf>> {
    #[expect(clippy::disallowed_methods, reason = "cargo test passes no flags to this place")]
    let variable = |name: &str| std::env::var_os(name);
    if variable("SLUICEGATE_TEST_KUBECONFIG").is_none_or(|value| value != "1") {
        return Ok(None);
    }
    let named = variable("KUBECONFIG").context("SLUICEGATE_TEST_KUBECONFIG=1 wants KUBECONFIG to be set")?;
    Ok(Some(PathBuf::from(named)))
}

/// A client by a kubeconfig's current context.
///
/// # Errors
/// It can not be read.
pub async fn connect(kubeconfig: &Path) -> anyhow::Result<Client> {
    // The second in a process is refused, which is what is wanted.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
