//! Writes a request out of the hub's words. The model is in the path that the caller of this makes.

use super::draft::ConverseDraft;
use super::{write_parts, write_settings, write_tools};
use crate::bedrock_converse::blocks;
use crate::codec::{Encoded, ProviderProfile, Refusal};
use crate::format_in_words::{in_words, must_in_words};
use crate::hub::{CacheMark, Call, Content, Message, Role, Tool};
use crate::json_places;
use crate::spoke::PartPath;
use crate::vendors::{self, without_attribution};

/// Writes what a provider is sent.
///
/// Errors: the call holds what Converse has no word for, and the answer would lack what it asks for.
pub(crate) fn encode(call: &Call, target: &ProviderProfile, path: PartPath) -> Result<Encoded, Refusal> {
    let mut draft = ConverseDraft::new(call, target, path);
    let mut system = system(call, &mut draft)?;
    let turns: Vec<&Message> = call.messages.iter().filter(|message| !instructs(message)).collect();
    draft.json.open(b'{');
    draft.json.open_field("messages", b'[');
    write_parts::turns(&turns, &mut draft)?;
    if draft.json.is_bare() && !system.is_empty() {
        // A prompt that is all instructions is common elsewhere; Converse wants somebody to speak.
        draft.json.open(b'{');
        draft.json.text_field("role", "user");
        draft.json.key("content");
        texts(&std::mem::take(&mut system), &mut draft);
        draft.json.close(b'}');
    }
    if draft.json.is_bare() {
        return Err(Refusal::field("messages", "at least one message with content is required"));
    }
    draft.json.close(b']');
    if let Some(format) = write_settings::unsaid_format(call, &draft) {
        draft.drop("response_format");
        let tools = call.tools.iter().any(|tool| matches!(tool, Tool::Function { .. }));
        system.push((in_words(format, tools), None));
    }
    if let Some(must) = write_tools::unsaid_must(call, &draft).and_then(must_in_words) {
        draft.drop("tool_choice");
        system.push((must, None));
    }
    if !system.is_empty() {
        draft.json.key("system");
        texts(&system, &mut draft);
    }
    write_tools::config(call, &mut draft)?;
    let clamped = write_settings::write(call, &mut draft)?;
    draft.json.close(b'}');
    let (body, dropped) = draft.finish();
    Ok(Encoded { body, dropped, headers: Vec::new(), clamped })
}

/// True if a call with this body is answered whole, whatever it asks for: the model takes no tools where its answer streams.
pub(crate) fn is_answered_whole(model: &str, body: &[u8]) -> bool {
    !vendors::bedrock(model).streams_tools && json_places::member(body, 0..body.len(), b"toolConfig").is_some()
}

/// True if a turn is of instructions: there is a place for those before the conversation only.
fn instructs(message: &Message) -> bool {
    matches!(message.role, Role::System | Role::Developer)
}

/// Instructions with their marks.
type Instruction<'a> = (std::borrow::Cow<'a, str>, Option<&'a CacheMark>);

/// All instructions, in order. Errors: there are pictures or the like among them.
fn system<'a>(call: &'a Call, draft: &mut ConverseDraft<'_>) -> Result<Vec<Instruction<'a>>, Refusal> {
    let mut system = Vec::with_capacity(call.system.len());
    let said = |text: &str| !text.trim().is_empty();
    for part in &call.system {
        draft.extra("system", &part.extra);
        if part.name.is_some() {
            draft.drop("messages.name");
        }
        let text = without_attribution(&part.text).filter(|text| said(text));
        system.extend(text.map(|text| (text, part.cache.as_ref())));
    }
    for message in call.messages.iter().filter(|message| instructs(message)) {
        for (index, part) in message.parts.iter().enumerate() {
            let Content::Text { text, citations: _ } = &part.content else {
                return Err(draft.refuse(
                    message,
                    (index, None),
                    "instructions to a model at Bedrock can only be text",
                ));
            };
            let text = without_attribution(text).filter(|text| said(text));
            system.extend(text.map(|text| (text, part.cache.as_ref())));
        }
    }
    Ok(system)
}

