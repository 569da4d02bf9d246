//! The answers that a provider keeps for later calls: to go on from, to be fetched, listed, ended and forgotten.

use std::collections::{HashMap, VecDeque};

use http::Method;
use http::request::Parts;
use serde_json::{Map, Value, json};

use crate::fault::{Checked, Fault};
use crate::ids::Ids;

/// The most answers kept; the oldest go first.
const MOST: usize = 1_024;
/// The items of a page, where nobody says how many, and the most that may be.
const ITEMS: usize = 20;
const MOST_ITEMS: usize = 100;

/// Something that is asked about an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredRoute {
    id: String,
    ask: StoredAsk,
    query: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StoredAsk {
    Fetch,
    Delete,
    Items,
    Cancel,
}

impl StoredRoute {
    /// The one of a request; `None`: it is about something else. `Some(None)`: its method is not the one.
    pub(crate) fn of(parts: &Parts) -> Option<Option<Self>> {
        let (_, rest) = parts.uri.path().split_once("/responses/")?;
        let (id, below) = rest.split_once('/').unwrap_or((rest, ""));
        let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
        let method = &parts.method;
        let ask = match below {
            "" if *method == get => Some(StoredAsk::Fetch),
            "" if *method == delete => Some(StoredAsk::Delete),
            "input_items" if *method == get => Some(StoredAsk::Items),
            "cancel" if *method == post => Some(StoredAsk::Cancel),
            "" | "input_items" | "cancel" => None,
            _ => return None,
        };
        let query = parts.uri.query().unwrap_or_default().to_owned();
        Some(ask.map(|ask| Self { id: id.to_owned(), ask, query }))
    }
}

#[derive(Debug)]
struct StoredResponse {
    /// As it is told.
    whole: Value,
    /// All that led to it.
    input: Vec<Value>,
    /// As it will be when it is ready, where that is later.
    later: Option<Value>,
    background: bool,
}

/// Answers by their ids.
#[derive(Debug, Default)]
pub(crate) struct ResponseStore {
    kept: HashMap<String, StoredResponse>,
    order: VecDeque<String>,
}

impl ResponseStore {
    /// The body of a call with all that it goes on from in its input.
    pub(crate) fn resolve(&self, body: &[u8]) -> Checked<Vec<u8>> {
        // What is no JSON is somebody else's complaint.
        let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else { return Ok(body.to_vec()) };
        let before = self.before(&fields)?;
        let mut input = listed(fields.get("input"));
        let mut referred = false;
        for item in &mut input {
            // One that is not there is the reader's complaint.
            if item.get("type") == Some(&json!("item_reference"))
                && let Some(found) = self.item(item.get("id").and_then(Value::as_str).unwrap_or_default())
            {
                *item = found;
                referred = true;
            }
        }
        if before.is_empty() && !referred {
            return Ok(body.to_vec());
        }
        fields.insert("input".to_owned(), before.into_iter().chain(input).collect());
        Ok(Value::Object(fields).to_string().into_bytes())
    }

    fn before(&self, fields: &Map<String, Value>) -> Checked<Vec<Value>> {
        let Some(id) = fields.get("previous_response_id").filter(|id| !id.is_null()) else { return Ok(Vec::new()) };
        let id = id.as_str().unwrap_or_default();
        let Some(found) = self.kept.get(id) else {
            let message = format!("Previous response with id '{id}' not found.");
            return Err(Fault::new(400, message).at("previous_response_id").coded("previous_response_not_found"));
        };
        let output = found.whole.get("output").and_then(Value::as_array).into_iter().flatten();
        Ok(found.input.iter().chain(output).cloned().collect())
    }

    fn item(&self, id: &str) -> Option<Value> {
        let all = self.kept.values().flat_map(|kept| {
            kept.input.iter().chain(kept.whole.get("output").and_then(Value::as_array).into_iter().flatten())
        });
        let mut all = all.filter(|item| item.get("id").and_then(Value::as_str) == Some(id));
        all.next().cloned()
    }

    /// Keeps the answer to a call, unless that says not to. `Some`: this is told in its place.
    pub(crate) fn keep(&mut self, body: &[u8], whole: &Value, ids: &Ids) -> Option<Value> {
        let Ok(Value::Object(fields)) = serde_json::from_slice(body) else { return None };
        if fields.get("store") == Some(&json!(false)) {
            return None;
        }
        let id = whole.get("id").and_then(Value::as_str)?.to_owned();
        let mut input = self.before(&fields).unwrap_or_default();
        input.extend(listed(fields.get("input")));
        for item in input.iter_mut().filter_map(Value::as_object_mut) {
            item.entry("id").or_insert_with(|| json!(ids.next("msg_")));
            item.entry("type").or_insert_with(|| json!("message"));
        }
        let background = fields.get("background") == Some(&json!(true));
        let is_late = background && fields.get("stream") != Some(&json!(true));
        let mut told = whole.clone();
        if is_late && let Some(told) = told.as_object_mut() {
            let changes = [
                ("status", json!("queued")),
                ("output", json!([])),
                ("usage", Value::Null),
                ("background", json!(true)),
            ];
            told.extend(changes.map(|(name, value)| (name.to_owned(), value)));
        }
        let later = is_late.then(|| whole.clone());
        self.kept.insert(id.clone(), StoredResponse { whole: told.clone(), input, later, background });
        self.order.push_back(id);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.kept.remove(&oldest);
        }
        is_late.then_some(told)
    }

    /// Answers what is asked about an answer.
    pub(crate) fn answer(&mut self, route: &StoredRoute) -> Checked<Value> {
        let id = &route.id;
        let missing = || Fault::new(404, format!("Response with id '{id}' not found."));
        if route.ask == StoredAsk::Delete {
            self.kept.remove(id).ok_or_else(missing)?;
            self.order.retain(|other| other != id);
            return Ok(json!({ "id": id, "object": "response", "deleted": true }));
        }
        let found = self.kept.get_mut(id).ok_or_else(missing)?;
        match route.ask {
            StoredAsk::Items => page(&found.input, &route.query),
            StoredAsk::Cancel if !found.background => Err(Fault::new(400, "Cannot cancel a synchronous response.")),
            StoredAsk::Cancel => {
                if found.later.take().is_some() {
                    found.whole.as_object_mut().and_then(|whole| whole.insert("status".to_owned(), json!("cancelled")));
                }
                Ok(found.whole.clone())
            }
            StoredAsk::Fetch | StoredAsk::Delete => {
                if let Some(mut later) = found.later.take() {
                    later.as_object_mut().and_then(|later| later.insert("background".to_owned(), json!(true)));
                    found.whole = later;
                }
                Ok(found.whole.clone())
            }
        }
    }
}

