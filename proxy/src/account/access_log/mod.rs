//! The access log: JSON lines on standard output, sampled. Each worker writes its lines on a page of its own, and a thread
//! of its own writes the pages out; the process's own log comes to it through a bounded queue.
//!
//! A worker never waits for an output. What does not fit is dropped and counted.

mod line;
mod page;

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::outcome::End;
use super::record::Record;
use line::LineWriter;
use page::LogPage;

/// Lines of the process's own log that may wait to be written. The queue takes memory for those that do, not for all that may.
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

/// A word to the log's thread.
#[derive(Debug)]
pub(super) enum LogLine {
    /// A line of the process's own log, whole.
    Process(Vec<u8>),
    /// There may be something on the pages.
    Look,
    /// The end.
    Stop,
}

/// The pages of all workers, and what their workers and the thread of the log tell each other.
#[derive(Debug, Default)]
struct LogPages {
    pages: Mutex<Vec<Arc<LogPage>>>,
    /// The thread looks at no page until it is told to.
    asleep: AtomicBool,
    /// Lines that found no place.
    full: AtomicU64,
    /// Lines about errors that came too fast.
    rate: AtomicU64,
    /// Lines that their output did not take.
    unwritten: AtomicU64,
}

impl LogPages {
    fn pages(&self) -> Vec<Arc<LogPage>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn page(&self) -> Arc<LogPage> {
        let page = Arc::<LogPage>::default();
        self.pages.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&page));
        page
    }
}

/// The way into the log. Clones share one queue.
#[derive(Debug, Clone)]
pub struct LogQueue {
    sender: Sender<LogLine>,
    shared: Arc<LogPages>,
}

impl LogQueue {
    /// A queue and the writer that empties it.
    #[must_use]
    pub fn new() -> (Self, LogWriter) {
        Self::bounded(QUEUE)
    }

    fn bounded(most: usize) -> (Self, LogWriter) {
        let (sender, receiver) = channel(most);
        let shared = Arc::<LogPages>::default();
        (Self { sender, shared: Arc::clone(&shared) }, LogWriter { receiver, shared })
    }

    pub(super) fn offer(&self, line: LogLine) {
        if self.sender.try_send(line).is_err() {
            self.shared.full.fetch_add(1, Relaxed);
        }
    }

    /// Wakes the thread for what was put on a page. It looks at all pages once more after it said that it sleeps, so
    /// that whoever comes with a line either is seen by it or sees that.
    fn look(&self) {
        if self.shared.asleep.load(SeqCst) && self.shared.asleep.swap(false, SeqCst) {
            // Where the queue is full the thread has not gone to sleep.
            drop(self.sender.try_send(LogLine::Look));
        }
    }

    /// Lines dropped because there was no place for them, because errors came too fast, and because their output did not take them.
    pub(super) fn dropped(&self) -> [u64; 3] {
        [&self.shared.full, &self.shared.rate, &self.shared.unwritten].map(|count| count.load(Relaxed))
    }
}

/// The end of the log that writes. Run it on a thread of its own.
#[derive(Debug)]
pub struct LogWriter {
    receiver: Receiver<LogLine>,
    shared: Arc<LogPages>,
}

/// A look at the pages.
enum PageWrite {
    /// Nothing was on them.
    Nothing,
    /// All that was on them is written.
    Written,
    /// Their output did not take it all.
    Lost(io::Error),
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

    /// Writes until told to stop or no queue is left. An output that fails loses its lines and nothing else: they are counted, and
    /// where they were calls' the process's own log says so, once until some are written again.
    fn run(mut self, calls: &mut impl Write, process: &mut impl Write) {
        let (mut text, mut quiet, mut fails) = (Vec::new(), 0, false);
        loop {
            match self.write_pages(&mut text, calls) {
                PageWrite::Nothing => quiet += 1,
                PageWrite::Written => (quiet, fails) = (0, false),
                PageWrite::Lost(error) => {
                    if !std::mem::replace(&mut fails, true) {
                        tracing::error!(%error, "the access log can not be written: its lines are lost, and counted as dropped");
                    }
                    quiet = 0;
                }
            }
            match self.next(quiet) {
                LogLine::Process(line) => {
                    if process.write_all(&line).is_err() {
                        self.shared.unwritten.fetch_add(1, Relaxed);
                    }
                    quiet = 0;
                }
                LogLine::Look => {}
                LogLine::Stop => break,
            }
        }
        self.write_pages(&mut text, calls);
    }

    /// Writes what is on the pages. `text` is empty before and after, and changes places with them.
    fn write_pages(&self, text: &mut Vec<u8>, out: &mut impl Write) -> PageWrite {
        let mut wrote = PageWrite::Nothing;
        for page in self.shared.pages() {
            page.take(text);
            if text.is_empty() {
                continue;
            }
            match out.write_all(text).and_then(|()| out.flush()) {
                Ok(()) if matches!(wrote, PageWrite::Lost(_)) => {}
                Ok(()) => wrote = PageWrite::Written,
                Err(error) => {
                    let lines = text.iter().filter(|byte| **byte == b'\n').count();
                    self.shared.unwritten.fetch_add(u64::try_from(lines).unwrap_or(u64::MAX), Relaxed);
                    wrote = PageWrite::Lost(error);
                }
            }
            text.clear();
        }
        wrote
    }

    /// The next thing to do. While lines come the pages are looked at now and then: to be woken for each would cost
    /// its worker more than all else about it, and each would be written alone.
    fn next(&mut self, quiet: u32) -> LogLine {
        match self.receiver.try_recv() {
            Ok(line) => line,
            Err(TryRecvError::Disconnected) => LogLine::Stop,
            Err(TryRecvError::Empty) if quiet < LOOKS => {
                std::thread::park_timeout(GATHER);
                LogLine::Look
            }
            Err(TryRecvError::Empty) => self.sleep(),
        }
    }

    fn sleep(&mut self) -> LogLine {
        self.shared.asleep.store(true, SeqCst);
        let empty = self.shared.pages().iter().all(|page| page.rests());
        let line = if empty { self.receiver.blocking_recv() } else { Some(LogLine::Look) };
        self.shared.asleep.store(false, SeqCst);
        line.unwrap_or(LogLine::Stop)
    }
}

/// The choice of the calls that are logged: one worker's.
#[derive(Debug)]
pub(super) struct Sampler {
    queue: LogQueue,
    page: Arc<LogPage>,
    lines: RefCell<LineWriter>,
    sample: f64,
    due: Cell<f64>,
    second: Cell<Option<Instant>>,
    errors: Cell<u32>,
}

impl Sampler {
    pub(super) fn new(queue: LogQueue, settings: LogSettings) -> Self {
        let sample = if settings.sample.is_finite() { settings.sample.clamp(0.0, 1.0) } else { 1.0 };
        // Half a step ahead, so that of a hundred calls at 1 % the fiftieth is told and not the last.
        let (page, lines) = (queue.shared.page(), RefCell::default());
        Self { queue, page, lines, sample, due: Cell::new(0.5), second: Cell::new(None), errors: Cell::new(0) }
    }

    /// Logs a closed call if it is its turn.
    pub(super) fn offer(&self, record: &Record, now: Instant) {
        if !self.wants(record.end, record.error.is_some(), now) {
            return;
        }
        let at = SystemTime::now();
        if self.page.append(|text| self.lines.borrow_mut().write(text, record, at)) {
            self.queue.look();
        } else {
            self.queue.shared.full.fetch_add(1, Relaxed);
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
            self.queue.shared.rate.fetch_add(1, Relaxed);
        }
        fits
    }
}

#[cfg(test)]
mod tests;
