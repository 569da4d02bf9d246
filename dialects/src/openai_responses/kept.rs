//! The conversation that an answer ends, as one list of items: put together of a call and its answer, and put in front of a call that goes
//! on from it.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::sealed::MARK;
use crate::json::{Object, ROOT, string};
use crate::scan;
use crate::verbatim::{Edit, Field, Peek, names, splice};

/// The conversation that ends with `answer`: what was said before (a list), what the call adds to it, and what the answer does. `None`: one
/// of them is none, or the answer is not finished.
#[must_use]
pub fn conversation(before: Option<&[u8]>, call: &[u8], answer: &[u8]) -> Option<Vec<u8>> {
    let status = Object::read(std::str::from_utf8(answer).ok()?, &ROOT).ok()?.take("status").and_then(string)?;
    matches!(&*status, "completed" | "incomplete").then_some(())?;
    let mut items = before.map_or_else(|| Some(Vec::new()), |before| list(std::str::from_utf8(before).ok()?))?;
    let input = input(member(call, "input")?)?;
    let said = list(&input)?;
    let output = list(member(answer, "output")?)?;
    items.extend(said);
    items.extend(output);
    Some(written(items.into_iter()))
}

/// A call with the conversation that it goes on from in its own words, and no longer by name. `None`: one of the two is none.
///
/// Thoughts that only the provider that has had them can read are left out, and so are names of what it keeps.
#[must_use]
pub fn expanded(call: &Bytes, peek: &Peek, before: &[u8]) -> Option<Bytes> {
    let before = list(std::str::from_utf8(before).ok()?)?;
    let input = input(member(call, "input")?)?;
    let said = list(&input)?;
    let all = written(before.into_iter().filter(|item| is_readable(item)).chain(said));
    let span = names(call).into_iter().find(|(name, ..)| name == "input")?.2;
    let edits: Vec<Edit> =
        [Some(Edit::write(span, all)), peek.remove(call, Field::PreviousResponseId)].into_iter().flatten().collect();
    Some(splice(call, &edits))
}

/// The whole answer that a stream's last event tells; `None`: it is another event.
#[must_use]
pub fn answer_of_event(data: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(data).ok()?;
    memchr::memmem::find(data, b"\"response\"")?;
    let mut event = Object::read(text, &ROOT).ok()?;
    let kind = event.take("type").and_then(string)?;
    matches!(&*kind, "response.completed" | "response.incomplete").then_some(())?;
    event.take("response").map(RawValue::get)
}

/// True for an item that makes sense to whoever is asked.
pub(super) fn is_readable(item: &RawValue) -> bool {
    let Ok(mut object) = Object::read(item.get(), &ROOT) else { return false };
    match object.take("type").and_then(string).as_deref() {
        Some("reasoning") => {
            object.take("encrypted_content").and_then(string).is_some_and(|content| content.starts_with(MARK))
        }
        Some("item_reference") => false,
        _ => true,
    }
}

/// The input of a call as a list: a text is what the user says.
fn input(raw: &str) -> Option<String> {
    match raw.as_bytes().first()? {
        b'"' => Some(format!("[{{\"type\":\"message\",\"role\":\"user\",\"content\":{raw}}}]")),
        b'[' => Some(raw.to_owned()),
        _ => None,
    }
}

pub(super) fn list(raw: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(raw).ok()
}

fn written<'a>(items: impl Iterator<Item = &'a RawValue>) -> Vec<u8> {
    let mut out = vec![b'['];
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(item.get().as_bytes());
    }
    out.push(b']');
    out
}

/// The JSON of a top-level member.
pub(super) fn member<'a>(object: &'a [u8], wanted: &str) -> Option<&'a str> {
    let mut found = None;
    scan::members(object, |name, value| {
        if name == wanted.as_bytes() {
            found = Some(value);
        }
    })
    .ok()?;
    std::str::from_utf8(object.get(found?)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use crate::verbatim::PathSays;

    #[test]
    fn a_conversation_grows_and_is_put_in_front() {
        let first = br#"{"model":"m","input":"hi \"you\""}"#;
        let answer = br#"{"status":"completed","output":[{"type":"reasoning","id":"rs_1","summary":[]},{"type":"message","id":"msg_1","n":1.0}]}"#;
        let kept = conversation(None, first, answer).unwrap();
        let text = String::from_utf8_lossy(&kept).into_owned();
        let user = r#"{"type":"message","role":"user","content":"hi \"you\""}"#;
        assert_eq!(
            text,
            format!(
                r#"[{user},{{"type":"reasoning","id":"rs_1","summary":[]}},{{"type":"message","id":"msg_1","n":1.0}}]"#
            )
        );
        let second = Bytes::from_static(
            br#"{"previous_response_id":"resp_1","model":"m","input":[ {"role":"user","content":"on"} ],"x":1.0}"#,
        );
        let peek = Dialect::OpenAiResponses.peek(&second, PathSays::default()).unwrap();
        let whole = expanded(&second, &peek, &kept).unwrap();
        let wanted = format!(
            r#"{{"model":"m","input":[{user},{{"type":"message","id":"msg_1","n":1.0}},{{"role":"user","content":"on"}}],"x":1.0}}"#
        );
        assert_eq!(String::from_utf8_lossy(&whole), wanted);
        let longer = conversation(Some(&kept), &second, answer).unwrap();
        assert_eq!(list(std::str::from_utf8(&longer).unwrap()).unwrap().len(), 6);
    }

    #[test]
    fn what_is_no_conversation_is_none() {
        let good = (&br#"{"input":"x"}"#[..], &br#"{"status":"completed","output":[]}"#[..]);
        assert!(conversation(None, good.0, good.1).is_some());
        for (before, call, answer) in [
            (Some(&b"{}"[..]), good.0, good.1),
            (None, &b"{}"[..], good.1),
            (None, &br#"{"input":7}"#[..], good.1),
            (None, good.0, &br#"{"status":"failed","output":[]}"#[..]),
            (None, good.0, &br#"{"status":"completed"}"#[..]),
            (None, good.0, &b"[]"[..]),
        ] {
            assert_eq!(conversation(before, call, answer), None);
        }
    }

    #[test]
    fn the_last_event_tells_the_answer() {
        let of = |text: &'static str| answer_of_event(text.as_bytes());
        assert_eq!(of(r#"{"type":"response.completed","response":{"id":"a"}}"#), Some(r#"{"id":"a"}"#));
        assert_eq!(of(r#"{"type":"response.failed","response":{"id":"a"}}"#), None);
        assert_eq!(of(r#"{"type":"response.output_text.delta","delta":"\"response\""}"#), None);
    }
}
