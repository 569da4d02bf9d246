//! Conversations that are made shorter on request: a last item `compaction_trigger` asks for one `compaction` item, which stands for what
//! was said from then on. Clients that take a provider for OpenAI (Codex's own provider) have no other way, and no setting turns it off.
//!
//! OpenAI's item is its own secret. Other vendors' models are asked for a summary in words, which is packed as thoughts are, and is text
//! again wherever it comes back, at OpenAI too.

use std::ops::Range;

use serde_json::value::RawValue;

use super::packed::{pack, unpack};
use super::wire;
use crate::hub::{Call, Content, Delta, ErrorKind, Event, Part, PartKind, ProviderError, Raw, Tool, ToolChoice};
use crate::json::{Writer, kind_of};
use crate::json_places::{elements, member, text};
use crate::verbatim::Edit;

/// The beginning of a summary in `encrypted_content`.
pub(super) const MARK: &str = "sluicegate.c1.";
/// The kind of the item that asks for one.
pub(super) const TRIGGER: &str = "compaction_trigger";
/// The kinds of items that stand for a conversation.
pub(super) const ITEMS: [&str; 3] = ["compaction", "compaction_summary", "context_compaction"];
/// The words that stand before a summary where a model reads it.
const BEFORE: &str =
    "The conversation until here was made shorter. This summary stands in its place; go on from it:\n\n";
/// The words by which a model is asked for a summary.
pub(super) const REQUEST: &str = "The conversation has grown too long and is made shorter now. Write a summary of it that takes its place: whoever \
goes on with the work reads the summary and nothing else of what stands above, and can not ask. Say what was asked for, with the \
wishes, rules and decisions that still hold; what was done and found, and what came of it; the exact names, paths, values and pieces \
of text that are needed to go on; what is left to do, and the next step. Call no tools, and answer with the summary alone.";

/// True if the last item of an `input` asks for a shorter conversation.
pub(super) fn is_asked_for(list: &[&RawValue]) -> bool {
    list.last().is_some_and(|item| kind_of(item.get()) == TRIGGER)
}

/// True if a body may ask for it; most do not.
pub(super) fn may_be_asked_for(body: &[u8]) -> bool {
    memchr::memmem::find(body, TRIGGER.as_bytes()).is_some()
}

/// Makes a call one for a summary, which is text. What the model could call stays, since calls of it stand in the conversation, and is
/// not called.
pub(super) fn ask(call: &mut Call) {
    call.tools.retain(|tool| matches!(tool, Tool::Function { .. }));
    call.tool_choice = (!call.tools.is_empty()).then_some(ToolChoice::None);
    call.parallel_tools = None;
    call.format = None;
    for name in ["tool_choice", "top_logprobs"] {
        call.extra.fields.remove(name);
    }
}

/// True if a body holds an item of OpenAI's that stands for a conversation.
pub(crate) fn is_made_shorter(body: &[u8]) -> bool {
    let is_one = |item: Range<usize>| {
        let kind = text(body, item.clone(), b"type").is_some_and(|kind| ITEMS.contains(&kind));
        kind && text(body, item, b"encrypted_content").is_some_and(|packed| !packed.starts_with(MARK))
    };
    member(body, 0..body.len(), b"input").is_some_and(|list| elements(body, list).into_iter().any(is_one))
}

/// The summary of an item, as a model reads it; `None`: only OpenAI can read it.
pub(super) fn told(encrypted: &str) -> Option<String> {
    let summary: String = unpack(MARK, encrypted)?;
    Some(format!("{BEFORE}{summary}"))
}

/// The item of a body that OpenAI is sent, as a turn that it can read; `None`: it is OpenAI's own.
pub(super) fn turn(item: Range<usize>, encrypted: &str) -> Option<Edit> {
    let mut json = Writer::default();
    json.open(b'{');
    json.text_field("type", "message");
    json.text_field("role", "user");
    json.text_field("content", &told(encrypted)?);
    json.close(b'}');
    Some(Edit::write(item, json.into_bytes()))
}

