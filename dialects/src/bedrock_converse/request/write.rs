//! Writes a request out of the hub's words. The model is in the path that the caller of this makes.

use super::draft::ConverseDraft;
use super::{write_parts, write_settings, write_tools};
use crate::bedrock_converse::blocks;
use crate::codec::{Encoded, ProviderProfile, Refusal};
use crate::format_in_words::{in_words, must_in_words};
use crate::hub::{CacheMark, Call, Content, Message, Role, Tool};
use crate::spoke::PartPath;
use crate::vendors::without_attribution;

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