/// The input of a call as a list, as it is kept.
fn listed(input: Option<&Value>) -> Vec<Value> {
    match input {
        Some(Value::String(text)) => {
            vec![json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": text }] })]
        }
        Some(Value::Array(list)) => list.clone(),
        _ => Vec::new(),
    }
}

fn page(items: &[Value], query: &str) -> Checked<Value> {
    let said = |wanted: &str| {
        let mut members = query.split('&').filter_map(|member| member.split_once('='));
        members.find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned())
    };
    let limit = said("limit").map_or(Ok(ITEMS), |limit| limit.parse::<usize>());
    let limit = limit.ok().filter(|limit| (1..=MOST_ITEMS).contains(limit));
    let limit =
        limit.ok_or_else(|| Fault::new(400, "Invalid 'limit': expected an integer from 1 to 100.").at("limit"))?;
    let mut list: Vec<&Value> = items.iter().collect();
    if said("order").as_deref() != Some("asc") {
        list.reverse();
    }
    let id = |item: &Value| item.get("id").cloned().unwrap_or_default();
    let begin = match said("after") {
        None => 0,
        Some(after) => list.iter().position(|item| id(item) == json!(after)).map_or(list.len(), |at| at + 1),
    };
    let rest: Vec<&Value> = list.into_iter().skip(begin).collect();
    let has_more = rest.len() > limit;
    let page: Vec<&Value> = rest.into_iter().take(limit).collect();
    let (first, last) = (page.first().map(|item| id(item)), page.last().map(|item| id(item)));
    Ok(json!({ "object": "list", "data": page, "first_id": first, "last_id": last, "has_more": has_more }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, path: &str) -> Option<Option<StoredRoute>> {
        let (parts, ()) = http::Request::builder().method(method).uri(path).body(()).unwrap().into_parts();
        StoredRoute::of(&parts)
    }

    #[test]
    fn what_is_kept_is_gone_on_from_listed_ended_and_forgotten() {
        let (mut store, ids) = (ResponseStore::default(), Ids::new());
        let answer =
            |id: &str| json!({ "id": id, "status": "completed", "output": [{ "id": "msg_a", "type": "message" }] });
        assert!(store.keep(br#"{"input":"x","store":false}"#, &answer("resp_0"), &ids).is_none());
        assert!(store.keep(br#"{"input":"x"}"#, &answer("resp_1"), &ids).is_none());
        let on = br#"{"input":[{"type":"item_reference","id":"msg_a"}],"previous_response_id":"resp_1"}"#;
        let whole: Value = serde_json::from_slice(&store.resolve(on).unwrap()).unwrap();
        let kinds: Vec<_> = whole["input"].as_array().unwrap().iter().map(|item| item["id"] == "msg_a").collect();
        assert_eq!(kinds, [false, true, true]);
        for unknown in ["resp_0", "resp_2"] {
            let on = json!({ "input": "x", "previous_response_id": unknown }).to_string();
            assert_eq!(store.resolve(on.as_bytes()).unwrap_err().code, Some("previous_response_not_found"));
        }
        let late = store.keep(br#"{"input":"x","background":true}"#, &answer("resp_3"), &ids).unwrap();
        assert_eq!(late["status"], "queued");
        let mut say =
            |method, path: &str| store.answer(&asked(method, path).unwrap().unwrap()).map_err(|fault| fault.status);
        assert_eq!(say(Method::POST, "/v1/responses/resp_1/cancel"), Err(400));
        assert_eq!(say(Method::POST, "/v1/responses/resp_3/cancel").unwrap()["status"], "cancelled");
        assert_eq!(say(Method::GET, "/v1/responses/resp_3").unwrap()["status"], "cancelled");
        let items = say(Method::GET, "/v1/responses/resp_1/input_items").unwrap();
        assert_eq!((items["data"].as_array().unwrap().len(), &items["has_more"]), (1, &json!(false)));
        assert_eq!(say(Method::DELETE, "/v1/responses/resp_1").unwrap()["deleted"], true);
        assert_eq!(say(Method::DELETE, "/v1/responses/resp_1"), Err(404));
        assert_eq!(asked(Method::POST, "/v1/responses/resp_1"), Some(None));
        assert_eq!(asked(Method::GET, "/v1/responses"), None);
    }
}