/// The summary in an answer, as it grows.
#[derive(Debug, Default)]
pub(super) struct Summary {
    text: String,
    /// The part that is text.
    open: Option<u32>,
}

impl Summary {
    /// Of a whole answer.
    pub(super) fn of(parts: &[Part]) -> Self {
        let texts = parts.iter().filter_map(|part| match &part.content {
            Content::Text { text, .. } => Some(text.as_str()),
            _ => None,
        });
        Self { text: texts.collect(), open: None }
    }

    /// Takes the next event of a streamed one; gives how many bytes are held for it.
    pub(super) fn see(&mut self, event: &Event) -> usize {
        match event {
            Event::PartStart { choice: 0, part, kind: PartKind::Text } => self.open = Some(*part),
            Event::Delta { choice: 0, part, delta: Delta::Text(more) } if self.open == Some(*part) => {
                self.text.push_str(more);
                return more.len();
            }
            _ => {}
        }
        0
    }

    /// The item of the answer with this id; `None`: nothing was said.
    pub(super) fn item(&self, response_id: &str) -> Option<Raw> {
        let text = self.text.trim();
        if text.is_empty() {
            return None;
        }
        let mut json = Writer::with_capacity(text.len() * 4 / 3 + 120);
        json.open(b'{');
        json.text_field("id", &wire::item_id("cmp", response_id, 0));
        json.text_field("type", "compaction");
        json.text_field("encrypted_content", &pack(MARK, &text));
        json.close(b'}');
        RawValue::from_string(String::from_utf8(json.into_bytes()).ok()?).ok()
    }

    /// The error of a model that has said nothing.
    pub(super) fn missing() -> ProviderError {
        ProviderError {
            kind: ErrorKind::BadGateway,
            message: "the model has written no summary of the conversation".to_owned(),
            r#type: None,
            code: None,
            param: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;
    use crate::mark::SeenMarks;
    use crate::{Dialect, ProviderProfile, StreamOptions};

    fn call(last: &str) -> Vec<u8> {
        json!({"model": "m", "input": [{"role": "user", "content": "Count the files."}, {"type": last}],
            "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}, {"type": "web_search"}],
            "tool_choice": "auto", "parallel_tool_calls": true, "text": {"format": {"type": "json_object"}}})
        .to_string()
        .into_bytes()
    }

    const ANSWER: &[u8] = br#"{"id":"msg_1","type":"message","role":"assistant","model":"m","stop_reason":"end_turn","usage":{},"content":[
        {"type":"thinking","thinking":"Hm.","signature":"s"},{"type":"text","text":"There are \"7\"."}]}"#;

    /// The items of the answer to a call for a summary.
    fn whole() -> Value {
        let reply = Dialect::AnthropicMessages.decode_reply(ANSWER).unwrap();
        let told = Dialect::OpenAiResponses.encode_reply(&reply, &call(TRIGGER)).body;
        serde_json::from_slice::<Value>(&told).unwrap()["output"].clone()
    }

    #[test]
    fn the_last_item_asks_for_a_summary_and_for_nothing_else() {
        let read = Dialect::OpenAiResponses.decode_call(&call(TRIGGER)).unwrap();
        let sent = Dialect::AnthropicMessages.encode_call(&read, &ProviderProfile::default()).unwrap();
        let sent: Value = serde_json::from_slice(&sent.body).unwrap();
        assert!(sent["messages"].to_string().contains("Write a summary of it"), "{sent}");
        assert_eq!((&sent["tool_choice"]["type"], &sent["output_config"]), (&json!("none"), &Value::Null));
        let earlier = json!({"model": "m", "input": [{"type": TRIGGER}, {"role": "user", "content": "x"}]}).to_string();
        let read = Dialect::OpenAiResponses.decode_call(earlier.as_bytes()).unwrap();
        assert_eq!(read.messages.len(), 1, "one that was heard before asks for nothing");
    }

