//! The files that are read again while the process runs, as metrics tell of them.

use std::fmt::Error;

use super::metrics::{Metrics, lock};
use super::names;
use super::page::Page;

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

impl Metrics {
    /// Asked at each scrape how the files stand that are read again.
    pub fn ask_files(&self, ask: impl Fn() -> Vec<FileStat> + Send + Sync + 'static) {
        lock(&self.files).push(Box::new(ask));
    }
}

impl Page<'_> {
    pub(super) fn files(&mut self, metrics: &Metrics) -> Result<(), Error> {
        let stats: Vec<_> = lock(&metrics.files).iter().flat_map(|ask| ask()).collect();
        let failures = stats.iter().map(|stat| (vec![stat.file], stat.failures)).collect();
        self.counters(&names::FILE_RELOAD_FAILURES, &failures)?;
        match stats.iter().filter_map(|stat| stat.ends).min() {
            Some(ends) => self.gauge(&names::CERTIFICATE_ENDS, ends),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::LogQueue;
    use super::*;

    #[test]
    fn files_are_told_of_where_there_are_any() {
        let metrics = Metrics::new(LogQueue::new().0);
        let page = || {
            let mut text = String::new();
            metrics.write(&mut text).unwrap();
            text
        };
        assert!(!page().contains("sluicegate_file_reload_failures") && !page().contains("not_after"));
        let stat = |file, failures, ends| vec![FileStat { file, failures, ends }];
        metrics.ask_files(move || stat("certificate", 3, Some(1_800_000_000)));
        metrics.ask_files(move || stat("response_keys", 0, None));
        for line in [
            "sluicegate_file_reload_failures_total{file=\"certificate\"} 3",
            "sluicegate_file_reload_failures_total{file=\"response_keys\"} 0",
            "sluicegate_tls_certificate_not_after_timestamp_seconds 1800000000",
        ] {
            assert!(page().lines().any(|written| written == line), "{line}: {}", page());
        }
    }
}
