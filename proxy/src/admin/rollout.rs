//! `/rollout`: lines that say what runs here, as it changes; the operator reads them. A reader is told what differs from
//! what it was told last, so a slow one holds a line and no queue, and is up to date with its next one.
//!
//! Nothing that is told is a secret, so whoever reaches this address may read. But the operator's place is nobody
//! else's: it is known by a token that it publishes beside the pools' credentials, and others share a few places of
//! their own.

use std::cmp::Ordering;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sluicegate_config::compile::{Kind, SecretValue};
use sluicegate_config::rollout::{HEARTBEAT_SECONDS, Line, MEDIA_TYPE, Running};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refused_keys::{RefusedKeys, refused_keys};
use super::server::Life;
use super::spend::SpendTelling;
use super::state::Admin;
use crate::source::{ObjectReport, Report};

/// Streams of the operator at once; each replica has one.
const MOST_OPERATORS: usize = 16;
/// Streams of all others, and of an operator whose token is not known here yet.
const MOST_OTHERS: usize = 8;
const HEARTBEAT: Duration = Duration::from_secs(HEARTBEAT_SECONDS);

/// Places for streams.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    operators: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

impl Default for Streams {
    fn default() -> Self {
        let places = |most| Arc::new(Semaphore::new(most));
        Self { operators: places(MOST_OPERATORS), others: places(MOST_OTHERS) }
    }
}

/// True if a request has the operator's token. The time that it takes to find out tells nothing of the token.
fn is_operators(said: Option<&HeaderValue>, token: Option<&SecretValue>) -> bool {
    let said = said.and_then(|said| said.as_bytes().strip_prefix(b"Bearer "));
    let (Some(said), Some(token)) = (said, token.map(SecretValue::expose)) else { return false };
    said.len() == token.len() && said.iter().zip(token).fold(0, |differs, (one, other)| differs | (one ^ other)) == 0
}

/// Answers with a stream that lasts as long as its reader and this process.
pub(super) async fn stream(
    State(admin): State<Admin>,
    Extension(life): Extension<Life>,
    headers: HeaderMap,
    streams: Streams,
) -> Response {
    let said = headers.get(AUTHORIZATION).cloned();
    let is_operators = is_operators(said.as_ref(), admin.report.borrow().operator.as_ref());
    let places = if is_operators { streams.operators } else { streams.others };
    let Ok(place) = places.try_acquire_owned() else {
        let text = "as many streams are being read as there may be at once\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    if is_operators {
        life.keep();
    }
    let state = RolloutStream { admin, life, said, told: None, spend: None, _place: place };
    let lines = futures_util::stream::unfold(state, RolloutStream::next);
    ([(CONTENT_TYPE, MEDIA_TYPE), (CACHE_CONTROL, "no-store")], Body::from_stream(lines)).into_response()
}

/// One stream's state.
struct RolloutStream {
    admin: Admin,
    life: Life,
    /// The reader's token, which may become known here later than the stream began.
    said: Option<HeaderValue>,
    /// The state that the reader knows.
    told: Option<KnownToReader>,
    /// The use of budgets and limits, of which the operator alone is told.
    spend: Option<SpendTelling>,
    _place: OwnedSemaphorePermit,
}

struct KnownToReader {
    ready: bool,
    report: Arc<Report>,
    refused: RefusedKeys,
}

