//! Where the Kubernetes binaries are: built once by `tests/setup/kubebox.sh`, or what `KUBEBUILDER_ASSETS` names.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, ensure};

/// The folder with `etcd`, `kube-apiserver` and the rest, built when it is not there yet (minutes, the first time). It is
/// asked for once: tests run kubectl by the hundred.
///
/// # Errors
/// It can not be built; the message says why.
pub fn assets() -> anyhow::Result<PathBuf> {
    static ASSETS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let assets = ASSETS.get_or_init(|| ask().map_err(|error| format!("{error:#}")));
    assets.clone().map_err(|error| anyhow::anyhow!("{error}"))
}

fn ask() -> anyhow::Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("setup/kubebox.sh");
    let output = Command::new(&script).output().with_context(|| format!("running {}", script.display()))?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed:\n{told}", script.display());
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}
