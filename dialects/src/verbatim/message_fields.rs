//! Messages as a look-alike takes them, put into a body that stays as it is otherwise: the older word for OpenAI's role `developer`, a
//! document by its address, and none of the fields that other servers' answers have, where it refuses what it does not know.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;

use super::splice::{Edit, splice};
use crate::json::Writer;
use crate::json_places::{elements, member, text};
use crate::mark::SeenMarks;
use crate::scan;
use crate::vendors::{LookAlike, MessageFields};

/// The name that OpenAI's clients give instructions.
const DEVELOPER: &str = "developer";
/// Members of pieces of content that only their makers know.
const OF_PIECES: [&[u8]; 2] = [b"annotations", b"prompt_cache_breakpoint"];

/// The body with messages that the look-alike takes; itself, uncopied, where it takes them as they are.
#[must_use]
pub fn fit_messages(body: &Bytes, look_alike: Option<&LookAlike>, seen: SeenMarks) -> Bytes {
    let Some(row) = look_alike else { return body.clone() };
    let renames = seen.developer && !row.developer;
    if !renames && row.message_fields.is_none() && !row.documents_by_address {
        return body.clone();
    }
    let mut edits = Vec::new();
    for turn in member(body, 0..body.len(), b"messages").map(|list| elements(body, list)).unwrap_or_default() {
        let role = text(body, turn.clone(), b"role").unwrap_or_default();
        if renames && role == DEVELOPER {
            edits.extend(member(body, turn.clone(), b"role").map(|value| Edit::write(value, "\"system\"")));
        }
        if let Some(known) = row.message_fields {
            strip(body, (turn.clone(), role), known, &mut edits);
        }
        if row.documents_by_address {
            address(body, turn, &mut edits);
        }
    }
    splice(body, &edits)
}

/// Takes out of a message what the server does not know there.
fn strip(body: &[u8], (turn, role): (Range<usize>, &str), known: &MessageFields, edits: &mut Vec<Edit>) {
    let fields = match role {
        "system" | DEVELOPER => known.instructions,
        "user" => known.user,
        "assistant" => known.assistant,
        "tool" => known.tool,
        // What is broken goes on as it is: the server says so.
        _ => return,
    };
    let knows = |name: &[u8]| fields.iter().any(|field| field.as_bytes() == name);
    // A refusal is what was said, where nothing else was.
    let content = member(body, turn.clone(), b"content").filter(|value| body.get(value.clone()) == Some(b"null"));
    let refusal = member(body, turn.clone(), b"refusal").filter(|value| body.get(value.start) == Some(&b'"'));
    if let (Some(content), Some(refusal), false) = (content, refusal, knows(b"refusal")) {
        edits.push(Edit::write(content, body.get(refusal).unwrap_or_default()));
    }
    remove(body, turn.clone(), |name| !knows(name), edits);
    let inner = |name: &[u8]| member(body, turn.clone(), name).filter(|_| knows(name)).map(|list| elements(body, list));
    for call in inner(b"tool_calls").unwrap_or_default() {
        remove(body, call, |name| !known.calls.iter().any(|field| field.as_bytes() == name), edits);
    }
    for piece in inner(b"content").unwrap_or_default() {
        remove(body, piece, |name| OF_PIECES.contains(&name), edits);
    }
}

/// Says a file that has its data or its address as the document at that address.
fn address(body: &[u8], turn: Range<usize>, edits: &mut Vec<Edit>) {
    for piece in member(body, turn, b"content").map(|list| elements(body, list)).unwrap_or_default() {
        let Some(json) = body.get(piece.clone()).filter(|json| json.starts_with(b"{")) else { continue };
        let Ok(FilePiece { r#type, file }) = serde_json::from_slice(json) else { continue };
        if r#type != "file" {
            continue;
        }
        let FileData { file_data, filename } = file;
        let mut json = Writer::with_capacity(file_data.len() + 128);
        json.open(b'{');
        json.text_field("type", "document_url");
        json.text_field("document_url", &file_data);
        if let Some(name) = filename {
            json.text_field("document_name", &name);
        }
        json.close(b'}');
        // Members that are taken out of it go with all of it.
        edits.retain(|edit| edit.span.start < piece.start || edit.span.end > piece.end);
        edits.push(Edit::write(piece, json.into_bytes()));
    }
}

#[derive(Deserialize)]
struct FilePiece<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    file: FileData<'a>,
}

#[derive(Deserialize)]
struct FileData<'a> {
    #[serde(borrow)]
    file_data: Cow<'a, str>,
    #[serde(borrow)]
    filename: Option<Cow<'a, str>>,
}

