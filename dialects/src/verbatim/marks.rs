//! Prompt-caching markers and other vendors' thoughts taken out of a body that passes otherwise as it came: OpenAI refuses fields that it does not know,
//! and clients mark their prompts without knowing who will answer.

use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::splice::{Edit, EditKind, splice};
use crate::json::kind_of;
use crate::mark::{CACHE_CONTROL as MARK, REASONING, SeenMarks, THINKING, THINKING_BLOCKS};
use crate::scan;
use crate::vendors::LookAlike;

/// The places of markers: in an object, and in those that are its members, or the elements of its members.
struct MarkPlace {
    marked: bool,
    /// True if it may hold thoughts too.
    thinks: bool,
    /// True if it is one of several pieces, some of which may be thoughts.
    piece: bool,
    within: &'static [(&'static [u8], MarkPlace)],
}

const UNMARKED: MarkPlace = MarkPlace { marked: false, thinks: false, piece: false, within: &[] };
const MARKED: MarkPlace = MarkPlace { marked: true, ..UNMARKED };
const PIECE: MarkPlace = MarkPlace { piece: true, ..MARKED };
const MESSAGE: MarkPlace =
    MarkPlace { thinks: true, within: &[(b"content", PIECE), (b"tool_calls", MARKED)], ..MARKED };
/// That of a server whose own thoughts are pieces.
const MESSAGE_OF_PIECES: MarkPlace = MarkPlace { within: &[(b"content", MARKED), (b"tool_calls", MARKED)], ..MESSAGE };
const TOOL: MarkPlace = MarkPlace { within: &[(b"function", MARKED)], ..MARKED };
const BODY: MarkPlace = MarkPlace { within: &[(b"messages", MESSAGE), (b"tools", TOOL)], ..UNMARKED };
const BODY_OF_PIECES: MarkPlace =
    MarkPlace { within: &[(b"messages", MESSAGE_OF_PIECES), (b"tools", TOOL)], ..UNMARKED };

/// The body without markers, where the look-alike takes none for the model, and without thoughts, which are another vendor's than its own;
/// itself, uncopied, where there are none. What stands in texts, arguments and schemas is not touched.
#[must_use]
pub fn unmark(body: &Bytes, seen: SeenMarks, look_alike: Option<&LookAlike>, model: &str) -> Bytes {
    // Nearly every body ends here.
    if !seen.caching && !seen.thinking {
        return body.clone();
    }
    let keeps_marks = look_alike.is_some_and(|row| row.takes_cache_marks(model));
    let mut found = FoundMarks { marks: Vec::new(), thoughts: Vec::new() };
    let thinks_in_pieces = look_alike.is_some_and(|row| row.thoughts == "content");
    object(body, 0..body.len(), if thinks_in_pieces { &BODY_OF_PIECES } else { &BODY }, &mut found);
    let FoundMarks { marks, mut thoughts } = found;
    if !keeps_marks {
        thoughts.extend(marks);
    }
    splice(body, &thoughts)
}

fn is_thought(name: &[u8]) -> bool {
    name == THINKING_BLOCKS.as_bytes() || name == REASONING.as_bytes()
}

/// The edits that take out what was found.
struct FoundMarks {
    marks: Vec<Edit>,
    thoughts: Vec<Edit>,
}

fn object(body: &[u8], span: Range<usize>, place: &MarkPlace, found: &mut FoundMarks) {
    let Some(json) = body.get(span.clone()) else { return };
    let mut inner = Vec::new();
    // What is broken goes on as it is: the provider says so.
    let _ = scan::members(json, |name, value| {
        let value = span.start + value.start..span.start + value.end;
        let is_mark = place.marked && name == MARK.as_bytes();
        if is_mark || (place.thinks && is_thought(name)) {
            let quote = (name.as_ptr() as usize).saturating_sub(body.as_ptr() as usize + 1);
            let edits = if is_mark { &mut found.marks } else { &mut found.thoughts };
            edits.push(Edit { span: quote..value.end, kind: EditKind::RemoveMember });
        } else if let Some((_, place)) = place.within.iter().find(|(known, _)| *known == name) {
            inner.push((value, place));
        }
    });
    for (value, place) in inner {
        match body.get(value.start) {
            Some(b'{') => object(body, value, place, found),
            Some(b'[') => list(body, value, place, found),
            _ => {}
        }
    }
}

