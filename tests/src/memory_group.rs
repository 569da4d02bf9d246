//! A memory cgroup for one process of a test, of either version, where the test may make one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::pause;

/// A cgroup with a memory limit; gone when dropped, and so to be dropped after what runs in it.
#[derive(Debug)]
pub struct MemoryGroup {
    path: PathBuf,
}

impl MemoryGroup {
    /// Makes one of so many bytes.
    ///
    /// # Errors
    /// This machine lets nobody make one here, and why.
    pub fn new(limit: u64) -> Result<Self, String> {
        let (first, second) = (Path::new("/sys/fs/cgroup/memory"), Path::new("/sys/fs/cgroup"));
        let (top, file) = if first.join("memory.limit_in_bytes").exists() {
            (first, "memory.limit_in_bytes")
        } else {
            // The groups inside of the root's have the controller only if it says so.
            let _ = fs::write(second.join("cgroup.subtree_control"), "+memory");
            (second, "memory.max")
        };
        let path = top.join(format!("sluicegate-test-{}-{limit}", std::process::id()));
        let said = |what: &str, error: std::io::Error| format!("no memory cgroup: {what} {}: {error}", path.display());
        fs::create_dir(&path).map_err(|error| said("making", error))?;
        let group = Self { path: path.clone() };
        fs::write(path.join(file), limit.to_string()).map_err(|error| said("limiting", error))?;
        Ok(group)
    }

    /// A command that runs a program in it.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]);
        command.arg(self.path.join("cgroup.procs")).arg(program);
        command
    }

    /// The most memory that was in use, where the kernel says it.
    #[must_use]
    pub fn peak(&self) -> Option<u64> {
        let files = ["memory.peak", "memory.max_usage_in_bytes"];
        files.iter().find_map(|file| fs::read_to_string(self.path.join(file)).ok()?.trim().parse().ok())
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // A process that has ended may still be counted for a moment.
        for _ in 0..100 {
            if fs::remove_dir(&self.path).is_ok() {
                return;
            }
            pause(Duration::from_millis(20));
        }
    }
}
