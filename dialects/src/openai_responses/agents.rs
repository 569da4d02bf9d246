//! Messages between the agents of one client (Codex's `collaboration` tools). OpenAI encrypts what one agent tells another: the schema
//! marks an argument `encrypted`, the client hands its text on as `encrypted_content`, and OpenAI reads it for the one that is told.
//!
//! Other vendors' models write it in the open. A call that says `encrypted_function_args: []` tells the client so; where one has not
//! read that, the text comes as `encrypted_content` all the same.

use std::borrow::Cow;

use memchr::memmem;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::codec::Refusal;
use crate::hub::{Content, Part};
use crate::json::{Object, Path, kind_of};

/// The member of a parameter's schema by which OpenAI encrypts the argument.
const ENCRYPTED: &str = "encrypted";
/// The kind of a piece of content that is encrypted, and its member.
const ENCRYPTED_CONTENT: &str = "encrypted_content";
/// The beginning of whatever OpenAI has encrypted: a version and the time, in base64.
const OPENAIS: &str = "gAAAA";
/// The word of Codex's for a message that gives an agent its task.
const TASK: &str = "NEW_TASK";

/// True if OpenAI would encrypt some of the arguments.
pub(super) fn encrypts_arguments(parameters: &RawValue) -> bool {
    matches!(in_the_open(parameters), Cow::Owned(_))
}

/// The schema without the marks by which OpenAI encrypts arguments: nobody else does, and its Chat Completions refuse them.
pub(super) fn in_the_open(parameters: &RawValue) -> Cow<'_, RawValue> {
    if memmem::find(parameters.get().as_bytes(), ENCRYPTED.as_bytes()).is_none() {
        return Cow::Borrowed(parameters);
    }
    let Ok(mut schema) = serde_json::from_str::<Value>(parameters.get()) else { return Cow::Borrowed(parameters) };
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    let mut found = false;
    for property in properties.into_iter().flat_map(|properties| properties.values_mut()) {
        let Some(property) = property.as_object_mut() else { continue };
        if property.get(ENCRYPTED).is_some_and(Value::is_boolean) {
            found |= property.shift_remove(ENCRYPTED) == Some(Value::Bool(true));
        }
    }
    let opened = to_raw_value(&schema).ok().filter(|_| found);
    opened.map_or(Cow::Borrowed(parameters), Cow::Owned)
}

/// The text of a piece that is called encrypted and is not; `None`: only OpenAI can read it.
pub(super) fn unencrypted(object: &mut Object<'_>, at: &Path<'_>) -> Result<Option<String>, Refusal> {
    let text = object.text(ENCRYPTED_CONTENT, at)?;
    Ok(text.filter(|text| !text.starts_with(OPENAIS)))
}