fn texts(system: &[Instruction<'_>], draft: &mut ConverseDraft<'_>) {
    draft.json.open(b'[');
    for (text, mark) in system {
        blocks::write_text(text, &mut draft.json);
        draft.cache(*mark);
    }
    draft.json.close(b']');
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::Dialect;

    const LLAMA: &str = "us.meta.llama3-3-70b-instruct-v1:0";
    const MISTRAL: &str = "mistral.mistral-large-2407-v1:0";

    /// A call of Anthropic's dialect with two tools, as it is sent to a model.
    fn sent(model: &str, more: &Value) -> Value {
        let tool = |name: &str| json!({"name": name, "input_schema": {"type": "object", "properties": {}}});
        let mut body = json!({"model": model, "max_tokens": 90, "messages": [{"role": "user", "content": "x"}], "tools": [tool("f"), tool("g")]});
        let more = more.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.clone()));
        body.as_object_mut().unwrap().extend(more);
        let call = Dialect::AnthropicMessages.decode_call(body.to_string().as_bytes()).unwrap();
        let sent = Dialect::BedrockConverse.encode_call(&call, &ProviderProfile::default()).unwrap();
        serde_json::from_slice(&sent.body).unwrap()
    }

    #[test]
    fn a_forced_call_is_said_as_the_model_takes_it() {
        let choice = |model: &str, choice: Value| {
            let sent = sent(model, &json!({"tool_choice": choice}));
            let config = &sent["toolConfig"];
            (config["toolChoice"].clone(), config["tools"].as_array().unwrap().len(), sent["system"].to_string())
        };
        let (any, named) = (json!({"type": "any"}), json!({"type": "tool", "name": "g"}));
        for (asked, words) in [(any.clone(), "one or more of the tools"), (named.clone(), "the tool `g`")] {
            let (choice, tools, system) = choice(LLAMA, asked);
            assert_eq!((choice, tools), (json!({"auto": {}}), 2));
            assert!(system.contains(words), "{system}");
        }
        assert_eq!(choice(MISTRAL, any), (json!({"any": {}}), 2, "null".to_owned()));
        assert_eq!(choice(MISTRAL, named.clone()), (json!({"any": {}}), 1, "null".to_owned()));
        let nova = choice("us.amazon.nova-pro-v1:0", named);
        assert_eq!(nova, (json!({"tool": {"name": "g"}}), 2, "null".to_owned()));
    }

    #[test]
    fn a_model_that_takes_no_tools_in_streams_answers_whole() {
        let is_whole = |model: &str, more: &Value| {
            Dialect::BedrockConverse.is_answered_whole(model, sent(model, more).to_string().as_bytes())
        };
        let (tools, none) = (json!({}), json!({"tools": []}));
        assert!(is_whole(LLAMA, &tools) && is_whole(MISTRAL, &tools));
        assert!(!is_whole(LLAMA, &none) && !is_whole("us.amazon.nova-pro-v1:0", &tools));
        let anthropic = Dialect::AnthropicMessages;
        assert!(!anthropic.is_answered_whole(LLAMA, br#"{"toolConfig":{}}"#));
    }

    #[test]
    fn an_answer_is_as_long_as_the_model_allows_at_least_and_drawn_as_it_allows() {
        let drawn = json!({"max_tokens": 1, "temperature": 0.5, "stop_sequences": ["x"]});
        let inference = |model: &str| sent(model, &drawn)["inferenceConfig"].clone();
        assert_eq!(inference("openai.gpt-6-sol"), json!({"maxTokens": 16}));
        assert_eq!(inference("us.xai.grok-4.7"), json!({"maxTokens": 16}));
        assert_eq!(inference("xai.grok-4.3"), json!({"maxTokens": 16, "temperature": 0.5}));
        let kimi = json!({"maxTokens": 16, "temperature": 0.5, "stopSequences": ["x"]});
        assert_eq!(inference("us.moonshotai.kimi-k3"), kimi);
        let nova = json!({"maxTokens": 1, "temperature": 0.5, "stopSequences": ["x"]});
        assert_eq!(inference("us.amazon.nova-pro-v1:0"), nova);
    }
}
