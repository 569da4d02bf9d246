//! An upstream that does to a call exactly what a test says: raw bytes, pauses, and every bad end a connection can have.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::process::pause;

/// Calls kept to be looked at.
const MOST_KEPT: usize = 4096;
/// A connection nobody uses for this long is closed.
const IDLE: Duration = Duration::from_secs(120);

/// What was received.
#[derive(Debug, Clone)]
pub struct Received {
    /// The request's head, with its empty line.
    pub head: String,
    /// The request's body.
    pub body: Vec<u8>,
    /// How many came before it, over all connections.
    pub number: u64,
    /// When it was here whole.
    pub at: Instant,
}

impl Received {
    /// A header's value; empty when it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut values = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim());
        values.next().unwrap_or_default()
    }

    /// Whether a stream is asked for.
    #[must_use]
    pub fn streams(&self) -> bool {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body.get("stream").and_then(serde_json::Value::as_bool).unwrap_or_default()
    }
}

/// One thing done to a call.
#[derive(Debug, Clone)]
pub enum Act {
    /// These bytes are sent.
    Send(Vec<u8>),
    /// Nothing for so long.
    Wait(Duration),
    /// Nothing until the test opens it.
    Until(Gate),
    /// The call is worked on no longer.
    Over(AtWork),
    /// Nothing any more, until the caller leaves.
    Hang,
    /// The connection is closed in order.
    Close,
    /// The connection is reset.
    Reset,
}

/// A gate that a test opens, once.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Opens it, for good.
    pub fn open(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let closed = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.0.1.wait_timeout_while(closed, IDLE, |open| !*open));
    }
}

/// The calls that an upstream works on at once, by its own count.
#[derive(Debug, Clone, Default)]
pub struct AtWork(Arc<(AtomicU64, AtomicU64)>);

impl AtWork {
    /// One more has come.
    pub fn come(&self) {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
    }

    fn over(&self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }

    /// The most that there ever were at once.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.0.1.load(Ordering::SeqCst)
    }

    /// Begins to look for the most anew.
    pub fn look_again(&self) {
        self.0.1.store(self.now(), Ordering::SeqCst);
    }

    /// Those that there are now.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.0.0.load(Ordering::SeqCst)
    }
}

/// A running upstream; it stops taking connections when dropped.
#[derive(Debug)]
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    calls: AtomicU64,
    connections: AtomicU64,
    stopped: AtomicBool,
    kept: Mutex<Vec<Received>>,
}

impl Upstream {
    /// Starts one on a free loopback port; `script` says what is done to each call.
    ///
    /// # Errors
    /// No port can be had.
    pub fn start(script: impl Fn(&Received) -> Vec<Act> + Send + Sync + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let (script, watched) = (Arc::new(script), Arc::clone(&shared));
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                if watched.stopped.load(Ordering::Relaxed) {
                    return;
                }
                watched.connections.fetch_add(1, Ordering::Relaxed);
                let (script, shared) = (Arc::clone(&script), Arc::clone(&watched));
                std::thread::spawn(move || serve(&socket, script.as_ref(), &shared));
            }
        });
        Ok(Self { address, shared })
    }

    /// One that does the same to every call.
    ///
    /// # Errors
    /// No port can be had.
    pub fn always(acts: Vec<Act>) -> io::Result<Self> {
        Self::start(move |_| acts.clone())
    }

    /// How many calls have come.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }

    /// How many connections have come.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// The calls, oldest first; the first few thousand are kept.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(socket: &TcpStream, script: &(impl Fn(&Received) -> Vec<Act> + ?Sized), shared: &Shared) {
    let _ = socket.set_nodelay(true);
    let _ = socket.set_read_timeout(Some(IDLE));
    let mut buffer = Vec::new();
    while let Ok(Some(mut received)) = receive(socket, &mut buffer) {
        received.number = shared.calls.fetch_add(1, Ordering::Relaxed);
        let acts = script(&received);
        {
            let mut kept = shared.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < MOST_KEPT {
                kept.push(received);
            }
        }
        for act in acts {
            if !matches!(perform(socket, &act), Ok(true)) {
                return;
            }
        }
    }
}

/// Says whether the connection goes on.
fn perform(mut socket: &TcpStream, act: &Act) -> io::Result<bool> {
    match act {
        Act::Send(bytes) => socket.write_all(bytes)?,
        Act::Wait(time) => pause(*time),
        Act::Until(gate) => gate.wait(),
        Act::Over(at_work) => at_work.over(),
        Act::Hang => {
            let mut rest = [0; 1024];
            while socket.read(&mut rest)? > 0 {}
            return Ok(false);
        }
        Act::Close => return Ok(false),
        Act::Reset => {
            SockRef::from(socket).set_linger(Some(Duration::ZERO))?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads one request; `None` when the connection ends instead.
fn receive(mut socket: &TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Received>> {
    let mut more = [0; 16 << 10];
    let end = loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            break end + 4;
        }
        match socket.read(&mut more)? {
            0 => return Ok(None),
            count => buffer.extend_from_slice(more.get(..count).unwrap_or_default()),
        }
    };
    let mut rest = buffer.split_off(end);
    let head = String::from_utf8_lossy(buffer).into_owned();
    let mut received = Received { head, body: Vec::new(), number: 0, at: Instant::now() };
    let length = received.header("content-length").parse::<usize>().unwrap_or(0);
    while rest.len() < length {
        match socket.read(&mut more)? {
            0 => return Ok(None),
            count => rest.extend_from_slice(more.get(..count).unwrap_or_default()),
        }
    }
    *buffer = rest.split_off(length);
    received.body = rest;
    received.at = Instant::now();
    Ok(Some(received))
}

/// An answer with its length.
#[must_use]
pub fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Act {
    let mut text = head(status, headers);
    text.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    text.extend_from_slice(body);
    Act::Send(text)
}

/// The head of a chunked event stream.
#[must_use]
pub fn stream_head() -> Act {
    let mut text = head(200, &[("content-type", "text/event-stream")]);
    text.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
    Act::Send(text)
}

/// One chunk of a chunked body.
#[must_use]
pub fn chunk(data: &[u8]) -> Act {
    let mut text = format!("{:x}\r\n", data.len()).into_bytes();
    text.extend_from_slice(data);
    text.extend_from_slice(b"\r\n");
    Act::Send(text)
}

/// The end of a chunked body.
#[must_use]
pub fn last_chunk() -> Act {
    Act::Send(b"0\r\n\r\n".to_vec())
}

fn head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Said\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.into_bytes()
}
