//! The journal of what was received, for tests that ask what was forwarded to a provider. Bounded: the oldest entries
//! go first.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::request::Parts;
use serde_json::{Value, json};

/// Of each body so many bytes are kept.
const BODY: usize = 256 * 1024;

const UNDER_WAY: u8 = 0;
const DONE: u8 = 1;
const BROKEN: u8 = 2;
const GONE: u8 = 3;

/// The calls received last.
#[derive(Debug)]
pub(crate) struct Journal {
    most: usize,
    entries: Mutex<VecDeque<Entry>>,
}

#[derive(Debug)]
struct Entry {
    received: Value,
    outcome: Arc<AtomicU8>,
}

/// The end of a call's answer; dropped before it is told, the caller has gone.
#[derive(Debug)]
pub(crate) struct Outcome(Option<Arc<AtomicU8>>);

impl Outcome {
    /// Of a call that nobody asks about.
    pub(crate) fn unrecorded() -> Self {
        Self(None)
    }

    /// The answer was sent whole.
    pub(crate) fn done(&self) {
        self.end(DONE);
    }

    /// The answer was broken off as told.
    pub(crate) fn broken(&self) {
        self.end(BROKEN);
    }

    fn end(&self, how: u8) {
        if let Some(mark) = &self.0 {
            // The first word counts: what comes after the end says nothing about it.
            let _already = mark.compare_exchange(UNDER_WAY, how, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        self.end(GONE);
    }
}

/// A request as JSON: method, path, headers (names in lower case, repeated ones joined by a comma) and body.
pub(crate) fn received(parts: &Parts, body: &[u8]) -> Value {
    let mut headers = serde_json::Map::new();
    for name in parts.headers.keys() {
        let values = parts.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        headers.insert(name.to_string(), Value::String(values.collect::<Vec<_>>().join(", ")));
    }
    let body = body.get(..BODY).unwrap_or(body);
    json!({
        "method": parts.method.as_str(),
        "path": parts.uri.path_and_query().map_or("/", |path| path.as_str()),
        "headers": headers,
        "body": String::from_utf8_lossy(body),
    })
}

/// The same for a caller's eyes: a gateway may have put its own credentials on the call.
pub(crate) fn received_without_secrets(parts: &Parts, body: &[u8]) -> Value {
    let mut value = received(parts, body);
    if let Some(headers) = value.get_mut("headers").and_then(Value::as_object_mut) {
        for name in ["authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"] {
            if let Some(value) = headers.get_mut(name) {
                *value = Value::from("(not shown)");
            }
        }
    }
    value
}

impl Journal {
    /// Keeps the last `most` calls.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, entries: Mutex::new(VecDeque::new()) }
    }

    /// Writes a call down.
    pub(crate) fn write(&self, received: Value) -> Outcome {
        let mark = Arc::new(AtomicU8::new(UNDER_WAY));
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.most {
            entries.pop_front();
        }
        entries.push_back(Entry { received, outcome: Arc::clone(&mark) });
        Outcome(Some(mark))
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The calls, oldest first, each with how its answer ended: `under way`, `done`, `broken` (as told) or `gone`
    /// (the caller left first).
    pub(crate) fn read(&self) -> Value {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let list = entries.iter().map(|entry| {
            let mut value = entry.received.clone();
            let outcome = match entry.outcome.load(Ordering::Relaxed) {
                UNDER_WAY => "under way",
                DONE => "done",
                BROKEN => "broken",
                _ => "gone",
            };
            if let Some(fields) = value.as_object_mut() {
                fields.insert("outcome".to_owned(), Value::from(outcome));
            }
            value
        });
        Value::Array(list.collect())
    }
}
