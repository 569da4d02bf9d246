//! An answer that is asked for again out of what was kept of it: the answer itself, the items that led to it, and a page of those.

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::codec::Refusal;
use crate::scan;
use crate::verbatim::{Edit, splice};

/// The items of a page, where nobody says how many, and the most that may be.
const ITEMS: usize = 20;
const MOST_ITEMS: usize = 100;

/// An answer as it is kept, beside the model that was asked for.
#[derive(Deserialize)]
struct KeptAnswer<'a> {
    model: String,
    #[serde(borrow)]
    answer: &'a RawValue,
}

/// An answer beside the model that was asked for, in one text; `None`: it is no JSON.
#[must_use]
pub fn written_answer(model: &str, answer: &[u8]) -> Option<Vec<u8>> {
    let answer: &RawValue = serde_json::from_slice(answer).ok()?;
    Some(format!("{{\"model\":{},\"answer\":{}}}", Value::from(model), answer.get()).into_bytes())
}

/// The two of such a text.
#[must_use]
pub fn opened_answer(kept: &[u8]) -> Option<(String, &str)> {
    let KeptAnswer { model, answer } = serde_json::from_slice(kept).ok()?;
    Some((model, answer.get()))
}

/// A JSON object with other texts in its top-level members, by each one's name and its text; `None`: it is no object. What `other` gives
/// `None` for stays, and so does what is written with escapes.
#[must_use]
pub fn renamed_members(whole: &Bytes, mut other: impl FnMut(&[u8], &str) -> Option<String>) -> Option<Bytes> {
    let mut edits = Vec::new();
    scan::members(whole, |name, value| {
        if let Some(inside) = whole.get(value.clone()).and_then(text)
            && let Some(other) = other(name, inside)
        {
            edits.push(Edit::write(value.start + 1..value.end - 1, other));
        }
    })
    .ok()?;
    Some(if edits.is_empty() { whole.clone() } else { splice(whole, &edits) })
}

/// The text of a JSON string that is written without escapes.
fn text(json: &[u8]) -> Option<&str> {
    let inside = json.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    scan::is_plain(inside).then(|| std::str::from_utf8(inside).ok()).flatten()
}

/// The items that led to an answer, oldest first, of the conversation that it ends. Each has an id: its own, or one by its place.
#[must_use]
pub fn input_items(conversation: &[u8], answer: &str) -> Option<Vec<Value>> {
    let mut items: Vec<Value> = serde_json::from_slice(conversation).ok()?;
    let answer: Value = serde_json::from_str(answer).ok()?;
    let said = answer.get("output")?.as_array()?.len();
    items.truncate(items.len().checked_sub(said)?);
    items.iter_mut().enumerate().for_each(|(at, item)| completed(at, item));
    Some(items)
}

/// An item in the form in which it is listed.
fn completed(at: usize, item: &mut Value) {
    let Some(item) = item.as_object_mut() else { return };
    if item.get("id").is_none_or(|id| !id.is_string()) {
        item.insert("id".to_owned(), format!("msg_{at:016x}").into());
    }
    if !item.contains_key("type") && item.contains_key("role") {
        item.insert("type".to_owned(), "message".into());
    }
    let kind = if item.get("role").and_then(Value::as_str) == Some("assistant") { "output_text" } else { "input_text" };
    if let Some(content) = item.get_mut("content")
        && let Some(text) = content.as_str()
    {
        *content = json!([{ "type": kind, "text": text }]);
    }
}