impl RolloutStream {
    /// The next line, when there is something to tell, or an empty one at the next heartbeat. Asked for when the reader
    /// has taken the one before.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        self.life.extend();
        let heartbeat = tokio::time::Instant::now() + HEARTBEAT;
        loop {
            if let Some(mut text) = self.news().and_then(|line| serde_json::to_vec(&line).ok()) {
                text.push(b'\n');
                return Some((Ok(text.into()), self));
            }
            tokio::select! {
                told = self.admin.report.changed() => told.ok()?,
                told = self.admin.draining.changed() => told.ok()?,
                told = self.admin.staff.changed() => told.ok()?,
                () = tokio::time::sleep_until(heartbeat) => return Some((Ok(Bytes::from_static(b"\n")), self)),
            }
        }
    }

    /// The line with all that the reader does not know yet.
    fn news(&mut self) -> Option<Line> {
        self.admin.draining.mark_unchanged();
        self.admin.staff.mark_unchanged();
        let report = Arc::clone(&self.admin.report.borrow_and_update());
        let ready = self.admin.unready().is_none();
        if self.spend.is_none() && is_operators(self.said.as_ref(), report.operator.as_ref()) {
            // It goes on in the place that it has, and is not pushed out of it.
            self.life.keep();
            self.spend = Some(SpendTelling::new(Arc::clone(&self.admin.limits)));
        }
        let mut line = Line { ready, ..Line::default() };
        if let Some(spend) = &mut self.spend {
            spend.fill(&mut line, Instant::now());
        }
        let refused = refused_keys(&self.admin.registry);
        match self.told.replace(KnownToReader { ready, report: Arc::clone(&report), refused: refused.clone() }) {
            Some(told) => {
                differences(&told.report.objects, &report.objects, &mut line);
                refused.differences(&told.refused, &report.objects, |object| put(&mut line, object));
                refused.fill(&mut line);
                let news = Line { ready, ..Line::default() } != line || ready != told.ready;
                news.then_some(line)
            }
            None => {
                line.whole = true;
                differences(&[], &report.objects, &mut line);
                refused.fill(&mut line);
                Some(line)
            }
        }
    }
}

/// Fills in what turns one sorted list into another.
fn differences(before: &[Arc<ObjectReport>], after: &[Arc<ObjectReport>], line: &mut Line) {
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) if Arc::ptr_eq(old, new) => Ordering::Equal,
            (Some(old), Some(new)) => old.order(new),
        };
        let old = if order.is_le() { before.next() } else { None };
        let new = if order.is_ge() { after.next() } else { None };
        match (old, new) {
            (Some(old), Some(new)) if Arc::ptr_eq(old, new) || running(old) == running(new) => {}
            (_, Some(new)) => put(line, new),
            (Some(old), None) => drop_out(line, old),
            (None, None) => return,
        }
    }
}

fn running(object: &ObjectReport) -> Running {
    let ObjectReport { kind: _, name: _, revision, state: _, version, credentials, rejected } = object;
    let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    Running {
        revision: text(revision),
        version: text(version),
        credentials: text(credentials),
        rejected: rejected.as_deref().cloned(),
        refused_keys: Vec::new(),
    }
}

fn put(line: &mut Line, object: &ObjectReport) {
    let Some(kind) = Kind::parse(object.kind) else { return };
    line.objects.entry(kind).or_default().insert((*object.name).clone(), running(object));
}

fn drop_out(line: &mut Line, object: &ObjectReport) {
    let Some(kind) = Kind::parse(object.kind) else { return };
    line.gone.entry(kind).or_default().push((*object.name).clone());
}

#[cfg(test)]
mod tests {
    use sluicegate_config::ObjectId;

    use super::*;
    use crate::source::ObjectState;

    fn report(kind: Kind, name: &str, revision: &str) -> Arc<ObjectReport> {
        Arc::new(ObjectReport {
            kind: kind.as_str(),
            name: Arc::new(ObjectId(name.to_owned())),
            revision: Some(revision.into()),
            state: ObjectState::Applied,
            version: None,
            credentials: None,
            rejected: None,
        })
    }

    #[test]
    fn only_what_differs_is_told() {
        let kept = report(Kind::LlmRoute, "a/kept", "1");
        let before = [
            report(Kind::LlmRoute, "a/changed", "1"),
            report(Kind::LlmRoute, "a/gone", "1"),
            Arc::clone(&kept),
            report(Kind::ProviderPool, "a/equal", "1"),
            report(Kind::ProviderPool, "a/gone", "1"),
        ];
        let after = [
            report(Kind::LlmRoute, "a/changed", "2"),
            kept,
            report(Kind::LlmRoute, "a/new", "1"),
            report(Kind::ProviderPool, "a/equal", "1"),
        ];
        let mut line = Line::default();
        differences(&before, &after, &mut line);
        let names: Vec<_> = line.objects[&Kind::LlmRoute].keys().map(|id| id.0.as_str()).collect();
        assert_eq!(names, ["a/changed", "a/new"]);
        assert_eq!(line.objects.len(), 1, "{line:?}");
        for kind in [Kind::LlmRoute, Kind::ProviderPool] {
            assert_eq!(line.gone[&kind], [ObjectId("a/gone".to_owned())]);
        }
        let mut nothing = Line::default();
        differences(&after, &after, &mut nothing);
        assert_eq!(nothing, Line::default());
    }
}
