//! Content that a server says as a list of texts and thoughts (Mistral's and Databricks' models that think), in the form that OpenAI's clients know: one
//! text, and the thoughts beside it, in the field that most servers have for them. Every other byte stays.

use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;
use serde_json::value::RawValue;

use super::lines::Lines;
use super::wire::{self, ContentPiece};
use crate::json_places::{elements, member};
use crate::mark::REASONING;
use crate::verbatim::{Edit, splice};

/// A whole answer whose content is text; itself, uncopied, where it is so already.
#[must_use]
pub fn flat_content(body: &Bytes) -> Bytes {
    if !may_list(body) {
        return body.clone();
    }
    splice(body, &edits(body, b"message"))
}

/// Makes text of content in the chunks of one stream of server-sent events.
#[derive(Debug, Default)]
pub struct FlatContent(Lines);

impl FlatContent {
    /// Takes the next bytes, cut anywhere, and appends what they are.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.0.push(bytes, out, flat_line);
    }

    /// The stream has come to its end: appends what was held.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.0.finish(out, flat_line);
    }

    /// The memory that a line takes whose end is still to come.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.held()
    }
}

fn flat_line(line: &[u8], out: &mut Vec<u8>) {
    let Some(data) = line.strip_prefix(b"data:").filter(|data| may_list(data)) else {
        return out.extend_from_slice(line);
    };
    let data = Bytes::copy_from_slice(data);
    out.extend_from_slice(b"data:");
    out.extend_from_slice(&splice(&data, &edits(&data, b"delta")));
}

/// True if a list may stand behind the name `content`.
fn may_list(json: &[u8]) -> bool {
    const NAME: &[u8] = b"\"content\"";
    memmem::find_iter(json, NAME).any(|at| {
        let value = json.get(at + NAME.len()..).unwrap_or_default().trim_ascii_start().strip_prefix(b":");
        value.is_some_and(|value| value.trim_ascii_start().first() == Some(&b'['))
    })
}

/// The edits that make text of the content of each answer, which stands in this member.
fn edits(json: &Bytes, within: &[u8]) -> Vec<Edit> {
    let choices = member(json, 0..json.len(), b"choices").map(|list| elements(json, list)).unwrap_or_default();
    let content = |choice: Range<usize>| member(json, member(json, choice, within)?, b"content");
    choices.into_iter().filter_map(content).filter_map(|place| flat(json, place)).collect()
}

/// The edit that makes text of one; `None`: it is text, or has pieces that are neither text nor thoughts, or signatures, which have to
/// come back as they are.
fn flat(json: &[u8], place: Range<usize>) -> Option<Edit> {
    let list = json.get(place.clone()).filter(|content| content.first() == Some(&b'['))?;
    if memmem::find(list, b"\"signature\"").is_some() {
        return None;
    }
    let raw: &RawValue = serde_json::from_slice(list).ok()?;
    let (mut text, mut thoughts) = (String::new(), String::new());
    for piece in wire::pieces(raw)? {
        match piece {
            ContentPiece::Text(more) => text.push_str(&more.whole()),
            ContentPiece::Thinking(more) => thoughts.push_str(&more.whole()),
            ContentPiece::Other(_) => return None,
        }
    }
    let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let mut made = quoted(&text);
    if !thoughts.is_empty() {
        made.push_str(&format!(",\"{REASONING}\":{}", quoted(&thoughts)));
    }
    Some(Edit::write(place, made))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai_chat::lines::LONGEST;

    const LIST: &str =
        r#"[{"type":"thinking","thinking":[{"type":"text","text":"Hm."}]},{"type":"text","text":"It \"is\"."}]"#;
    const FLAT: &str = r#""It \"is\".","reasoning_content":"Hm.""#;

    #[test]
    fn a_list_of_texts_and_thoughts_is_one_text_and_every_other_byte_stays() {
        let body = |content: &str| {
            Bytes::from(format!(
                r#"{{ "id":"c","n":1.50, "choices":[{{"index":0,"message":{{"role":"assistant","content": {content},"tool_calls":null}},"finish_reason":"stop"}}]}}"#
            ))
        };
        assert_eq!(flat_content(&body(LIST)), body(FLAT));
        let databricks = |more: &str| {
            format!(
                r#"[{{"type":"reasoning","summary":[{{"type":"summary_text","text":"Hm."{more}}}]}},{{"type":"text","text":"It \"is\"."}}]"#
            )
        };
        assert_eq!(flat_content(&body(&databricks(""))), body(FLAT));
        let signed = body(&databricks(r#","signature":"s""#));
        assert_eq!(flat_content(&signed), signed);
        for other in [
            r#""[{\"content\":[]}]""#,
            "null",
            r#"[{"type":"reference","reference_ids":[1]},{"type":"text","text":"a"}]"#,
        ] {
            assert_eq!(flat_content(&body(other)), body(other));
        }
        let same = body(r#""a""#);
        assert_eq!(flat_content(&same).as_ptr(), same.as_ptr(), "uncopied");
    }

    #[test]
    fn chunks_are_so_wherever_they_are_cut() {
        let chunk = |content: &str| {
            format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{content}}}}}]}}\r\n\r\n")
        };
        let thought = r#"[{"type":"thinking","thinking":[{"type":"text","text":"Hm."}]}]"#;
        let given = format!(": hm\n\n{}{}{}data: [DONE]\n\n", chunk(thought), chunk(LIST), chunk(r#""a""#));
        let made = format!(
            ": hm\n\n{}{}{}data: [DONE]\n\n",
            chunk(r#""","reasoning_content":"Hm.""#),
            chunk(FLAT),
            chunk(r#""a""#)
        );
        for at in 0..=given.len() {
            let (mut engine, mut out) = (FlatContent::default(), Vec::new());
            engine.push(&given.as_bytes()[..at], &mut out);
            engine.push(&given.as_bytes()[at..], &mut out);
            engine.finish(&mut out);
            assert_eq!(String::from_utf8_lossy(&out), made, "{at}");
            assert_eq!(engine.held(), 0);
        }
    }

    #[test]
    fn a_line_without_end_passes_and_is_not_held() {
        let (mut engine, mut out) = (FlatContent::default(), Vec::new());
        for _ in 0..5 {
            engine.push(&vec![b'x'; LONGEST / 2], &mut out);
            assert!(engine.held() <= LONGEST);
        }
        engine.push(b"\ndata: 1", &mut out);
        engine.finish(&mut out);
        assert!(out.len() == LONGEST / 2 * 5 + 8 && out.ends_with(b"\ndata: 1"));
    }
}
