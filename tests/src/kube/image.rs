//! Container images of binaries of this workspace, made without a container engine.

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
    /// Of a built binary, with the libraries it is linked to and nothing else: no shell, nobody's password file. It is
    /// what the container runs, as user 65532.
    ///
    /// # Errors
    /// It is not built, or a tool is missing.
    pub fn of(name: &str, program: &str) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("sluicegate-image-")?;
        let (root, archive) = (folder.path().join("root"), folder.path().join("image.tar"));
        let built = binary(program)?;
        let inside = root.join("usr/bin").join(program);
        std::fs::create_dir_all(root.join("usr/bin"))?;
        // Of a debug build nine parts in ten are for a debugger.
        run(Command::new("strip").arg("-o").arg(&inside).arg(&built))?;
        for library in libraries(&built)? {
            let to = root.join(library.strip_prefix("/")?);
            std::fs::create_dir_all(to.parent().context("a library is in a folder")?)?;
            std::fs::copy(&library, &to).with_context(|| library.display().to_string())?;
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("kube/image.py");
        run(Command::new(script).arg(&root).arg(name).arg(&archive).arg(format!("/usr/bin/{program}")))?;
        Ok(Self { name: name.to_owned(), archive, _folder: folder })
    }
}

/// What a program is linked to, the loader included, as absolute paths.
fn libraries(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    // `libc.so.6 => /lib/x/libc.so.6 (0x…)`, `/lib64/ld-linux-x86-64.so.2 (0x…)`, `linux-vdso.so.1 (0x…)`
    let told = run(Command::new("ldd").arg(program))?;
    let words = told.lines().filter_map(|line| line.split_ascii_whitespace().find(|word| word.starts_with('/')));
    Ok(words.map(PathBuf::from).collect())
}

pub(super) fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}:\n{told}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}
