//! The process's own log: tracing, as JSON or text, through the same bounded queue as the access log.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::access_log::{LogLine, LogQueue};

/// The format of the process's own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For a person at a terminal.
    Text,
}

/// Sets the process's log up. `filter` is in tracing's words (`info`, `sluicegate=debug,warn`); one that cannot be
/// read counts as `info`. A second call does nothing.
///
/// A worker never waits for standard error: lines that do not fit the queue are dropped and counted.
pub fn init(filter: &str, format: LogFormat, queue: LogQueue) {
    let filter = EnvFilter::try_new(bounded(filter)).unwrap_or_else(|_| EnvFilter::new(bounded("info")));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Lines(queue)).with_ansi(false);
    // Already set: a test that starts several gateways in one process keeps the first.
    drop(match format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Text => builder.with_target(false).try_init(),
    });
}

/// Checks that a filter can be read; `Err`: what is wrong with it.
///
/// # Errors
/// It is none.
pub fn check(filter: &str) -> Result<(), String> {
    EnvFilter::try_new(filter).map(drop).map_err(|error| error.to_string())
}

/// Whatever is asked for: the client of the API server would log whole answers, and Secrets are among them. What it
/// meets is told by `source`, once.
fn bounded(filter: &str) -> String {
    let of_client = |word: &&str| word.trim().starts_with("kube");
    filter
        .split(',')
        .filter(|word| !of_client(word))
        .chain(["kube_client=off", "kube_runtime=off"])
        .collect::<Vec<_>>()
        .join(",")
}

struct Lines(LogQueue);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = OneLine<'a>;

    fn make_writer(&'a self) -> OneLine<'a> {
        OneLine { queue: &self.0, text: Vec::new() }
    }
}

/// Gathers one event's text and queues it whole.
struct OneLine<'a> {
    queue: &'a LogQueue,
    text: Vec<u8>,
}

impl io::Write for OneLine<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for OneLine<'_> {
    fn drop(&mut self) {
        if !self.text.is_empty() {
            self.queue.offer(LogLine::Process(std::mem::take(&mut self.text)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_filter_opens_the_log_to_secrets() {
        for filter in ["trace", "kube_client=trace", "info, kube_client::client=trace", "", "kube=trace,kube_runtime"] {
            let bounded = EnvFilter::try_new(bounded(filter)).unwrap().to_string();
            let lines: Vec<&str> = bounded.split(',').filter(|line| line.starts_with("kube")).collect();
            assert_eq!(lines.len(), 2, "{bounded}");
            assert!(lines.iter().all(|line| line.ends_with("=off")), "{bounded}");
        }
    }
}
