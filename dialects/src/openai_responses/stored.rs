//! The ids by which answers and their parts that a provider keeps are told, found in a whole answer and in an event, and put in another's place.

use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;

use crate::json::{Object, ROOT, string};
use crate::scan;
use crate::verbatim::{Edit, splice};

pub use super::kept::{answer_of_event, conversation, expanded};
pub use super::references::{ids_of_items, item_references, items_by_id, with_items};
pub use super::retrieved::{input_items, opened_answer, page, renamed_members, written_answer};

/// An answer's own id, and where it stands between its quotes; `None`: it has none, or one that is written with escapes.
#[must_use]
pub fn id_of_answer(whole: &[u8]) -> Option<(&str, Range<usize>)> {
    text_of(whole, b"id")
}

/// A whole answer with another id, and with other ids in the place of those that it names.
#[must_use]
pub fn renamed_answer(whole: &Bytes, id: impl Fn(&str) -> Option<String>, previous: Option<(&str, &str)>) -> Bytes {
    let Some((own, span)) = id_of_answer(whole) else { return whole.clone() };
    let Some(other) = id(own) else { return whole.clone() };
    let mut edits = vec![Edit::write(span, other)];
    if let Some((theirs, ours)) = previous
        && let Some((said, span)) = text_of(whole, b"previous_response_id")
        && said == theirs
    {
        edits.push(Edit::write(span, ours));
    }
    splice(whole, &edits)
}

/// The id of the answer that an event of a stream tells of; `None`: it tells of none.
#[must_use]
pub fn id_of_event(data: &[u8]) -> Option<String> {
    memmem::find(data, b"\"response\"")?;
    let text = std::str::from_utf8(data).ok()?;
    let response = Object::read(text, &ROOT).ok()?.take("response")?;
    Object::read(response.get(), &ROOT).ok()?.take("id").and_then(string)
}

/// A text with one JSON string in the place of another, wherever that stands as a whole. Neither needs escapes.
#[must_use]
pub fn renamed_text(text: &Bytes, (from, to): (&str, &str)) -> Bytes {
    let quoted = [b"\"", from.as_bytes(), b"\""].concat();
    let mut out = Vec::new();
    let mut at = 0;
    for found in memmem::find_iter(text, &quoted) {
        out.extend_from_slice(text.get(at..found + 1).unwrap_or_default());
        out.extend_from_slice(to.as_bytes());
        at = found + quoted.len() - 1;
    }
    if at == 0 {
        return text.clone();
    }
    out.extend_from_slice(text.get(at..).unwrap_or_default());
    out.into()
}

/// A top-level text that is written without escapes.
fn text_of<'a>(whole: &'a [u8], wanted: &[u8]) -> Option<(&'a str, Range<usize>)> {
    let mut found = None;
    scan::members(whole, |name, value| {
        if name == wanted {
            found = Some(value);
        }
    })
    .ok()?;
    let span = found?;
    let inside = span.start + 1..span.end.checked_sub(1)?;
    let text = std::str::from_utf8(whole.get(inside.clone())?).ok()?;
    let quoted = whole.get(span.start) == Some(&b'"') && whole.get(inside.end) == Some(&b'"');
    (quoted && scan::is_plain(text.as_bytes())).then_some((text, inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(id: &str) -> Option<String> {
        (id != "keep").then(|| format!("sealed-{id}"))
    }

    #[test]
    fn an_answer_is_renamed_where_it_names_itself_and_what_it_goes_on_from() {
        for (whole, renamed) in [
            (
                r#"{"id" : "resp_1","output":[{"id":"resp_1"}],"previous_response_id":"resp_0","n":1.0}"#,
                r#"{"id" : "sealed-resp_1","output":[{"id":"resp_1"}],"previous_response_id":"ours","n":1.0}"#,
            ),
            (
                r#"{"previous_response_id":"resp_9","id":"resp_1"}"#,
                r#"{"previous_response_id":"resp_9","id":"sealed-resp_1"}"#,
            ),
            (r#"{"id":"keep","previous_response_id":"resp_0"}"#, r#"{"id":"keep","previous_response_id":"resp_0"}"#),
            (r#"{"id":7}"#, r#"{"id":7}"#),
            (r#"{"id":"a\u0062"}"#, r#"{"id":"a\u0062"}"#),
            (r#"{"id":""#, r#"{"id":""#),
            ("[]", "[]"),
        ] {
            let made = renamed_answer(&Bytes::from_static(whole.as_bytes()), sealed, Some(("resp_0", "ours")));
            assert_eq!(String::from_utf8_lossy(&made), renamed);
        }
    }

    #[test]
    fn an_event_tells_of_an_answer_or_of_none() {
        let of = |text: &str| id_of_event(text.as_bytes());
        assert_eq!(
            of(r#"{"type":"response.created","response":{"object":"response","id":"resp_1"}}"#).unwrap(),
            "resp_1"
        );
        for other in [
            r#"{"type":"response.output_text.delta","delta":"\"response\""}"#,
            r#"{"response":7}"#,
            r#"{"response":{}}"#,
            "\"response\"",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn a_text_is_renamed_where_it_stands_as_a_whole() {
        for (text, renamed) in [
            (
                r#"{"id":"a","x":["a","ab","\"a\""],"y":{"a":"a"}}"#,
                r#"{"id":"LONG","x":["LONG","ab","\"a\""],"y":{"LONG":"LONG"}}"#,
            ),
            (r#"{"id":"b"}"#, r#"{"id":"b"}"#),
        ] {
            assert_eq!(renamed_text(&Bytes::from_static(text.as_bytes()), ("a", "LONG")), renamed.as_bytes(), "{text}");
        }
    }
}
