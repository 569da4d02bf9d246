//! Files that a vendor keeps, and the requests that it works off in its own time: OpenAI's and Anthropic's.

mod batches;
mod files;

use std::collections::{HashMap, VecDeque};

use http::Method;
use http::header::HOST;
use http::request::Parts;
use serde_json::{Value, json};

use crate::fault::{Checked, Fault};

/// The most files and batches kept; the oldest go first.
const MOST: usize = 1_024;

/// Something that is asked about a file or a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptRoute {
    /// True for a batch.
    pub(crate) is_batch: bool,
    pub(crate) id: String,
    pub(crate) ask: KeptAsk,
    pub(crate) query: String,
    /// The address of the collection, as the caller says it.
    pub(crate) base: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeptAsk {
    Make,
    List,
    Fetch,
    Content,
    Cancel,
    Delete,
}

/// An answer about what is kept: JSON, or bytes of a media type.
pub(crate) enum KeptAnswer {
    Json(Value),
    Raw(&'static str, Vec<u8>),
}

impl KeptRoute {
    /// The one of a request; `None`: it is about something else. `Some(None)`: its method is not the one.
    pub(crate) fn of(parts: &Parts) -> Option<Option<Self>> {
        let path = parts.uri.path();
        let (is_batch, below) = match (path.split_once("/batches"), path.split_once("/files")) {
            (Some((_, below)), _) => (true, below),
            (None, Some((_, below))) => (false, below),
            (None, None) => return None,
        };
        let below = match below {
            "" => "",
            below => below.strip_prefix('/')?,
        };
        let (id, behind) = below.split_once('/').unwrap_or((below, ""));
        let ask = match (id, behind, &parts.method) {
            ("", "", method) if *method == Method::POST => Some(KeptAsk::Make),
            ("", "", method) if *method == Method::GET => Some(KeptAsk::List),
            (_, "", method) if *method == Method::GET => Some(KeptAsk::Fetch),
            (_, "", method) if *method == Method::DELETE => Some(KeptAsk::Delete),
            (_, "content" | "results", method) if *method == Method::GET => Some(KeptAsk::Content),
            (_, "cancel", method) if *method == Method::POST => Some(KeptAsk::Cancel),
            (_, "" | "content" | "results" | "cancel", _) => None,
            _ => return None,
        };
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let before = path.split_once("/batches").map_or("", |(before, _)| before);
        let base = format!("http://{host}{before}/batches");
        Some(ask.map(|ask| Self { is_batch, id: id.to_owned(), ask, query, base }))
    }
}

/// Something that is kept.
#[derive(Debug)]
enum Kept {
    File { told: Value, content: Vec<u8> },
    Batch { told: Value, results: String, looks: u32 },
}

/// All that is kept, by its id.
#[derive(Debug, Default)]
pub(crate) struct KeptStore {
    all: HashMap<String, Kept>,
    order: VecDeque<String>,
}

/// A member's text; empty: it has none.
fn text<'v>(of: &'v Value, name: &str) -> &'v str {
    of.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Sets members of an object.
fn set<const N: usize>(of: &mut Value, members: [(&str, Value); N]) {
    if let Some(of) = of.as_object_mut() {
        of.extend(members.map(|(name, value)| (name.to_owned(), value)));
    }
}

impl KeptStore {
    fn put(&mut self, id: String, kept: Kept) {
        self.all.insert(id.clone(), kept);
        self.order.push_back(id);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.all.remove(&oldest);
        }
    }

    fn remove(&mut self, id: &str) -> Option<Kept> {
        self.order.retain(|other| other != id);
        self.all.remove(id)
    }

    /// A page of those of which this is so, newest first.
    fn page(&self, query: &str, told: impl Fn(&Kept) -> Option<Value>) -> Checked<Value> {
        let said = |wanted: &str| {
            let mut members = query.split('&').filter_map(|member| member.split_once('='));
            members.find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned())
        };
        let limit = said("limit").map_or(Ok(20), |limit| limit.parse::<usize>());
        let limit = limit.ok().filter(|limit| *limit > 0);
        let limit =
            limit.ok_or_else(|| Fault::new(400, "Invalid 'limit': expected a positive integer.").at("limit"))?;
        let after = said("after").or_else(|| said("after_id"));
        let all: Vec<&String> = self.order.iter().rev().collect();
        let begin = after.map_or(0, |after| all.iter().position(|id| **id == after).map_or(all.len(), |at| at + 1));
        let rest: Vec<Value> = all.into_iter().skip(begin).filter_map(|id| self.all.get(id).and_then(&told)).collect();
        let has_more = rest.len() > limit;
        let page: Vec<Value> = rest.into_iter().take(limit).collect();
        let (first, last) = (page.first().map(|one| text(one, "id")), page.last().map(|one| text(one, "id")));
        Ok(json!({ "object": "list", "data": page, "first_id": first, "last_id": last, "has_more": has_more }))
    }
}
