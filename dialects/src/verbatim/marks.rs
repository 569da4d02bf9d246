//! Prompt-caching markers and other vendors' thoughts taken out of a body that passes otherwise as it came: OpenAI refuses fields that it does not know,
//! and clients mark their prompts without knowing who will answer.

use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::splice::{Edit, EditKind, splice};
use crate::mark::{CACHE_CONTROL as MARK, REASONING, SeenMarks, THINKING_BLOCKS};
use crate::scan;

/// The places of markers: in an object, and in those that are its members, or the elements of its members.
struct MarkPlace {
    marked: bool,
    /// True if it may hold thoughts too.
    thinks: bool,
    within: &'static [(&'static [u8], MarkPlace)],
}

const MARKED: MarkPlace = MarkPlace { marked: true, thinks: false, within: &[] };
const MESSAGE: MarkPlace =
    MarkPlace { marked: true, thinks: true, within: &[(b"content", MARKED), (b"tool_calls", MARKED)] };
const TOOL: MarkPlace = MarkPlace { marked: true, thinks: false, within: &[(b"function", MARKED)] };
const BODY: MarkPlace = MarkPlace { marked: false, thinks: false, within: &[(b"messages", MESSAGE), (b"tools", TOOL)] };

/// The body without markers and without thoughts, which are another vendor's; itself, uncopied, where there are none. What stands in texts, arguments and schemas is not
/// touched.
#[must_use]
pub fn unmark(body: &Bytes, seen: SeenMarks) -> Bytes {
    // Nearly every body ends here.
    if !seen.caching && !seen.thinking {
        return body.clone();
    }
    let mut edits = Vec::new();
    object(body, 0..body.len(), &BODY, &mut edits);
    splice(body, &edits)
}

fn is_thought(name: &[u8]) -> bool {
    name == THINKING_BLOCKS.as_bytes() || name == REASONING.as_bytes()
}

fn object(body: &[u8], span: Range<usize>, place: &MarkPlace, edits: &mut Vec<Edit>) {
    let Some(json) = body.get(span.clone()) else { return };
    let mut inner = Vec::new();
    // What is broken goes on as it is: the provider says so.
    let _ = scan::members(json, |name, value| {
        let value = span.start + value.start..span.start + value.end;
        if (place.marked && name == MARK.as_bytes()) || (place.thinks && is_thought(name)) {
            let quote = (name.as_ptr() as usize).saturating_sub(body.as_ptr() as usize + 1);
            edits.push(Edit { span: quote..value.end, kind: EditKind::RemoveMember });
        } else if let Some((_, place)) = place.within.iter().find(|(known, _)| *known == name) {
            inner.push((value, place));
        }
    });
    for (value, place) in inner {
        match body.get(value.start) {
            Some(b'{') => object(body, value, place, edits),
            Some(b'[') => list(body, value, place, edits),
            _ => {}
        }
    }
}

fn list(body: &[u8], span: Range<usize>, place: &MarkPlace, edits: &mut Vec<Edit>) {
    let elements = body.get(span).and_then(|json| serde_json::from_slice::<Vec<&RawValue>>(json).ok());
    for element in elements.unwrap_or_default() {
        let start = (element.get().as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
        if element.get().starts_with('{') {
            object(body, start..start + element.get().len(), place, edits);
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
                r#"{"messages":"cache_control","tools":{"cache_control":1}}"#,
                r#"{"messages":"cache_control","tools":{}}"#,
            ),
        ] {
            let body = unmark(&Bytes::copy_from_slice(given.as_bytes()), SeenMarks::of(given.as_bytes()));
            assert_eq!(String::from_utf8_lossy(&body), made);
        }
        let body = Bytes::from_static(br#"{"model":"m"}"#);
        assert_eq!(unmark(&body, SeenMarks::of(&body)).as_ptr(), body.as_ptr(), "uncopied");
    }
}
