//! Serves the admin pages: few connections, small requests, nobody waits for ever.

use std::io;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Connections at once; a scraper and the probes need three.
const MOST_CONNECTIONS: usize = 64;
/// A request's head must be there within this time, and be this small.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
const MOST_HEAD: usize = 16 * 1024;
/// A connection ends after this, whatever it does: a reader that takes no bytes holds a place.
const MOST_LIFE: Duration = Duration::from_secs(60);

/// Serves until the task is dropped. Runs on the control thread; pages answer from memory.
///
/// # Errors
/// Never by a connection's fault; only when the listener itself is broken for good.
pub async fn serve(listener: TcpListener, router: Router) -> io::Result<()> {
    let mut connections = JoinSet::new();
    loop {
        if connections.len() >= MOST_CONNECTIONS {
            connections.join_next().await;
        }
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, router.clone()))),
                // A peer that left, or no descriptors: a moment later it may be better.
                Err(error) => {
                    tracing::warn!(%error, "admin: accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, router: Router) {
    // No page reads a body, so none is ever taken in; hyper drops what is unread with the connection.
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        // One request a connection: an idle scraper holds no place, and no answer is cut by the life's end.
        .keep_alive(false)
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(MOST_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Ok(Err(error)) = tokio::time::timeout(MOST_LIFE, served).await {
        tracing::debug!(%error, "admin: connection ended badly");
    }
}
