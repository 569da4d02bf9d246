//! Closed-loop HTTP/1.1 load, cheap enough to share a core with the upstream: bytes out, answers counted, nothing parsed twice.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What is asked, of whom, how often.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Who is asked.
    pub address: SocketAddr,
    /// One whole HTTP/1.1 request, sent again and again.
    pub request: Bytes,
    /// Connections, each with one call at a time.
    pub connections: usize,
    /// Calls per second over all connections; `None`: as fast as answers come.
    pub rate: Option<f64>,
}

/// What was seen in a window of time.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Answers with status 200, whole.
    pub calls: u64,
    /// Anything else.
    pub failures: u64,
    /// SSE events in the answers.
    pub events: u64,
    /// Time per call in nanoseconds.
    pub latency: Histogram<u64>,
    /// How long the window was.
    pub window: Duration,
}

impl Seen {
    fn new() -> Self {
        let latency = Histogram::new(3).unwrap_or_else(|_| unreachable!("three digits are allowed"));
        Self { calls: 0, failures: 0, events: 0, latency, window: Duration::ZERO }
    }

    /// Calls per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.calls as f64 / self.window.as_secs_f64()
    }

    /// A quantile of the time per call in microseconds.
    #[must_use]
    pub fn microseconds(&self, quantile: f64) -> f64 {
        self.latency.value_at_quantile(quantile) as f64 / 1000.0
    }
}

/// Load that runs until it is dropped; windows are cut out of it.
#[derive(Debug)]
pub struct Load {
    seen: Rc<RefCell<Seen>>,
    stop: Rc<Cell<bool>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    /// Starts the connections. To be called inside a `LocalSet`.
    #[must_use]
    pub fn start(plan: &Plan) -> Self {
        let seen = Rc::new(RefCell::new(Seen::new()));
        let stop = Rc::new(Cell::new(false));
        let tasks = (0..plan.connections).map(|number| {
            let (plan, seen, stop) = (plan.clone(), Rc::clone(&seen), Rc::clone(&stop));
            tokio::task::spawn_local(async move {
                while !stop.get() {
                    if connection(&plan, number, &seen, &stop).await.is_err() {
                        seen.borrow_mut().failures += 1;
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
            })
        });
        let tasks = tasks.collect();
        Self { seen, stop, tasks }
    }

    /// What is seen in the next so long.
    pub async fn window(&self, length: Duration) -> Seen {
        *self.seen.borrow_mut() = Seen::new();
        let start = Instant::now();
        tokio::time::sleep(length).await;
        let mut seen = self.seen.replace(Seen::new());
        seen.window = start.elapsed();
        seen
    }

    /// Lets every call under way come to its end, then closes the connections.
    pub async fn stop(mut self) {
        self.stop.set(true);
        for task in self.tasks.drain(..) {
            let _ = tokio::time::timeout(Duration::from_secs(10), task).await;
        }
    }
}

async fn connection(plan: &Plan, number: usize, seen: &RefCell<Seen>, stop: &Cell<bool>) -> io::Result<()> {
    let mut socket = TcpStream::connect(plan.address).await?;
    socket.set_nodelay(true)?;
    let mut pace = plan.rate.map(|rate| {
        // One after the other, not all at once: a burst would measure its own queue.
        let first = tokio::time::Instant::now() + Duration::from_secs_f64(number as f64 / rate);
        tokio::time::interval_at(first, Duration::from_secs_f64(plan.connections as f64 / rate))
    });
    let mut buffer = BytesMut::with_capacity(64 * 1024);
    while !stop.get() {
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        let start = Instant::now();
        socket.write_all(&plan.request).await?;
        let answer = receive(&mut socket, &mut buffer).await?;
        let nanoseconds = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mut seen = seen.borrow_mut();
        if answer.status == 200 {
            seen.calls += 1;
            let _ = seen.latency.record(nanoseconds);
        } else {
            seen.failures += 1;
        }
        seen.events += answer.events;
        if answer.close {
            return Ok(());
        }
    }
    Ok(())
}

/// What an answer was.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// SSE events in it.
    pub events: u64,
    /// Whether the server closes the connection after it.
    pub close: bool,
}

/// Reads one whole answer.
///
/// # Errors
/// When the connection breaks first, or what comes is not HTTP/1.1.
pub async fn receive(socket: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<Answer> {
    let (status, body, close) = loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            let head = buffer.split_to(end + 4);
            break read_head(&head)?;
        }
        fill(socket, buffer).await?;
    };
    let mut events = 0;
    match body {
        Body::Length(mut left) => {
            while left > 0 {
                if buffer.is_empty() {
                    fill(socket, buffer).await?;
                }
                let piece = left.min(buffer.len());
                buffer.advance(piece);
                left -= piece;
            }
        }
        Body::Chunked => while chunk(socket, buffer, &mut events).await? {},
    }
    Ok(Answer { status, events, close })
}

enum Body {
    Length(usize),
    Chunked,
}

fn read_head(head: &[u8]) -> io::Result<(u16, Body, bool)> {
    let head = std::str::from_utf8(head).map_err(io::Error::other)?;
    let status = head.get(9..12).and_then(|text| text.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    let (mut body, mut close) = (Body::Length(0), false);
    for line in head.split("\r\n").skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            body = Body::Length(value.parse().map_err(io::Error::other)?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            body = Body::Chunked;
        } else if name.eq_ignore_ascii_case("connection") {
            close = value.eq_ignore_ascii_case("close");
        }
    }
    Ok((status, body, close))
}

/// Reads one chunk; false after the last.
async fn chunk(socket: &mut TcpStream, buffer: &mut BytesMut, events: &mut u64) -> io::Result<bool> {
    let end = loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n") {
            break end;
        }
        fill(socket, buffer).await?;
    };
    let size = buffer.split_to(end + 2);
    let size = std::str::from_utf8(&size).map_err(io::Error::other)?.trim();
    let size = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16).map_err(io::Error::other)?;
    while buffer.len() < size + 2 {
        fill(socket, buffer).await?;
    }
    let data = buffer.split_to(size + 2);
    *events += u64::try_from(memchr::memmem::find_iter(&data, b"\n\n").count()).unwrap_or(0);
    Ok(size > 0)
}

async fn fill(socket: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<()> {
    if buffer.capacity() - buffer.len() < 4096 {
        buffer.reserve(64 * 1024);
    }
    match socket.read_buf(buffer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// One HTTP/1.1 POST of JSON.
#[must_use]
pub fn post(path: &str, headers: &[(&str, &str)], body: &str) -> Bytes {
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    request.into()
}
