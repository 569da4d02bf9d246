//! The memory that the process may use: its cgroup's limit or those around it, else what the machine has.

use std::fs;
use std::path::{Path, PathBuf};

/// The share of what the process may use that calls may hold in sum. The rest is for the program, configuration,
/// connections, the answer cache, and what the allocator keeps.
const SHARE: u64 = 2;
/// The memory that is assumed where nothing says how much there is.
const UNKNOWN: u64 = 1 << 30;
/// With less no call of the usual size would be taken.
const SMALLEST: u64 = 1 << 20;

/// The budget where nothing else is said.
#[must_use]
pub fn default_budget() -> usize {
    let limit = memory_limit(Path::new("/")).unwrap_or(UNKNOWN);
    usize::try_from((limit / SHARE).max(SMALLEST)).unwrap_or(usize::MAX)
}

/// The smallest limit that holds for this process, with the file system's root at `root`.
fn memory_limit(root: &Path) -> Option<u64> {
    let read = |path: &Path| fs::read_to_string(path).ok();
    let groups = read(&root.join("proc/self/cgroup")).unwrap_or_default();
    let files = groups.lines().flat_map(|line| limit_files(&root.join("sys/fs/cgroup"), line));
    let limits = files.filter_map(|file| read(&file)?.trim().parse().ok());
    let machine = read(&root.join("proc/meminfo")).as_deref().and_then(physical);
    limits.chain(machine).filter(|limit| *limit > 0).min()
}

/// The files that may hold a limit for a process of which `/proc/self/cgroup` says this line: its own group's and those
/// of all groups around it. In a container the path may be the host's, and is not there: then the outermost one is
/// the container's own.
fn limit_files(mounted: &Path, line: &str) -> Vec<PathBuf> {
    let mut fields = line.splitn(3, ':');
    let (Some(number), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
        return Vec::new();
    };
    let (top, file) = if (number, controllers) == ("0", "") {
        (mounted.to_owned(), "memory.max")
    } else if controllers.split(',').any(|controller| controller == "memory") {
        (mounted.join("memory"), "memory.limit_in_bytes")
    } else {
        return Vec::new();
    };
    let inside: Vec<&str> = path.split('/').filter(|name| !name.is_empty() && *name != "..").collect();
    let groups = (0..=inside.len()).filter_map(|depth| inside.get(..depth));
    groups.map(|names| names.iter().fold(top.clone(), |path, name| path.join(name)).join(file)).collect()
}

/// The memory that the machine has by `/proc/meminfo`, in bytes.
fn physical(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// What a machine of 8 GiB with these files says.
    fn limit(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        let machine = [("proc/meminfo", "MemTotal:        8388608 kB\nMemFree: 5 kB\n")];
        for (path, text) in machine.iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        memory_limit(root.path())
    }

    #[test]
    fn the_smallest_limit_around_the_process_holds() {
        let own = ("proc/self/cgroup", "0::/a/b\n");
        let (outer, inner) = ("sys/fs/cgroup/a/memory.max", "sys/fs/cgroup/a/b/memory.max");
        assert_eq!(limit(&[]), Some(8192 * MIB));
        assert_eq!(limit(&[own, (inner, "max\n")]), Some(8192 * MIB));
        assert_eq!(limit(&[own, (inner, "268435456\n")]), Some(256 * MIB));
        assert_eq!(limit(&[own, (inner, "max\n"), (outer, "134217728\n")]), Some(128 * MIB));
        assert_eq!(limit(&[own, (inner, "268435456\n"), (outer, "134217728\n")]), Some(128 * MIB));
        // A container whose group is the mounted one, under its own name or the host's.
        let mounted = ("sys/fs/cgroup/memory.max", "67108864\n");
        assert_eq!(limit(&[("proc/self/cgroup", "0::/\n"), mounted]), Some(64 * MIB));
        assert_eq!(limit(&[("proc/self/cgroup", "0::/kubepods/pod1/c\n"), mounted]), Some(64 * MIB));
    }

    #[test]
    fn the_first_versions_limits_hold_and_what_is_none_does_not() {
        let own = ("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/c\n0::/y\n");
        let file = "sys/fs/cgroup/memory/docker/c/memory.limit_in_bytes";
        assert_eq!(limit(&[own, (file, "9223372036854771712\n")]), Some(8192 * MIB));
        assert_eq!(limit(&[own, (file, "536870912\n")]), Some(512 * MIB));
        assert_eq!(limit(&[own, ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1048576\n")]), Some(MIB));
        for odd in ["", "nonsense", "5", "5:memory", "0::/../../etc"] {
            assert_eq!(limit(&[("proc/self/cgroup", odd)]), Some(8192 * MIB), "{odd:?}");
        }
    }
}
