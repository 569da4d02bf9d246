//! Lists of what providers keep: of what their owner has made by this gateway, each thing as its keeper tells it now.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use serde_json::value::RawValue;
use sluicegate_dialects::hub::ErrorKind;

use crate::account::End;
use crate::api::stored_paths::{StoredAction, StoredPath};
use crate::errors::Problem;
use crate::owned::{ListName, OwnedLists};
use crate::sealing::IdOwner;

use super::caller::{Addressed, Caller, StoredAddress};
use super::context::CallContext;
use super::exchange::{self, Exchange, Whole};
use super::inbound::{InboundCall, Received};
use super::stored_retrieval;

/// The things of a page, where nobody says how many, and the most that are fetched for one.
const USUAL: usize = 20;
const MOST: usize = 100;
/// So many are fetched to find them: some are gone, or of another purpose.
const MOST_FETCHED: usize = 200;
/// So many of them are fetched at once.
const PARALLEL: usize = 8;

/// A page as its caller asks for it.
struct WantedPage {
    limit: usize,
    /// The ids from which on it goes, and before which it ends.
    after: Option<String>,
    before: Option<String>,
    oldest_first: bool,
    purpose: Option<String>,
}

/// A thing of a list, as its keeper tells it.
enum Listed {
    Here(Bytes),
    /// Its keeper has it no more.
    Gone,
    /// Nobody may be asked for it now.
    Away,
}

impl WantedPage {
    fn read(query: &str) -> Result<Self, Problem> {
        let said = |wanted: &[&str]| {
            let members = query.split('&').filter_map(|member| member.split_once('='));
            let value = members.filter(|(name, _)| wanted.contains(name)).map(|(_, value)| value).next_back();
            value
                .map(|value| percent_decode_str(value).decode_utf8_lossy().into_owned())
                .filter(|value| !value.is_empty())
        };
        let limit = said(&["limit"]).map_or(Ok(USUAL), |limit| limit.parse()).ok().filter(|limit| *limit > 0);
        let limit = limit.ok_or_else(|| of_field("limit", "must be a whole number of at least 1"))?.min(MOST);
        let oldest_first = match said(&["order"]).as_deref() {
            Some("asc") => true,
            None | Some("desc") => false,
            Some(_) => return Err(of_field("order", "must be `asc` or `desc`")),
        };
        let (after, before) = (said(&["after", "after_id"]), said(&["before", "before_id"]));
        Ok(Self { limit, after, before, oldest_first, purpose: said(&["purpose"]) })
    }

    /// The id from which on it goes, or before which it ends.
    fn cursor(&self) -> Option<&String> {
        self.after.as_ref().or(self.before.as_ref())
    }

    /// The ids that it is made of, in its order, and true if it is read from its end. Beside all ids, newest first, are those that are
    /// newer than its cursor, and those that are older.
    fn part(&self, mut ids: Vec<String>, around: Option<(Vec<String>, Vec<String>)>) -> (Vec<String>, bool) {
        let is_backwards = self.after.is_none();
        match around {
            None if self.oldest_first => {
                ids.reverse();
                (ids, false)
            }
            None => (ids, false),
            Some((_, older)) if is_backwards == self.oldest_first => (older, is_backwards),
            Some((mut newer, _)) => {
                newer.reverse();
                (newer, is_backwards)
            }
        }
    }

    fn takes(&self, thing: &Bytes) -> bool {
        let Some(purpose) = &self.purpose else { return true };
        let read: Option<Value> = serde_json::from_slice(thing).ok();
        read.is_some_and(|read| read.get("purpose").and_then(Value::as_str) == Some(purpose))
    }
}

/// Answers with a page of what this owner has made.
///
/// # Errors
/// The page can not be read, Redis can not say, or a keeper does not tell what it keeps.
pub(super) async fn page(
    call: &Rc<InboundCall>,
    row: &'static StoredPath,
    owner: &IdOwner,
) -> Result<Exchange, Problem> {
    let wanted = WantedPage::read(call.query().unwrap_or_default())?;
    let (lists, name) = (&call.context.worker.owned, ListName::new(owner, row.kind()));
    let ids = lists.all(name).await.map_err(|_| away())?;
    let around = match wanted.cursor() {
        None => None,
        Some(cursor) => Some(around(lists, (name, &ids), cursor).await?),
    };
    let (ids, backwards) = wanted.part(ids, around);
    let asked = ids.into_iter().take(MOST_FETCHED).enumerate().map(|(at, id)| async move {
        let told = fetched(call, (row.one(), &id), at).await;
        (id, told)
    });
    // Those that are gone make room for others.
    let mut told = stream::iter(asked).buffered(PARALLEL);
    let (mut page, mut has_more): (Vec<(String, Bytes)>, bool) = (Vec::new(), false);
    while let Some((id, thing)) = told.next().await {
        match thing? {
            Listed::Gone => lists.take_out(name, &id).await,
            Listed::Away => {}
            Listed::Here(thing) if !wanted.takes(&thing) => {}
            Listed::Here(_) if page.len() == wanted.limit => {
                has_more = true;
                break;
            }
            Listed::Here(thing) => page.push((id, thing)),
        }
    }
    if backwards {
        page.reverse();
    }
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let body = written(&page, has_more).into();
    Ok(Exchange::Whole(Whole { status: StatusCode::OK, headers, body, end: End::Done }))
}