    #[test]
    fn the_answer_is_one_item_and_text_wherever_it_comes_back() {
        let output = whole();
        assert_eq!((output.as_array().unwrap().len(), &output[0]["type"]), (1, &json!("compaction")));
        assert!(output[0]["encrypted_content"].as_str().unwrap().starts_with(MARK));
        let next = json!({"model": "m", "input": [output[0], {"role": "user", "content": "Go on."}]}).to_string();
        let read = Dialect::OpenAiResponses.decode_call(next.as_bytes()).unwrap();
        for dialect in [Dialect::AnthropicMessages, Dialect::Gemini, Dialect::OpenAiChat, Dialect::CohereChat] {
            let sent = dialect.encode_call(&read, &ProviderProfile::default()).unwrap();
            let sent = String::from_utf8(sent.body).unwrap();
            assert!(sent.contains(r#"There are \"7\"."#) && sent.contains("was made shorter"), "{sent}");
        }
        // OpenAI's own servers read it too.
        let body = Bytes::from(next);
        let passed = Dialect::OpenAiResponses.disown(&body, SeenMarks::of(&body), "m");
        let passed: Value = serde_json::from_slice(&passed).unwrap();
        assert_eq!((&passed["input"][0]["role"], &passed["input"][0]["type"]), (&json!("user"), &json!("message")));
        assert!(passed["input"][0]["content"].as_str().unwrap().ends_with("There are \"7\"."));
        assert_eq!(passed["input"][1]["content"], "Go on.");
    }

    #[test]
    fn what_openai_has_made_shorter_is_told_from_what_the_gateway_has() {
        let of = |item: Value| {
            is_made_shorter(json!({"model": "m", "input": [{"role": "user"}, item]}).to_string().as_bytes())
        };
        assert!(of(json!({"type": "compaction", "encrypted_content": "gAAAA"})));
        assert!(of(json!({"type": "context_compaction", "encrypted_content": "gAAAA"})));
        for other in [
            whole()[0].clone(),
            json!({"type": "reasoning", "encrypted_content": "gAAAA"}),
            json!({"type": "context_compaction"}),
            json!({"type": TRIGGER}),
        ] {
            assert!(!of(other.clone()), "{other}");
        }
        assert!(!is_made_shorter(br#"{"input":"compaction"}"#) && !is_made_shorter(b"x"));
    }

    fn streamed(events: &[Event]) -> String {
        let options = StreamOptions { call: Some(call(TRIGGER).into()), ..StreamOptions::default() };
        let mut stream = Dialect::OpenAiResponses.stream_encoder(options);
        let mut out = Vec::new();
        events.iter().for_each(|event| stream.push(event, &mut out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_stream_tells_the_item_when_it_is_whole() {
        let delta = |part, text: &str| Event::Delta { choice: 0, part, delta: Delta::Text(text.to_owned()) };
        let told = streamed(&[
            Event::Start { id: "msg_1".into(), model: "m".into(), created: None },
            Event::PartStart { choice: 0, part: 0, kind: PartKind::Thinking },
            delta(0, "Hm."),
            Event::PartStart { choice: 0, part: 1, kind: PartKind::Text },
            delta(1, "There are "),
            delta(1, "\"7\"."),
            Event::PartEnd { choice: 0, part: 1 },
            Event::End,
        ]);
        let names: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("event: response.")).collect();
        assert_eq!(names, ["created", "in_progress", "output_item.added", "output_item.done", "completed"]);
        let last = told.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap();
        let last: Value = serde_json::from_str(last).unwrap();
        assert_eq!(last["response"]["output"][0]["encrypted_content"], whole()[0]["encrypted_content"]);
    }

    #[test]
    fn a_model_that_says_nothing_has_failed() {
        let told = streamed(&[Event::End]);
        assert!(told.contains("response.failed") && told.contains("no summary"), "{told}");
    }
}