/// A page of such a list, as a query asks for it (`limit`, `order`, `after`).
///
/// # Errors
/// It asks for what there is none of.
pub fn page(items: &[Value], query: &str) -> Result<String, Refusal> {
    let said = |wanted: &str| {
        let members = query.split('&').filter_map(|member| member.split_once('='));
        let value = members.filter(|(name, _)| *name == wanted).map(|(_, value)| value).next_back();
        value.map(|value| percent_decode_str(value).decode_utf8_lossy())
    };
    let limit =
        said("limit").map_or(Ok(ITEMS), |limit| limit.parse()).ok().filter(|limit| (1..=MOST_ITEMS).contains(limit));
    let limit = limit.ok_or_else(|| Refusal::field("limit", "must be a whole number between 1 and 100"))?;
    let mut items: Vec<&Value> = items.iter().collect();
    match said("order").as_deref() {
        Some("asc") => {}
        None | Some("desc") => items.reverse(),
        Some(_) => return Err(Refusal::field("order", "must be `asc` or `desc`")),
    }
    let id = |item: &&Value| item.get("id").and_then(Value::as_str).map(str::to_owned);
    let begin = match said("after").as_deref().filter(|after| !after.is_empty()) {
        None => 0,
        Some(after) => {
            let at = items.iter().position(|item| id(item).as_deref() == Some(after));
            at.ok_or_else(|| Refusal::field("after", "is no item of this list"))? + 1
        }
    };
    let rest = items.get(begin..).unwrap_or_default();
    let page = rest.get(..limit).unwrap_or(rest);
    let (first, last) = (page.first().and_then(id), page.last().and_then(id));
    let has_more = rest.len() > page.len();
    let list = json!({ "object": "list", "data": page, "first_id": first, "last_id": last, "has_more": has_more });
    Ok(list.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_renamed_where_they_stand() {
        let of = |text: &'static str| {
            let named = |name: &[u8]| [&b"id"[..], b"previous_response_id"].contains(&name);
            let sealed = |name: &[u8], id: &str| (named(name) && id != "keep").then(|| format!("S-{id}"));
            let made = renamed_members(&Bytes::from_static(text.as_bytes()), sealed);
            made.map(|made| String::from_utf8_lossy(&made).into_owned())
        };
        assert_eq!(
            of(r#"{"id" : "a","previous_response_id":null,"x":{"id":"b"},"n":1.0}"#).unwrap(),
            r#"{"id" : "S-a","previous_response_id":null,"x":{"id":"b"},"n":1.0}"#
        );
        assert_eq!(
            of(r#"{"previous_response_id":"b","id":"keep"}"#).unwrap(),
            r#"{"previous_response_id":"S-b","id":"keep"}"#
        );
        assert_eq!(of(r#"{"id":"a\u0062"}"#).unwrap(), r#"{"id":"a\u0062"}"#);
        assert_eq!((of("[]"), of("{\"id\":\""), of("")), (None, None, None));
    }

    #[test]
    fn an_answer_is_kept_beside_its_model() {
        let kept = written_answer("a \"model\"", br#"{"id":"x","n":1.0}"#).unwrap();
        assert_eq!(opened_answer(&kept).unwrap(), ("a \"model\"".to_owned(), r#"{"id":"x","n":1.0}"#));
        assert!(written_answer("m", b"{").is_none() && opened_answer(b"{}").is_none());
    }

    #[test]
    fn what_led_to_an_answer_is_listed_in_pages() {
        let conversation = br#"[{"role":"user","content":"a"},{"type":"message","id":"msg_b","role":"assistant","content":[]},{"role":"user","content":"c"},{"type":"message","id":"msg_d"}]"#;
        let items = input_items(conversation, r#"{"output":[{}]}"#).unwrap();
        assert_eq!(
            items.first().unwrap(),
            &json!({"role": "user", "content": [{"type": "input_text", "text": "a"}], "id": "msg_0000000000000000", "type": "message"})
        );
        let ids = |query: &str| {
            let page: Value = serde_json::from_str(&page(&items, query).unwrap()).unwrap();
            let ids = page["data"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()[4..].to_owned());
            (
                ids.map(|id| id.trim_start_matches('0').to_owned()).collect::<Vec<_>>().join(","),
                page["has_more"] == true,
            )
        };
        for (query, wanted, more) in [
            ("", "2,b,", false),
            ("order=asc", ",b,2", false),
            ("order=asc&limit=2", ",b", true),
            ("order=asc&limit=2&after=msg_b", "2", false),
            ("limit=1&after=msg_b", "", false),
            ("limit=1", "2", true),
            ("limit=%31&order=%64esc", "2", true),
            ("after=", "2,b,", false),
        ] {
            assert_eq!(ids(query), (wanted.to_owned(), more), "{query}");
        }
        for query in ["limit=0", "limit=101", "limit=x", "order=up", "after=msg_d", "after=msg_z"] {
            assert!(page(&items, query).is_err(), "{query}");
        }
        assert!(input_items(b"[]", r#"{"output":[{}]}"#).is_none() && input_items(b"{}", "{}").is_none());
    }
}
