//! Serves the admin pages: few connections, small requests, nobody waits for ever. Where there are too many the oldest
//! goes: whoever opens them and says nothing holds up neither probes nor the operator.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

/// Connections at once; a scraper and the probes need three.
const MOST_CONNECTIONS: usize = 64;
/// A request's head must be there within this time, and be this small.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
const MOST_HEAD: usize = 16 * 1024;
/// A connection ends after this, whatever it does: a reader that takes no bytes holds a place. A stream's life begins
/// anew with each line that is taken.
const MOST_LIFE: Duration = Duration::from_secs(60);
/// Descriptors kept back for when the process has no other left: whoever asks after its health is to hear that it lives.
const SPARES: usize = 4;
/// The time after which spares that were given up are taken back, when there are descriptors again.
const REFILL: Duration = Duration::from_secs(1);
/// A peer that is gone without a word is noticed after this.
const MOST_SILENCE: Duration = Duration::from_secs(20);

/// The time that a connection may live.
#[derive(Debug, Clone)]
pub(super) struct Life(Arc<Bound>);

#[derive(Debug)]
struct Bound {
    end: Mutex<Instant>,
    /// It does not go when there are too many.
    kept: AtomicBool,
}

impl Life {
    fn new() -> Self {
        Self(Arc::new(Bound { end: Mutex::new(Instant::now() + MOST_LIFE), kept: AtomicBool::new(false) }))
    }

    /// Something was taken: it may live on.
    pub(super) fn extend(&self) {
        *self.0.end.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + MOST_LIFE;
    }

    /// It stays also when there are too many connections.
    pub(super) fn keep(&self) {
        self.0.kept.store(true, Ordering::Relaxed);
    }

    fn is_kept(&self) -> bool {
        self.0.kept.load(Ordering::Relaxed)
    }

    async fn over(&self) {
        loop {
            let end = *self.0.end.lock().unwrap_or_else(PoisonError::into_inner);
            if end <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }
}

/// Serves until the task is dropped. Runs on the control thread; pages answer from memory.
///
/// # Errors
/// Never by a connection's fault; only when the listener itself is broken for good.
pub async fn serve(listener: TcpListener, router: Router) -> io::Result<()> {
    let mut connections = JoinSet::new();
    let mut spares = Spares::default();
    // The oldest first.
    let mut lives: VecDeque<(Life, AbortHandle)> = VecDeque::new();
    loop {
        spares.fill();
        lives.retain(|(_, connection)| !connection.is_finished());
        if connections.len() >= MOST_CONNECTIONS {
            if let Some((_, oldest)) = lives.iter().find(|(life, _)| !life.is_kept()) {
                oldest.abort();
            }
            connections.join_next().await;
        }
        tokio::select! {
            // A spare that was given up is for the connection that waits, and is not filled up before.
            biased;
            accepted = accept(&listener, &mut spares) => match accepted {
                Ok((stream, _)) => {
                    let life = Life::new();
                    let connection = connections.spawn(connection(stream, router.clone(), life.clone()));
                    lives.push_back((life, connection));
                }
                // A peer that left, or no descriptors: a moment later it may be better.
                Err(error) => {
                    tracing::warn!(%error, "admin: accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = tokio::time::sleep(REFILL), if spares.0.len() < SPARES => {}
        }
    }
}

/// The next connection, at the price of a spare when there is no descriptor else.
async fn accept(listener: &TcpListener, spares: &mut Spares) -> io::Result<(TcpStream, SocketAddr)> {
    loop {
        match listener.accept().await {
            // Another thread may be quicker to take it: then the next one.
            Err(error) if is_exhausted(&error) && spares.give() => {}
            accepted => return accepted,
        }
    }
}

fn is_exhausted(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(code, Some(Errno::MFILE | Errno::NFILE))
}

/// Descriptors that are open for nothing.
#[derive(Debug, Default)]
struct Spares(Vec<File>);

impl Spares {
    fn fill(&mut self) {
        while self.0.len() < SPARES {
            let Ok(spare) = File::open("/dev/null") else { return };
            self.0.push(spare);
        }
    }

    /// Gives one up; `false`: there is none.
    fn give(&mut self) -> bool {
        self.0.pop().is_some()
    }
}

async fn connection(stream: TcpStream, router: Router, life: Life) {
    let options = socket2::SockRef::from(&stream);
    if let Err(error) = options.set_tcp_user_timeout(Some(MOST_SILENCE)).and_then(|()| stream.set_nodelay(true)) {
        tracing::debug!(%error, "admin: socket options");
    }
    let service = TowerToHyperService::new(router.layer(Extension(life.clone())));
    // No page reads a body, so none is ever taken in; hyper drops what is unread with the connection.
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        // One request a connection: an idle scraper holds no place, and no answer is cut by the life's end.
        .keep_alive(false)
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(MOST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        ended = served => if let Err(error) = ended {
            tracing::debug!(%error, "admin: connection ended badly");
        },
        () = life.over() => tracing::debug!("admin: connection cut: nothing was taken for long"),
    }
}