/// Removes the members of an object that `goes` says it of.
fn remove(body: &[u8], object: Range<usize>, goes: impl Fn(&[u8]) -> bool, edits: &mut Vec<Edit>) {
    let Some(json) = body.get(object.clone()).filter(|json| json.starts_with(b"{")) else { return };
    let _ = scan::members(json, |name, value| {
        if goes(name) {
            let quote = (name.as_ptr() as usize).saturating_sub(body.as_ptr() as usize + 1);
            edits.push(Edit::remove(quote..object.start + value.end));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(body: &str, name: &str) -> String {
        let row = LookAlike::named(name);
        let body = Bytes::copy_from_slice(body.as_bytes());
        let made = fit_messages(&body, row.as_ref(), SeenMarks::of(&body));
        String::from_utf8(made.to_vec()).unwrap()
    }

    #[test]
    fn a_file_is_a_document_at_its_address_where_that_is_all_that_is_known() {
        let body = |piece: &str| {
            format!(r#"{{"messages":[{{"role":"user","content":[{{"type":"text","text":"Read."}},{piece}]}}]}}"#)
        };
        let file = r#"{"type":"file","annotations":[],"file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,AA=="}}"#;
        let url =
            r#"{"type":"document_url","document_url":"data:application/pdf;base64,AA==","document_name":"a.pdf"}"#;
        assert_eq!(made(&body(file), "Mistral"), body(url));
        assert_eq!(made(&body(url), "Mistral"), body(url));
        assert_eq!(made(&body(file), "vLLM"), body(file));
        let kept = r#"{"type":"file","file":{"file_id":"f"}}"#;
        assert_eq!(made(&body(kept), "Mistral"), body(kept), "of what it keeps nobody here knows the bytes");
    }

    #[test]
    fn a_developer_is_the_system_where_that_is_all_that_is_known() {
        let said = |role: &str| {
            format!(
                r#"{{"messages":[{{"content":"developer","role" : "{role}"}},{{"role":"user","content":"x"}}], "n":1.0}}"#
            )
        };
        for name in ["DeepSeek", "Groq", "vLLM", "Mistral", "Databricks"] {
            assert_eq!(made(&said("developer"), name), said("system"), "{name}");
        }
        assert_eq!(made(&said("developer"), "OpenRouter"), said("developer"));
        assert_eq!(made(&said("developer"), "nobody's"), said("developer"));
        let unknown = Bytes::from(said("developer"));
        let fitted = fit_messages(&unknown, Some(&LookAlike::default()), SeenMarks::of(&unknown));
        assert_eq!(String::from_utf8_lossy(&fitted), said("system"));
        let plain = Bytes::from(said("system"));
        let fitted = fit_messages(&plain, Some(&LookAlike::default()), SeenMarks::of(&plain));
        assert_eq!(fitted.as_ptr(), plain.as_ptr(), "uncopied");
    }

    #[test]
    fn fields_of_other_servers_messages_go_where_they_are_refused() {
        let full = r#"{"messages":[{"role":"user","name":"ann","content":[{"type":"text","text":"q","prompt_cache_breakpoint":{"mode":"explicit"}}]},{"role":"assistant","content":"x","refusal":null,"annotations":[],"audio":null,"reasoning_details":[{"type":"reasoning.text"}],"provider_specific_fields":{},"images":[],"tool_calls":[{"id":"a","type":"function","extra_content":{"google":{}},"function":{"name":"f","arguments":"{\"refusal\":1}"}}]},{"role":"tool","tool_call_id":"a","content":"r"},{"role":"assistant","content":null,"refusal":"No."}]}"#;
        let calls =
            r#""tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"refusal\":1}"}}]"#;
        let left = |name: &str| {
            format!(
                r#"{{"messages":[{{"role":"user",{name}"content":[{{"type":"text","text":"q"}}]}},{{"role":"assistant","content":"x",{calls}}},{{"role":"tool","tool_call_id":"a","content":"r"}},{{"role":"assistant","content":"No."}}]}}"#
            )
        };
        for name in ["Groq", "Cerebras"] {
            assert_eq!(made(full, name), left(r#""name":"ann","#), "{name}");
        }
        assert_eq!(made(full, "Mistral"), left(""));
        for name in ["DeepSeek", "OpenRouter", "vLLM"] {
            assert_eq!(made(full, name), full, "{name}");
        }
        for broken in
            [r#"{"messages":[7,null,{"role":"x","y":1},{"role":"user"}]}"#, r#"{"messages":{}}"#, r#"{"a":1}"#]
        {
            assert_eq!(made(broken, "Groq"), broken);
        }
    }
}
