//! Custom tools in this dialect's words, and the names of those that a call gives, whose calls its answer tells in those words again.

use std::collections::BTreeSet;

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::codec::Refusal;
use crate::free_text::{self, Grammar};
use crate::hub::{Tool, ToolCall};
use crate::json::{Object, Path, Writer};

/// The word: a tool's and a call's type, and the member with all else.
pub(super) const CUSTOM: &str = "custom";

/// Reads a tool, but for its type.
pub(super) fn tool(object: &mut Object<'_>, at: &Path<'_>) -> Result<Tool, Refusal> {
    let at = at.field(CUSTOM);
    let mut inner = inner(object, &at)?;
    let (name, description) = (inner.required("name", &at)?, inner.text("description", &at)?);
    let format_at = at.field("format");
    let grammar = match inner.object("format", &at)? {
        Some(mut format) => format.object("grammar", &format_at)?,
        None => None,
    };
    let grammar = grammar.map(|mut grammar| {
        let at = format_at.field("grammar");
        Ok(Grammar { syntax: grammar.text("syntax", &at)?, definition: grammar.text("definition", &at)? })
    });
    Ok(free_text::function(name, description, grammar.transpose()?))
}

/// Reads a call, but for its type.
pub(super) fn call(object: &mut Object<'_>, at: &Path<'_>) -> Result<ToolCall, Refusal> {
    let id = object.text("id", at)?.unwrap_or_default();
    let at = at.field(CUSTOM);
    let mut inner = inner(object, &at)?;
    let (name, input) = (inner.required("name", &at)?, inner.text("input", &at)?);
    Ok(ToolCall { id, name, arguments: free_text::wrapped(&input.unwrap_or_default()) })
}

/// Reads the name of the one that is to be called.
pub(super) fn chosen(object: &mut Object<'_>, at: &Path<'_>) -> Result<String, Refusal> {
    let at = at.field(CUSTOM);
    inner(object, &at)?.required("name", &at)
}

fn inner<'a>(object: &mut Object<'a>, at: &Path<'_>) -> Result<Object<'a>, Refusal> {
    let raw = object.take(CUSTOM).ok_or_else(|| at.refuse("the field is required"))?;
    Object::read(raw.get(), at)
}

/// Writes the members of a call, but for its id.
pub(super) fn write(name: &str, input: &str, json: &mut Writer) {
    json.text_field("type", CUSTOM);
    json.open_field(CUSTOM, b'{');
    json.text_field("name", name);
    json.text_field("input", input);
    json.close(b'}');
}

/// The names of the custom tools that a call gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct CustomTools(BTreeSet<String>);

impl CustomTools {
    /// Of a call's body. One that is no call gives none.
    pub(super) fn of(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Given<'a> {
            #[serde(borrow)]
            tools: Option<Vec<&'a RawValue>>,
        }
        #[derive(Deserialize)]
        struct GivenTool {
            r#type: String,
            custom: GivenName,
        }
        #[derive(Deserialize)]
        struct GivenName {
            name: String,
        }
        // Most calls give none, and need not be read for that.
        if memmem::find(body, b"\"custom\"").is_none() {
            return Self::default();
        }
        let Ok(Given { tools: Some(tools) }) = serde_json::from_slice(body) else { return Self::default() };
        let name = |raw: &RawValue| {
            let GivenTool { r#type, custom } = serde_json::from_str(raw.get()).ok()?;
            (r#type == CUSTOM).then_some(custom.name)
        };
        Self(tools.into_iter().filter_map(name).collect())
    }

    /// True if there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if the tool of this name is one.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::hub::{Delta, Event, PartKind, Stop};
    use crate::{Dialect, StreamOptions};

    const CALL: &[u8] = br#"{"model":"m","messages":[],"tools":[{"type":"custom","custom":{"name":"patch"}},{"type":"function","function":{"name":"f"}}]}"#;

    #[test]
    fn a_whole_answer_calls_it_in_its_own_form() {
        let body = br#"{"id":"msg_1","type":"message","role":"assistant","model":"m","stop_reason":"tool_use","usage":{},"content":[
            {"type":"tool_use","id":"a","name":"patch","input":{"input":"x\n"}},{"type":"tool_use","id":"b","name":"f","input":{}}]}"#;
        let reply = Dialect::AnthropicMessages.decode_reply(body).unwrap();
        let told: Value = serde_json::from_slice(&Dialect::OpenAiChat.encode_reply(&reply, CALL).body).unwrap();
        assert_eq!(
            told["choices"][0]["message"]["tool_calls"],
            json!([{"id": "a", "type": "custom", "custom": {"name": "patch", "input": "x\n"}},
                {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{}"}}])
        );
        let again = Dialect::OpenAiChat.decode_reply(told.to_string().as_bytes()).unwrap();
        let told = Dialect::OpenAiChat.encode_reply(&again, b"{}").body;
        assert!(String::from_utf8(told).unwrap().contains(r#""arguments":"{\"input\":\"x\\n\"}""#));
    }

    #[test]
    fn a_stream_calls_it_in_its_own_form() {
        let options = StreamOptions { call: Some(CALL.into()), ..StreamOptions::default() };
        let (mut stream, mut out) = (Dialect::OpenAiChat.stream_encoder(options), Vec::new());
        let named = |name: &str| PartKind::ToolCall { id: "a".to_owned(), name: name.to_owned() };
        let piece = |part, text: &str| Event::Delta { choice: 0, part, delta: Delta::Arguments(text.to_owned()) };
        for event in [
            Event::Start { id: "i".to_owned(), model: "m".to_owned(), created: None },
            Event::PartStart { choice: 0, part: 0, kind: named("patch") },
            piece(0, "{\"inp"),
            piece(0, "ut\":\"x\\"),
            piece(0, "ny\"}"),
            Event::PartEnd { choice: 0, part: 0 },
            Event::PartStart { choice: 0, part: 1, kind: named("f") },
            piece(1, "{}"),
            Event::PartEnd { choice: 0, part: 1 },
            Event::Finish { choice: 0, stop: Stop::Tools },
            Event::End,
        ] {
            stream.push(&event, &mut out);
        }
        let told = String::from_utf8(out).unwrap();
        let chunks = told.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
        let calls: Vec<Value> =
            chunks.filter_map(|chunk| chunk["choices"][0]["delta"].get("tool_calls").cloned()).collect();
        assert_eq!(
            calls,
            [
                json!([{"index": 0, "id": "a", "type": "custom", "custom": {"name": "patch", "input": ""}}]),
                json!([{"index": 0, "custom": {"input": "x"}}]),
                json!([{"index": 0, "custom": {"input": "\ny"}}]),
                json!([{"index": 1, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]),
                json!([{"index": 1, "function": {"arguments": "{}"}}]),
            ]
        );
    }
}
