//! What the proxy holds when idle, with a thousand open streams, and how soon it answers after its start.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::figures::Spread;
use super::parts::{LOAD_CORE, PROXY_CORE, Workshop, pin};
use super::scenarios;
use crate::process::pause;

const STREAMS: usize = 1000;
const STARTS: usize = 11;

/// The figures.
#[derive(Debug)]
pub(crate) struct Memory {
    idle: u64,
    streams: u64,
    start: Option<f64>,
}

impl Memory {
    /// Appends them as Markdown.
    pub(crate) fn report(&self, text: &mut String) {
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let _ = writeln!(text, "\n| | measured | first step |\n|---|---|---|");
        let _ = writeln!(text, "| idle memory, MiB | {:.1} | 15 |", mebibytes(self.idle));
        let _ = writeln!(text, "| memory with {STREAMS} open streams, MiB | {:.1} | 60 |", mebibytes(self.streams));
        let start = self.start.map_or_else(|| "–".to_owned(), |start| format!("{start:.1}"));
        let _ = writeln!(text, "| start of the process to its first answer, ms (median of {STARTS}) | {start} | 50 |");
    }
}

/// Takes them on fresh processes of one worker.
///
/// # Errors
/// When a process does not start or a stream is not answered.
pub(crate) fn measure(workshop: &Workshop, paced: SocketAddr) -> Result<Memory> {
    let manifests = scenarios::manifests(paced, paced);
    pin(PROXY_CORE)?;
    let server = workshop.sluicegate(&manifests, &["--log-sample", "0"])?;
    pin(LOAD_CORE)?;
    pause(Duration::from_secs(1));
    let idle = server.process.resident()?;
    let request = scenarios::chat("verbatim", 1000, true);
    let streams = (0..STREAMS).map(|_| open(server.address, &request)).collect::<Result<Vec<_>>>()?;
    let resident = server.process.resident()?;
    drop(streams);
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        pin(PROXY_CORE)?;
        let begin = Instant::now();
        let server = workshop.sluicegate(&manifests, &["--log-sample", "0"])?;
        first_answer(server.address)?;
        starts.push(begin.elapsed().as_secs_f64() * 1000.0);
    }
    pin(LOAD_CORE)?;
    Ok(Memory { idle, streams: resident, start: Spread::of(starts).map(Spread::median) })
}

/// A stream whose first bytes have come; it is left open.
fn open(address: SocketAddr, request: &[u8]) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    socket.write_all(request)?;
    let mut bytes = [0; 1024];
    let read = socket.read(&mut bytes).context("a stream begins")?;
    let head = bytes.get(..read).unwrap_or_default();
    ensure!(head.starts_with(b"HTTP/1.1 200"), "a stream was refused: {}", String::from_utf8_lossy(head));
    Ok(socket)
}

/// The list of models needs a configuration, and no upstream.
fn first_answer(address: SocketAddr) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut socket = TcpStream::connect(address)?;
        socket.write_all(b"GET /v1/models HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        if answer.starts_with(b"HTTP/1.1 200") {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "no answer: {}", String::from_utf8_lossy(&answer));
    }
}