/// The ids that are newer than one of a list, and those that are older. It may be gone by now.
async fn around(
    lists: &OwnedLists,
    (name, ids): (ListName, &[String]),
    cursor: &str,
) -> Result<(Vec<String>, Vec<String>), Problem> {
    let (newer, is_there) = match ids.iter().position(|id| id == cursor) {
        Some(at) => (at, 1),
        None => {
            let known = lists.newer_than_gone(name, cursor).await.map_err(|_| away())?;
            let shown: String = cursor.chars().take(200).collect();
            (known.ok_or_else(|| of_field("after", &format!("'{shown}' is in no list of yours")))?, 0)
        }
    };
    let part = |range: Option<&[String]>| range.unwrap_or_default().to_vec();
    Ok((part(ids.get(..newer)), part(ids.get(newer + is_there..))))
}

fn written(page: &[(String, Bytes)], has_more: bool) -> String {
    let id = |at: Option<&(String, Bytes)>| at.map_or(Value::Null, |(id, _)| Value::from(id.as_str()));
    let data = page.iter().filter_map(|(_, thing)| serde_json::from_slice::<&RawValue>(thing).ok());
    let data = data.map(RawValue::get).collect::<Vec<_>>().join(",");
    let (first, last) = (id(page.first()), id(page.last()));
    format!("{{\"object\":\"list\",\"data\":[{data}],\"first_id\":{first},\"last_id\":{last},\"has_more\":{has_more}}}")
}

/// A thing, asked of its keeper: a call of its own, for there may be many.
async fn fetched(
    parent: &Rc<InboundCall>,
    (row, id): (&'static StoredPath, &str),
    at: usize,
) -> Result<Listed, Problem> {
    let of = &parent.context;
    let request_id = format!("{}-{at}", of.caller.request_id.to_str().unwrap_or_default());
    let caller = Caller {
        dialect: of.caller.dialect,
        array: false,
        request_id: HeaderValue::try_from(request_id).unwrap_or_else(|_| of.caller.request_id.clone()),
        address: of.caller.address,
        origin: None,
        accepts: None,
        hops: of.caller.hops,
    };
    let context = CallContext::open(Rc::clone(&of.worker), caller, parent.operation, None);
    context.know_as(of);
    let (operation, envelope) = (parent.operation, parent.envelope);
    let addressed =
        Addressed { operation, model: None, stream: Some(false), envelope, methods: "", stored: None, named: None };
    let (headers, uri, charge) = (parent.headers.clone(), parent.uri().clone(), of.worker.memory.nothing());
    let (dialect, at) = (context.caller.dialect, context.arrived);
    let received = Received { dialect, headers, uri, body: Bytes::new(), charge, at };
    let call = InboundCall::read(&context, &addressed, received)?;
    let address = StoredAddress { row, action: StoredAction::Retrieve, id: Some(id.to_owned()), method: Method::GET };
    let outcome = Box::pin(stored_retrieval::retrieved(&call, &address)).await;
    let (status, end, told) = match outcome {
        Ok(Exchange::Whole(Whole { status, body, end, .. })) => (status, end, Ok(body)),
        Ok(Exchange::Stream(..) | Exchange::Lines(..)) => (StatusCode::OK, End::Failed, Err(no_list())),
        Err(problem) => {
            exchange::note_problem(&context, &problem);
            (problem.status_in(context.caller.dialect), exchange::end_of(&problem), Err(problem))
        }
    };
    context.note(|entry| entry.answered(status.as_u16(), std::time::Instant::now()));
    context.close(end);
    match told {
        Ok(body) if status.is_success() => Ok(Listed::Here(body)),
        Ok(_) if status == StatusCode::NOT_FOUND => Ok(Listed::Gone),
        Err(_) if status == StatusCode::NOT_FOUND => Ok(Listed::Away),
        Ok(_) => Err(no_list()),
        Err(problem) => Err(problem),
    }
}

fn away() -> Problem {
    let message = "What you have made can not be looked up now. Try again in a moment.";
    Problem::gateway(ErrorKind::Unavailable, message).retry(true, Some(Duration::from_secs(1)))
}

fn no_list() -> Problem {
    let message = "A provider that keeps a part of this list does not tell it now. Try again in a moment.";
    Problem::gateway(ErrorKind::Unavailable, message).retry(true, Some(Duration::from_secs(1)))
}

fn of_field(field: &str, what: &str) -> Problem {
    Problem::client(ErrorKind::InvalidRequest, format!("{field}: {what}")).param(field.to_owned()).retry(false, None)
}