fn list(body: &[u8], span: Range<usize>, place: &MarkPlace, found: &mut FoundMarks) {
    let elements = body.get(span.clone()).and_then(|json| serde_json::from_slice::<Vec<&RawValue>>(json).ok());
    let elements = elements.unwrap_or_default();
    let is_thought = |element: &RawValue| place.piece && kind_of(element.get()) == THINKING;
    if !elements.is_empty() && elements.iter().all(|element| is_thought(element)) {
        // A turn without any piece is refused.
        return found.thoughts.push(Edit::write(span, "\"\""));
    }
    for element in elements {
        let start = (element.get().as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
        let span = start..start + element.get().len();
        if is_thought(element) {
            found.thoughts.push(Edit::remove(span));
        } else if element.get().starts_with('{') {
            object(body, span, place, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_go_and_what_only_looks_like_one_stays() {
        for (given, made) in [
            (
                r#"{"messages":[{"role":"system","content":[{"type":"text","text":"S","cache_control":{"type":"ephemeral","ttl":"1h"}}]},{"role":"tool","cache_control":{"type":"ephemeral"},"content":"r"}],"tools":[{"type":"function","function":{"name":"f","cache_control":null} , "cache_control":{}}]}"#,
                r#"{"messages":[{"role":"system","content":[{"type":"text","text":"S"}]},{"role":"tool","content":"r"}],"tools":[{"type":"function","function":{"name":"f"} }]}"#,
            ),
            (
                r#"{"messages":[{"role":"user","content":"cache_control"},{"role":"assistant","tool_calls":[{"cache_control":1,"id":"a","function":{"arguments":"{\"cache_control\":1}"}}]}],"tools":[{"function":{"parameters":{"properties":{"cache_control":{}}}}}],"cache_control":{}}"#,
                r#"{"messages":[{"role":"user","content":"cache_control"},{"role":"assistant","tool_calls":[{"id":"a","function":{"arguments":"{\"cache_control\":1}"}}]}],"tools":[{"function":{"parameters":{"properties":{"cache_control":{}}}}}],"cache_control":{}}"#,
            ),
            (
                r#"{"messages":[{"role":"assistant","content":"a","thinking_blocks":[{"type":"thinking","signature":"s"}]}],"thinking_blocks":[]}"#,
                r#"{"messages":[{"role":"assistant","content":"a"}],"thinking_blocks":[]}"#,
            ),
            (
                r#"{"messages":[{"role":"assistant","reasoning_content":"Hm.","content":"reasoning_content"}]}"#,
                r#"{"messages":[{"role":"assistant","content":"reasoning_content"}]}"#,
            ),
            (
                r#"{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm."}]}, {"type":"thinking","thinking":"So."},{"type":"text","text":"thinking"},{"type":"thinking"},{"type":"thinking"}]},{"role":"assistant","content":[{"type":"thinking","thinking":[]}],"tool_calls":[]}]}"#,
                r#"{"messages":[{"role":"assistant","content":[ {"type":"text","text":"thinking"}]},{"role":"assistant","content":"","tool_calls":[]}]}"#,
            ),
            (
                r#"{"messages":"cache_control","tools":{"cache_control":1}}"#,
                r#"{"messages":"cache_control","tools":{}}"#,
            ),
        ] {
            let body = unmark(&Bytes::copy_from_slice(given.as_bytes()), SeenMarks::of(given.as_bytes()), None, "m");
            assert_eq!(String::from_utf8_lossy(&body), made);
        }
        let body = Bytes::from_static(br#"{"model":"m"}"#);
        assert_eq!(unmark(&body, SeenMarks::of(&body), None, "m").as_ptr(), body.as_ptr(), "uncopied");
        let own = r#"{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":[]}]}]}"#;
        let body = Bytes::from_static(own.as_bytes());
        let kept = unmark(&body, SeenMarks::of(&body), LookAlike::named("Mistral").as_ref(), "m");
        assert_eq!(String::from_utf8_lossy(&kept), own);
        let own = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"S","cache_control":{}}]}]}"#;
        let body = Bytes::from_static(own.as_bytes());
        let of = |model: &str| unmark(&body, SeenMarks::of(&body), LookAlike::named("Databricks").as_ref(), model);
        assert_eq!(String::from_utf8_lossy(&of("databricks-claude-sonnet-5")), own, "its host keeps what is marked");
        assert_eq!(String::from_utf8_lossy(&of("databricks-llama-4")), own.replace(",\"cache_control\":{}", ""));
    }
}
