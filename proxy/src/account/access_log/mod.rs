//! The access log: JSON lines on standard output, sampled, from a bounded queue that a thread of its own empties.
//!
//! A worker never waits for it. What does not fit is dropped and counted.

mod line;

use std::cell::Cell;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::outcome::End;
use super::record::Record;
use line::LineWriter;

/// Lines that may wait to be written. The queue takes memory for those that do, not for all that may.
const QUEUE: usize = 4_096;
/// Lines are gathered for so long, and written together …
const GATHER: Duration = Duration::from_millis(5);
/// … until none has come for so many times.
const LOOKS: u32 = 40;
/// Lines about errors per second and worker; an attacker must not fill a disk.
const MOST_ERRORS: u32 = 200;

/// The amount of logging.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogSettings {
    /// Share of the calls that ended well and are logged, 0 to 1. Errors are always logged, up to a rate.
    pub sample: f64,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { sample: 1.0 }
    }
}

/// A line that waits to be written.
#[derive(Debug)]
pub(super) enum LogLine {
    /// A closed call, and when it closed.
    Call(Box<Record>, SystemTime),
    /// A line of the process's own log, whole.
    Process(Vec<u8>),
    /// The end.
    Stop,
}

#[derive(Debug, Default)]
struct Dropped {
    queue: AtomicU64,
    rate: AtomicU64,
}

/// The way into the log. Clones share one queue.
#[derive(Debug, Clone)]
pub struct LogQueue {
    sender: Sender<LogLine>,
    dropped: Arc<Dropped>,
}

impl LogQueue {
    /// A queue and the writer that empties it.
    #[must_use]
    pub fn new() -> (Self, LogWriter) {
        Self::bounded(QUEUE)
    }

    fn bounded(most: usize) -> (Self, LogWriter) {
        let (sender, receiver) = channel(most);
        (Self { sender, dropped: Arc::default() }, LogWriter { receiver })
    }

    pub(super) fn offer(&self, line: LogLine) {
        if self.sender.try_send(line).is_err() {
            self.dropped.queue.fetch_add(1, Relaxed);
        }
    }

    /// Lines dropped because the queue was full, and because errors came too fast.
    pub(super) fn dropped(&self) -> (u64, u64) {
        (self.dropped.queue.load(Relaxed), self.dropped.rate.load(Relaxed))
    }
}

/// The end of the queue that writes. Run it on a thread of its own.
#[derive(Debug)]
pub struct LogWriter {
    receiver: Receiver<LogLine>,
}

/// A running writer.
#[derive(Debug)]
pub struct LogThread {
    queue: LogQueue,
    thread: JoinHandle<()>,
}

impl LogThread {
    /// Writes out what is queued and ends. Does not wait when the queue is full or the output is stuck.
    pub fn finish(self) {
        let deadline = Instant::now() + Duration::from_secs(1);
        if self.queue.sender.try_send(LogLine::Stop).is_err() {
            return;
        }
        while !self.thread.is_finished() && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl LogWriter {
    /// Writes calls to standard output and the process's own log to standard error, on a thread of its own.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(self, queue: LogQueue) -> io::Result<LogThread> {
        let thread = Builder::new().name("log".to_owned()).spawn(move || {
            self.run(&mut io::stdout().lock(), &mut io::stderr());
        })?;
        Ok(LogThread { queue, thread })
    }

    /// Writes until told to stop or no queue is left. An output that fails loses its lines and nothing else.
    fn run(mut self, calls: &mut impl Write, process: &mut impl Write) {
        let (mut buffer, mut lines) = (Vec::with_capacity(8 * 1024), LineWriter::default());
        while let Some(line) = self.next(&mut buffer, calls) {
            match line {
                LogLine::Call(record, at) => lines.write(&mut buffer, &record, at),
                LogLine::Process(text) => drop(process.write_all(&text)),
                LogLine::Stop => break,
            }
            if buffer.len() >= 64 * 1024 {
                flush(&mut buffer, calls);
            }
        }
        flush(&mut buffer, calls);
    }

    /// The next line. Before waiting for one, what is buffered is written. While lines come, they are looked for now and
    /// then: to be woken for each would cost its worker more than all else about it, and each would be written alone.
    fn next(&mut self, buffer: &mut Vec<u8>, calls: &mut impl Write) -> Option<LogLine> {
        for _ in 0..LOOKS {
            match self.receiver.try_recv() {
                Ok(line) => return Some(line),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => {
                    flush(buffer, calls);
                    std::thread::park_timeout(GATHER);
                }
            }
        }
        self.receiver.blocking_recv()
    }
}

fn flush(buffer: &mut Vec<u8>, out: &mut impl Write) {
    if !buffer.is_empty() {
        drop(out.write_all(buffer).and_then(|()| out.flush()));
        buffer.clear();
    }
}

/// The choice of the calls that are logged: one worker's.
#[derive(Debug)]
pub(super) struct Sampler {
    queue: LogQueue,
    sample: f64,
    due: Cell<f64>,
    second: Cell<Option<Instant>>,
    errors: Cell<u32>,
}

impl Sampler {
    pub(super) fn new(queue: LogQueue, settings: LogSettings) -> Self {
        let sample = if settings.sample.is_finite() { settings.sample.clamp(0.0, 1.0) } else { 1.0 };
        // Half a step ahead, so that of a hundred calls at 1 % the fiftieth is told and not the last.
        Self { queue, sample, due: Cell::new(0.5), second: Cell::new(None), errors: Cell::new(0) }
    }

    /// Logs a closed call if it is its turn.
    pub(super) fn offer(&self, record: Box<Record>, now: Instant) {
        if self.wants(record.end, record.error.is_some(), now) {
            self.queue.offer(LogLine::Call(record, SystemTime::now()));
        }
    }

    fn wants(&self, end: End, error: bool, now: Instant) -> bool {
        if end.is_error() || error {
            return self.error_fits(now);
        }
        // Evenly spread instead of drawn: cheap, and exact over any stretch of calls.
        let due = self.due.get() + self.sample;
        self.due.set(due - due.floor());
        due >= 1.0
    }

    fn error_fits(&self, now: Instant) -> bool {
        let fresh = self.second.get().is_none_or(|since| now.saturating_duration_since(since).as_secs() >= 1);
        if fresh {
            self.second.set(Some(now));
            self.errors.set(0);
        }
        self.errors.set(self.errors.get().saturating_add(1));
        let fits = self.errors.get() <= MOST_ERRORS;
        if !fits {
            self.queue.dropped.rate.fetch_add(1, Relaxed);
        }
        fits
    }
}

#[cfg(test)]
mod tests;