/// The words that a model is told of another agent's message. Errors: it gives the model its task, which only OpenAI can read.
pub(super) fn told(parts: Vec<Part>, at: &Path<'_>) -> Result<Vec<Part>, Refusal> {
    let is_task = parts.iter().any(|part| matches!(&part.content, Content::Text { text, .. } if text.contains(TASK)));
    let mut told = Vec::with_capacity(parts.len());
    for part in parts {
        let is_hidden = matches!(&part.content, Content::Other { raw, .. } if kind_of(raw.get()) == ENCRYPTED_CONTENT);
        match &part.content {
            Content::Other { .. } if is_hidden && is_task => {
                return Err(at.refuse(
                    "gives the agent a task that OpenAI has encrypted, and this provider can not read it; let OpenAI answer for the \
                     agent too, or another vendor for the one that gives it the task",
                ));
            }
            Content::Other { .. } if is_hidden => told.push(Part::text("(A part that only OpenAI can read.)")),
            Content::Other { .. } => {}
            _ => told.push(part),
        }
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::hub::{Delta, Event, PartKind};
    use crate::{Dialect, ProviderProfile, StreamOptions};

    use super::*;

    const SPAWN: &str = r#"{"type":"namespace","name":"collaboration","tools":[
        {"type":"function","name":"spawn_agent","parameters":{"type":"object","properties":{"task_name":{"type":"string"},"message":{"type":"string","encrypted":true}}}},
        {"type":"function","name":"wait_agent","parameters":{"type":"object","properties":{"encrypted":{"type":"string"}}}}]}"#;

    fn call() -> String {
        format!(r#"{{"model":"m","input":[{{"role":"user","content":"x"}}],"tools":[{SPAWN}]}}"#)
    }

    #[test]
    fn only_a_mark_on_a_parameter_is_taken_off() {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
        let marked = raw(r#"{"properties":{"a":{"type":"string","encrypted":true},"encrypted":{"type":"string"}}}"#);
        assert!(encrypts_arguments(&marked));
        assert_eq!(
            in_the_open(&marked).get(),
            r#"{"properties":{"a":{"type":"string"},"encrypted":{"type":"string"}}}"#
        );
        for other in [
            r#"{"properties":{"encrypted":{"type":"boolean"}}}"#,
            r#"{"properties":{"a":{"encrypted":false}}}"#,
            r#"{"properties":{"a":{"description":"encrypted"}}}"#,
            r#"{"encrypted":true}"#,
            r#"["encrypted"]"#,
        ] {
            assert!(!encrypts_arguments(&raw(other)), "{other}");
        }
    }

    #[test]
    fn nobody_else_is_asked_to_encrypt() {
        let call = Dialect::OpenAiResponses.decode_call(call().as_bytes()).unwrap();
        let sent = Dialect::AnthropicMessages.encode_call(&call, &ProviderProfile::default()).unwrap();
        let sent: Value = serde_json::from_slice(&sent.body).unwrap();
        assert_eq!(sent["tools"][0]["input_schema"]["properties"]["message"], json!({"type": "string"}));
    }

    #[test]
    fn a_whole_answer_says_that_the_message_is_in_the_open() {
        let body = br#"{"id":"msg_1","type":"message","role":"assistant","model":"m","stop_reason":"tool_use","usage":{},"content":[
            {"type":"tool_use","id":"toolu_1","name":"collaboration__spawn_agent","input":{"message":"count"}},
            {"type":"tool_use","id":"toolu_2","name":"collaboration__wait_agent","input":{}}]}"#;
        let reply = Dialect::AnthropicMessages.decode_reply(body).unwrap();
        let told: Value =
            serde_json::from_slice(&Dialect::OpenAiResponses.encode_reply(&reply, call().as_bytes()).body).unwrap();
        assert_eq!(told["output"][0]["namespace"], "collaboration");
        assert_eq!(told["output"][0]["encrypted_function_args"], json!([]));
        assert_eq!(told["output"][1].get("encrypted_function_args"), None);
    }

    #[test]
    fn a_stream_says_it_from_the_calls_beginning() {
        let options = StreamOptions { call: Some(call().into()), ..StreamOptions::default() };
        let mut stream = Dialect::OpenAiResponses.stream_encoder(options);
        let mut out = Vec::new();
        let kind = PartKind::ToolCall { id: "toolu_1".to_owned(), name: "collaboration__spawn_agent".to_owned() };
        let delta = Delta::Arguments(r#"{"message":"count"}"#.to_owned());
        for event in [
            Event::PartStart { choice: 0, part: 0, kind },
            Event::Delta { choice: 0, part: 0, delta },
            Event::PartEnd { choice: 0, part: 0 },
            Event::End,
        ] {
            stream.push(&event, &mut out);
        }
        let told = String::from_utf8(out).unwrap();
        assert_eq!(told.matches(r#""encrypted_function_args":[]"#).count(), 3, "{told}");
    }

    fn sent(text: &str, encrypted: &str) -> Result<String, Refusal> {
        let body = json!({"model": "m", "input": [{"type": "agent_message", "author": "/root", "recipient": "/root/a", "content": [
            {"type": "input_text", "text": text}, {"type": "encrypted_content", "encrypted_content": encrypted},
        ]}]});
        let call = Dialect::OpenAiResponses.decode_call(body.to_string().as_bytes())?;
        let sent = Dialect::AnthropicMessages.encode_call(&call, &ProviderProfile::default())?;
        Ok(String::from_utf8(sent.body).unwrap())
    }

    #[test]
    fn a_task_in_the_open_is_read_and_one_that_openai_has_encrypted_is_not_left_out_unsaid() {
        let task = "Message Type: NEW_TASK\nPayload:\n";
        assert!(sent(task, "count the files").unwrap().contains("count the files"));
        let refused = sent(task, "gAAAAABqx").unwrap_err();
        assert!(refused.message.contains("a task that OpenAI has encrypted"), "{}", refused.message);
        let told = sent("Message Type: MESSAGE\nPayload:\n", "gAAAAABqx").unwrap();
        assert!(told.contains("only OpenAI can read") && !told.contains("gAAAA"), "{told}");
    }
}
