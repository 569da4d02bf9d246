//! Container images of binaries of this workspace, or of programs of this machine, made without a container engine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use crate::binaries::binary;

/// An image archive; the file goes with the value.
#[derive(Debug)]
pub struct Image {
    /// What a pod's container calls it.
    pub name: String,
    /// The archive.
    pub archive: PathBuf,
    _folder: TempDir,
}

impl Image {
    /// Of built binaries, as `image/rootfs.sh` lays them out for every image of ours. A container runs the first of them
    /// when it is not told what, as user 65532.
    ///
    /// # Errors
    /// One is not built, or a tool is missing.
    pub fn of(name: &str, programs: &[&str]) -> anyhow::Result<Self> {
        Self::made(name, &programs.iter().map(|program| binary(program)).collect::<anyhow::Result<Vec<_>>>()?)
    }

    /// The same of programs that are installed on this machine, found as a shell finds them.
    ///
    /// # Errors
    /// One is not installed, or a tool is missing.
    pub fn of_installed(name: &str, programs: &[&str]) -> anyhow::Result<Self> {
        let find = |program: &&str| {
            let found = run(Command::new("sh").args(["-c", "command -v \"$1\"", "sh", program]));
            found.map(|path| PathBuf::from(path.trim())).with_context(|| format!("{program} is not installed"))
        };
        Self::made(name, &programs.iter().map(find).collect::<anyhow::Result<Vec<_>>>()?)
    }

    fn made(name: &str, programs: &[PathBuf]) -> anyhow::Result<Self> {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = TempDir::with_prefix("sluicegate-image-")?;
        let (root, archive) = (folder.path().join("root"), folder.path().join("image.tar"));
        run(Command::new(tests.join("../image/rootfs.sh")).arg(&root).args(programs))?;
        let first = programs.first().and_then(|program| program.file_name()).context("an image of nothing")?;
        let first = Path::new("/usr/local/bin").join(first);
        run(Command::new(tests.join("kube/image.py")).arg(&root).arg(name).arg(&archive).arg(first))?;
        Ok(Self { name: name.to_owned(), archive, _folder: folder })
    }
}

pub(super) fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}:\n{told}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}
