//! Callers that call and call, whole and streamed, by kept connections and by new ones, beside what a test does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sluicegate_tests::client::Client;
use sluicegate_tests::process::pause;

use crate::gateway::{question, wrong};

/// Tokens of a whole answer, and of a streamed one: it takes eight seconds from a slow provider, longer than a pod goes
/// on taking connections, and two from a quick one.
const TOKENS: [u32; 2] = [5, 80];

/// Running callers, on a thread of their own.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    good: Arc<[AtomicU64; 2]>,
    thread: Option<JoinHandle<Vec<String>>>,
}

/// What callers saw.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Whole answers that were good.
    pub(crate) whole: u64,
    /// Streams that came to their end.
    pub(crate) streams: u64,
    /// What was wrong with the others.
    pub(crate) failed: Vec<String>,
}

impl Load {
    /// So many callers of this model at this address.
    pub(crate) fn start(address: SocketAddr, model: &str, callers: usize) -> Self {
        let (stop, good, model) =
            (Arc::new(AtomicBool::new(false)), Arc::<[AtomicU64; 2]>::default(), model.to_owned());
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&good));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let callers = (0..callers).map(|number| caller(address, &model, number, (&stopped, &counted)));
            runtime.block_on(futures_util::future::join_all(callers)).concat()
        });
        Self { stop, good, thread: Some(thread) }
    }

    /// Waits until there are twenty more whole answers. Callers begin together and never pause, so streams are under way
    /// then, too.
    pub(crate) fn calls(&self) {
        self.more(0, 20);
    }

    /// Waits until so many more streams have come to their end.
    pub(crate) fn streams(&self, more: u64) {
        self.more(1, more);
    }

    fn more(&self, kind: usize, more: u64) {
        let wanted = self.good[kind].load(Ordering::Relaxed) + more;
        let deadline = Instant::now() + Duration::from_secs(120);
        while self.good[kind].load(Ordering::Relaxed) < wanted
            && self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
        {
            assert!(Instant::now() < deadline, "calls do not end: {:?}", self.good);
            pause(Duration::from_millis(50));
        }
    }

    /// Lets calls under way come to their end.
    pub(crate) fn end(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let failed = self.thread.take().unwrap().join().unwrap();
        let [whole, streams] = [0, 1].map(|kind: usize| self.good[kind].load(Ordering::Relaxed));
        Seen { whole, streams, failed }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Seen {
    /// All calls were good, and there were some of each kind.
    pub(crate) fn is_flawless(&self) {
        let some = &self.failed[..self.failed.len().min(5)];
        let (whole, streams) = (self.whole, self.streams);
        assert!(some.is_empty(), "{} failed beside {whole} whole and {streams} streams: {some:#?}", self.failed.len());
        assert!(whole > 5 && streams > 1, "{whole} calls and {streams} streams are no load");
    }
}

async fn caller(
    address: SocketAddr,
    model: &str,
    number: usize,
    (stop, good): (&AtomicBool, &[AtomicU64; 2]),
) -> Vec<String> {
    let (kind, keeps) = (number % 2, number % 4 < 2);
    let body = question(model, kind == 1, TOKENS[kind]);
    let mut client = Client::new(address);
    let mut failed = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if !keeps {
            client = Client::new(address);
        }
        let answer = client.post("/v1/chat/completions", &[], body.clone()).await;
        match wrong(&answer, kind == 1) {
            None => drop(good[kind].fetch_add(1, Ordering::Relaxed)),
            Some(wrong) => {
                failed.push(format!("kept={keeps} {wrong}"));
                // Nobody is helped by a thousand failures.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    failed
}
