//! The files that are read again while the process runs, as metrics tell of them.

/// The facts told at a scrape of one thing that files hold.
#[derive(Debug, Clone, Copy)]
pub struct FileStat {
    /// `certificate` or `response_keys`.
    pub file: &'static str,
    /// The number of times that it was looked at and could not be taken.
    pub failures: u64,
    /// The time at which it ends, in seconds since 1970; `None`: it does not, or says nothing of it.
    pub ends: Option<i64>,
}
