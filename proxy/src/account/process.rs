//! The numbers that the kernel has of this process, read at a scrape.

use std::fs;

/// Clock ticks per second in /proc: fixed at 100 for user space on every Linux architecture.
const TICKS: f64 = 100.0;

/// Resident memory in bytes; `None` where there is no /proc.
pub(super) fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// User and system CPU time in seconds; `None` where there is no /proc.
pub(super) fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the command's name in parentheses and may hold spaces.
    let (_, after) = stat.rsplit_once(')')?;
    let mut fields = after.split_ascii_whitespace().skip(11);
    let user = fields.next()?.parse::<u64>().ok()?;
    let system = fields.next()?.parse::<u64>().ok()?;
    Some((user + system) as f64 / TICKS)
}

/// Open file descriptors; `None` where there is no /proc.
pub(super) fn open_fds() -> Option<u64> {
    let count = fs::read_dir("/proc/self/fd").ok()?.count();
    // One of them is the directory being read.
    u64::try_from(count).ok()?.checked_sub(1)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    #[test]
    fn a_process_has_memory_and_descriptors() {
        assert!(super::resident_bytes().unwrap() > 100_000);
        assert!(super::cpu_seconds().unwrap() >= 0.0);
        assert!(super::open_fds().unwrap() >= 3);
    }
}
