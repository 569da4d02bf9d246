//! The prober: asks every proxy for a route again and again over kept-alive connections, and judges each answer.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures_util::future::try_join_all;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

use super::figures::PATIENCE;
use super::routes::Form;

/// Between two calls to a proxy.
const PAUSE: Duration = Duration::from_millis(1);

/// Answers that must not be.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// From another route, from a form older than one that was programmed everywhere, or no answer where there must be one.
    pub wrong: Cell<u64>,
    /// Changes that were not seen in time.
    pub late: Cell<u64>,
    /// Answers looked at.
    pub asked: Cell<u64>,
}

impl Tally {
    fn count(cell: &Cell<u64>) {
        cell.set(cell.get() + 1);
    }

    /// A change was not seen in time.
    pub(crate) fn is_late(&self) {
        Self::count(&self.late);
    }
}

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// It came from this form of a route.
    From(Form),
    /// There is no such model (yet).
    NoRoute,
    /// Anything else.
    Other(u16),
}

impl Said {
    /// Whether it may be said while the form is on its way to the proxies.
    fn is_fair_before(self, wanted: Form) -> bool {
        match self {
            Self::From(form) => form.route == wanted.route,
            Self::NoRoute => wanted.revision == 0,
            Self::Other(_) => false,
        }
    }

    /// Whether it is from the form or a later one.
    fn is_from(self, wanted: Form) -> bool {
        matches!(self, Self::From(form) if form.route == wanted.route && form.revision >= wanted.revision)
    }
}

/// A connection to each proxy.
#[derive(Debug)]
pub(crate) struct Prober {
    lines: Vec<Line>,
}

impl Prober {
    /// Connects. To be called inside a `LocalSet`.
    pub(crate) async fn connect(proxies: &[SocketAddr]) -> Result<Self> {
        Ok(Self { lines: try_join_all(proxies.iter().map(|address| Line::connect(*address))).await? })
    }

    /// Asks until every proxy answers from this form, and gives the moment when the slowest did; `None`: not in time.
    pub(crate) async fn until_served(&mut self, wanted: Form, tally: &Tally) -> Result<Option<Instant>> {
        let each = self.lines.iter_mut().map(|line| line.until_served(wanted, tally));
        // `max` of options: one that came late makes the whole late.
        let moments = try_join_all(each).await?;
        Ok(moments.into_iter().collect::<Option<Vec<_>>>().and_then(|moments| moments.into_iter().max()))
    }

    /// Asks every proxy once. Whoever does not answer from the form, or a later one, is wrong.
    pub(crate) async fn must_serve(&mut self, wanted: Form, tally: &Tally) -> Result<()> {
        for line in &mut self.lines {
            let said = line.ask(wanted, tally).await?;
            if !said.is_from(wanted) {
                complain(wanted, said);
                Tally::count(&tally.wrong);
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Line {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
}

impl Line {
    async fn connect(address: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(socket)).await?;
        // Its end is seen by whoever asks next.
        tokio::task::spawn_local(async move { drop(connection.await) });
        Ok(Self { address, sender })
    }

    async fn until_served(&mut self, wanted: Form, tally: &Tally) -> Result<Option<Instant>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = self.ask(wanted, tally).await?;
            let now = Instant::now();
            if said.is_from(wanted) {
                return Ok(Some(now));
            }
            if !said.is_fair_before(wanted) {
                complain(wanted, said);
                Tally::count(&tally.wrong);
            }
            if now > deadline {
                return Ok(None);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn ask(&mut self, form: Form, tally: &Tally) -> Result<Said> {
        Tally::count(&tally.asked);
        if self.sender.ready().await.is_err() {
            // An idle connection was closed, as it may be.
            *self = Self::connect(self.address).await?;
            self.sender.ready().await?;
        }
        let body = format!(r#"{{"model":"{}","messages":[{{"role":"user","content":"?"}}]}}"#, form.name());
        let request = Request::post("/v1/chat/completions")
            .header(http::header::HOST, "bench")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::from(body))?;
        let answer = self.sender.send_request(request).await.with_context(|| format!("asking {}", self.address))?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await?.to_bytes();
        Ok(read(status, &body))
    }
}

#[derive(Deserialize)]
struct Reply {
    model: String,
}

fn read(status: u16, body: &[u8]) -> Said {
    match status {
        200 => {
            let reply = serde_json::from_slice::<Reply>(body).ok();
            reply.and_then(|reply| Form::read(&reply.model)).map_or(Said::Other(200), Said::From)
        }
        404 => Said::NoRoute,
        other => Said::Other(other),
    }
}

#[expect(clippy::print_stderr, reason = "a wrong answer is told at once, with when")]
fn complain(wanted: Form, said: Said) {
    eprintln!("wrong: {} was answered by {said:?}", wanted.answer());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_by_what_they_are_from() {
        let wanted = Form { route: 7, revision: 3 };
        let from = |route, revision| Said::From(Form { route, revision });
        assert_eq!(read(200, br#"{"id":"x","model":"route-7.3"}"#), from(7, 3));
        assert_eq!(read(200, br#"{"model":"else"}"#), Said::Other(200));
        assert_eq!(read(404, b"{}"), Said::NoRoute);
        assert_eq!(read(503, b""), Said::Other(503));
        assert!(from(7, 3).is_from(wanted) && from(7, 4).is_from(wanted));
        assert!(!from(7, 2).is_from(wanted) && !from(8, 3).is_from(wanted) && !Said::NoRoute.is_from(wanted));
        assert!(from(7, 2).is_fair_before(wanted) && !from(8, 3).is_fair_before(wanted));
        assert!(Said::NoRoute.is_fair_before(Form::first(7)) && !Said::NoRoute.is_fair_before(wanted));
        assert!(!Said::Other(503).is_fair_before(wanted));
    }
}
